"""What every gallery can do about people, groups and who is in which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias

from vultus.gallery.values import Group, Membership, Person

__all__ = ["Directory", "Orphans"]

Orphans: TypeAlias = Literal["keep", "remove-orphans"]
"""What becomes of people who are in no group once a group is gone."""


class Directory(Protocol):
    """The part of `Gallery` that is about people and groups."""

    # -- people ---------------------------------------------------------------------------------

    def person(self, person: str) -> Person:
        """Somebody by their id."""
        ...

    def people(
        self, *, group: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Person]:
        """People in the order of their ids' code points, all or a page at a time.

        Args:
            group: Only its members.
            after: Only ids after this one: the last one of the page before.
            limit: At most so many.
        """
        ...

    def put_person(
        self, person: str, *, name: str | None = None, consent: str | None = None
    ) -> Person:
        """Make somebody known, or change what is known of them.

        Args:
            person: Their id.
            name: What they are called; ``None`` leaves it, an empty text makes it the id again.
            consent: Reference to their consent; ``None`` leaves it, an empty text takes it away.
        """
        ...

    def rename(self, person: str, new_id: str) -> Person:
        """Give a person another id; a name that was the id follows.

        Raises:
            PersonExistsError: Somebody has that id.
        """
        ...

    def merge(self, into: str, other: str) -> int:
        """Make two people one: samples and memberships of `other` go to `into`.

        Pictures that both hold in the same scope are kept once, and of two notes that of `into`.

        Returns:
            How many samples changed hands.
        """
        ...

    def split(self, person: str, numbers: Iterable[int], new_id: str) -> Person:
        """Make a new person of some samples of another; they are in the same groups.

        Raises:
            PersonExistsError: Somebody has that id.
            UnknownSampleError: A sample is not of this person.
        """
        ...

    def remove(self, person: str) -> int:
        """Erase a person with everything that is kept of them.

        Returns:
            How many samples were erased.
        """
        ...

    # -- groups ---------------------------------------------------------------------------------

    def add_group(self, name: str, note: str = "") -> Group:
        """Make a group.

        Raises:
            GroupExistsError: There is one of this name.
        """
        ...

    def groups(self, *, after: str | None = None, limit: int | None = None) -> list[Group]:
        """Groups in the order of their names' code points, all or a page at a time."""
        ...

    def group(self, name: str) -> Group:
        """A group by its name."""
        ...

    def update_group(self, name: str, *, note: str) -> Group:
        """Change a group's note, at most 1024 bytes."""
        ...

    def rename_group(self, name: str, new_name: str) -> Group:
        """Give a group another name.

        Raises:
            GroupExistsError: There is one of that name.
        """
        ...

    def remove_group(self, name: str, *, people: Orphans = "keep") -> int:
        """Erase a group, its memberships and the samples scoped to it.

        Args:
            name: The group.
            people: ``remove-orphans`` erases members who are in no other group as well.

        Returns:
            How many samples were erased.
        """
        ...

    def join(self, person: str, group: str, info: str = "") -> None:
        """Put a person into a group; where they are in it already, `info` is replaced.

        Args:
            person: Their id.
            group: Its name.
            info: What is noted with the membership, at most 256 bytes.
        """
        ...

    def leave(self, person: str, group: str) -> int:
        """Take a person out of a group; their samples scoped to it are erased.

        Returns:
            How many samples were erased.

        Raises:
            UnknownPersonError: They are not in that group.
        """
        ...

    def memberships(
        self,
        *,
        person: str | None = None,
        group: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> list[Membership]:
        """Memberships by person and group in the order of code points, all or a page at a time.

        Args:
            person: Only theirs.
            group: Only of this group.
            after: Only those after this (person, group): the last one of the page before.
            limit: At most so many.
        """
        ...

    def set_info(self, person: str, group: str, info: str) -> None:
        """Replace what is noted with a membership.

        Raises:
            UnknownPersonError: They are not in that group.
        """
        ...

    def copy_person(self, person: str, source: str, target: str) -> int:
        """Put a member of `source` into `target` too: what is noted, and copies of the samples.

        Only samples scoped to `source` are copied; those without a scope count anyhow. A picture
        held in `target` already is left out.

        Returns:
            How many samples were copied.

        Raises:
            UnknownPersonError: They are not in `source`.
        """
        ...

    def move_person(self, person: str, source: str, target: str) -> int:
        """Take a member of `source` to `target`: what is noted, and the samples scoped to it.

        A picture held in `target` already is erased.

        Returns:
            How many samples were moved.

        Raises:
            UnknownPersonError: They are not in `source`.
        """
        ...
