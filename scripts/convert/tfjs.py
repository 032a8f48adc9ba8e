"""TensorFlow.js graph models as ONNX graphs, operator by operator; the numbers stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convert.graph import Graph
from convert.tfjs_builder import Builder, Dims, UnsupportedGraphError, Value
from convert.tfjs_format import TfjsModel
from convert.tfjs_operators import OPERATORS

__all__ = ["HALF_FROM_ELEMENTS", "Output", "convert_model"]

# Most of these models were published in half precision, so storing them so loses nothing; what is
# smaller than this is not worth a node.
HALF_FROM_ELEMENTS = 256


@dataclass(frozen=True)
class Output:
    """One output of the ONNX file.

    Args:
        sources: What gives it: outputs of the model's signature, or else nodes of its graph.
            Several are joined along their second axis.
        shape: Its sizes for one picture; None to leave them as they are.
    """

    sources: tuple[str, ...]
    shape: tuple[int, ...] | None = None


def convert_model(
    model: TfjsModel,
    name: str,
    outputs: Mapping[str, Output],
    *,
    batch: int | None = None,
    half_from_elements: int = HALF_FROM_ELEMENTS,
) -> bytes:
    """Translate a graph model.

    Only what the wanted outputs need is translated; what can be computed without the input (the
    arithmetic of shapes, above all) is computed here.

    Convention:
        model: as `read_model` returns it, with one input.
        name: the graph's name in the file.
        outputs: by their names in the ONNX file.
        batch: how many pictures the graph takes at once; None for any number, which graphs that
            compute with the batch size do not allow.
        half_from_elements: weights with at least this many elements are stored as float16.
        returns: an ONNX file; `input` (N, height, width, channel) float32, the order and the
            values the original takes.

    Raises:
        UnsupportedGraphError: an operator, or its form, is not translated.
    """
    graph = Graph(name, half_from_elements)
    builder = Builder(graph)
    values: dict[str, Value] = {}
    inputs = {}
    wanted = [_source(model, source) for output in outputs.values() for source in output.sources]
    for node in _in_order(model, wanted):
        if node in model.weights:
            values[node] = builder.constant(model.weights[node])
        elif model.nodes[node].operator == "Placeholder":
            shape = (batch, *model.nodes[node].attributes["shape"][1:])
            values[node] = builder.input("input", shape)
            inputs["input"] = _free("N", shape)
        else:
            values[node] = _translate(builder, model, node, values)
    shapes = {
        output: _emit_output(
            builder, output, spec, [values[_source(model, s)] for s in spec.sources]
        )
        for output, spec in outputs.items()
    }
    if len(inputs) != 1:
        raise UnsupportedGraphError(f"{name} must have one input, got {len(inputs)}")
    return graph.to_bytes(inputs, {output: _free("N", shape) for output, shape in shapes.items()})


def _translate(builder: Builder, model: TfjsModel, name: str, values: Mapping[str, Value]) -> Value:
    node = model.nodes[name]
    if node.operator not in OPERATORS:
        raise UnsupportedGraphError(f"operator {node.operator} ({name}) is not translated")
    return OPERATORS[node.operator](builder, node, [values[item] for item in node.inputs])


def _source(model: TfjsModel, name: str) -> str:
    """The node behind an output of the signature, or the node itself."""
    node = model.outputs.get(name, name)
    if node not in model.nodes:
        raise UnsupportedGraphError(f"no output and no node is called {name}")
    return node


def _emit_output(builder: Builder, name: str, output: Output, values: list[Value]) -> Dims:
    """Join, reshape and name what an output is made of; returns its sizes."""
    plain = [builder.channels_last(value) for value in values]
    value = plain[0] if len(plain) == 1 else builder.emit("Concat", plain, axis=1)
    if output.shape is not None:
        shape = np.array([0, *output.shape], np.int64)  # 0 is the batch, as it is
        value = builder.emit("Reshape", [value, builder.constant(shape)])
    return builder.output(value, name)


def _in_order(model: TfjsModel, wanted: list[str]) -> list[str]:
    """Names of all nodes that the wanted ones need, each after those it reads."""
    order: dict[str, None] = {}
    waiting = list(reversed(wanted))
    while waiting:
        missing = [item for item in model.nodes[waiting[-1]].inputs if item not in order]
        if missing:
            waiting.extend(reversed(missing))
        else:
            order.setdefault(waiting.pop())
    return list(order)


def _free(letter: str, shape: Dims) -> tuple[int | str, ...]:
    """The shape with a letter where the batch stands."""
    return tuple(letter if size is None else size for size in shape)
