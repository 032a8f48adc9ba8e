"""The five-point regressor: its arrays as an npz file, and its evaluation in NumPy as dlib does it.

The evaluation is the slow, exact reference behind the comparison; what vultus runs is its own.
"""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.dlib_trees import ShapePredictor
from convert.npz import npz_bytes

__all__ = ["convert_five_points", "load", "locate"]

FloatArray = NDArray[np.float32]


def convert_five_points(predictor: ShapePredictor) -> bytes:
    """Return the npz file: one plain array for each field of `ShapePredictor`."""
    fields = dataclasses.fields(predictor)
    return npz_bytes({field.name: getattr(predictor, field.name) for field in fields})


def load(data: bytes) -> ShapePredictor:
    """Read what `convert_five_points` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return ShapePredictor(**arrays)


def locate(
    predictor: ShapePredictor, picture: NDArray[np.uint8], box_ltrb: NDArray[Any]
) -> NDArray[np.int64]:
    """Run the cascade on one face.

    Arithmetic is in float32 and in dlib's order where dlib's is, because a last digit can send a
    tree down its other branch.

    Convention:
        picture: (h, w, 3) uint8 RGB.
        box_ltrb: (4,) left, top, right, bottom in pixels, the last two inclusive.
        returns: (n, 2) xy in whole pixels.

    Source: dlib `shape_predictor.h`, `extract_feature_pixel_values` and `operator()`.
    """
    gray = (picture.astype(np.uint16).sum(axis=2) // 3).astype(np.float32)
    left, top, right, bottom = (float(side) for side in box_ltrb)
    origin, size = np.array([left, top]), np.array([right - left, bottom - top])
    shape = predictor.init
    for stage in range(len(predictor.idx1)):
        points = shape.reshape(-1, 2)
        turn = _similarity(predictor.init.reshape(-1, 2), points)
        offset = predictor.delta[stage]
        moved = np.stack(
            [
                turn[0, 0] * offset[:, 0] + turn[0, 1] * offset[:, 1],
                turn[1, 0] * offset[:, 0] + turn[1, 1] * offset[:, 1],
            ],
            axis=1,
        )
        places = (moved + points[predictor.anchor[stage]]).astype(np.float64) * size + origin
        leaves = _leaves(predictor, stage, _sample(gray, _rounded(places)))
        # accumulate adds one tree after the other; sum() would be free to pair them.
        shape = np.add.accumulate(np.vstack([shape, leaves]), axis=0, dtype=np.float32)[-1]
    return _rounded(shape.reshape(-1, 2).astype(np.float64) * size + origin)


def _rounded(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole pixels, as dlib's `vector.h` makes them of a point."""
    return np.floor(places + 0.5).astype(np.int64)


def _sample(gray: FloatArray, places: NDArray[np.int64]) -> FloatArray:
    """Brightness at each place, 0 outside the picture."""
    size_wh = np.array(gray.shape[::-1])
    inside = ((places >= 0) & (places < size_wh)).all(axis=1)
    x, y = np.clip(places, 0, size_wh - 1).T
    return np.where(inside, gray[y, x], np.float32(0))


def _leaves(predictor: ShapePredictor, stage: int, values: FloatArray) -> FloatArray:
    """Walk every tree of a stage at once; returns what each adds, (trees, 2n)."""
    first, second = predictor.idx1[stage], predictor.idx2[stage]
    trees, splits = np.arange(first.shape[0]), first.shape[1]
    node = np.zeros(len(trees), np.int64)
    # The trees are complete, so all reach their leaves after as many steps.
    while node[0] < splits:
        difference = values[first[trees, node]] - values[second[trees, node]]
        node = 2 * node + np.where(difference > predictor.th[stage][trees, node], 1, 2)
    leaves: FloatArray = predictor.leaf[stage][trees, node - splits]
    return leaves


def _similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """Rotation and scale, (2, 2) float32, of the least-squares similarity (Umeyama 1991)."""
    a = source.astype(np.float64) - source.mean(axis=0, dtype=np.float64)
    b = target.astype(np.float64) - target.mean(axis=0, dtype=np.float64)
    norm = (a * a).sum()
    cosine = (a * b).sum() / norm
    sine = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
    return np.array([[cosine, -sine], [sine, cosine]], np.float32)
