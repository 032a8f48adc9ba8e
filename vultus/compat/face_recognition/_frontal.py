"""Where dlib's HOG face detector puts its box around a face that is known to be there.

Other detectors find more faces in less time, but code that crops, draws or compares the boxes of
face_recognition knows dlib's: a square of one of a few sizes, on a grid. dlib's own templates tell
which one. They are held against the few windows near a face, instead of every window of a picture.

Source: Felzenszwalb et al. 2010, "Object Detection with Discriminatively Trained Part Based
Models", for the features; dlib 20.0 (King), `dlib/image_transforms/fhog.h`, `image_pyramid.h` and
`dlib/image_processing/scan_fhog_pyramid.h`, `frontal_face_detector.h`, for the conventions and the
five templates in ``frontal_templates.npz``; see ``NOTICE.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vultus.types import Image

__all__ = ["FrontalTemplates", "Window"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

_CELL_PX = 8
_WINDOW_CELLS = 10  # a template's side
_SMALLEST_LEVEL_PX = 64  # min_pyramid_layer_width of the detector
# pyramid_down<6>: each level has 5/6 of the side of the one before it, its boxes shifted by 0.3.
_RATIO = 5 / 6
_SHIFT_PX = 0.3
# pyramid_down<2>, by which a picture is doubled: what is added to x and y before, and how much
# larger than twice as large that makes a picture.
_DOUBLED_SHIFT_PX = (1.25, 0.75)
_DOUBLED_EXTRA_PX = (2, 1)
# The nine directions of a gradient, as dlib rounds them.
_DIRECTIONS = np.array(
    [
        (1.0, 0.0), (0.9397, 0.3420), (0.7660, 0.6428), (0.5, 0.8660), (0.1736, 0.9848),
        (-0.1736, 0.9848), (-0.5, 0.8660), (-0.7660, 0.6428), (-0.9397, 0.3420),
    ],
    np.float32,
)  # fmt: skip
# How much the texture features count: 1 / sqrt(18), as in Felzenszwalb's code.
_TEXTURE = 0.2357
_CLIP, _EPSILON = 0.2, 1e-4

# Where windows are looked for: around the expected square, in parts of its side, and at sizes from
# the nearest two on, as long as the next size up or down fits better. On 410 pictures, nearly all
# of LFW, 99 % of dlib's boxes have a side of 0.69 to 1.25 times that of the square around MTCNN's
# points and lie off its centre by at most 0.31 of it.
_REACH = 0.35
_SIZES = (0.55, 1.8)
# dlib makes each level of the one before it, bilinear, which smooths; here a level is made of the
# picture at once and smoothed by this where it is smaller.
_SMOOTH = np.array([0.15, 0.7, 0.15], np.float32)


class Window(NamedTuple):
    """One of the places where dlib's detector looks.

    Attributes:
        rect: Left, top, right and bottom in pixels, right and bottom the last ones inside, as
            dlib counts them. It may reach outside the picture.
        score: dlib's confidence: how far beyond the template's threshold; from 0 dlib calls it a
            face.
    """

    rect: tuple[int, int, int, int]
    score: float


class _Patch(NamedTuple):
    """Part of a pyramid's level: pixels, and where its first one lies in the level."""

    pixels: Image
    corner: Ints
    level_wh: tuple[int, int]


