"""A gallery whose vectors Milvus searches, beside the records that hold the truth."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vultus.errors import GalleryError, GalleryServerError, MissingExtraError, VultusError
from vultus.gallery._rules import check_spaces
from vultus.gallery.base import Template
from vultus.gallery.milvus.url import MilvusPlace, parse_milvus_url
from vultus.gallery.postgres import PostgresGallery
from vultus.gallery.records.change import Change, Connection, Damage, read_space
from vultus.gallery.records.find import group_keys
from vultus.gallery.records.gallery import RecordsGallery
from vultus.gallery.records.spaces import set_plan
from vultus.gallery.search.recall import questions, recall
from vultus.gallery.sqlite import SqliteGallery
from vultus.gallery.values import Finding, SearchInfo
from vultus.types import Embedding, EmbeddingSpace, Match

if TYPE_CHECKING:
    from vultus.gallery.milvus.engine import MilvusEngine
    from vultus.gallery.milvus.mirror import Mark

__all__ = ["MilvusGallery"]

_log = logging.getLogger(__name__)

_TRIES = 5  # searches disturbed by changes before changes are held off
_SHOWN = 10


class MilvusGallery(RecordsGallery):
    """People and samples in SQLite or PostgreSQL, their vectors also in Milvus, which searches.

    The records are the truth: Milvus proposes samples, and whose they are, whether they count and
    how similar they are is read from the records. Every change is made there first and then
    followed by Milvus; where it cannot be reached, the change holds nevertheless, and the next
    search, by whichever process, brings Milvus up to date before it answers. What Milvus lost or
    should not have is put right by `optimise`.

    A Milvus server searches by an HNSW index, approximately; a Lite file compares every vector.
    Searches by fused templates read all vectors into this process, as they need all of a person's.

    Args:
        url: ``milvus://[user:password@]host[:port]/COLLECTION?records=…`` or, for Milvus Lite,
            ``milvus:///folder/vectors.db?records=…``; the records are a path or the URL of a
            `PostgresGallery`.
        create: Whether missing records are made.
        space: Fixes the space of new records; existing ones must agree.
        timeout_s: How long a call of Milvus may take.

    Raises:
        GalleryServerError: Milvus, or the server of the records, cannot be used. The field
            ``reason`` is one of ``address``, ``unreachable``, ``credentials``, ``locked``,
            ``failed``, or one of `PostgresGallery`'s.
        GalleryFileError: The file of the records cannot be used.
        MissingExtraError: A driver is not installed.
        SpaceMismatchError: The gallery has another space than `space`.
    """

    backend: ClassVar[str] = "milvus"

    def __init__(
        self,
        url: str,
        *,
        create: bool = True,
        space: EmbeddingSpace | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        super().__init__()
        place = parse_milvus_url(url)
        self._engine = _connected(place, timeout_s)
        try:
            self._records = _opened(place.records, create=create, space=space)
        except BaseException:
            self._engine.close()
            raise
        try:
            self._open_mirror()
        except BaseException:
            self.close()
            raise

    def _open_mirror(self) -> None:
        from vultus.gallery.milvus.mirror import MilvusMirror

        self._unswept = False
        self._mirror = MilvusMirror(self._engine, self._writing)
        self._indexes: dict[str, dict[str, object]] = {}
        with self._read() as connection:
            mark = self._mirror.mark(connection)
            if mark is None or self._mirror.is_complete(connection, mark):
                return
        _log.warning("%s lost vectors; they are copied anew", self._engine.place.location)
        self._mirror.rebuild()

    # -- the records ----------------------------------------------------------------------------

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._records._reading()

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._records._writing()

    def _streaming(self) -> AbstractContextManager[Connection]:
        return self._records._streaming()

    def _damaged(self, damage: Damage) -> VultusError:
        return self._records._damaged(damage)

    def _place(self) -> tuple[str, int]:
        where, schema = self._records._place()
        return f"{self._engine.place.location}, records in {where}", schema

    def _erased(self) -> None:
        self._records._erased()

    def _verify_store(self) -> Iterator[Finding]:
        return self._records._verify_store()

    @contextmanager
    def _change(self) -> Iterator[Change]:
        with super()._change() as change:
            yield change
        if change.changed:
            self._follow(erased=change.erased)

    def _follow(self, *, erased: bool) -> None:
        """Bring Milvus up to date; a change that was made does not fail for want of it."""
        try:
            self._mirror.follow()
            if erased:
                self._sweep(wholly=False)
        except GalleryServerError as error:
            what = "erased data stays in Milvus" if erased else "Milvus is behind the records"
            _log.warning("%s until the next search: %s", what, error)

    def _sweep(self, *, wholly: bool) -> None:
        """Have Milvus forget what was deleted; a large Lite file when it is closed."""
        with self._read() as connection:
            mark = self._mirror.mark(connection)
        self._unswept = mark is not None and not self._engine.sweep(mark.collection, wholly=wholly)

    def close(self) -> None:
        """Let records and Milvus go; a second call does nothing."""
        try:
            if self._unswept:
                self._sweep(wholly=True)
        except GalleryError as error:
            _log.warning("erased data may stay in Milvus: %s", error)
        finally:
            self._records.close()
            self._engine.close()
            self._cache.forget()

    # -- search ---------------------------------------------------------------------------------

    def _search(
        self,
        embeddings: Sequence[Embedding],
        k: int,
        groups: list[str] | None,
        min_similarity: float | None,
        template: Template,
    ) -> list[list[Match]]:
        found = None
        if template == "best" and embeddings:
            found = self._search_engine(embeddings, k, groups, min_similarity)
        if found is None:
            return super()._search(embeddings, k, groups, min_similarity, template)
        return found

    def _search_engine(
        self,
        embeddings: Sequence[Embedding],
        k: int,
        groups: list[str] | None,
        min_similarity: float | None,
    ) -> list[list[Match]] | None:
        """`_search` by Milvus; ``None`` when it does not give enough rows."""
        from vultus.gallery.milvus.search import Moved

        for _ in range(_TRIES):
            try:
                return self._search_once(self._read, embeddings, k, groups, min_similarity)
            except Moved:
                self._mirror.follow()
            except GalleryServerError as error:
                if error.fields.get("reason") != "missing":
                    raise
                self._mirror.rebuild()  # somebody dropped the collection
        # Changes come faster than searches end: hold them off for one.
        with self._writing() as connection:
            while not self._mirror.step(connection):
                pass
            held = nullcontext(connection)
            return self._search_once(lambda: held, embeddings, k, groups, min_similarity)

    def _search_once(
        self,
        reading: Callable[[], AbstractContextManager[Connection]],
        embeddings: Sequence[Embedding],
        k: int,
        groups: list[str] | None,
        min_similarity: float | None,
    ) -> list[list[Match]] | None:
        from vultus.gallery.milvus.search import MilvusSearch, Moved

        with reading() as connection:
            found = read_space(connection)
            keys = None if groups is None else list(group_keys(connection, groups).values())
            mark = self._mirror.mark(connection)
        check_spaces(None if found is None else found[1], embeddings)
        if found is None:
            return [[] for _ in embeddings]
        if mark is None:
            raise Moved
        exact = self._index_of(mark)["index_type"] == "FLAT"
        queries = np.stack([embedding.vector for embedding in embeddings])
        search = MilvusSearch(self._engine, reading, mark, exact, keys)
        return search.people(queries, k, min_similarity)

    def _index_of(self, mark: Mark) -> dict[str, object]:
        """Type and parameters of the collection's index, which never change."""
        if mark.collection not in self._indexes:
            self._indexes = {mark.collection: self._engine.index(mark.collection)}
        return self._indexes[mark.collection]

    def _search_info(self) -> SearchInfo:
        with self._read() as connection:
            mark = self._mirror.mark(connection)
            if mark is None:
                why = "Milvus holds nothing yet, or is behind the records until the next search"
                return SearchInfo("exact", why, 0, None, {}, 0)
            sql = "SELECT samples, search_plan FROM space WHERE key = ?"
            samples, plan = connection.execute(sql, (mark.space_key,)).fetchone()
        index = self._index_of(mark)
        where = self._engine.place.location
        if index["index_type"] == "FLAT":
            why = f"Milvus at {where} compares every vector"
            return SearchInfo("exact", why, samples, 1.0, index, 0)
        why = f"Milvus at {where} searches an HNSW index"
        return SearchInfo("approximate", why, samples, _recall_of(plan), index, 0)

    def optimise(self) -> None:
        """Copy the vectors anew where Milvus differs; have it clean up; measure the recall.

        See `Gallery.optimise`.
        """
        self._mirror.follow()
        if any(self._verify_index()):
            self._mirror.rebuild()
        self._sweep(wholly=True)
        self._records._tidy()
        part = self._recall()
        with self._change() as change:
            found = read_space(change.connection)
            if found is not None:
                plan = None if part is None else json.dumps({"kind": "milvus", "recall": part})
                set_plan(change, found[1], plan)

    def _recall(self) -> float | None:
        """How often Milvus finds whom exact search finds; ``None`` where it compares everything."""
        from vultus.gallery.milvus.search import MilvusSearch

        with self._streaming() as connection:
            mark = self._mirror.mark(connection)
            if mark is None or self._index_of(mark)["index_type"] == "FLAT":
                return None
            asked = questions(connection, mark.space_key, mark.space.dimension)
        return recall(asked, MilvusSearch(self._engine, self._read, mark, False, None).proposed)

    # -- soundness ------------------------------------------------------------------------------

    def _verify_index(self) -> Iterator[Finding]:
        """Whether Milvus holds what the records hold."""
        from vultus.gallery.milvus.mirror import differences

        with self._streaming() as connection:
            if read_space(connection) is None:
                return
            mark = self._mirror.mark(connection)
            if mark is None or not self._engine.has(mark.collection):
                yield Finding("index", "Milvus must be up to date with the records, it is behind")
                return
            yield from islice(differences(connection, self._engine, mark), _SHOWN)


