"""Verification on any folder of people: pairs drawn by a seed, and what is wrong with the folder.

The pairs are LFW's in kind: folds with different people in each, in every fold as many pairs of
one person as of two. Pairs of one person are drawn person by person in turn, so that somebody with
a thousand pictures does not stand for everybody. A picture that lies under two names is in no
pair, nor are two copies of one picture.

Besides the folds, every picture is compared with every other one: that is what low error rates
take, and their intervals are drawn over people.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import Embed, EmbeddedPictures, Source, embed_pictures
from vultus.evaluate.metrics import (
    FMRS,
    Resampling,
    Scores,
    VerificationReport,
    verification_report,
)
from vultus.evaluate.protocols._pairs import Pair, PairList, Picture, number_pictures, write_pairs
from vultus.evaluate.protocols._tree import (
    Leak,
    PeopleTree,
    digests_of,
    find_leaks,
    repeated,
    scan_people,
)
from vultus.evaluate.protocols.lfw import Distance, LfwResult, evaluate_pairs

__all__ = [
    "DrawnPairs",
    "FolderResult",
    "Leak",
    "PeopleTree",
    "draw_pairs",
    "duplicates",
    "evaluate_folder",
    "find_leaks",
    "scan_people",
    "write_pairs",
]

_MOST_CROSS_PICTURES = 3000  # 4.5 million pairs: 1,000 rounds take about a minute


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPairs:
    """Pairs of a folder, and what was found on the way.

    Attributes:
        pairs: As a list of LFW's kind; `write_pairs` writes `folds`.
        folds: The same pairs, fold by fold.
        paths: Where each picture of the pairs lies.
        single: People with one picture, who are in pairs of two people only.
        repeated: Pictures that are in the folder more than once.
        mislabelled: Those of them that lie under several people; they are in no pair.
        unnamed: Pictures that LFW's format has no name for, because others of the person are
            named as LFW names them; they are in no pair.
    """

    pairs: PairList
    folds: tuple[tuple[Pair, ...], ...] = field(repr=False)
    paths: dict[Picture, Path] = field(repr=False)
    single: tuple[str, ...]
    repeated: tuple[Leak, ...]
    mislabelled: tuple[Leak, ...]
    unnamed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What `evaluate_folder` found.

    Attributes:
        folds: Accuracy, AUC, EER, VAL over the drawn pairs.
        cross: Every picture against every other one, with intervals over people; ``None`` where
            too few pictures gave a face.
        cross_pictures: How many pictures that was; of larger folders, people are drawn.
        people: People of the folder.
        pictures: Pictures of the folder.
        single: People with one picture.
        repeated: Pictures that are in the folder more than once.
        mislabelled: Those of them that lie under several people.
        unnamed: Pictures that LFW's format has no name for; see `DrawnPairs`.
        leaked: Pictures that are in the other folder too, where one was named.
        loose: Pictures beside the people's folders, left out.
        seed: Of the draw.
        seconds: How long it took.
    """

    folds: LfwResult
    cross: VerificationReport | None
    cross_pictures: int
    people: int
    pictures: int
    single: tuple[str, ...] = field(repr=False)
    repeated: tuple[Leak, ...]
    mislabelled: tuple[Leak, ...]
    unnamed: tuple[str, ...]
    leaked: tuple[Leak, ...]
    loose: int
    seed: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **plain(self),
            "folds": self.folds.to_dict(),
            "cross": self.cross.to_dict() if self.cross else None,
        }


