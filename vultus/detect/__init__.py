"""Find faces in a picture."""

from vultus.detect.auto import AutoDetector, Pick
from vultus.detect.base import Detector, DetectorOptions, Scales
from vultus.detect.make import detector_for
from vultus.detect.mtcnn import Mtcnn, MtcnnOptions
from vultus.detect.rotation import detect_any_turn
from vultus.detect.scales import EveryScale

__all__ = [
    "AutoDetector",
    "Detector",
    "DetectorOptions",
    "EveryScale",
    "Mtcnn",
    "MtcnnOptions",
    "Pick",
    "Scales",
    "detect_any_turn",
    "detector_for",
]
