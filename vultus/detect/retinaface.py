"""RetinaFace: anchors of fixed sizes, corrected by a network.

Source: Deng et al. 2020, "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild";
anchors and decoding as in biubug6/Pytorch_Retinaface (layers/functions/prior_box.py,
utils/box_utils.py), there in parts of the input, here in its pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._cells import cell_xy, check_counts, level_counts
from vultus.detect._faces import Candidates, joined, passing
from vultus.detect._single_shot import SingleShot
from vultus.detect.base import DetectorOptions
from vultus.errors import CardError
from vultus.models import ModelCard
from vultus.runtime import Session

__all__ = ["RetinaFace"]


class RetinaFace(SingleShot):
    """RetinaFace with any backbone; arguments as `SingleShot`.

    The network gives locations (anchors, 4), probabilities after softmax (anchors, 2) and points
    (anchors, 10), whatever the outputs are called.

    Raises:
        CardError: The card lacks anchor sizes or variances.
    """

    sure_score = 0.999
    whole_px = 640

    def __init__(
        self, session: Session, card: ModelCard, options: DetectorOptions | None = None
    ) -> None:
        super().__init__(session, card, options)
        sizes, variances = self._spec.anchor_sizes_px, self._spec.variances
        if not sizes or variances is None:
            raise CardError(
                f"the card of {card.name} must state anchor_sizes_px and variances",
                path=card.name,
            )
        self._sides = sizes
        self._variances = variances

    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        location, probability, way = outputs
        each = [len(sides) for sides in self._sides]
        check_counts([len(probability)], size_wh, self._spec.strides, each, self.name)
        by_place, by_size = self._variances
        found, first = [], 0
        counts = level_counts(size_wh, self._spec.strides, each)
        for count, stride, sides in zip(counts, self._spec.strides, self._sides, strict=True):
            scores = probability[first : first + count, 1]
            rows = passing(scores, self._threshold, self.name)
            cell, anchor = np.divmod(rows, len(sides))
            side = np.array(sides, np.float32)[anchor, None]
            middle = (cell_xy(cell, size_wh, stride) + 0.5) * stride
            code = location[first : first + count].take(rows, axis=0)
            center = middle + code[:, :2] * by_place * side
            with np.errstate(over="ignore"):  # an infinite size is told where faces are made
                half = side * np.exp(code[:, 2:] * by_size) / 2
            boxes = np.concatenate([center - half, center + half], axis=1)
            ways = way[first : first + count].take(rows, axis=0).reshape(-1, 5, 2)
            points = middle[:, None] + ways * by_place * side[:, None]
            found.append(Candidates(boxes, scores.take(rows), points))
            first += count
        return joined(found)
