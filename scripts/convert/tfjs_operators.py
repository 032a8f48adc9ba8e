"""What each TensorFlow operator is in ONNX: one function per form, one table of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from convert.tfjs_builder import Builder, UnsupportedGraphError, Value
from convert.tfjs_format import Node

__all__ = ["OPERATORS", "Handler"]

Handler = Callable[[Builder, Node, Sequence[Value]], Value]

# Beyond every size: a slice that ends here ends at the end.
_END = 2**31 - 1
# More are stored in half precision (see `convert.tfjs`), in which a slope and what is left to 1 no
# longer sum to 1.
_BENT_CHANNELS = 255
_BENT_FROM_PX = 36
_TYPES = {
    "DT_FLOAT": TensorProto.FLOAT,
    "DT_INT32": TensorProto.INT32,
    "DT_INT64": TensorProto.INT64,
    "DT_BOOL": TensorProto.BOOL,
}


def _window(node: Node, value: Value, kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Padding before (y, x) and after (y, x), as TensorFlow's `padding` means it.

    Source: TensorFlow, `core/framework/common_shape_fns.cc` (GetWindowedOutputSizeVerbose).
    """
    padding = node.attributes["padding"]
    if padding == "VALID":
        return [0, 0, 0, 0]
    if padding == "EXPLICIT":
        pairs = node.attributes["explicit_paddings"]
        return [pairs[2], pairs[4], pairs[3], pairs[5]]
    dilations = node.attributes.get("dilations") or [1, 1, 1, 1]
    totals = []
    for size, window, stride, dilation in zip(
        value.shape[1:3], kernel, strides, dilations[1:3], strict=True
    ):
        if size is None:
            raise UnsupportedGraphError(f"{node.name}: height and width must be known")
        reach = (window - 1) * dilation + 1
        totals.append(max(0, (-(-size // stride) - 1) * stride + reach - size))
    before = [total // 2 for total in totals]
    return [*before, *(total - half for total, half in zip(totals, before, strict=True))]


def _convolve(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """A convolution and what is fused to it: `inputs` are picture, weight, bias, slope."""
    if node.attributes.get("data_format", "NHWC") != "NHWC":
        raise UnsupportedGraphError(f"{node.name} must be NHWC")
    weight = inputs[1].known()
    height, width, channels, filters = weight.shape
    groups = 1
    if "Depthwise" in node.operator:  # weight (h, w, channel, multiplier)
        groups = channels
        weight = weight.transpose(2, 3, 0, 1).reshape(channels * filters, 1, height, width)
    else:
        weight = weight.transpose(3, 2, 0, 1)
    strides = node.attributes["strides"][1:3]
    dilations = (node.attributes.get("dilations") or [1, 1, 1, 1])[1:3]
    fused = list(node.attributes.get("fused_ops", []))
    operands = [inputs[0], builder.constant(weight)]
    if fused[:1] == ["BiasAdd"]:
        operands.append(builder.constant(inputs[2].known().reshape(-1)))
        fused = fused[1:]
    value = builder.emit_spatial(
        "Conv",
        operands,
        kernel_shape=[height, width],
        strides=strides,
        dilations=dilations,
        group=groups,
        pads=_window(node, inputs[0], (height, width), strides),
    )
    return _activate(builder, value, fused, inputs[3:])


def _activate(
    builder: Builder, value: Value, fused: Sequence[str], slope: Sequence[Value]
) -> Value:
    """The activations fused to a product; `slope` is that of Prelu."""
    for name in fused:
        if name == "Prelu":
            value = _bend(builder, value, slope[0])
        elif name == "Relu6":
            value = _clip(builder, value, 0.0, 6.0)
        elif name in {"Relu", "Elu", "Sigmoid", "Tanh"}:
            value = builder.emit_elementwise(name, [value])
        else:
            raise UnsupportedGraphError(f"fused {name} is not translated")
    return value


def _prelu(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return _bend(builder, *inputs)


def _bend(builder: Builder, value: Value, slope: Value) -> Value:
    """PRelu as ``slope * x + (1 - slope) * relu(x)``.

    ONNX Runtime takes a value at a time for its own PRelu, and turns the picture around for it;
    products with constants, sums and Relu stay in the layout that its convolutions use. With no
    slope above 1 the last product goes into the Relu, which saves a pass. On small pictures the
    one operator is faster than four.
    """
    below, (height, width) = slope.data, value.stored_shape[2:] if value.channels_first else (0, 0)
    small = (height or 0) * (width or 0) < _BENT_FROM_PX
    if below is None or small or below.size > _BENT_CHANNELS:
        return builder.emit_elementwise("PRelu", [value, slope])
    factor = builder.constant((1 - below.astype(np.float64)).astype(np.float32))
    if below.max() <= 1:
        above = builder.emit_elementwise("Mul", [value, factor])
        above = builder.emit_elementwise("Relu", [above])
    else:
        above = builder.emit_elementwise("Relu", [value])
        above = builder.emit_elementwise("Mul", [above, factor])
    return builder.emit_elementwise("Add", [builder.emit_elementwise("Mul", [value, slope]), above])


def _clip(builder: Builder, value: Value, low: float | None, high: float | None) -> Value:
    bounds = [
        None if bound is None else builder.constant(np.float32(bound)) for bound in (low, high)
    ]
    clipped = builder.emit("Clip", [value, *bounds])
    return clipped if not value.channels_first else _first(clipped)


def _first(value: Value) -> Value:
    return Value(value.name, value.dtype, value.stored_shape, value.data, channels_first=True)


def _multiply(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """A matrix product and what is fused to it."""
    plain = [builder.channels_last(value) for value in inputs]
    for side, flags in enumerate((("transpose_a", "adj_x"), ("transpose_b", "adj_y"))):
        if any(node.attributes.get(flag, False) for flag in flags):
            rank = len(plain[side].shape)
            order = [*range(rank - 2), rank - 1, rank - 2]
            plain[side] = builder.emit("Transpose", [plain[side]], perm=order)
    fused = list(node.attributes.get("fused_ops", []))
    if fused[:1] == ["BiasAdd"]:
        product = builder.emit("Gemm", plain[:3])
        return _activate(builder, product, fused[1:], plain[3:])
    return _activate(builder, builder.emit("MatMul", plain[:2]), fused, ())


def _pool(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    kernel, strides = node.attributes["ksize"][1:3], node.attributes["strides"][1:3]
    return builder.emit_spatial(
        {"MaxPool": "MaxPool", "AvgPool": "AveragePool"}[node.operator],
        inputs[:1],
        kernel_shape=kernel,
        strides=strides,
        pads=_window(node, inputs[0], kernel, strides),
    )


def _pad(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """Zeros around a tensor; `inputs[1]` has one row (before, after) per axis."""
    amounts = inputs[1].known().astype(np.int64)
    if len(amounts) != 4:
        plain = builder.channels_last(inputs[0])
        return builder.emit("Pad", [plain, builder.constant(amounts.T.reshape(-1))])
    amounts = amounts[[0, 3, 1, 2]]
    return builder.emit_spatial("Pad", [inputs[0], builder.constant(amounts.T.reshape(-1))])


def _resize(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    sizes, wanted = inputs[0].shape[1:3], inputs[1].known().tolist()
    scales = [new / old for new, old in zip(wanted, sizes, strict=True) if old]
    if len(scales) != 2 or any(int(scale) != scale for scale in scales):
        raise UnsupportedGraphError(f"{node.name} must enlarge by whole numbers")
    mode = "asymmetric"
    if node.attributes.get("align_corners", False):
        mode = "align_corners"
    elif node.attributes.get("half_pixel_centers", False):
        mode = "half_pixel"
    factors = builder.constant(np.array([1, 1, *scales], np.float32))
    return builder.emit_spatial(
        "Resize", [inputs[0], None, factors], mode="linear", coordinate_transformation_mode=mode
    )


def _depth_to_space(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit_spatial(
        "DepthToSpace", inputs[:1], blocksize=node.attributes["block_size"], mode="DCR"
    )


def _elementwise(operator: str) -> Handler:
    def handle(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
        return builder.emit_elementwise(operator, inputs)

    return handle


def _bound(operator: str) -> Handler:
    """Minimum or maximum; with a number it is a Clip, which the runtime fuses to convolutions."""

    def handle(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
        value, limit = inputs
        number = limit.data is not None and limit.data.size == 1 and limit.dtype == np.float32
        if value.data is None and number:
            bound = float(limit.known().reshape(()))
            low, high = (None, bound) if operator == "Min" else (bound, None)
            return _clip(builder, value, low, high)
        return builder.emit_elementwise(operator, inputs)

    return handle


def _relu6(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return _clip(builder, inputs[0], 0.0, 6.0)


def _identity(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return inputs[0]


def _square(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit_elementwise("Mul", [inputs[0], inputs[0]])


def _rsqrt(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit_elementwise("Reciprocal", [builder.emit_elementwise("Sqrt", inputs)])


def _atan2(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """The angle of (x, y); ONNX has the arc tangent of a quotient only."""
    y, x = (builder.channels_last(value) for value in inputs)
    zero = builder.constant(np.float32(0))
    angle = builder.emit("Atan", [builder.emit("Div", [y, x])])
    turn = builder.emit(
        "Where",
        [
            builder.emit("Less", [y, zero]),
            builder.constant(np.float32(-np.pi)),
            builder.constant(np.float32(np.pi)),
        ],
    )
    behind = builder.emit("Less", [x, zero])
    return builder.emit("Where", [behind, builder.emit("Add", [angle, turn]), angle])


def _cast(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    plain = builder.channels_last(inputs[0])
    return builder.emit("Cast", [plain], to=_TYPES[node.attributes["DstT"]])


def _softmax(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit("Softmax", [builder.channels_last(inputs[0])], axis=-1)


def _reduce(operator: str) -> Handler:
    def handle(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
        value, keep = inputs[0], bool(node.attributes.get("keep_dims", False))
        axes = sorted(int(axis) % len(value.shape) for axis in np.atleast_1d(inputs[1].known()))
        # Over height and width, what is left is (batch, channel) in either order.
        spatial = value.channels_first and axes == [1, 2]
        if not spatial:
            value = builder.channels_last(value)
        attributes: dict[str, Any] = {"keepdims": int(keep)}
        operands = [value]
        stored = [2, 3] if spatial else axes
        if operator == "ReduceSum":
            operands.append(builder.constant(np.array(stored, np.int64)))
        else:
            attributes["axes"] = stored
        reduced = builder.emit(operator, operands, **attributes)
        return _first(reduced) if spatial and keep else reduced

    return handle


def _shape(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """Sizes, known now; -1 stands where the batch does."""
    sizes = inputs[0].shape
    if None in sizes[1:]:
        raise UnsupportedGraphError(f"{node.name}: only the batch may be free, got {sizes}")
    data = np.array([-1 if size is None else size for size in sizes], np.int32)
    return builder.constant(data, free_size=None in sizes)


def _whole(builder: Builder, value: Value) -> Value:
    """As the 64-bit integers in which ONNX takes sizes."""
    return builder.emit("Cast", [builder.channels_last(value)], to=TensorProto.INT64)


def _reshape(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    value, shape = builder.channels_last(inputs[0]), _whole(builder, inputs[1])
    sizes = shape.known()
    frozen = sizes[0] == 1 and -1 not in sizes  # a graph made for one picture
    if value.shape[:1] == (None,) and (frozen or shape.free_size):
        # 0 is the size that is there already: of several unknown ones, only the batch.
        shape = builder.constant(np.array([0, *sizes[1:]], np.int64))
    return builder.emit("Reshape", [value, shape])


def _squeeze(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    axes = builder.constant(np.array(node.attributes["squeeze_dims"], np.int64))
    return builder.emit("Squeeze", [builder.channels_last(inputs[0]), axes])


def _expand_dims(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    axis = builder.constant(np.array([int(inputs[1].known())], np.int64))
    return builder.emit("Unsqueeze", [builder.channels_last(inputs[0]), axis])


def _pack(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """Stack along a new axis."""
    axis = node.attributes.get("axis", 0)
    axes = builder.constant(np.array([axis], np.int64))
    raised = [builder.emit("Unsqueeze", [builder.channels_last(value), axes]) for value in inputs]
    return builder.emit("Concat", raised, axis=axis)


def _concatenate(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    *values, axis = inputs
    number = int(axis.known())
    if all(value.channels_first for value in values):
        return builder.emit_spatial("Concat", values, axis=(0, 2, 3, 1)[number % 4])
    plain = [builder.channels_last(value) for value in values]
    return builder.emit("Concat", plain, axis=number)


def _transpose(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    order = inputs[1].known().tolist()
    return builder.emit("Transpose", [builder.channels_last(inputs[0])], perm=order)


def _gather(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    if node.attributes.get("batch_dims", 0):
        raise UnsupportedGraphError(f"{node.name}: batch_dims is not translated")
    plain = [builder.channels_last(value) for value in inputs[:2]]
    return builder.emit("Gather", plain, axis=int(inputs[2].known()))


def _tile(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit("Tile", [builder.channels_last(inputs[0]), _whole(builder, inputs[1])])


def _range(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit("Range", inputs)


def _fill(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    return builder.emit("Expand", [inputs[1], _whole(builder, inputs[0])])


def _zeros_like(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    shape = inputs[0].shape
    if None in shape:
        raise UnsupportedGraphError(f"{node.name}: zeros of a free batch; convert with batch=1")
    return builder.constant(np.zeros([size or 0 for size in shape], inputs[0].dtype))


def _slice(builder: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """`value[begin:end:stride]` on each axis; the masks' bits say what is special about an axis.

    Source: TensorFlow, `StridedSlice` in `core/api_def/base_api`.
    """
    value = builder.channels_last(inputs[0])
    begin, end, stride = (item.known().astype(np.int64) for item in inputs[1:4])

    def marked(mask: str, axis: int) -> bool:
        return bool(node.attributes.get(mask, 0) >> axis & 1)

    if node.attributes.get("new_axis_mask", 0):
        raise UnsupportedGraphError(f"{node.name}: new_axis_mask is not translated")
    rows, squeezed, shift = [], [], 0
    for axis in range(len(begin)):
        if marked("ellipsis_mask", axis):  # all axes that the others leave
            shift = len(value.shape) - len(begin)
            continue
        first, last, step = int(begin[axis]), int(end[axis]), int(stride[axis])
        if marked("shrink_axis_mask", axis):
            last, step = first + 1 if first != -1 else _END, 1
            squeezed.append(axis + shift)
        else:
            first = (0 if step > 0 else _END) if marked("begin_mask", axis) else first
            last = (_END if step > 0 else -_END) if marked("end_mask", axis) else last
        rows.append((first, last, axis + shift, step))
    columns = [builder.constant(np.array(column, np.int64)) for column in zip(*rows, strict=True)]
    sliced = builder.emit("Slice", [value, *columns])
    if not squeezed:
        return sliced
    return builder.emit("Squeeze", [sliced, builder.constant(np.array(squeezed, np.int64))])


_ELEMENTWISE = {
    "Abs": "Abs",
    "Add": "Add",
    "AddN": "Sum",
    "AddV2": "Add",
    "BiasAdd": "Add",
    "Cos": "Cos",
    "Elu": "Elu",
    "Exp": "Exp",
    "Floor": "Floor",
    "GreaterEqual": "GreaterOrEqual",
    "LessEqual": "LessOrEqual",
    "LogicalAnd": "And",
    "Mul": "Mul",
    "Neg": "Neg",
    "RealDiv": "Div",
    "Relu": "Relu",
    "Sigmoid": "Sigmoid",
    "Sin": "Sin",
    "Sqrt": "Sqrt",
    "Sub": "Sub",
    "Tanh": "Tanh",
}

OPERATORS: dict[str, Handler] = {
    **{name: _elementwise(operator) for name, operator in _ELEMENTWISE.items()},
    **dict.fromkeys(("Conv2D", "_FusedConv2D"), _convolve),
    **dict.fromkeys(("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"), _convolve),
    **dict.fromkeys(("MatMul", "_FusedMatMul", "BatchMatMul", "BatchMatMulV2"), _multiply),
    **{name: _reduce(f"Reduce{name}") for name in ("Max", "Mean", "Min", "Sum")},
    "Atan2": _atan2,
    "AvgPool": _pool,
    "Cast": _cast,
    "ConcatV2": _concatenate,
    "DepthToSpace": _depth_to_space,
    "ExpandDims": _expand_dims,
    "Fill": _fill,
    "GatherV2": _gather,
    "Identity": _identity,
    "MaxPool": _pool,
    "Maximum": _bound("Max"),
    "Minimum": _bound("Min"),
    "Pack": _pack,
    "Prelu": _prelu,
    "Pad": _pad,
    "Range": _range,
    "Relu6": _relu6,
    "Reshape": _reshape,
    "ResizeBilinear": _resize,
    "Rsqrt": _rsqrt,
    "Shape": _shape,
    "Softmax": _softmax,
    "Square": _square,
    "Squeeze": _squeeze,
    "StridedSlice": _slice,
    "Tile": _tile,
    "Transpose": _transpose,
    "ZerosLike": _zeros_like,
}
