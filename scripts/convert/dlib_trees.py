"""dlib's shape predictor, a cascade of regression trees, read from its `.dat` file.

Source: dlib 19.x and 20.x, `dlib/image_processing/shape_predictor.h`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.dlib_format import Reader

__all__ = ["ShapePredictor", "read_shape_predictor"]

FloatArray = NDArray[np.float32]


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
    reader.finish()
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
