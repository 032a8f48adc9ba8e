"""One Milvus server or Lite file: its collections, in our words and with our errors."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from vultus.errors import GalleryServerError, MissingExtraError
from vultus.gallery.milvus.url import MilvusPlace

__all__ = ["EVERYWHERE", "MOST_GROUPS", "MOST_HITS", "Hit", "MilvusEngine", "Row", "require_lite"]

MOST_HITS = 16_384
"""How many rows a search can give (Milvus, "Limits": topK)."""

MOST_GROUPS = 256
"""A sample that counts in more groups is found in all, and the records decide."""

EVERYWHERE = 0
"""Stands for all groups; keys of groups begin with 1."""

_AN_HOUR_MS = 3_600_000
_ROWS_PER_FETCH = 1000
_SWEPT_AT_ONCE_BYTES = 8 << 20  # a Lite file of so many bytes is rewritten in about 0.1 s
# HNSW as Milvus itself chooses it where one lets it (AUTOINDEX, milvus.yaml).
_HNSW = {"M": 18, "efConstruction": 240}
_EF_LEAST = 64


class Row(NamedTuple):
    """A sample as Milvus keeps it.

    Attributes:
        number: Of the sample.
        groups: Keys of the groups it counts in.
        vector: (d,) float32.
    """

    number: int
    groups: list[int]
    vector: NDArray[np.float32]


class Hit(NamedTuple):
    """What a search found: the sample's number, and the inner product as Milvus computed it."""

    number: int
    score: float


class MilvusEngine:
    """A connection, for any number of threads.

    Args:
        place: Where Milvus is.
        timeout_s: How long a call may take.

    Attributes:
        place: The same.

    Raises:
        GalleryServerError: It cannot be reached, or refuses.
        MissingExtraError: Milvus Lite is needed and not installed.
    """

    def __init__(self, place: MilvusPlace, *, timeout_s: float) -> None:
        self.place = place
        self._timeout_s = timeout_s
        if place.lite:
            require_lite()
            folder = Path(place.uri).parent
            if not folder.is_dir():
                raise self._error(
                    "unreachable", "has no folder to lie in", f"make {str(folder)!r} first"
                )
        # Lite, a process of our own, takes the driver's usual signs of life for an attack.
        options = {"grpc_options": {"grpc.keepalive_time_ms": _AN_HOUR_MS}} if place.lite else {}
        with self._translated():
            self._client = MilvusClient(
                place.uri, token=place.token, db_name=place.database, timeout=timeout_s, **options
            )

    def close(self) -> None:
        """Let the connection go. A Lite file stays in use until the process ends."""
        with self._translated():
            self._client.close()

    # -- collections ----------------------------------------------------------------------------

    def collections(self) -> dict[str, str]:
        """What collections there are whose names begin like ours, and what is noted with each."""
        with self._translated():
            names = self._client.list_collections(timeout=self._timeout_s)
            return {
                name: str(self._describe(name).get("description", ""))
                for name in names
                if name.startswith(f"{self.place.collection}_")
            }

    def _describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.describe_collection(name, timeout=self._timeout_s)
        return found

    def has(self, name: str) -> bool:
        """Whether there is a collection."""
        with self._translated():
            return bool(self._client.has_collection(name, timeout=self._timeout_s))

    def make(self, name: str, dimension: int, note: str) -> None:
        """Make an empty collection."""
        with self._translated():
            schema = self._client.create_schema(auto_id=False, description=note)
            schema.add_field("number", DataType.INT64, is_primary=True)
            schema.add_field(
                "groups", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_GROUPS
            )
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            self._client.create_collection(
                name, schema=schema, consistency_level="Strong", timeout=self._timeout_s
            )
            self._add_index(name)
            self._client.load_collection(name, timeout=self._timeout_s)

    def _add_index(self, name: str) -> None:
        if not self.place.lite:
            try:
                self._create_index(name, "HNSW", _HNSW)
            except MilvusException as error:
                if "local mode" not in str(error):  # a Lite served over the network
                    raise
            else:
                return
        self._create_index(name, "FLAT", {})

    def _create_index(self, name: str, kind: str, parameters: dict[str, int]) -> None:
        indexes = self._client.prepare_index_params()
        indexes.add_index("vector", index_type=kind, metric_type="IP", params=parameters)
        # Without waiting: an empty collection is indexed at once.
        self._client.create_index(name, indexes, timeout=self._timeout_s, sync=False)

    def index(self, name: str) -> dict[str, Any]:
        """Type and parameters of a collection's index."""
        with self._translated():
            found = self._client.describe_index(name, "vector", timeout=self._timeout_s)
        wanted = {"index_type", "M", "efConstruction"}
        return {key: value for key, value in (found or {}).items() if key in wanted}

    def drop(self, name: str) -> None:
        """Drop a collection with everything in it."""
        with self._translated():
            self._client.drop_collection(name, timeout=self._timeout_s)

    def sweep(self, name: str, *, wholly: bool) -> bool:
        """Have the files rewritten without what was deleted; a server does so in its own time.

        Args:
            name: The collection.
            wholly: However long it takes, and with what is not yet in files. A server allows the
                latter a few times a minute only.

        Returns:
            Whether it was done, or is being done.
        """
        if self.place.lite:
            if not wholly and Path(self.place.uri).stat().st_size > _SWEPT_AT_ONCE_BYTES:
                return False
            self._sweep_file()
            return True
        with self._translated():
            try:
                if wholly:
                    self._client.flush(name, timeout=self._timeout_s)
                self._client.compact(name, timeout=self._timeout_s)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNIMPLEMENTED:  # a Lite served over the network
                    raise
        return True

    def _sweep_file(self) -> None:
        """Rewrite a Lite file, which is one of SQLite's; what was deleted lies in its free bytes.

        Milvus Lite has no call for it. Its program is a process of its own, so that a second
        connection from here harms none of its locks.
        """
        try:
            with closing(sqlite3.connect(self.place.uri, timeout=self._timeout_s)) as connection:
                connection.isolation_level = None
                connection.execute("VACUUM")
        except sqlite3.Error as error:
            raise self._error(
                "failed", f"cannot be rewritten: {error}", "optimise the gallery later"
            ) from error

    # -- rows -----------------------------------------------------------------------------------

    def insert(self, name: str, rows: Sequence[Row]) -> None:
        """Put in rows of numbers that are not there."""
        with self._translated():
            self._client.insert(name, [row._asdict() for row in rows], timeout=self._timeout_s)

    def upsert(self, name: str, rows: Sequence[Row]) -> None:
        """Put in rows, in place of those of the same numbers."""
        with self._translated():
            self._client.upsert(name, [row._asdict() for row in rows], timeout=self._timeout_s)

    def delete(self, name: str, numbers: Sequence[int]) -> None:
        """Delete the rows of these numbers, as far as they are there."""
        with self._translated():
            self._client.delete(name, ids=list(numbers), timeout=self._timeout_s)

    def delete_after(self, name: str, number: int) -> None:
        """Delete every row of a higher number."""
        condition = f"number > {number:d}"
        if self.count(name, condition):
            with self._translated():
                self._client.delete(name, filter=condition, timeout=self._timeout_s)

    def count(self, name: str, condition: str = "") -> int:
        """How many rows there are."""
        with self._translated():
            found = self._client.query(
                name, filter=condition, output_fields=["count(*)"], timeout=self._timeout_s
            )
        return int(found[0]["count(*)"])

    def rows(self, name: str, condition: str = "") -> Iterator[Row]:
        """All rows, or those that meet a condition."""
        with self._translated():
            pages = self._client.query_iterator(
                name,
                batch_size=_ROWS_PER_FETCH,
                filter=condition,
                output_fields=["number", "groups", "vector"],
                timeout=self._timeout_s,
            )
            try:
                while page := pages.next():
                    for row in page:
                        vector = np.asarray(row["vector"], dtype=np.float32)
                        yield Row(int(row["number"]), list(row["groups"]), vector)
            finally:
                pages.close()

    def search(
        self,
        name: str,
        queries: NDArray[np.float32],
        limit: int,
        groups: Sequence[int] | None,
    ) -> list[list[Hit]]:
        """For each query the rows of the largest inner products, best first.

        Convention:
            queries: (q, d) float32.
        """
        condition = ""
        if groups is not None:
            keys = ", ".join(f"{key:d}" for key in [EVERYWHERE, *groups])
            condition = f"array_contains_any(groups, [{keys}])"
        with self._translated():
            found = self._client.search(
                name,
                list(queries),
                filter=condition,
                limit=limit,
                search_params={"params": {"ef": max(limit, _EF_LEAST)}},
                timeout=self._timeout_s,
            )
        return [[Hit(int(hit["id"]), float(hit["distance"])) for hit in hits] for hits in found]

    # -- errors ---------------------------------------------------------------------------------

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's errors into `GalleryServerError`, without the token."""
        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            cause = self.place.scrubbed(" ".join(str(error).split()))
            reason, what, remedy = _explained(cause, lite=self.place.lite)
            shown = error if self.place.scrubbed(str(error)) == str(error) else None
            raise self._error(reason, what, remedy, cause=cause) from shown

    def _error(self, reason: str, what: str, remedy: str, **fields: object) -> GalleryServerError:
        location = self.place.location
        return GalleryServerError(
            f"the search engine {location!r} {what}",
            remedy=remedy,
            location=location,
            reason=reason,
            **fields,
        )


