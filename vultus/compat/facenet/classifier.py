"""``classifier``: names for faces by a classifier trained on embeddings, as ``classifier.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.classify import Classifier, TrainOptions, split_by_count, train
from vultus.compat.facenet.dataset import ImageClass, check_filled, flattened, read_dataset
from vultus.compat.facenet.faces import check_crop
from vultus.compat.facenet.features import features
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk
from vultus.errors import (
    DataFileError,
    InputError,
    InsufficientDataError,
    RangeError,
    SpaceMismatchError,
)
from vultus.types import EmbeddingSpace

__all__ = [
    "MODES",
    "ClassifierOptions",
    "Mode",
    "Named",
    "best_classes",
    "check_space",
    "classifier",
    "load_classifier",
]

Mode: TypeAlias = Literal["TRAIN", "CLASSIFY"]
MODES: tuple[Mode, ...] = ("TRAIN", "CLASSIFY")

_PICKLES = (b"\x80", b"(", b"c")  # binary protocols; a tuple, or a name, of protocol 0


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """The options of ``classifier.py``.

    Attributes:
        use_split_dataset: Train on some pictures of each class, classify the others.
        image_size: Checked; the model's card decides how faces are cut.
        seed: Of the split.
        min_nrof_images_per_class: With the split, classes with fewer pictures are left out.
        nrof_train_images_per_class: How many of each class train.

    Raises:
        RangeError: A value is outside its range.
    """

    use_split_dataset: bool = False
    image_size: int = 160
    seed: int = 666
    min_nrof_images_per_class: int = 20
    nrof_train_images_per_class: int = 10

    def __post_init__(self) -> None:
        check_crop(self.image_size, 0)
        if self.seed < 0:
            raise RangeError(f"seed must be at least 0, got {self.seed}")


class Named(NamedTuple):
    """What the classifier says of one face.

    Attributes:
        name: The likeliest class.
        probability: That it is this one, among those the classifier knows.
    """

    name: str
    probability: float


def classifier(
    mode: Mode,
    data_dir: Path,
    model: str,
    classifier_filename: Path,
    options: ClassifierOptions | None = None,
    *,
    talk: Talk,
) -> float | None:
    """Train a classifier on a data set, or try one on it.

    Args:
        mode: ``TRAIN`` writes `classifier_filename`, ``CLASSIFY`` reads it.
        data_dir: One folder of pictures per class; ``_`` in their names stands for a space.
        model: See `vultus.compat.facenet.model.find_model`.
        classifier_filename: A `vultus.classify.Classifier`, whatever the file is called.
        options: See `ClassifierOptions`.
        talk: Where words go.

    Returns:
        The accuracy; ``None`` after training.

    Raises:
        InsufficientDataError: A class without pictures, or fewer than two classes to train on.
        DataFileError: The file is no classifier; facenet's own pickles are refused.
        SpaceMismatchError: It was trained with another model.
        MissingExtraError: Training takes scikit-learn.
    """
    options = options or ClassifierOptions()
    made = load_classifier(classifier_filename) if mode == "CLASSIFY" else None
    dataset = _part(mode, read_dataset(data_dir), options)
    check_filled(dataset)
    paths, labels = flattened(dataset)
    names = _class_names(dataset)
    talk.line(f"Number of classes: {len(dataset)}")
    talk.line(f"Number of images: {len(paths)}")
    talk.line("Loading feature extraction model")
    loaded = load_model(model)
    loaded.announce(talk)
    if made is not None:
        check_space(made, loaded.space)
    talk.line("Calculating features for images")
    vectors = features(loaded, paths, talk).astype(np.float32)
    truth = [names[label] for label in labels]
    if made is None:
        talk.line("Training classifier")
        how = TrainOptions(min_images=1, unknown_rate=None, seed=options.seed)
        train(vectors, truth, loaded.space, "logistic", how).save(classifier_filename)
        talk.line(f'Saved classifier model to file "{classifier_filename}"')
        return None
    talk.line("Testing classifier")
    talk.line(f'Loaded classifier model from file "{classifier_filename}"')
    return _tested(made, vectors, truth, talk)


def load_classifier(path: Path) -> Classifier:
    """Read a classifier.

    Raises:
        DataFileError: It cannot be read, or is a pickle, which could run any program.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise DataFileError(
            f"{path} cannot be read: {error.strerror or error}",
            remedy="train a classifier first: `vultus facenet classifier TRAIN`",
            path=str(path),
        ) from error
    if start.startswith(_PICKLES):
        raise DataFileError(
            f"{path} is a pickle, as facenet's own classifiers are; it is not opened, because it "
            "could run any program, and its embeddings are another network's",
            remedy="train anew from the same pictures: `vultus facenet classifier TRAIN`",
            path=str(path),
        )
    return Classifier.load(path)


