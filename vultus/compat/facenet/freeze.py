"""``freeze``: a model as one ONNX file with its card, for the other commands or another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vultus.compat.facenet.files import make_folder, replace_file
from vultus.compat.facenet.model import find_model
from vultus.compat.facenet.talk import Talk
from vultus.errors import CardError, ModelError, OutputError
from vultus.models import ModelCard
from vultus.runtime import Session

__all__ = ["Frozen", "card_text", "freeze", "operator_count"]

_CHECKPOINTS = frozenset({".pt", ".pth", ".safetensors"})


class Frozen(NamedTuple):
    """What `freeze` wrote.

    Attributes:
        weight: The ONNX file.
        card: The card beside it.
        operators: How many operators its graph has.
    """

    weight: Path
    card: Path
    operators: int


def freeze(model_dir: str, output_file: Path, *, talk: Talk) -> Frozen:
    """Write an embedder's network and its card beside one another.

    The network is what vultus runs already; it is checked and loaded, and written as it is. What
    the two files make is the model they came from: its embeddings can be compared with the
    original's, and a classifier trained on the one serves with the other.

    Args:
        model_dir: See `vultus.compat.facenet.model.find_model`.
        output_file: Ends in ``.onnx``; the card is ``<stem>.toml``.
        talk: Where words go.

    Raises:
        ModelError: A checkpoint of a training, which nothing here can export yet, a TensorFlow
            model, or one that cannot be used.
        CardError: A composite, which is no single network.
        OutputError: A file cannot be written, or has another ending.
    """
    if output_file.suffix.lower() != ".onnx":
        raise OutputError(
            f"a frozen model's file must end in .onnx, got {str(output_file)!r}",
            remedy="choose that ending",
            path=str(output_file),
        )
    if Path(model_dir).suffix.lower() in _CHECKPOINTS:
        raise ModelError(
            f"{model_dir} looks like a checkpoint of a training; vultus has no trainer yet, so "
            "there is nothing here that could export it",
            remedy="export it to ONNX where it was trained, and write a card; see docs/models.md",
            path=model_dir,
        )
    found = find_model(model_dir)
    if found.card.composite:
        raise CardError(
            f"{found.card.name} joins several networks and cannot become one file",
            remedy="freeze its parts: " + ", ".join(part.model for part in found.card.composite),
        )
    data = found.read()
    Session(data, found.card.name)  # what cannot be loaded is not worth freezing
    if found.folder is not None:
        talk.line(f"Model directory: {found.folder}")
    talk.line(f"Model filename: {found.file or found.card.name}")
    beside = output_file.with_suffix(".toml")
    text = card_text(found.card, output_file.name, len(data))
    make_folder(output_file.parent)
    replace_file(output_file, lambda path: path.write_bytes(data))
    replace_file(beside, lambda path: path.write_text(text, encoding="utf-8"))
    count = operator_count(data)
    talk.line(f"{count} ops in the final graph: {output_file}")
    return Frozen(output_file, beside, count)


def operator_count(data: bytes) -> int:
    """How many operators the graph of an ONNX file has, those of functions not counted.

    Source: onnx.proto3: field 7 of ModelProto is the graph, field 1 of GraphProto a node;
    https://protobuf.dev/programming-guides/encoding/.

    Raises:
        ModelError: The bytes are no such file.
    """
    view = memoryview(data)
    try:
        return sum(
            1
            for number, graph in _fields(view)
            if number == 7
            for inner, _ in _fields(graph)
            if inner == 1
        )
    except (IndexError, ValueError) as error:
        raise ModelError("the model is no ONNX file that could be read") from error


def card_text(card: ModelCard, file: str, size_bytes: int) -> str:
    """A card as TOML, for a weight of another name; what is absent stays absent.

    Args:
        card: Of one network.
        file: What the weight is called now.
        size_bytes: How large it is.
    """
    values = card.model_dump(exclude_none=True, exclude_defaults=True)
    weight = card.weight()
    values["weights"] = [
        {"role": weight.role, "file": file, "sha256": weight.sha256, "bytes": size_bytes}
    ]
    values.pop("golden", None)  # it lies in the package
    return "\n".join(_toml(values)) + "\n"


def _toml(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Lines of TOML: plain values first, then tables, then lists of tables."""
    tables = {k: v for k, v in values.items() if isinstance(v, dict)}
    lists = {
        k: v
        for k, v in values.items()
        if isinstance(v, (list, tuple)) and v and isinstance(v[0], dict)
    }
    for key, value in values.items():
        if key not in tables and key not in lists:
            # JSON's strings, numbers, booleans and lists are TOML's as well.
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for key, value in tables.items():
        yield f"\n[{prefix}{key}]"
        yield from _toml(value, f"{prefix}{key}.")
    for key, several in lists.items():
        for value in several:
            yield f"\n[[{prefix}{key}]]"
            yield from _toml(value, f"{prefix}{key}.")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of a protocol buffer message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, start = key & 7, at
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        elif kind == 2:
            length, start = _varint(data, at)
            at = start + length
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(data):
            raise ValueError("cut short")
        yield key >> 3, data[start:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
