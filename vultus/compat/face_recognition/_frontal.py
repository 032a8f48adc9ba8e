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

# Where windows are looked for: sizes and places around the expected square, in parts of its side.
# On 400 pictures of LFW dlib's window lies within them for all but 1 % of the faces that both find.
_SIZES = (1 / 1.45, 1.45)
_REACH = 0.35
# A level is made of the one before it, as in dlib, but only from so many levels before the first
# one wanted; that one is made of the picture at once.
_CHAIN = 5
# What smoothing then stands for the levels left out.
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
        side = float(square[2] - square[0])
        center = (square[:2] + square[2:4]) / 2
        scales = [_scale(image, size_wh) for size_wh in levels]
        window_px = _CELL_PX * _WINDOW_CELLS
        wanted = [
            k
            for k, scale in enumerate(scales)
            if _SIZES[0] <= window_px * float(scale[0]) / side <= _SIZES[1]
        ]
        found: Window | None = None
        patch: _Patch | None = None
        for k in range(max(0, wanted[0] - _CHAIN), wanted[-1] + 1) if wanted else ():
            low, high = _surroundings(center, side, scales[wanted[-1]])
            patch = _next_patch(image, patch, levels[k], low / scales[k], high / scales[k])
            if k in wanted:
                reach = _REACH * side / scales[k]
                window = self._in_level(patch, center / scales[k], reach)
                score, corner = window
                if found is None or score > found.score:
                    found = Window(_rect(corner, k, doublings), score)
        return found

    def _in_level(self, patch: _Patch, center: Floats, reach: Floats) -> tuple[float, Ints]:
        """The best score of one level, and the window's first cell.

        Args:
            patch: The part of the level around the face.
            center: (2,) where the window should be centred, in pixels of the level.
            reach: (2,) how far it may be off.
        """
        # Features start one cell in, so a window's first feature is its cell less one.
        middle = _CELL_PX * (_WINDOW_CELLS / 2 + 1)
        first = np.floor((center - reach - middle) / _CELL_PX + 0.5).astype(np.intp)
        last = np.ceil((center + reach - middle) / _CELL_PX - 0.5).astype(np.intp)
        places = int((last - first).max()) + 1
        features = _features(patch, first, places + _WINDOW_CELLS + 1, self._directions)
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
    return (size - 1).clip(min=1) / (np.array(level_wh) - 1)


def _surroundings(center: Floats, side: float, coarsest: Floats) -> tuple[Floats, Floats]:
    """Corners of the part of the picture that any of the windows, and its features, can touch."""
    margin = _REACH * side + (_WINDOW_CELLS / 2 + 4) * _CELL_PX * coarsest
    return center - margin, center + margin


def _next_patch(
    image: Image, before: _Patch | None, level_wh: tuple[int, int], low: Floats, high: Floats
) -> _Patch:
    """Part of a level from `low` to `high`, made of the level before, or of the picture."""
    last = np.array(level_wh) - 1
    corner = np.clip(np.floor(low), 0, last).astype(np.intp)
    size = np.clip(np.ceil(high), corner, last).astype(np.intp) - corner + 1
    if before is None:
        pixels = _from_picture(image, level_wh, corner, size)
    else:
        step = (np.array(before.level_wh) - 1) / last
        pixels = _sampled(before.pixels, step, corner * step - before.corner, size)
    return _Patch(pixels, corner, level_wh)


def _from_picture(
    image: Image, level_wh: tuple[int, int], corner: Ints, size: Ints
) -> Image:
    scale = _scale(image, level_wh)
    limits = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor((corner - 3) * scale), 0, limits - 1).astype(np.intp)
    high = np.clip(np.ceil((corner + size + 3) * scale), low + 1, limits).astype(np.intp)
    part = image[low[1] : high[1], low[0] : high[0]]
    # Whole steps first: bilinear sampling alone would leave pixels out.
    step = max(1, min(int(scale.min()), *part.shape[:2]))
    if step > 1:
        rows, columns = part.shape[0] // step, part.shape[1] // step
        even = part[: rows * step, : columns * step]
        part = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    origin = (corner * scale - low + 0.5) / step - 0.5
    pixels = _sampled(part, scale / step, origin, size)
    if float(scale.min()) > 1.0:
        pixels = np.asarray(cv2.sepFilter2D(pixels, -1, _SMOOTH, _SMOOTH), np.uint8)
    return pixels


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
    side = cells * _CELL_PX
    planes = np.zeros((18, side * side), np.float32)
    planes[direction.ravel(), np.arange(side * side)] = strength.ravel()
    pool = _pooling(cells)
    histogram = pool @ planes.reshape(18, side, side) @ pool.T
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
        count = int(patch.level_wh[axis] / _CELL_PX + 0.5) - 2
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
    visible = [
        min(int(size / _CELL_PX + 0.5) * _CELL_PX, size) - 1 for size in patch.level_wh
    ]
    low = np.maximum(start, np.maximum(patch.corner + 1, 1))
    inner = patch.corner + (patch.pixels.shape[1] - 1, patch.pixels.shape[0] - 1)
    high = np.minimum(start + side, np.minimum(inner, visible))
    if (high <= low).any():
        return strength, direction
    a, b = low - patch.corner - 1, high - patch.corner + 1
    part = patch.pixels[a[1] : b[1], a[0] : b[0]].transpose(2, 0, 1).astype(np.int16)
    across = part[:, 1:-1, 2:] - part[:, 1:-1, :-2]
    down = part[:, 2:, 1:-1] - part[:, :-2, 1:-1]
    wide, tall = across.astype(np.int32), down.astype(np.int32)
    power = wide * wide + tall * tall
    best, gx, gy = power[0], wide[0], tall[0]
    for channel in (1, 2):
        weaker = best <= power[channel]
        best = np.where(weaker, power[channel], best)
        gx, gy = np.where(weaker, wide[channel], gx), np.where(weaker, tall[channel], gy)
    rows = slice(int(low[1] - start[1]), int(high[1] - start[1]))
    columns = slice(int(low[0] - start[0]), int(high[0] - start[0]))
    strength[rows, columns] = np.sqrt(best.astype(np.float32))
    direction[rows, columns] = table[(gx + 255) * 511 + (gy + 255)]
    return strength, direction


def _direction_table() -> NDArray[np.uint8]:
    """(511 · 511) which of 18 directions a gradient (x, y) has, at (x + 255) · 511 + y + 255."""
    values = np.arange(-255, 256, dtype=np.float32)
    along = _DIRECTIONS[:, :1, None] * values[:, None] + _DIRECTIONS[:, 1:, None] * values
    best = np.abs(along).argmax(axis=0)
    against = np.take_along_axis(along, best[None], axis=0)[0] < 0
    return np.asarray(best + 9 * against, np.uint8).ravel()


@lru_cache(maxsize=32)
def _pooling(cells: int) -> NDArray[np.float32]:
    """(cells, 8 · cells) how much each pixel of a row counts in each cell: linear in between."""
    place = (np.arange(cells * _CELL_PX) + 0.5) / _CELL_PX - 0.5
    away = np.abs(place - np.arange(cells)[:, None])
    return np.asarray(np.maximum(1 - away, 0.0), np.float32)


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
