"""Reads pickles of plain data without running them.

A pickle is a program; the standard library's reader calls whatever it names. Here the opcodes are
only *read* (`pickletools.genops` decodes, and executes nothing), and a small machine puts lists,
tuples, bytes and numbers together. A call is never made: the few that stand for inert data, NumPy
arrays and text turned to bytes, are recognised by name and rebuilt from their arguments.
Everything else is refused by name.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import replace
from typing import Any

from vultus.errors import DataFileError
from vultus.sources._pickle_machine import InertArray, Machine, Opaque, Vocabulary, values_of

__all__ = [
    "EMBEDDINGS",
    "MODEL_AND_NAMES",
    "PICTURES",
    "InertArray",
    "Opaque",
    "Vocabulary",
    "read_inert",
    "read_inert_all",
    "values_of",
]

_MOST_OPCODES = 5_000_000
_MOST_VALUES = 16  # pickles one after the other in a file

PICTURES = Vocabulary("a list of pictures", frozenset(), frozenset({"u1", "b1"}))
"""Lists of encoded pictures and of booleans."""

EMBEDDINGS = Vocabulary(
    "a file of embeddings",
    frozenset({
        "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
        "FLOAT", "BINFLOAT", "LONG", "LONG1", "LONG4",
    }),
    frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}),
    text=True,
)  # fmt: skip
"""Also mappings, floating-point numbers, and arrays of numbers or text."""

MODEL_AND_NAMES = replace(
    EMBEDDINGS,
    what="a classifier with its class names",
    opcodes=EMBEDDINGS.opcodes | {"NEWOBJ"},
    opaque=(
        "sklearn.", "scipy.sparse.", "numpy.random.", "numpy.core.", "numpy._core.",
        "copyreg._reconstructor", "copy_reg._reconstructor", "builtins.object",
        "__builtin__.object", "collections.OrderedDict", "joblib.numpy_pickle.",
    ),
)  # fmt: skip
"""Also models of scikit-learn: an `Opaque` with the name and the data it would have been given."""


def read_inert(data: bytes, path: str, vocabulary: Vocabulary = PICTURES) -> Any:
    """What a pickle holds: lists, tuples, bytes, text, numbers, and `InertArray` for arrays.

    Args:
        data: The whole file; text of Python 2 comes back as bytes.
        path: For messages.
        vocabulary: What may be in it.

    Raises:
        DataFileError: Cut short, no pickle, or one that names or does anything else; the field
            ``refused`` says what.
    """
    return _read(io.BytesIO(data), data, path, vocabulary)


def read_inert_all(data: bytes, path: str, vocabulary: Vocabulary) -> list[Any]:
    """Every value of a file that several pickles were written to, one after the other.

    Args:
        data: As in `read_inert`.
        path: Likewise.
        vocabulary: Likewise.

    Raises:
        DataFileError: As in `read_inert`, or there are more than sixteen.
    """
    stream = io.BytesIO(data)
    found: list[Any] = []
    while not found or stream.tell() < len(data):
        if len(found) == _MOST_VALUES:
            raise DataFileError(f"{path} must hold few pickles, not over {_MOST_VALUES}", path=path)
        found.append(_read(stream, data, path, vocabulary))
    return found


def _read(stream: io.BytesIO, data: bytes, path: str, vocabulary: Vocabulary) -> Any:
    machine = Machine(path, vocabulary, len(data))
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > _MOST_OPCODES:
                raise machine.refusal(f"more steps than {vocabulary.what} takes")
            if opcode.name == "STOP":
                return machine.result()
            machine.step(opcode.name, argument)
            if opcode.name == "BINFLOAT":  # decoded one by one, they would take minutes
                stream.seek(machine.floats(data, stream.tell()))
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise DataFileError(
            f"{path} is no readable pickle: {error or type(error).__name__}", path=path
        ) from error
    raise DataFileError(f"{path} is cut short: its pickle has no end", path=path)
