"""From TensorFlow's values to ONNX nodes: what is known is computed now, what is not is emitted.

TensorFlow keeps pictures as (batch, height, width, channel), ONNX convolves (batch, channel,
height, width). A value may be held in either order; it is turned when an operator needs the other
one, and only once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from convert.graph import OPSET, Graph

__all__ = ["Builder", "UnsupportedGraphError", "Value"]

Dims = tuple[int | None, ...]

_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
# On a size that is only known when the graph runs (written -1) nothing may be computed.
_MAY_HOLD_FREE_SIZES = {"Slice", "Squeeze", "Unsqueeze", "Concat", "Cast", "Identity", "Reshape"}


class UnsupportedGraphError(Exception):
    """The graph uses an operator, or a form of it, that is not translated."""


@dataclass(frozen=True, eq=False)
class Value:
    """One tensor of the graph.

    Args:
        name: What it is called in the ONNX graph; empty for a constant.
        dtype: Element type.
        stored_shape: Sizes in the order it is stored in; None where the batch stands.
        data: Its value when known.
        channels_first: Whether it is stored as (batch, channel, height, width).
        free_size: Whether `data` is a shape in which -1 stands for the batch.
    """

    name: str
    dtype: np.dtype[Any]
    stored_shape: Dims
    data: NDArray[Any] | None = None
    channels_first: bool = False
    free_size: bool = False

    @property
    def shape(self) -> Dims:
        """Sizes in TensorFlow's order."""
        if self.channels_first:
            return tuple(self.stored_shape[axis] for axis in _TO_LAST)
        return self.stored_shape

    def known(self) -> NDArray[Any]:
        """Its value.

        Raises:
            UnsupportedGraphError: it depends on the input.
        """
        if self.data is None:
            raise UnsupportedGraphError(f"{self.name} must be a constant")
        return self.data


