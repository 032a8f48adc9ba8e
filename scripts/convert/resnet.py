"""dlib's face-embedding ResNet as an ONNX graph: RGB 0..255 in, the raw 128-d vector out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.dlib_net import Add, Affine, Conv, Dense, Input, Layer, Pool, Relu, Tag
from convert.graph import Graph, fold_affine, fold_input_scaling

__all__ = ["convert_resnet"]

_SIDE_PX = 150
_DIMENSION = 128


@dataclass(frozen=True)
class _Value:
    """One intermediate result: its name in the graph and its (channels, height, width)."""

    name: str
    shape: tuple[int, int, int]


def convert_resnet(layers: list[Layer]) -> bytes:
    """Translate the layers one by one.

    The pixel scaling is folded into the first convolution (which has no padding, so nothing is
    lost) and each affine layer into the convolution before it.

    Convention:
        layers: as `read_face_resnet` returns them.
        returns: an ONNX file; `input` (N, 3, 150, 150) float RGB 0..255, `output` (N, 128).
    """
    builder = _Builder(Graph("dlib_resnet_v1"))
    for index, layer in enumerate(layers):
        following = layers[index + 1] if index + 1 < len(layers) else None
        builder.append(layer, following)
    return builder.graph.to_bytes(
        {"input": ("N", 3, _SIDE_PX, _SIDE_PX)}, {"output": ("N", _DIMENSION)}
    )


class _Builder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._value = _Value("input", (3, _SIDE_PX, _SIDE_PX))
        self._tags: dict[int, _Value] = {}
        self._count = 0
        self._pending: Input | None = None

    def append(self, layer: Layer, following: Layer | None) -> None:
        """Add one layer; `following` tells whether an affine layer is to be folded in."""
        match layer:
            case Input():
                self._pending = layer
            case Conv():
                self._convolve(layer, following if isinstance(following, Affine) else None)
            case Affine():
                pass  # folded into the convolution before it
            case Relu():
                self._value = self._emit("Relu", [self._value.name], self._value.shape)
            case Pool():
                self._pool(layer)
            case Tag(number, back=False):
                self._tags[number] = self._value
            case Tag(number):
                self._value = self._tags[number]
            case Add(tag):
                self._add(self._tags[tag])
            case Dense():
                self._dense(layer.weight)

    def _emit(
        self, operator: str, inputs: list[str], shape: tuple[int, int, int], **attributes: object
    ) -> _Value:
        self._count += 1
        name = f"{operator.lower()}_{self._count}"
        return _Value(self.graph.add(operator, inputs, name, **attributes), shape)

    def _convolve(self, layer: Conv, affine: Affine | None) -> None:
        weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
        if self._pending is not None:
            if layer.padding != (0, 0):
                raise ValueError("the mean can be folded only into a convolution without padding")
            # dlib/dnn/input.h: each pixel is (value - mean) / 256.
            weight, bias = fold_input_scaling(weight, bias, self._pending.mean_rgb, 1 / 256)
            self._pending = None
        if affine is not None:
            weight, bias = fold_affine(weight, bias, affine.scale, affine.offset)
        name = f"conv_{self._count + 1}"
        names = [self.graph.constant(f"{name}.weight", weight)]
        names.append(self.graph.constant(f"{name}.bias", bias))
        window = weight.shape[2:]
        shape = (weight.shape[0], *self._windows(window, layer.stride, layer.padding))
        self._value = self._emit(
            "Conv",
            [self._value.name, *names],
            shape,
            kernel_shape=window,
            strides=layer.stride,
            pads=layer.padding * 2,
        )

    def _windows(
        self, window: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> tuple[int, int]:
        """How many windows fit, rounded down as dlib does."""
        height, width = (
            (size + 2 * pad - kernel) // step + 1
            for size, kernel, step, pad in zip(
                self._value.shape[1:], window, stride, padding, strict=True
            )
        )
        return height, width

    def _pool(self, layer: Pool) -> None:
        channels = self._value.shape[0]
        if layer.window == (0, 0):
            shape = (channels, 1, 1)
            self._value = self._emit("GlobalAveragePool", [self._value.name], shape)
            return
        if layer.padding != (0, 0):
            raise ValueError("pooling with padding does not occur in this network")
        self._value = self._emit(
            "MaxPool" if layer.kind == "max" else "AveragePool",
            [self._value.name],
            (channels, *self._windows(layer.window, layer.stride, layer.padding)),
            kernel_shape=layer.window,
            strides=layer.stride,
        )

    def _add(self, other: _Value) -> None:
        """Sum of two values; where one is smaller, dlib takes zeros beyond its end."""
        ours, theirs = self._value.shape, other.shape
        shape = (max(ours[0], theirs[0]), max(ours[1], theirs[1]), max(ours[2], theirs[2]))
        names = [self._padded(value, shape).name for value in (self._value, other)]
        self._value = self._emit("Add", names, shape)

    def _padded(self, value: _Value, shape: tuple[int, int, int]) -> _Value:
        if value.shape == shape:
            return value
        ends = [wanted - size for wanted, size in zip(shape, value.shape, strict=True)]
        amounts = self.graph.constant(
            f"pad_{self._count + 1}.amounts", np.array([0, 0, 0, 0, 0, *ends], np.int64)
        )
        return self._emit("Pad", [value.name, amounts], shape, mode="constant")

    def _dense(self, weight: NDArray[np.float32]) -> None:
        flat = self._emit("Flatten", [self._value.name], self._value.shape, axis=1)
        name = self.graph.constant("dense.weight", weight)
        self.graph.add("MatMul", [flat.name, name], "output")
