"""Nobody is on one picture twice: which of several faces may claim a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vultus.types import Match

__all__ = ["claims"]


def claims(
    every: Sequence[Sequence[Match]], limit: float, beyond_doubt: Callable[[float], bool]
) -> list[int | None]:
    """Which of its matches each face may be decided by; the most similar claims come first.

    Args:
        every: Each face's matches, best first.
        limit: Similarity from which a face claims a person.
        beyond_doubt: Whether a similarity is so high that a person may be claimed again: a
            mirror, a photo on a wall.

    Returns:
        For each face the position of its match; where all that reach the limit belong to other
        faces, the best of those below it; ``None`` where there is none.
    """
    wishes = sorted(
        (-match.similarity, face, which)
        for face, matches in enumerate(every)
        for which, match in enumerate(matches)
        if match.similarity >= limit
    )
    chosen: dict[int, int] = {}
    taken: set[str] = set()
    for negative, face, which in wishes:
        person = every[face][which].person
        if face not in chosen and (person not in taken or beyond_doubt(-negative)):
            chosen[face] = which
            taken.add(person)
    return [chosen.get(face, _first_below(own, limit)) for face, own in enumerate(every)]


def _first_below(matches: Sequence[Match], limit: float) -> int | None:
    return next((i for i, match in enumerate(matches) if match.similarity < limit), None)
