"""How much of each part of a face is covered, told without a model from colour, light and edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.assess._aligned import FACE, ellipse
from vultus.types import Image, Occlusion

__all__ = ["occlusion"]

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

# Centre and radii of each part in the crop, px: read off the mean crop of LFW.
_PARTS = {
    "left_eye": (39.4, 35.0, 11.0, 7.5),
    "right_eye": (71.6, 35.0, 11.0, 7.5),
    "nose": (55.5, 50.0, 8.5, 12.0),
    "mouth": (55.5, 72.5, 16.0, 8.0),
    "left_cheek": (33.0, 60.0, 10.0, 11.0),
    "right_cheek": (78.0, 60.0, 10.0, 11.0),
    "chin": (55.5, 90.0, 15.0, 7.0),
}
# Where bare skin is seen, besides nose, cheeks and chin: forehead, upper lip, below the eyes.
_SKIN = (
    (55.5, 18.0, 13.0, 7.0),
    (55.5, 64.0, 9.0, 3.0),
    (39.0, 48.0, 8.0, 4.0),
    (72.0, 48.0, 8.0, 4.0),
)

# What a part looks like, f1 to f7, becomes the share of it that is covered:
# 1 / (1 + exp(-(a + Σ bᵢ fᵢ + Σ cᵢ fᵢ²))). Each row: a, b1 … b7, c1 … c7.
#   f1 log(1 + d), d the distance of its colour (Cr, Cb) from the face's own skin, 85th percentile
#   f2 mean luma, f3 lowest luma, both from the skin's, in units of the face's contrast
#   f4 standard deviation of its luma, in the same unit
#   f5 log of its gradient energy relative to the face's
#   f6 log of its vertical over its horizontal gradient energy: eyes and lips lie level
#   f7 correlation with the mirror image of the face in the same place
# Source: logistic regression of the share covered on 6,886 pictures of the LFW people of
# pairsDevTrain, 30 % as they are and 70 % with a synthetic cover, 40 % also blurred, darkened,
# shrunk or noisy. docs/quality.md tells how far it can be trusted.
_EYE = (-1.101, -1.31, -1.083, -0.84, -4.137, -1.913, -0.569, -0.699,
        0.341, 2.948, -3.019, 22.612, -0.021, 0.487, -0.652)  # fmt: skip
_CHEEK = (1.312, 0.179, -2.792, 2.115, -18.986, 1.681, 0.781, -0.633,
          0.126, -1.724, 0.802, 19.06, 0.317, 0.209, -0.242)  # fmt: skip
_WEIGHTS = {
    "left_eye": _EYE,
    "right_eye": _EYE,
    "nose": (-2.696, 0.96, -3.606, 6.447, 7.486, -0.025, -0.103, 0.069,
             0.02, 3.423, 2.441, -9.764, 0.24, 0.202, -0.793),
    "mouth": (-0.046, -0.63, -0.832, 3.613, -1.324, -0.732, -0.723, -0.541,
              0.247, 3.651, 1.209, 6.686, 0.338, 0.251, -1.767),
    "left_cheek": _CHEEK,
    "right_cheek": _CHEEK,
    "chin": (3.397, -1.221, -3.709, 2.999, -27.608, 1.164, -0.443, -1.288,
             0.392, -1.183, 0.385, 36.386, 0.421, 0.452, -1.218),
}  # fmt: skip

_SMOOTH_PX = 1.0
_FLAT_LUMA = 10.0  # added to the face's contrast: a dark face's noise must not look like features
_FLAT_GRADIENT = 0.3  # added to gradient energies, in luma² per px², for the same reason
_FLAT_SPREAD = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """A crop, taken apart.

    Attributes:
        chroma: (h, w) distance of each pixel's Cr and Cb from the skin's.
        light: (h, w) luma from the skin's, in units of the face's contrast.
        grey: (h, w) luma, smoothed.
        across, down: (h, w) squared horizontal and vertical gradient.
        energy: Mean squared gradient of the face.
    """

    chroma: Floats
    light: Floats
    grey: Floats
    across: Floats
    down: Floats
    energy: float


def occlusion(crop: Image) -> Occlusion:
    """The share of each part that is covered, 0 visible to 1 covered; left is the viewer's.

    The face's own skin is what most of nose, cheeks, chin, forehead and upper lip agree on; a
    part that differs from it in colour, light, edges or from its mirror image more than bare
    faces do is taken for covered. It sees sunglasses, masks, microphones, cloth and hair across
    the eyes; it is weak on hands, which are skin too, and blind to what is transparent. A face
    mostly covered misleads it about what skin is.

    Args:
        crop: Of `face_crop`, from real landmarks: where these are wrong, so is this.
    """
    planes = _planes(crop)
    covered = {}
    for name, inside in _masks()[0].items():
        look = _look(planes, inside)
        weights = np.asarray(_WEIGHTS[name])
        logit = weights[0] + weights[1:8] @ look + weights[8:] @ look**2
        covered[name] = float(1.0 / (1.0 + np.exp(-np.clip(logit, -30.0, 30.0))))
    return Occlusion(**covered)


def _planes(crop: Image) -> _Planes:
    parted = cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    grey = np.asarray(cv2.GaussianBlur(parted[..., 0], (0, 0), _SMOOTH_PX), np.float32)
    skin = np.median([np.median(parted[patch], axis=0) for patch in _masks()[1]], axis=0)
    across = np.asarray(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32) ** 2
    down = np.asarray(cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32) ** 2
    low, high = np.quantile(grey[FACE], (0.1, 0.9))
    return _Planes(
        chroma=np.hypot(parted[..., 1] - skin[1], parted[..., 2] - skin[2]),
        light=(grey - skin[0]) / (high - low + _FLAT_LUMA),
        grey=grey,
        across=across,
        down=down,
        energy=float((across + down)[FACE].mean()),
    )


def _look(planes: _Planes, inside: Mask) -> Floats:
    """(7,) what a part looks like; see `_WEIGHTS`."""
    light = planes.light[inside]
    across, down = float(planes.across[inside].mean()), float(planes.down[inside].mean())
    here, mirrored = planes.grey[inside], planes.grey[:, ::-1][inside]
    product = float(((here - here.mean()) * (mirrored - mirrored.mean())).mean())
    return np.array(
        [
            np.log1p(np.quantile(planes.chroma[inside], 0.85)),
            light.mean(),
            light.min(),
            light.std(),
            np.log((across + down + _FLAT_GRADIENT) / (planes.energy + _FLAT_GRADIENT)),
            np.log((down + _FLAT_GRADIENT) / (across + _FLAT_GRADIENT)),
            product / (float(here.std()) * float(mirrored.std()) + _FLAT_SPREAD),
        ]
    )


@lru_cache(maxsize=1)
def _masks() -> tuple[dict[str, Mask], list[Mask]]:
    """The parts by name, and all places of bare skin."""
    parts = {name: ellipse(*place) for name, place in _PARTS.items()}
    skin = [parts[name] for name in ("nose", "left_cheek", "right_cheek", "chin")]
    return parts, skin + [ellipse(*place) for place in _SKIN]
