from __future__ import annotations

import math

import pytest

from vultus.detect import DetectorOptions
from vultus.errors import RangeError


def test_default():
    options = DetectorOptions()
    assert options.min_face_px is options.score_threshold is options.nms_iou is None
    assert (options.size_wh, options.max_side_px, options.scales) == (None, 2048, "one")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_min_face(value):
    with pytest.raises(RangeError, match=f"min_face_px must be finite and above 0, got {value}"):
        DetectorOptions(min_face_px=value)


@pytest.mark.parametrize("name", ["score_threshold", "nms_iou"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_unit_values(name, value):
    with pytest.raises(RangeError, match=rf"{name} must lie in \[0, 1\], got {value}"):
        DetectorOptions(**{name: value})


@pytest.mark.parametrize("value", [{"max_side_px": 31}, {"max_side_px": 16_385},
                                   {"size_wh": (640, 0)}, {"size_wh": (99_999, 640)}])  # fmt: skip
def test_sizes(value):
    with pytest.raises(RangeError, match=r"max_side_px and size_wh must lie in 32\.\.16384"):
        DetectorOptions(**value)


def test_scales():
    with pytest.raises(RangeError, match=r"scales must be one of .*, got 'three'"):
        DetectorOptions(scales="three")
    with pytest.raises(RangeError, match=r"fixed size \(640, 640\) has one scale"):
        DetectorOptions(scales="two", size_wh=(640, 640))
