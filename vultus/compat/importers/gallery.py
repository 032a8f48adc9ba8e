"""Puts imported people into a gallery, once however often it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from vultus.compat.importers.people import ForeignFace, ForeignPeople
from vultus.errors import GroupExistsError, SpaceMismatchError
from vultus.gallery import Gallery
from vultus.types import EmbeddingSpace

__all__ = ["Outcome", "add_people", "join_group"]

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became, or would become, of imported people.

    Attributes:
        added: Faces that are new in the gallery.
        known: Faces it held already.
        new_people: People that are new.
        joined: People who joined the group.
    """

    added: int
    known: int
    new_people: int
    joined: int


def add_people(
    gallery: Gallery | None,
    found: ForeignPeople,
    *,
    group: str | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Add what was read; what the gallery holds already is not added again.

    All faces are added in one change, or none.

    Args:
        gallery: Open; ``None``, in a dry run, for one that does not exist yet.
        found: From `read_people`.
        group: Everybody named joins it; made when absent.
        dry_run: Say what would happen, and change nothing.

    Raises:
        SpaceMismatchError: The gallery's embeddings come from another model.
    """
    if gallery is not None and found.space is not None and gallery.space is not None:
        _check_space(gallery.space, found.space)
    fresh = list(_fresh(gallery, found.faces))
    absent = [p for p in found.people if gallery is None or p not in gallery]
    joining = [p for p in found.people if group is not None and not _in(gallery, p, group)]
    outcome = Outcome(len(fresh), len(found.faces) - len(fresh), len(absent), len(joining))
    if dry_run or gallery is None:
        return outcome
    if fresh:
        gallery.add_many([face.sample() for face in fresh])
    for person in absent:
        if person not in gallery:
            gallery.put_person(person)
    if group is not None:
        for person in joining:
            join_group(gallery, person, group)
    return outcome


def join_group(gallery: Gallery, person: str, group: str) -> None:
    """Put a person into a group, which is made when absent; what is noted there stays."""
    if group not in gallery.person(person).groups:
        with contextlib.suppress(GroupExistsError):
            gallery.add_group(group)
        gallery.join(person, group)


def _check_space(held: EmbeddingSpace, coming: EmbeddingSpace) -> None:
    if held != coming:
        raise SpaceMismatchError(
            f"this gallery holds embeddings of {held}, these are of {coming}; they cannot be "
            "compared, so they are not mixed",
            remedy="import into a gallery of its own",
            expected=held.id,
            actual=coming.id,
        )


def _fresh(gallery: Gallery | None, faces: Iterable[ForeignFace]) -> Iterable[ForeignFace]:
    """Faces whose digest their person does not hold."""
    held: dict[str, set[str]] = {}
    for face in faces:
        if face.person not in held:
            held[face.person] = _digests(gallery, face.person)
        if face.digest not in held[face.person]:
            held[face.person].add(face.digest)
            yield face


def _digests(gallery: Gallery | None, person: str) -> set[str]:
    if gallery is None or person not in gallery:
        return set()
    found: set[str] = set()
    after = 0
    while page := gallery.samples(person=person, after=after, limit=_PAGE):
        found |= {s.source_digest for s in page if s.source_digest and s.group is None}
        after = page[-1].number
    return found


def _in(gallery: Gallery | None, person: str, group: str) -> bool:
    return gallery is not None and person in gallery and group in gallery.person(person).groups
