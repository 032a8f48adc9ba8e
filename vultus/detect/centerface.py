"""CenterFace: a face as the peak of a heat map.

Source: Xu et al. 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point";
decoding as in Star-Clouds/CenterFace, prj-python/centerface.py. The original stretches a picture
to multiples of 32; here it is padded, as all others are, so that a face keeps its proportions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._cells import cell_xy, check_counts
from vultus.detect._faces import Candidates, passing
from vultus.detect._single_shot import SingleShot

__all__ = ["CenterFace"]


class CenterFace(SingleShot):
    """CenterFace with landmarks; arguments as `SingleShot`.

    The network gives maps over cells of one stride: score (1, h, w), logarithm of height and
    width in strides (2, h, w), offset of the centre in y and x (2, h, w), and points in y and x
    as parts of the box (10, h, w).
    """

    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        heat, scale, offset, landmark = (output.reshape(len(output), -1) for output in outputs)
        scores = heat[0]
        check_counts([len(scores)], size_wh, self._spec.strides, [1], self.name)
        rows = passing(scores, self._threshold, self.name)
        stride = self._spec.strides[0]
        cell = cell_xy(rows, size_wh, stride)
        with np.errstate(over="ignore"):  # an infinite size is told where faces are made
            size = np.exp(scale[::-1, rows].T) * stride
        center = (cell + offset[::-1, rows].T + 0.5) * stride
        # The original cuts boxes off at the edges, and counts the points from the cut corner.
        corner = np.clip(center - size / 2, 0, size_wh)
        boxes = np.concatenate([corner, np.minimum(corner + size, size_wh)], axis=1)
        parts = landmark[:, rows].T.reshape(-1, 5, 2)[:, :, ::-1]
        return Candidates(boxes, scores[rows], corner[:, None] + parts * size[:, None])
