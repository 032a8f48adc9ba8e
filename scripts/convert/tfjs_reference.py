"""TensorFlow.js graph models, run node by node as TensorFlow defines it: slow and independent.

Shares nothing with the translation to ONNX but the reader: values stay in TensorFlow's order of
axes, nothing is folded, products are NumPy's and PyTorch's in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tfjs_format import Node, TfjsModel

__all__ = ["evaluate"]

Array = NDArray[Any]


def evaluate(model: TfjsModel, value: Array, wanted: Sequence[str]) -> list[Array]:
    """Run a graph.

    Convention:
        model: as `read_model` returns it, with one input.
        value: (n, height, width, channel), as the graph takes it.
        wanted: outputs of its signature, or nodes.
        returns: one array per wanted name, floats as float64.
    """
    known: dict[str, Array] = {
        name: weight.astype(np.float64) if weight.dtype == np.float32 else weight
        for name, weight in model.weights.items()
    }
    waiting = [model.outputs.get(name, name) for name in wanted]
    results = list(waiting)
    while waiting:
        node = model.nodes[waiting[-1]]
        missing = [name for name in node.inputs if name not in known]
        if missing:
            waiting.extend(missing)
            continue
        if node.name not in known:
            known[node.name] = _run(node, [known[name] for name in node.inputs], value)
        waiting.pop()
    return [known[name] for name in results]


def _run(node: Node, inputs: list[Array], value: Array) -> Array:
    if node.operator == "Placeholder":
        return value.astype(np.float64)
    if node.operator in _PLAIN:
        return np.asarray(_PLAIN[node.operator](*inputs))
    return np.asarray(_WITH_NODE[node.operator](node, *inputs))


def _torch(value: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(value.transpose(0, 3, 1, 2)))


def _numpy(value: Any) -> Array:
    return np.asarray(value.numpy()).transpose(0, 2, 3, 1)


def _padded(node: Node, value: Array, kernel: Sequence[int], fill: float) -> Array:
    """With what `padding` puts around the picture; SAME puts the odd one behind."""
    if node.attributes["padding"] == "VALID":
        return value
    if node.attributes["padding"] != "SAME":
        raise ValueError(f"padding {node.attributes['padding']} is not evaluated")
    amounts = [(0, 0)]
    for size, window, stride in zip(
        value.shape[1:3], kernel, node.attributes["strides"][1:3], strict=True
    ):
        count = (size + stride - 1) // stride
        total = max((count - 1) * stride + window - size, 0)
        amounts.append((total // 2, total - total // 2))
    return np.pad(value, [*amounts, (0, 0)], constant_values=fill)


def _convolution(node: Node, value: Array, kernel: Array, *rest: Array) -> Array:
    import torch

    padded = _torch(_padded(node, value, kernel.shape[:2], 0.0))
    if set(node.attributes.get("dilations") or [1]) != {1}:
        raise ValueError("dilated convolutions are not evaluated")
    groups = 1
    weight = kernel.transpose(3, 2, 0, 1)
    if "Depthwise" in node.operator:
        groups = kernel.shape[2]
        weight = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
    stride = tuple(node.attributes["strides"][1:3])
    tensor = torch.from_numpy(np.ascontiguousarray(weight))
    result = _numpy(torch.nn.functional.conv2d(padded, tensor, stride=stride, groups=groups))
    return _fused(node, result, rest)


def _product(node: Node, left: Array, right: Array, *rest: Array) -> Array:
    if node.attributes.get("transpose_a") or node.attributes.get("adj_x"):
        left = np.swapaxes(left, -1, -2)
    if node.attributes.get("transpose_b") or node.attributes.get("adj_y"):
        right = np.swapaxes(right, -1, -2)
    return _fused(node, left @ right, rest)


def _fused(node: Node, value: Array, rest: Sequence[Array]) -> Array:
    operands = list(rest)
    for name in node.attributes.get("fused_ops", []):
        if name == "BiasAdd":
            value = value + operands.pop(0)
        elif name == "Prelu":
            value = _prelu(value, operands.pop(0))
        else:
            value = np.asarray(_PLAIN[name](value))
    return value


def _prelu(value: Array, slope: Array) -> Array:
    return np.where(value > 0, value, value * slope)


def _pool(node: Node, value: Array) -> Array:
    import torch

    kernel = node.attributes["ksize"][1:3]
    if node.operator == "AvgPool" and node.attributes["padding"] != "VALID":
        raise ValueError("averages over padding are not evaluated")
    padded = _torch(_padded(node, value, kernel, -np.inf))
    functions: dict[str, Callable[..., Any]] = {
        "MaxPool": torch.nn.functional.max_pool2d,
        "AvgPool": torch.nn.functional.avg_pool2d,
    }
    strides = tuple(node.attributes["strides"][1:3])
    return _numpy(functions[node.operator](padded, tuple(kernel), strides))


def _resize(node: Node, value: Array, size: Array) -> Array:
    import torch

    if not node.attributes.get("half_pixel_centers"):
        raise ValueError("only half_pixel_centers is evaluated")
    wanted = tuple(int(side) for side in size)
    resized = torch.nn.functional.interpolate(_torch(value), wanted, mode="bilinear")
    return _numpy(resized)


def _depth_to_space(node: Node, value: Array) -> Array:
    block = node.attributes["block_size"]
    count, height, width, channels = value.shape
    split = value.reshape(count, height, width, block, block, channels // block**2)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(count, height * block, width * block, -1)


def _slice(node: Node, value: Array, begin: Array, end: Array, stride: Array) -> Array:
    def marked(mask: str, axis: int) -> bool:
        return bool(node.attributes.get(mask, 0) & (1 << axis))

    index: list[Any] = []
    for axis, (first, last, step) in enumerate(zip(begin, end, stride, strict=True)):
        if marked("ellipsis_mask", axis):
            index.append(Ellipsis)
        elif marked("shrink_axis_mask", axis):
            index.append(int(first))
        else:
            low = None if marked("begin_mask", axis) else int(first)
            high = None if marked("end_mask", axis) else int(last)
            index.append(slice(low, high, int(step)))
    return np.asarray(value[tuple(index)])


def _reduce(function: Callable[..., Array]) -> Callable[..., Array]:
    def run(node: Node, value: Array, axes: Array) -> Array:
        keep = bool(node.attributes.get("keep_dims"))
        return function(value, axis=tuple(int(a) for a in np.atleast_1d(axes)), keepdims=keep)

    return run


def _softmax(value: Array) -> Array:
    powers = np.exp(value - value.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _cast(node: Node, value: Array) -> Array:
    kinds = {"DT_FLOAT": np.float64, "DT_INT32": np.int32, "DT_BOOL": np.bool_}
    return value.astype(kinds[node.attributes["DstT"]])


_PLAIN: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "AddN": lambda *values: sum(values),
    "AddV2": np.add,
    "Atan2": np.arctan2,
    "ConcatV2": lambda *values: np.concatenate(values[:-1], axis=int(values[-1])),
    "Cos": np.cos,
    "ExpandDims": lambda value, axis: np.expand_dims(value, int(axis)),
    "Fill": lambda shape, value: np.full(tuple(shape), value),
    "Floor": np.floor,
    "GatherV2": lambda value, rows, axis: np.take(value, rows, axis=int(axis)),
    "GreaterEqual": np.greater_equal,
    "Identity": lambda value: value,
    "LessEqual": np.less_equal,
    "LogicalAnd": np.logical_and,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pad": np.pad,
    "Prelu": _prelu,
    "Range": np.arange,
    "RealDiv": np.divide,
    "Relu": lambda value: np.maximum(value, 0),
    "Relu6": lambda value: np.clip(value, 0, 6),
    "Reshape": lambda value, shape: np.reshape(value, tuple(shape)),
    "Shape": lambda value: np.array(value.shape, np.int32),
    "Sigmoid": lambda value: 1 / (1 + np.exp(-value)),
    "Sin": np.sin,
    "Softmax": _softmax,
    "Sub": np.subtract,
    "Tanh": np.tanh,
    "Tile": lambda value, times: np.tile(value, tuple(times)),
    "Transpose": lambda value, order: np.transpose(value, tuple(order)),
    "ZerosLike": np.zeros_like,
}

_WITH_NODE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("MatMul", "_FusedMatMul", "BatchMatMul", "BatchMatMulV2"), _product),
    "AvgPool": _pool,
    "Cast": _cast,
    "Conv2D": _convolution,
    "DepthToSpace": _depth_to_space,
    "DepthwiseConv2dNative": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "Max": _reduce(np.max),
    "MaxPool": _pool,
    "Mean": _reduce(np.mean),
    "Min": _reduce(np.min),
    "Pack": lambda node, *values: np.stack(values, axis=node.attributes.get("axis", 0)),
    "ResizeBilinear": _resize,
    "StridedSlice": _slice,
    "Sum": _reduce(np.sum),
    "_FusedConv2D": _convolution,
}
