"""MegaFace: does a probe find its mate among ever more strangers?

Rules (Kemelmacher-Shlizerman et al. 2016, challenge 1): for every probe and every other picture of
the same person, that one picture is put into a gallery of N distractors and the probe searched in
it. The rank of the mate is one more than the number of distractors that are at least as similar.
The rate at rank k is stated over all such pairs, for growing N. Galleries are nested: those of a
smaller N are the first ones of the larger.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_shape
from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import Embed, embed_pictures
from vultus.evaluate.metrics.scores import subject_numbers
from vultus.sources import people_tree, walk_images

__all__ = ["RANKS", "SIZES", "MegafaceResult", "evaluate_features", "evaluate_megaface"]

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
RANKS = (1, 10)
_BLOCK_CELLS = 16_000_000  # similarities held at a time: 128 MB


@dataclass(frozen=True, slots=True)
class MegafaceResult:
    """What came of it.

    Attributes:
        rates: Number of distractors -> rank -> share of pairs whose mate is there or before.
        pairs: Pairs of a probe and its mate.
        subjects: Different people among the probes.
        distractors: How many there were.
        out_of_reach: Sizes beyond that number.
        lost_probes: Probe pictures without a face: never found, and as mates never at any rank.
        lost_distractors: Distractor pictures without a face, left out.
        single: People with one probe picture, who form no pair.
        space: Id of the embedding space; empty for given features.
        seconds: How long it took.
    """

    rates: dict[int, dict[int, float]]
    pairs: int
    subjects: int
    distractors: int
    out_of_reach: tuple[int, ...]
    lost_probes: tuple[str, ...] = ()
    lost_distractors: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    space: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = plain(self)
        return found


def evaluate_features(
    probes: NDArray[np.floating],
    subjects: Sequence[object] | NDArray[np.generic],
    distractors: NDArray[np.floating],
    *,
    sizes: Sequence[int] = SIZES,
    ranks: Sequence[int] = RANKS,
    found: NDArray[np.bool_] | None = None,
) -> MegafaceResult:
    """Rank-k rates of features against growing sets of distractors, by cosine.

    Args:
        probes: (p, d) unit rows.
        subjects: (p,) whom they show.
        distractors: (n, d) unit rows of other people, in the order in which galleries grow.
        sizes: Numbers of distractors; those beyond n are listed as out of reach.
        ranks: Ranks to state.
        found: (p,) whether a probe has an embedding; pairs without are never found.

    Raises:
        ShapeError: The arrays do not fit together.
        RangeError: NaN, or a size or rank below 1.
        InsufficientDataError: No subject has two probes, or there are fewer distractors than the
            smallest size.
    """
    began = time.perf_counter()
    probes, distractors = np.asarray(probes), np.asarray(distractors)
    check_shape(probes, (None, None), "probes")
    check_shape(distractors, (None, probes.shape[1]), "distractors, as long as the probes,")
    check_finite(probes, "probes")
    check_finite(distractors, "distractors")
    who = subject_numbers(subjects)
    check_shape(who, (len(probes),), "subjects, one per probe,")
    kept = np.ones(len(probes), bool) if found is None else found
    check_shape(kept, (len(probes),), "`found`, one per probe,")
    if min(min(sizes, default=0), min(ranks, default=0)) < 1:
        raise RangeError("sizes and ranks must be at least 1, and there must be one of each")
    reached = sorted({size for size in sizes if size <= len(distractors)})
    if not reached:
        raise InsufficientDataError(
            f"the smallest gallery takes {min(sizes)} distractors, there are {len(distractors)}",
            expected=min(sizes),
            actual=len(distractors),
        )
    mates = [np.flatnonzero((who == who[i]) & (np.arange(len(who)) != i)) for i in range(len(who))]
    pairs = sum(len(mate) for mate in mates)
    if pairs == 0:
        raise InsufficientDataError(
            "a probe needs another picture of the same person, none has one"
        )
    hits = _hits(probes, mates, distractors, reached, sorted(set(ranks)), kept)
    return MegafaceResult(
        {size: {rank: n / pairs for rank, n in hits[size].items()} for size in reached},
        pairs,
        len(np.unique(who)),
        len(distractors),
        tuple(sorted({size for size in sizes if size > len(distractors)})),
        seconds=time.perf_counter() - began,
    )


def evaluate_megaface(
    probes: Path,
    distractors: Path,
    embed: Embed = embed_pictures,
    *,
    sizes: Sequence[int] = SIZES,
    ranks: Sequence[int] = RANKS,
    seed: int = 0,
) -> MegafaceResult:
    """The same from pictures.

    Args:
        probes: A folder with one folder per person (FaceScrub's part of the challenge).
        distractors: A folder of any depth with pictures of other people.
        embed: Turns pictures into embeddings.
        sizes: Numbers of distractors.
        ranks: Ranks to state.
        seed: Of the order in which galleries grow.

    Raises:
        ImageNotFoundError: A folder does not exist.
        InsufficientDataError: As `evaluate_features`, or there are no distractors.
    """
    began = time.perf_counter()
    people = list(people_tree(probes))
    names = [name for name, paths in people for _ in paths]
    theirs = embed([path for _, paths in people for path in paths])
    strangers = list(walk_images(distractors))
    if not strangers:
        raise InsufficientDataError(f"{distractors} holds no distractors", actual=0)
    others = embed(strangers)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(others.found))
    measured = evaluate_features(
        theirs.vectors,
        names,
        others.vectors[order],
        sizes=sizes,
        ranks=ranks,
        found=theirs.found,
    )
    return MegafaceResult(
        measured.rates,
        measured.pairs,
        measured.subjects,
        measured.distractors,
        measured.out_of_reach,
        tuple(failure.path for failure in theirs.failures),
        tuple(failure.path for failure in others.failures),
        tuple(name for name, paths in people if len(paths) == 1),
        theirs.space.id,
        time.perf_counter() - began,
    )


def _hits(
    probes: NDArray[Any],
    mates: list[NDArray[np.intp]],
    distractors: NDArray[Any],
    sizes: list[int],
    ranks: list[int],
    kept: NDArray[np.bool_],
) -> dict[int, dict[int, int]]:
    """How many pairs are found, per size and rank."""
    hits = {size: dict.fromkeys(ranks, 0) for size in sizes}
    step = max(1, _BLOCK_CELLS // sizes[-1])
    asking = np.array([i for i in np.flatnonzero(kept) if len(mates[i])], np.intp)
    for start in range(0, len(asking), step):
        rows = asking[start : start + step]
        strangers = probes[rows] @ distractors[: sizes[-1]].T
        for row, similarities in zip(rows, strangers, strict=True):
            own = mates[row][kept[mates[row]]]
            beaten = _beaten(probes[own] @ probes[row], similarities, sizes)
            for size, before in zip(sizes, beaten, strict=True):
                for rank in ranks:
                    hits[size][rank] += int((before < rank).sum())
    return hits


def _beaten(own: NDArray[Any], strangers: NDArray[Any], sizes: list[int]) -> list[NDArray[np.intp]]:
    """How many of the first `size` strangers are at least as similar as each mate, per size."""
    ranked = np.sort(own)
    # How many mates a stranger reaches; the strangers that reach mate j are those beyond j.
    reached = np.searchsorted(ranked, strangers, side="right")
    found, counts, at = [], np.zeros(len(own) + 1, np.intp), 0
    for size in sizes:
        counts = counts + np.bincount(reached[at:size], minlength=len(own) + 1)
        at = size
        found.append(counts[::-1].cumsum()[::-1][1:])
    return found
