"""MMOD: dlib's convolutional face detector, over a pyramid of the picture tiled into one.

Source: King 2015, "Max-Margin Object Detection"; the pyramid, the decoding and the suppression as
in dlib 20.0: `dlib/image_transforms/image_pyramid.h`, `dlib/dnn/input.h`, `dlib/dnn/loss.h` and
`tools/python/src/cnn_face_detector.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.detect._faces import Candidates, faces_in, passing, suppressed
from vultus.detect._letterbox import Letterbox, fit_native
from vultus.detect.base import DetectorOptions
from vultus.errors import CardError, RangeError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import Face, Frame, Image

__all__ = ["Mmod"]

Floats = NDArray[np.floating[Any]]

# What one cell of the output sees: loss_mmod_'s detector window.
_WINDOW_PX = 80
# Where cell 0 looks and how far the next one is: three 5 x 5 convolutions of stride 2 without
# padding (2, then 2 * 2, then 4 * 2), the others centred.
_OFFSET_PX, _STRIDE_PX = 14, 8
# pyramid_down<6>: each level has 5/6 of the side of the one before it, shifted by 0.3 pixels.
_RATIO = 5 / 6
_SHIFT_PX = 0.3
# input_rgb_image_pyramid: between levels, and around them all.
_GAP_PX, _MARGIN_PX = 10, 11
_SMALLEST_ROWS = 5
# pyramid_down<2>: what is added to x and y before they are doubled, and how much larger than twice
# as large that makes a picture.
_DOUBLED_SHIFT_PX = (1.25, 0.75)
_DOUBLED_EXTRA_PX = (2, 1)
# A doubled picture beyond this is refused: its pyramid would take some 5 GB.
_LARGEST_PX = 64_000_000


class _Tile(NamedTuple):
    """Where one level lies in the tiled pyramid, in pixels."""

    left: int
    top: int
    width: int
    height: int


class Mmod:
    """dlib's MMOD detector: boxes only. Thread-safe: no state between calls.

    A score is dlib's confidence, by how much a face is beyond the margin: 0 is the least, and what
    is above 1 is called 1. Boxes are dlib's, to the pixel, with the right and bottom edge behind
    the last pixel (dlib's right and bottom plus 1).

    Args:
        session: The network, over a tiled pyramid.
        card: Its card: mean and divisor of the pixels, thresholds.
        options: What is asked of it. `min_face_px` below 80 doubles the picture until a face of
            that side fills the network's window, as far as `max_side_px` allows; ``None`` leaves
            it as it is, which finds faces of about 80 px and more.
        upsample: How often the picture is doubled, whatever `min_face_px` and `max_side_px` say;
            ``None``: as they say.

    Raises:
        CardError: The card has no [detector] table.
        RangeError: `size_wh` was asked for, or `upsample` is not in 0..4.
    """

    def __init__(
        self,
        session: Session,
        card: ModelCard,
        options: DetectorOptions | None = None,
        *,
        upsample: int | None = None,
    ) -> None:
        if card.detector is None:
            raise CardError(f"{card.name} is no detector", path=card.name)
        self.name = card.name
        self.options = options or DetectorOptions()
        if self.options.size_wh is not None:
            raise RangeError(
                f"{self.name} searches a picture in its own size, got size_wh "
                f"{self.options.size_wh}",
                remedy="leave size_wh out; min_face_px and max_side_px decide the size",
            )
        if upsample is not None and not 0 <= upsample <= 4:
            raise RangeError(f"upsample must lie in 0..4, got {upsample}")
        self._session, self._upsample = session, upsample
        self._mean = np.array(card.input.mean, np.float32)[:, None, None]
        self._gain = np.float32(1) / np.array(card.input.std, np.float32)[:, None, None]
        own, asked = card.detector, self.options
        self._threshold = (
            own.score_threshold if asked.score_threshold is None else asked.score_threshold
        )
        self.nms_iou = own.nms_iou if asked.nms_iou is None else asked.nms_iou

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        store: Store,
        session_options: SessionOptions | None = None,
        options: DetectorOptions | None = None,
    ) -> Self:
        """Load the network that `card` names from `store`."""
        return cls(Session(store.read(card), card.name, session_options), card, options)

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture; see `Detector`.

        Raises:
            RangeError: The picture, doubled as asked, has more than 64 million pixels.
        """
        fit, doublings = self._fit((frame.width_px, frame.height_px))
        planes = _planes(frame.image, fit.inner_wh)
        for _ in range(doublings):
            planes = _doubled(planes)
        tiles, size_wh = _layout((planes.shape[2], planes.shape[1]))
        if min(size_wh) < 2 * _OFFSET_PX + 1:  # not one cell
            return []
        planes -= self._mean
        planes *= self._gain
        pyramid = _pyramid(planes, tiles, size_wh)
        (scores,) = self._session.run({self._session.input_names[0]: pyramid})
        found = suppressed(self._decode(scores[0, 0], tiles), self.nms_iou)
        boxes = _halved(found.boxes, doublings)
        smallest = self.options.min_face_px
        return faces_in(Candidates(boxes, found.scores), fit, frame, self.name, smallest)

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures, one after the other; see `Detector`."""
        return [self.detect(frame) for frame in frames]

    def _fit(self, picture_wh: tuple[int, int]) -> tuple[Letterbox, int]:
        """How the picture is shrunk, and how often it is doubled then."""
        smallest, longest = self.options.min_face_px, self.options.max_side_px
        if self._upsample is not None:
            doublings, longest = self._upsample, max(picture_wh)
        else:
            doublings = max(0, math.ceil(math.log2(_WINDOW_PX / (smallest or _WINDOW_PX))))
            room = max(0, math.floor(math.log2(longest / min(longest, max(picture_wh)))))
            doublings = min(doublings, room)
        fit = fit_native(picture_wh, 1, longest)
        pixels = math.prod(fit.inner_wh) * 4**doublings
        if pixels > _LARGEST_PX:
            raise RangeError(
                f"{self.name} searches at most {_LARGEST_PX:,} pixels, got {pixels:,}",
                remedy="shrink the picture, or double it less often",
                expected=_LARGEST_PX,
                actual=pixels,
            )
        return fit, doublings

    def _decode(self, scores: NDArray[np.float32], tiles: Sequence[_Tile]) -> Candidates:
        """(h, w) scores of cells to boxes in pixels of the picture at the pyramid's base."""
        cells = passing(scores.ravel(), self._threshold, self.name)
        rows, columns = np.divmod(cells, scores.shape[1])
        centre = np.stack([columns, rows], axis=1) * float(_STRIDE_PX) + _OFFSET_PX
        # The level a cell belongs to is the one its centre lies in, or the nearest.
        low = np.array([(tile.left, tile.top) for tile in tiles], np.float64)
        high = low + [(tile.width - 1, tile.height - 1) for tile in tiles]
        away = np.maximum(low - centre[:, None], centre[:, None] - high).clip(min=0.0)
        level = (away**2).sum(axis=2).argmin(axis=1)
        half = (_WINDOW_PX - 1) / 2
        corners = np.stack([centre - half, centre + half], axis=1) - low[level][:, None]
        for step in range(int(level.max(initial=0))):
            up = level > step
            corners[up] = corners[up] / _RATIO + _SHIFT_PX
        return Candidates(_whole_pixels(corners.reshape(-1, 4)), scores.ravel()[cells])


def _whole_pixels(corners: Floats) -> NDArray[np.float64]:
    """First and last pixel of each box, as dlib rounds them, to its edges."""
    return np.asarray(np.floor(corners + 0.5) + (0.0, 0.0, 1.0, 1.0), np.float64)


def _halved(boxes: Floats, times: int) -> Floats:
    """Boxes of a picture doubled `times` times, in pixels of the picture."""
    if times == 0:
        return boxes
    corners = boxes - (0.0, 0.0, 1.0, 1.0)
    for _ in range(times):
        corners = corners / 2 - np.tile(_DOUBLED_SHIFT_PX, 2)
    return _whole_pixels(corners)


def _planes(image: Image, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """(3, h, w) float32 of a picture, shrunk where that is asked."""
    if size_wh != (image.shape[1], image.shape[0]):
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)


def _doubled(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """About twice as wide and high; dlib keeps 8 bits of each value and drops the rest."""
    more_x, more_y = _DOUBLED_EXTRA_PX
    size_wh = (2 * planes.shape[2] + more_x, 2 * planes.shape[1] + more_y)
    return np.floor(_resampled(planes, size_wh))


def _pyramid(
    planes: NDArray[np.float32], tiles: Sequence[_Tile], size_wh: tuple[int, int]
) -> NDArray[np.float32]:
    """Each level made of the one before it, all in one tensor, (1, 3, height, width)."""
    tensor = np.zeros((1, 3, size_wh[1], size_wh[0]), np.float32)
    level = planes
    for tile in tiles:
        if level.shape[1:] != (tile.height, tile.width):
            level = _resampled(level, (tile.width, tile.height))
        rows = slice(tile.top, tile.top + tile.height)
        tensor[0, :, rows, tile.left : tile.left + tile.width] = level
    return tensor


def _resampled(planes: NDArray[np.float32], size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Bilinear, the centres of the corner pixels on each other, as dlib's `resize_bilinear`.

    OpenCV puts the corners' edges on each other, and its `remap` knows 32 places between two
    pixels only.
    """
    return _along(_along(planes, size_wh[1], 1), size_wh[0], 2)


def _along(planes: NDArray[np.float32], count: int, axis: int) -> NDArray[np.float32]:
    last = planes.shape[axis] - 1
    place = np.arange(count, dtype=np.float32) * np.float32(last / max(count - 1, 1))
    before = np.minimum(place.astype(np.intp), last)
    part = place - before.astype(np.float32)
    values: NDArray[np.float32] = np.take(planes, before, axis=axis)
    rise = np.take(planes, np.minimum(before + 1, last), axis=axis)
    rise -= values
    rise *= part[:, None] if axis == 1 else part
    values += rise
    return values


def _layout(size_wh: tuple[int, int]) -> tuple[list[_Tile], tuple[int, int]]:
    """Where the levels lie: down the left side, then up the right side of the first one.

    Source: `compute_tiled_image_pyramid_details` in `dlib/image_transforms/image_pyramid.h`.

    Args:
        size_wh: Of the picture.

    Returns:
        The levels, largest first, and width and height of the whole.
    """
    sizes = [size_wh]
    while True:
        width, height = (math.floor(_RATIO * side) for side in sizes[-1])
        if width * height == 0 or height < _SMALLEST_ROWS:
            break
        sizes.append((width, height))
    base_width, base_height = size_wh
    total = sum(height + _GAP_PX for _, height in sizes) - 2 * _GAP_PX
    reach, above = 0, 0  # how far the left column goes, and the width of its last level
    for width, height in sizes:
        beside = width <= base_width - above - _GAP_PX
        if beside and (reach - base_height) * 2 >= total - base_height:
            break
        reach += height + _GAP_PX
        above = width
    reach -= _GAP_PX
    tiles: list[_Tile] = []
    top = _MARGIN_PX
    while top < reach + _MARGIN_PX and len(tiles) < len(sizes):
        width, height = sizes[len(tiles)]
        tiles.append(_Tile(_MARGIN_PX, top, width, height))
        top += height + _GAP_PX
    bottom = top - _GAP_PX
    for width, height in sizes[len(tiles) :]:
        tile = _Tile(_MARGIN_PX + base_width - width, bottom - height, width, height)
        if tile.top < _MARGIN_PX + base_height:  # no room left beside the first level
            break
        tiles.append(tile)
        bottom -= height + _GAP_PX
    return tiles, (base_width + 2 * _MARGIN_PX, reach + 2 * _MARGIN_PX)
