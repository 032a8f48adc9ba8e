from __future__ import annotations

import numpy as np
import pytest

from vultus.assess._aligned import FACE, SIZE_PX
from vultus.assess.illumination import contrast, illumination


def _crop(color: object) -> np.ndarray:
    return np.full((SIZE_PX, SIZE_PX, 3), color, np.uint8)


@pytest.mark.parametrize(
    ("color", "expected"), [(0, 0), (255, 255), (40, 40), ((255, 0, 0), 76), ((0, 255, 0), 150)]
)
def test_the_mean_luma(color, expected):
    assert illumination(_crop(color)) == expected
    assert contrast(_crop(color)) == 0.0


def test_only_the_face_counts():
    crop = _crop(200)
    crop[~FACE] = 0
    assert illumination(crop) == 200.0
    assert contrast(crop) == 0.0


def test_half_light_half_shade():
    crop = _crop(50)
    crop[:, :56] = 150  # FACE lies symmetric about 55.5
    assert illumination(crop) == pytest.approx(100.0)
    assert contrast(crop) == pytest.approx(100 / 255)


def test_a_highlight_is_no_contrast():
    crop = _crop(100)
    crop[20:30, 45:65] = 255  # 4 % of the face
    assert contrast(crop) == 0.0
