"""Guards for arrays that come from outside: shape, dtype and range, each with its own error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DtypeError, RangeError, ShapeError

__all__ = ["check_finite", "check_image", "check_shape", "float32_copy"]


def float32_copy(values: object, name: str) -> NDArray[np.float32]:
    """Copy numbers of any kind to a float32 array of their own.

    Raises:
        DtypeError: They are no real numbers, or no regular array.
    """
    try:
        array = np.asarray(values)
        if array.dtype == np.float32:
            return array.copy()
        if array.dtype.kind not in "fiu":
            raise DtypeError(
                f"{name} must be real numbers, got {array.dtype}", actual=str(array.dtype)
            )
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite
            return array.astype(np.float32)
    except (TypeError, ValueError) as error:  # lists of unequal length, say
        raise DtypeError(f"{name} must be a regular array of numbers: {error}") from error


def check_shape(array: NDArray[Any], shape: tuple[int | None, ...], name: str) -> None:
    """Require `array.shape` to equal `shape`, where ``None`` stands for any length.

    Raises:
        ShapeError: The shape differs.
    """
    actual = array.shape
    if actual == shape:
        return
    if len(actual) != len(shape) or any(
        want is not None and want != got for want, got in zip(shape, actual, strict=True)
    ):
        want_text = "(" + ", ".join("n" if s is None else str(s) for s in shape) + ")"
        raise ShapeError(
            f"{name} must have shape {want_text}, got {actual}", expected=want_text, actual=actual
        )


def check_finite(array: NDArray[np.floating[Any]], name: str) -> None:
    """Require every element to be finite.

    Raises:
        RangeError: A NaN or an infinity is present.
    """
    if np.count_nonzero(np.isfinite(array)) != array.size:  # twice as fast as all()
        raise RangeError(f"{name} must be finite, got NaN or infinity")


def check_image(image: object) -> NDArray[np.uint8]:
    """Require the house's image: (h, w, 3) uint8 with at least one pixel.

    Raises:
        DtypeError: Not an array, or not uint8.
        ShapeError: Not (h, w, 3), or no pixels.
    """
    if not isinstance(image, np.ndarray):
        raise DtypeError(
            f"an image must be a NumPy array, got {type(image).__name__}",
            remedy="load files with vultus.load_image(path)",
        )
    if image.dtype != np.uint8:
        raise DtypeError(
            f"an image must be uint8 in 0..255, got {image.dtype}",
            remedy="scale to 0..255 and convert with .astype('uint8')",
            expected="uint8",
            actual=str(image.dtype),
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ShapeError(
            f"an image must be (h, w, 3) RGB with h, w ≥ 1, got {image.shape}",
            remedy="convert grey or alpha pictures with vultus.load_image",
            expected="(h, w, 3)",
            actual=image.shape,
        )
    return image
