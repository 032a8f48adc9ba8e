"""Similarities of comparisons, told apart by whether one person was compared or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus._arrays import check_finite, check_shape
from vultus.errors import DtypeError, InsufficientDataError, RangeError, ShapeError

__all__ = ["Scores", "floats", "subject_numbers"]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a verification experiment measured.

    The convention of all metrics: two pictures are called the same person when their similarity
    *reaches* the threshold (``>=``), as in `vultus.decide`. Distances are negated first.

    Attributes:
        genuine: (g,) float64, similarities of pairs that show one person.
        impostor: (i,) float64, similarities of pairs that show two.
        genuine_subjects: (g,) whom each genuine pair shows, numbered from 0; ``None`` if unknown.
        impostor_subjects: (i, 2) whom each impostor pair shows, in the same numbers.

    Raises:
        ShapeError: Lists of unequal length.
        DtypeError: No numbers.
        RangeError: A score is NaN or infinite, or an impostor pair shows one subject.
        InsufficientDataError: There are no genuine pairs, or no impostor pairs.
    """

    genuine: Floats = field(repr=False)
    impostor: Floats = field(repr=False)
    genuine_subjects: Ints | None = field(default=None, repr=False)
    impostor_subjects: Ints | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("genuine", "impostor"):
            values = floats(getattr(self, name), f"{name} scores")
            if len(values) == 0:
                raise InsufficientDataError(
                    f"error rates need genuine and impostor pairs, there are no {name} ones",
                    remedy="add pairs of the missing kind",
                    expected=1,
                    actual=0,
                )
            object.__setattr__(self, name, values)
        if (self.genuine_subjects is None) != (self.impostor_subjects is None):
            raise ShapeError("subjects must be given for genuine and impostor pairs, or for none")
        if self.genuine_subjects is not None and self.impostor_subjects is not None:
            check_shape(self.genuine_subjects, (len(self.genuine),), "genuine subjects")
            check_shape(self.impostor_subjects, (len(self.impostor), 2), "impostor subjects")
            if (self.impostor_subjects[:, 0] == self.impostor_subjects[:, 1]).any():
                raise RangeError(
                    "an impostor pair must show two subjects, one shows the same twice"
                )

    @classmethod
    def from_labels(
        cls,
        similarities: ArrayLike,
        same: ArrayLike,
        subjects: Sequence[Sequence[object]] | NDArray[np.generic] | None = None,
    ) -> Self:
        """Scores of a list of pairs.

        Args:
            similarities: (n,) higher is more alike.
            same: (n,) booleans (or 0 and 1): whether a pair shows one person.
            subjects: (n, 2) names or numbers of the people a pair shows.

        Raises:
            ShapeError: The lists are of unequal length.
            DtypeError: `same` holds something else than booleans or 0 and 1.
            RangeError: A score is NaN, or names contradict `same`.
            InsufficientDataError: All pairs are of one kind.
        """
        values = floats(similarities, "similarities")
        labels = _booleans(same)
        check_shape(labels, (len(values),), "`same`, one label per similarity,")
        if subjects is None:
            return cls(values[labels], values[~labels])
        numbers = subject_numbers(subjects)
        check_shape(numbers, (len(values), 2), "subjects, two per similarity,")
        if ((numbers[:, 0] == numbers[:, 1]) != labels).any():
            wrong = int(np.flatnonzero((numbers[:, 0] == numbers[:, 1]) != labels)[0])
            raise RangeError(
                f"the subjects of a genuine pair must be equal and those of an impostor pair not; "
                f"pair {wrong} says same={bool(labels[wrong])}",
                remedy="check that labels and subjects are in the same order",
                pair=wrong,
            )
        return cls(values[labels], values[~labels], numbers[labels, 0], numbers[~labels])

    @classmethod
    def from_embeddings(
        cls, embeddings: NDArray[np.floating], subjects: Sequence[object] | NDArray[np.generic]
    ) -> Self:
        """Cosines of every embedding with every other one, once.

        Args:
            embeddings: (n, d) unit rows; memory is about 24 n² / 2 bytes.
            subjects: (n,) who each row shows.

        Raises:
            ShapeError: As many subjects as rows are needed.
            InsufficientDataError: One subject only, or one row of each.
        """
        rows = np.asarray(embeddings, np.float64)
        check_shape(rows, (None, None), "embeddings")
        check_finite(rows, "embeddings")
        who = subject_numbers(subjects)
        check_shape(who, (len(rows),), "subjects, one per embedding,")
        count = len(rows) * (len(rows) - 1) // 2
        values = np.empty(count)
        pairs = np.empty((count, 2), np.intp)
        at = 0
        for i in range(len(rows) - 1):
            rest = len(rows) - 1 - i
            np.matmul(rows[i + 1 :], rows[i], out=values[at : at + rest])
            pairs[at : at + rest, 0] = who[i]
            pairs[at : at + rest, 1] = who[i + 1 :]
            at += rest
        same = pairs[:, 0] == pairs[:, 1]
        return cls(values[same], values[~same], pairs[same, 0], pairs[~same])

    @property
    def subject_count(self) -> int | None:
        """How many different subjects the pairs show; ``None`` if unknown."""
        if self.genuine_subjects is None or self.impostor_subjects is None:
            return None
        return len(np.union1d(self.genuine_subjects, self.impostor_subjects))


def floats(values: ArrayLike, name: str) -> Floats:
    """(n,) finite float64.

    Raises:
        DtypeError: No real numbers, or no regular array.
        ShapeError: Not one-dimensional.
        RangeError: NaN or infinity.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of unequal length
        raise DtypeError(f"{name} must be a regular array of numbers: {error}") from error
    if array.dtype.kind not in "fiu" and array.size:
        raise DtypeError(f"{name} must be real numbers, got {array.dtype}", actual=str(array.dtype))
    check_shape(array, (None,), name)
    result: Floats = array.astype(np.float64)
    if not np.isfinite(result).all():
        bad = int(np.flatnonzero(~np.isfinite(result))[0])
        raise RangeError(
            f"{name} must be finite, number {bad} is {result[bad]}",
            remedy="leave failed comparisons out, or count them as the lowest score on purpose",
            index=bad,
        )
    return result


def subject_numbers(subjects: object) -> Ints:
    """Names or numbers of subjects as integers from 0, equal ones alike; shape is kept.

    Raises:
        DtypeError: They are neither, or no regular array.
    """
    try:
        names = np.asarray(subjects)
    except ValueError as error:
        raise DtypeError(f"subjects must be a regular array: {error}") from error
    if names.dtype.kind not in "iuUS" and names.size:
        raise DtypeError(f"subjects must be names or whole numbers, got {names.dtype}")
    if names.dtype.kind in "iu":
        numbers = np.unique(names.ravel(), return_inverse=True)[1]
    else:  # a dictionary is many times faster than sorting text
        known: dict[object, int] = {}
        listed = [known.setdefault(name, len(known)) for name in names.ravel().tolist()]
        numbers = np.array(listed, np.intp)
    return numbers.reshape(names.shape).astype(np.intp)


def _booleans(same: ArrayLike) -> NDArray[np.bool_]:
    labels = np.asarray(same)
    if labels.dtype.kind in "iu" and np.isin(labels, (0, 1)).all():
        labels = labels.astype(bool)
    if labels.dtype.kind != "b" and labels.size:
        raise DtypeError(
            f"`same` must hold booleans or 0 and 1, got {labels.dtype}", actual=str(labels.dtype)
        )
    return labels.astype(bool)
