"""The machine that puts a pickle's data together, and what it may meet; see `pickles`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError

__all__ = ["InertArray", "Machine", "Opaque", "Vocabulary", "values_of"]

_MOST_KEY = 2**61 - 1  # Python hashes smaller whole numbers to themselves: no flood of collisions
_RECONSTRUCT = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
_SCALAR = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
_FROM_BUFFER = {("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer")}
_NDARRAY, _DTYPE = ("numpy", "ndarray"), ("numpy", "dtype")
_ENCODE = ("_codecs", "encode")
_BYTES = {("__builtin__", "bytes"), ("builtins", "bytes")}
_ALLOWED = _RECONSTRUCT | _FROM_BUFFER | _SCALAR | _BYTES | {_NDARRAY, _DTYPE, _ENCODE}
_RECONSTRUCTORS = {"copyreg._reconstructor", "copy_reg._reconstructor"}
_TEXT_KIND = re.compile(r"[US][1-9][0-9]{0,3}")
_BINFLOAT, _BINFLOAT_BYTES = ord("G"), 9
_RUN = 1000  # floats; the pickler of Python writes a list in batches of so many
_MARK = object()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a pickle may hold besides lists, tuples, bytes, text, whole numbers and booleans.

    Attributes:
        what: The file in words, for messages: "a list of pictures".
        opcodes: Names of further opcodes.
        kinds: Element types that arrays may have, as NumPy's codes: ``f8``.
        text: Whether arrays may hold text.
        opaque: Beginnings of names whose objects are stepped over: an `Opaque` is all that
            remains of one. Nothing is imported for it.
    """

    what: str
    opcodes: frozenset[str]
    kinds: frozenset[str]
    text: bool = False
    opaque: tuple[str, ...] = ()


class _Name(NamedTuple):
    module: str
    name: str


@dataclass(slots=True, eq=False)
class Opaque:
    """An object of the pickle that was stepped over.

    Attributes:
        name: The full name of its class, or of what would have made it.
        state: What would have been handed to it: data as inert as all else.
    """

    name: str
    state: Any = None


@dataclass(slots=True)
class _Kind:
    """A dtype by its code and byte order."""

    code: str
    order: str = "|"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype((self.order if self.order in "<>" else "") + self.code)


@dataclass(slots=True)
class InertArray:
    """A NumPy array of the pickle; `values` is ``None`` before its state is set."""

    values: Any = None


_Stack: TypeAlias = list[Any]


