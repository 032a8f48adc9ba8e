"""Embeddings kept on disk, by picture and by how they were made; a damaged file is rebuilt."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["EmbeddingCache", "Entry", "code_digest", "default_cache"]

_log = logging.getLogger(__name__)

_FILE = "embeddings-1.db"  # another layout gets another number
_SCHEMA = """
CREATE TABLE IF NOT EXISTS makes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS pictures (
    make INTEGER NOT NULL REFERENCES makes (id), digest BLOB NOT NULL,
    faces INTEGER NOT NULL, raw_norm REAL NOT NULL, vector BLOB NOT NULL, seal BLOB NOT NULL,
    PRIMARY KEY (make, digest)
) WITHOUT ROWID;
"""
_WAIT_S = 30.0  # for another process that writes
_ROWS = 500  # per statement; SQLite takes at least 999 parameters

# What the making of an embedding runs through: changed code makes other embeddings.
_ROOMS = ("align", "assess", "detect", "embed", "encode", "pipeline", "runtime", "sources")
_LIBRARIES = ("vultus", "numpy", "onnxruntime", "opencv-python-headless", "pillow")


def default_cache() -> Path:
    """``VULTUS_CACHE`` if set, else the platform's folder for caches."""
    folder = os.environ.get("VULTUS_CACHE", "").strip()
    if folder:
        return Path(os.path.expanduser(folder)).absolute()  # noqa: PTH111 - it never raises
    import platformdirs

    return platformdirs.user_cache_path("vultus", appauthor=False)


class Entry(NamedTuple):
    """What is known of one picture.

    Attributes:
        faces: How many faces were found.
        raw_norm: Length of the network's output; 0 without a face.
        vector: (d,) float32 of unit length; empty without a face.
    """

    faces: int
    raw_norm: float
    vector: NDArray[np.float32]


class EmbeddingCache:
    """One SQLite file; several processes may share it, and a run that breaks off keeps its part.

    Every row carries a checksum: a row that does not fit its own is computed anew. A file that
    SQLite cannot read is put aside (``….damaged``) and begun afresh; a folder that cannot be
    written makes a warning, and nothing is kept.

    Args:
        folder: Made when absent.
        make: Everything that decides what an embedding of a given picture is.
    """

    def __init__(self, folder: Path, make: str) -> None:
        self.path = folder / _FILE
        self._make = make
        self._connection: sqlite3.Connection | None = None
        self._make_id = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _log.warning("the cache %s cannot be used: %s", folder, error)
            return
        self._guarded(self._open)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Entry]:
        """Entries of those pictures that are known."""
        found: dict[bytes, Entry] = {}

        def read() -> None:
            for start in range(0, len(digests), _ROWS):
                found.update(self._read(digests[start : start + _ROWS]))

        self._guarded(read)
        return found

    def keep(self, entries: Iterable[tuple[bytes, Entry]]) -> None:
        """Write entries, all of them or none."""
        rows = [
            (self._make_id, digest, e.faces, e.raw_norm, _bytes(e.vector), _seal(digest, e))
            for digest, e in entries
        ]

        def write() -> None:
            if self._connection is not None:
                # The make's number is another one when the file was begun afresh just now.
                fresh = [(self._make_id, *row[1:]) for row in rows]
                with self._connection:
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?)", fresh
                    )

        self._guarded(write)

    def _read(self, digests: Sequence[bytes]) -> dict[bytes, Entry]:
        if self._connection is None:
            return {}
        marks = ", ".join("?" * len(digests))
        rows = self._connection.execute(
            "SELECT digest, faces, raw_norm, vector, seal FROM pictures "  # noqa: S608 - marks only
            f"WHERE make = ? AND digest IN ({marks})",
            [self._make_id, *digests],
        )
        found = {}
        for digest, faces, raw_norm, vector, seal in rows:
            entry = Entry(faces, raw_norm, np.frombuffer(vector, "<f4"))
            if seal == _seal(digest, entry):
                found[digest] = entry
        return found

    def _open(self) -> None:
        self._connection = sqlite3.connect(self.path, timeout=_WAIT_S, check_same_thread=False)
        self._connection.executescript(_SCHEMA)
        with self._connection:
            self._connection.execute("INSERT OR IGNORE INTO makes (name) VALUES (?)", [self._make])
        (self._make_id,) = self._connection.execute(
            "SELECT id FROM makes WHERE name = ?", [self._make]
        ).fetchone()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do something with the file; begin it afresh when it is damaged, and do it again."""
        try:
            work()
        except sqlite3.OperationalError as error:  # locked, read-only, disk full
            _log.warning("the cache %s cannot be used: %s", self.path, error)
            self.close()
        except (sqlite3.DatabaseError, ValueError, TypeError, struct.error) as error:
            _log.warning("the cache %s was damaged and is begun afresh: %s", self.path, error)
            self.close()
            with suppress(OSError):
                self.path.replace(self.path.with_suffix(".damaged"))
            with suppress(sqlite3.Error):
                self._open()
                work()


def _bytes(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f4").tobytes()


def _seal(digest: bytes, entry: Entry) -> bytes:
    body = struct.pack("<qd", entry.faces, entry.raw_norm) + _bytes(entry.vector)
    return hashlib.blake2b(digest + body, digest_size=8).digest()


@cache
def code_digest() -> str:
    """Digest of the code an embedding runs through, and of its libraries' versions."""
    root = Path(__file__).parents[1]
    files = [Path(__file__).with_name("_one_picture.py")]
    for room in _ROOMS:
        files += [*root.glob(f"{room}.py"), *(root / room).rglob("*.py")]
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.read_bytes())
    for name in _LIBRARIES:
        try:
            total.update(f"{name} {importlib.metadata.version(name)}\n".encode())
        except importlib.metadata.PackageNotFoundError:  # OpenCV has several distributions
            total.update(f"{name} unknown\n".encode())
    return total.hexdigest()
