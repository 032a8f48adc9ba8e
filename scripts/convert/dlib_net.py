"""dlib's networks, read from `.dat` files: the face-embedding ResNet and the MMOD detector.

Source: dlib 19.x and 20.x, `dlib/dnn/core.h`, `dlib/dnn/layers.h`, `dlib/dnn/loss.h`,
`dlib/dnn/input.h` and, for the networks' types, `examples/dnn_face_recognition_ex.cpp` and
`examples/dnn_mmod_face_detection_ex.cpp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.dlib_format import DatFormatError, Reader

__all__ = [
    "Add",
    "Affine",
    "Conv",
    "Dense",
    "Input",
    "Layer",
    "Mmod",
    "Pool",
    "Relu",
    "Tag",
    "read_face_resnet",
    "read_mmod",
]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """What is subtracted from the pixels, per channel RGB; they are then divided by 256."""

    mean_rgb: tuple[float, ...]


@dataclass(frozen=True)
class Conv:
    """A convolution: weight (out, in, kh, kw), bias (out,), stride and padding as (y, x)."""

    weight: FloatArray
    bias: FloatArray
    stride: tuple[int, ...]
    padding: tuple[int, ...]


@dataclass(frozen=True)
class Affine:
    """`x * scale + offset` per channel: a batch normalisation after training."""

    scale: FloatArray
    offset: FloatArray


@dataclass(frozen=True)
class Relu:
    """`max(x, 0)`."""


@dataclass(frozen=True)
class Pool:
    """Pooling over `window` (y, x); window (0, 0) is the whole plane."""

    kind: str
    window: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """A matrix product: weight (in, out), no bias."""

    weight: FloatArray


@dataclass(frozen=True)
class Tag:
    """A name for the value reached here; with `back`, return to the value of that name."""

    number: int
    back: bool = False


@dataclass(frozen=True)
class Add:
    """Add the tagged value, the smaller one padded with zeros at the end of each axis."""

    tag: int


Layer = Input | Conv | Affine | Relu | Pool | Dense | Tag | Add
# Reads one type of subnet and appends its layers, the first computed first.
_Subnet = Callable[[Reader, list[Layer]], None]


def _read_conv(reader: Reader) -> Conv:
    values = reader.tensor().ravel()
    filters, *geometry = reader.integers(7)
    kernel, stride, padding = geometry[0:2], geometry[2:4], geometry[4:6]
    weight_count, bias_count = reader.alias(), reader.alias()
    reader.reals(4)  # learning rates and weight decays
    return Conv(
        weight=values[:weight_count].reshape(filters, -1, *kernel),
        bias=values[weight_count : weight_count + bias_count],
        stride=tuple(stride),
        padding=tuple(padding),
    )


def _read_affine(reader: Reader) -> Affine:
    values = reader.tensor().ravel()
    count, _ = reader.alias(), reader.alias()
    reader.integer()  # convolutional or fully connected
    return Affine(scale=values[:count], offset=values[count:])


def _read_batch_norm(reader: Reader) -> Affine:
    """A batch normalisation with its running statistics, which at rest is an affine layer."""
    values = reader.tensor().ravel().astype(np.float64)
    count, _ = reader.alias(), reader.alias()
    reader.tensor(), reader.tensor()  # means and inverse deviations of the last batch
    mean, variance = (reader.tensor().ravel().astype(np.float64) for _ in range(2))
    reader.integers(2)  # updates made, window of the running statistics
    reader.reals(4)  # learning rates and weight decays
    scale = values[:count] / np.sqrt(variance + reader.real())
    offset = values[count:] - scale * mean
    return Affine(scale=scale.astype(np.float32), offset=offset.astype(np.float32))


def _read_pool(reader: Reader, kind: str) -> Pool:
    window, stride, padding = (reader.integers(2) for _ in range(3))
    return Pool(kind=kind, window=window, stride=stride, padding=padding)


def _read_dense(reader: Reader) -> Dense:
    outputs, inputs = reader.integers(2)
    values = reader.tensor().ravel()
    reader.alias(), reader.alias()
    reader.integer()  # with or without bias
    reader.reals(4)
    if values.size != inputs * outputs:
        raise DatFormatError("the last layer must have no bias")
    return Dense(weight=values.reshape(inputs, outputs))


def _read_details(reader: Reader) -> Layer:
    """Read what a layer is and holds, from the name it was stored under."""
    kind = reader.text()
    if kind in {"max_pool_2", "avg_pool_2"}:
        return _read_pool(reader, kind.split("_")[0])
    readers: dict[str, Callable[[Reader], Layer]] = {
        "con_4": _read_conv,
        "affine_": _read_affine,
        "bn_con2": _read_batch_norm,
        "fc_2": _read_dense,
        "relu_": lambda _: Relu(),
    }
    if kind not in readers:
        raise DatFormatError(f"unknown layer {kind!r} at byte {reader.position}")
    return readers[kind](reader)


_INPUTS = ("input_rgb_image_sized", "input_rgb_image_pyramid")


def _read_input(reader: Reader) -> Input:
    kind = reader.text()
    mean_rgb = reader.reals(3) if kind in _INPUTS else ()
    if kind == "input_rgb_image_sized":
        reader.integers(2)  # rows and columns: 150 x 150
    elif kind != "input_rgb_image_pyramid":
        raise DatFormatError(f"the network must start with {' or '.join(_INPUTS)}, got {kind!r}")
    return Input(mean_rgb)


def _layer(subnet: _Subnet | None, adds_tag: int | None = None) -> _Subnet:
    """`add_layer<details, subnet>`; without a subnet the input layer stands below."""

    def read(reader: Reader, layers: list[Layer]) -> None:
        reader.expect(3 if subnet is None else 2, "layer version")
        if subnet is None:
            layers.append(_read_input(reader))
        else:
            subnet(reader, layers)
        layers.append(_read_sum(reader, adds_tag) if adds_tag else _read_details(reader))
        for _ in range(3):
            reader.boolean()  # set up, and two flags of the gradients
        for _ in range(3):
            reader.tensor()  # what training left: gradients and output of the last batch, empty
        if subnet is None:
            reader.integer()  # sample expansion factor

    return read


def _read_sum(reader: Reader, tag: int) -> Add:
    kind = reader.text()
    if kind != "add_prev_":
        raise DatFormatError(f"a residual unit must end with add_prev_, got {kind!r}")
    return Add(tag)


def _tagged(number: int, subnet: _Subnet, *, back: bool = False) -> _Subnet:
    """`add_tag_layer<number, subnet>`, or with `back` `add_skip_layer<tag number, subnet>`."""

    def read(reader: Reader, layers: list[Layer]) -> None:
        reader.expect(1, "tag version")
        subnet(reader, layers)
        layers.append(Tag(number, back=back))

    return read


def _stack(count: int, subnet: _Subnet | None) -> _Subnet:
    """`count` plain layers, one on the other."""
    for _ in range(count):
        subnet = _layer(subnet)
    if subnet is None:
        raise ValueError("count must be at least 1")
    return subnet


def _residual(subnet: _Subnet) -> _Subnet:
    """`ares`: relu over (conv, affine, relu, conv, affine) plus the value before them."""
    return _layer(_layer(_stack(5, _tagged(1, subnet)), adds_tag=1))


def _residual_down(subnet: _Subnet) -> _Subnet:
    """`ares_down`: as `_residual`, at half the size, the value before them average-pooled."""
    halved = _tagged(2, _stack(5, _tagged(1, subnet)))
    return _layer(_layer(_layer(_tagged(1, halved, back=True)), adds_tag=2))


def _face_resnet_type() -> _Subnet:
    """`anet_type` of dlib's example: 29 convolutions, 150 x 150 in, 128 out."""
    net = _stack(4, None)  # convolution, affine, relu, max pooling
    for count in (3, 3, 2, 2):
        for _ in range(count):
            net = _residual(net)
        net = _residual_down(net)
    return _stack(2, net)  # average over the plane, dense


