"""Area resampling against adaptive average pooling written out pixel by pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.detect._area import AreaSampler


def _pooled(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(3, h, w): the mean of the whole input pixels that each output pixel's cell touches."""
    height, width = image.shape[:2]
    out = np.empty((3, size_wh[1], size_wh[0]))
    for i in range(size_wh[1]):
        top, bottom = i * height // size_wh[1], -(-(i + 1) * height // size_wh[1])
        for j in range(size_wh[0]):
            left, right = j * width // size_wh[0], -(-(j + 1) * width // size_wh[0])
            cell = image[top:bottom, left:right].astype(np.float64)
            out[:, i, j] = cell.mean(axis=(0, 1))
    return out


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


size = st.integers(1, 40)


@given(size, size, size, size, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_resize(height: int, width: int, new_height: int, new_width: int, seed: int):
    image = _noise(height, width, seed)
    found = AreaSampler(image).resize((new_width, new_height))
    assert found.shape == (1, 3, new_height, new_width)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], _pooled(image, (new_width, new_height)), atol=1e-3)


@given(st.data(), size, size, st.sampled_from([1, 5, 24]))
@settings(max_examples=60, deadline=None)
def test_crop(data: st.DataObject, height: int, width: int, side: int):
    image = _noise(height, width)
    x = st.integers(0, width)
    y = st.integers(0, height)
    boxes = [
        (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        for x1, x2, y1, y2 in data.draw(
            st.lists(
                st.tuples(x, x, y, y).filter(lambda b: b[0] != b[1] and b[2] != b[3]), max_size=5
            )
        )
    ]
    found = AreaSampler(image).crop(np.array(boxes, np.float64).reshape(-1, 4), side)
    assert found.shape == (len(boxes), 3, side, side)
    for crop, (x1, y1, x2, y2) in zip(found, boxes, strict=True):
        np.testing.assert_allclose(crop, _pooled(image[y1:y2, x1:x2], (side, side)), atol=1e-3)


def test_same_size_is_the_picture_itself():
    image = _noise(9, 7)
    found = AreaSampler(image).resize((7, 9))
    np.testing.assert_allclose(found[0], image.transpose(2, 0, 1), atol=1e-4)


def test_one_pixel():
    image = np.array([[[7, 8, 9]]], np.uint8)
    assert AreaSampler(image).resize((2, 2))[0, :, 1, 1].tolist() == [7, 8, 9]
    assert AreaSampler(image).crop(np.array([[0, 0, 1, 1]]), 3)[0, :, 2, 2].tolist() == [7, 8, 9]


def test_a_view_that_is_not_contiguous():
    image = _noise(20, 30)[::2, ::-1]
    found = AreaSampler(image).resize((5, 5))
    np.testing.assert_allclose(found[0], _pooled(image, (5, 5)), atol=1e-3)


def test_sums_beyond_32_bits_do_not_show():
    white = np.full((3000, 3000, 3), 255, np.uint8)  # sums to 2.3e9, above 2^31
    sampler = AreaSampler(white)
    np.testing.assert_allclose(sampler.resize((7, 3)), 255, atol=1e-4)
    corner = sampler.crop(np.array([[2990, 2990, 3000, 3000]]), 4)
    np.testing.assert_allclose(corner, 255, atol=1e-4)
