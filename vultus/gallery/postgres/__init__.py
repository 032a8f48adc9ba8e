"""A gallery in a PostgreSQL database: for many processes and machines at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vultus.errors import GalleryServerError, MissingExtraError, VultusError
from vultus.gallery._rules import check_space, check_spaces
from vultus.gallery.base import Template
from vultus.gallery.postgres.url import parse_postgres_url
from vultus.gallery.records.change import Connection, Damage, read_space
from vultus.gallery.records.find import group_keys
from vultus.gallery.records.gallery import RecordsGallery
from vultus.gallery.records.spaces import add_space, set_plan
from vultus.gallery.search.signs import LIMIT
from vultus.gallery.values import Finding, SearchInfo
from vultus.types import Embedding, EmbeddingSpace, Match

if TYPE_CHECKING:
    from vultus.gallery.postgres.link import PostgresLink
    from vultus.gallery.postgres.search import HnswPlan

__all__ = ["PostgresGallery"]

_log = logging.getLogger(__name__)

_PERSONAL = ("embedding", "sample", "crop", "person", "membership")
_DEAD_ROWS = (
    "SELECT coalesce(sum(pg_stat_get_dead_tuples(c.oid)), 0)::bigint FROM pg_class c"
    " WHERE c.oid = ANY(SELECT unnest(ARRAY[o.oid, o.reltoastrelid]) FROM pg_class o"
    " WHERE o.oid IN ({0}))"
)
_HAS_PLAN = (
    "SELECT 1 FROM gallery g JOIN space s ON s.key = g.active_space WHERE s.search_plan IS NOT NULL"
)


class PostgresGallery(RecordsGallery):
    """People and samples in one schema of a PostgreSQL database with the extension pgvector.

    Any number of threads, processes and machines may share it: changes take turns, each is one
    transaction, on the server's disk when the call returns, and seen by everybody's next search.
    Each process keeps the vectors in memory and searches them exactly, reading only what changed;
    above a size `optimise` builds an HNSW index on the server, which then is searched instead.

    A connection that breaks while idle is replaced unnoticed. One that breaks in use is a
    `GalleryServerError`; the next call connects anew. A gallery must not be carried across
    ``fork``: open it in each process.

    Erasing deletes rows and then vacuums their tables; see the documentation for what the server
    may keep nevertheless (its write-ahead log, its backups, the free space of its files).

    Args:
        url: ``postgresql://[user[:password]@][host[:port]]/[database]``, with libpq's parameters
            and ``gallery=NAME``, the schema it lies in (``vultus`` without it). Better than a
            password in it: a password file, or a service.
        create: Whether a missing gallery is made; the database must exist.
        space: Fixes the space of a new gallery; an existing one must agree.
        timeout_s: How long a statement, or waiting for others, may take.
        connections: At most so many connections of this process at once.
        approximate_from: Samples from which `optimise` builds the server's index; ``None``: as
            many as an exact search in memory takes in its stride, some 200,000 of 512 dimensions.

    Raises:
        GalleryServerError: The gallery cannot be used. Its field ``reason`` is one of
            ``address``, ``unreachable``, ``credentials``, ``missing-database``, ``missing``,
            ``foreign``, ``newer``, ``encoding``, ``extension``, ``permission``, ``read-only``,
            ``locked``, ``timeout``, ``busy``, ``connection-lost``, ``damaged``, ``disk-full``,
            ``failed``.
        MissingExtraError: The driver is not installed.
        SpaceMismatchError: The gallery has another space than `space`.
    """

    backend: ClassVar[str] = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        create: bool = True,
        space: EmbeddingSpace | None = None,
        timeout_s: float = 30.0,
        connections: int = 8,
        approximate_from: int | None = None,
    ) -> None:
        super().__init__()
        self._approximate_from = approximate_from
        self._link, self._schema = _opened(url, create, timeout_s, connections)
        if space is not None:
            try:
                self._require_space(space)
            except BaseException:
                self.close()
                raise

    def _require_space(self, space: EmbeddingSpace) -> None:
        known = self.space
        if known is None:
            with self._change() as change:
                if change.state.active_space is None:
                    add_space(change, space)
            known = self.space
        if known is not None:
            check_space(known, space)

    # -- what `RecordsAccess` asks for ------------------------------------------------------------

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._link.reading()

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._link.writing()

    def _streaming(self) -> AbstractContextManager[Connection]:
        return self._link.streaming()

    def _damaged(self, damage: Damage) -> VultusError:
        from vultus.gallery.postgres.link import server_error

        remedy = "restore the database from a copy"
        if "sample" in damage.fields:
            remedy += ", or remove that person and enrol them again"
        return server_error(self._link.place, "damaged", damage.what, remedy, **damage.fields)

    def _place(self) -> tuple[str, int]:
        return self._link.place.location, self._schema

    def close(self) -> None:
        """Let the connections go; a second call does nothing."""
        self._link.close()
        self._cache.forget()

    # -- erasure ----------------------------------------------------------------------------------

    def _erased(self) -> None:
        """Have the server forget the rows, which it keeps for other transactions until then."""
        try:
            remaining = self._vacuum()
        except GalleryServerError as error:
            _log.warning("%s: erased rows stay on the server for now: %s", self._name, error)
            return
        if remaining:
            _log.warning(
                "%s: %d erased rows stay on the server until older transactions have ended",
                self._name,
                remaining,
            )

    def _vacuum(self) -> int:
        """Reclaim dead rows of the tables about people; how many could not be."""
        with self._link.alone() as driver:
            # Without the option, an index is swept only once many rows are gone.
            driver.execute(f"VACUUM (INDEX_CLEANUP ON) {', '.join(_PERSONAL)}".encode())
        return self._dead_rows()

    def _dead_rows(self) -> int:
        tables = ", ".join(f"'{table}'::regclass" for table in _PERSONAL)
        row = self._link.ask(_DEAD_ROWS.format(tables))
        return int(row[0]) if row else 0

    def _tidy(self) -> None:
        self._vacuum()

    def _verify_store(self) -> Iterator[Finding]:
        try:
            remaining = self._vacuum()
        except GalleryServerError as error:
            if error.fields.get("reason") not in ("read-only", "locked", "permission"):
                raise
            remaining = self._dead_rows()
        if remaining:
            yield Finding(
                "residue",
                f"no row may be left of what was erased or replaced, {remaining} are; end older"
                " transactions, or have the tables' owner run VACUUM",
            )

    @property
    def _name(self) -> str:
        return self._link.place.location

    # -- the index on the server ------------------------------------------------------------------

    def _search(
        self,
        embeddings: Sequence[Embedding],
        k: int,
        groups: list[str] | None,
        min_similarity: float | None,
        template: Template,
    ) -> list[list[Match]]:
        if template == "best" and embeddings:
            found = self._search_server(embeddings, k, groups, min_similarity)
            if found is not None:
                return found
        return super()._search(embeddings, k, groups, min_similarity, template)

    def _search_server(
        self,
        embeddings: Sequence[Embedding],
        k: int,
        groups: list[str] | None,
        min_similarity: float | None,
    ) -> list[list[Match]] | None:
        from vultus.gallery.postgres.search import search_index

        if self._link.ask(_HAS_PLAN) is None:
            return None
        with self._link.reading() as connection:
            indexed = _indexed_space(connection)
            if indexed is None:
                return None
            key, space, plan = indexed
            keys = None if groups is None else list(group_keys(connection, groups).values())
            check_spaces(space, embeddings)
            queries = np.stack([embedding.vector for embedding in embeddings])
            return search_index(connection, key, plan, queries, k, keys, min_similarity)

    def optimise(self) -> None:
        """Build the HNSW index of a large gallery, or drop that of a small one.

        Others go on reading and writing meanwhile. See `Gallery.optimise`.
        """
        from vultus.gallery.postgres import search as server

        with self._read() as connection:
            found = read_space(connection)
            samples = 0 if found is None else _samples(connection, found[0])
        if found is None:
            return
        key, space = found
        wanted = samples >= self._limit(space) and space.dimension <= server.LARGEST_DIMENSION
        plan = None
        gallery = self._link.place.gallery
        with self._link.alone(patient=True) as driver, server.building(driver, gallery):
            server.drop_stale_indexes(driver, key if wanted else None)
            if wanted:
                plan = server.build_index(driver, key, space.dimension)
        if plan is not None:
            with self._link.streaming() as connection:
                plan = server.measured(connection, key, space.dimension, plan, samples)
        with self._change() as change:
            set_plan(change, space, None if plan is None else plan.text())

    def _limit(self, space: EmbeddingSpace) -> int:
        """Samples from which the server's index is built."""
        given = self._approximate_from
        return LIMIT // space.dimension if given is None else given

    def _search_info(self) -> SearchInfo:
        from vultus.gallery.postgres.search import index_bytes

        with self._link.reading() as connection:
            indexed = _indexed_space(connection)
            if indexed is not None:
                key, space, plan = indexed
                return SearchInfo(
                    "approximate",
                    f"from {self._limit(space):,} samples on, an HNSW index on the server",
                    _samples(connection, key),
                    plan.recall,
                    {
                        "m": plan.m,
                        "ef_construction": plan.ef_construction,
                        "candidates": plan.candidates,
                        "recall_queries": plan.queries,
                        "recall_samples": plan.samples,
                        "server_bytes": index_bytes(connection, key),
                    },
                    0,
                )
        return super()._search_info()

    def _verify_index(self) -> Iterator[Finding]:
        from vultus.gallery.postgres.search import index_bytes

        with self._link.reading() as connection:
            indexed = _indexed_space(connection)
            if indexed is not None:
                if not index_bytes(connection, indexed[0]):
                    yield Finding("index", "the server must have an index; optimise makes it anew")
                return
        yield from super()._verify_index()


