"""What a gallery in memory holds, and the changes that several of its methods make."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from vultus.gallery._errors import (
    closed_error,
    duplicate_error,
    not_a_member_error,
    unknown_group_error,
    unknown_person_error,
    unknown_sample_error,
    unknown_space_error,
)
from vultus.gallery.audit import CHAIN_START, actor, entry_hash, now, ranges, subject_of
from vultus.gallery.base import Gallery
from vultus.gallery.search.index import VectorIndex
from vultus.gallery.values import AuditEntry, Person, QualityRecord, Sample
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["MemoryStore", "StoredGroup", "StoredPerson", "StoredSample"]


@dataclass(slots=True)
class StoredGroup:
    """A group without its name."""

    note: str
    created_at: str


@dataclass(slots=True)
class StoredPerson:
    """A person without their id.

    Attributes:
        name: What they are called.
        consent: Reference to their consent, or ``None``.
        created_at: As in `Person`.
        updated_at: As in `Person`.
        infos: What is noted for each group they are in.
        numbers: Their samples.
    """

    name: str
    consent: str | None
    created_at: str
    updated_at: str
    infos: dict[str, str] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)


@dataclass(slots=True)
class StoredSample:
    """A sample without its number."""

    person: str
    group: str | None
    source_digest: str | None
    source: str | None
    quality: QualityRecord | None
    crop: bytes | None
    created_at: str
    embeddings: dict[EmbeddingSpace, Embedding] = field(default_factory=dict)


class MemoryStore(Gallery):
    """Dictionaries of people, groups and samples behind one lock.

    Methods named ``_require_…`` and `_refuse_duplicates` change nothing: each public change calls
    what can fail first, so that it is made wholly or not at all.
    """

    def __init__(self, space: EmbeddingSpace | None = None) -> None:
        self._lock = threading.RLock()
        self._closed = False
        self._created_at, self._salt = now(), secrets.token_bytes(32)
        self._groups: dict[str, StoredGroup] = {}
        self._people: dict[str, StoredPerson] = {}
        self._samples: dict[int, StoredSample] = {}
        self._last_sample = 0
        self._spaces: list[EmbeddingSpace] = []
        self._active: EmbeddingSpace | None = None
        self._audit: list[AuditEntry] = []
        self._index: VectorIndex | None = None
        self._keys: dict[str, int] = {}  # of people in the index
        if space is not None:
            self._use_space(space)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise closed_error()
            yield

    @contextmanager
    def _change(self) -> Iterator[str]:
        """A change; gives its moment. The index is made anew by the next search."""
        with self._open():
            yield now()
            self._index = None

    # -- finding --------------------------------------------------------------------------------

    def _require_person(self, person: str) -> StoredPerson:
        if person not in self._people:
            raise unknown_person_error(person, sorted(self._people))
        return self._people[person]

    def _require_group(self, group: str) -> StoredGroup:
        if group not in self._groups:
            raise unknown_group_error(group, sorted(self._groups))
        return self._groups[group]

    def _require_member(self, person: str, group: str) -> StoredPerson:
        found = self._require_person(person)
        self._require_group(group)
        if group not in found.infos:
            raise not_a_member_error(person, group)
        return found

    def _require_sample(self, number: int) -> StoredSample:
        if number not in self._samples:
            raise unknown_sample_error(number)
        return self._samples[number]

    def _require_space(self, space: EmbeddingSpace) -> None:
        if space not in self._spaces:
            raise unknown_space_error(space, self._spaces)

    def _numbers(self, person: str, group: str | None = None) -> list[int]:
        """Samples of a person, or those of one scope."""
        own = sorted(self._people[person].numbers)
        return [n for n in own if group is None or self._samples[n].group == group]

    def _refuse_duplicates(
        self, person: str, numbers: Iterable[int], held: set[tuple[str | None, str | None]]
    ) -> None:
        for number in numbers:
            sample = self._samples[number]
            if (sample.group, sample.source_digest) in held:
                raise duplicate_error(person, sample.source_digest, sample=number)
            if sample.source_digest is not None:
                held.add((sample.group, sample.source_digest))

    def _held(self, person: str) -> set[tuple[str | None, str | None]]:
        """Scopes and digests of the pictures a person holds."""
        own = [self._samples[number] for number in self._people[person].numbers]
        return {(s.group, s.source_digest) for s in own if s.source_digest is not None}

    def _person_value(self, person: str) -> Person:
        found = self._people[person]
        return Person(
            person,
            found.name,
            len(found.numbers),
            tuple(sorted(found.infos)),
            found.consent,
            found.created_at,
            found.updated_at,
        )

    def _sample_value(self, number: int) -> Sample:
        found = self._samples[number]
        return Sample(
            number,
            found.person,
            found.group,
            found.source_digest,
            found.source,
            None if found.quality is None else dict(found.quality),
            found.crop is not None,
            tuple(sorted(space.id for space in found.embeddings)),
            found.created_at,
        )

    # -- changing -------------------------------------------------------------------------------

    def _use_space(self, space: EmbeddingSpace) -> None:
        self._spaces.append(space)
        self._log(now(), "space.add", space=space.id)
        if self._active is None:
            self._active = space

    def _erase(self, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            self._people[self._samples.pop(number).person].numbers.remove(number)

    def _assign(self, numbers: Iterable[int], person: str) -> None:
        for number in list(numbers):
            self._people[self._samples[number].person].numbers.remove(number)
            self._samples[number].person = person
            self._people[person].numbers.add(number)

    def _erase_person(self, person: str) -> int:
        gone = self._numbers(person)
        self._erase(gone)
        del self._people[person]
        return len(gone)

    def _touch(self, people: Iterable[str], at: str) -> None:
        for person in people:
            self._people[person].updated_at = at

    def _subject(self, person: str) -> str:
        return subject_of(self._salt, person)

    def _log(self, at: str, action: str, person: str | None = None, **detail: object) -> None:
        previous = self._audit[-1].hash if self._audit else CHAIN_START
        subject = None if person is None else self._subject(person)
        number, who = len(self._audit) + 1, actor()
        found = entry_hash(previous, number, at, who, action, subject, detail)
        self._audit.append(AuditEntry(number, at, who, action, subject, detail, found))

    def _log_samples(self, at: str, action: str, numbers: Iterable[int], **detail: object) -> None:
        """One entry per person of these samples, in the order the people were made."""
        own: dict[str, list[int]] = {}
        for number in sorted(numbers):
            own.setdefault(self._samples[number].person, []).append(number)
        for person in self._people:
            if person in own:
                found = own[person]
                self._log(at, action, person, count=len(found), samples=ranges(found), **detail)

    # -- index ----------------------------------------------------------------------------------

    def _current_index(self) -> VectorIndex | None:
        """The index, made anew when anything but an addition has changed."""
        if self._active is not None and self._index is None:
            self._index = VectorIndex(self._active)
            self._keys.clear()
            self._extend_index(self._samples, self._people)
        return self._index

    def _extend_index(self, numbers: Iterable[int], people: Iterable[str]) -> None:
        """Add samples, new people and their memberships to the index, if there is one."""
        index = self._index
        if index is None:
            return
        for person in people:
            self._keys.setdefault(person, len(self._keys) + 1)
        groups = self._group_keys()
        held = [n for n in numbers if index.space in self._samples[n].embeddings]
        with index.changing():
            if held:
                samples = [self._samples[number] for number in held]
                index.extend(
                    held,
                    [self._keys[sample.person] for sample in samples],
                    [groups[sample.group] for sample in samples],
                    np.stack([sample.embeddings[index.space].vector for sample in samples]),
                )
            known = list(people)
            names = [self._people[person].name for person in known]
            index.set_people([self._keys[person] for person in known], known, names)
            for person in known:
                for group in self._people[person].infos:
                    index.join(self._keys[person], groups[group])

    def _group_keys(self) -> dict[str | None, int]:
        """Groups counted from 1, as the index names them; 0 is no group."""
        return {None: 0, **{group: key for key, group in enumerate(self._groups, 1)}}
