"""A gallery over SQL records, searched in memory: everything but where the records lie."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from vultus.gallery._rules import (
    check_of_person,
    check_page,
    check_search,
    check_spaces,
    clean_group,
    clean_groups,
    clean_name,
    clean_number,
    clean_numbers,
)
from vultus.gallery.base import Template
from vultus.gallery.records import read, samples, spaces
from vultus.gallery.records.change import Damage, read_space
from vultus.gallery.records.directory import RecordsDirectory
from vultus.gallery.records.find import group_keys
from vultus.gallery.records.index import IndexCache
from vultus.gallery.records.stream import dump_records, restore_records
from vultus.gallery.records.verify import verify_index, verify_records
from vultus.gallery.search.index import VectorIndex
from vultus.gallery.values import (
    AuditEntry,
    Finding,
    GalleryInfo,
    NewSample,
    Record,
    Sample,
    SearchInfo,
    SpaceInfo,
)
from vultus.types import Embedding, EmbeddingSpace, Match

__all__ = ["RecordsGallery"]


class RecordsGallery(RecordsDirectory):
    """People and samples in SQL records; see `RecordsAccess` for what a backend gives."""

    def __init__(self) -> None:
        self._cache = IndexCache()
        self._cache_lock = threading.Lock()

    # -- faces ----------------------------------------------------------------------------------

    @property
    def space(self) -> EmbeddingSpace | None:
        """The active space; see `Gallery.space`."""
        with self._read() as connection:
            found = read_space(connection)
        return None if found is None else found[1]

    def add_many(self, items: Iterable[NewSample], *, allow_duplicates: bool = False) -> list[int]:
        """Enrol many faces in one change; see `Gallery.add_many`."""
        batch = list(items)  # before the transaction: making the items may take long
        with self._change() as change:
            return samples.add_samples(change, batch, allow_duplicates=allow_duplicates)

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
        with self._change() as change:
            return samples.replace_samples(
                change, who, batch, scope, allow_duplicates=allow_duplicates
            )

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
        with self._read() as connection:
            return read.list_samples(connection, who, where, after, limit)

    def sample(self, number: int) -> Sample:
        """One sample; see `Gallery.sample`."""
        wanted = clean_number(number)
        with self._read() as connection:
            return read.read_sample(connection, wanted)

    def embedding(self, number: int, space: EmbeddingSpace | None = None) -> Embedding:
        """The embedding of a sample; see `Gallery.embedding`."""
        wanted = clean_number(number)
        with self._read() as connection:
            return read.read_embedding(connection, wanted, space)

    def crop(self, number: int) -> bytes | None:
        """The crop kept with a sample; see `Gallery.crop`."""
        wanted = clean_number(number)
        with self._read() as connection:
            return read.read_crop(connection, wanted)

    def move_samples(self, numbers: Iterable[int], person: str) -> int:
        """Give samples to another person; see `Gallery.move_samples`."""
        wanted, who = clean_numbers(numbers), clean_name(person)
        with self._change() as change:
            return samples.move_samples(change, wanted, who)

    def remove_samples(self, numbers: Iterable[int]) -> int:
        """Erase samples; see `Gallery.remove_samples`."""
        wanted = clean_numbers(numbers)
        with self._change() as change:
            return samples.remove_samples(change, wanted)

    def __len__(self) -> int:
        with self._read() as connection:
            return read.count(connection, "sample")

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
        return self._search(embeddings, k, clean_groups(groups), min_similarity, template)

    def _search(
        self,
        embeddings: Sequence[Embedding],
        k: int,
        groups: list[str] | None,
        min_similarity: float | None,
        template: Template,
    ) -> list[list[Match]]:
        """`search_many` with arguments that were checked, over the index in memory."""
        index, keys = self._current(groups)
        check_spaces(None if index is None else index.space, embeddings)
        if index is None or not embeddings:
            return [[] for _ in embeddings]
        queries = np.stack([embedding.vector for embedding in embeddings])
        return index.snapshot.search(
            queries, k, groups=keys, min_similarity=min_similarity, template=template
        )

    def _current(
        self, groups: list[str] | None = None
    ) -> tuple[VectorIndex | None, list[int] | None]:
        """The index, up to date, and the keys of groups."""
        # The lock comes first, so that the state a thread sees is never older than the index.
        with self._cache_lock, self._read() as connection:
            keys = None if groups is None else list(group_keys(connection, groups).values())
            return self._cache.current(connection, self._streaming), keys

    # -- spaces ---------------------------------------------------------------------------------

    def spaces(self) -> list[SpaceInfo]:
        """Every space the gallery keeps; see `Gallery.spaces`."""
        with self._read() as connection:
            return read.list_spaces(connection)

    def add_space(self, space: EmbeddingSpace) -> None:
        """Keep embeddings of another space beside; see `Gallery.add_space`."""
        with self._change() as change:
            spaces.add_space(change, space)

    def pending(self, space: EmbeddingSpace, *, after: int = 0, limit: int = 100) -> list[Sample]:
        """Samples that lack an embedding in `space`; see `Gallery.pending`."""
        check_page(after, limit)
        with self._read() as connection:
            return read.list_pending(connection, space, after, limit)

    def put_embeddings(self, space: EmbeddingSpace, items: Iterable[tuple[int, Embedding]]) -> int:
        """Keep further embeddings of samples; see `Gallery.put_embeddings`."""
        batch = [(clean_number(number), embedding) for number, embedding in items]
        check_spaces(space, (embedding for _, embedding in batch))
        with self._change() as change:
            return spaces.put_embeddings(change, space, batch)

    def activate(self, space: EmbeddingSpace, *, allow_missing: bool = False) -> None:
        """Search in this space from now on; see `Gallery.activate`."""
        with self._change() as change:
            spaces.activate_space(change, space, allow_missing=allow_missing)

    def drop_space(self, space: EmbeddingSpace) -> int:
        """Erase a space that is not active; see `Gallery.drop_space`."""
        with self._change() as change:
            return spaces.drop_space(change, space)

    # -- the whole ------------------------------------------------------------------------------

    def audit(
        self, *, person: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[AuditEntry]:
        """The log of changes; see `Gallery.audit`."""
        check_page(after, limit)
        who = None if person is None else clean_name(person)
        with self._read() as connection:
            return read.list_audit(connection, who, after, limit)

    def verify(self) -> list[Finding]:
        """Examine everything that is stored; see `Gallery.verify`."""
        with self._read():
            pass  # opens a file anew that was replaced meanwhile
        found = list(self._verify_store())
        if any(finding.code == "store" for finding in found):
            return found  # the rest would only stumble over it
        try:
            with self._streaming() as connection:
                records = list(verify_records(connection))
            # An index of unsound records cannot be loaded.
            found += records or self._verify_index()
        except Damage as damage:
            found.append(Finding("damaged", f"the gallery {damage.what}"))
        return found

    def _verify_index(self) -> Iterator[Finding]:
        """Whether what is searched agrees with the records."""
        self._current()  # what takes long is done before others must wait
        with ExitStack() as stack:
            with self._cache_lock:
                connection = stack.enter_context(self._streaming())
                index = self._cache.current(connection, self._streaming)
                snapshot = None if index is None else index.snapshot
            found = read_space(connection)
            if snapshot is not None and found is not None:
                yield from verify_index(connection, snapshot, found[0])

    def info(self) -> GalleryInfo:
        """The gallery at a glance; see `Gallery.info`."""
        location, schema = self._place()
        search = self._search_info()
        with self._read() as connection:
            known = read.list_spaces(connection)
            return GalleryInfo(
                backend=self.backend,
                location=location,
                schema=schema,
                space=next((info.space.id for info in known if info.active), None),
                spaces=tuple(known),
                groups=read.count(connection, "person_group"),
                people=read.count(connection, "person"),
                samples=read.count(connection, "sample"),
                search=search,
            )

    def _search_info(self) -> SearchInfo:
        """How the gallery searches."""
        index, _ = self._current()
        if index is None:
            return SearchInfo("exact", "nobody is enrolled yet", 0, 1.0, {}, 0)
        return SearchInfo(**index.snapshot.describe())

    def optimise(self) -> None:
        """Build or refresh the approximate index; see `Gallery.optimise`."""
        index, _ = self._current()
        if index is None:
            return
        with self._cache_lock:
            plan = index.optimise()
        with self._change() as change:
            spaces.set_plan(change, index.space, plan)

    def dump(self) -> Iterator[Record]:
        """Everything the gallery keeps, as of one moment; see `Gallery.dump`."""
        with self._read():
            pass  # opens a file anew that was replaced meanwhile
        with self._streaming() as connection:
            try:
                yield from dump_records(connection)
            except Damage as damage:
                raise self._damaged(damage) from damage

    def restore(self, records: Iterable[Record]) -> None:
        """Take over what another gallery's `dump` gave; see `Gallery.restore`."""
        with self._change() as change:
            restore_records(change, records)
