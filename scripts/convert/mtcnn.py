"""MTCNN's three networks as ONNX graphs, from the state dictionaries of facenet-pytorch."""

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
    for number, pool in enumerate(net.pools, start=1):
        weight, bias = state[f"conv{number}.weight"], state[f"conv{number}.bias"]
        if number == 1:
            weight, bias = fold_input_scaling(weight, bias, _MEAN, _SCALE)
        value = _product(graph, f"conv{number}", value, weight, bias)
        slope = state[f"prelu{number}.weight"].reshape(-1, 1, 1)
        value = _prelu(graph, number, value, slope)
        if pool:
            window = {"kernel_shape": [pool, pool], "strides": [2, 2], "ceil_mode": 1}
            value = graph.add("MaxPool", [value], f"pool{number}", **window)
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


def _prelu(graph: Graph, number: int, value: str, slope: FloatArray) -> str:
    name = f"prelu{number}"
    return graph.add("PRelu", [value, graph.constant(f"{name}.slope", slope)], name)


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
    name = f"{output}.logits" if output == "prob" else output
    _product(graph, name, value, state[f"{layer}.weight"], state[f"{layer}.bias"])
    if output == "prob":
        graph.add("Softmax", [name], output, axis=1)
