"""Baidu's face library on a gallery: groups, the users in them, and the faces of each pair.

A group is a group, a user id a person's id, `user_info` is what is noted with the membership, and
a face is a sample scoped to the group whose source digest carries its face token. A user is there
for Baidu's clients only as a member of a group.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vultus.errors import (
    SpaceMismatchError,
    UnknownGroupError,
    UnknownPersonError,
    UnknownSampleError,
)
from vultus.gallery import Gallery, Membership, NewSample, Sample
from vultus.server.store.faces import FaceTokens
from vultus.types import Embedding

__all__ = ["Library", "UserFace", "digest_of"]

_PREFIX = "face:"  # what a source digest that carries a token begins with
_PAGE = 1000


def digest_of(token: str) -> str:
    """The source digest of a face with this token."""
    return _PREFIX + token


@dataclass(frozen=True, slots=True)
class UserFace:
    """A face of a user in a group.

    Attributes:
        token: Its face token.
        sample: The sample.
    """

    token: str
    sample: Sample


class Library:
    """One tenant's library.

    Args:
        gallery: The tenant's.
        faces: Face tokens of all tenants.
        tenant: Whose.
    """

    def __init__(self, gallery: Gallery, faces: FaceTokens, tenant: str) -> None:
        self.gallery, self._faces, self._tenant = gallery, faces, tenant

    # -- looking ------------------------------------------------------------------------------

    def has_group(self, group: str) -> bool:
        """Whether there is such a group."""
        try:
            self.gallery.group(group)
        except UnknownGroupError:
            return False
        return True

    def existing(self, groups: Iterable[str]) -> list[str]:
        """Those of the groups that are there, in the order given."""
        return [group for group in groups if self.has_group(group)]

    def membership(self, user: str, group: str) -> Membership | None:
        """That a user is in a group; ``None`` when they are not, or either is unknown."""
        try:
            found = self.gallery.memberships(person=user, group=group)
        except (UnknownPersonError, UnknownGroupError):
            return None
        return found[0] if found else None

    def memberships(self, user: str) -> list[Membership]:
        """The groups a user is in; empty for nobody."""
        try:
            return self.gallery.memberships(person=user)
        except UnknownPersonError:
            return []

    def group_names(self, start: int, count: int) -> list[str]:
        """Names of groups in order, some of them."""
        if count < 1:
            return []
        return [group.name for group in self.gallery.groups(limit=start + count)[start:]]

    def members(self, group: str, start: int, count: int) -> list[Membership]:
        """Users of a group in the order of their ids, some of them.

        Raises:
            UnknownGroupError: There is no such group.
        """
        if count < 1:
            self.gallery.group(group)
            return []
        return self.gallery.memberships(group=group, limit=start + count)[start:]

    def faces(self, user: str, group: str) -> list[UserFace]:
        """The faces of a user that count in a group, oldest first."""
        return [UserFace(self.token(s), s) for s in self._samples(person=user, group=group)]

    def token(self, sample: Sample) -> str:
        """The token of a sample; one that another interface enrolled has its own, too."""
        digest = sample.source_digest or ""
        if digest.startswith(_PREFIX):
            return digest.removeprefix(_PREFIX)
        identity = ("sample", str(sample.number), sample.created_at)
        return self._faces.token_of(self._tenant, *identity)

    def enrolled(self, token: str, number: int) -> Embedding | None:
        """The embedding of a sample, if it still is the face of this token; else that is noted."""
        try:
            if self.token(self.gallery.sample(number)) == token:
                return self.gallery.embedding(number)
        except SpaceMismatchError:  # another model is active now
            return None
        except UnknownSampleError:  # erased, by another interface
            pass
        self._faces.forget(self._tenant, [], [number])
        return None

    def embeddings(self, user: str, groups: Sequence[str]) -> list[Embedding]:
        """The embeddings of a user's faces that count in any of the groups."""
        numbers = {face.sample.number for group in groups for face in self.faces(user, group)}
        return [self.gallery.embedding(number) for number in sorted(numbers)]

    def where(self, user: str, sample: int, groups: Sequence[str]) -> Membership | None:
        """Which of the searched groups a match is told with: that of the face, else the first.

        ``None`` when the user has left them meanwhile.
        """
        held = {m.group: m for m in self.memberships(user)}
        scope = None
        with contextlib.suppress(UnknownSampleError):
            scope = self.gallery.sample(sample).group
        names = [scope, *groups] if scope in groups else groups
        return next((held[name] for name in names if name in held), None)

    # -- changing -----------------------------------------------------------------------------

    def add(
        self,
        sample: NewSample,
        token: str,
        groups: Sequence[str],
        *,
        info: str | None,
        replacing: bool = False,
        about: dict[str, Any] | None = None,
    ) -> None:
        """Enrol a face in each of the groups: in all of them, or in none.

        Args:
            sample: The face and whose it is.
            token: Of the face.
            groups: Made when absent.
            info: To be noted with the user; ``None`` leaves it.
            replacing: Erase the user's other faces of these groups.
            about: Kept with the token.

        Raises:
            DuplicateSampleError: The user has this face in one of the groups.
        """
        items = [replace(sample, group=group, source_digest=digest_of(token)) for group in groups]
        change = self._replace if replacing else self.gallery.add_many
        numbers = change(items)
        if info is not None:
            for group in groups:
                self.gallery.set_info(sample.person, group, info)
        self._faces.enrolled(self._tenant, token, numbers, about or {})

    def _replace(self, items: Iterable[NewSample]) -> list[int]:
        numbers: list[int] = []
        for item in items:
            user = item.person
            assert item.group is not None  # noqa: S101 - set by the only caller
            old = self.faces(user, item.group) if self.membership(user, item.group) else []
            own = [face for face in old if face.sample.group == item.group]
            numbers += self.gallery.replace(user, [item], group=item.group)
            self._forget(own)
        return numbers

    def copy(self, user: str, source: str, target: str) -> None:
        """Put a user into another group, too, with copies of their faces; it is made when absent.

        Raises:
            UnknownPersonError: They are not in `source`.
        """
        self.gallery.copy_person(user, source, target)
        for face in self.faces(user, target):
            known = self._faces.find(self._tenant, face.token)
            about = {} if known is None else known.about
            self._faces.enrolled(self._tenant, face.token, [face.sample.number], about)

    def leave(self, user: str, group: str) -> None:
        """Take a user out of a group, with their faces there; who is in no group is erased.

        A user that has faces without a group, enrolled by another interface, stays known there.

        Raises:
            UnknownPersonError: They are not in that group.
        """
        gone = [face for face in self.faces(user, group) if face.sample.group == group]
        self.gallery.leave(user, group)
        self._forget(gone)
        self._remove_if_nothing_is_left(user)

    def remove(self, user: str) -> None:
        """Erase a user with everything that is kept of them.

        Raises:
            UnknownPersonError: There is none.
        """
        gone = [UserFace(self.token(s), s) for s in self._samples(person=user)]
        self.gallery.remove(user)
        self._forget(gone)

    def remove_group(self, group: str) -> None:
        """Erase a group with its faces, and the users that are in no other.

        As in `leave`, who has faces without a group stays known to other interfaces.

        Raises:
            UnknownGroupError: There is no such group.
        """
        samples = self._samples(group=group)
        staying = {sample.person for sample in samples if sample.group is None}
        gone = [UserFace(self.token(s), s) for s in samples if s.group is not None]
        if staying:
            members = [m.person for m in self.gallery.memberships(group=group)]
            self.gallery.remove_group(group)
            for user in members:
                if user not in staying:
                    self._remove_if_nothing_is_left(user)
        else:  # in one change
            self.gallery.remove_group(group, people="remove-orphans")
        self._forget(gone)

    def remove_face(self, user: str, group: str, token: str) -> bool:
        """Erase a user's face; with their last one in the group they leave it.

        Returns:
            Whether there was such a face.
        """
        every = self.faces(user, group)
        gone = [face for face in every if face.token == token]
        if not gone:
            return False
        self.gallery.remove_samples([face.sample.number for face in gone])
        self._forget(gone)
        if len(gone) == len(every):
            self.gallery.leave(user, group)
            self._remove_if_nothing_is_left(user)
        return True

    # -- within -------------------------------------------------------------------------------

    def _remove_if_nothing_is_left(self, user: str) -> None:
        person = self.gallery.person(user)
        if not person.groups and not person.samples:
            self.gallery.remove(user)

    def _samples(self, *, person: str | None = None, group: str | None = None) -> list[Sample]:
        found: list[Sample] = []
        while True:
            after = found[-1].number if found else 0
            page = self.gallery.samples(person=person, group=group, after=after, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found

    def _forget(self, gone: Sequence[UserFace]) -> None:
        tokens = {face.token for face in gone}
        self._faces.forget(self._tenant, tokens, [face.sample.number for face in gone])
