"""Find faces in a picture."""

from vultus.detect.base import Detector
from vultus.detect.mtcnn import Mtcnn, MtcnnOptions
from vultus.detect.rotation import detect_any_turn

__all__ = ["Detector", "Mtcnn", "MtcnnOptions", "detect_any_turn"]
