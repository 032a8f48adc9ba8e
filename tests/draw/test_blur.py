from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.draw import hide_faces
from vultus.draw.blur import CELLS, MARGIN
from vultus.errors import DtypeError, RangeError, ShapeError
from vultus.pipeline import Recognizer
from vultus.sources import load_image
from vultus.types import Box, Face, Frame

NOISE = np.random.default_rng(0).integers(0, 256, (200, 160, 3)).astype(np.uint8)
BOX = Box(40, 50, 100, 130)
# The box and 0.2 of its 60 x 80 px on each side.
ROWS, COLUMNS = slice(34, 146), slice(28, 112)


def _outside(image: np.ndarray) -> np.ndarray:
    kept = np.ones(image.shape[:2], bool)
    kept[ROWS, COLUMNS] = False
    return image[kept]


class TestRegion:
    @pytest.mark.parametrize("style", ["blur", "pixelate", "mask"])
    def test_nothing_changes_outside_and_all_inside(self, style):
        before = NOISE.copy()
        hidden = hide_faces(NOISE, [BOX], style=style)
        assert (before == NOISE).all()  # the picture handed in
        assert (_outside(hidden) == _outside(NOISE)).all()
        same = (hidden[ROWS, COLUMNS] == NOISE[ROWS, COLUMNS]).all(axis=2).mean()
        assert same < 0.01

    def test_the_margin(self):
        hidden = hide_faces(NOISE, [BOX], style="mask", margin=0.0)
        changed = (hidden != NOISE).any(axis=2)
        assert changed[50:130, 40:100].mean() > 0.99
        assert changed.sum() <= 60 * 80

    def test_parts_of_pixels_are_hidden_whole(self):
        hidden = hide_faces(NOISE, [Box(10.6, 20.6, 14.2, 24.2)], style="mask", margin=0.0)
        changed = np.argwhere((hidden != NOISE).any(axis=2))
        assert (changed.min(axis=0).tolist(), changed.max(axis=0).tolist()) == ([20, 10], [24, 14])

    def test_an_ellipse_leaves_the_corners(self):
        hidden = hide_faces(NOISE, [BOX], style="mask", elliptical=True)
        changed = (hidden != NOISE).any(axis=2)
        assert changed.sum() == pytest.approx(np.pi / 4 * 84 * 112, rel=0.01)
        assert not changed[ROWS, COLUMNS][:10, :10].any()
        assert changed[90, 70]

    @pytest.mark.parametrize(
        "box", [Box(-50, -50, 30, 30), Box(140, 180, 300, 300), Box(0, 0, 160, 200)]
    )
    @pytest.mark.parametrize("elliptical", [False, True])
    def test_at_the_edge(self, box, elliptical):
        hidden = hide_faces(NOISE, [box], style="mask", elliptical=elliptical)
        assert hidden.shape == NOISE.shape
        assert (hidden != NOISE).any()

    def test_outside_the_picture_nothing_happens(self):
        assert (hide_faces(NOISE, [Box(500, 500, 600, 600)]) == NOISE).all()

    def test_no_boxes(self):
        hidden = hide_faces(NOISE, [])
        assert (hidden == NOISE).all()
        assert hidden is not NOISE

    @settings(max_examples=40, deadline=None)
    @given(
        st.tuples(*[st.floats(-100, 300)] * 2, *[st.floats(0.5, 300)] * 2),
        st.sampled_from(["blur", "pixelate", "mask"]),
        st.booleans(),
    )
    def test_any_box(self, place, style, elliptical):
        x, y, wide, high = place
        hidden = hide_faces(
            NOISE, [Box(x, y, x + wide, y + high)], style=style, elliptical=elliptical
        )
        assert hidden.shape == NOISE.shape


