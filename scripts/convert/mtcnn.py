"""MTCNN's three networks as ONNX graphs, from the state dictionaries of facenet-pytorch.

The graphs compute what the originals do, arranged for ONNX Runtime on a CPU. Its PRelu takes a
value at a time and its Softmax likewise, and neither knows the blocked layout that its convolutions
use; products with constants, sums, Relu and Sigmoid do, and take a fifth of the time or less.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph import Graph, Shape, fold_input_scaling

__all__ = ["NETS", "Net", "State", "convert_net", "read_state"]

FloatArray = NDArray[np.floating[Any]]
State = dict[str, FloatArray]

# facenet_pytorch/models/utils/detect_face.py: (x - 127.5) * 0.0078125.
_MEAN, _SCALE = (127.5, 127.5, 127.5), 1 / 128

# What each output is called and how many values it has: box offsets, landmarks (five x, then five
# y), and the probabilities of not a face and of a face.
_SIZES = {"reg": 4, "pts": 10, "prob": 2}


@dataclass(frozen=True)
class Net:
    """One network of the cascade, as `facenet_pytorch/models/mtcnn.py` defines it.

    Args:
        file_name: Its state dictionary in the package.
        pools: Window of the max pooling after each convolution, 0 for none; the stride is 2.
        dense: Name of the hidden dense layer, None when the network is fully convolutional.
        heads: Output name to the layer that makes it, in the order of the original's results.
        side_px: Side of the input, None when any size goes.
    """

    file_name: str
    pools: tuple[int, ...]
    dense: str | None
    heads: dict[str, str]
    side_px: int | None


NETS = {
    "mtcnn_pnet": Net("pnet.pt", (2, 0, 0), None, {"reg": "conv4_2", "prob": "conv4_1"}, None),
    "mtcnn_rnet": Net("rnet.pt", (3, 3, 0), "dense4", {"reg": "dense5_2", "prob": "dense5_1"}, 24),
    "mtcnn_onet": Net(
        "onet.pt",
        (3, 3, 2, 0),
        "dense5",
        {"reg": "dense6_2", "pts": "dense6_3", "prob": "dense6_1"},
        48,
    ),
}


def read_state(data: bytes) -> State:
    """Read a `.pt` file as plain arrays; pickled code in it is refused, not run."""
    import torch

    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def convert_net(name: str, state: State) -> bytes:
    """Build one network.

    Convention:
        name: a key of `NETS`.
        state: as `read_state` returns it.
        returns: an ONNX file; `input` (N, 3, h, w) float RGB 0..255; the outputs are the net's
            heads.
    """
    net, graph = NETS[name], Graph(name)
    value = "input"
    signs = np.ones(3)  # of what the next convolution is given
    for number, pool in enumerate(net.pools, start=1):
        weight, bias = state[f"conv{number}.weight"], state[f"conv{number}.bias"]
        slope = state[f"prelu{number}.weight"].astype(np.float64)
        weight = weight.astype(np.float64) * signs[:, None, None]
        if number == 1:
            weight, bias = fold_input_scaling(weight, bias, _MEAN, _SCALE)
        if name == "mtcnn_pnet" and number == 1:
            value, signs = _pooled_first(graph, value, weight, bias, slope)
            continue
        signs = np.ones(len(weight))
        value = _product(graph, f"conv{number}", value, weight, bias)
        value = _prelu(graph, number, value, slope.reshape(-1, 1, 1))
        if pool:
            value = _pool(graph, number, value, pool)
    if net.dense is not None:
        value = _hidden(graph, net.dense, value, state)
    for output, layer in net.heads.items():
        _head(graph, output, layer, value, state)
    sides: Shape = ("H", "W") if net.side_px is None else (net.side_px, net.side_px)
    cells: Shape = ("h", "w") if net.side_px is None else ()
    return graph.to_bytes(
        {"input": ("N", 3, *sides)},
        {output: ("N", _SIZES[output], *cells) for output in net.heads},
    )


def _product(graph: Graph, name: str, value: str, weight: FloatArray, bias: FloatArray) -> str:
    """A convolution or a dense layer, whichever the weight is of."""
    names = [graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)]
    if weight.ndim == 4:
        return graph.add("Conv", [value, *names], name, kernel_shape=list(weight.shape[2:]))
    return graph.add("Gemm", [value, *names], name, transB=1)


def _pool(graph: Graph, number: int, value: str, size: int) -> str:
    window = {"kernel_shape": [size, size], "strides": [2, 2], "ceil_mode": 1}
    return graph.add("MaxPool", [value], f"pool{number}", **window)


def _prelu(graph: Graph, number: int, value: str, slope: FloatArray) -> str:
    """``slope * x + (1 - slope) * relu(x)``; a dense layer is too small to matter.

    With no slope above 1 the last product goes into the Relu, which saves a pass.
    """
    name = f"prelu{number}"
    if slope.ndim == 1:
        return graph.add("PRelu", [value, graph.constant(f"{name}.slope", slope)], name)
    rest = graph.constant(f"{name}.rest", 1 - slope)
    below = graph.add("Mul", [value, graph.constant(f"{name}.slope", slope)], f"{name}.below")
    if slope.max() <= 1:
        scaled = graph.add("Mul", [value, rest], f"{name}.scaled")
        above = graph.add("Relu", [scaled], f"{name}.above")
    else:
        positive = graph.add("Relu", [value], f"{name}.positive")
        above = graph.add("Mul", [positive, rest], f"{name}.above")
    return graph.add("Add", [below, above], name)


def _pooled_first(
    graph: Graph, value: str, weight: FloatArray, bias: FloatArray, slope: FloatArray
) -> tuple[str, FloatArray]:
    """The first convolution of P-Net with its pooling before its PReLU, on a quarter of the values.

    Where the slope is not negative, PReLU rises and the order does not matter. Elsewhere PReLU is
    ``max(x, slope * x)``, so ``slope * x`` is made by channels of its own (10 + 6 channels take no
    longer than 10 in blocks of 8 or 16) and both are pooled. The PReLU then is a sum ``a @ pooled +
    relu(b @ pooled)``; that of a slope above 1 is put out with its sign changed.

    Convention:
        returns: the value's name, and the sign of each of its channels.
    """
    count, falling = len(slope), np.flatnonzero(slope < 0)
    steep = slope > 1
    both = np.concatenate([weight, weight[falling] * slope[falling, None, None, None]])
    offset = np.concatenate([bias, bias[falling] * slope[falling]])
    pooled = _pool(graph, 1, _product(graph, "conv1", value, both, offset), 2)
    linear, bent = np.zeros((2, count, len(both)))
    rising = np.flatnonzero(slope >= 0)
    linear[rising, rising] = np.where(steep, -slope, slope)[rising]
    bent[rising, rising] = np.abs(1 - slope)[rising]
    linear[falling, falling] = 1
    bent[falling, falling] = -1
    bent[falling, count + np.arange(len(falling))] = 1
    parts = [
        _product(graph, f"prelu1.{part}", pooled, matrix[:, :, None, None], np.zeros(count))
        for part, matrix in (("below", linear), ("scaled", bent))
    ]
    above = graph.add("Relu", [parts[1]], "prelu1.above")
    return graph.add("Add", [parts[0], above], "prelu1"), np.where(steep, -1.0, 1.0)


def _hidden(graph: Graph, layer: str, value: str, state: State) -> str:
    """The dense layer over a 3 x 3 plane.

    The original flattens in the order width, height, channel (a heritage of the first MTCNN, which
    was written in MATLAB); here the columns are put in the order channel, height, width.
    """
    weight = state[f"{layer}.weight"]
    outputs, inputs = weight.shape
    weight = weight.reshape(outputs, 3, 3, inputs // 9).transpose(0, 3, 2, 1)
    flat = graph.add("Flatten", [value], f"{layer}.flat", axis=1)
    hidden = _product(graph, layer, flat, weight.reshape(outputs, inputs), state[f"{layer}.bias"])
    number = int(layer.removeprefix("dense"))
    return _prelu(graph, number, hidden, state[f"prelu{number}.weight"])


def _head(graph: Graph, output: str, layer: str, value: str, state: State) -> None:
    weight = state[f"{layer}.weight"].astype(np.float64)
    bias = state[f"{layer}.bias"].astype(np.float64)
    if output != "prob":
        _product(graph, output, value, weight, bias)
        return
    # Of two classes, the softmax is the sigmoid of the difference.
    margin = _product(graph, "prob.margin", value, weight - weight[::-1], bias - bias[::-1])
    graph.add("Sigmoid", [margin], output)
