"""The whole flow: detect, look, embed, verify, enroll, identify."""

from vultus.pipeline.load import load
from vultus.pipeline.recognizer import Recognizer, largest_face

__all__ = ["Recognizer", "largest_face", "load"]
