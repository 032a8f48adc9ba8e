"""Accuracy by folds, as the LFW protocol and the code that made it common compute it.

The arithmetic is that of facenet's ``validate_on_lfw.py`` (Sandberg 2018), which InsightFace's
``verification.py`` took over: thresholds on a grid, two pictures called the same where their
distance is *below* it, the first of the best thresholds of the other folds. AUC and EER are exact
besides, over each pair's distance in its own fold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_shape
from vultus.errors import DtypeError, InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics import Scores, area_under_curve, equal_error_rate
from vultus.evaluate.metrics.scores import Floats

__all__ = ["Distance", "FoldedAccuracy", "distances", "evaluate_folds", "evaluate_transfer"]

Distance: TypeAlias = Literal["euclidean", "cosine"]
Booleans: TypeAlias = NDArray[np.bool_]

_GRID = np.arange(0, 4, 0.01)  # squared distances of unit vectors lie in [0, 4]
_FINE_GRID = np.arange(0, 4, 0.001)
_VAL_FAR = 1e-3


@dataclass(frozen=True, slots=True)
class FoldedAccuracy:
    """What a list of pairs says about embeddings.

    Attributes:
        pairs: Pairs that were compared.
        folds: Folds; 1 where the threshold came from another list.
        distance: ``euclidean`` (squared) or ``cosine`` (angle as a share of 180 degrees).
        subtract_mean: Whether the mean of the training folds was subtracted first.
        accuracy: Mean share of right decisions.
        accuracy_std: Population standard deviation over the folds; with one fold the binomial
            ``sqrt(p (1 - p) / n)``.
        accuracy_standard_error: Of the mean: sample deviation over the root of the number of
            folds, as LFW defines it; with one fold as above.
        fold_accuracies: One per fold.
        threshold: Mean of the folds' thresholds, a distance; below it, two are called the same.
        auc: Area under the ROC of all pairs, exact.
        eer: Equal error rate of all pairs, exact.
        val: Mean share of genuine pairs accepted at a false accept rate of 1e-3, the threshold
            found on the training folds.
        val_std: Population standard deviation over the folds.
        val_far: Mean false accept rate that those thresholds had on the test folds.
        grid_auc: Area by trapezoids under the mean ROC on the grid, as facenet prints it.
        grid_eer: EER of that mean ROC, as facenet prints it.
        scores: The pairs' negated distances, for other metrics.
    """

    pairs: int
    folds: int
    distance: Distance
    subtract_mean: bool
    accuracy: float
    accuracy_std: float
    accuracy_standard_error: float
    fold_accuracies: tuple[float, ...]
    threshold: float
    auc: float
    eer: float
    val: float
    val_std: float
    val_far: float
    grid_auc: float
    grid_eer: float
    scores: Scores = field(repr=False, compare=False)

    @property
    def similarity_threshold(self) -> float | None:
        """The threshold as a cosine to be reached, as everywhere else in vultus.

        For embeddings of unit length. ``None`` for angles about a mean that was subtracted: they
        belong to no embedding space. (Euclidean distances do not change with the mean.)
        """
        if self.distance == "euclidean":
            return 1.0 - self.threshold / 2.0
        return None if self.subtract_mean else float(np.cos(np.pi * self.threshold))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the scores."""
        found: dict[str, Any] = plain(self)
        del found["scores"]
        return {**found, "similarity_threshold": self.similarity_threshold}