class TestStrength:
    def test_pixelated_are_no_more_colours_than_cells(self):
        part = hide_faces(NOISE, [BOX], style="pixelate")[ROWS, COLUMNS]
        assert len(np.unique(part.reshape(-1, 3), axis=0)) == CELLS**2
        part = hide_faces(NOISE, [BOX], style="pixelate", cells=3)[ROWS, COLUMNS]
        assert len(np.unique(part.reshape(-1, 3), axis=0)) == 9

    def test_a_cell_is_the_mean_of_its_pixels(self):
        part = hide_faces(NOISE, [BOX], style="pixelate", cells=2, margin=0.0)[50:130, 40:100]
        expected = NOISE[50:90, 40:70].mean(axis=(0, 1))
        np.testing.assert_allclose(part[0, 0], expected, atol=0.51)
        assert (part[:40, :30] == part[0, 0]).all()

    def test_blurred_is_no_more_than_that_either(self):
        smooth = hide_faces(NOISE, [BOX], style="blur", cells=2)[ROWS, COLUMNS].astype(int)
        squares = hide_faces(NOISE, [BOX], style="pixelate", cells=2)[ROWS, COLUMNS]
        # Two pictures with equal cells look alike, whatever they showed.
        swapped = NOISE.copy()
        swapped[ROWS, COLUMNS] = squares
        again = hide_faces(swapped, [BOX], style="blur", cells=2)[ROWS, COLUMNS]
        assert np.abs(smooth - again).max() <= 1
        assert np.abs(np.diff(smooth, axis=0)).max() <= 3

    def test_masked_is_one_colour(self):
        part = hide_faces(NOISE, [BOX], style="mask", color=(1, 2, 3))[ROWS, COLUMNS]
        assert (part == (1, 2, 3)).all()

    def test_strength_grows_with_the_face(self):
        large = np.kron(NOISE, np.ones((3, 3, 1), np.uint8))
        part = hide_faces(large, [Box(120, 150, 300, 390)], style="pixelate")[102:438, 84:336]
        small = hide_faces(NOISE, [BOX], style="pixelate")[ROWS, COLUMNS]
        np.testing.assert_allclose(part[::3, ::3].astype(int), small, atol=1)

    def test_a_tiny_face(self):
        hidden = hide_faces(NOISE, [Box(10, 10, 14, 14)], style="pixelate", margin=0.0)
        np.testing.assert_allclose(hidden[10, 10], NOISE[10:12, 10:12].mean(axis=(0, 1)), atol=0.51)
        assert (hidden[10:12, 10:12] == hidden[10, 10]).all()


class TestBadOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"style": "fog"}, "must be one of blur, pixelate, mask, got 'fog'"),
            ({"cells": 0}, "cells must be at least 1, got 0"),
            ({"margin": -0.1}, "margin must be 0 or more, got -0.1"),
            ({"margin": float("nan")}, "margin must be 0 or more"),
            ({"color": (0, 0, 256)}, r"in 0\.\.255"),
        ],
    )
    def test_each(self, options, message):
        with pytest.raises(RangeError, match=message):
            hide_faces(NOISE, [BOX], **options)

    def test_no_picture(self):
        with pytest.raises(DtypeError):
            hide_faces(NOISE.astype(float), [BOX])
        with pytest.raises(ShapeError):
            hide_faces(NOISE[..., 0], [BOX])


@pytest.mark.parametrize("style", ["blur", "pixelate", "mask"])
def test_a_hidden_face_is_not_recognised(style, samples: Path, recognizer: Recognizer):
    image = load_image(samples / "photos" / "obama3.jpg")
    (face,) = recognizer.detect(image)
    clear = recognizer.embed(face)
    hidden = hide_faces(image, [face.box], style=style)
    # Even told where the landmarks were, the embedder does not know the face.
    known = Face(face.box, 1.0, face.landmarks, Frame(hidden))
    similarity = recognizer.embed(known).similarity(clear)
    assert similarity < recognizer.threshold.value - 0.03
    for found in recognizer.detect(hidden):
        assert recognizer.embed(found).similarity(clear) < recognizer.threshold.value


def test_the_margin_is_that_of_the_documentation():
    assert (CELLS, MARGIN) == (6, 0.2)
