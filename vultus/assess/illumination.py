"""How bright a face is, and how much light and shade it has."""

from __future__ import annotations

import numpy as np

from vultus.assess._aligned import FACE, luma
from vultus.types import Image

__all__ = ["contrast", "illumination"]


def illumination(crop: Image) -> float:
    """Mean luma of the face, 0 dark to 255 bright.

    Source: ISO/IEC 29794-5 asks for the luminance of the face region; luma as ITU-R BT.601
    weighs the colours. The limit 40 of the cloud services is of this scale.

    Args:
        crop: Of `face_crop`.
    """
    return float(luma(crop)[FACE].mean())


def contrast(crop: Image) -> float:
    """Spread of the face's luma, from the 10th to the 90th percentile, as a part of 255.

    Percentiles rather than the standard deviation: a highlight on the forehead or a black pupil
    does not count.

    Args:
        crop: Of `face_crop`.
    """
    low, high = np.quantile(luma(crop)[FACE], (0.1, 0.9))
    return float(high - low) / 255.0
