"""dlib's MMOD face detector as an ONNX graph: the tiled pyramid in, one score per cell out."""

from __future__ import annotations

import numpy as np

from convert.dlib_net import Affine, Conv, Input, Layer, Mmod, Relu
from convert.graph import Graph, fold_affine

__all__ = ["convert_mmod"]


def convert_mmod(detector: Mmod) -> bytes:
    """Translate the layers one by one, each normalisation folded into the convolution before it.

    The mean is not folded in: the pyramid is padded with zeros after it has been subtracted.

    Convention:
        detector: as `read_mmod` returns it.
        returns: an ONNX file; `input` (N, 3, H, W) float32, a tiled pyramid of (RGB - mean) / 256;
            `scores` (N, 1, h, w).
    """
    graph = Graph("dlib_mmod")
    value = "input"
    layers = detector.layers
    for index, layer in enumerate(layers):
        following = layers[index + 1] if index + 1 < len(layers) else None
        value = _append(graph, index, layer, following, value)
    return graph.to_bytes({"input": ("N", 3, "H", "W")}, {"scores": ("N", 1, "h", "w")})


def _append(graph: Graph, index: int, layer: Layer, following: Layer | None, value: str) -> str:
    """Add one layer to what `value` names; returns the name of the result."""
    match layer:
        case Input() | Affine():
            return value  # the caller's work, and folded into the convolution before it
        case Conv():
            return _convolve(graph, index, layer, following, value)
        case Relu():
            return graph.add("Relu", [value], f"relu_{index}")
        case _:
            raise ValueError(f"{type(layer).__name__} does not occur in this network")


def _convolve(graph: Graph, index: int, layer: Conv, following: Layer | None, value: str) -> str:
    weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    name = "scores" if following is None else f"conv_{index}"
    if isinstance(following, Affine):
        weight, bias = fold_affine(weight, bias, following.scale, following.offset)
    return graph.add(
        "Conv",
        [value, graph.constant(f"{name}.weight", weight), graph.constant(f"{name}.bias", bias)],
        name,
        kernel_shape=weight.shape[2:],
        strides=layer.stride,
        pads=layer.padding * 2,
    )
