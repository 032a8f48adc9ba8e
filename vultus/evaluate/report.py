"""The report card: everything that can be said of a model on somebody's own pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import EmbeddedPictures, EmbedOptions, Progress, embed_pictures
from vultus.evaluate.metrics import (
    DiscardCurve,
    Resampling,
    Scores,
    VerificationReport,
    error_versus_discard,
    verification_report,
)
from vultus.evaluate.metrics.scores import subject_numbers

__all__ = ["GateCheck", "ModelReport", "Named", "Pairing", "Slice", "make_report", "parse_gate"]

FMRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
_WORST = 12
_MOST_IMPOSTORS = 1_000_000
_ROWS_PER_BLOCK = 512
_MAP_PICTURES = 1000
_SLICE_FMR = 1e-2  # reached by small slices too
_LEAST_SLICE_PAIRS = 30
_GATE = re.compile(r"\s*(fnmr@fmr=([0-9.eE+-]+)|eer|auc)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*")


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """Pictures and whom they show.

    Attributes:
        paths: One per picture.
        people: Whom each shows.
        attributes: Column name to one value per picture (age group, camera …); empty: unknown.
        pairs: (k, 2) rows to compare, where a list says so; ``None``: every one with every other.
    """

    paths: tuple[Path, ...]
    people: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pairs: NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two pictures that were compared.

    Attributes:
        first: A picture.
        second: Another.
        people: Whom they show.
        similarity: Their cosine.
    """

    first: str
    second: str
    people: tuple[str, str]
    similarity: float


@dataclass(frozen=True, slots=True)
class Slice:
    """Error rates of one value of an attribute, at the threshold of the whole set.

    Attributes:
        column: The attribute.
        value: Its value; both pictures of a comparison have it.
        pictures: How many have it.
        genuine: Genuine pairs among them.
        impostor: Impostor pairs among them.
        fnmr: False non-match rate; ``None``: fewer than 30 genuine pairs.
        fmr: False match rate; ``None``: fewer than 30 impostor pairs.
    """

    column: str
    value: str
    pictures: int
    genuine: int
    impostor: int
    fnmr: float | None
    fmr: float | None


@dataclass(frozen=True, slots=True)
class GateCheck:
    """A requirement on a report, and whether it is met.

    Attributes:
        text: As asked: ``fnmr@fmr=1e-3<0.05``.
        value: What was measured; ``None``: too little data, which meets no requirement.
        met: Whether it holds.
    """

    text: str
    value: float | None
    met: bool


