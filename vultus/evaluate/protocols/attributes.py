"""UTKFace: how far ages that a model reads are from the labelled ones, and how often the sex fits.

Source: Zhang, Song and Qi 2017, "Age Progression/Regression by Conditional Adversarial
Autoencoder", whose pictures carry age and sex in their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from vultus._arrays import check_finite, check_shape
from vultus.detect import Detector
from vultus.errors import DataFileError, ImageError, InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.sources import load_frame
from vultus.types import Attributes, Face, Rate

__all__ = [
    "BANDS",
    "AgeError",
    "AttributesResult",
    "Band",
    "LabelledFace",
    "age_error",
    "evaluate_attributes",
    "read_utkface",
    "share_with_interval",
]

# age_sex_race_date: 25_1_0_20170116171048641.jpg.chip.jpg. Some published names lack the race.
_NAME = re.compile(r"(\d{1,3})_([01])_(?:[0-4]_)?\d{14,20}\.jpg(?:\.chip)?(?:\.jpg)?", re.ASCII)
_OLDEST = 116

BANDS = ((0, 15), (16, 30), (31, 50), (51, _OLDEST))
"""First and last age of the groups told apart: no model reads all of them equally well."""


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """One picture of UTKFace.

    Attributes:
        picture: The file.
        age: In years.
        sex: ``male`` or ``female``.
    """

    picture: Path
    age: int
    sex: str


@dataclass(frozen=True, slots=True)
class AgeError:
    """How far estimated ages are off.

    Attributes:
        mean_years: Mean absolute error.
        bias_years: Mean of estimate less truth: negative where people are taken for younger.
        within_five: Share of estimates at most five years off.
        faces: How many.
    """

    mean_years: float
    bias_years: float
    within_five: Rate
    faces: int


@dataclass(frozen=True, slots=True)
class Band:
    """The result for one group of ages.

    Attributes:
        first_age: Youngest in the group.
        last_age: Oldest.
        age: Error of the ages; ``None`` where no age was read.
        sex: Share of right answers; ``None`` where no sex was read.
        faces: Faces read.
    """

    first_age: int
    last_age: int
    age: AgeError | None
    sex: Rate | None
    faces: int


@dataclass(frozen=True, slots=True)
class AttributesResult:
    """How well a model reads age and sex.

    Attributes:
        model: Its name.
        detector: Name of the detector's card.
        all_ages: Over every face.
        bands: Per group of ages; groups without a face are left out.
        pictures: Labelled pictures.
        missing: Pictures without a detected face or unreadable, with the reason.
        unlabelled: Files whose names state no label.
    """

    model: str
    detector: str
    all_ages: Band
    bands: tuple[Band, ...]
    pictures: int
    missing: tuple[tuple[str, str], ...]
    unlabelled: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = plain(self)
        return result


class Reader(Protocol):
    """What is measured: `vultus.assess.attributes.AttributeReader`, or anything like it."""

    @property
    def name(self) -> str:
        """Name of the model's card."""
        ...

    def read(self, faces: Sequence[Face]) -> list[Attributes]:
        """One per face, in order."""
        ...


