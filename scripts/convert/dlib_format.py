"""dlib's `.dat` files, read without dlib: the primitive values that every one of them is made of.

dlib writes a C++ object as its parts in order, with no names and no table of contents, so a reader
must know the type. Numbers are written so that they fit any machine: an integer is one byte of
sign and length, then that many bytes, least significant first; a real number is an integer
mantissa and an integer exponent to base two.

Source: dlib 19.x and 20.x, `dlib/serialize.h`, `dlib/float_details.h`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["DatFormatError", "Reader"]

FloatArray = NDArray[np.float32]

# dlib/float_details.h: exponents that stand for the values no mantissa can express.
_INFINITY, _MINUS_INFINITY, _NOT_A_NUMBER = 32000, 32001, 32002


class DatFormatError(Exception):
    """The bytes are not the object that was to be read."""


class Reader:
    """The primitive values of a `.dat` file, one after the other.

    Args:
        data: The whole file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def at_end(self) -> bool:
        """Whether every byte has been read."""
        return self.position == len(self._data)

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise DatFormatError(f"{count} bytes must follow at {self.position}; the file ends")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def integer(self) -> int:
        """One control byte (bit 7: negative; low nibble: length), then the magnitude."""
        control = self._take(1)[0]
        length = control & 0x0F
        if control & 0x70 or length > 8:
            raise DatFormatError(f"byte {control:#04x} at {self.position - 1} starts no integer")
        magnitude = int.from_bytes(self._take(length), "little")
        return -magnitude if control & 0x80 else magnitude

    def boolean(self) -> bool:
        """The character `0` or `1`."""
        character = self._take(1)
        if character not in (b"0", b"1"):
            raise DatFormatError(f"a boolean must be '0' or '1', got {character!r}")
        return character == b"1"

    def text(self) -> str:
        """A length, then that many bytes."""
        return self._take(self.integer()).decode("latin-1")

    def real(self) -> float:
        """Mantissa and exponent; three exponents stand for infinity, its negative and NaN."""
        mantissa, exponent = self.integer(), self.integer()
        special = {_INFINITY: math.inf, _MINUS_INFINITY: -math.inf, _NOT_A_NUMBER: math.nan}
        if exponent in special:
            return special[exponent]
        return math.ldexp(mantissa, exponent)

    def reals(self, count: int) -> tuple[float, ...]:
        """`count` real numbers."""
        return tuple(self.real() for _ in range(count))

    def integers(self, count: int) -> tuple[int, ...]:
        """`count` integers."""
        return tuple(self.integer() for _ in range(count))

    def column(self) -> FloatArray:
        """A column vector: rows, columns (negative for a size fixed in the type), then reals."""
        rows, columns = (abs(size) for size in self.integers(2))
        return np.array(self.reals(rows * columns), np.float32)

    def tensor(self) -> FloatArray:
        """A tensor: its version, four sizes, then raw little-endian floats."""
        self.expect(2, "tensor version")
        shape = self.integers(4)
        raw = self._take(4 * math.prod(shape))
        return np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape)

    def alias(self) -> int:
        """An alias tensor (a window on a parameter block); returns its number of elements."""
        self.expect(1, "alias tensor version")
        return math.prod(self.integers(4))

    def finish(self) -> None:
        """Require that every byte has been read."""
        if not self.at_end:
            raise DatFormatError(f"the file must end at byte {self.position}; more follows")

    def expect(self, value: int, what: str) -> None:
        """Read an integer that must be `value`."""
        actual = self.integer()
        if actual != value:
            raise DatFormatError(f"{what} must be {value}, got {actual}")
