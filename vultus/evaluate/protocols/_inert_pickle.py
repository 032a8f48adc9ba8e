"""Reads pickles of nothing but lists, bytes, booleans and plain arrays, without running them.

A pickle is a program; the standard library's reader calls whatever it names. Here the opcodes are
only *read* (`pickletools.genops` decodes, and executes nothing), and a small machine puts lists,
tuples, bytes and booleans together. A call is never made: the few that stand for inert data, NumPy
arrays of bytes or booleans and text turned to bytes, are recognised by name and rebuilt from their
arguments. Everything else is refused by name.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError

__all__ = ["InertArray", "read_inert"]

_MOST_OPCODES = 5_000_000
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
_KINDS: dict[str, type[np.generic]] = {"u1": np.uint8, "b1": np.bool_}
_MARK = object()


class _Name(NamedTuple):
    module: str
    name: str


@dataclass(slots=True)
class _Kind:
    """A dtype by its code."""

    code: str


@dataclass(slots=True)
class InertArray:
    """A NumPy array of the pickle; `values` is ``None`` before its state is set."""

    values: Any = None


_Stack: TypeAlias = list[Any]


def read_inert(data: bytes, path: str) -> Any:
    """Lists, tuples, bytes, text, whole numbers, booleans and arrays of uint8 or bool.

    Args:
        data: The whole file; text of Python 2 comes back as bytes.
        path: For messages.

    Raises:
        DataFileError: Cut short, no pickle, or one that names or does anything else; the field
            ``refused`` says what.
    """
    machine = _Machine(path)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count > _MOST_OPCODES:
                raise machine.refusal("more steps than a list of pictures takes")
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise DataFileError(
            f"{path} is no readable pickle: {error or type(error).__name__}", path=path
        ) from error
    raise DataFileError(f"{path} is cut short: its pickle has no end", path=path)


class _Machine:
    """The opcodes that build data; see the module's sentence."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack: _Stack = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        """What the pickle holds."""
        (value,) = self._stack
        return value

    def refusal(self, what: str) -> DataFileError:
        """An error that names what was refused."""
        return DataFileError(
            f"{self._path} is refused: a list of pictures needs no {what}",
            remedy="do not open it with anything else: it may run a program",
            path=self._path,
            refused=what,
        )

    def step(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        if name in _IGNORED:
            return
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
        if type(self._stack[-1]) is not list:
            raise ValueError("something is appended to what is no list")
        self._stack[-1].extend(values)

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
        if (module, name) not in _ALLOWED:
            raise self.refusal(f"{_short(module)}.{_short(name)}")
        self._stack.append(_Name(module, name))

    def reduce(self) -> None:
        """Rebuild what a known call stands for; none is made."""
        function, arguments = self._pop(2)
        if not isinstance(function, _Name):
            raise self.refusal("call of what is no name")
        made = _rebuilt(tuple(function), arguments)
        if made is None:
            first = arguments[0] if isinstance(arguments, tuple) and arguments else None
            raise self.refusal(f"call of {function.module}.{function.name} with {_short(first)}")
        self._stack.append(made)

    def build(self) -> None:
        """Set the state of an array or of a dtype."""
        target, state = self._stack[-2], self._stack[-1]
        self._pop(1)
        if isinstance(target, _Kind):
            return  # byte order and alignment mean nothing for single bytes
        if not isinstance(target, InertArray):
            raise self.refusal("state of what is no array")
        _, shape, kind, _, content = state
        made = _array(content, kind, shape)
        if made is None:
            raise self.refusal("array of anything but bytes or booleans")
        target.values = made.values


def _array(content: object, kind: object, shape: Any) -> InertArray | None:
    if not isinstance(kind, _Kind) or not isinstance(content, bytes):
        return None
    values: NDArray[Any] = np.frombuffer(content, _KINDS[kind.code])
    return InertArray(values.reshape([int(side) for side in shape]))


def _rebuilt(  # noqa: PLR0911 - one line per known call
    function: tuple[str, ...], arguments: Any
) -> Any:
    """What the call stands for; ``None`` when it is not of the known form."""
    match arguments:
        case (_Name() as kind, _, _) if function in _RECONSTRUCT and tuple(kind) == _NDARRAY:
            return InertArray()
        case (content, kind, shape, _) if function in _FROM_BUFFER:
            return _array(content, kind, shape)
        case (code, *_) if function == _DTYPE:
            text = code.decode("ascii") if isinstance(code, bytes) else code
            return _Kind(text) if text in _KINDS else None
        case (_Kind(code="b1"), bytes() as content) if function in _SCALAR:
            return bool(content[0])
        case (str() as text, "latin1" | b"latin1") if function == _ENCODE:
            return text.encode("latin-1")
        case () if function in _BYTES:
            return b""
    return None


def _short(value: object) -> str:
    """What a hostile file named, cut to a length that a message can hold."""
    if isinstance(value, bytes):
        value = value[:80].decode("latin-1")
    # Anything else could be nested so that writing it out takes for ever.
    return value[:80] if isinstance(value, str) else type(value).__name__


_IGNORED = {"PROTO", "FRAME"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_LITERALS = {
    "BINSTRING", "SHORT_BINSTRING", "STRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "INT", "BININT", "BININT1", "BININT2",
}  # fmt: skip
_BUILDERS: dict[str, Callable[[_Machine], None]] = {
    "LIST": _Machine.list_of_marked,
    "APPEND": lambda machine: machine.append(many=False),
    "APPENDS": lambda machine: machine.append(many=True),
    "TUPLE": lambda machine: machine.tuple_of(None),
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
