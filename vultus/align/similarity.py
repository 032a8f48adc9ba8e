"""Similarity transforms between point sets, and the five-point crop of ArcFace-style embedders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.align._window import window
from vultus.errors import DegenerateLandmarksError
from vultus.types import Face, Image

__all__ = ["ARCFACE_112", "SimilarityAligner", "similarity_transform"]

Floats = NDArray[np.floating[Any]]

# Viewer's left eye, right eye, nose, left and right mouth corner in a 112 x 112 crop.
# Source: Deng et al. 2019 (ArcFace), as published with InsightFace.
ARCFACE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
ARCFACE_112.flags.writeable = False


def similarity_transform(
    source: Floats, target: Floats, weights: Floats | None = None
) -> NDArray[np.float64]:
    """Least-squares rotation, uniform scale and shift that map `source` onto `target`.

    Args:
        source: (n, 2) xy, n ≥ 2.
        target: (n, 2) xy.
        weights: (n,) how much each point's squared error counts, ≥ 0; all alike when ``None``.

    Returns:
        (2, 3) matrix M with ``target ≈ M[:, :2] @ source + M[:, 2]``; never a reflection.

    Raises:
        DegenerateLandmarksError: The source points coincide, or no rotation fits better than
            shrinking to a point.

    Source: Umeyama 1991, in its closed form for the plane.
    """
    w = np.ones(len(source)) if weights is None else weights
    w = w / w.sum()
    source_mean, target_mean = w @ source, w @ target
    s = (source - source_mean).astype(np.float64) @ (1, 1j)
    t = (target - target_mean).astype(np.float64) @ (1, 1j)
    spread = float(w @ np.abs(s) ** 2)
    if spread < 1e-12:
        raise DegenerateLandmarksError(
            "landmarks must not all coincide", remedy="drop this face; its landmarks are unusable"
        )
    z = complex(w @ (np.conj(s) * t) / spread)
    if abs(z) < 1e-12:
        raise DegenerateLandmarksError(
            "landmarks admit no similarity transform",
            remedy="drop this face; its landmarks are unusable",
        )
    linear = np.array([[z.real, -z.imag], [z.imag, z.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


class SimilarityAligner:
    """Warp the five landmarks onto a template.

    Args:
        template: (5, 2) xy in pixels of a crop of `size_px`.
        size_px: Side of the crop.
        name: For embedding spaces, for example ``arcface-112``.
    """

    def __init__(self, template: Floats, size_px: int, name: str) -> None:
        self.name = name
        self.size_px = size_px
        self._template = template

    def align(self, faces: Sequence[Face]) -> list[Image]:
        """One (size_px, size_px, 3) uint8 RGB crop per face; pixels outside the picture are 0.

        Raises:
            DegenerateLandmarksError: Landmarks of a face coincide.
        """
        return [self._warp(face) for face in faces]

    def _warp(self, face: Face) -> Image:
        to_picture = similarity_transform(self._template, face.points)
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (self.size_px - 1)
        reached = corners @ to_picture[:, :2].T + to_picture[:, 2]
        part, origin = window(face.frame.image, reached.min(axis=0) - 2, reached.max(axis=0) + 2)
        matrix = similarity_transform(face.points - origin, self._template)
        size_wh = (self.size_px, self.size_px)
        return np.asarray(cv2.warpAffine(part, matrix, size_wh), dtype=np.uint8)
