"""Classifiers trained on embeddings: a name per face for people with many pictures, or none."""

from vultus.classify.model import KINDS, Classifier, Kind, Prediction
from vultus.classify.train import TrainOptions, split_by_count, train

__all__ = [
    "KINDS",
    "Classifier",
    "Kind",
    "Prediction",
    "TrainOptions",
    "split_by_count",
    "train",
]
