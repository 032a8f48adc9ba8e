"""The part of a gallery in memory that is about people and groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vultus.errors import RangeError
from vultus.gallery._errors import group_exists_error, person_exists_error, unknown_sample_error
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
from vultus.gallery.audit import ranges
from vultus.gallery.base import Orphans
from vultus.gallery.memory.store import MemoryStore, StoredGroup, StoredPerson
from vultus.gallery.values import Group, Membership, Person

__all__ = ["MemoryDirectory"]


class MemoryDirectory(MemoryStore):
    """People, groups and memberships; see `Gallery` for what each method does."""

    # -- people ---------------------------------------------------------------------------------

    def person(self, person: str) -> Person:
        """Somebody by their id; see `Gallery.person`."""
        clean = clean_name(person)
        with self._open():
            self._require_person(clean)
            return self._person_value(clean)

    def people(
        self, *, group: str | None = None, after: str | None = None, limit: int | None = None
    ) -> list[Person]:
        """People in the order of their ids' code points; see `Gallery.people`."""
        check_page(0, limit)
        where = None if group is None else clean_group(group)
        with self._open():
            if where is not None:
                self._require_group(where)
            ids = sorted(
                id_
                for id_, found in self._people.items()
                if (where is None or where in found.infos) and (after is None or id_ > after)
            )
            return [self._person_value(id_) for id_ in ids[:limit]]

    def put_person(
        self, person: str, *, name: str | None = None, consent: str | None = None
    ) -> Person:
        """Make somebody known, or change what is known; see `Gallery.put_person`."""
        clean = clean_name(person)
        name = None if name is None else clean_text(name, "a name")
        consent = None if consent is None else clean_text(consent, "a consent")
        with self._change() as at:
            old = self._people.get(clean)
            if old is None:
                self._people[clean] = StoredPerson(name or clean, consent or None, at, at)
                self._log(at, "person.add", clean)
                return self._person_value(clean)
            new = replace(
                old,
                name=old.name if name is None else name or clean,
                consent=old.consent if consent is None else consent or None,
            )
            changed = [w for w in ("name", "consent") if getattr(old, w) != getattr(new, w)]
            if changed:
                self._people[clean] = new
                self._log(at, "person.update", clean, changed=changed)
                self._touch([clean], at)
            return self._person_value(clean)

    def rename(self, person: str, new_id: str) -> Person:
        """Give a person another id; see `Gallery.rename`."""
        old, new = clean_name(person), clean_name(new_id)
        with self._change() as at:
            found = self._require_person(old)
            if new != old:
                if new in self._people:
                    raise person_exists_error(new)
                found.name = new if found.name == old else found.name
                self._people = {
                    new if id_ == old else id_: value for id_, value in self._people.items()
                }
                for number in found.numbers:
                    self._samples[number].person = new
                self._touch([new], at)
                self._log(at, "person.rename", old, to=self._subject(new))
            return self._person_value(new)

    def merge(self, into: str, other: str) -> int:
        """Make two people one; see `Gallery.merge`."""
        target, source = clean_name(into), clean_name(other)
        with self._change() as at:
            kept, gone = self._require_person(target), self._require_person(source)
            if target == source:
                raise RangeError("a person cannot be merged with themselves", actual=target)
            held = self._held(target)
            moved: list[int] = []
            dropped: list[int] = []
            for number in self._numbers(source):
                sample = self._samples[number]
                known = (sample.group, sample.source_digest) in held
                (dropped if known else moved).append(number)
            self._erase(dropped)
            self._assign(moved, target)
            for group, info in gone.infos.items():
                kept.infos[group] = kept.infos.get(group) or info
            kept.consent = kept.consent if kept.consent is not None else gone.consent
            self._erase_person(source)
            self._touch([target], at)
            detail = {"moved": ranges(moved), "dropped": ranges(dropped)}
            self._log(at, "person.merge", target, other=self._subject(source), **detail)
            self._log(at, "person.merge", source, into=self._subject(target), **detail)
            return len(moved)

    def split(self, person: str, numbers: Iterable[int], new_id: str) -> Person:
        """Make a new person of some samples of another; see `Gallery.split`."""
        old, new, taken = clean_name(person), clean_name(new_id), clean_numbers(numbers)
        with self._change() as at:
            found = self._require_person(old)
            if new in self._people:
                raise person_exists_error(new)
            for number in taken:
                if self._require_sample(number).person != old:
                    raise unknown_sample_error(number, old)
            infos = dict.fromkeys(found.infos, "")
            self._people[new] = StoredPerson(new, None, at, at, infos)
            self._assign(taken, new)
            self._touch([old], at)
            shown = ranges(taken)
            self._log(at, "person.split", old, samples=shown, to=self._subject(new))
            self._log(at, "person.split", new, samples=shown, of=self._subject(old))
            return self._person_value(new)

    def remove(self, person: str) -> int:
        """Erase a person with everything that is kept of them; see `Gallery.remove`."""
        clean = clean_name(person)
        with self._change() as at:
            self._require_person(clean)
            gone = self._erase_person(clean)
            self._log(at, "person.remove", clean, count=gone)
            return gone

    def __contains__(self, person: object) -> bool:
        with self._open():
            return name_or_none(person) in self._people

    # -- groups ---------------------------------------------------------------------------------

    def add_group(self, name: str, note: str = "") -> Group:
        """Make a group; see `Gallery.add_group`."""
        clean, noted = clean_group(name), clean_text(note, "a note", NOTE_MAX_BYTES)
        with self._change() as at:
            if clean in self._groups:
                raise group_exists_error(clean)
            self._groups[clean] = StoredGroup(noted, at)
            self._log(at, "group.add", group=clean)
            return self._group_value(clean)

    def groups(self, *, after: str | None = None, limit: int | None = None) -> list[Group]:
        """Groups in the order of their names' code points; see `Gallery.groups`."""
        check_page(0, limit)
        with self._open():
            names = sorted(name for name in self._groups if after is None or name > after)
            return [self._group_value(name) for name in names[:limit]]

    def group(self, name: str) -> Group:
        """A group by its name; see `Gallery.group`."""
        clean = clean_group(name)
        with self._open():
            self._require_group(clean)
            return self._group_value(clean)

    def _group_value(self, name: str) -> Group:
        found = self._groups[name]
        members = sum(name in person.infos for person in self._people.values())
        return Group(name, found.note, members, found.created_at)

    def update_group(self, name: str, *, note: str) -> Group:
        """Change a group's note; see `Gallery.update_group`."""
        clean, noted = clean_group(name), clean_text(note, "a note", NOTE_MAX_BYTES)
        with self._change() as at:
            self._require_group(clean).note = noted
            self._log(at, "group.update", group=clean)
            return self._group_value(clean)

    def rename_group(self, name: str, new_name: str) -> Group:
        """Give a group another name; see `Gallery.rename_group`."""
        old, new = clean_group(name), clean_group(new_name)
        with self._change() as at:
            self._require_group(old)
            if new != old:
                if new in self._groups:
                    raise group_exists_error(new)
                self._groups[new] = self._groups.pop(old)
                for person in self._people.values():
                    if old in person.infos:
                        person.infos[new] = person.infos.pop(old)
                for sample in self._samples.values():
                    sample.group = new if sample.group == old else sample.group
                self._log(at, "group.rename", group=old, to=new)
            return self._group_value(new)

    def remove_group(self, name: str, *, people: Orphans = "keep") -> int:
        """Erase a group and what is scoped to it; see `Gallery.remove_group`."""
        check_orphans(people)
        clean = clean_group(name)
        with self._change() as at:
            self._require_group(clean)
            members = [id_ for id_, found in self._people.items() if clean in found.infos]
            gone = removed = 0
            for id_ in members:
                if people == "remove-orphans" and len(self._people[id_].infos) == 1:
                    erased = self._erase_person(id_)
                    self._log(at, "person.remove", id_, count=erased, group=clean)
                    gone, removed = gone + erased, removed + 1
                else:
                    gone += self._end_membership(at, id_, clean)
            del self._groups[clean]
            self._log(at, "group.remove", group=clean, people=len(members), removed=removed)
            return gone

    def join(self, person: str, group: str, info: str = "") -> None:
        """Put a person into a group; see `Gallery.join`."""
        who, where, noted = clean_name(person), clean_group(group), clean_text(info, "an info")
        with self._change() as at:
            found = self._require_person(who)
            self._require_group(where)
            if where in found.infos:
                self._write_info(at, who, where, noted)
                return
            found.infos[where] = noted
            self._log(at, "group.join", who, group=where)
            self._touch([who], at)

    def set_info(self, person: str, group: str, info: str) -> None:
        """Replace what is noted with a membership; see `Gallery.set_info`."""
        who, where, noted = clean_name(person), clean_group(group), clean_text(info, "an info")
        with self._change() as at:
            self._require_member(who, where)
            self._write_info(at, who, where, noted)

    def _write_info(self, at: str, person: str, group: str, info: str) -> None:
        found = self._people[person]
        if found.infos[group] != info:
            found.infos[group] = info
            self._log(at, "group.info", person, group=group)
            self._touch([person], at)

    def leave(self, person: str, group: str) -> int:
        """Take a person out of a group; see `Gallery.leave`."""
        who, where = clean_name(person), clean_group(group)
        with self._change() as at:
            self._require_member(who, where)
            return self._end_membership(at, who, where)

    def _end_membership(self, at: str, person: str, group: str) -> int:
        own = self._numbers(person, group)
        self._erase(own)
        del self._people[person].infos[group]
        self._log(at, "group.leave", person, group=group, count=len(own), samples=ranges(own))
        self._touch([person], at)
        return len(own)

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
        with self._open():
            if who is not None:
                self._require_person(who)
            if where is not None:
                self._require_group(where)
            found = sorted(
                (id_, name, info)
                for id_, value in self._people.items()
                for name, info in value.infos.items()
                if who in (None, id_) and where in (None, name)
            )
            later = [row for row in found if after is None or row[:2] > after]
            return [Membership(*row) for row in later[:limit]]

    # -- from group to group --------------------------------------------------------------------

    def copy_person(self, person: str, source: str, target: str) -> int:
        """Put a member of a group into another too; see `Gallery.copy_person`."""
        who, old, new = clean_name(person), clean_group(source), clean_group(target)
        with self._change() as at:
            wanted, _ = self._take_over(who, old, new)
            numbers = []
            for number in wanted:
                self._last_sample += 1
                numbers.append(self._last_sample)
                sample = self._samples[number]
                self._samples[self._last_sample] = replace(
                    sample, group=new, created_at=at, embeddings=dict(sample.embeddings)
                )
            self._people[who].numbers.update(numbers)
            self._log(
                at,
                "group.copy",
                who,
                source=old,
                target=new,
                count=len(numbers),
                samples=ranges(numbers),
            )
            self._touch([who], at)
            return len(numbers)

    def move_person(self, person: str, source: str, target: str) -> int:
        """Take a member of a group to another; see `Gallery.move_person`."""
        who, old, new = clean_name(person), clean_group(source), clean_group(target)
        with self._change() as at:
            wanted, held = self._take_over(who, old, new)
            for number in wanted:
                self._samples[number].group = new
            self._erase(held)
            del self._people[who].infos[old]
            self._log(
                at,
                "group.move",
                who,
                source=old,
                target=new,
                count=len(wanted),
                samples=ranges(wanted),
                dropped=ranges(held),
            )
            self._touch([who], at)
            return len(wanted)

    def _take_over(self, person: str, source: str, target: str) -> tuple[list[int], list[int]]:
        """Carry what is noted over; gives the samples the target lacks, and those it holds."""
        found = self._require_person(person)
        self._require_group(source)
        self._require_group(target)
        if source == target:
            raise RangeError(f"source and target must be two groups, got {source!r} twice")
        self._require_member(person, source)
        found.infos[target] = found.infos[source]
        digests = {self._samples[n].source_digest for n in self._numbers(person, target)} - {None}
        own = self._numbers(person, source)
        held = [n for n in own if self._samples[n].source_digest in digests]
        return [n for n in own if n not in held], held
