"""YuNet: one prediction per cell, an offset and the logarithm of the size.

Source: Wu, Peng and Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector"; decoding as in
OpenCV's ``FaceDetectorYN`` (modules/objdetect/src/face_detect.cpp).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._cells import cell_xy, check_counts
from vultus.detect._faces import Candidates, joined, passing
from vultus.detect._single_shot import SingleShot

__all__ = ["YuNet"]


class YuNet(SingleShot):
    """YuNet in any export with twelve outputs; arguments as `SingleShot`.

    The network gives class, object, box and points, each once per stride, as (cells, 1 | 1 | 4 |
    10); a score is the root of class times object, and all ways start at the cell's top left
    corner.
    """

    sure_score = 0.91
    whole_px = 640

    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        strides = self._spec.strides
        levels = len(strides)
        counts = [len(scores) for scores in outputs[:levels]]
        check_counts(counts, size_wh, strides, [1] * levels, self.name)
        found = []
        for level, stride in enumerate(strides):
            kind, thing, code, way = outputs[level::levels]
            product = (kind * thing).reshape(-1)
            rows = passing(product, self._threshold**2, self.name)
            if not len(rows):
                continue
            cell = cell_xy(rows, size_wh, stride)
            center, size = code.take(rows, axis=0).reshape(-1, 2, 2).transpose(1, 0, 2)
            center += cell
            with np.errstate(over="ignore"):  # an infinite size is told where faces are made
                half = np.exp(size) / 2
            boxes = np.concatenate([center - half, center + half], axis=1)
            points = way.take(rows, axis=0).reshape(-1, 5, 2)
            points += cell[:, None]
            scores = np.sqrt(product.take(rows))
            found.append(Candidates(boxes * stride, scores, points * stride))
        return joined(found)
