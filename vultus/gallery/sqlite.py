"""A gallery in one SQLite file: the file is the truth, the exact index its cache."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import GalleryFileError
from vultus.gallery._place import file_error
from vultus.gallery._search import ExactIndex
from vultus.gallery._sqlite_file import SqliteFile, transaction
from vultus.gallery.base import (
    Gallery,
    NewSample,
    Person,
    check_k,
    check_space,
    check_spaces,
    clean_name,
    duplicate_error,
    name_or_none,
    unknown_person_error,
)
from vultus.types import Embedding, EmbeddingSpace, Match

__all__ = ["SqliteGallery"]

_RESTORE = "restore the file from a copy"
_ROWS_PER_FETCH = 4096
_UNIT_TOLERANCE = 1e-3  # the one of vultus.types.Embedding

_INSERT_SAMPLE = (
    "INSERT INTO sample (id, person_id, space_id, vector, raw_norm, source_digest, source)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_NEW_SAMPLES = (
    "SELECT s.id, p.name, s.vector FROM sample s JOIN person p ON p.id = s.person_id"
    " WHERE s.id > ? AND s.space_id = ? ORDER BY s.id"
)
_NUMBERS = "SELECT id FROM sample WHERE space_id = ?"
_COUNT = "SELECT count(*) FROM sample WHERE space_id = ?"


def _read_space(connection: sqlite3.Connection) -> tuple[int, EmbeddingSpace] | None:
    """The searched space and its row, or ``None`` before the first sample."""
    row = connection.execute(
        "SELECT s.id, s.model, s.digest, s.dimension, s.preprocessing"
        " FROM gallery g JOIN space s ON s.id = g.space_id"
    ).fetchone()
    return None if row is None else (row[0], EmbeddingSpace(*row[1:]))


def _fix_space(connection: sqlite3.Connection, space: EmbeddingSpace) -> tuple[int, EmbeddingSpace]:
    """The searched space and its row; `space` where there was none."""
    found = _read_space(connection)
    if found is None:
        connection.execute(
            "INSERT INTO space (model, digest, dimension, preprocessing) VALUES (?, ?, ?, ?)",
            (space.model, space.digest, space.dimension, space.preprocessing),
        )
        row = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        connection.execute("UPDATE gallery SET space_id = ?", (row,))
        found = (row, space)
    return found


def _person_ids(connection: sqlite3.Connection, batch: Sequence[NewSample]) -> dict[str, int]:
    """Each name's row, made where there is none."""
    ids: dict[str, int] = {}
    for name in dict.fromkeys(item.name for item in batch):
        connection.execute("INSERT OR IGNORE INTO person (name) VALUES (?)", (name,))
        row = connection.execute("SELECT id FROM person WHERE name = ?", (name,)).fetchone()
        ids[name] = row[0]
    return ids


