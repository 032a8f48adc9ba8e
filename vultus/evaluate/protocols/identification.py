"""One to many on any folder of people: closed set (CMC) and open set (FNIR at FPIR).

The split is drawn by a seed. Of every person with enough pictures, some are enrolled and the
others are probes. For the open set a share of the people is left unenrolled, and all their
pictures are searched: the non-mated searches. People with too few pictures to be both are
enrolled too, as in any real gallery, or are among the unenrolled.

A probe without a face is a miss; a person of whom no enrolled picture gave a face is never found
(ISO/IEC 19795-1: failures count).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import Embed, EmbeddedPictures, embed_pictures
from vultus.evaluate.metrics import (
    OpenSetPoint,
    Resampling,
    Searches,
    cmc,
    fnir_at_fpir,
    rank_rate,
)
from vultus.evaluate.protocols._search import search_with_failures
from vultus.evaluate.protocols._tree import PeopleTree, scan_people
from vultus.types import Rate

__all__ = [
    "IdentificationResult",
    "IdentificationSplit",
    "PeopleTree",
    "evaluate_identification",
    "scan_people",
    "split_people",
]

RANKS = (1, 5, 10, 20)
FPIRS = (0.1, 0.01, 0.001)


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationSplit:
    """Who plays what part, as rows of `PeopleTree.pictures`.

    Attributes:
        enrolled: Pictures of the closed set's gallery.
        probes: The other pictures of people who have enough.
        unenrolled: People left out of the open set's gallery.
    """

    enrolled: NDArray[np.intp] = field(repr=False)
    probes: NDArray[np.intp] = field(repr=False)
    unenrolled: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class IdentificationResult:
    """What `evaluate_identification` found.

    Attributes:
        people: People of the folder.
        enrolled: People in the closed set's gallery.
        pictures_each: Pictures enrolled per person, at most.
        closed_probes: Mated searches of the closed set.
        rank_rates: Closed set: rank -> share of probes whose mate is there or before, with the
            interval over people.
        cmc: Closed set, from rank 1.
        open_enrolled: People in the open set's gallery.
        open_points: Open set: FNIR at FPIR, the first candidate only.
        out_of_reach: FPIR -> why it could not be measured.
        lost_enrolled: Enrolled pictures without a face.
        lost_probes: Probe pictures without a face.
        single: People with too few pictures to be searched for.
        loose: Pictures that lie beside the people's folders, left out.
        seed: Of the split.
        space: Id of the embedding space.
        seconds: How long it took.
    """

    people: int
    enrolled: int
    pictures_each: int
    closed_probes: int
    rank_rates: dict[int, Rate | float]
    cmc: tuple[float, ...] = field(repr=False)
    open_enrolled: int
    open_points: tuple[OpenSetPoint, ...]
    out_of_reach: dict[float, str]
    lost_enrolled: tuple[str, ...]
    lost_probes: tuple[str, ...]
    single: tuple[str, ...] = field(repr=False)
    loose: int
    seed: int
    space: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        points = [point.to_dict() for point in self.open_points]
        return {**plain(self), "open_points": points}


def split_people(
    tree: PeopleTree, *, enroll: int = 1, unenrolled_share: float = 0.5, seed: int = 0
) -> IdentificationSplit:
    """Draw who is enrolled with which pictures, and who is not.

    Equal folders and seeds give equal splits.

    Args:
        tree: From `scan_people`.
        enroll: Pictures enrolled per person; who has no more than that is not searched for.
        unenrolled_share: Share of the people left out of the open set's gallery, in (0, 1).
        seed: Of the draw.

    Raises:
        RangeError: A value is outside its range.
        InsufficientDataError: Nobody has more than `enroll` pictures, or there is one person.
    """
    if enroll < 1 or not 0.0 < unenrolled_share < 1.0:
        raise RangeError(
            f"pictures to enroll must be at least 1 and the unenrolled share in (0, 1), "
            f"got {enroll} and {unenrolled_share}"
        )
    rng = np.random.default_rng(seed)
    enrolled: list[int] = []
    probes: list[int] = []
    at = 0
    for paths in tree.people.values():
        drawn = at + rng.permutation(len(paths))
        enrolled += drawn[:enroll].tolist()
        probes += drawn[enroll:].tolist()
        at += len(paths)
    if not probes or len(tree.people) < 2:
        raise InsufficientDataError(
            f"identification needs 2 people and more than {enroll} pictures of one of them, "
            f"{tree.root} has {len(tree.people)} people",
            remedy="add pictures, or enroll fewer of each person",
        )
    names = np.array(list(tree.people), object)
    left_out = rng.permutation(len(names))[: max(1, round(unenrolled_share * len(names)))]
    return IdentificationSplit(
        np.array(sorted(enrolled)), np.array(sorted(probes)), tuple(names[sorted(left_out)])
    )


def evaluate_identification(
    tree: PeopleTree,
    embed: Embed = embed_pictures,
    *,
    enroll: int = 1,
    unenrolled_share: float = 0.5,
    seed: int = 0,
    ranks: Sequence[int] = RANKS,
    fpirs: Sequence[float] = FPIRS,
    how: Resampling | None = None,
) -> IdentificationResult:
    """Run both protocols on a folder of people.

    Args:
        tree: From `scan_people`.
        embed: Turns pictures into embeddings.
        enroll: As in `split_people`, and so are the next two.
        unenrolled_share: Likewise.
        seed: Likewise.
        ranks: Ranks to state.
        fpirs: Targets; those with too few non-mated searches are listed as out of reach.
        how: The bootstrap over people; 1,000 rounds by default.

    Raises:
        RangeError: A value is outside its range.
        InsufficientDataError: The folder has too few people or pictures, or none with a face.
    """
    began = time.perf_counter()
    split = split_people(tree, enroll=enroll, unenrolled_share=unenrolled_share, seed=seed)
    found = embed(tree.pictures)
    names = np.array(tree.names, object)
    how = how or Resampling(seed=seed)
    closed = _search(found, names, split.enrolled, split.probes)
    points, lost, open_enrolled = _open(found, names, split, fpirs, how)
    paths = tree.pictures
    return IdentificationResult(
        people=len(tree.people),
        enrolled=closed.enrolled,
        pictures_each=enroll,
        closed_probes=closed.mated_count,
        rank_rates={rank: rank_rate(closed, rank, how) for rank in ranks},
        cmc=tuple(cmc(closed, max(ranks)).tolist()),
        open_enrolled=open_enrolled,
        open_points=points,
        out_of_reach=lost,
        lost_enrolled=tuple(str(paths[i]) for i in split.enrolled if not found.found[i]),
        lost_probes=tuple(str(paths[i]) for i in split.probes if not found.found[i]),
        single=tuple(name for name, own in tree.people.items() if len(own) <= enroll),
        loose=len(tree.loose),
        seed=seed,
        space=found.space.id,
        seconds=time.perf_counter() - began,
    )


def _open(
    found: EmbeddedPictures,
    names: NDArray[Any],
    split: IdentificationSplit,
    fpirs: Sequence[float],
    how: Resampling,
) -> tuple[tuple[OpenSetPoint, ...], dict[float, str], int]:
    """FNIR at each FPIR, and why some could not be measured."""
    points: list[OpenSetPoint] = []
    outside = np.isin(names, np.array(split.unenrolled, object))
    gallery = split.enrolled[~outside[split.enrolled]]
    # The unenrolled are searched for with all their pictures.
    probes = np.union1d(split.probes, split.enrolled[outside[split.enrolled]])
    if len(gallery) == 0 or not found.found[gallery].any():
        return (), dict.fromkeys(fpirs, "nobody is left in the open set's gallery"), 0
    searches = _search(found, names, gallery, probes)
    lost: dict[float, str] = {}
    for fpir in fpirs:
        try:
            points.append(fnir_at_fpir(searches, fpir, how=how))
        except InsufficientDataError as error:
            lost[fpir] = str(error)
    return tuple(points), lost, searches.enrolled


def _search(
    found: EmbeddedPictures,
    names: NDArray[Any],
    gallery: NDArray[np.intp],
    probes: NDArray[np.intp],
) -> Searches:
    return search_with_failures(
        found.vectors[probes],
        names[probes],
        found.found[probes],
        found.vectors[gallery],
        names[gallery],
        found.found[gallery],
    )
