"""One case of the gallery's benchmark in a process of its own: measures, prints JSON.

`gallery.py` starts it; not meant to be called by hand.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import SkippedError, interleaved, summary
from gallery_data import Faces, anonymous_bytes, make_faces, person_of, read_faces
from gallery_peers import K, built
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vultus import Embedding, EmbeddingSpace
    from vultus.gallery import Gallery, SqliteGallery

BATCH = 128
BULK = 5000
Vectors = NDArray[np.float32]


def main() -> None:
    """Run the case that the arguments name."""
    case, given = sys.argv[1], json.loads(sys.argv[2])
    try:
        found = CASES[case](**given)
    except SkippedError as reason:
        found = {"skipped": str(reason)}
    print(json.dumps(found))


def make(folder: str, rows: int, dimension: int) -> dict[str, Any]:
    """Write the set."""
    began = time.perf_counter()
    make_faces(Path(folder), rows, dimension)
    return {"took_s": time.perf_counter() - began}


# -- vultus -------------------------------------------------------------------------------------


def fill(folder: str, path: str, singles: int, **_: Any) -> dict[str, Any]:
    """A SQLite gallery of all samples: in bulk, one by one, and what it is on disk."""
    from vultus.gallery import NewSample, SqliteGallery

    faces = read_faces(Path(folder))
    space = space_of(faces)
    found: dict[str, Any] = {"fsync_per_s": fsyncs_per_s(Path(path).parent)}
    with SqliteGallery(path, create=True) as gallery:
        spent = 0.0
        for start, part in faces.parts(BULK):
            embeddings = [embedding(vector, space) for vector in part]
            began = time.perf_counter()
            gallery.add_many(
                NewSample(person_id(start + row), e, f"{start + row}")
                for row, e in enumerate(embeddings)
            )
            spent += time.perf_counter() - began
        found["bulk_per_s"] = faces.rows / spent
        began = time.perf_counter()
        found["joins"] = join_groups(gallery, faces)
        found["joins_per_s"] = found["joins"] / (time.perf_counter() - began)
        found |= changes(gallery, faces, singles)
        began = time.perf_counter()
        gallery.optimise()
        found["optimise_s"] = time.perf_counter() - began
    found["file_bytes"] = Path(path).stat().st_size
    return found


def changes(gallery: SqliteGallery, faces: Faces, singles: int) -> dict[str, Any]:
    """Durable single changes: samples of new people come, and those people go."""
    space = space_of(faces)
    added, removed = [], []
    for number in range(singles):
        face = embedding(faces.queries[number % len(faces.queries)], space)
        began = time.perf_counter()
        gallery.add(f"new{number}", face, source_digest=f"new{number}")
        added.append(time.perf_counter() - began)
    for number in range(min(singles, 50)):
        began = time.perf_counter()
        gallery.remove(f"new{number}")
        removed.append(time.perf_counter() - began)
    for number in range(min(singles, 50), singles):
        gallery.remove(f"new{number}")
    return {"add": summary(added), "remove": summary(removed)}


def opened(folder: str, path: str, rounds: int, **_: Any) -> dict[str, Any]:
    """A process that opens the gallery and searches: times, memory, what is found."""
    from vultus.gallery import SqliteGallery
    from vultus.runtime import use_one_heap

    use_one_heap()  # as the command line does
    faces = read_faces(Path(folder))
    queries = [embedding(query, space_of(faces)) for query in faces.queries]
    warm_up(faces)
    before = anonymous_bytes()
    began = time.perf_counter()
    worked = time.process_time()
    gallery = SqliteGallery(path, create=False)
    gallery.search(queries[0], K)
    found: dict[str, Any] = {
        "first_answer_s": time.perf_counter() - began,
        "first_answer_cpu_s": time.process_time() - worked,
    }
    with gallery:
        for query in queries[:20]:
            gallery.search(query, K)
        found["memory_bytes"] = anonymous_bytes() - before
        gallery.search_many(queries[:BATCH], K)
        found["memory_after_batch_bytes"] = anonymous_bytes() - before
        matches = gallery.search_many(queries, K)
        people = np.array([int(m[0].person[1:]) for m in matches])
        found["identity_at_1"] = float((people == faces.asked).mean())
        found["recall_at_1"] = float((people == faces.nearest).mean())
        found["search"] = timed_searches(
            lambda i: gallery.search(queries[i % len(queries)], K), rounds
        )
        found["batch_per_query_s"] = statistics.median(
            timed(lambda i: gallery.search_many(queries[:BATCH], K), max(3, rounds // 50))
        ) / min(BATCH, len(queries))
        found["filtered"] = {
            group.name: timed_searches(
                lambda i, g=group.name: gallery.search(queries[i % len(queries)], K, groups=[g]),
                rounds,
            )
            for group in gallery.groups()
        }
        info = gallery.info().search
        found["info"] = {
            "kind": info.kind,
            "why": info.why,
            "recall": info.recall,
            "parameters": info.parameters,
        }
    return found


def warm_up(faces: Faces) -> None:
    """Load what any search needs, so that memory afterwards is the gallery's alone."""
    from vultus.gallery import MemoryGallery, NewSample
    from vultus.gallery.search.trim import give_back

    _, vectors = next(faces.parts(9000))
    space = space_of(faces)
    with MemoryGallery() as gallery:
        gallery.add_many(NewSample("somebody", embedding(vector, space)) for vector in vectors)
        gallery.search(embedding(faces.queries[0], space), K)
    del gallery, vectors
    give_back()