def draw_pairs(tree: PeopleTree, *, folds: int = 10, most: int = 6000, seed: int = 0) -> DrawnPairs:
    """Draw pairs of both kinds; equal folders and seeds give equal pairs.

    Args:
        tree: From `scan_people`.
        folds: Folds, each with people of its own.
        most: Pairs at most, of both kinds together; a smaller folder gives fewer.
        seed: Of the draw.

    Raises:
        RangeError: Fewer than 2 folds, or fewer pairs than 2 per fold.
        InsufficientDataError: The folder's people are too few for so many folds: each takes one
            person with two pictures and another one.
    """
    if folds < 2 or most < 2 * folds:
        raise RangeError(f"pairs need 2 folds or more and 2 pairs per fold, got {folds}, {most}")
    digests = dict(zip(tree.pictures, digests_of(tree.pictures), strict=True))
    copies = repeated(tree.pictures, tree.names, list(digests.values()))
    wrong = tuple(leak for leak in copies if len(leak.people) > 1)
    banned = {path for leak in wrong for path in leak.paths}
    people = {name: _numbered(name, own, banned) for name, own in tree.people.items()}
    named = {path for own in people.values() for path in own.values()}
    unnamed = (p for p in tree.pictures if p not in named and str(p) not in banned)
    rng = np.random.default_rng(seed)
    groups = _groups({name: own for name, own in people.items() if own}, folds, rng)
    paths = {Picture(n, i): path for n, own in people.items() for i, path in own.items()}
    genuine = [list(_genuine(group, people, paths, digests, rng)) for group in groups]
    available = [
        min(len(g), _impostor_count(group, people))
        for g, group in zip(genuine, groups, strict=True)
    ]
    each = min(*available, most // (2 * folds))
    if each < 1:
        raise InsufficientDataError(
            f"{folds} folds take as many people with two different pictures, and others beside "
            f"them; {tree.root} has {sum(len(own) > 1 for own in people.values())} and "
            f"{len(people)} people",
            remedy="ask for fewer folds, or add pictures",
            expected=folds,
            actual=sum(len(own) > 1 for own in people.values()),
        )
    drawn = tuple(
        (*g[:each], *_impostors(group, people, each, rng))
        for g, group in zip(genuine, groups, strict=True)
    )
    every = tuple(pair for fold in drawn for pair in fold)
    listed = PairList(every, folds, np.arange(len(every)) // (2 * each), str(tree.root))
    return DrawnPairs(
        listed, drawn, paths, tree.single, tuple(copies), wrong, tuple(map(str, unnamed))
    )


def evaluate_folder(
    tree: PeopleTree,
    embed: Embed = embed_pictures,
    *,
    folds: int = 10,
    most: int = 6000,
    seed: int = 0,
    against: PeopleTree | None = None,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
    fmrs: Sequence[float] = FMRS,
    how: Resampling | None = None,
    drawn: DrawnPairs | None = None,
) -> FolderResult:
    """Evaluate verification on a folder of people, and report what is wrong with the folder.

    Args:
        tree: From `scan_people`.
        embed: Turns pictures into embeddings.
        folds: As in `draw_pairs`, and so are the next two.
        most: Likewise.
        seed: Likewise.
        against: Another folder, a training set say, whose pictures should not be in this one.
        distance: ``euclidean`` (squared) or ``cosine`` (angle / pi), for the folds.
        subtract_mean: As in `evaluate_folds`.
        fmrs: Targets for the cross pairs.
        how: The bootstrap over people; 1,000 rounds by default.
        drawn: Pairs already drawn from this very folder.

    Raises:
        InsufficientDataError: As `draw_pairs`.
        ModelError: The model or the detector cannot be used.
    """
    began = time.perf_counter()
    pairs = drawn or draw_pairs(tree, folds=folds, most=most, seed=seed)
    names, chosen = _some_people(pairs.paths, seed)
    listed = [pairs.paths[picture] for picture in pairs.pairs.pictures]
    rows = {path: i for i, path in enumerate(dict.fromkeys([*listed, *chosen]))}
    everything = embed(list(rows))

    def known(sources: Sequence[Source], *, points: object = None) -> EmbeddedPictures:
        del points  # pictures of a folder state none
        return everything.take([rows[path] for path in sources if isinstance(path, Path)])

    judged = evaluate_pairs(
        pairs.paths.__getitem__,
        str(tree.root),
        pairs.pairs,
        known,
        distance=distance,
        subtract_mean=subtract_mean,
    )
    found = known(chosen)
    return FolderResult(
        judged,
        _cross(found, names, fmrs, how or Resampling(seed=seed)),
        int(found.found.sum()),
        len(tree.people),
        len(tree.pictures),
        pairs.single,
        pairs.repeated,
        pairs.mislabelled,
        pairs.unnamed,
        () if against is None else tuple(find_leaks(tree, against)),
        len(tree.loose),
        seed,
        time.perf_counter() - began,
    )


def duplicates(paths: Sequence[Path], people: Sequence[str]) -> list[tuple[Path, ...]]:
    """Pictures that lie, byte by byte, under several people: one of their labels is wrong.

    Args:
        paths: Pictures.
        people: Whom each is said to show.

    Returns:
        The paths of each such picture.
    """
    copies = repeated(paths, people, digests_of(paths))
    return [tuple(map(Path, leak.paths)) for leak in copies if len(leak.people) > 1]


# -- drawing ------------------------------------------------------------------------------------


def _numbered(name: str, paths: Sequence[Path], banned: set[str]) -> dict[int, Path]:
    """A person's pictures by the numbers that a list names them with."""
    numbers = number_pictures(name, paths)
    return {number: path for path, number in numbers.items() if str(path) not in banned}


def _groups(
    people: dict[str, dict[int, Path]], folds: int, rng: np.random.Generator
) -> list[list[str]]:
    """People for each fold, dealt out by falling number of pictures, to and fro."""
    order = list(people)
    rng.shuffle(order)
    order.sort(key=lambda name: -len(people[name]))  # stable: equal ones stay shuffled
    groups: list[list[str]] = [[] for _ in range(folds)]
    for place, name in enumerate(order):
        turn, at = divmod(place, folds)
        groups[at if turn % 2 == 0 else folds - 1 - at].append(name)
    return groups


def _genuine(
    group: list[str],
    people: dict[str, dict[int, Path]],
    paths: dict[Picture, Path],
    digests: dict[Path, str],
    rng: np.random.Generator,
) -> Iterator[Pair]:
    """Pairs of one person, person by person in turn, without copies of one picture."""
    waiting = []
    for name in group:
        numbers = sorted(people[name])
        own = [
            Pair(Picture(name, i), Picture(name, j), True)
            for i, j in itertools.islice(itertools.combinations(numbers, 2), 100_000)
            if digests[paths[Picture(name, i)]] != digests[paths[Picture(name, j)]]
        ]
        if own:
            waiting.append([own[k] for k in rng.permutation(len(own))])
    for turn in itertools.zip_longest(*waiting):
        yield from (pair for pair in turn if pair is not None)


def _impostor_count(group: list[str], people: dict[str, dict[int, Path]]) -> int:
    counts = [len(people[name]) for name in group]
    return (sum(counts) ** 2 - sum(count**2 for count in counts)) // 2


def _impostors(
    group: list[str], people: dict[str, dict[int, Path]], count: int, rng: np.random.Generator
) -> list[Pair]:
    """Pairs of two people, both drawn evenly, no pair twice."""
    drawn: dict[tuple[Picture, Picture], None] = {}
    if _impostor_count(group, people) <= 4 * count:  # few there are: draw from all
        every = [
            (Picture(a, i), Picture(b, j))
            for a, b in itertools.combinations(sorted(group), 2)
            for i in people[a]
            for j in people[b]
        ]
        drawn = dict.fromkeys(every[k] for k in rng.permutation(len(every))[:count])
    while len(drawn) < count:
        a, b = sorted(group[k] for k in rng.choice(len(group), 2, replace=False))
        i, j = (int(rng.choice(sorted(people[name]))) for name in (a, b))
        drawn[Picture(a, i), Picture(b, j)] = None
    return [Pair(first, second, False) for first, second in drawn]


# -- cross pairs --------------------------------------------------------------------------------


def _some_people(paths: dict[Picture, Path], seed: int) -> tuple[list[str], list[Path]]:
    """All pictures, or those of people drawn until there are enough."""
    owned: dict[str, list[Path]] = {}
    for picture, path in paths.items():
        owned.setdefault(picture.person, []).append(path)
    order = list(owned)
    np.random.default_rng(seed).shuffle(order)
    names: list[str] = []
    chosen: list[Path] = []
    for name in order:
        own = owned[name][: _MOST_CROSS_PICTURES - len(chosen)]
        names += [name] * len(own)
        chosen += own
    return names, chosen


def _cross(
    found: EmbeddedPictures, names: list[str], fmrs: Sequence[float], how: Resampling
) -> VerificationReport | None:
    # Copies of one picture would be genuine pairs of similarity 1.
    first: dict[str, int] = {}
    for i, digest in enumerate(found.digests):
        if found.found[i]:
            first.setdefault(digest, i)
    rows = sorted(first.values())
    try:
        scores = Scores.from_embeddings(found.vectors[rows], [names[i] for i in rows])
        return verification_report(scores, fmrs, how)
    except InsufficientDataError:
        return None