def read_face_resnet(data: bytes) -> list[Layer]:
    """Read `dlib_face_recognition_resnet_model_v1.dat`.

    Convention:
        data: the file's bytes.
        returns: the layers, the first computed first.

    Raises:
        DatFormatError: the bytes hold another type, or more than it.
    """
    reader = Reader(data)
    reader.expect(1, "loss layer version")
    loss = reader.text()
    if loss != "loss_metric_2":
        raise DatFormatError(f"the network must end with loss_metric_2, got {loss!r}")
    reader.reals(2)  # margin and distance threshold of the training loss
    layers: list[Layer] = []
    _face_resnet_type()(reader, layers)
    reader.finish()
    return layers


@dataclass(frozen=True)
class Mmod:
    """A max-margin object detector (King 2015): its network and how its detections are read.

    Args:
        layers: The first computed first.
        window_wh: Width and height in pixels of what one cell of the output detects.
        nms_iou: Overlap from which the weaker of two detections is dropped.
    """

    layers: list[Layer]
    window_wh: tuple[int, int]
    nms_iou: float


def read_mmod(data: bytes) -> Mmod:
    """Read `mmod_human_face_detector.dat`.

    Convention:
        data: the file's bytes.
        returns: the detector; its batch normalisations as affine layers.

    Raises:
        DatFormatError: the bytes hold another type, or more than it.
    """
    reader = Reader(data)
    reader.expect(1, "loss layer version")
    loss = reader.text()
    if loss != "loss_mmod_":
        raise DatFormatError(f"the network must end with loss_mmod_, got {loss!r}")
    reader.expect(1, "options version")
    width, height = reader.integers(2)
    reader.reals(3)  # losses of false alarms and misses, overlap of a found truth
    nms_iou, covered = reader.reals(2)
    if covered != 1.0:
        raise DatFormatError(f"suppression by covered area must be off (1.0), got {covered}")
    reader.reals(2)  # what training ignored
    layers: list[Layer] = []
    # Three downsampling and three plain units of convolution, normalisation, relu; then the
    # convolution that scores. The first layer's subnet is the input.
    _stack(6 * 3 + 1, None)(reader, layers)
    reader.finish()
    return Mmod(layers, (width, height), nms_iou)
