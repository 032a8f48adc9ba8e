"""Five points by a cascade of regression trees, as dlib's shape predictor evaluates them.

Source: Kazemi and Sullivan 2014, "One Millisecond Face Alignment with an Ensemble of Regression
Trees"; conventions of dlib's ``shape_predictor``.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_shape
from vultus.align._window import REMAP_LIMIT_PX, window
from vultus.errors import InputError, WeightDamagedError
from vultus.types import Image

__all__ = ["FivePointRegressor"]

Floats = NDArray[np.floating[Any]]

# Grey of a sum of three channels, whole numbers as in dlib.
_THIRD = (np.arange(3 * 255 + 1) // 3).astype(np.float32)

# The arrays of a weight in the order of the constructor, with their kind: float or unsigned.
_KINDS = {
    "init": "f", "idx1": "u", "idx2": "u", "th": "f", "leaf": "f", "anchor": "u", "delta": "f",
}  # fmt: skip
# What NumPy, zipfile and zlib raise for damaged, empty, foreign, encrypted and pickled files.
_UNREADABLE = (
    KeyError, TypeError, ValueError, RuntimeError, OSError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class FivePointRegressor:
    """Two corners of each eye and the base of the nose, from a box around the face.

    The order is dlib's: viewer's right eye outer and inner corner, left eye outer and inner
    corner, base of the nose. All faces of a call go through the cascade together.

    Args:
        initial: (10,) mean shape, xy interleaved, in units of the box.
        first: (c, t, k) feature compared first at each of the k splits of each of t trees in
            each of c cascades.
        second: (c, t, k) feature compared second.
        limits: (c, t, k) a split goes left when first - second exceeds this.
        leaves: (c, t, k + 1, 10) shape change per leaf.
        anchors: (c, f) landmark each feature is relative to.
        offsets: (c, f, 2) offset from that landmark in units of the mean shape.
    """

    def __init__(
        self,
        initial: Floats,
        first: NDArray[np.integer[Any]],
        second: NDArray[np.integer[Any]],
        limits: Floats,
        leaves: Floats,
        anchors: NDArray[np.integer[Any]],
        offsets: Floats,
    ) -> None:
        cascades, trees, splits = first.shape
        self._initial = initial.astype(np.float32)
        mean = self._initial.reshape(-1, 2).astype(np.float64)
        self._mean_centred = (mean - mean.mean(axis=0)) @ (1, 1j)
        self._mean_spread = float((np.abs(self._mean_centred) ** 2).sum())
        self._first = first.reshape(cascades, -1).astype(np.intp)
        self._second = second.reshape(cascades, -1).astype(np.intp)
        self._limits = limits.reshape(cascades, -1).astype(np.float32)
        self._leaves = np.ascontiguousarray(leaves.reshape(cascades, -1, 10), dtype=np.float32)
        self._anchors = anchors.astype(np.intp)
        self._offsets = offsets.astype(np.float32)
        self._split_base = np.arange(trees) * splits
        self._leaf_base = np.arange(trees) * (splits + 1) - splits
        self._depth = int(np.log2(splits + 1))

    @classmethod
    def from_bytes(cls, weight: bytes) -> Self:
        """Load the arrays of an ``.npz`` weight; nothing in it is executed.

        Raises:
            WeightDamagedError: The file cannot be read, or an array is missing or is not what
                it must be.
        """
        try:
            with np.load(io.BytesIO(weight), allow_pickle=False) as z:
                arrays = {name: np.asarray(z[name]) for name in _KINDS}
            _check_arrays(arrays)
        except (*_UNREADABLE, InputError) as error:
            raise WeightDamagedError(
                f"the five-point weight cannot be read: {error}",
                remedy="`vultus models verify dlib-five-points` tells whether it is damaged",
            ) from error
        return cls(*arrays.values())

    def __call__(
        self, image: Image, boxes: Floats, tilt_rad: Floats | None = None
    ) -> NDArray[np.float64]:
        """Find the points of several faces of one picture.

        Args:
            image: (h, w, 3) uint8 RGB.
            boxes: (n, 4) left, top, right, bottom in pixels, right and bottom inclusive as in
                dlib. They may reach outside; there the picture counts as black.
            tilt_rad: (n,) angle by which each box is turned about its centre, clockwise as the
                viewer sees it; upright when ``None``.

        Returns:
            (n, 5, 2) xy in pixels of the picture, not rounded.
        """
        if len(boxes) == 0:
            return np.zeros((0, 5, 2))
        tilt = np.zeros(len(boxes)) if tilt_rad is None else tilt_rad
        if max(image.shape[:2]) > REMAP_LIMIT_PX:
            return self._in_windows(image, boxes, tilt)
        origin, axes = _frames(boxes.astype(np.float64), tilt)
        shape = np.repeat(self._initial[None], len(boxes), axis=0)
        for stage in range(len(self._leaves)):
            shape = shape + self._step(image, origin, axes, shape, stage)
        points: NDArray[np.float64] = shape.reshape(-1, 5, 2) @ axes + origin
        return points

    def _in_windows(self, image: Image, boxes: Floats, tilt: Floats) -> NDArray[np.float64]:
        """Each face in a window of its own, for pictures beyond what OpenCV can address."""
        points = np.empty((len(boxes), 5, 2))
        for i, box in enumerate(boxes):
            reach = box[2:4] - box[:2]
            part, origin = window(image, box[:2] - reach, box[2:4] + reach)
            points[i] = self(part, (box - np.tile(origin, 2))[None], tilt[i : i + 1])[0] + origin
        return points

    def _step(
        self, image: Image, origin: Floats, axes: Floats, shape: Floats, stage: int
    ) -> NDArray[np.float32]:
        """(n, 10) sum of the leaves that one cascade's trees choose."""
        change: NDArray[np.float32] = self._chosen(image, origin, axes, shape, stage).sum(axis=1)
        return change

    def _chosen(
        self, image: Image, origin: Floats, axes: Floats, shape: Floats, stage: int
    ) -> NDArray[np.float32]:
        """(n, t, 10) the leaf that each of one cascade's trees chooses."""
        grey = self._features(image, origin, axes, shape.reshape(-1, 5, 2), stage)
        difference = np.take(grey, self._first[stage], axis=1)
        difference -= np.take(grey, self._second[stage], axis=1)
        right = (difference <= self._limits[stage]).ravel().view(np.int8)
        row = np.arange(len(grey))[:, None] * len(self._limits[stage])
        root = row + self._split_base
        node = np.zeros((len(grey), len(self._split_base)), np.intp)
        for _ in range(self._depth):
            turn = np.take(right, root + node)
            node += node
            node += turn
            node += 1
        node += self._leaf_base
        leaves: NDArray[np.float32] = np.take(self._leaves[stage], node, axis=0)
        return leaves

    def _features(
        self, image: Image, origin: Floats, axes: Floats, shape: Floats, stage: int
    ) -> NDArray[np.float32]:
        """(n, f) grey values (r + g + b) // 3 at the cascade's feature points, 0 outside."""
        centred = (shape - shape.mean(axis=1, keepdims=True, dtype=np.float64)) @ (1, 1j)
        turn = (np.conj(self._mean_centred) * centred).sum(axis=1) / self._mean_spread
        linear = np.stack([turn.real, -turn.imag, turn.imag, turn.real], axis=1)
        linear = linear.reshape(-1, 2, 2).astype(np.float32)
        places = self._offsets[stage] @ linear.transpose(0, 2, 1) + shape[:, self._anchors[stage]]
        across, down = places[..., 0], places[..., 1]
        x, y = (
            np.floor(across * axes[:, :1, i] + down * axes[:, 1:, i] + (origin[..., i] + 0.5))
            for i in (0, 1)
        )
        x, y = x.astype(np.float32), y.astype(np.float32)
        rgb = cv2.remap(image, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        wide = np.asarray(rgb, dtype=np.uint16)
        total = wide[..., 0] + wide[..., 1] + wide[..., 2]
        grey: NDArray[np.float32] = np.take(_THIRD, total)
        return grey


def _frames(boxes: Floats, tilt: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 1, 2) origin and (n, 2, 2) axes: a place p of a unit box is at ``p @ axes + origin``."""
    size = boxes[:, 2:4] - boxes[:, :2]
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)  # rows: turned x and y axis
    axes = size[:, :, None] * turn
    center = (boxes[:, :2] + boxes[:, 2:4]) / 2
    return (center - axes.sum(axis=1) / 2)[:, None, :], axes


def _check_arrays(arrays: dict[str, NDArray[Any]]) -> None:
    """Require the arrays of a weight to fit together, so that evaluating them cannot go astray.

    Raises:
        ShapeError: One has the wrong shape.
        RangeError: One is not finite.
        ValueError: One has the wrong kind of elements, or points outside another.
    """
    check_shape(arrays["idx1"], (None, None, None), "idx1")
    check_shape(arrays["anchor"], (None, None), "anchor")
    cascades, trees, splits = arrays["idx1"].shape
    features = arrays["anchor"].shape[1]
    shapes = {
        "init": (10,),
        "idx2": (cascades, trees, splits),
        "th": (cascades, trees, splits),
        "leaf": (cascades, trees, splits + 1, 10),
        "anchor": (cascades, features),
        "delta": (cascades, features, 2),
    }
    for name, shape in shapes.items():
        check_shape(arrays[name], shape, name)
    for name, kind in _KINDS.items():
        if arrays[name].dtype.kind != kind:
            raise ValueError(f"{name} must be of kind {kind!r}, got {arrays[name].dtype}")
        if kind == "f":
            check_finite(arrays[name], name)
    if splits < 1 or splits & (splits + 1):
        raise ValueError(f"a tree must have 2^d - 1 splits, got {splits}")
    for name, limit in (("idx1", features), ("idx2", features), ("anchor", 5)):
        if (arrays[name] >= limit).any():
            raise ValueError(f"{name} must be below {limit}, got {arrays[name].max()}")