def check_space(made: Classifier, space: EmbeddingSpace) -> None:
    """Require a classifier to have been trained with a model.

    Raises:
        SpaceMismatchError: It was trained with another one, or another weight of it.
    """
    if made.space != space:
        raise SpaceMismatchError(
            f"the classifier was trained on {made.space}, the model gives {space}",
            remedy="name the model it was trained with, or train anew",
            expected=made.space.id,
            actual=space.id,
        )


def best_classes(made: Classifier, vectors: NDArray[np.float32]) -> list[Named]:
    """The likeliest class of each face, with its probability.

    Logistic regression gives the probabilities of all classes, which add up to 1. Classifiers of
    another kind (`vultus classify train`) give their calibrated confidence.

    Args:
        made: Any classifier.
        vectors: (n, d) float32, unit rows of its space.

    Raises:
        DataFileError: It has no probabilities: of another kind, and trained without rejection.
    """
    scores = made.scores(vectors)
    best = scores.argmax(axis=1)
    rows = np.arange(len(best))
    if made.kind == "logistic":
        # With two classes one row of weights serves both, and counts twice in the difference.
        logits = scores / 2 if len(made.people) == 2 else scores
        odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        sure = odds[rows, best] / odds.sum(axis=1)
    elif made.slope == 0.0:
        raise DataFileError(
            f"a classifier of kind {made.kind!r} trained without rejection has no probabilities",
            remedy="train it with `vultus facenet classifier TRAIN`",
        )
    else:
        exponent = -(made.slope * scores[rows, best] + made.offset)
        sure = 1.0 / (1.0 + np.exp(np.clip(exponent, -500, 500)))
    return [
        Named(made.people[column], float(probability))
        for column, probability in zip(best.tolist(), sure, strict=True)
    ]


def _part(mode: Mode, dataset: list[ImageClass], options: ClassifierOptions) -> list[ImageClass]:
    """The classes and pictures that a mode works on."""
    if not options.use_split_dataset:
        return dataset
    if not any(one.paths for one in dataset):
        check_filled(dataset)
    paths, labels = flattened(dataset)
    least = options.min_nrof_images_per_class
    keys = [f"{label:09d}" for label in labels]  # sorted as the labels are
    training, testing = split_by_count(
        keys,
        min_images=least,
        train_images=options.nrof_train_images_per_class,
        seed=options.seed,
    )
    rows = training if mode == "TRAIN" else testing
    if not len(rows):
        raise InsufficientDataError(
            f"no class has {least} pictures, which --min_nrof_images_per_class asks for",
            expected=least,
        )
    chosen: dict[int, list[Path]] = {}
    for row in rows.tolist():
        chosen.setdefault(labels[row], []).append(paths[row])
    return [ImageClass(dataset[label].name, tuple(own)) for label, own in sorted(chosen.items())]


def _class_names(dataset: Sequence[ImageClass]) -> list[str]:
    """The classes' names with spaces for underscores, as the original keeps them."""
    names = [one.name.replace("_", " ") for one in dataset]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"two classes would be called {twice[0]!r}: '_' in a folder's name stands for a space",
            remedy="rename one of the folders",
        )
    return names


def _tested(
    made: Classifier, vectors: NDArray[np.float32], truth: Sequence[str], talk: Talk
) -> float:
    found = best_classes(made, vectors)
    for i, best in enumerate(found):
        talk.line(f"{i:4d}  {best.name}: {best.probability:.3f}")
    strangers = sorted(set(truth) - set(made.people))
    if strangers:
        talk.note(
            f"{len(strangers)} classes are not among those the classifier knows, and count as "
            f"wrong: {', '.join(strangers[:5])}"
        )
    accuracy = float(np.mean([best.name == own for best, own in zip(found, truth, strict=True)]))
    talk.line(f"Accuracy: {accuracy:.3f}")
    return accuracy