class Machine:
    """The opcodes that build data: each is carried out by `step`.

    Args:
        path: For messages.
        vocabulary: What may be met.
        size_bytes: Of the pickle: so many bytes are copied out of it at most.
    """

    def __init__(self, path: str, vocabulary: Vocabulary, size_bytes: int) -> None:
        self._path = path
        self._left_bytes = size_bytes
        self._vocabulary = vocabulary
        self._stack: _Stack = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """What the pickle holds."""
        (value,) = self._stack
        return value

    def refusal(self, what: str) -> DataFileError:
        """An error that names what was refused."""
        return DataFileError(
            f"{self._path} is refused: {self._vocabulary.what} needs no {what}",
            remedy="do not open it with anything else: it may run a program",
            path=self._path,
            refused=what,
        )

    def step(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        if name in _IGNORED:
            return
        further = name in _FURTHER
        if further and name not in self._vocabulary.opcodes:
            raise self.refusal(f"pickle opcode {name}")
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            # What Python 2 calls a string is bytes; genops has decoded it as Latin-1.
            raw = name in {"BINSTRING", "SHORT_BINSTRING", "STRING"}
            value = argument.encode("latin-1") if raw else argument
            self._stack.append(bytes(value) if isinstance(value, bytearray) else value)
        elif name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            self._stack.append(self._memo[argument])
        elif name in _BUILDERS:
            _BUILDERS[name](self)
        elif name in {"GLOBAL", "STACK_GLOBAL"}:
            self._name(argument)
        else:
            raise self.refusal(f"pickle opcode {name}")

    def floats(self, data: bytes, start: int) -> int:
        """Take a run of floats that begins at `start`, if one does; returns where it ends."""
        window = np.frombuffer(data, np.uint8)[start : start + _RUN * _BINFLOAT_BYTES]
        whole = window[: len(window) // _BINFLOAT_BYTES * _BINFLOAT_BYTES]
        rows = whole.reshape(-1, _BINFLOAT_BYTES)
        other = np.flatnonzero(rows[:, 0] != _BINFLOAT)
        run = rows[: other[0] if len(other) else len(rows)]
        self._stack.extend(np.frombuffer(run[:, 1:].tobytes(), ">f8").tolist())
        return start + run.size

    def _to_mark(self) -> _Stack:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _pop(self, count: int) -> _Stack:
        if len(self._stack) < count:
            raise ValueError("the stack is empty")
        values = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return values

    def tuple_of(self, count: int | None) -> None:
        """Make a tuple of the top `count` values, or of all down to the mark."""
        values = self._to_mark() if count is None else self._pop(count)
        self._stack.append(tuple(values))

    def list_of_marked(self) -> None:
        """Make a list of all down to the mark."""
        self._stack.append(self._to_mark())

    def append(self, *, many: bool) -> None:
        """Append the top value, or all down to the mark, to the list below."""
        values = self._to_mark() if many else self._pop(1)
        if isinstance(self._stack[-1], Opaque):
            return
        if type(self._stack[-1]) is not list:
            raise ValueError("something is appended to what is no list")
        self._stack[-1].extend(values)

    def mapping_of_marked(self) -> None:
        """Make a mapping of all down to the mark, keys and values by turns."""
        values = self._to_mark()
        self._stack.append({})
        self._set(values)

    def set_items(self, *, many: bool) -> None:
        """Put a pair, or all pairs down to the mark, into the mapping below."""
        self._set(self._to_mark() if many else self._pop(2))

    def _set(self, values: _Stack) -> None:
        target = self._stack[-1]
        if isinstance(target, Opaque):
            return
        if type(target) is not dict or len(values) % 2:
            raise ValueError("something is put into what is no mapping")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, bytes, int)) or (
                isinstance(key, int) and abs(key) >= _MOST_KEY
            ):
                raise self.refusal(f"key of type {type(key).__name__}")
            target[key] = value

    def pop(self) -> None:
        """Drop the top value."""
        self._pop(1)

    def pop_mark(self) -> None:
        """Drop all down to the mark."""
        self._to_mark()

    def duplicate(self) -> None:
        """Copy the top value."""
        self._stack.append(self._stack[-1])

    def _name(self, argument: str | None) -> None:
        if argument is None:
            module, name = self._pop(2)
        else:
            module, _, name = argument.partition(" ")
        if (module, name) in _ALLOWED:
            self._stack.append(_Name(module, name))
            return
        full = f"{_short(module)}.{_short(name)}"
        if not self._vocabulary.opaque or not full.startswith(self._vocabulary.opaque):
            raise self.refusal(full)
        self._stack.append(Opaque(full))

    def reduce(self) -> None:
        """Rebuild what a known call stands for; none is made."""
        function, arguments = self._pop(2)
        if isinstance(function, Opaque):
            self._stack.append(_stepped_over(function, arguments))
            return
        if not isinstance(function, _Name):
            raise self.refusal("call of what is no name")
        if tuple(function) == _ENCODE or tuple(function) in _SCALAR:
            self._spend(arguments)
        made = _rebuilt(tuple(function), arguments, self._vocabulary)
        if made is None and self._vocabulary.opaque:
            made = Opaque(".".join(function))  # an array of objects, say
        if made is None:
            first = arguments[0] if isinstance(arguments, tuple) and arguments else None
            raise self.refusal(f"call of {function.module}.{function.name} with {_short(first)}")
        self._stack.append(made)

    def _spend(self, arguments: Any) -> None:
        """Count what a copy takes: a small file may name one long text a million times."""
        sizes = [len(a) for a in arguments if isinstance(a, (str, bytes))]
        self._left_bytes -= sum(sizes)
        if self._left_bytes < 0:
            raise self.refusal("more bytes than the file has")

    def new_object(self) -> None:
        """Step over an object that a class would make."""
        made, _ = self._pop(2)
        if not isinstance(made, Opaque):
            raise self.refusal("object of anything but a model")
        self._stack.append(Opaque(made.name))

    def build(self) -> None:
        """Set the state of an array or of a dtype."""
        target, state = self._stack[-2], self._stack[-1]
        self._pop(1)
        if isinstance(target, Opaque):
            target.state = state
            return
        if isinstance(target, _Kind):
            _, order, within, names, fields, *_ = state
            target.order = order.decode("ascii") if isinstance(order, bytes) else order
            if target.order not in {"<", ">", "|", "="} or (within, names, fields) != (None,) * 3:
                raise self.refusal("array of records")
            return
        if not isinstance(target, InertArray):
            raise self.refusal("state of what is no array")
        _, shape, kind, columns_first, content = state
        if isinstance(kind, Opaque):
            return
        made = _array(content, kind, shape, columns_first=bool(columns_first))
        if made is None:
            raise self.refusal("array of anything but " + _kinds_in_words(self._vocabulary))
        target.values = made.values