def join_groups(gallery: Gallery, faces: Faces) -> int:
    """Put people into the groups, the larger ones only where that takes no minutes."""
    joined = 0
    for name, inside in faces.groups.items():
        people = np.flatnonzero(inside)
        if len(people) > 30_000:
            continue
        gallery.add_group(name)
        for person in people.tolist():
            gallery.join(f"p{person}", name)
        joined += len(people)
    return joined


def fsyncs_per_s(folder: Path) -> float:
    """How often a second this disk says that 4 KiB more are safe: what a durable change costs."""
    rounds = 200
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        began = time.perf_counter()
        for _ in range(rounds):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        return rounds / (time.perf_counter() - began)


def space_of(faces: Faces) -> EmbeddingSpace:
    """The made-up faces' space."""
    from vultus import EmbeddingSpace

    return EmbeddingSpace("made-up", "0" * 64, faces.dimension, "none")


def embedding(vector: Vectors, space: EmbeddingSpace) -> Embedding:
    """One made-up face."""
    from vultus import Embedding

    return Embedding(vector, space)


def person_id(row: int) -> str:
    """Of whose sample it is."""
    return f"p{int(person_of(row))}"


# -- side by side ---------------------------------------------------------------------------------


def contest(folder: str, path: str, names: list[str], rounds: int, **_: Any) -> dict[str, Any]:
    """The whole `gallery.search` and exact peers on the same vectors, in turn."""
    from contextlib import ExitStack

    from vultus.gallery import SqliteGallery

    faces = read_faces(Path(folder))
    queries = [embedding(query, space_of(faces)) for query in faces.queries]
    skipped: dict[str, str] = {}
    tasks: dict[str, Any] = {}
    with ExitStack() as stack:
        gallery = stack.enter_context(SqliteGallery(path, create=False))
        peers = {}
        for name in names:
            try:
                peers[name] = stack.enter_context(built(name, faces, Path(path).parent, 120.0))
            except SkippedError as reason:
                skipped[name] = str(reason)
        one = {n: lambda i, p=p: p.search(_one(faces, i)) for n, p in peers.items()}
        one["vultus"] = lambda i: gallery.search(queries[i % len(queries)], K)
        tasks["one query"] = _in_turn(one, rounds)
        many = {n: lambda i, p=p: p.search(faces.queries[:BATCH]) for n, p in peers.items()}
        many["vultus"] = lambda i: gallery.search_many(queries[:BATCH], K)
        tasks[f"batch of {BATCH}"] = _in_turn(many, max(3, rounds // 10))
        for group in [g.name for g in gallery.groups()]:
            calls: dict[str, Callable[[int], object]] = {}
            for name, peer in peers.items():
                search = peer.filtered(group)
                if search is not None:
                    calls[name] = lambda i, s=search: s(_one(faces, i))
            calls["vultus"] = lambda i, g=group: gallery.search(
                queries[i % len(queries)], K, groups=[g]
            )
            tasks[f"among {group}"] = _in_turn(calls, rounds)
    return {"tasks": tasks, "skipped_peers": skipped}


def _one(faces: Faces, i: int) -> Vectors:
    place = i % len(faces.queries)
    return faces.queries[place : place + 1]


def _in_turn(calls: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, Any]:
    taken = interleaved(calls, rounds, warmup=3, lead_in=True, clock=time.process_time)
    return {name: summary(t) for name, t in taken.items()}


# -- each by itself -------------------------------------------------------------------------------


def peer(folder: str, scratch: str, name: str, rounds: int, limit_s: float) -> dict[str, Any]:
    """One library by itself: building, memory, file, times, what is found."""
    faces = read_faces(Path(folder))
    Path(scratch).mkdir(parents=True, exist_ok=True)
    before = anonymous_bytes()
    began = time.perf_counter()
    with built(name, faces, Path(scratch), limit_s) as held:
        found: dict[str, Any] = {"build_s": time.perf_counter() - began, "exact": held.exact}
        # A server's memory is its own: buffers, workers and the system's cache.
        found["memory_bytes"] = anonymous_bytes() - before if held.in_process else None
        people = person_of(held.search(faces.queries[:BATCH])[:, 0])
        found["identity_at_1"] = float((people == faces.asked[:BATCH]).mean())
        found["recall_at_1"] = float((people == faces.nearest[:BATCH]).mean())
        clock = time.process_time if held.in_process else time.perf_counter
        found["clock"] = clock.__name__
        found["search"] = timed_searches(lambda i: held.search(_one(faces, i)), rounds, clock)
        batches = timed(lambda i: held.search(faces.queries[:BATCH]), 3, clock)
        found["batch_per_query_s"] = statistics.median(batches) / BATCH
        found["file_bytes"] = held.size_bytes()
    return found


def timed(
    call: Callable[[int], object],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    limit_s: float = 20.0,
) -> list[float]:
    """Durations, at least one; no more are taken once the limit is reached.

    Searches run on one thread in memory, so processor time is what they take on an idle machine,
    whatever else runs beside them.
    """
    call(0)
    taken: list[float] = []
    end = time.perf_counter() + limit_s
    while not taken or (len(taken) < rounds and time.perf_counter() < end):
        began = clock()
        call(len(taken) + 1)
        taken.append(clock() - began)
    return taken


def timed_searches(
    call: Callable[[int], object], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, Any]:
    """The same with its 99th percentile."""
    taken = timed(call, rounds, clock)
    return {**summary(taken), "p99_s": float(np.quantile(taken, 0.99))}


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "make": make,
    "fill": fill,
    "open": opened,
    "contest": contest,
    "peer": peer,
}

if __name__ == "__main__":
    main()