class Builder:
    """Emits nodes into a graph.

    Args:
        graph: Where they go.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._count = 0
        self._constants: dict[tuple[Any, ...], str] = {}
        self._turned: dict[tuple[str, bool], Value] = {}

    def constant(self, data: Any, *, free_size: bool = False) -> Value:
        """A known value; it enters the graph only if something reads it there."""
        array = np.asarray(data)
        return Value("", array.dtype, array.shape, array, free_size=free_size)

    def input(self, name: str, shape: Dims) -> Value:
        """The graph's input: float32, None where the batch stands."""
        return Value(name, np.dtype(np.float32), shape)

    def emit(self, operator: str, inputs: Sequence[Value | None], **attributes: Any) -> Value:
        """Apply an ONNX operator to values as they are stored; None is a left-out input."""
        values = [value for value in inputs if value is not None]
        if all(value.data is not None for value in values):
            return self._compute(operator, inputs, attributes)
        name = self._new_name(operator)
        names = [self._name(value) for value in inputs]
        node = helper.make_node(operator, names, [name], **attributes)
        dtype, shape = _infer(node, inputs)
        self._graph.add(operator, names, name, **attributes)
        return Value(name, dtype, shape)

    def output(self, value: Value, name: str) -> Dims:
        """Give a value its public name; returns its sizes."""
        plain = self.channels_last(value)
        self._graph.add("Identity", [self._name(plain)], name)
        return plain.stored_shape

    def channels_last(self, value: Value) -> Value:
        """The value stored in TensorFlow's order."""
        return self._turn(value, first=False) if value.channels_first else value

    def channels_first(self, value: Value) -> Value:
        """The value, of rank 4, stored in ONNX's order."""
        return value if value.channels_first else self._turn(value, first=True)

    def emit_spatial(
        self, operator: str, inputs: Sequence[Value | None], **attributes: Any
    ) -> Value:
        """As `emit`, for an operator that reads its first input channels first and gives such."""
        if inputs[0] is None:
            raise ValueError("the first input must be there")
        picture = self.channels_first(inputs[0])
        return _as_channels_first(self.emit(operator, [picture, *inputs[1:]], **attributes))

    def emit_elementwise(self, operator: str, inputs: Sequence[Value], **attributes: Any) -> Value:
        """As `emit`, for values that broadcast; pictures stay in the order they are in."""
        first = any(value.channels_first for value in inputs) and all(
            value.data is not None or len(value.shape) == 4 for value in inputs
        )
        if not first:
            plain = [self.channels_last(value) for value in inputs]
            return self.emit(operator, plain, **attributes)
        turned = [
            self.channels_first(value) if value.data is None else self._broadcast_first(value)
            for value in inputs
        ]
        return _as_channels_first(self.emit(operator, turned, **attributes))

    def _broadcast_first(self, value: Value) -> Value:
        """A constant that broadcasts against channels-last pictures, for channels-first ones."""
        data = value.known()
        if data.size == 1:
            return self.constant(data.reshape(()))
        full = data.reshape((1,) * (4 - data.ndim) + data.shape).transpose(_TO_FIRST)
        return self.constant(full[0] if full.shape[0] == 1 else full)

    def _turn(self, value: Value, *, first: bool) -> Value:
        if (value.name, first) not in self._turned or value.data is not None:
            turned = self.emit("Transpose", [value], perm=_TO_FIRST if first else _TO_LAST)
            self._turned[value.name, first] = _as_channels_first(turned) if first else turned
        return self._turned[value.name, first]

    def _new_name(self, operator: str) -> str:
        self._count += 1
        return f"{operator.lower()}_{self._count}"

    def _name(self, value: Value | None) -> str:
        if value is None:
            return ""
        if value.data is None:
            return value.name
        if value.free_size and value.dtype != np.int64:
            raise UnsupportedGraphError("a shape with a free batch is read as a number")
        data = np.ascontiguousarray(value.data).reshape(value.data.shape)
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._constants:
            self._constants[key] = self._graph.constant(self._new_name("constant"), data)
        return self._constants[key]

    def _compute(
        self, operator: str, inputs: Sequence[Value | None], attributes: dict[str, Any]
    ) -> Value:
        free = any(value is not None and value.free_size for value in inputs)
        if free and operator not in _MAY_HOLD_FREE_SIZES:
            raise UnsupportedGraphError(f"{operator} of a free batch size; convert with batch=1")
        names = ["" if value is None else f"input_{i}" for i, value in enumerate(inputs)]
        node = helper.make_node(operator, names, ["output"], **attributes)
        feeds = {
            name: value.data for name, value in zip(names, inputs, strict=True) if value is not None
        }
        graph = helper.make_graph(
            [node],
            "known",
            [helper.make_tensor_value_info(*_typed(name, data)) for name, data in feeds.items()],
            [helper.make_empty_tensor_value_info("output")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        (data,) = ReferenceEvaluator(model).run(None, feeds)
        # A slice of a shape may or may not hold the batch: -1 is no size, so it tells.
        return self.constant(data, free_size=free and bool((np.asarray(data) == -1).any()))


def _typed(name: str, data: Any) -> tuple[str, int, list[int]]:
    return name, helper.np_dtype_to_tensor_dtype(data.dtype), list(data.shape)


def _as_channels_first(value: Value) -> Value:
    return Value(value.name, value.dtype, value.stored_shape, value.data, channels_first=True)


def _infer(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> tuple[np.dtype[Any], Dims]:
    """Element type and sizes of what a node gives."""
    types, data = {}, {}
    for name, value in zip(node.input, inputs, strict=True):
        if value is None:
            continue
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        types[name] = helper.make_tensor_type_proto(kind, value.stored_shape)
        if value.data is not None and value.dtype == np.int64:
            data[name] = numpy_helper.from_array(value.data, name)
        if value.data is not None and node.op_type == "Resize":
            data[name] = numpy_helper.from_array(value.data, name)
    schema = onnx.defs.get_schema(node.op_type, OPSET)
    found = shape_inference.infer_node_outputs(
        schema, node, types, data, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    tensor = found[node.output[0]].tensor_type
    if tensor.elem_type == TensorProto.UNDEFINED or not tensor.HasField("shape"):
        raise UnsupportedGraphError(f"the shape of {node.op_type} is not known beforehand")
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return helper.tensor_dtype_to_np_dtype(tensor.elem_type), dims
