from __future__ import annotations

from dataclasses import asdict

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.assess._aligned import SIZE_PX, face_crop
from vultus.assess.occlusion import occlusion

# Where things lie in the crop, px: left, top, right, bottom.
GLASSES, MASK, PATCH = (20, 26, 92, 45), (24, 54, 88, 103), (20, 46, 48, 74)


@pytest.fixture(scope="module")
def crop(astronaut) -> np.ndarray:
    return face_crop(astronaut)


def _covered(crop: np.ndarray, place: tuple[int, int, int, int], color: object) -> dict[str, float]:
    left, top, right, bottom = place
    changed = crop.copy()
    changed[top:bottom, left:right] = color
    return asdict(occlusion(changed))


def test_a_bare_face(crop):
    assert max(asdict(occlusion(crop)).values()) < 0.35


def test_sunglasses(crop):
    found = _covered(crop, GLASSES, (25, 22, 24))
    assert found.pop("left_eye") > 0.85
    assert found.pop("right_eye") > 0.85
    assert max(found.values()) < 0.5


@pytest.mark.parametrize("color", [(240, 240, 240), (150, 190, 220), (30, 30, 35)])
def test_a_mask(crop, color):
    found = _covered(crop, MASK, color)
    assert found.pop("mouth") > 0.7
    assert found.pop("chin") > 0.6
    assert max(found["left_eye"], found["right_eye"]) < 0.5


def test_a_patch_on_one_cheek(crop):
    bare, found = asdict(occlusion(crop)), _covered(crop, PATCH, (60, 90, 200))
    assert found["left_cheek"] > 0.8
    for part in ("right_eye", "mouth", "right_cheek", "chin"):
        assert found[part] < bare[part] + 0.2


def test_left_is_the_viewers(crop):
    straight = asdict(occlusion(cv2.flip(crop, 1)))
    mirrored = asdict(occlusion(crop))
    for left, right in (("left_eye", "right_eye"), ("left_cheek", "right_cheek")):
        assert straight[left] == pytest.approx(mirrored[right], abs=0.05)
        assert straight[right] == pytest.approx(mirrored[left], abs=0.05)
    assert straight["nose"] == pytest.approx(mirrored["nose"], abs=0.05)


def test_neither_blur_nor_darkness_is_a_cover(crop):
    for other in (cv2.GaussianBlur(crop, (0, 0), 2.0), (crop * 0.3).astype(np.uint8)):
        assert max(asdict(occlusion(other)).values()) < 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 80))
def test_always_a_share(seed, sigma):
    draw = np.random.default_rng(seed)
    base = draw.integers(0, 256, 3)
    pixels = np.clip(base + draw.normal(0, sigma, (SIZE_PX, SIZE_PX, 3)), 0, 255).astype(np.uint8)
    assert all(0.0 <= value <= 1.0 for value in asdict(occlusion(pixels)).values())
