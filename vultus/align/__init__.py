"""From a face in a picture to the crop an embedder was trained on."""

from vultus.align.base import Aligner, aligner_for
from vultus.align.dlib_chip import DlibAligner, dlib_chip, eye_mouth_square
from vultus.align.five_points import FivePointRegressor
from vultus.align.similarity import ARCFACE_112, SimilarityAligner, similarity_transform

__all__ = [
    "ARCFACE_112",
    "Aligner",
    "DlibAligner",
    "FivePointRegressor",
    "SimilarityAligner",
    "aligner_for",
    "dlib_chip",
    "eye_mouth_square",
    "similarity_transform",
]
