"""Painted covers on faces: patches, cloth, fingers, sunglasses, masks, hair and microphones.

Shapes are given in the upright crop of `vultus.assess` (112 px, 32 px between the eyes) and drawn
into the picture itself through the face's landmarks, with soft edges, so that the detector and
everything behind it sees the covered picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.assess._aligned import SIZE_PX, TEMPLATE, similarity
from vultus.assess.occlusion import _masks

__all__ = ["KINDS", "cover", "shares", "spoil"]

KINDS = ("patch", "cloth", "fingers", "sunglasses", "mask", "hair", "microphone")
Floats = NDArray[np.floating[Any]]
Image = NDArray[np.uint8]
Draw = np.random.Generator

_MASK_COLORS = ((240, 240, 240), (150, 190, 220), (30, 30, 35), (200, 60, 60), (120, 150, 90))


@dataclass
class Canvas:
    """What is being painted: where the cover lies, and how it looks there.

    Attributes:
        matrix: From the crop to the picture.
        scale: Pixels of the picture per pixel of the crop.
        mask: (h, w) uint8, 255 where the cover is.
        fill: (h, w, 3) float, its colours.
    """

    matrix: Floats
    scale: float
    mask: Image
    fill: Floats

    def polygon(self, points: object) -> None:
        """Cover a polygon of the crop."""
        placed = np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]
        cv2.fillPoly(self.mask, [np.round(placed * 16).astype(np.int32)], 255, shift=4)

    def ellipse(self, center: Floats, radii: tuple[float, float], angle_rad: float) -> None:
        """Cover an ellipse of the crop."""
        at = np.linspace(0, 2 * np.pi, 40)
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        points = np.column_stack([radii[0] * np.cos(at), radii[1] * np.sin(at)])
        self.polygon(points @ np.array([[cos, sin], [-sin, cos]]) + center)


def cover(
    image: Image, points: Floats, kind: str, draw: Draw, other: Image
) -> tuple[Image, Floats]:
    """Paint a cover of a kind on a face.

    Args:
        image: (h, w, 3) uint8 RGB.
        points: (5, 2) landmarks.
        kind: One of `KINDS`.
        draw: Random numbers.
        other: A picture whose edge becomes cloth.

    Returns:
        The covered picture, and the (7,) share of each part that is covered.
    """
    high, wide = image.shape[:2]
    matrix = similarity(TEMPLATE, points)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    canvas = Canvas(matrix, scale, np.zeros((high, wide), np.uint8), np.zeros((high, wide, 3)))
    _PAINTERS[kind](canvas, image, draw, other)
    soft = cv2.GaussianBlur(canvas.mask, (0, 0), max(0.6, 0.7 * scale)).astype(float)[..., None]
    mixed = image * (1 - soft / 255) + np.clip(canvas.fill, 0, 255) * soft / 255
    return np.clip(mixed, 0, 255).astype(np.uint8), shares(canvas.mask, points)


def shares(mask: Image, points: Floats) -> Floats:
    """(7,) share of each part of a face that a mask of its picture covers."""
    size_wh = (SIZE_PX, SIZE_PX)
    seen = cv2.warpAffine(mask, similarity(points, TEMPLATE), size_wh) / 255.0
    return np.array([seen[part].mean() for part in _masks()[0].values()])


def spoil(image: Image, eyes_px: float, draw: Draw) -> tuple[Image, float]:
    """Blur, shrink, darken, fade or roughen a picture, or compress it hard.

    Returns:
        The picture, and its new size as a part of the old one.
    """
    match draw.integers(6):
        case 0:
            return cv2.GaussianBlur(image, (0, 0), draw.uniform(0.5, 4) * eyes_px / 32), 1.0
        case 1:
            scale = float(np.exp(draw.uniform(np.log(9), np.log(30)))) / eyes_px
            return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale
        case 2:
            values = image * np.exp(draw.uniform(np.log(0.1), np.log(0.6)))
        case 3:
            values = draw.uniform(60, 200) + (image - 128.0) * draw.uniform(0.15, 0.7)
        case 4:
            values = image + draw.normal(0, draw.uniform(5, 30), image.shape)
        case _:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(10, 40))]
            return cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), 1.0
    noisy = values + draw.normal(0, 1.5, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), 1.0


# -- kinds --------------------------------------------------------------------------------------


def _somewhere(draw: Draw) -> Floats:
    """A place in or near one of the parts."""
    parts = list(_masks()[0].values())
    down, across = np.nonzero(parts[draw.integers(len(parts))])
    at = draw.integers(len(down))
    return np.array([across[at], down[at]]) + draw.normal(0, 4, 2)


def _plain(canvas: Canvas, color: object, draw: Draw, grain: float) -> None:
    """One colour, shaded towards one side, with grain."""
    high, wide = canvas.mask.shape
    down, across = np.mgrid[:high, :wide]
    angle = draw.uniform(0, 2 * np.pi)
    way = (across - wide / 2) * np.cos(angle) + (down - high / 2) * np.sin(angle)
    shade = 1 + draw.uniform(-0.25, 0.25) * way / (40 * canvas.scale)
    base = np.asarray(color, float) * shade[..., None]
    canvas.fill[:] = base + draw.normal(0, grain, canvas.fill.shape)


def _blob(canvas: Canvas, draw: Draw) -> None:
    center, angle = _somewhere(draw), draw.uniform(0, np.pi)
    x, y = draw.uniform(8, 26, 2)
    if draw.random() < 0.5:
        canvas.ellipse(center, (x, y), angle)
        return
    cos, sin = np.cos(angle), np.sin(angle)
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    canvas.polygon(corners @ np.array([[cos, sin], [-sin, cos]]) + center)


def _patch(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    del image, other
    _blob(canvas, draw)
    _plain(canvas, draw.integers(0, 256, 3), draw, draw.uniform(0, 12))


def _cloth(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    _blob(canvas, draw)
    edge = other[:70] if draw.random() < 0.5 else other[-70:]
    canvas.fill[:] = cv2.resize(edge, image.shape[1::-1])


def _fingers(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    del other
    cheek = np.array([[33.0, 60.0]]) @ canvas.matrix[:, :2].T + canvas.matrix[:, 2]
    x, y = np.clip(np.round(cheek[0]).astype(int), 2, np.array(image.shape[1::-1]) - 3)
    skin = np.median(image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), axis=0)
    skin = skin * draw.uniform(0.75, 1.2) * (1, draw.uniform(0.93, 1.05), draw.uniform(0.9, 1.08))
    center, angle = _somewhere(draw), draw.uniform(0, np.pi)
    canvas.fill[:] = skin
    whole = np.zeros_like(canvas.mask)
    for finger in range(draw.integers(2, 5)):
        aside = np.array([-np.sin(angle), np.cos(angle)]) * (finger - 1.5) * draw.uniform(9, 11)
        canvas.mask[:] = 0
        radii = (draw.uniform(18, 28), draw.uniform(5, 6.5))
        canvas.ellipse(center + aside, radii, angle + draw.normal(0, 0.06))
        depth = cv2.distanceTransform(canvas.mask, cv2.DIST_L2, 3) / (6 * canvas.scale)
        light = np.clip(0.65 + 0.4 * depth, 0, 1.05)[..., None]
        canvas.fill[:] = np.where(canvas.mask[..., None] > 0, skin * light, canvas.fill)
        whole |= canvas.mask
    canvas.mask[:] = whole
    canvas.fill += draw.normal(0, 4, canvas.fill.shape)


def _sunglasses(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    del other
    match draw.integers(3):
        case 0:
            canvas.polygon([[22, 27], [89, 27], [88, 44], [60, 46], [55, 40], [51, 46], [23, 44]])
        case 1:
            for x in (38.5, 72.5):
                canvas.ellipse(np.array([x, 36.0]), (draw.uniform(13, 16), draw.uniform(10, 13)), 0)
            canvas.polygon([[50, 31], [61, 31], [61, 34], [50, 34]])
        case _:
            canvas.polygon([[18, 29], [93, 29], [93, 42], [18, 42]])
    tint = (1, draw.uniform(0.8, 1.1), draw.uniform(0.7, 1.2))
    _plain(canvas, draw.uniform(5, 70) * np.array(tint), draw, 2)
    through = draw.uniform(0, 0.25)
    behind = cv2.GaussianBlur(image, (0, 0), 4 * canvas.scale)
    canvas.fill[:] = canvas.fill * (1 - through) + through * behind


def _mask(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    del image, other
    top = draw.uniform(46, 58)
    upper = [[22, top + 4], [40, top], [55.5, top - 4], [71, top], [89, top + 4]]
    canvas.polygon([*upper, [86, 80], [74, 97], [55.5, 102], [37, 97], [25, 80]])
    color = np.array(_MASK_COLORS[draw.integers(len(_MASK_COLORS))]) * draw.uniform(0.75, 1.05)
    _plain(canvas, color, draw, 3)
    rows = np.arange(canvas.mask.shape[0])[:, None, None]
    folds = np.sin(rows / (canvas.scale * draw.uniform(3, 7)) * np.pi)
    canvas.fill += 8 * draw.uniform(0, 1.3) * folds


def _hair(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    del image, other
    root = draw.uniform(25, 86)
    at = np.linspace(0, 1, 12)
    for _ in range(draw.integers(12, 40)):
        x = root + draw.normal(0, 9) + draw.normal(0, 10) * at + draw.normal(0, 5) * at**2
        strand = np.column_stack([x, -2 + at * draw.uniform(45, 85)])
        placed = strand @ canvas.matrix[:, :2].T + canvas.matrix[:, 2]
        width = max(1, round(canvas.scale * draw.uniform(1.5, 3.5)))
        line = [np.round(placed * 16).astype(np.int32)]
        cv2.polylines(canvas.mask, line, isClosed=False, color=255, thickness=width, shift=4)
    _plain(canvas, draw.uniform(10, 120) * np.array([1, 0.85, 0.7]), draw, 12)


def _microphone(canvas: Canvas, image: Image, draw: Draw, other: Image) -> None:
    del image, other
    center = np.array([draw.uniform(35, 76), draw.uniform(66, 92)])
    angle, x, y = draw.uniform(-0.6, 0.6), draw.uniform(10, 18), draw.uniform(16, 26)
    cos, sin = np.cos(angle), np.sin(angle)
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    canvas.polygon(corners @ np.array([[cos, sin], [-sin, cos]]) + center)
    _plain(canvas, [draw.uniform(10, 90)] * 3, draw, 4)
    down, across = np.indices(canvas.mask.shape) // max(1, round(3 * canvas.scale))
    canvas.fill += ((down + across) % 2)[..., None] * draw.uniform(0, 25)


_PAINTERS = {
    "patch": _patch,
    "cloth": _cloth,
    "fingers": _fingers,
    "sunglasses": _sunglasses,
    "mask": _mask,
    "hair": _hair,
    "microphone": _microphone,
}