def _explained(cause: str, *, lite: bool) -> tuple[str, str, str]:
    """What the driver's words mean: reason, what is wrong, what to do.

    Its errors carry codes that mean different things in different versions; its words last longer.
    """
    said = cause.casefold()
    if lite and "open local milvus failed" in said:
        return (
            "locked",
            "is in use by another process, as a Lite file can be by one only",
            "end that process, or run a Milvus server for several",
        )
    if "auth" in said or "permission" in said:
        return "credentials", "refuses these credentials", "check user and password, or the token"
    for words in (
        "fail connecting",
        "unavailable",
        "deadline",
        "timeout",
        "connect to any address",
    ):
        if words in said:
            return "unreachable", "cannot be reached", "check the address and that Milvus runs"
    if "collection not found" in said or "can't find collection" in said:
        return "missing", "lost a collection", "search again: it is made anew from the records"
    return "failed", f"cannot be used: {cause}", "nothing in the records was changed; report this"


def require_lite() -> None:
    """Import Milvus Lite, which the driver needs for a file.

    Raises:
        MissingExtraError: It is not installed, or the outdated library it needs is not.
    """
    try:
        with warnings.catch_warnings():
            # Milvus Lite 2.5 asks an outdated library for its own version, and is told so.
            warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
            import milvus_lite  # noqa: F401
    except ImportError as error:
        missing = error.name == "pkg_resources"
        raise MissingExtraError(
            "a file of Milvus Lite needs the library "
            + ("setuptools below 81" if missing else "milvus-lite")
            + ", which is not installed",
            remedy="pip install 'setuptools<81'" if missing else "pip install milvus-lite==2.5.1",
            extra="milvus",
        ) from error
