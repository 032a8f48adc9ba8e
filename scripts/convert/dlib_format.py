"""dlib's `.dat` files, read without dlib: the face-embedding ResNet and the shape predictor.

dlib writes a C++ object as its parts in order, with no names and no table of contents, so a reader
must know the type. Numbers are written so that they fit any machine: an integer is one byte of
sign and length, then that many bytes, least significant first; a real number is an integer
mantissa and an integer exponent to base two.

Source: dlib 19.x and 20.x, `dlib/serialize.h`, `dlib/float_details.h`, `dlib/dnn/core.h`,
`dlib/dnn/layers.h`, `dlib/image_processing/shape_predictor.h` and, for the network's type,
`examples/dnn_face_recognition_ex.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "Affine",
    "Conv",
    "DatFormatError",
    "Dense",
    "Input",
    "Layer",
    "Pool",
    "Reader",
    "Relu",
    "ShapePredictor",
    "Tag",
    "read_face_resnet",
    "read_shape_predictor",
]

FloatArray = NDArray[np.float32]

# dlib/float_details.h: exponents that stand for the values no mantissa can express.
_INFINITY, _MINUS_INFINITY, _NOT_A_NUMBER = 32000, 32001, 32002


class DatFormatError(Exception):
    """The bytes are not the object that was to be read."""


class Reader:
    """The primitive values of a `.dat` file, one after the other.

    Args:
        data: The whole file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def at_end(self) -> bool:
        """Whether every byte has been read."""
        return self.position == len(self._data)

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._data):
            raise DatFormatError(f"{count} bytes must follow at {self.position}; the file ends")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def integer(self) -> int:
        """One control byte (bit 7: negative; low nibble: length), then the magnitude."""
        control = self._take(1)[0]
        length = control & 0x0F
        if control & 0x70 or length > 8:
            raise DatFormatError(f"byte {control:#04x} at {self.position - 1} starts no integer")
        magnitude = int.from_bytes(self._take(length), "little")
        return -magnitude if control & 0x80 else magnitude

    def boolean(self) -> bool:
        """The character `0` or `1`."""
        character = self._take(1)
        if character not in (b"0", b"1"):
            raise DatFormatError(f"a boolean must be '0' or '1', got {character!r}")
        return character == b"1"

    def text(self) -> str:
        """A length, then that many bytes."""
        return self._take(self.integer()).decode("latin-1")

    def real(self) -> float:
        """Mantissa and exponent; three exponents stand for infinity, its negative and NaN."""
        mantissa, exponent = self.integer(), self.integer()
        special = {_INFINITY: math.inf, _MINUS_INFINITY: -math.inf, _NOT_A_NUMBER: math.nan}
        if exponent in special:
            return special[exponent]
        return math.ldexp(mantissa, exponent)

    def reals(self, count: int) -> tuple[float, ...]:
        """`count` real numbers."""
        return tuple(self.real() for _ in range(count))

    def integers(self, count: int) -> tuple[int, ...]:
        """`count` integers."""
        return tuple(self.integer() for _ in range(count))

    def column(self) -> FloatArray:
        """A column vector: rows, columns (negative for a size fixed in the type), then reals."""
        rows, columns = (abs(size) for size in self.integers(2))
        return np.array(self.reals(rows * columns), np.float32)

    def tensor(self) -> FloatArray:
        """A tensor: its version, four sizes, then raw little-endian floats."""
        self.expect(2, "tensor version")
        shape = self.integers(4)
        raw = self._take(4 * math.prod(shape))
        return np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape)

    def alias(self) -> int:
        """An alias tensor (a window on a parameter block); returns its number of elements."""
        self.expect(1, "alias tensor version")
        return math.prod(self.integers(4))

    def expect(self, value: int, what: str) -> None:
        """Read an integer that must be `value`."""
        actual = self.integer()
        if actual != value:
            raise DatFormatError(f"{what} must be {value}, got {actual}")


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
        "fc_2": _read_dense,
        "relu_": lambda _: Relu(),
    }
    if kind not in readers:
        raise DatFormatError(f"unknown layer {kind!r} at byte {reader.position}")
    return readers[kind](reader)


def _read_input(reader: Reader) -> Input:
    kind = reader.text()
    if kind != "input_rgb_image_sized":
        raise DatFormatError(f"the network must start with input_rgb_image_sized, got {kind!r}")
    mean_rgb = reader.reals(3)
    reader.integers(2)  # rows and columns: 150 x 150
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
    _require_end(reader)
    return layers


@dataclass(frozen=True)
class ShapePredictor:
    """A cascade of regression trees (Kazemi and Sullivan 2014), one array per field.

    Args:
        init: (2n,) mean shape, x and y in turn, in units of the face box.
        idx1: (cascades, trees, splits) uint16, first pixel each split compares.
        idx2: as `idx1`, the second pixel.
        th: (cascades, trees, splits) go left when first - second > threshold.
        leaf: (cascades, trees, leaves, 2n) what a tree adds to the shape.
        anchor: (cascades, pixels) uint16, the landmark a pixel is measured from.
        delta: (cascades, pixels, 2) its offset from there, xy in units of the face box.
    """

    init: FloatArray
    idx1: NDArray[np.uint16]
    idx2: NDArray[np.uint16]
    th: FloatArray
    leaf: FloatArray
    anchor: NDArray[np.uint16]
    delta: FloatArray


def read_shape_predictor(data: bytes) -> ShapePredictor:
    """Read a `shape_predictor_*_face_landmarks.dat`.

    Convention:
        data: the file's bytes.
        returns: its values; float32 holds each exactly, as dlib keeps them in float.

    Raises:
        DatFormatError: the bytes hold another type, or more than it.
    """
    reader = Reader(data)
    reader.expect(1, "shape predictor version")
    init = reader.column()
    forests = [
        [_read_tree(reader) for _ in range(reader.integer())] for _ in range(reader.integer())
    ]
    anchors = [reader.integers(reader.integer()) for _ in range(reader.integer())]
    deltas = [[reader.reals(2) for _ in range(reader.integer())] for _ in range(reader.integer())]
    _require_end(reader)
    splits = np.array([[splits for splits, _ in trees] for trees in forests], np.float64)
    return ShapePredictor(
        init=init,
        idx1=splits[..., 0].astype(np.uint16),
        idx2=splits[..., 1].astype(np.uint16),
        th=splits[..., 2].astype(np.float32),
        leaf=np.array([[leaves for _, leaves in trees] for trees in forests], np.float32),
        anchor=np.array(anchors, np.uint16),
        delta=np.array(deltas, np.float32),
    )


def _read_tree(reader: Reader) -> tuple[list[tuple[int, int, float]], list[FloatArray]]:
    splits = [(reader.integer(), reader.integer(), reader.real()) for _ in range(reader.integer())]
    return splits, [reader.column() for _ in range(reader.integer())]


def _require_end(reader: Reader) -> None:
    if not reader.at_end:
        raise DatFormatError(f"the file must end at byte {reader.position}; more follows")
