"""TensorFlow.js graph models: `model.json` and its shards of weights, read without TensorFlow.

The topology is TensorFlow's GraphDef written as JSON (64-bit integers and text as strings, bytes in
base64); the weights lie one after the other in binary files, in the manifest's order.

Source: `tfjs-converter` 4.x, `src/data/compiled_api.ts` and `tfjs-core` `src/io/io_utils.ts`
(`decodeWeights`).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Node", "TfjsFormatError", "TfjsModel", "read_model"]

_DTYPES: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int32": np.int32,
    "bool": np.bool_,
    "uint8": np.uint8,
    "uint16": np.uint16,
}


class TfjsFormatError(Exception):
    """The files are no graph model, or hold something that is not read here."""


@dataclass(frozen=True)
class Node:
    """One operation.

    Args:
        name: Unique in the graph.
        operator: TensorFlow's name of what is done.
        inputs: Names of the nodes it reads, in order; each one's first output.
        attributes: Plain Python values: numbers, text, booleans, lists of them.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TfjsModel:
    """A graph and its constants.

    Args:
        nodes: By name.
        weights: Name of each `Const` node to its value.
        outputs: Name of each output in the signature to the node that gives it.
        made_by: Where the model comes from and who converted it, as the file says.
    """

    nodes: Mapping[str, Node]
    weights: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, str]
    made_by: tuple[str, str]


def read_model(topology: bytes, shards: Mapping[str, bytes]) -> TfjsModel:
    """Read a graph model.

    Convention:
        topology: `<model>.json`.
        shards: file name to bytes; at least the files that the manifest names.
        returns: the graph; weights stored in half precision or quantised are float32 again.

    Raises:
        TfjsFormatError: the files do not belong together, or are of another kind.
    """
    document = json.loads(topology)
    if document.get("format") != "graph-model":
        raise TfjsFormatError(f"format must be graph-model, got {document.get('format')!r}")
    nodes = [_read_node(entry) for entry in document["modelTopology"]["node"]]
    metadata = document.get("userDefinedMetadata") or {}
    signature = document.get("signature") or metadata.get("signature") or {}
    return TfjsModel(
        nodes={node.name: node for node in nodes},
        weights=_read_weights(document["weightsManifest"], shards),
        outputs={name: _node_name(output["name"]) for name, output in signature["outputs"].items()},
        made_by=(document.get("generatedBy", ""), document.get("convertedBy", "")),
    )


def _node_name(reference: str) -> str:
    """`name:0` is the first output of a node; no operator here has a second one."""
    name, _, number = reference.partition(":")
    if number not in {"", "0"}:
        raise TfjsFormatError(f"only the first output of a node is read, got {reference!r}")
    return name


def _read_node(entry: Mapping[str, Any]) -> Node:
    # `^name` orders the execution and carries no value.
    inputs = [name for name in entry.get("input", []) if not name.startswith("^")]
    attributes = entry.get("attr", {})
    return Node(
        name=entry["name"],
        operator=entry["op"],
        inputs=tuple(_node_name(name) for name in inputs),
        attributes={key: _plain(value) for key, value in attributes.items() if key != "value"},
    )


def _plain(value: Mapping[str, Any]) -> Any:
    """An AttrValue as a Python value."""
    readers: dict[str, Any] = {
        "s": lambda text: base64.b64decode(text).decode("utf-8"),
        "i": int,
        "f": float,
        "b": bool,
        "type": str,
        "shape": lambda shape: [int(dim["size"]) for dim in shape.get("dim", [])],
        "list": lambda items: [
            _plain({kind: item}) for kind, values in items.items() for item in values
        ],
    }
    for kind, content in value.items():
        if kind in readers:
            return readers[kind](content)
    raise TfjsFormatError(f"unknown attribute {dict(value)!r}")


def _read_weights(
    manifest: list[Mapping[str, Any]], shards: Mapping[str, bytes]
) -> dict[str, NDArray[Any]]:
    weights: dict[str, NDArray[Any]] = {}
    for group in manifest:
        missing = [path for path in group["paths"] if path not in shards]
        if missing:
            raise TfjsFormatError(f"the model needs {', '.join(missing)}")
        data = b"".join(shards[path] for path in group["paths"])
        position = 0
        for entry in group["weights"]:
            weights[entry["name"]], position = _read_weight(entry, data, position)
        if position != len(data):
            raise TfjsFormatError(f"the weights must fill {position} bytes, got {len(data)}")
    return weights


def _read_weight(entry: Mapping[str, Any], data: bytes, position: int) -> tuple[NDArray[Any], int]:
    """One weight, and where the next one starts."""
    quantization = entry.get("quantization")
    stored = np.dtype(_DTYPES[(quantization or entry)["dtype"]]).newbyteorder("<")
    count = math.prod(entry["shape"])
    end = position + count * stored.itemsize
    if end > len(data):
        raise TfjsFormatError(f"the weights end within {entry['name']}")
    values = np.frombuffer(data, stored, count, position).reshape(entry["shape"])
    if quantization and "scale" in quantization:
        values = values.astype(np.float64) * quantization["scale"] + quantization["min"]
    return values.astype(_DTYPES[entry["dtype"]]), end
