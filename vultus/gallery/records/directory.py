"""The part of a gallery over SQL records that is about people and groups."""

from __future__ import annotations

from collections.abc import Iterable

from vultus.gallery._rules import (
    NOTE_MAX_BYTES,
    check_orphans,
    check_page,
    clean_group,
    clean_name,
    clean_numbers,
    clean_text,
    name_or_none,
)
from vultus.gallery.base import Orphans
from vultus.gallery.records import groups, people
from vultus.gallery.records.access import RecordsAccess
from vultus.gallery.records.find import person_keys
from vultus.gallery.values import Group, Membership, Person

__all__ = ["RecordsDirectory"]


class RecordsDirectory(RecordsAccess):
    """People, groups and memberships; see `Gallery` for what each method does."""

    # -- people ---------------------------------------------------------------------------------

    def person(self, person: str) -> Person:
        """Somebody by their id; see `Gallery.person`."""
        clean = clean_name(person)
        with self._read() as connection:
            return people.read_person(connection, clean)

    def people(
        self, *, group: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Person]:
        """People in the order of their ids' code points; see `Gallery.people`."""
        check_page(0, limit)
        clean = None if group is None else clean_group(group)
        with self._read() as connection:
            return people.list_people(connection, clean, after, limit)

    def put_person(
        self, person: str, *, name: str | None = None, consent: str | None = None
    ) -> Person:
        """Make somebody known, or change what is known; see `Gallery.put_person`."""
        clean = clean_name(person)
        name = None if name is None else clean_text(name, "a name")
        consent = None if consent is None else clean_text(consent, "a consent")
        with self._change() as change:
            return people.put_person(change, clean, name, consent)

    def rename(self, person: str, new_id: str) -> Person:
        """Give a person another id; see `Gallery.rename`."""
        old, new = clean_name(person), clean_name(new_id)
        with self._change() as change:
            return people.rename_person(change, old, new)

    def merge(self, into: str, other: str) -> int:
        """Make two people one; see `Gallery.merge`."""
        target, source = clean_name(into), clean_name(other)
        with self._change() as change:
            return people.merge_people(change, target, source)

    def split(self, person: str, numbers: Iterable[int], new_id: str) -> Person:
        """Make a new person of some samples of another; see `Gallery.split`."""
        old, new, taken = clean_name(person), clean_name(new_id), clean_numbers(numbers)
        with self._change() as change:
            return people.split_person(change, old, taken, new)

    def remove(self, person: str) -> int:
        """Erase a person with everything that is kept of them; see `Gallery.remove`."""
        clean = clean_name(person)
        with self._change() as change:
            return people.remove_person(change, clean)

    def __contains__(self, person: object) -> bool:
        clean = name_or_none(person)
        with self._read() as connection:
            return clean is not None and bool(person_keys(connection, [clean]))

    # -- groups ---------------------------------------------------------------------------------

    def add_group(self, name: str, note: str = "") -> Group:
        """Make a group; see `Gallery.add_group`."""
        clean, noted = clean_group(name), clean_text(note, "a note", NOTE_MAX_BYTES)
        with self._change() as change:
            return groups.add_group(change, clean, noted)

    def groups(self, *, after: str | None = None, limit: int | None = None) -> list[Group]:
        """Groups in the order of their names' code points; see `Gallery.groups`."""
        check_page(0, limit)
        with self._read() as connection:
            return groups.list_groups(connection, after, limit)

    def group(self, name: str) -> Group:
        """A group by its name; see `Gallery.group`."""
        clean = clean_group(name)
        with self._read() as connection:
            return groups.read_group(connection, clean)

    def update_group(self, name: str, *, note: str) -> Group:
        """Change a group's note; see `Gallery.update_group`."""
        clean, noted = clean_group(name), clean_text(note, "a note", NOTE_MAX_BYTES)
        with self._change() as change:
            return groups.update_group(change, clean, noted)

    def rename_group(self, name: str, new_name: str) -> Group:
        """Give a group another name; see `Gallery.rename_group`."""
        old, new = clean_group(name), clean_group(new_name)
        with self._change() as change:
            return groups.rename_group(change, old, new)

    def remove_group(self, name: str, *, people: Orphans = "keep") -> int:
        """Erase a group and what is scoped to it; see `Gallery.remove_group`."""
        check_orphans(people)
        clean = clean_group(name)
        with self._change() as change:
            return groups.remove_group(change, clean, remove_orphans=people == "remove-orphans")

    def join(self, person: str, group: str, info: str = "") -> None:
        """Put a person into a group; see `Gallery.join`."""
        who, where, noted = clean_name(person), clean_group(group), clean_text(info, "an info")
        with self._change() as change:
            groups.join_group(change, who, where, noted)

    def leave(self, person: str, group: str) -> int:
        """Take a person out of a group; see `Gallery.leave`."""
        who, where = clean_name(person), clean_group(group)
        with self._change() as change:
            return groups.leave_group(change, who, where)

    def memberships(
        self,
        *,
        person: str | None = None,
        group: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> list[Membership]:
        """Memberships by person and group; see `Gallery.memberships`."""
        check_page(0, limit)
        who = None if person is None else clean_name(person)
        where = None if group is None else clean_group(group)
        with self._read() as connection:
            return groups.list_memberships(connection, who, where, after, limit)

    def set_info(self, person: str, group: str, info: str) -> None:
        """Replace what is noted with a membership; see `Gallery.set_info`."""
        who, where, noted = clean_name(person), clean_group(group), clean_text(info, "an info")
        with self._change() as change:
            groups.set_info(change, who, where, noted)

    def copy_person(self, person: str, source: str, target: str) -> int:
        """Put a member of a group into another too; see `Gallery.copy_person`."""
        who, old, new = clean_name(person), clean_group(source), clean_group(target)
        with self._change() as change:
            return groups.copy_person(change, who, old, new)

    def move_person(self, person: str, source: str, target: str) -> int:
        """Take a member of a group to another; see `Gallery.move_person`."""
        who, old, new = clean_name(person), clean_group(source), clean_group(target)
        with self._change() as change:
            return groups.move_person(change, who, old, new)
