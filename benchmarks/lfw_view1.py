"""LFW View 1 as its files state it: development pairs, and where their pictures lie.

Source: Huang et al. 2007, "Labeled Faces in the Wild"; View 1 is for development and for choosing
a model or threshold, View 2 (`pairs.txt`) for reporting.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Pair", "Picture", "pictures_of", "read_pairs"]


class Picture(NamedTuple):
    """One picture: the person it is filed under and its number."""

    person: str
    number: int

    def path(self, images: Path) -> Path:
        """Where it lies below the folder of all images."""
        return images / self.person / f"{self.person}_{self.number:04d}.jpg"


class Pair(NamedTuple):
    """Two pictures and whether they show the same person."""

    first: Picture
    second: Picture
    same: bool


def read_pairs(text: str) -> list[Pair]:
    """Read ``pairsDevTrain.txt`` or ``pairsDevTest.txt``.

    The first line is N; then come N lines ``name i j`` of the same person and N lines
    ``name1 i name2 j`` of different ones, separated by tabs.

    Raises:
        ValueError: The lines do not add up.
    """
    head, *lines = text.splitlines()
    pairs = []
    for line in lines:
        match line.split("\t"):
            case [name, i, j]:
                pairs.append(Pair(Picture(name, int(i)), Picture(name, int(j)), True))
            case [name, i, other, j]:
                pairs.append(Pair(Picture(name, int(i)), Picture(other, int(j)), False))
            case _:
                raise ValueError(f"a line of pairs has 3 or 4 fields, got {line!r}")
    same = sum(pair.same for pair in pairs)
    if same != int(head) or len(pairs) != 2 * same:
        raise ValueError(f"{head} pairs of each kind were announced, {same} of {len(pairs)} match")
    return pairs


def pictures_of(pairs: list[Pair]) -> list[Picture]:
    """Every picture of the pairs once, by name and number."""
    return sorted({picture for pair in pairs for picture in (pair.first, pair.second)})
