from __future__ import annotations

import numpy as np
import pytest

from vultus.assess.liveness.nets import LivenessNet, context_crop
from vultus.errors import CardError
from vultus.models import Registry, Store
from vultus.types import Box


def gradient(height: int, width: int) -> np.ndarray:
    """Red counts columns, green rows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width)[None]
    image[..., 1] = np.arange(height)[:, None]
    return image


def reference(image: np.ndarray, box: Box, scale: float) -> tuple[int, int, int, int]:
    """`CropImage._get_new_box` of the program the networks were trained with."""
    height, width = image.shape[:2]
    x, y, box_w, box_h = box.x1, box.y1, box.width_px, box.height_px
    scale = min((height - 1) / box_h, (width - 1) / box_w, scale)
    new_w, new_h = box_w * scale, box_h * scale
    centre_x, centre_y = box_w / 2 + x, box_h / 2 + y
    left, top = centre_x - new_w / 2, centre_y - new_h / 2
    right, bottom = centre_x + new_w / 2, centre_y + new_h / 2
    if left < 0:
        left, right = 0, right - left
    if top < 0:
        top, bottom = 0, bottom - top
    if right > width - 1:
        left, right = left - (right - width + 1), width - 1
    if bottom > height - 1:
        top, bottom = top - (bottom - height + 1), height - 1
    return int(left), int(top), int(right), int(bottom)


@pytest.mark.parametrize(
    "box",
    [
        Box(90, 70, 130, 120),  # in the middle
        Box(2, 3, 40, 60),  # at the corner: moved inside
        Box(150, 100, 199, 149),  # at the other
        Box(20, 10, 180, 140),  # so large that nothing can be added
    ],
)
@pytest.mark.parametrize("scale", [1.0, 2.7, 4.0])
def test_crop_is_that_of_the_original_program(box: Box, scale: float):
    image = gradient(150, 200)
    left, top, right, bottom = reference(image, box, scale)
    size = (right - left + 1, bottom - top + 1)  # as cut, so that resizing changes nothing
    crop = context_crop(image, box, scale, size)
    expected = image[top : bottom + 1, left : right + 1]
    assert np.abs(crop.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("box", [Box(-30, -30, 10, 10), Box(190, 140, 260, 200), Box(5, 5, 6, 6)])
def test_boxes_that_leave_the_picture(box: Box):
    crop = context_crop(gradient(150, 200), box, 2.7, (80, 80))
    assert (crop.shape, crop.dtype) == ((80, 80, 3), np.uint8)


def test_tiny_pictures():
    for shape in ((1, 1), (1, 50), (50, 1), (2, 2)):
        crop = context_crop(gradient(*shape), Box(0, 0, 1, 1), 2.7, (80, 80))
        assert crop.shape == (80, 80, 3)


def test_another_kind_of_model():
    with pytest.raises(CardError, match="must be a model of kind liveness"):
        LivenessNet.from_card(Registry().get("dlib-resnet-v1"), Store())
