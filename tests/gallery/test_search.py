"""The exact index beyond what the contract shows: size, rounding, snapshots."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.gallery import _search
from vultus.gallery._search import ExactIndex
from vultus.types import EmbeddingSpace


def space(dimension: int) -> EmbeddingSpace:
    return EmbeddingSpace("test", "0" * 64, dimension, "none")


def units(rows: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def filled(vectors: NDArray[np.float32], names: list[str]) -> ExactIndex:
    index = ExactIndex(space(vectors.shape[1]))
    index.extend(names, range(1, len(vectors) + 1), vectors)
    return index


def test_equal_vectors_are_equally_similar_wherever_they_lie() -> None:
    # A BLAS product rounds rows differently by position; names would then not settle ties.
    vectors = np.repeat(units(1, 509), 1003, axis=0)
    index = filled(vectors, [f"p{i:04}" for i in range(1003)][::-1])
    query = units(7, 509, seed=1)
    for found in (
        index.snapshot.search(query, 1003),
        [index.snapshot.search(row[None], 1003)[0] for row in query],
    ):
        for matches in found:
            assert len({match.similarity for match in matches}) == 1
            assert [match.name for match in matches] == [f"p{i:04}" for i in range(1003)]


def test_differences_below_single_precision_are_ordered() -> None:
    base = units(1, 512)[0]
    vectors = np.repeat(base[None], 64, axis=0)
    for row in range(64):  # one unit in the last place of one coordinate each
        vectors[row, row] = np.nextafter(vectors[row, row], np.float32(2.0))
    index = filled(vectors, [f"p{i}" for i in range(64)])
    truth = np.clip((vectors.astype(np.float64) * base.astype(np.float64)).sum(axis=1), -1, 1)
    matches = index.snapshot.search(base[None], 5)[0]
    expected = sorted(range(64), key=lambda i: (-truth[i], f"p{i}"))[:5]
    assert [match.name for match in matches] == [f"p{i}" for i in expected]
    assert [match.similarity for match in matches] == [truth[i] for i in expected]


def test_many_people_and_blocks_of_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = units(5000, 32)
    owners = np.random.default_rng(2).integers(0, 1500, 5000).tolist()
    index = filled(vectors, [f"p{i}" for i in owners])
    queries = units(9, 32, seed=3)
    expected = [index.snapshot.search(row[None], 6)[0] for row in queries]
    assert index.snapshot.search(queries, 6) == expected
    monkeypatch.setattr(_search, "_SCORES_PER_BLOCK", 10_001)  # two queries at a time
    monkeypatch.setattr(_search, "_ROWS_PER_BLOCK", 2)
    assert index.snapshot.search(queries, 6) == expected


def test_a_snapshot_does_not_change() -> None:
    index = filled(units(3, 8), ["a", "b", "a"])
    before = index.snapshot
    first = before.search(units(1, 8), 9)
    index.extend(["c"] * 500, range(4, 504), units(500, 8, seed=1))
    index.keep([2])
    assert before.search(units(1, 8), 9) == first
    assert [m.name for m in index.snapshot.search(units(1, 8), 9)[0]] == ["b"]


def test_removed_vectors_leave_memory() -> None:
    index = filled(units(3, 8), ["a", "b", "a"])
    index.keep([2])
    assert len(index.snapshot.vectors) == 1
    assert index.snapshot.vectors.base is not None
    assert not (index.snapshot.vectors.base == units(3, 8)[0]).all(axis=1).any()


def test_reserved_room_is_used() -> None:
    index = ExactIndex(space(8))
    index.reserve(100)
    room = index.snapshot.vectors.base
    index.extend(["a"] * 100, range(1, 101), units(100, 8))
    assert index.snapshot.vectors.base is index._vectors
    assert room is None or len(index._vectors) == 110
