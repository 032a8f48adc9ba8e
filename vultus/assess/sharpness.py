"""How blurred and how noisy a face is, whatever its size and light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.assess._aligned import FACE, INTER_EYE_PX, luma
from vultus.types import Image

__all__ = ["HALF_SPREAD", "blur", "noise", "spread_px"]

# The two smoothings, in pixels of the crop, and the share of the face's strongest edges looked at.
# Chosen on 300 pictures of LFW: of five measures (variance of the Laplacian, Crete-Roffet, energy
# ratio, this one with two pairs of smoothings) this one rose at every step of synthetic blur and
# answered least to noise, JPEG and darkness.
_FINE_PX, _COARSE_PX = 0.8, 2.0
_EDGES = 0.15
_WIDEST_PX = 16.0  # a face of 32 px between the eyes has no wider edge to measure
# Motion smears edges across its direction only: the worst of four counts.
_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (0.5**0.5, 0.5**0.5), (0.5**0.5, -(0.5**0.5)))

HALF_SPREAD = 0.1
"""Spread, as a part of the distance between the eyes, at which `blur` is one half. There about
half of the genuine pairs of LFW (people of pairsDevTrain, one picture sharp, one spoilt) fall below
the threshold of FMR 1e-3 of `dlib-resnet-v1`: 0.12 for Gaussian blur, 0.09 for motion and for
pictures that are too small."""

_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def spread_px(crop: Image) -> float:
    """How wide a step edge has been smeared: the sigma of a Gaussian, in pixels of the crop.

    The crop is smoothed a little, and more. At an edge that was blurred before, the second
    smoothing takes away less of the gradient; the ratio of the two gradients' squares tells the
    blur σ whatever the edge's contrast: ``R = (σ² + coarse²) / (σ² + fine²)``. Of four directions
    the one with the widest spread counts.

    Source: Zhuo and Sim 2011, "Defocus map estimation from a single image", Pattern Recognition
    44, with both gradients smoothed against noise and the strongest edges taken together.

    Args:
        crop: Of `face_crop`.

    Returns:
        Pixels at 32 px between the eyes, in [0, 16]. Real steps of 1.5 to 2 px read 0.5 px too
        wide, since the flanks of an edge are taken with it; a sharp face of LFW has 1.6 (1.3 to
        2.1), since skin has no step edges. A face without any edge has 16.
    """
    grey = luma(crop)
    fine, coarse = (_gradient(grey, sigma) for sigma in (_FINE_PX, _COARSE_PX))
    return max(_spread_px(fine @ way, coarse @ way) for way in np.array(_DIRECTIONS, np.float32))


def blur(crop: Image) -> float:
    """0 sharp to 1 blurred: ``s² / (s² + half²)``, s the spread over the distance of the eyes.

    Args:
        crop: Of `face_crop`.
    """
    squared = (spread_px(crop) / INTER_EYE_PX) ** 2
    return squared / (squared + HALF_SPREAD**2)


def noise(crop: Image) -> float:
    """Standard deviation of the grain, in luma (0..255).

    The median response to a mask that faces hardly excite, so that eyes and lips do not count.

    Source: Immerkaer 1996, "Fast noise variance estimation", with the median in place of the mean.

    Args:
        crop: Of `face_crop`; shrinking a large face to it averages its grain away.

    Returns:
        0.7 for a usual face of LFW, 1.2 for its grainiest twentieth.
    """
    response = np.abs(cv2.filter2D(luma(crop), cv2.CV_32F, _LAPLACIANS)[FACE])
    # 1.4826: from the median of absolute values to a normal distribution's standard deviation; 6
    # is the mask's own gain.
    return float(np.median(response)) * 1.4826 / 6.0


def _gradient(grey: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """(n, 2) horizontal and vertical gradient at each pixel of the face."""
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma_px)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)[FACE]
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)[FACE]
    return np.stack([across, down], axis=1)


def _spread_px(fine: NDArray[np.float32], coarse: NDArray[np.float32]) -> float:
    fine, coarse = fine**2, coarse**2
    strong = coarse >= np.quantile(coarse, 1.0 - _EDGES)
    ratio = float(fine[strong].sum()) / max(float(coarse[strong].sum()), 1e-6)
    if ratio <= 1.0:
        return _WIDEST_PX
    variance = (_COARSE_PX**2 - ratio * _FINE_PX**2) / (ratio - 1.0)
    return min(float(np.sqrt(max(variance, 0.0))), _WIDEST_PX)