@dataclass(frozen=True, slots=True, eq=False)
class ModelReport:
    """What was measured for one model.

    Attributes:
        model: Name of its card.
        space: Id of the embedding space.
        verification: Error rates with intervals over people.
        sampled: Impostor pairs there were, when only a random part was looked at; else ``None``.
        false_accepts: The most similar pairs of different people.
        false_rejects: The least similar pairs of one person.
        slices: By attributes.
        discard: Error versus discard by quality; ``None`` where quality was not measured.
        points: (m, 2) map of the embeddings, and whom each shows; ``None`` for few pictures.
        map_people: Likewise.
        genuine: (g,) similarities, for the histogram.
        impostor: (i,) likewise.
        failures: Pictures without an embedding: path, code, message.
        seconds: To embed (from the cache: to read) the pictures.
        cached: Pictures that came from the cache.
    """

    model: str
    space: str
    verification: VerificationReport
    sampled: int | None
    false_accepts: tuple[Pairing, ...]
    false_rejects: tuple[Pairing, ...]
    slices: tuple[Slice, ...]
    discard: DiscardCurve | None
    points: NDArray[np.float64] | None = field(repr=False)
    map_people: tuple[str, ...] = field(repr=False)
    genuine: NDArray[np.float64] = field(repr=False)
    impostor: NDArray[np.float64] = field(repr=False)
    failures: tuple[tuple[str, str, str], ...]
    seconds: float
    cached: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the single scores and the map."""
        kept = ("model", "space", "sampled", "failures", "seconds", "cached")
        return {
            **{name: plain(getattr(self, name)) for name in kept},
            "verification": self.verification.to_dict(),
            "false_accepts": plain(self.false_accepts),
            "false_rejects": plain(self.false_rejects),
            "slices": plain(self.slices),
            "discard": None if self.discard is None else self.discard.to_dict(),
        }


def make_report(
    named: Named,
    options: EmbedOptions,
    *,
    rounds: int = 200,
    seed: int = 0,
    jobs: int | None = None,
    cache_folder: Path | None = None,
    quality: Callable[[Sequence[Path]], NDArray[np.float64]] | None = None,
    with_map: bool = True,
    progress: Callable[[Progress], None] | None = None,
    embedded: EmbeddedPictures | None = None,
) -> ModelReport:
    """Measure one model on named pictures.

    Args:
        named: The pictures.
        options: Model, detector, choice of the face.
        rounds: Of the bootstrap over people.
        seed: Of every random choice.
        jobs: Pictures at a time; one per CPU when ``None``.
        cache_folder: Of the embeddings; the user's when ``None``.
        quality: Gives each picture's quality in [0, 1], NaN where there is none.
        with_map: Whether to lay the embeddings out in the plane (t-SNE, some seconds).
        progress: Called after each picture.
        embedded: Embeddings of the pictures made before, such as a gallery's; nothing is
            embedded then.

    Raises:
        InsufficientDataError: No pictures, one person only, or nobody with two pictures.
    """
    if not named.paths:
        raise InsufficientDataError("a report takes pictures, there are none")
    made = embedded or embed_pictures(
        named.paths, options, jobs=jobs, cache_folder=cache_folder, progress=progress
    )
    rows = np.flatnonzero(made.found)
    compared = _compared(made, named, rows, seed)
    scores = Scores(
        compared.values[compared.same],
        compared.values[~compared.same],
        compared.who[compared.same, 0],
        compared.who[~compared.same],
    )
    report = verification_report(scores, FMRS, Resampling(rounds, seed))
    limit = next((p.threshold for p in report.points if p.target_fmr == _SLICE_FMR), None)
    return ModelReport(
        model=made.space.model if embedded else options.model,
        space=made.space.id,
        verification=report,
        sampled=compared.sampled,
        false_accepts=_extremes(named, compared, same=False),
        false_rejects=_extremes(named, compared, same=True),
        slices=() if limit is None else tuple(_slices(named, compared, limit)),
        discard=None if quality is None else _discarded(named, compared, report, quality),
        points=_map(made, rows, seed) if with_map else None,
        map_people=tuple(named.people[i] for i in _map_rows(rows, seed)),
        genuine=scores.genuine,
        impostor=scores.impostor,
        failures=tuple((f.path, f.code, f.message) for f in made.failures),
        seconds=made.seconds,
        cached=made.cached,
    )


# -- comparing ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Pairs of rows, whom they show, and how similar they are."""

    rows: NDArray[np.intp]
    who: NDArray[np.intp]
    values: NDArray[np.float64]
    sampled: int | None

    @property
    def same(self) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = self.who[:, 0] == self.who[:, 1]
        return result


def _compared(made: EmbeddedPictures, named: Named, rows: NDArray[np.intp], seed: int) -> _Compared:
    people = subject_numbers(list(named.people))
    if named.pairs is not None:
        pairs = named.pairs[made.found[named.pairs].all(axis=1)]
        values = np.einsum("nd,nd->n", made.vectors[pairs[:, 0]], made.vectors[pairs[:, 1]])
        return _Compared(pairs, people[pairs], values.astype(np.float64), None)
    return _all_pairs(made.vectors, rows, people, seed)


