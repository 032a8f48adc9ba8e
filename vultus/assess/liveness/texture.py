"""Colour texture of a face: local binary patterns over HSV and YCrCb, the baseline of the field.

Source: Boulkenafet, Komulainen and Hadid 2016, "Face Spoofing Detection Using Colour Texture
Analysis"; patterns: Ojala, Pietikäinen and Mäenpää 2002, "Multiresolution gray-scale and rotation
invariant texture classification with local binary patterns", the uniform ones of 8 neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_shape
from vultus.assess.liveness.nets import context_crop
from vultus.assess.liveness.svm import LivenessSvm
from vultus.errors import CardError
from vultus.types import Face, Image

__all__ = [
    "TEXTURE",
    "TEXTURE_PX",
    "TEXTURE_SCALE",
    "TextureLiveness",
    "texture_features",
    "texture_of",
]

TEXTURE = "lbp-hsv-ycrcb/1"
"""What the features are; kept with a machine that was trained on them."""

TEXTURE_PX, TEXTURE_SCALE = 64, 1.0
"""Side of a face, as published, and how much of its box that is."""
_BINS = 59  # 58 uniform patterns, and one bin for all others
_CHANNELS = 6

# The eight neighbours at distance 1, in the order of their bits.
_AROUND = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def texture_of(crop: Image) -> NDArray[np.float64]:
    """Histograms of the uniform patterns of six colour channels.

    Args:
        crop: (h, w, 3) uint8 RGB, at least 3 by 3.

    Returns:
        (354,): 59 bins for each of H, S, V, Y, Cr and Cb; those of a channel sum to 1.
    """
    check_shape(crop, (None, None, 3), "a crop")
    colours = (cv2.COLOR_RGB2HSV_FULL, cv2.COLOR_RGB2YCrCb)
    planes = np.concatenate([cv2.cvtColor(crop, code) for code in colours], axis=2)
    height, width = planes.shape[:2]
    middle = planes[1:-1, 1:-1]
    code = np.zeros(middle.shape, np.uint8)
    for bit, (down, right) in enumerate(_AROUND):
        neighbour = planes[down : down + height - 2, right : right + width - 2]
        code |= (neighbour >= middle).astype(np.uint8) << np.uint8(bit)
    bins = _uniform_bins()[code].reshape(-1, _CHANNELS) + np.arange(_CHANNELS) * _BINS
    counts = np.bincount(bins.ravel(), minlength=_CHANNELS * _BINS)
    return counts / (len(bins) or 1)


def texture_features(faces: Sequence[Face]) -> NDArray[np.float64]:
    """(n, 354) texture of faces, each scaled to 64 by 64 pixels."""
    rows = [
        texture_of(
            context_crop(face.frame.image, face.box, TEXTURE_SCALE, (TEXTURE_PX, TEXTURE_PX))
        )
        for face in faces
    ]
    return np.stack(rows) if rows else np.zeros((0, _CHANNELS * _BINS))


class TextureLiveness:
    """Tells living faces from pictures by their colour texture. Safe to call from many threads.

    Args:
        svm: Trained on `texture_features`.

    Raises:
        CardError: It was trained on other features.
    """

    def __init__(self, svm: LivenessSvm) -> None:
        if svm.features != TEXTURE:
            raise CardError(
                f"this machine was trained on {svm.features}, not on {TEXTURE}",
                remedy="use `NetSvmLiveness` with the network it was trained with",
                expected=TEXTURE,
                actual=svm.features,
            )
        self.name = svm.name
        self.svm = svm

    def scores(self, faces: Sequence[Face]) -> NDArray[np.float64]:
        """(n,) probability that each face is alive, as calibrated on held-out people."""
        return self.svm.probability(texture_features(faces))


def _uniform_bins() -> NDArray[np.int64]:
    """(256,): the bin of each pattern. Uniform: at most two changes on the way round."""
    codes = np.arange(256, dtype=np.uint8)
    bits = np.unpackbits(codes[:, None], axis=1)
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    bins = np.full(256, _BINS - 1, np.int64)
    bins[changes <= 2] = np.arange(_BINS - 1)
    return bins
