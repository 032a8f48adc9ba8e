"""A gallery in this process's memory: the plain reference, gone when the process ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy

import numpy as np

from vultus.gallery._errors import (
    active_space_error,
    missing_error,
)
from vultus.gallery._rules import (
    check_page,
    check_search,
    check_spaces,
    clean_groups,
    clean_name,
    clean_number,
)
from vultus.gallery._stream import checked, not_empty_error
from vultus.gallery.audit import ranges, verify_chain
from vultus.gallery.base import Template
from vultus.gallery.memory.faces import MemoryFaces
from vultus.gallery.memory.store import StoredGroup, StoredPerson, StoredSample
from vultus.gallery.values import (
    AuditEntry,
    EmbeddingRecord,
    Finding,
    GalleryInfo,
    GalleryRecord,
    GroupRecord,
    Membership,
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


class MemoryGallery(MemoryFaces):
    """Everything in dictionaries of this process, searched exactly.

    Args:
        space: The active space from the start; ``None``: that of the first sample.
    """

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
