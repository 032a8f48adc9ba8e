"""Ultra-Light RFB: boxes only, decoded in the graph.

Source: Linzaer, Ultra-Light-Fast-Generic-Face-Detector-1MB, run_video_face_detect_onnx.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._faces import Candidates, passing
from vultus.detect._letterbox import Letterbox, fit_fixed
from vultus.detect._single_shot import SingleShot

__all__ = ["UltraLight"]


class UltraLight(SingleShot):
    """Ultra-Light in the size its card states; arguments as `SingleShot`.

    The network gives probabilities (anchors, 2) and boxes (anchors, 4) as corners in parts of the
    input. As published, a picture is stretched to the input, whatever its aspect ratio.
    """

    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        probability, corners = outputs
        scores = probability[:, 1]
        rows = passing(scores, self._threshold, self.name)
        return Candidates(corners[rows] * np.tile(size_wh, 2), scores[rows])

    def _fit(self, picture_wh: tuple[int, int]) -> Letterbox:
        size_wh = self._input.size_wh
        if size_wh is None:
            return super()._fit(picture_wh)
        return fit_fixed(picture_wh, size_wh, stretch=True)
