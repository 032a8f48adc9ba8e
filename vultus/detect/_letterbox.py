"""Fit pictures into a network's input, and carry what it finds back to the pixel.

Conventions: a picture is resized to `inner_wh` whole pixels and put at `corner_xy` of an input of
`size_wh`; the rest is padding. Coordinates scale by the true factor of each axis
(``inner / picture``), which rounding makes differ in the last bits, so the way back is exact.
Boxes and landmarks scale alike, about the picture's top left corner: so they were scaled when the
networks were trained, and so InsightFace, OpenCV and biubug6 scale them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.models import InputSpec
from vultus.types import Image

__all__ = ["Letterbox", "fit_fixed", "fit_native", "to_tensor"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How one picture lies in a network's input; all sizes in whole pixels.

    Attributes:
        picture_wh: Width and height of the picture.
        inner_wh: What it is resized to.
        corner_xy: Where its top left corner lies in the input.
        size_wh: Width and height of the input.
    """

    picture_wh: tuple[int, int]
    inner_wh: tuple[int, int]
    corner_xy: tuple[int, int]
    size_wh: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Input pixels per picture pixel along each axis."""
        return (
            self.inner_wh[0] / self.picture_wh[0],
            self.inner_wh[1] / self.picture_wh[1],
        )

    def to_picture(self, xy: Floats) -> NDArray[np.float64]:
        """Carry coordinates of the input back to the picture.

        Args:
            xy: (..., 2k): x and y in turn along the last axis, so points (n, 5, 2) and boxes
                (n, 4) alike.
        """
        if self.inner_wh == self.picture_wh and self.corner_xy == (0, 0):
            return xy.astype(np.float64)
        pairs = xy.astype(np.float64).reshape(*xy.shape[:-1], xy.shape[-1] // 2, 2)
        pairs -= self.corner_xy
        pairs /= self.scale_xy
        return pairs.reshape(xy.shape)

    def to_input(self, xy: Floats) -> NDArray[np.float64]:
        """The other way: from the picture to the input; `xy` as in `to_picture`."""
        pairs = xy.astype(np.float64).reshape(*xy.shape[:-1], xy.shape[-1] // 2, 2)
        pairs *= self.scale_xy
        pairs += self.corner_xy
        return pairs.reshape(xy.shape)


def fit_native(
    picture_wh: tuple[int, int], multiple_of: int = 1, max_side_px: int | None = None
) -> Letterbox:
    """The picture in its own size, shrunk only when too large; padded right and below.

    Args:
        picture_wh: Its size.
        multiple_of: Width and height of the input are multiples of this.
        max_side_px: Longest side of the resized picture; ``None``: no limit.
    """
    longer = max(picture_wh)
    inner = picture_wh
    if max_side_px is not None and longer > max_side_px:
        inner = _scaled(picture_wh, max_side_px / longer)
    size = (_up(inner[0], multiple_of), _up(inner[1], multiple_of))
    return Letterbox(picture_wh, inner, (0, 0), size)


def fit_fixed(
    picture_wh: tuple[int, int],
    size_wh: tuple[int, int],
    *,
    center: bool = False,
    stretch: bool = False,
) -> Letterbox:
    """The picture as large as an input of fixed size allows.

    Args:
        picture_wh: Its size.
        size_wh: The input's.
        center: Pad on all sides alike (an odd pixel goes right or below), rather than right and
            below as InsightFace does.
        stretch: Fill the input; the aspect ratio is not kept.
    """
    if stretch:
        return Letterbox(picture_wh, size_wh, (0, 0), size_wh)
    scale = min(size_wh[0] / picture_wh[0], size_wh[1] / picture_wh[1])
    wide, high = _scaled(picture_wh, scale)
    inner = (min(wide, size_wh[0]), min(high, size_wh[1]))
    corner = ((size_wh[0] - inner[0]) // 2, (size_wh[1] - inner[1]) // 2) if center else (0, 0)
    return Letterbox(picture_wh, inner, corner, size_wh)


def to_tensor(
    images: Sequence[Image],
    fits: Sequence[Letterbox],
    spec: InputSpec,
    *,
    pad: float | None = 0.0,
) -> NDArray[np.float32]:
    """Resize, pad and normalise: ``(x - mean) / std`` per channel, in one pass over each plane.

    Args:
        images: (h, w, 3) uint8 RGB each, at least one.
        fits: How each lies in the input; all with one `size_wh`.
        spec: Channels, mean, std and layout.
        pad: Grey level of the padding before normalisation (InsightFace and OpenCV pad with 0);
            ``None``: the padding is 0 after normalisation.

    Returns:
        (n, 3, height, width) float32, or (n, height, width, 3) as the layout says.
    """
    width, height = fits[0].size_wh
    gains = [1.0 / std for std in spec.std]
    biases = [-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)]
    order = (0, 1, 2) if spec.channels == "RGB" else (2, 1, 0)
    planar = np.empty((len(images), 3, height, width), np.float32)
    for planes, image, fit in zip(planar, images, fits, strict=True):
        channels = cv2.split(_resized(image, fit))
        for plane, channel, gain, bias in zip(planes, order, gains, biases, strict=True):
            _fill(plane, channels[channel], fit, gain, bias, pad)
    if spec.layout == "NCHW":
        return planar
    return np.ascontiguousarray(planar.transpose(0, 2, 3, 1))


def _fill(
    plane: NDArray[np.float32],
    channel: NDArray[Any],
    fit: Letterbox,
    gain: float,
    bias: float,
    pad: float | None,
) -> None:
    """Write one normalised channel and its padding; every pixel of `plane` is written once."""
    (x, y), (wide, high) = fit.corner_xy, fit.inner_wh
    edge = 0.0 if pad is None else pad * gain + bias
    plane[:y] = edge
    plane[y + high :] = edge
    plane[y : y + high, :x] = edge
    plane[y : y + high, x + wide :] = edge
    inner = plane[y : y + high, x : x + wide]
    if gain == 1.0 and bias == 0.0:
        inner[:] = channel
    else:  # three times as fast as the same in NumPy, and 15 times blobFromImage
        cv2.addWeighted(channel, gain, channel, 0.0, bias, inner, cv2.CV_32F)


def _resized(image: Image, fit: Letterbox) -> Image:
    if fit.inner_wh == fit.picture_wh:
        return image
    return np.asarray(cv2.resize(image, fit.inner_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


def _scaled(size_wh: tuple[int, int], scale: float) -> tuple[int, int]:
    return (max(1, int(size_wh[0] * scale + 1e-9)), max(1, int(size_wh[1] * scale + 1e-9)))


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