def _opened(url: str, create: bool, timeout_s: float, connections: int) -> tuple[PostgresLink, int]:
    place = parse_postgres_url(url)
    try:
        from vultus.gallery.postgres.link import PostgresLink
        from vultus.gallery.postgres.schema import prepare
    except ImportError as error:
        raise MissingExtraError(
            "a gallery in PostgreSQL needs the library psycopg, which is not installed",
            remedy="pip install 'vultus[postgres]'",
            extra="postgres",
        ) from error
    link = PostgresLink(place, timeout_s=timeout_s, connections=connections)
    return link, prepare(link, create=create)


def _samples(connection: Connection, space_key: int) -> int:
    row = connection.execute("SELECT samples FROM space WHERE key = ?", (space_key,)).fetchone()
    return int(row[0])


def _indexed_space(connection: Connection) -> tuple[int, EmbeddingSpace, HnswPlan] | None:
    """The active space, its key and its index's plan, if it has an index on the server."""
    from vultus.gallery.postgres.search import read_plan

    row = connection.execute(
        "SELECT s.key, s.model, s.digest, s.dimension, s.preprocessing, s.search_plan"
        " FROM gallery g JOIN space s ON s.key = g.active_space"
    ).fetchone()
    plan = None if row is None else read_plan(row[5])
    return None if plan is None else (row[0], EmbeddingSpace(*row[1:5]), plan)