def distances(first: NDArray[Any], second: NDArray[Any], distance: Distance) -> Floats:
    """Distance of each row of `first` from the row of `second`, in float64.

    Args:
        first: (n, d) vectors; unit or raw, as they are.
        second: (n, d).
        distance: ``euclidean``: the *squared* Euclidean distance. ``cosine``: the angle,
            ``arccos(cosine) / pi``, in [0, 1]; the cosine is clipped to [-1, 1].

    Raises:
        ShapeError: Not (n, d) both.
        RangeError: An unknown distance, or the cosine of a zero vector.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    check_shape(a, (None, None), "embeddings")
    check_shape(b, a.shape, "the pairs' second embeddings")
    if distance == "euclidean":
        return np.asarray(np.square(a - b).sum(axis=1))
    if distance != "cosine":
        raise RangeError(f"distance must be euclidean or cosine, got {distance!r}")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not (lengths > 0).all():
        raise RangeError("an angle needs vectors of some length, one is zero")
    return np.asarray(np.arccos(np.clip((a * b).sum(axis=1) / lengths, -1.0, 1.0)) / np.pi)


def evaluate_folds(
    first: NDArray[Any],
    second: NDArray[Any],
    same: NDArray[Any],
    folds: int | NDArray[np.intp] = 10,
    *,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
    rejected: Booleans | None = None,
) -> FoldedAccuracy:
    """Accuracy, AUC, EER and VAL, each fold judged by what the others say.

    Args:
        first: (n, d) embeddings of the pairs' first pictures.
        second: (n, d) of their second ones.
        same: (n,) whether a pair shows one person.
        folds: How many folds, cut without shuffling into runs of equal length (the first ones one
            longer where it does not divide), or (n,) the fold of each pair.
        distance: See `distances`.
        subtract_mean: Subtract the mean of both columns of the training folds before the distance.
        rejected: (n,) pairs that cannot be compared, for want of a face: never accepted, whatever
            the threshold, and no part of a mean. Their embeddings do not matter.

    Raises:
        ShapeError: The arrays do not fit together.
        InsufficientDataError: Fewer than two folds, or a fold without one kind of pair.
    """
    labels, fold = _labels(same), _fold_numbers(folds, len(same))
    out = np.zeros(len(labels), bool) if rejected is None else rejected
    check_shape(out, (len(labels),), "`rejected`")
    numbers = np.unique(fold)
    if len(numbers) < 2:
        raise InsufficientDataError(
            f"a threshold chosen on other folds needs at least 2 folds, there are {len(numbers)}",
            remedy="give another list for the threshold",
            expected=2,
            actual=len(numbers),
        )
    own = np.empty(len(labels))
    parts = []
    for number in numbers:
        test = fold == number
        d = _all_distances(first, second, ~test & ~out, distance, subtract_mean)
        d[out] = np.inf
        own[test] = d[test]
        parts.append(_judge(d[~test], labels[~test], d[test], labels[test]))
    accuracies = np.array([part.accuracy for part in parts])
    return _summary(
        parts,
        own,
        labels,
        distance,
        subtract_mean,
        float(accuracies.std()),
        float(accuracies.std(ddof=1) / np.sqrt(len(parts))),
    )


def evaluate_transfer(
    train: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    *,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
    rejected: tuple[Booleans, Booleans] | None = None,
) -> FoldedAccuracy:
    """The same for one list judged by another: View 1 of LFW.

    Args:
        train: First embeddings, second embeddings and `same` of the list thresholds come from.
        test: Likewise of the list that is judged.
        distance: See `distances`.
        subtract_mean: Subtract the mean of `train` before the distance.
        rejected: Of `train` and of `test`, see `evaluate_folds`.

    Raises:
        ShapeError: The arrays do not fit together.
        InsufficientDataError: A list without one kind of pair.
    """
    size = len(train[2])
    labels = np.concatenate([_labels(train[2]), _labels(test[2])])
    first, second = (np.concatenate([train[i], test[i]]) for i in (0, 1))
    out = np.zeros(len(labels), bool) if rejected is None else np.concatenate(rejected)
    check_shape(out, (len(labels),), "`rejected`")
    kept = ~out
    kept[size:] = False
    d = _all_distances(first, second, kept, distance, subtract_mean)
    d[out] = np.inf
    part = _judge(d[:size], labels[:size], d[size:], labels[size:])
    error = float(np.sqrt(part.accuracy * (1.0 - part.accuracy) / len(test[2])))
    return _summary([part], d[size:], labels[size:], distance, subtract_mean, error, error)


# -- one fold -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    accuracy: float
    threshold: float
    val: float
    far: float
    tpr: Floats
    fpr: Floats


def _judge(train: Floats, train_same: Booleans, test: Floats, test_same: Booleans) -> _Judged:
    """Choose on `train`, measure on `test`."""
    for labels in (train_same, test_same):
        if labels.all() or not labels.any():
            raise InsufficientDataError(
                "every fold needs pairs of one person and of two, one has a single kind"
            )
    right = _accepted(train, train_same, _GRID) - _accepted(train, ~train_same, _GRID)
    threshold = _GRID[int(np.argmax(right))]  # the first of the best, counted exactly
    accuracy = float(((test < threshold) == test_same).mean())
    val_threshold = _threshold_at_far(train, train_same)
    return _Judged(
        accuracy,
        float(threshold),
        float((test[test_same] < val_threshold).mean()),
        float((test[~test_same] < val_threshold).mean()),
        _accepted(test, test_same, _GRID) / test_same.sum(),
        _accepted(test, ~test_same, _GRID) / (~test_same).sum(),
    )


def _accepted(values: Floats, kind: Booleans, grid: Floats) -> NDArray[np.intp]:
    """How many pairs of a kind lie below each threshold."""
    return np.searchsorted(np.sort(values[kind]), grid, side="left")


def _threshold_at_far(values: Floats, same: Booleans) -> float:
    """Where FAR reaches 1e-3, linear between points of the fine grid; 0 where it never does.

    Where the target is met exactly on a plateau, the plateau's lowest threshold counts.
    """
    far = _accepted(values, ~same, _FINE_GRID) / (~same).sum()
    if far[-1] < _VAL_FAR:
        return 0.0
    at = int(np.searchsorted(far, _VAL_FAR, side="left"))  # >= 1, for nothing lies below 0
    share = (_VAL_FAR - far[at - 1]) / (far[at] - far[at - 1])
    return float(_FINE_GRID[at - 1] + share * (_FINE_GRID[at] - _FINE_GRID[at - 1]))


def _all_distances(
    first: NDArray[Any],
    second: NDArray[Any],
    train: Booleans,
    distance: Distance,
    subtract_mean: bool,
) -> Floats:
    if not subtract_mean:
        return distances(first, second, distance)
    mean = np.concatenate([first[train], second[train]]).mean(axis=0, dtype=np.float64)
    return distances(first - mean, second - mean, distance)


# -- all folds ----------------------------------------------------------------------------------


def _summary(
    parts: list[_Judged],
    own: Floats,
    same: Booleans,
    distance: Distance,
    subtract_mean: bool,
    deviation: float,
    standard_error: float,
) -> FoldedAccuracy:
    # A pair that cannot be compared scores below every other one.
    finite = np.where(np.isfinite(own), own, np.max(own, where=np.isfinite(own), initial=4.0) + 1)
    scores = Scores.from_labels(-finite, same)
    tpr, fpr = (np.mean([getattr(p, name) for p in parts], axis=0) for name in ("tpr", "fpr"))
    return FoldedAccuracy(
        pairs=len(same),
        folds=len(parts),
        distance=distance,
        subtract_mean=subtract_mean,
        accuracy=float(np.mean([part.accuracy for part in parts])),
        accuracy_std=deviation,
        accuracy_standard_error=standard_error,
        fold_accuracies=tuple(part.accuracy for part in parts),
        threshold=float(np.mean([part.threshold for part in parts])),
        auc=area_under_curve(scores),
        eer=equal_error_rate(scores).rate,
        val=float(np.mean([part.val for part in parts])),
        val_std=float(np.std([part.val for part in parts])),
        val_far=float(np.mean([part.far for part in parts])),
        grid_auc=float(((tpr[1:] + tpr[:-1]) / 2 * np.diff(fpr)).sum()),
        grid_eer=_crossing(fpr, tpr),
        scores=scores,
    )


def _crossing(fpr: Floats, tpr: Floats) -> float:
    """Where 1 - FPR = TPR on the polyline; NaN where the grid does not reach it."""
    gap = tpr + fpr - 1.0
    if gap[0] > 0 or gap[-1] < 0:
        return float("nan")
    at = max(1, int(np.searchsorted(gap, 0.0, side="left")))
    share = -gap[at - 1] / (gap[at] - gap[at - 1]) if gap[at] > gap[at - 1] else 0.0
    return float(fpr[at - 1] + share * (fpr[at] - fpr[at - 1]))


def _labels(same: NDArray[Any]) -> Booleans:
    labels = np.asarray(same)
    if labels.dtype.kind != "b":
        raise DtypeError(f"`same` must hold booleans, got {labels.dtype}")
    check_shape(labels, (None,), "`same`")
    return labels


def _fold_numbers(folds: int | NDArray[np.intp], count: int) -> NDArray[np.intp]:
    if not isinstance(folds, int):
        check_shape(np.asarray(folds), (count,), "folds, one per pair,")
        return np.asarray(folds, np.intp)
    if folds < 2 or folds > count:
        raise InsufficientDataError(
            f"{count} pairs cannot be cut into {folds} folds of which each is judged by others",
            expected=2,
            actual=folds,
        )
    sizes = np.full(folds, count // folds)
    sizes[: count % folds] += 1  # as scikit-learn's KFold without shuffling
    return np.repeat(np.arange(folds), sizes)