def read_utkface(folder: Path) -> tuple[list[LabelledFace], list[str]]:
    """Read the labels in the names of a folder's pictures.

    Args:
        folder: With files named ``age_sex_race_date.jpg`` (sex 0 male, 1 female), also
            ``….jpg.chip.jpg``. The race is neither read nor used.

    Returns:
        The labelled pictures by name, and the names of JPEG files that state no label.

    Raises:
        DataFileError: The folder cannot be read, or holds no labelled picture.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".jpg")
    except OSError as error:
        raise DataFileError(f"{folder} cannot be read: {error.strerror or error}") from error
    labelled, unlabelled = [], []
    for name in names:
        found = _NAME.fullmatch(name)
        if found is None or int(found[1]) > _OLDEST:
            unlabelled.append(name)
        else:
            sex = "female" if found[2] == "1" else "male"
            labelled.append(LabelledFace(folder / name, int(found[1]), sex))
    if not labelled:
        raise DataFileError(
            f"{folder} must hold pictures named age_sex_race_date.jpg, none was found",
            path=str(folder),
        )
    return labelled, unlabelled


def age_error(estimated: ArrayLike, true: ArrayLike, *, confidence: float = 0.95) -> AgeError:
    """How far estimated ages are from the true ones.

    Args:
        estimated: (n,) years.
        true: (n,) years.
        confidence: Of the interval around the share within five years.

    Raises:
        ShapeError: Lists of unequal length.
        RangeError: An age is not finite.
        InsufficientDataError: No ages.
    """
    guessed, labels = np.asarray(estimated, np.float64), np.asarray(true, np.float64)
    check_shape(labels, (None,), "true ages")
    check_shape(guessed, labels.shape, "estimated ages")
    check_finite(guessed, "estimated ages")
    check_finite(labels, "true ages")
    if len(labels) == 0:
        raise InsufficientDataError("an age error needs at least one face, got none")
    off = guessed - labels
    near = int((np.abs(off) <= 5.0).sum())
    return AgeError(
        mean_years=float(np.abs(off).mean()),
        bias_years=float(off.mean()),
        within_five=share_with_interval(near, len(off), confidence=confidence),
        faces=len(off),
    )


def share_with_interval(hits: int, trials: int, *, confidence: float = 0.95) -> Rate:
    """A share and the interval that holds the true one.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Raises:
        InsufficientDataError: No trials.
        RangeError: More hits than trials, or a confidence outside (0, 1).
    """
    if trials == 0:
        raise InsufficientDataError("a share needs at least one trial, got none")
    if not 0 <= hits <= trials:
        raise RangeError(f"hits must lie in 0..{trials}, got {hits}")
    if not 0.0 < confidence < 1.0:
        raise RangeError(f"confidence must lie in (0, 1), got {confidence}")
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    share, spread = hits / trials, z * z / trials
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = z * sqrt(share * (1.0 - share) / trials + spread / (4.0 * trials)) / (1.0 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Rate(share, min(low, share), max(high, share), confidence)


def evaluate_attributes(
    folder: Path,
    reader: Reader,
    detector: Detector,
    progress: Callable[[int, int], None] | None = None,
) -> AttributesResult:
    """Measure a model on labelled pictures.

    Args:
        folder: See `read_utkface`.
        reader: What is measured.
        detector: Finds the face of each picture; of several the largest counts.
        progress: Called with the pictures done and their number.

    Raises:
        DataFileError: The folder holds no labelled picture.
        InsufficientDataError: In none of them a face was found.
    """
    labelled, unlabelled = read_utkface(folder)
    missing: list[tuple[str, str]] = []
    read: list[tuple[LabelledFace, Attributes]] = []
    for number, label in enumerate(labelled, 1):
        face = _face_of(label.picture, detector)
        if isinstance(face, str):
            missing.append((label.picture.name, face))
        else:
            read.append((label, reader.read([face])[0]))
        if progress is not None:
            progress(number, len(labelled))
    if not read:
        raise InsufficientDataError(f"in no picture of {folder} a face was found")
    bands = tuple(
        _band(first, last, among)
        for first, last in BANDS
        if (among := [pair for pair in read if first <= pair[0].age <= last])
    )
    return AttributesResult(
        model=reader.name,
        detector=detector.name,
        all_ages=_band(0, _OLDEST, read),
        bands=bands,
        pictures=len(labelled),
        missing=tuple(missing),
        unlabelled=tuple(unlabelled),
    )


def _face_of(picture: Path, detector: Detector) -> Face | str:
    try:
        faces = detector.detect(load_frame(picture))
    except ImageError as error:
        return str(error)
    largest = max(faces, key=lambda face: face.visible_area_px, default=None)
    return largest if largest is not None else "the detector found no face"


def _band(first: int, last: int, read: Sequence[tuple[LabelledFace, Attributes]]) -> Band:
    ages = [(a.age.value, label.age) for label, a in read if a.age is not None]
    sexes = [a.sex.value == label.sex for label, a in read if a.sex is not None]
    return Band(
        first_age=first,
        last_age=last,
        age=age_error([float(a) for a, _ in ages], [b for _, b in ages]) if ages else None,
        sex=share_with_interval(sum(sexes), len(sexes)) if sexes else None,
        faces=len(read),
    )