def _all_pairs(
    vectors: NDArray[np.float32], rows: NDArray[np.intp], people: NDArray[np.intp], seed: int
) -> _Compared:
    """Every genuine pair; every impostor pair, or a random million of them."""
    count = len(rows)
    own = np.bincount(people[rows])
    genuine = int((own * (own - 1) // 2).sum())
    impostor = count * (count - 1) // 2 - genuine
    share = min(1.0, _MOST_IMPOSTORS / max(1, impostor))
    random = np.random.default_rng(seed)
    pairs, values = [], []
    for start in range(0, count, _ROWS_PER_BLOCK):
        block = rows[start : start + _ROWS_PER_BLOCK]
        others = rows[start:]
        first, second = np.triu_indices(len(block), 1, len(others))
        keep = people[block[first]] == people[others[second]]
        if share < 1.0:
            keep |= random.random(len(first), dtype=np.float32) < share
            first, second = first[keep], second[keep]
        scores = (vectors[block] @ vectors[others].T)[first, second]
        pairs.append(np.stack([block[first], others[second]], axis=1))
        values.append(scores.astype(np.float64))
    joined = np.concatenate(pairs) if pairs else np.zeros((0, 2), np.intp)
    return _Compared(
        joined,
        people[joined],
        np.concatenate(values) if values else np.zeros(0),
        impostor if share < 1.0 else None,
    )


def _extremes(named: Named, compared: _Compared, *, same: bool) -> tuple[Pairing, ...]:
    """The worst mistakes: least similar pairs of one person, most similar ones of two."""
    chosen = np.flatnonzero(compared.same == same)
    order = np.argsort(compared.values[chosen], kind="stable")
    worst = chosen[order[:_WORST] if same else order[::-1][:_WORST]]
    return tuple(
        Pairing(
            str(named.paths[i]),
            str(named.paths[j]),
            (named.people[i], named.people[j]),
            round(float(value), 6),
        )
        for (i, j), value in zip(
            compared.rows[worst].tolist(), compared.values[worst].tolist(), strict=True
        )
    )


def _slices(named: Named, compared: _Compared, limit: float) -> list[Slice]:
    accepted, same = compared.values >= limit, compared.same
    found = []
    for column, values in named.attributes.items():
        labels = np.asarray(values)
        for value in sorted(set(values) - {""}):
            has = labels == value
            inside = has[compared.rows].all(axis=1)
            genuine, impostor = inside & same, inside & ~same
            g, i = int(genuine.sum()), int(impostor.sum())
            found.append(
                Slice(
                    column,
                    value,
                    int(has.sum()),
                    g,
                    i,
                    float((~accepted[genuine]).mean()) if g >= _LEAST_SLICE_PAIRS else None,
                    float(accepted[impostor].mean()) if i >= _LEAST_SLICE_PAIRS else None,
                )
            )
    return found


def _discarded(
    named: Named,
    compared: _Compared,
    report: VerificationReport,
    quality: Callable[[Sequence[Path]], NDArray[np.float64]],
) -> DiscardCurve | None:
    """Error versus discard at the strictest threshold that could be measured well."""
    points = [p for p in report.points if p.dependable and p.fnmr > 0] or list(report.points)
    if not points:
        return None
    scores = quality(named.paths)
    pairs = scores[compared.rows[compared.same]]
    known = np.isfinite(pairs).all(axis=1)
    if not known.any():
        return None
    genuine = compared.values[compared.same][known]
    return error_versus_discard(genuine, pairs[known], threshold=points[-1].threshold)


def _map_rows(rows: NDArray[np.intp], seed: int) -> list[int]:
    if len(rows) > _MAP_PICTURES:
        rows = np.random.default_rng(seed).choice(rows, _MAP_PICTURES, replace=False)
    return sorted(int(row) for row in rows)


def _map(made: EmbeddedPictures, rows: NDArray[np.intp], seed: int) -> NDArray[np.float64] | None:
    """t-SNE of up to 1,000 embeddings (van der Maaten and Hinton 2008); ``None`` below 10."""
    from vultus.errors import MissingExtraError

    chosen = _map_rows(rows, seed)
    if len(chosen) < 10:
        return None
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtraError(
            "a map of the embeddings takes scikit-learn", remedy="pip install 'vultus[evaluate]'"
        ) from error
    perplexity = min(30.0, (len(chosen) - 1) / 3)
    layout = TSNE(perplexity=perplexity, metric="cosine", init="random", random_state=seed)
    return np.asarray(layout.fit_transform(made.vectors[chosen]), np.float64)


# -- requirements ---------------------------------------------------------------------------------


def parse_gate(text: str, report: ModelReport) -> GateCheck:
    """Hold a report against a requirement such as ``fnmr@fmr=1e-3<0.05``, ``eer<0.02``.

    Raises:
        RangeError: The requirement cannot be read.
    """
    found = _GATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        limit = float(found[4])
        target = float(found[2]) if found[2] else None
    except ValueError as error:
        raise RangeError(
            f"a requirement must be like fnmr@fmr=1e-3<0.05, eer<0.02 or auc>0.99, got {text!r}"
        ) from error
    value = _measured(found[1], target, report.verification)
    compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
    met = value is not None and bool(compare[found[3]](value, limit))
    return GateCheck(text.strip(), value, met)


def _measured(what: str, target: float | None, report: VerificationReport) -> float | None:
    if target is not None:
        for point in report.points:
            if np.isclose(point.target_fmr, target):
                return point.fnmr
        if any(np.isclose(out.target_fmr, target) for out in report.out_of_reach):
            return None
        raise RangeError(
            f"FNMR is measured at an FMR of {', '.join(f'{f:g}' for f in FMRS)}, got {target:g}"
        )
    value = report.equal_error_rate if what == "eer" else report.area_under_curve
    return value if isinstance(value, float) else value.value
