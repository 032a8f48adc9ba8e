from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.assess._aligned import SIZE_PX, face_crop
from vultus.assess.sharpness import HALF_SPREAD, blur, noise, spread_px

FLAT = np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8)


def _squares(sigma_px: float, low: int = 40, high: int = 200) -> np.ndarray:
    """Squares of 28 px, whose edges are Gaussian steps."""
    down, across = np.indices((SIZE_PX, SIZE_PX))
    sharp = np.where((down // 28 + across // 28) % 2, high, low).astype(np.float32)
    soft = cv2.GaussianBlur(sharp, (0, 0), sigma_px) if sigma_px else sharp
    return np.repeat(np.rint(soft).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("sigma", "found"), [(0.0, 1.2), (1.0, 1.6), (1.5, 2.0), (2.0, 2.4), (3.0, 3.2)]
)
def test_the_spread_of_steps_is_found(sigma, found):
    assert spread_px(_squares(sigma)) == pytest.approx(found, abs=0.12)


def test_without_an_edge_it_is_blurred():
    assert spread_px(FLAT) == 16.0
    assert blur(FLAT) == pytest.approx(0.5**2 / (0.5**2 + HALF_SPREAD**2))  # 16 of 32 px


def test_half_where_the_spread_is_half():
    assert blur(_squares(32 * HALF_SPREAD)) == pytest.approx(0.5, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 110), st.integers(20, 120))
def test_neither_contrast_nor_brightness_counts(low, step):
    assert spread_px(_squares(2.0, low, low + step)) == pytest.approx(2.43, abs=0.1)


def test_motion_counts_though_edges_along_it_stay_sharp():
    still = _squares(0.8)
    moved = cv2.blur(still, (9, 1))
    assert spread_px(moved) > spread_px(still) + 1.0


class TestOnAFace:
    def test_rises_at_every_step(self, astronaut, changed):
        image = astronaut.frame.image
        softer = [cv2.GaussianBlur(image, (0, 0), s) for s in (0.6, 1, 1.5, 2, 3, 4, 6, 8)]
        found = [blur(face_crop(changed(i))) for i in (image, *softer)]
        assert found == sorted(found)
        assert found[0] < 0.25
        assert found[-1] > 0.7

    def test_answers_little_to_noise_light_and_jpeg(self, astronaut, changed):
        image = astronaut.frame.image
        draw = np.random.default_rng(0)
        noisy = np.clip(image + draw.normal(0, 10, image.shape), 0, 255).astype(np.uint8)
        dark = (image * 0.3).astype(np.uint8)
        packed = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1)
        expected = blur(face_crop(astronaut))
        for other in (noisy, dark, packed):
            assert blur(face_crop(changed(other))) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
def test_noise_is_measured_in_luma(sigma):
    grain = np.random.default_rng(1).normal(128, sigma, (SIZE_PX, SIZE_PX, 1))
    crop = np.repeat(np.clip(np.rint(grain), 0, 255).astype(np.uint8), 3, axis=2)
    assert noise(crop) == pytest.approx(sigma, rel=0.06)


def test_steps_are_no_noise():
    assert noise(FLAT) == 0.0
    assert noise(_squares(0.8)) == 0.0
