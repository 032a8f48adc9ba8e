"""Training for liveness: networks, support vector machines on features, and their export."""

from vultus.train.liveness.data import CropSet, augmented, load_crops, nuaa_session
from vultus.train.liveness.svm import COSTS, GAMMAS, SvmOptions, fit_svm

__all__ = [
    "COSTS",
    "GAMMAS",
    "CropSet",
    "SvmOptions",
    "augmented",
    "fit_svm",
    "load_crops",
    "nuaa_session",
]