def _connected(place: MilvusPlace, timeout_s: float) -> MilvusEngine:
    try:
        from vultus.gallery.milvus.engine import MilvusEngine
    except ImportError as error:
        raise MissingExtraError(
            "a gallery in Milvus needs the library pymilvus, which is not installed",
            remedy="pip install 'vultus[milvus]'",
            extra="milvus",
        ) from error
    return MilvusEngine(place, timeout_s=timeout_s)


def _opened(
    records: str, *, create: bool, space: EmbeddingSpace | None
) -> SqliteGallery | PostgresGallery:
    from vultus.gallery import open_gallery  # which imports this file

    gallery = open_gallery(records, create=create)
    if not isinstance(gallery, SqliteGallery | PostgresGallery):
        gallery.close()
        raise GalleryServerError(
            "the records of a Milvus gallery must lie in a file or in PostgreSQL",
            remedy="write ?records=people.db, or ?records=postgresql://…",
            reason="address",
        )
    try:
        if space is not None:
            gallery._require_space(space)
    except BaseException:
        gallery.close()
        raise
    return gallery


def _recall_of(plan: str | None) -> float | None:
    """The recall that `MilvusGallery.optimise` measured, if it did."""
    found = json.loads(plan or "{}")
    recall = found.get("recall") if found.get("kind") == "milvus" else None
    return None if recall is None else float(recall)
