"""Lists of pairs in the format of Labeled Faces in the Wild, and where their pictures lie.

Source: Huang et al. 2007, "Labeled Faces in the Wild"; http://vis-www.cs.umass.edu/lfw/#views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError, ImageNotFoundError, OutputError
from vultus.evaluate.protocols._text import read_lines, wrong_line
from vultus.sources import IMAGE_SUFFIXES, walk_images

__all__ = [
    "Pair",
    "PairList",
    "Picture",
    "PictureTree",
    "number_pictures",
    "read_pairs",
    "write_pairs",
]

_MOST_BYTES = 64 * 1024 * 1024  # LFW's own list has 160 kB
_FIRST_SUFFIXES = (".jpg", ".png")  # as facenet looks for them


class Picture(NamedTuple):
    """One picture: the person it is filed under and its number there."""

    person: str
    number: int


class Pair(NamedTuple):
    """Two pictures and whether they show the same person."""

    first: Picture
    second: Picture
    same: bool


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """Pairs in the order of their file.

    Attributes:
        pairs: All of them.
        folds: How many folds the file has; 1 for a list without folds (View 1).
        fold: (n,) the fold of each pair, from 0.
        path: The file, for messages.
    """

    pairs: tuple[Pair, ...] = field(repr=False)
    folds: int
    fold: NDArray[np.intp] = field(repr=False)
    path: str

    @property
    def same(self) -> NDArray[np.bool_]:
        """(n,) whether each pair shows one person."""
        return np.array([pair.same for pair in self.pairs], bool)

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """Whom each pair shows."""
        return [(pair.first.person, pair.second.person) for pair in self.pairs]

    @property
    def pictures(self) -> list[Picture]:
        """Every picture of the pairs once, by name and number."""
        return sorted({picture for p in self.pairs for picture in (p.first, p.second)})


def read_pairs(path: Path) -> PairList:
    """Read ``pairs.txt`` (View 2) or ``pairsDevTrain.txt``, ``pairsDevTest.txt`` (View 1).

    The first line is ``folds<TAB>M``, or ``M`` alone for a list without folds. Then come, for each
    fold, M lines ``name<TAB>i<TAB>j`` of the same person and M lines ``name<TAB>i<TAB>other<TAB>j``
    of different ones, i and j numbering a person's pictures. Where a line has no tab, it is split
    at white space.

    Raises:
        DataFileError: The file cannot be read, a line is wrong (the field ``line`` says which), or
            the lines are not as many as the first one announces.
    """
    lines = read_lines(path, _MOST_BYTES)
    if not lines:
        raise wrong_line(
            path, 1, "the first line must be the number of folds and pairs, got nothing"
        )
    head = _fields(lines[0])
    if not 1 <= len(head) <= 2 or not all(part.isdecimal() and int(part) for part in head):
        raise wrong_line(path, 1, f"the first line must be one or two numbers, got {lines[0]!r}")
    folds, each = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1]))
    pairs = tuple(
        _pair(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip()
    )
    if len(pairs) != 2 * folds * each:
        raise wrong_line(
            path, 1, f"{folds} x 2 x {each} pairs are announced, the file has {len(pairs)}"
        )
    fold = np.arange(len(pairs)) // (2 * each)
    alike = np.bincount(fold, weights=[pair.same for pair in pairs], minlength=folds)
    if (alike != each).any():
        bad = int(np.flatnonzero(alike != each)[0])
        raise wrong_line(
            path,
            2 + bad * 2 * each,
            f"fold {bad + 1} must have {each} pairs of each kind, {int(alike[bad])} are of one "
            "person",
        )
    return PairList(pairs, folds, fold, str(path))


def write_pairs(path: Path, folds: Sequence[Sequence[Pair]]) -> None:
    """Write pairs in LFW's format.

    Args:
        path: The file.
        folds: Equally many pairs of each kind in every fold; one fold makes a list without folds.

    Raises:
        DataFileError: The folds are uneven, or a name cannot be written.
        OutputError: The file cannot be written.
    """
    each = len(folds[0]) // 2 if folds else 0
    if not each or any(sum(p.same for p in f) != each or len(f) != 2 * each for f in folds):
        raise DataFileError(
            "every fold must have equally many pairs, half of them of one person", path=str(path)
        )
    text = [f"{len(folds)}\t{each}" if len(folds) > 1 else f"{each}"]
    for fold in folds:
        for pair in sorted(fold, key=lambda pair: not pair.same):
            (name, i), (other, j) = pair.first, pair.second
            if {"\t", "\n", "\r"} & {*name, *other}:
                raise DataFileError(
                    f"a name in a list of pairs must be one line without tabs, got {name!r} and "
                    f"{other!r}",
                    path=str(path),
                )
            text.append(f"{name}\t{i}\t{j}" if pair.same else f"{name}\t{i}\t{other}\t{j}")
    try:
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


class PictureTree:
    """Finds the pictures that a list names: ``<root>/<name>/<name>_0001.jpg``.

    ``.jpg`` is looked for first, then ``.png``, then any other ending of pictures. In a person's
    folder whose files are named otherwise, the number counts the pictures in natural order (see
    `vultus.sources.walk_images`), from 1.

    Args:
        root: The folder with one folder per person.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, list[Path]] = {}

    def path(self, picture: Picture) -> Path:
        """Where the picture lies, or would lie if it existed."""
        stem = self.root / picture.person / f"{picture.person}_{picture.number:04d}"
        for suffix in (*_FIRST_SUFFIXES, *sorted(IMAGE_SUFFIXES)):
            found = stem.with_name(stem.name + suffix)
            if found.is_file():
                return found
        others = self._others(picture.person)
        if 1 <= picture.number <= len(others):
            return others[picture.number - 1]
        return stem.with_name(stem.name + _FIRST_SUFFIXES[0])

    def _others(self, person: str) -> list[Path]:
        """The person's pictures in natural order; none where any is named as LFW names them."""
        if person not in self._known:
            try:
                found = list(walk_images(self.root / person))
            except ImageNotFoundError:
                found = []
            numbers = number_pictures(person, found)
            in_order = numbers == {path: i for i, path in enumerate(found, 1)}
            self._known[person] = found if in_order else []
        return self._known[person]


