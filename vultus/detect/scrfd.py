"""SCRFD: from each cell, the distances to the box's sides and the way to the five points.

Source: Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection";
decoding as in InsightFace, detection/scrfd/tools/scrfd.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._cells import cell_xy, check_counts
from vultus.detect._faces import Candidates, joined, passing
from vultus.detect._single_shot import SingleShot

__all__ = ["Scrfd"]


class Scrfd(SingleShot):
    """SCRFD of any size, with landmarks; arguments as `SingleShot`.

    The network gives scores, distances and points, each once per stride, as (cells × anchors,
    1 | 4 | 10); distances and points are in strides, from the cell's top left corner.
    """

    sure_score = 0.8

    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        strides, anchors = self._spec.strides, self._spec.anchors_per_cell
        levels = len(strides)
        counts = [len(scores) for scores in outputs[:levels]]
        check_counts(counts, size_wh, strides, [anchors] * levels, self.name)
        found = []
        for level, stride in enumerate(strides):
            scores, sides, ways = outputs[level::levels]
            scores = scores.reshape(-1)
            rows = passing(scores, self._threshold, self.name)
            if not len(rows):
                continue
            corner = cell_xy(rows // anchors, size_wh, stride)
            side = sides.take(rows, axis=0)
            boxes = np.concatenate([corner - side[:, :2], corner + side[:, 2:]], axis=1)
            points = ways.take(rows, axis=0).reshape(-1, 5, 2)
            points += corner[:, None]
            found.append(Candidates(boxes * stride, scores.take(rows), points * stride))
        return joined(found)

    def _split(self, outputs: list[NDArray[Any]], count: int) -> Iterator[list[NDArray[Any]]]:
        if outputs[0].ndim == 2:  # InsightFace's usual export: batches of one, without that axis
            return iter([outputs])
        return super()._split(outputs, count)
