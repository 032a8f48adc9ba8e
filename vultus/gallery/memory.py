"""A gallery in this process's memory: the plain reference, gone when the process ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy

import numpy as np

from vultus.gallery._memory_directory import MemoryDirectory
from vultus.gallery._memory_store import StoredGroup, StoredPerson, StoredSample
from vultus.gallery._rules import (
    active_space_error,
    check_of_person,
    check_page,
    check_search,
    check_spaces,
    clean_group,
    clean_groups,
    clean_name,
    clean_number,
    clean_numbers,
    duplicate_error,
    missing_embedding_error,
    missing_error,
)
from vultus.gallery._stream import checked, not_empty_error
from vultus.gallery.audit import now, ranges, verify_chain
from vultus.gallery.base import Template
from vultus.gallery.values import (
    AuditEntry,
    EmbeddingRecord,
    Finding,
    GalleryInfo,
    GalleryRecord,
    GroupRecord,
    Membership,
    NewSample,
    PersonRecord,
    Record,
    Sample,
    SampleRecord,
    SearchInfo,
    SpaceInfo,
    SpaceRecord,
)
from vultus.types import Embedding, EmbeddingSpace, Match

__all__ = ["MemoryGallery"]


class MemoryGallery(MemoryDirectory):
    """Everything in dictionaries of this process, searched exactly.

    Args:
        space: The active space from the start; ``None``: that of the first sample.
    """

    def __init__(self, space: EmbeddingSpace | None = None) -> None:
        super().__init__(space)

    # -- faces ----------------------------------------------------------------------------------

    @property
    def space(self) -> EmbeddingSpace | None:
        """The active space; see `Gallery.space`."""
        with self._open():
            return self._active

    def add_many(self, items: Iterable[NewSample], *, allow_duplicates: bool = False) -> list[int]:
        """Enrol many faces in one change; see `Gallery.add_many`."""
        batch = list(items)
        with self._open():
            self._require_addable(batch, set(), allow_duplicates=allow_duplicates)
            return self._add(batch)

    def _require_addable(
        self, batch: Sequence[NewSample], erased: set[int], *, allow_duplicates: bool
    ) -> None:
        """Refuse what cannot be added once some samples are erased."""
        check_spaces(self._active, (item.embedding for item in batch))
        if allow_duplicates:
            return
        held = {
            (person, self._samples[number].group, self._samples[number].source_digest)
            for person in {item.person for item in batch} & self._people.keys()
            for number in self._people[person].numbers - erased
        }
        for position, item in enumerate(batch):
            key = (item.person, item.group, item.source_digest)
            if item.source_digest is not None and key in held:
                raise duplicate_error(item.person, item.source_digest, position)
            held.add(key)

    def _add(self, batch: Sequence[NewSample]) -> list[int]:
        if not batch:
            return []
        at = now()
        if batch[0].embedding.space not in self._spaces:
            self._use_space(batch[0].embedding.space)
        for group in dict.fromkeys(item.group for item in batch if item.group):
            if group not in self._groups:
                self._groups[group] = StoredGroup("", at)
                self._log(at, "group.add", group=group)
        own: dict[str, list[int]] = {}
        new: set[str] = set()
        for item in batch:
            if item.person not in self._people:
                self._people[item.person] = StoredPerson(item.person, None, at, at)
                new.add(item.person)
            own.setdefault(item.person, []).append(self._add_one(item, at))
        for person, numbers in own.items():
            detail: dict[str, object] = {"count": len(numbers), "samples": ranges(numbers)}
            groups = {item.group for item in batch if item.person == person and item.group}
            detail |= {"new": True} if person in new else {}
            detail |= {"groups": sorted(groups)} if groups else {}
            self._log(at, "sample.add", person, **detail)
        self._touch(own, at)
        added = list(range(self._last_sample - len(batch) + 1, self._last_sample + 1))
        self._extend_index(added, list(own))
        return added

    def _add_one(self, item: NewSample, at: str) -> int:
        self._last_sample += 1
        self._samples[self._last_sample] = StoredSample(
            item.person,
            item.group,
            item.source_digest,
            item.source,
            item.quality,  # type: ignore[arg-type]  # a record by now
            item.crop,
            at,
            {item.embedding.space: item.embedding},
        )
        person = self._people[item.person]
        person.numbers.add(self._last_sample)
        if item.group is not None:
            person.infos.setdefault(item.group, "")
        return self._last_sample

    def replace(
        self,
        person: str,
        items: Iterable[NewSample],
        *,
        group: str | None = None,
        allow_duplicates: bool = False,
    ) -> list[int]:
        """Erase a person's samples and enrol others; see `Gallery.replace`."""
        who, batch = clean_name(person), list(items)
        scope = None if group is None else clean_group(group)
        check_of_person(who, scope, ((item.person, item.group) for item in batch))
        with self._change() as at:
            if not batch:
                self._require_person(who)
                if scope is not None:
                    self._require_group(scope)
            old = self._numbers(who, scope) if who in self._people else []
            self._require_addable(batch, set(old), allow_duplicates=allow_duplicates)
            if old:
                self._log_samples(at, "sample.remove", old)
                self._erase(old)
                self._touch([who], at)
            return self._add(batch)

    def samples(
        self,
        *,
        person: str | None = None,
        group: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Sample]:
        """Samples in the order of their numbers; see `Gallery.samples`."""
        check_page(after, limit)
        who = None if person is None else clean_name(person)
        where = None if group is None else clean_group(group)
        with self._open():
            if who is not None:
                self._require_person(who)
            if where is not None:
                self._require_group(where)
            found = [
                number
                for number, sample in self._samples.items()
                if number > after and who in (None, sample.person) and self._counts(sample, where)
            ]
            return [self._sample_value(number) for number in sorted(found)[:limit]]

    def _counts(self, sample: StoredSample, group: str | None) -> bool:
        """Whether a sample counts in a search of a group."""
        if group is None or sample.group == group:
            return True
        return sample.group is None and group in self._people[sample.person].infos

    def sample(self, number: int) -> Sample:
        """One sample; see `Gallery.sample`."""
        wanted = clean_number(number)
        with self._open():
            self._require_sample(wanted)
            return self._sample_value(wanted)

    def embedding(self, number: int, space: EmbeddingSpace | None = None) -> Embedding:
        """The embedding of a sample; see `Gallery.embedding`."""
        wanted = clean_number(number)
        with self._open():
            held = self._require_sample(wanted).embeddings
            where = space or self._active or next(iter(held))
            self._require_space(where)
            if where not in held:
                raise missing_embedding_error(wanted, where)
            return held[where]

    def crop(self, number: int) -> bytes | None:
        """The crop kept with a sample; see `Gallery.crop`."""
        wanted = clean_number(number)
        with self._open():
            return self._require_sample(wanted).crop

    def move_samples(self, numbers: Iterable[int], person: str) -> int:
        """Give samples to another person; see `Gallery.move_samples`."""
        wanted, who = clean_numbers(numbers), clean_name(person)
        with self._change() as at:
            target = self._require_person(who)
            moved = [n for n in wanted if self._require_sample(n).person != who]
            self._refuse_duplicates(who, moved, self._held(who))
            if not moved:
                return 0
            givers = {self._samples[n].person for n in moved}
            self._log_samples(at, "sample.give", moved, to=self._subject(who))
            self._assign(moved, who)
            for number in moved:
                group = self._samples[number].group
                if group is not None:
                    target.infos.setdefault(group, "")
            self._log(at, "sample.take", who, count=len(moved), samples=ranges(moved))
            self._touch({who, *givers}, at)
            return len(moved)

    def remove_samples(self, numbers: Iterable[int]) -> int:
        """Erase samples; see `Gallery.remove_samples`."""
        wanted = clean_numbers(numbers)
        with self._change() as at:
            people = {self._require_sample(number).person for number in wanted}
            self._log_samples(at, "sample.remove", wanted)
            self._erase(wanted)
            self._touch(people, at)
            return len(wanted)

    def __len__(self) -> int:
        with self._open():
            return len(self._samples)

    # -- search ---------------------------------------------------------------------------------

    def search_many(
        self,
        embeddings: Sequence[Embedding],
        k: int = 5,
        *,
        groups: Collection[str] | None = None,
        min_similarity: float | None = None,
        template: Template = "best",
    ) -> list[list[Match]]:
        """Search for several faces at once; see `Gallery.search_many`."""
        check_search(k, min_similarity, template)
        names = clean_groups(groups)
        with self._open():
            for name in names or ():
                self._require_group(name)
            keys = self._group_keys()
            index = self._current_index()
            snapshot = None if index is None else index.snapshot
        check_spaces(None if index is None else index.space, embeddings)
        if snapshot is None or not embeddings:
            return [[] for _ in embeddings]
        return snapshot.search(
            np.stack([embedding.vector for embedding in embeddings]),
            k,
            groups=None if names is None else [keys[name] for name in names],
            min_similarity=min_similarity,
            template=template,
        )

    # -- spaces ---------------------------------------------------------------------------------

    def spaces(self) -> list[SpaceInfo]:
        """Every space the gallery keeps; see `Gallery.spaces`."""
        with self._open():
            return [
                SpaceInfo(space, self._count(space), space == self._active)
                for space in self._spaces
            ]

    def _count(self, space: EmbeddingSpace) -> int:
        return sum(space in sample.embeddings for sample in self._samples.values())

    def add_space(self, space: EmbeddingSpace) -> None:
        """Keep embeddings of another space beside; see `Gallery.add_space`."""
        with self._change():
            if space not in self._spaces:
                self._use_space(space)

    def pending(self, space: EmbeddingSpace, *, after: int = 0, limit: int = 100) -> list[Sample]:
        """Samples that lack an embedding in `space`; see `Gallery.pending`."""
        check_page(after, limit)
        with self._open():
            self._require_space(space)
            found = sorted(
                number
                for number, sample in self._samples.items()
                if number > after and space not in sample.embeddings
            )
            return [self._sample_value(number) for number in found[:limit]]

    def put_embeddings(self, space: EmbeddingSpace, items: Iterable[tuple[int, Embedding]]) -> int:
        """Keep further embeddings of samples; see `Gallery.put_embeddings`."""
        batch = {clean_number(number): embedding for number, embedding in items}
        check_spaces(space, batch.values())
        with self._change() as at:
            self._require_space(space)
            numbers = sorted(batch)
            for number in numbers:
                self._require_sample(number)
            for number, embedding in batch.items():
                self._samples[number].embeddings[space] = embedding
            if numbers:
                self._log(
                    at, "space.embed", space=space.id, count=len(batch), samples=ranges(numbers)
                )
            return len(batch)

    def activate(self, space: EmbeddingSpace, *, allow_missing: bool = False) -> None:
        """Search in this space from now on; see `Gallery.activate`."""
        with self._change() as at:
            self._require_space(space)
            if space == self._active:
                return
            missing = len(self._samples) - self._count(space)
            if missing and not allow_missing:
                raise missing_error(space, missing)
            self._active = space
            self._log(at, "space.activate", space=space.id, missing=missing)

    def drop_space(self, space: EmbeddingSpace) -> int:
        """Erase a space that is not active; see `Gallery.drop_space`."""
        with self._change() as at:
            self._require_space(space)
            if space == self._active:
                raise active_space_error(space)
            gone = self._count(space)
            self._spaces.remove(space)
            for sample in self._samples.values():
                sample.embeddings.pop(space, None)
            self._log(at, "space.drop", space=space.id, count=gone)
            return gone

    # -- the whole ------------------------------------------------------------------------------

    def audit(
        self, *, person: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[AuditEntry]:
        """The log of changes; see `Gallery.audit`."""
        check_page(after, limit)
        who = None if person is None else self._subject(clean_name(person))
        with self._open():
            later = self._audit[after:]
            found = [entry for entry in later if who in (None, entry.subject)][:limit]
            return deepcopy(found)  # what callers do with details changes no log

    def verify(self) -> list[Finding]:
        """Examine everything; see `Gallery.verify`. Nothing here can rot but the log."""
        with self._open():
            return verify_chain(self._audit)

    def info(self) -> GalleryInfo:
        """The gallery at a glance; see `Gallery.info`."""
        with self._open():
            index = self._current_index()
            search = (
                SearchInfo("exact", "nobody is enrolled yet", 0, 1.0, {}, 0)
                if index is None
                else SearchInfo(**index.snapshot.describe())
            )
            return GalleryInfo(
                backend="memory",
                location=":memory:",
                schema=0,
                space=None if self._active is None else self._active.id,
                spaces=tuple(self.spaces()),
                groups=len(self._groups),
                people=len(self._people),
                samples=len(self._samples),
                search=search,
            )

    def optimise(self) -> None:
        """Build the approximate index, if the gallery is large enough; see `Gallery.optimise`."""
        with self._open():
            index = self._current_index()
            if index is not None:
                index.optimise()

    def close(self) -> None:
        """Forget everybody; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._index = None
            for held in (self._people, self._groups, self._samples, self._audit):
                held.clear()

    # -- as a stream ----------------------------------------------------------------------------

    def dump(self) -> Iterator[Record]:
        """Everything the gallery keeps; see `Gallery.dump`."""
        with self._open():
            records = list(self._records())
        yield from records

    def _records(self) -> Iterator[Record]:
        yield GalleryRecord(self._created_at, self._salt, self._last_sample)
        for space in self._spaces:
            yield SpaceRecord(space, space == self._active)
        for name, group in sorted(self._groups.items()):
            yield GroupRecord(name, group.note, group.created_at)
        people = sorted(self._people.items())
        for id_, p in people:
            yield PersonRecord(id_, p.name, p.consent, p.created_at, p.updated_at)
        for id_, p in people:
            yield from (Membership(id_, group, info) for group, info in sorted(p.infos.items()))
        samples = sorted(self._samples.items())
        for number, s in samples:
            yield SampleRecord(
                number,
                s.person,
                s.group,
                s.source_digest,
                s.source,
                s.quality,
                s.crop,
                s.created_at,
            )
        for space in self._spaces:
            for number, s in samples:
                if space in s.embeddings:
                    yield EmbeddingRecord(number, s.embeddings[space])
        yield from self._audit

    def restore(self, records: Iterable[Record]) -> None:
        """Take over what another gallery's `dump` gave; see `Gallery.restore`."""
        with self._open():
            if self._audit or self._people or self._groups or self._spaces:
                raise not_empty_error()
            for record in list(checked(records)):
                self._take(record)
            self._index = None

    def _take(self, record: Record) -> None:
        match record:
            case GalleryRecord():
                self._created_at, self._salt = record.created_at, record.salt
                self._last_sample = record.last_sample
            case SpaceRecord():
                self._spaces.append(record.space)
                self._active = record.space if record.active else self._active
            case GroupRecord():
                self._groups[record.name] = StoredGroup(record.note, record.created_at)
            case PersonRecord():
                self._people[record.id] = StoredPerson(
                    record.name, record.consent, record.created_at, record.updated_at
                )
            case Membership():
                self._people[record.person].infos[record.group] = record.info
            case SampleRecord():
                self._samples[record.number] = StoredSample(
                    record.person,
                    record.group,
                    record.source_digest,
                    record.source,
                    record.quality,
                    record.crop,
                    record.created_at,
                )
                self._people[record.person].numbers.add(record.number)
            case EmbeddingRecord():
                held = self._samples[record.number].embeddings
                held[record.embedding.space] = record.embedding
            case AuditEntry():
                self._audit.append(record)