def values_of(content: bytes | memoryview, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of one dimension from its bytes.

    Raises:
        ValueError: Not a whole number of elements, or text of characters beyond Unicode, of which
            NumPy would make strings that Python cannot live with.
    """
    if dtype.kind == "U" and len(content):
        points = np.frombuffer(content, np.dtype("u4").newbyteorder(dtype.byteorder))
        if points.max() > sys.maxunicode:
            raise ValueError("its text has characters that do not exist")
    return np.frombuffer(content, dtype)


def _array(content: object, kind: object, shape: Any, *, columns_first: bool) -> InertArray | None:
    if not isinstance(kind, _Kind) or not isinstance(content, bytes):
        return None
    values = values_of(content, kind.dtype)
    sides = [int(side) for side in shape] if isinstance(shape, tuple) else [int(shape)]
    if min(sides, default=1) < 0:
        raise ValueError("an array has a negative side")
    return InertArray(values.reshape(sides, order="F" if columns_first else "C"))


def _kinds_in_words(vocabulary: Vocabulary) -> str:
    return "numbers or text" if vocabulary.text else "bytes or booleans"


def _rebuilt(  # noqa: PLR0911 - one line per known call
    function: tuple[str, ...], arguments: Any, vocabulary: Vocabulary
) -> Any:
    """What the call stands for; ``None`` when it is not of the known form."""
    match arguments:
        case (_Name() as kind, _, _) if function in _RECONSTRUCT and tuple(kind) == _NDARRAY:
            return InertArray()
        case (content, kind, shape, order) if function in _FROM_BUFFER:
            return _array(content, kind, shape, columns_first=order in {"F", b"F"})
        case (code, *_) if function == _DTYPE:
            text = code.decode("ascii") if isinstance(code, bytes) else code
            return _Kind(text) if isinstance(text, str) and _may_be(text, vocabulary) else None
        case (_Kind() as kind, bytes() as content) if function in _SCALAR:
            (value,) = values_of(content, kind.dtype).tolist()
            return value
        case (str() as text, "latin1" | b"latin1") if function == _ENCODE:
            return text.encode("latin-1")
        case () if function in _BYTES:
            return b""
    return None


def _may_be(code: str, vocabulary: Vocabulary) -> bool:
    return code in vocabulary.kinds or (vocabulary.text and bool(_TEXT_KIND.fullmatch(code)))


def _stepped_over(function: Opaque, arguments: Any) -> Opaque:
    """What remains of a call: its name, or that of the class it rebuilds."""
    if function.name in _RECONSTRUCTORS and isinstance(arguments, tuple) and arguments:
        function = arguments[0] if isinstance(arguments[0], Opaque) else function
    return Opaque(function.name)


def _short(value: object) -> str:
    """What a hostile file named, cut to a length that a message can hold."""
    if isinstance(value, bytes):
        value = value[:80].decode("latin-1")
    # Anything else could be nested so that writing it out takes for ever.
    return value[:80] if isinstance(value, str) else type(value).__name__


_IGNORED = {"PROTO", "FRAME"}
_FURTHER = {
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "NEWOBJ",
    "FLOAT", "BINFLOAT", "LONG", "LONG1", "LONG4",
}  # fmt: skip
"""Opcodes that a vocabulary must allow by name."""
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_LITERALS = {
    "BINSTRING", "SHORT_BINSTRING", "STRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
    "FLOAT", "BINFLOAT",
}  # fmt: skip
_BUILDERS: dict[str, Callable[[Machine], None]] = {
    "LIST": Machine.list_of_marked,
    "APPEND": lambda machine: machine.append(many=False),
    "APPENDS": lambda machine: machine.append(many=True),
    "TUPLE": lambda machine: machine.tuple_of(None),
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "DICT": Machine.mapping_of_marked,
    "SETITEM": lambda machine: machine.set_items(many=False),
    "SETITEMS": lambda machine: machine.set_items(many=True),
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object,
    "BUILD": Machine.build,
}