class FrontalTemplates:
    """dlib's five templates: frontal, turned left and right, leaning left and right.

    Args:
        filters: (5, 31, 10, 10) weights of features over cells.
        limits: (5,) what the sum must reach.
    """

    def __init__(self, filters: Floats, limits: Floats) -> None:
        count = filters.shape[0]
        flat = filters.transpose(1, 2, 3, 0).reshape(-1, count)
        self._weights = np.ascontiguousarray(flat, dtype=np.float32)
        self._limits = limits.astype(np.float32)
        self._directions = _direction_table()

    @classmethod
    def shipped(cls) -> Self:
        """Those that lie beside this file."""
        with (
            files(__package__).joinpath("frontal_templates.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            return cls(arrays["filters"], arrays["limits"])

    def best(self, image: Image, squares: Floats, doublings: int) -> list[Window | None]:
        """The window that fits each face best.

        Args:
            image: (h, w, 3) uint8 RGB.
            squares: (n, 4) left, top, right, bottom: about where each box should be.
            doublings: How often dlib would double the picture first; decides the smallest window,
                80 px divided by 2 so many times, and the grid.

        Returns:
            One per square; ``None`` where no window has about that size.
        """
        levels = _level_sizes((image.shape[1], image.shape[0]), doublings)
        return [self._best(image, square, levels, doublings) for square in squares]

    def _best(
        self, image: Image, square: Floats, levels: Sequence[tuple[int, int]], doublings: int
    ) -> Window | None:
        side = max(float(square[2] - square[0]), 1.0)
        center = (square[:2] + square[2:4]) / 2
        sizes = {
            level: _CELL_PX * _WINDOW_CELLS * float(_scale(image, size_wh)[0]) / side
            for level, size_wh in enumerate(levels)
        }
        near = sorted(sizes, key=lambda level: abs(math.log(sizes[level])))
        pending = [level for level in near[:2] if _SIZES[0] <= sizes[level] <= _SIZES[1]]
        found: dict[int, Window] = {}
        while pending:
            for level in pending:
                scale = _scale(image, levels[level])
                score, corner = self._in_level(
                    image, levels[level], center / scale, _REACH * side / scale
                )
                found[level] = Window(_rect(corner, level, doublings), score)
            best = max(found, key=lambda level: found[level].score)
            pending = [
                level
                for level in (best - 1, best + 1)
                if level not in found and _SIZES[0] <= sizes.get(level, 0.0) <= _SIZES[1]
            ]
        return max(found.values(), key=lambda window: window.score, default=None)

    def _in_level(
        self, image: Image, level_wh: tuple[int, int], center: Floats, reach: Floats
    ) -> tuple[float, Ints]:
        """The best score of one level, and the window's first cell.

        Args:
            image: The picture.
            level_wh: Width and height of the level.
            center: (2,) where the window should be centred, in pixels of the level.
            reach: (2,) how far it may be off.
        """
        # Features start one cell in, so a window's first feature is its cell less one.
        middle = _CELL_PX * (_WINDOW_CELLS / 2 + 1)
        first = np.floor((center - reach - middle) / _CELL_PX + 0.5).astype(np.intp)
        last = np.ceil((center + reach - middle) / _CELL_PX - 0.5).astype(np.intp)
        places = int((last - first).max()) + 1
        cells = places + _WINDOW_CELLS + 1
        patch = _patch(image, level_wh, first * _CELL_PX - 1, (first + cells) * _CELL_PX + 1)
        features = _features(patch, first, cells, self._directions)
        windows = sliding_window_view(features, (_WINDOW_CELLS, _WINDOW_CELLS), axis=(1, 2))
        flat = windows.transpose(1, 2, 0, 3, 4).reshape(places * places, -1)
        scores = (flat @ self._weights - self._limits).max(axis=1)
        best = int(scores.argmax())
        return float(scores[best]), first + (best % places, best // places)


def _level_sizes(size_wh: tuple[int, int], doublings: int) -> list[tuple[int, int]]:
    """Width and height of the pyramid's levels, largest first."""
    width, height = size_wh
    for _ in range(doublings):
        width = 2 * width + _DOUBLED_EXTRA_PX[0]
        height = 2 * height + _DOUBLED_EXTRA_PX[1]
    sizes = [(width, height)]
    while True:
        width, height = 5 * width // 6, 5 * height // 6
        if min(width, height) < _SMALLEST_LEVEL_PX:
            return sizes
        sizes.append((width, height))


def _scale(image: Image, level_wh: tuple[int, int]) -> NDArray[np.float64]:
    """(2,) pixels of the picture per pixel of a level: the corner pixels lie on each other."""
    size = np.array([image.shape[1], image.shape[0]], np.float64)
    scale: NDArray[np.float64] = (size - 1).clip(min=1) / (np.array(level_wh) - 1).clip(min=1)
    return scale


def _patch(image: Image, level_wh: tuple[int, int], low: Ints, high: Ints) -> _Patch:
    """The pixels of a level from `low` to before `high`, as far as they lie inside."""
    last = np.array(level_wh) - 1
    corner = np.clip(low, 0, last)
    size = np.clip(high, corner + 1, last + 1) - corner
    scale = _scale(image, level_wh)
    limits = np.array([image.shape[1], image.shape[0]])
    start = np.clip(np.floor((corner - 3) * scale), 0, limits - 1).astype(np.intp)
    end = np.clip(np.ceil((corner + size + 3) * scale), start + 1, limits).astype(np.intp)
    part = image[start[1] : end[1], start[0] : end[0]]
    # Whole steps first: bilinear sampling alone would leave pixels out.
    step = max(1, min(int(scale.min()), *part.shape[:2]))
    if step > 1:
        rows, columns = part.shape[0] // step, part.shape[1] // step
        even = part[: rows * step, : columns * step]
        part = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    pixels = _sampled(part, scale / step, (corner * scale - start + 0.5) / step - 0.5, size)
    if float(scale.min()) > 1.0:
        pixels = np.asarray(cv2.sepFilter2D(pixels, -1, _SMOOTH, _SMOOTH), np.uint8)
    return _Patch(pixels, corner, level_wh)


def _sampled(source: Image, step: Floats, origin: Floats, size: Ints) -> Image:
    """Every `step` pixels of a picture from `origin` on, bilinear; its edge goes on outside."""
    matrix = np.array([[step[0], 0.0, origin[0]], [0.0, step[1], origin[1]]])
    sampled = cv2.warpAffine(
        source,
        matrix,
        (int(size[0]), int(size[1])),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(sampled, dtype=np.uint8)


def _features(patch: _Patch, first: Ints, cells: int, table: NDArray[np.uint8]) -> Floats:
    """(31, cells - 2, cells - 2) features of the cells of a level from `first` + 1 on.

    What dlib leaves out at a level's edge is 0 here too.

    Args:
        patch: Holds those cells, as far as they lie inside the level.
        first: (2,) xy of the first cell.
        cells: How many cells each way.
        table: See `_direction_table`.
    """
    strength, direction = _gradients(patch, first, cells, table)
    histogram = _histograms(strength, direction, cells)
    either = histogram[:9] + histogram[9:]
    energy = (either * either).sum(axis=0)
    blocks = energy[:-1, :-1] + energy[1:, :-1] + energy[:-1, 1:] + energy[1:, 1:]
    around = np.stack([blocks[1:, 1:], blocks[:-1, 1:], blocks[1:, :-1], blocks[:-1, :-1]])
    most = _CLIP * np.sqrt(around + np.float32(_EPSILON))
    gain = np.float32(_CLIP / 2) / most
    signed = np.minimum(histogram[:, None, 1:-1, 1:-1], most) * gain
    unsigned = np.minimum(either[:, None, 1:-1, 1:-1], most) * gain
    texture = signed.sum(axis=0) * np.float32(2 * _TEXTURE)
    features = np.concatenate([signed.sum(axis=1), unsigned.sum(axis=1), texture])
    for axis in (0, 1):
        count = _cell_count(patch.level_wh[axis]) - 2
        index = first[axis] + np.arange(cells - 2)
        outside = (index < 0) | (index >= count)
        if outside.any():
            features[(..., outside) if axis == 0 else (slice(None), outside)] = 0.0
    return features


def _gradients(
    patch: _Patch, first: Ints, cells: int, table: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Length and direction of the gradient at each pixel of the cells, of the strongest colour."""
    side = cells * _CELL_PX
    strength = np.zeros((side, side), np.float32)
    direction = np.zeros((side, side), np.uint8)
    start = first * _CELL_PX
    visible = [min(_cell_count(size) * _CELL_PX, size) - 1 for size in patch.level_wh]
    low = np.maximum(start, np.maximum(patch.corner + 1, 1))
    inner = patch.corner + (patch.pixels.shape[1] - 1, patch.pixels.shape[0] - 1)
    high = np.minimum(start + side, np.minimum(inner, visible))
    if (high <= low).any():
        return strength, direction
    a, b = low - patch.corner - 1, high - patch.corner + 1
    best, gx, gy = _strongest(patch.pixels[a[1] : b[1], a[0] : b[0]])
    place = (
        slice(int(low[1] - start[1]), int(high[1] - start[1])),
        slice(int(low[0] - start[0]), int(high[0] - start[0])),
    )
    strength[place] = np.sqrt(best)
    direction[place] = table[(gx * 511 + (gy + (255 * 511 + 255))).astype(np.intp)]
    return strength, direction


def _strongest(pixels: Image) -> tuple[NDArray[np.float32], ...]:
    """Squared length, x and y of the gradient of the colour in which it is longest."""
    best = gx = gy = np.zeros(0, np.float32)
    for channel in range(3):
        plane = pixels[..., channel].astype(np.float32)
        across = plane[1:-1, 2:] - plane[1:-1, :-2]
        down = plane[2:, 1:-1] - plane[:-2, 1:-1]
        power = across * across + down * down
        if channel == 0:
            best, gx, gy = power, across, down
            continue
        stronger = power >= best  # of equals the later one, as in dlib
        gx, gy = np.where(stronger, across, gx), np.where(stronger, down, gy)
        best = np.maximum(best, power)
    return best, gx, gy


def _histograms(
    strength: NDArray[np.float32], direction: NDArray[np.uint8], cells: int
) -> NDArray[np.float32]:
    """(18, cells, cells) gradients by direction, each shared between the four nearest cells."""
    side = cells * _CELL_PX
    base, near, far, share = _pooling(cells)
    key = direction * np.intp((cells + 2) * side) + base
    sums = np.bincount(key.ravel(), (strength * near).ravel(), 18 * (cells + 2) * side)
    lower = np.bincount(key.ravel(), (strength * far).ravel(), 18 * (cells + 2) * side)
    sums[side:] += lower[:-side]
    rows = sums.astype(np.float32).reshape(18, cells + 2, side)[:, 1:-1].reshape(-1, side)
    return (rows @ share).reshape(18, cells, cells)


def _direction_table() -> NDArray[np.uint8]:
    """(511 · 511) which of 18 directions a gradient (x, y) has, at (x + 255) · 511 + y + 255."""
    values = np.arange(-255, 256, dtype=np.float32)
    along = _DIRECTIONS[:, :1, None] * values[:, None] + _DIRECTIONS[:, 1:, None] * values
    best = np.abs(along).argmax(axis=0)
    against = np.take_along_axis(along, best[None], axis=0)[0] < 0
    return np.asarray(best + 9 * against, np.uint8).ravel()


@lru_cache(maxsize=32)
def _pooling(
    cells: int,
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Which cells a pixel counts in, and how much: in proportion between the nearest two.

    Returns:
        (8 · cells, 8 · cells) the pixel's column, plus the row of the upper of its two cells among
        cells + 2 times the row's length; (8 · cells, 1) the shares of the upper and of the lower
        cell; (8 · cells, cells) the shares of all cells of a row, for each of its pixels.
    """
    side = cells * _CELL_PX
    place = (np.arange(side) + 0.5) / _CELL_PX + 0.5
    upper = place.astype(np.intp)
    far = (place - upper).astype(np.float32)[:, None]
    away = np.abs(place[:, None] - np.arange(1, cells + 1))
    share = np.maximum(1 - away, 0.0).astype(np.float32)
    return upper[:, None] * side + np.arange(side), 1 - far, far, share


def _cell_count(size_px: int) -> int:
    """How many cells dlib makes of so many pixels."""
    return int(size_px / _CELL_PX + 0.5)


def _rect(corner: Ints, level: int, doublings: int) -> tuple[int, int, int, int]:
    """The box of a window in the picture, rounded where dlib rounds."""
    cells = np.concatenate([corner, corner + _WINDOW_CELLS - 1])
    # The border pixel and the border cell that features leave out, then the middle of a cell.
    place = (cells + 1) * _CELL_PX + 1.0
    place += np.where(place >= 0, 1, -1) * (_CELL_PX // 2)
    for _ in range(level):
        place = place / _RATIO + _SHIFT_PX
    place = np.floor(place + 0.5)
    if doublings:
        for _ in range(doublings):
            place = place / 2 - np.tile(_DOUBLED_SHIFT_PX, 2)
        place = np.floor(place + 0.5)
    left, top, right, bottom = (math.floor(value) for value in place)
    return left, top, right, bottom
