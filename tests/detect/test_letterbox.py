"""Fitting pictures into inputs, held against the formulas written out pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.detect._letterbox import Letterbox, fit_fixed, fit_native, to_tensor
from vultus.models import InputSpec

PLAIN = InputSpec(layout="NCHW", channels="RGB")
SIDES = st.integers(1, 3000)


class TestNative:
    @pytest.mark.parametrize(
        ("picture", "multiple", "limit", "inner", "size"),
        [
            ((100, 50), 1, None, (100, 50), (100, 50)),
            ((100, 50), 32, None, (100, 50), (128, 64)),
            ((64, 96), 32, None, (64, 96), (64, 96)),
            ((65, 96), 32, None, (65, 96), (96, 96)),
            ((1, 1), 32, 640, (1, 1), (32, 32)),
            ((4000, 3000), 32, 2000, (2000, 1500), (2016, 1504)),
            ((3000, 4000), 32, 2048, (1536, 2048), (1536, 2048)),
            ((20000, 20), 32, 2048, (2048, 2), (2048, 32)),
            ((20, 20000), 32, 2048, (2, 2048), (32, 2048)),
            ((20000, 1), 32, 2048, (2048, 1), (2048, 32)),
            ((2048, 2048), 32, 2048, (2048, 2048), (2048, 2048)),
        ],
    )
    def test_by_hand(self, picture, multiple, limit, inner, size):
        assert fit_native(picture, multiple, limit) == Letterbox(picture, inner, (0, 0), size)


class TestFixed:
    @pytest.mark.parametrize(
        ("picture", "size", "inner", "centred"),
        [
            ((1920, 1080), (640, 640), (640, 360), (0, 140)),
            ((1080, 1920), (640, 640), (360, 640), (140, 0)),
            ((640, 640), (640, 640), (640, 640), (0, 0)),
            ((64, 32), (640, 640), (640, 320), (0, 160)),  # enlarged, as InsightFace does
            ((3, 1), (320, 240), (320, 106), (0, 67)),  # 106.67 is cut off; 134 left, 67 above
            ((1, 1), (320, 240), (240, 240), (40, 0)),
            ((20000, 20), (640, 640), (640, 1), (0, 319)),
        ],
    )
    def test_by_hand(self, picture, size, inner, centred):
        assert fit_fixed(picture, size) == Letterbox(picture, inner, (0, 0), size)
        assert fit_fixed(picture, size, center=True) == Letterbox(picture, inner, centred, size)

    def test_stretched(self):
        fit = fit_fixed((100, 300), (320, 240), stretch=True)
        assert fit == Letterbox((100, 300), (320, 240), (0, 0), (320, 240))
        assert fit.scale_xy == (3.2, 0.8)


class TestWayBack:
    def test_by_hand(self):
        fit = Letterbox((100, 50), (200, 150), (10, 20), (300, 300))
        boxes = np.array([[10, 20, 210, 170], [30, 50, 50, 80]], np.float32)
        assert fit.to_picture(boxes).tolist() == [[0, 0, 100, 50], [10, 10, 20, 20]]
        points = np.array([[[10.0, 20.0], [12.0, 23.0]]])
        assert fit.to_picture(points).tolist() == [[[0, 0], [1, 1]]]
        assert fit.to_input(np.array([[0, 0, 100, 50]])).tolist() == [[10, 20, 210, 170]]

    def test_none(self):
        fit = fit_native((10, 10))
        assert fit.to_picture(np.zeros((0, 4))).shape == (0, 4)
        assert fit.to_picture(np.zeros((0, 5, 2))).shape == (0, 5, 2)

    def test_leaves_what_it_is_given_alone(self):
        values = np.array([[8.0, 8.0, 16.0, 16.0]])
        Letterbox((10, 10), (20, 20), (0, 0), (32, 32)).to_picture(values)
        assert values.tolist() == [[8, 8, 16, 16]]

    @given(
        picture=st.tuples(SIDES, SIDES),
        size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
        kind=st.sampled_from(["native", "limited", "fixed", "centred", "stretched"]),
        part=st.tuples(*[st.floats(-0.5, 1.5)] * 4),
    )
    @settings(max_examples=200, deadline=None)
    def test_there_and_back(self, picture, size, kind, part):
        size = (size[0] * 32, size[1] * 32)
        fit = {
            "native": lambda: fit_native(picture, 32),
            "limited": lambda: fit_native(picture, 32, 640),
            "fixed": lambda: fit_fixed(picture, size),
            "centred": lambda: fit_fixed(picture, size, center=True),
            "stretched": lambda: fit_fixed(picture, size, stretch=True),
        }[kind]()
        box = np.array([part]) * np.tile(picture, 2)
        np.testing.assert_allclose(fit.to_picture(fit.to_input(box)), box, rtol=1e-9, atol=1e-6)
        # The picture's corners are the corners of its place in the input, to the pixel.
        whole = np.array([[0, 0, *picture]])
        place = np.array([[*fit.corner_xy, *np.add(fit.corner_xy, fit.inner_wh)]])
        np.testing.assert_allclose(fit.to_input(whole), place, atol=1e-9)
        assert all(
            1 <= inner <= side for inner, side in zip(fit.inner_wh, fit.size_wh, strict=True)
        )
        assert all(side % 32 == 0 for side in fit.size_wh)
        if kind != "stretched":  # the aspect ratio is kept, to the pixel that rounding takes
            scale = fit.scale_xy[int(np.argmax(picture))]
            assert np.all(np.abs(np.array(picture) * scale - fit.inner_wh) <= 1 + 1e-6)


def _naive(image: np.ndarray, fit: Letterbox, spec: InputSpec, pad: float | None) -> np.ndarray:
    """(3, h, w) float64: the definition, without a thought for speed."""
    inner = image
    if fit.inner_wh != fit.picture_wh:
        inner = cv2.resize(image, fit.inner_wh, interpolation=cv2.INTER_LINEAR)
    if spec.channels == "BGR":
        inner = inner[..., ::-1]
    normal = (inner - np.array(spec.mean)) / np.array(spec.std)
    outside = np.zeros(3) if pad is None else (pad - np.array(spec.mean)) / np.array(spec.std)
    out = np.empty((fit.size_wh[1], fit.size_wh[0], 3))
    out[:] = outside
    (x, y), (w, h) = fit.corner_xy, fit.inner_wh
    out[y : y + h, x : x + w] = normal
    return out.transpose(2, 0, 1)


class TestTensor:
    def test_by_hand(self):
        image = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
        spec = InputSpec(layout="NCHW", channels="BGR", mean=(1, 2, 3), std=(2, 4, 8))
        fit = Letterbox((2, 1), (2, 1), (1, 0), (4, 2))
        tensor = to_tensor([image], [fit], spec)
        assert tensor.dtype == np.float32
        assert tensor.tolist() == [
            [
                [[-0.5, 14.5, 29.5, -0.5], [-0.5, -0.5, -0.5, -0.5]],  # blue: (30 - 1) / 2
                [[-0.5, 4.5, 12.0, -0.5], [-0.5, -0.5, -0.5, -0.5]],
                [[-0.375, 0.875, 4.625, -0.375], [-0.375, -0.375, -0.375, -0.375]],
            ]
        ]

    def test_padding_after_normalisation(self):
        spec = InputSpec(layout="NCHW", channels="RGB", mean=(9, 9, 9), std=(3, 3, 3))
        tensor = to_tensor([np.zeros((1, 1, 3), np.uint8)], [fit_native((1, 1), 2)], spec, pad=None)
        assert tensor[0, 0].tolist() == [[-3, 0], [0, 0]]

    def test_channels_last(self):
        spec = InputSpec(layout="NHWC", channels="RGB")
        image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        tensor = to_tensor([image], [fit_native((2, 2))], spec)
        assert tensor.flags.c_contiguous
        assert np.array_equal(tensor[0], image)

    def test_every_value_of_a_byte(self):
        image = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
        spec = InputSpec(layout="NCHW", channels="RGB", mean=(127.5,) * 3, std=(128.0,) * 3)
        tensor = to_tensor([image], [fit_native((256, 1))], spec)
        assert np.array_equal(tensor[0, 1, 0], (np.arange(256) - 127.5) / 128)

    def test_a_batch(self):
        images = [np.full((4, 4, 3), value, np.uint8) for value in (1, 2, 3)]
        tensor = to_tensor(images, [fit_native((4, 4), 8)] * 3, PLAIN)
        assert tensor.shape == (3, 3, 8, 8)
        assert tensor[:, 0, 0, 0].tolist() == [1, 2, 3]
        assert tensor[:, :, 4:].max() == 0

    @given(
        seed=st.integers(0, 99),
        picture=st.tuples(st.integers(1, 40), st.integers(1, 40)),
        kind=st.sampled_from(["native", "limited", "fixed", "centred", "stretched"]),
        channels=st.sampled_from(["RGB", "BGR"]),
        normal=st.sampled_from([((0.0,) * 3, (1.0,) * 3), ((104.0, 117.0, 123.0), (1.0,) * 3),
                                ((127.5,) * 3, (128.0, 64.0, 1.0))]),
        pad=st.sampled_from([0.0, 114.0, None]),
    )  # fmt: skip
    @settings(max_examples=150, deadline=None)
    def test_as_the_definition(self, seed, picture, kind, channels, normal, pad):
        fit = {
            "native": lambda: fit_native(picture, 16),
            "limited": lambda: fit_native(picture, 16, 20),
            "fixed": lambda: fit_fixed(picture, (48, 32)),
            "centred": lambda: fit_fixed(picture, (48, 32), center=True),
            "stretched": lambda: fit_fixed(picture, (48, 32), stretch=True),
        }[kind]()
        spec = InputSpec(layout="NCHW", channels=channels, mean=normal[0], std=normal[1])
        rng = np.random.default_rng(seed)
        wide = rng.integers(0, 256, (picture[1] + 2, picture[0] + 3, 3), dtype=np.uint8)
        image = wide[1:-1, 2:-1]  # a view, not in one piece
        tensor = to_tensor([image], [fit], spec, pad=pad)
        np.testing.assert_allclose(tensor[0], _naive(image, fit, spec, pad), atol=1e-4, rtol=1e-6)
