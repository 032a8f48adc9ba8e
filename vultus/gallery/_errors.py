"""The errors of a gallery: what is not there, what is there already, what cannot be kept."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable

from vultus.errors import (
    DuplicateSampleError,
    GalleryError,
    GroupExistsError,
    PersonExistsError,
    SpaceMismatchError,
    UnknownGroupError,
    UnknownPersonError,
    UnknownSampleError,
)
from vultus.types import EmbeddingSpace

__all__ = [
    "active_space_error",
    "closed_error",
    "duplicate_error",
    "group_exists_error",
    "missing_embedding_error",
    "missing_error",
    "not_a_member_error",
    "person_exists_error",
    "unknown_group_error",
    "unknown_person_error",
    "unknown_sample_error",
    "unknown_space_error",
]

_SUGGESTION_POOL = 5_000  # names looked at for "did you mean": keeps the error under 0.1 s


def closed_error() -> GalleryError:
    """The error for a gallery used after `close`."""
    return GalleryError("this gallery is closed", remedy="open it again")


def unknown_person_error(name: str, names: Iterable[str]) -> UnknownPersonError:
    """The error for an id nobody has, with up to three close ones of `names` as a suggestion."""
    close, hint = _close(name, names, "list the people first")
    return UnknownPersonError(
        f"nobody in this gallery is called {name!r}", remedy=hint, name=name, close=close
    )


def duplicate_error(
    person: str, digest: str | None, position: int | None = None, sample: int | None = None
) -> DuplicateSampleError:
    """The error for a picture that a person holds already.

    Args:
        person: Their id.
        digest: What identifies the picture.
        position: Of the item within its batch.
        sample: Number of the sample that was to be moved.
    """
    where = {"position": position} if position is not None else {"sample": sample}
    return DuplicateSampleError(
        f"{person!r} already holds a sample of this picture",
        remedy="leave the picture out, or allow duplicates",
        name=person,
        source_digest=digest,
        **where,
    )


def unknown_group_error(name: str, names: Iterable[str]) -> UnknownGroupError:
    """The error for a group there is not, with up to three close ones of `names`."""
    close, hint = _close(name, names, "list the groups first, or add this one")
    return UnknownGroupError(
        f"no group of this gallery is called {name!r}", remedy=hint, name=name, close=close
    )


def unknown_sample_error(number: int, person: str | None = None) -> UnknownSampleError:
    """The error for a sample there is not (any more), or not with this person."""
    whose = "this gallery" if person is None else repr(person)
    return UnknownSampleError(
        f"no sample of {whose} has the number {number}",
        remedy="list the samples first",
        number=number,
    )


def unknown_space_error(
    space: EmbeddingSpace, known: Iterable[EmbeddingSpace]
) -> SpaceMismatchError:
    """The error for a space that was not added."""
    return SpaceMismatchError(
        f"this gallery keeps no embeddings of {space}",
        remedy="add the space first, add_space(...)",
        expected=[other.id for other in known],
        actual=space.id,
    )


def missing_embedding_error(number: int, space: EmbeddingSpace) -> SpaceMismatchError:
    """The error for a sample without an embedding in a space."""
    return SpaceMismatchError(
        f"sample {number} has no embedding of {space}",
        remedy="embed it there first, `put_embeddings`",
        expected=space.id,
        actual=None,
        number=number,
    )


def missing_error(space: EmbeddingSpace, missing: int) -> GalleryError:
    """The error for a space that cannot be activated yet."""
    return GalleryError(
        f"every sample must have an embedding of {space}, {missing} have none",
        remedy="embed what `pending` lists, or allow missing ones on purpose",
        missing=missing,
        space=space.id,
    )


def active_space_error(space: EmbeddingSpace) -> GalleryError:
    """The error for dropping the active space."""
    return GalleryError(
        f"{space} is the space that is searched and must stay",
        remedy="activate another space first",
        space=space.id,
    )


def not_a_member_error(person: str, group: str) -> UnknownPersonError:
    """The error for somebody who is not in a group."""
    return UnknownPersonError(
        f"{person!r} is not in the group {group!r}",
        remedy="list the memberships first, or let them join",
        name=person,
        group=group,
        close=[],
    )


def person_exists_error(name: str) -> PersonExistsError:
    """The error for an id that is taken."""
    return PersonExistsError(f"somebody in this gallery is called {name!r} already", name=name)


def group_exists_error(name: str) -> GroupExistsError:
    """The error for a group's name that is taken."""
    return GroupExistsError(f"a group of this gallery is called {name!r} already", name=name)


def _close(name: str, names: Iterable[str], otherwise: str) -> tuple[list[str], str]:
    folded = {known.casefold(): known for known in itertools.islice(names, _SUGGESTION_POOL)}
    close = [folded[f] for f in difflib.get_close_matches(name.casefold(), folded, n=3)]
    return close, f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise
