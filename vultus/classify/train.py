"""Training a classifier on embeddings, and choosing when it should say "nobody I know"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.classify.model import Classifier, Kind
from vultus.errors import InsufficientDataError, MissingExtraError, RangeError, ShapeError
from vultus.types import EmbeddingSpace

__all__ = ["TrainOptions", "split_by_count", "train"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_UNKNOWN = 20  # faces of unseen people from which a rejection threshold is chosen
_ROUNDS = 5
_GRID_C = (0.1, 1.0, 10.0, 100.0)
# For unit vectors γ·|x − y|² with |x − y|² in [0, 4]: from nearly linear to very local.
_GRID_GAMMA = (0.25, 1.0, 4.0, 16.0)


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train.

    Attributes:
        min_images: People with fewer pictures are left out, ≥ 1.
        unknown_rate: Part of strangers' faces that may get a name, in (0, 1); sets the
            threshold of rejection. ``None``: never reject.
        neighbours: For ``knn``, ≥ 1.
        cost: The support vector machines' and logistic regression's C; ``None``: 10 for the
            linear kinds, and a grid search over C and γ for ``svm-rbf``.
        seed: Of every split.

    Raises:
        RangeError: A value is outside its range.
    """

    min_images: int = 2
    unknown_rate: float | None = 0.01
    neighbours: int = 5
    cost: float | None = None
    seed: int = 666

    def __post_init__(self) -> None:
        if self.min_images < 1:
            raise RangeError(f"min_images must be at least 1, got {self.min_images}")
        if self.neighbours < 1:
            raise RangeError(f"neighbours must be at least 1, got {self.neighbours}")
        if self.unknown_rate is not None and not 0.0 < self.unknown_rate < 1.0:
            raise RangeError(f"unknown_rate must lie in (0, 1), got {self.unknown_rate}")
        if self.cost is not None and not 0.0 < self.cost < math.inf:
            raise RangeError(f"cost must be positive, got {self.cost}")


def split_by_count(
    people: Sequence[str], *, min_images: int = 20, train_images: int = 10, seed: int = 666
) -> tuple[Ints, Ints]:
    """Rows for training and rows for testing, as facenet's ``classifier`` splits a data set.

    People with at least `min_images` pictures take part; of each, `train_images` at random train
    and the rest test.

    Source: facenet (Sandberg), ``classifier.py``, ``--use_split_dataset``.
    """
    if not 1 <= train_images < max(min_images, 2):
        raise RangeError(
            f"train_images must be at least 1 and below min_images, got {train_images} and "
            f"{min_images}"
        )
    random = np.random.default_rng(seed)
    names = np.asarray(people)
    first: list[int] = []
    rest: list[int] = []
    for name in sorted(set(people)):
        rows = np.flatnonzero(names == name)
        if len(rows) >= min_images:
            rows = random.permutation(rows)
            first += rows[:train_images].tolist()
            rest += rows[train_images:].tolist()
    return np.array(first, np.int64), np.array(rest, np.int64)


def train(
    vectors: NDArray[np.float32],
    people: Sequence[str],
    space: EmbeddingSpace,
    kind: Kind = "svm",
    options: TrainOptions | None = None,
) -> Classifier:
    """Train a classifier.

    The threshold of rejection is chosen on people it has not seen: in each of five rounds a fifth
    of the people is kept out of training and counts as strangers, and a quarter of the others'
    pictures as known faces it was not trained on. A final training on everything follows.

    Args:
        vectors: (n, d) float32, unit rows of `space`.
        people: Whom each row shows.
        space: The identity of the embeddings.
        kind: How to decide.
        options: See `TrainOptions`.

    Raises:
        ShapeError: The lengths differ.
        RangeError: A vector is not finite.
        InsufficientDataError: Fewer than two people with enough pictures, or too few people to
            choose a threshold of rejection.
        MissingExtraError: scikit-learn is not installed (for the support vector machines and
            logistic regression).
    """
    options = options or TrainOptions()
    if vectors.ndim != 2 or len(vectors) != len(people):
        raise ShapeError(
            f"vectors must be (n, d) with a person per row, got {vectors.shape} and {len(people)}"
        )
    check_finite(vectors, "embeddings")
    counts = {name: people.count(name) for name in sorted(set(people))} if len(people) else {}
    names = tuple(name for name, count in counts.items() if count >= options.min_images)
    if len(names) < 2:
        raise InsufficientDataError(
            f"a classifier takes at least two people with {options.min_images} pictures each, "
            f"got {len(names)}",
            remedy="add pictures, or lower --min-images",
            expected=2,
            actual=len(names),
        )
    number = {name: i for i, name in enumerate(names)}
    rows = np.array([i for i, name in enumerate(people) if name in number], np.int64)
    labels = np.array([number[people[i]] for i in rows.tolist()], np.int64)
    chosen = vectors[rows].astype(np.float64)
    settings = _settings(kind, chosen, labels, options)
    limit, slope, offset, measured = _rejection(kind, chosen, labels, settings, options)
    arrays = _fitted(kind, chosen, labels, len(names), settings)
    report = {
        "people": len(names),
        "images": len(rows),
        "left_out": sorted(set(counts) - set(names)),
        "seed": options.seed,
        **measured,
    }
    return Classifier(kind, names, space, arrays, settings, limit, slope, offset, report)