def _last_sample(connection: sqlite3.Connection) -> int:
    """The highest sample number ever given out."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'sample'").fetchone()
    return 0 if row is None else int(row[0])


def _decode_vectors(
    path: Path, samples: Sequence[int], blobs: Sequence[object], dimension: int
) -> NDArray[np.float32]:
    """Stored vectors as (n, dimension) float32, every one verified.

    Raises:
        GalleryFileError: One has the wrong size, is not finite or not of unit length; the field
            ``sample`` names it.
    """
    for sample, blob in zip(samples, blobs, strict=True):
        if not isinstance(blob, bytes) or len(blob) != 4 * dimension:
            raise _sample_error(path, sample, f"a vector of {dimension} float32 numbers")
    joined = b"".join(blobs)  # type: ignore[arg-type]  # all bytes, as just checked
    vectors = np.frombuffer(joined, dtype="<f4").astype(np.float32, copy=False)
    vectors = vectors.reshape(len(samples), dimension)
    with np.errstate(all="ignore"):  # NaN and infinity are the point
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        sound = np.abs(lengths - 1.0) <= _UNIT_TOLERANCE
    if not sound.all():
        raise _sample_error(path, samples[int(np.argmin(sound))], "a finite vector of unit length")
    return vectors


def _sample_error(path: Path, sample: int, expected: str) -> GalleryFileError:
    return file_error(
        path,
        "damaged",
        f"is damaged: sample {sample} must hold {expected}",
        f"{_RESTORE}, or remove that person and enrol them again",
        sample=sample,
        expected=expected,
    )


class SqliteGallery(Gallery):
    """People and samples in one SQLite file, searched exactly in memory.

    Every change is one transaction, on disk when the call returns (write-ahead log, full
    synchronisation). Any number of threads and processes may share the file: a search first looks
    whether it has changed and reads what is new. Vectors are loaded by the first search. What is
    erased is overwritten with zeros.

    A file that may not be written, or whose folder may not, can still be searched. A gallery must
    not be carried across ``fork``: open it in each process. While it is open, the same process
    must not open the file by other means (a copy, a checksum): on POSIX systems that drops
    SQLite's locks.

    Args:
        path: The file.
        create: Whether a missing or empty file is made a gallery.
        space: Fixes the space of a new gallery; an existing one must agree.
        busy_timeout_s: How long to wait for another process's change to end.

    Raises:
        GalleryFileError: The file cannot be used. Its field ``reason`` is one of ``missing``,
            ``directory``, ``folder-missing``, ``not-a-database``, ``foreign``, ``newer``,
            ``older``, ``empty``, ``unreadable``, ``read-only``, ``locked``, ``damaged``,
            ``disk``, ``disk-full``, ``replaced``, ``failed``.
        SpaceMismatchError: The gallery has another space than `space`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        space: EmbeddingSpace | None = None,
        busy_timeout_s: float = 10.0,
    ) -> None:
        self._forget()
        self._file = SqliteFile(Path(path), create=create, busy_timeout_s=busy_timeout_s)
        if space is not None:
            try:
                self._require_space(space)
            except BaseException:
                self._file.close()
                raise

    @property
    def space(self) -> EmbeddingSpace | None:
        """The one space all embeddings live in; ``None`` until the first sample fixes it."""
        with self._file.reading() as connection:
            found = _read_space(connection)
        return None if found is None else found[1]

    def _require_space(self, space: EmbeddingSpace) -> None:
        known = self.space
        if known is None and self._file.writable:
            with self._file.writing() as connection:
                known = _fix_space(connection, space)[1]
        if known is not None:
            check_space(known, space)

    def add_many(self, items: Iterable[NewSample]) -> list[int]:
        """Enrol many faces in one transaction; see `Gallery.add_many`."""
        batch = list(items)  # before the transaction: making the items may take long
        with self._file.writing() as connection:
            found = _read_space(connection)
            check_spaces(None if found is None else found[1], (i.embedding for i in batch))
            if not batch:
                return []
            space_id, _ = _fix_space(connection, batch[0].embedding.space)
            people = _person_ids(connection, batch)
            first = _last_sample(connection) + 1
            rows = (
                (
                    number,
                    people[item.name],
                    space_id,
                    item.embedding.vector.astype("<f4", copy=False).tobytes(),
                    item.embedding.raw_norm,
                    item.source_digest,
                    item.source,
                )
                for number, item in enumerate(batch, first)
            )
            try:
                connection.executemany(_INSERT_SAMPLE, rows)
            except sqlite3.IntegrityError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                    raise
                position = _last_sample(connection) + 1 - first  # rows before it went in
                raise duplicate_error(batch[position], position) from error
        return list(range(first, first + len(batch)))

    def people(self) -> list[Person]:
        """Everybody enrolled, in the order of their names' code points."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT p.name, count(*) FROM person p JOIN sample s ON s.person_id = p.id"
                " GROUP BY p.id ORDER BY p.name"
            ).fetchall()
        return [Person(name, samples) for name, samples in rows]

    def remove(self, name: str) -> int:
        """Erase a person and all their samples; see `Gallery.remove`."""
        name = clean_name(name)
        with self._file.writing() as connection:
            row = connection.execute("SELECT id FROM person WHERE name = ?", (name,)).fetchone()
            if row is None:
                known = connection.execute("SELECT name FROM person ORDER BY name")
                raise unknown_person_error(name, (other for (other,) in known))
            gone = connection.execute(
                "SELECT count(*) FROM sample WHERE person_id = ?", row
            ).fetchone()[0]
            connection.execute("DELETE FROM person WHERE id = ?", row)  # samples go with it
        self._file.empty_log()
        return int(gone)

    def search_many(self, embeddings: Sequence[Embedding], k: int = 5) -> list[list[Match]]:
        """Search for several faces at once; see `Gallery.search_many`."""
        check_k(k)
        with self._file.reading() as connection:
            self._refresh(connection)
            index = self._index
            snapshot = None if index is None else index.snapshot
        check_spaces(None if index is None else index.space, embeddings)
        if snapshot is None or not embeddings:
            return [[] for _ in embeddings]
        return snapshot.search(np.stack([e.vector for e in embeddings]), k)

    def __len__(self) -> int:
        with self._file.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM sample").fetchone()[0])

    def __contains__(self, name: object) -> bool:
        clean = name_or_none(name)
        with self._file.reading() as connection:
            row = connection.execute("SELECT 1 FROM person WHERE name = ?", (clean,)).fetchone()
        return row is not None

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        self._file.close()
        self._forget()

    def _forget(self) -> None:
        """Drop the cache; the next search reads the file anew."""
        self._index: ExactIndex | None = None
        self._seen: tuple[int, int] | None = None
        self._removals = self._rewrites = 0

    def _refresh(self, connection: sqlite3.Connection) -> None:
        """Bring the index up to date with the file, if the file has changed."""
        # Asked before reading: a commit in between is read now and looked at once more next time.
        seen = (self._file.generation, connection.execute("PRAGMA data_version").fetchone()[0])
        if seen == self._seen:
            return
        index = self._index if self._seen and self._seen[0] == seen[0] else None
        before = (self._removals, self._rewrites)
        self._forget()  # so that an error half way leaves no half-updated index behind
        with transaction(connection, "DEFERRED"):
            found = _read_space(connection)
            now = connection.execute("SELECT removals, rewrites FROM gallery").fetchone()
            if now is None:
                raise file_error(self._file.path, "damaged", "lacks its own record", _RESTORE)
            index = found and self._updated(connection, index, found, before, now)
        if not self._file.is_unchanged():
            raise file_error(self._file.path, "locked", "changed while it was read", "try again")
        self._index, self._seen = index, seen
        self._removals, self._rewrites = now

    def _updated(
        self,
        connection: sqlite3.Connection,
        index: ExactIndex | None,
        found: tuple[int, EmbeddingSpace],
        before: tuple[int, int],
        now: tuple[int, int],
    ) -> ExactIndex:
        """`index` with what has changed since the counters stood at `before`, or a new one."""
        space_id, space = found
        if index is None or index.space != space or before[1] != now[1]:
            index = ExactIndex(space)
            index.reserve(connection.execute(_COUNT, (space_id,)).fetchone()[0])
        elif before[0] != now[0]:
            index.keep([number for (number,) in connection.execute(_NUMBERS, (space_id,))])
        known = index.snapshot.samples
        last = int(known[-1]) if len(known) else 0
        cursor = connection.execute(_NEW_SAMPLES, (last, space_id))
        while rows := cursor.fetchmany(_ROWS_PER_FETCH):
            samples, names, blobs = zip(*rows, strict=True)
            vectors = _decode_vectors(self._file.path, samples, blobs, space.dimension)
            index.extend(names, samples, vectors)
        return index