def number_pictures(person: str, paths: Sequence[Path]) -> dict[Path, int]:
    """The number by which a list names each of a person's pictures.

    That of the file's name where any is named as LFW names them (``Person_0001.jpg``; files of
    other names have no number then), else its place in natural order, from 1.
    """
    named: dict[Path, int] = {}
    for path in sorted(paths, key=_by_suffix):
        prefix, number = path.stem[:-4], path.stem[-4:]
        alike = prefix == f"{person}_" and number.isdecimal() and path.parent.name == person
        if alike and int(number) not in named.values():
            named[path] = int(number)
    return named or {path: i for i, path in enumerate(paths, 1)}


def _by_suffix(path: Path) -> int:
    suffix = path.suffix
    return _FIRST_SUFFIXES.index(suffix) if suffix in _FIRST_SUFFIXES else len(_FIRST_SUFFIXES)


def _fields(line: str) -> list[str]:
    return [part.strip() for part in line.strip().split("\t" if "\t" in line else None)]


def _pair(path: Path, number: int, line: str) -> Pair:
    match _fields(line):
        case [name, i, j]:
            other = name
        case [name, i, other, j]:
            if name == other:
                raise wrong_line(
                    path, number, f"a line of four fields must name two people: {line!r}"
                )
        case found:
            raise wrong_line(path, number, f"a pair has 3 or 4 fields, got {len(found)}: {line!r}")
    for person in (name, other):
        if not person or person in {".", ".."} or {"/", "\\", "\0"} & set(person):
            raise wrong_line(path, number, f"{person!r} is no name of a folder")
    if not (i.isdecimal() and j.isdecimal()):
        raise wrong_line(path, number, f"pictures are named by their number: {line!r}")
    return Pair(Picture(name, int(i)), Picture(other, int(j)), name == other)