# -- fitting --------------------------------------------------------------------------------------


def _settings(kind: Kind, vectors: Floats, labels: Ints, options: TrainOptions) -> dict[str, float]:
    if kind == "knn":
        return {"neighbours": float(options.neighbours)}
    if kind == "centroid":
        return {}
    if kind != "svm-rbf":
        return {"C": options.cost or 10.0}
    costs = _GRID_C if options.cost is None else (options.cost,)
    best = (-1.0, 0.0, 0.0)
    train_rows, test_rows = _parts(labels, np.random.default_rng(options.seed))
    for cost in costs:
        for gamma in _GRID_GAMMA:
            tried = {"C": cost, "gamma": gamma}
            count = int(labels.max()) + 1
            arrays = _fitted(kind, vectors[train_rows], labels[train_rows], count, tried)
            found = _as_classifier(kind, arrays, tried, count, vectors.shape[1]).scores(
                _narrow(vectors[test_rows])
            )
            right = float((found.argmax(axis=1) == labels[test_rows]).mean())
            best = max(best, (right, cost, gamma), key=lambda entry: entry[0])
    return {"C": best[1], "gamma": best[2]}


def _fitted(
    kind: Kind, vectors: Floats, labels: Ints, people: int, settings: dict[str, float]
) -> dict[str, NDArray[Any]]:
    if kind == "knn":
        return {"vectors": _narrow(vectors), "labels": labels}
    if kind == "centroid":
        sums = np.zeros((people, vectors.shape[1]))
        np.add.at(sums, labels, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return {"weights": sums / np.maximum(lengths, 1e-12)}
    return _fitted_by_library(kind, vectors, labels, people, settings)


def _fitted_by_library(
    kind: Kind, vectors: Floats, labels: Ints, people: int, settings: dict[str, float]
) -> dict[str, NDArray[Any]]:
    """One against the rest for the machines; multinomial for logistic regression."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import SVC, LinearSVC
    except ImportError as error:
        raise MissingExtraError(
            f"a classifier of kind {kind!r} is trained with scikit-learn",
            remedy="pip install 'vultus[evaluate]', or choose knn or centroid",
        ) from error
    if kind == "svm-rbf":
        support_rows, duals, bias = [], [], []
        for person in range(people):
            machine = SVC(kernel="rbf", C=settings["C"], gamma=settings["gamma"])
            machine.fit(vectors, labels == person)
            support_rows.append(machine.support_)
            duals.append(machine.dual_coef_[0])
            bias.append(machine.intercept_[0])
        used = np.unique(np.concatenate(support_rows))
        weights = np.zeros((people, len(used)))
        for person, (rows, dual) in enumerate(zip(support_rows, duals, strict=True)):
            weights[person, np.searchsorted(used, rows)] = dual
        return {"support": vectors[used], "weights": weights, "bias": np.array(bias)}
    model = (
        LogisticRegression(C=settings["C"], max_iter=2000)
        if kind == "logistic"
        else LinearSVC(C=settings["C"], dual=True, max_iter=20_000)
    )
    model.fit(vectors, labels)
    weights, offsets = np.asarray(model.coef_), np.asarray(model.intercept_)
    if people == 2 and len(weights) == 1:  # one row serves both: the other is its negative
        weights, offsets = np.concatenate([-weights, weights]), np.concatenate([-offsets, offsets])
    return {"weights": weights, "bias": offsets}


# -- rejecting ------------------------------------------------------------------------------------


def _rejection(
    kind: Kind,
    vectors: Floats,
    labels: Ints,
    settings: dict[str, float],
    options: TrainOptions,
) -> tuple[float, float, float, dict[str, Any]]:
    """Threshold, slope and offset of the calibration, and what was measured on held-out faces."""
    people = int(labels.max()) + 1
    if options.unknown_rate is None:
        return -math.inf, 0.0, 0.0, {"unknown_rate": None}
    random = np.random.default_rng(options.seed)
    known: list[Floats] = []
    right: list[NDArray[np.bool_]] = []
    strangers: list[Floats] = []
    for kept_out in np.array_split(random.permutation(people), min(_ROUNDS, people)):
        others = np.setdiff1d(np.arange(people), kept_out)
        if len(others) < 2:
            continue
        inside = np.flatnonzero(np.isin(labels, others))
        own = np.searchsorted(others, labels[inside])
        fit_rows, test_rows = _parts(own, random)
        arrays = _fitted(kind, vectors[inside[fit_rows]], own[fit_rows], len(others), settings)
        model = _as_classifier(kind, arrays, settings, len(others), vectors.shape[1])
        found = model.scores(_narrow(vectors[inside[test_rows]]))
        known.append(found.max(axis=1, initial=-math.inf))
        right.append(found.argmax(axis=1) == own[test_rows])
        outside = np.flatnonzero(np.isin(labels, kept_out))
        strangers.append(model.scores(_narrow(vectors[outside])).max(axis=1))
    unknown = np.concatenate(strangers) if strangers else np.zeros(0)
    least = max(_LEAST_UNKNOWN, math.ceil(1.0 / options.unknown_rate))
    if len(unknown) < least:
        raise InsufficientDataError(
            f"rejecting strangers at a rate of {options.unknown_rate:g} takes at least {least} "
            f"pictures of three people or more to choose the threshold on, got {len(unknown)}",
            remedy="add pictures, ask for a higher --unknown-rate, or say --no-reject",
            expected=least,
            actual=len(unknown),
        )
    scores, correct = np.concatenate(known), np.concatenate(right)
    allowed = math.floor(options.unknown_rate * len(unknown) + 1e-9)
    limit = float(np.nextafter(np.sort(unknown)[::-1][allowed], math.inf))
    slope, offset = _platt(scores, correct, unknown)
    passed = scores >= limit
    return (
        limit,
        slope,
        offset,
        {
            "unknown_rate": options.unknown_rate,
            "held_out_unknown": len(unknown),
            "held_out_unknown_named": int((unknown >= limit).sum()),
            "held_out_known": len(scores),
            "held_out_known_right": int((passed & correct).sum()),
            "held_out_known_wrong": int((passed & ~correct).sum()),
            "held_out_known_rejected": int((~passed).sum()),
        },
    )


def _platt(scores: Floats, right: NDArray[np.bool_], unknown: Floats) -> tuple[float, float]:
    """Slope and offset of a logistic curve from score to the probability of being right.

    Known faces and strangers weigh one half each, whatever their numbers. Source: Platt 1999,
    with his smoothed targets; fitted by Newton's method.
    """
    values = np.concatenate([scores, unknown])
    positive = np.concatenate([right, np.zeros(len(unknown), bool)])
    weight = np.concatenate(
        [np.full(len(scores), 0.5 / len(scores)), np.full(len(unknown), 0.5 / len(unknown))]
    )
    target = np.where(positive, (right.sum() + 1) / (right.sum() + 2), 1 / ((~positive).sum() + 2))
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    z = np.stack([(values - centre) / spread, np.ones(len(values))], axis=1)
    found = np.zeros(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(z @ found, -500, 500)))
        gradient = z.T @ (weight * (p - target))
        curvature = (z * (weight * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ z
        step = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        found -= np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return float(found[0] / spread), float(found[1] - found[0] * centre / spread)


def _parts(labels: Ints, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Three quarters of each person's rows, and the rest; a single picture is of the first."""
    first: list[int] = []
    rest: list[int] = []
    for label in np.unique(labels).tolist():
        rows = random.permutation(np.flatnonzero(labels == label))
        cut = (3 * len(rows) + 3) // 4 if len(rows) != 2 else 1
        first += rows[:cut].tolist()
        rest += rows[cut:].tolist()
    return np.array(first, np.int64), np.array(rest, np.int64)


def _as_classifier(
    kind: Kind, arrays: dict[str, NDArray[Any]], settings: dict[str, float], people: int, width: int
) -> Classifier:
    """A classifier for scores only, within training."""
    space = EmbeddingSpace("training", "0" * 64, width, "none")
    names = tuple(map(str, range(people)))
    return Classifier(kind, names, space, arrays, settings, -math.inf, 0.0, 0.0)


def _narrow(vectors: Floats) -> NDArray[np.float32]:
    return vectors.astype(np.float32)
