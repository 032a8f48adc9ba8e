"""The index against a plain loop: values, changes, labels, snapshots, threads."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vultus.errors import RangeError
from vultus.gallery.search import filter as _filter
from vultus.gallery.search import int8 as _int8
from vultus.gallery.search import scan as _scan
from vultus.gallery.search.index import VectorIndex
from vultus.gallery.search.int8 import Screen
from vultus.types import EmbeddingSpace, Match

Vectors = NDArray[np.float32]


def space(dimension: int) -> EmbeddingSpace:
    return EmbeddingSpace("test", "0" * 64, dimension, "none")


def units(rows: int, dimension: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def filled(vectors: Vectors, owners: Sequence[int], peak: int | None = None) -> VectorIndex:
    """An index of vectors whose people are called p and their key."""
    index = VectorIndex(space(vectors.shape[1]))
    index._screen = Screen(vectors.shape[1], peak=peak)
    index._publish()
    index.extend(range(1, len(vectors) + 1), owners, np.zeros(len(owners)), vectors)
    label(index, set(owners))
    return index


def label(index: VectorIndex, people: Sequence[int] | set[int]) -> None:
    ids = [f"p{key}" for key in people]
    index.set_people(list(people), ids, ids)


@dataclass
class Loop:
    """The same gallery as lists, searched by a loop in double precision."""

    rows: dict[int, tuple[int, int, Vectors]] = field(default_factory=dict)
    members: dict[int, set[int]] = field(default_factory=dict)

    def search(
        self,
        query: Vectors,
        k: int,
        groups: set[int] | None = None,
        *,
        fused: bool = False,
    ) -> list[Match]:
        own: dict[int, list[int]] = {}
        for number, (person, scope, _) in sorted(self.rows.items()):
            joined = any(person in self.members.get(g, ()) for g in groups or ())
            if groups is None or (scope in groups if scope else joined):
                own.setdefault(person, []).append(number)
        wide = query.astype(np.float64)
        found = []
        for person, numbers in own.items():
            vectors = np.stack([self.rows[n][2] for n in numbers]).astype(np.float64)
            cosines = [min(max(float((v * wide).sum()), -1.0), 1.0) for v in vectors]
            best = cosines.index(max(cosines))
            similarity = cosines[best]
            if fused:
                total = vectors.sum(axis=0)
                length = float(np.sqrt((total * total).sum()))
                if length < 1e-6:
                    continue
                similarity = min(max(float((wide * (total / length)).sum()), -1.0), 1.0)
            found.append(Match(f"p{person}", similarity, numbers[best]))
        return sorted(found, key=lambda m: (-m.similarity, m.person))[:k]


# -- values ---------------------------------------------------------------------------------


def test_cosines_by_hand() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], dtype=np.float32)
    index = filled(vectors, [1, 2, 1, 3])
    query = np.array([[0.8, 0.6]], dtype=np.float32)
    (found,) = index.snapshot.search(query, 5)
    assert [(m.person, m.sample) for m in found] == [("p1", 3), ("p2", 2), ("p3", 4)]
    assert [m.similarity for m in found] == pytest.approx([0.96, 0.6, -0.8], abs=1e-7)
    (found,) = index.snapshot.search(query, 5, min_similarity=0.6)
    assert [m.person for m in found] == ["p1", "p2"]


def test_fused_by_hand() -> None:
    # p1: (1, 0) and (0, 1) give (1, 1)/√2; p2: opposite samples have no mean; p3: one sample.
    vectors = np.array([[1, 0], [0, 1], [0, 1], [0, -1], [1, 0]], dtype=np.float32)
    index = filled(vectors, [1, 1, 2, 2, 3])
    query = np.array([[0.6, 0.8]], dtype=np.float32)
    (found,) = index.snapshot.search(query, 5, template="fused")
    assert [(m.person, m.sample) for m in found] == [("p1", 2), ("p3", 5)]
    assert [m.similarity for m in found] == pytest.approx([1.4 / 2**0.5, 0.6], abs=1e-7)


def test_an_empty_index_and_no_queries() -> None:
    index = VectorIndex(space(4))
    assert index.snapshot.search(units(2, 4), 3) == [[], []]
    assert index.snapshot.search(units(0, 4), 3) == []
    assert index.snapshot.rows == 0
    assert index.snapshot.last_sample == 0
    index.extend([], [], [], units(0, 4))
    index.drop([1])
    index.keep([])
    index.assign([1], [1], [0])
    assert index.snapshot.search(units(1, 4), 3, groups=[1]) == [[]]


def test_equal_vectors_are_equally_similar_wherever_they_lie() -> None:
    # A BLAS product rounds rows differently by position; ids would then not settle ties.
    index = filled(np.repeat(units(1, 509), 5003, axis=0), list(range(6003, 1000, -1)))
    query = units(7, 509, seed=1)
    for found in (
        index.snapshot.search(query, 5003),
        [index.snapshot.search(row[None], 5003)[0] for row in query[:2]],
    ):
        for matches in found:
            assert len({match.similarity for match in matches}) == 1
            assert [match.person for match in matches] == [f"p{i}" for i in range(1001, 6004)]


def test_differences_below_single_precision_are_ordered() -> None:
    base = units(1, 512)[0]
    vectors = np.repeat(base[None], 64, axis=0)
    for row in range(64):  # one unit in the last place of one coordinate each
        vectors[row, row] = np.nextafter(vectors[row, row], np.float32(2.0))
    index = filled(vectors, list(range(64)))
    truth = np.clip((vectors.astype(np.float64) * base.astype(np.float64)).sum(axis=1), -1, 1)
    matches = index.snapshot.search(base[None], 5)[0]
    expected = sorted(range(64), key=lambda i: (-truth[i], f"p{i}"))[:5]
    assert [match.person for match in matches] == [f"p{i}" for i in expected]
    assert [match.similarity for match in matches] == [truth[i] for i in expected]


def test_what_is_longer_than_one_is_level_at_both_ends() -> None:
    long = units(1, 16) * np.float32(1.0009)
    vectors = np.concatenate([long, units(1, 16), -long, -units(1, 16)])
    index = filled(vectors, [4, 3, 2, 1])
    (found,) = index.snapshot.search(long, 4)
    expected = [("p3", 1.0), ("p4", 1.0), ("p1", -1.0), ("p2", -1.0)]
    assert [(m.person, m.similarity) for m in found] == expected
    assert [m.person for m in index.snapshot.search(long, 3)[0]] == ["p3", "p4", "p1"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0])
def test_what_is_no_unit_vector_never_gets_in(bad: float) -> None:
    index = filled(units(3, 8), [1, 2, 3])
    vectors = units(2, 8)
    vectors[1, 0] = bad
    with pytest.raises(RangeError, match="finite and of unit length"):
        index.extend([4, 5], [4, 5], [0, 0], vectors)
    assert index.snapshot.rows == 3


# -- agreement with the loop --------------------------------------------------------------------

POOL = np.concatenate(
    [units(6, 8), np.eye(8, dtype=np.float32)[:2], -np.eye(8, dtype=np.float32)[:1]]
)
person = st.integers(1, 6)
scope = st.integers(0, 2)
group = st.integers(1, 2)
row = st.tuples(person, scope, st.integers(0, len(POOL) - 1))
some = st.lists(st.integers(1, 30), min_size=1, max_size=6, unique=True)
step = st.one_of(
    st.tuples(st.just("add"), st.lists(row, min_size=1, max_size=8)),
    st.tuples(st.just("drop"), some),
    st.tuples(st.just("keep"), some),
    st.tuples(st.just("assign"), some, person, scope),
    st.tuples(st.just("forget"), person),
    st.tuples(st.just("members"), st.sets(st.tuples(person, group))),
    st.tuples(st.just("group"), group, st.sets(person)),
    st.tuples(st.just("join"), person, group),
    st.tuples(st.just("leave"), person, group),
)


def apply(step: tuple, index: VectorIndex, loop: Loop) -> None:
    """Make one change in both."""
    what, *rest = step
    if what == "add":
        first = index.snapshot.last_sample + 1
        numbers = range(first, first + len(rest[0]))
        owners, scopes, places = zip(*rest[0], strict=True)
        index.extend(numbers, owners, scopes, POOL[list(places)])
        for number, (owner, limit, place) in zip(numbers, rest[0], strict=True):
            loop.rows[number] = (owner, limit, POOL[place])
        label(index, set(owners))
    elif what == "drop":
        index.drop(rest[0])
        loop.rows = {n: r for n, r in loop.rows.items() if n not in rest[0]}
    elif what == "keep":
        index.keep(rest[0])
        loop.rows = {n: r for n, r in loop.rows.items() if n in rest[0]}
    elif what == "assign":
        numbers, owner, limit = rest
        index.assign(numbers, [owner] * len(numbers), [limit] * len(numbers))
        for number in set(numbers) & set(loop.rows):
            loop.rows[number] = (owner, limit, loop.rows[number][2])
        label(index, {owner})
    elif what == "forget":
        index.forget_people([rest[0]])
        loop.rows = {n: r for n, r in loop.rows.items() if r[0] != rest[0]}
        for own in loop.members.values():
            own.discard(rest[0])
    else:
        change_members(what, rest, index, loop)


def change_members(what: str, rest: list, index: VectorIndex, loop: Loop) -> None:
    if what == "members":
        index.set_members([p for p, _ in rest[0]], [g for _, g in rest[0]])
        loop.members = {g: {p for p, other in rest[0] if other == g} for _, g in rest[0]}
        label(index, {p for p, _ in rest[0]})
    elif what == "group":
        index.set_group(rest[0], sorted(rest[1]))
        loop.members[rest[0]] = set(rest[1])
        label(index, rest[1])
    elif what == "join":
        index.join(*rest)
        loop.members.setdefault(rest[1], set()).add(rest[0])
        label(index, {rest[0]})
    else:
        index.leave(*rest)
        loop.members.get(rest[1], set()).discard(rest[0])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(step, min_size=1, max_size=10), k=st.integers(1, 7))
def test_agrees_with_the_loop_after_every_change(steps: list[tuple], k: int) -> None:
    index, loop = VectorIndex(space(8)), Loop()
    for change in steps:
        apply(change, index, loop)
        assert sorted(index.snapshot.samples.tolist()) == sorted(loop.rows)
        for groups in (None, {1}, {1, 2}, {3}):
            for fused in (False, True):
                found = index.snapshot.search(
                    POOL, k, groups=groups, template="fused" if fused else "best"
                )
                assert found == [loop.search(q, k, groups, fused=fused) for q in POOL]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of 256 rows, so that a few hundred rows have several and a rest."""
    for module in (_int8, _filter, _scan):
        monkeypatch.setattr(module, "BLOCK_ROWS", 256)
    return 256


@pytest.mark.parametrize("peak", [0, 63, 127])
@pytest.mark.parametrize("kind", ["random", "clustered", "leaning", "few different"])
def test_agrees_with_the_loop_at_size(small_blocks: int, peak: int, kind: str) -> None:
    rng = np.random.default_rng(5)
    rows, people = 11 * small_blocks + 99, 400
    owners = rng.integers(1, people + 1, rows)
    vectors = rng.standard_normal((rows, 24))
    if kind == "clustered":
        vectors = 0.5 * vectors + rng.standard_normal((people + 1, 24))[owners]
    elif kind == "leaning":
        vectors = 0.05 * vectors + rng.standard_normal(24)
    elif kind == "few different":
        vectors = vectors[rng.integers(0, 60, rows)]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    loop = Loop(
        {i + 1: (int(o), 0, v) for i, (o, v) in enumerate(zip(owners, vectors, strict=True))}
    )
    index = filled(vectors, owners.tolist(), peak)
    for number, share in ((1, 0.03), (2, 0.2), (3, 0.7)):
        chosen = np.flatnonzero(rng.random(people) < share) + 1
        index.set_group(number, chosen)
        loop.members[number] = set(chosen.tolist())
    gone = rng.choice(rows, rows // 10, replace=False) + 1
    index.drop(gone)
    loop.rows = {n: r for n, r in loop.rows.items() if n not in set(gone.tolist())}
    queries = np.concatenate([vectors[:3], units(2, 24, seed=9)])
    snapshot = index.snapshot
    for groups in (None, {1}, {2}, {3}, {1, 2}):
        for template in ("best", "fused"):
            everybody = [loop.search(q, 1000, groups, fused=template == "fused") for q in queries]
            for k, least in ((1, -2.0), (5, 0.2), (1000, -2.0)):
                options = {"groups": groups, "min_similarity": least, "template": template}
                expected = [[m for m in all_[:k] if m.similarity >= least] for all_ in everybody]
                assert snapshot.search(queries, k, **options) == expected
                assert [snapshot.search(q[None], k, **options)[0] for q in queries] == expected
    assert (index._screen.nbytes > 0) == (peak > 0)


def test_people_with_very_many_samples(small_blocks: int) -> None:
    # The sieve expects the highest scores to belong to several people; here one has them all.
    near, rest = np.repeat(units(1, 16), 1500, axis=0), units(600, 16, seed=2)
    vectors = near + 0.01 * units(1500, 16, seed=3)
    vectors = np.concatenate([vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rest])
    owners = [1] * 1500 + list(range(2, 602))
    index = filled(vectors.astype(np.float32), owners, peak=127)
    rows = enumerate(zip(owners, vectors.astype(np.float32), strict=True), 1)
    loop = Loop({n: (owner, 0, vector) for n, (owner, vector) in rows})
    for k in (1, 2, 50):
        assert index.snapshot.search(units(1, 16), k) == [loop.search(units(1, 16)[0], k)]


# -- labels and snapshots ---------------------------------------------------------------------


def test_names_are_labels() -> None:
    index = filled(units(2, 8), [1, 2])
    index.set_people([1], ["ada"], ["Ada Lovelace"])
    found = index.snapshot.search(units(1, 8), 2)[0]
    assert [(m.person, m.name) for m in found] == [("ada", "Ada Lovelace"), ("p2", "p2")]
    before = index.snapshot
    index.set_people([1], ["ada2"], ["Ada"])
    assert before.search(units(1, 8), 1)[0][0].person == "ada"
    assert index.snapshot.search(units(1, 8), 1)[0][0].person == "ada2"


def test_forgotten_labels_leave_memory() -> None:
    index = filled(units(2, 8), [1, 2])
    index.forget_people([1])
    assert "p1" not in index.snapshot._ids
    assert "p1" not in index.snapshot._names
    assert [m.person for m in index.snapshot.search(units(1, 8), 5)[0]] == ["p2"]
    index.extend([3], [7], [0], units(1, 8))
    label(index, {7})
    assert len(index.snapshot._ids) == 2  # the place was used again
    assert index.snapshot.search(units(1, 8), 1)[0][0].person == "p7"


def test_a_snapshot_does_not_change() -> None:
    index = filled(units(3, 8), [1, 2, 1])
    index.set_group(1, [1])
    before = index.snapshot
    whole, part = before.search(units(1, 8), 9), before.search(units(1, 8), 9, groups=[1])
    index.extend(range(4, 504), [3] * 500, [1] * 500, units(500, 8, seed=1))
    index.assign([1, 3], [2, 2], [0, 0])
    index.join(2, 1)
    index.leave(1, 1)
    index.keep([2])
    index.forget_people([1, 3])
    assert before.search(units(1, 8), 9) == whole
    assert before.search(units(1, 8), 9, groups=[1]) == part
    assert [m.person for m in index.snapshot.search(units(1, 8), 9)[0]] == ["p2"]


def test_removed_vectors_leave_memory() -> None:
    vectors = units(6000, 8)
    index = filled(vectors, list(range(6000)))
    index.drop(range(1, 100))  # few of many: marked for now
    assert len(index._vectors) >= 6000
    assert index.snapshot.rows == 5901
    index.compact()
    held = index._vectors[: index._rows]
    assert len(held) == 5901
    assert not (held == vectors[5]).all(axis=1).any()
    index.drop(range(100, 3000))  # a quarter and more: made anew at once
    assert index._rows == 3001
    small = filled(vectors[:3], [1, 2, 3])
    small.drop([1])
    assert small._rows == 2


def test_several_changes_are_seen_at_once() -> None:
    index = filled(units(3, 8), [1, 2, 3])
    before = index.snapshot
    with index.changing():
        index.drop([1])
        with index.changing():
            index.extend([9], [9], [0], units(1, 8))
        label(index, {9})
        assert index.snapshot is before
    assert sorted(index.snapshot.samples.tolist()) == [2, 3, 9]
    assert index.snapshot.last_sample == 9


def test_vectors_can_be_read_back() -> None:
    index = filled(units(3, 8), [1, 2, 3])
    assert (index.snapshot.vector(2) == units(3, 8)[1]).all()
    index.snapshot.vector(2)[:] = 0.0
    assert (index.snapshot.vector(2) == units(3, 8)[1]).all()
    index.drop([2])
    with pytest.raises(KeyError):
        index.snapshot.vector(2)


def test_a_number_may_come_back_with_another_vector() -> None:
    index = filled(units(5000, 8), list(range(5000)))
    index.drop([7])
    index.extend([7], [70], [0], units(1, 8, seed=5))
    label(index, {70})
    assert (index.snapshot.vector(7) == units(1, 8, seed=5)[0]).all()
    index.assign([7], [71], [0])
    label(index, {71})
    assert index.snapshot.search(units(1, 8, seed=5), 1)[0][0].person == "p71"
    index.drop([7])
    assert index.snapshot.rows == 4999


def test_memory_stays_below_its_bound() -> None:
    index = filled(units(20_480, 256), [i // 5 for i in range(20_480)], peak=127)
    for number in range(1, 12):
        index.set_group(number, range(number * 100, number * 100 + 200))
    for _ in range(3):
        for number in range(1, 12):
            index.snapshot.search(units(1, 256), 5, groups=[number])
    index.snapshot.search(units(1, 256), 5)
    raw = 20_480 * 256 * 4
    assert raw < index.snapshot.describe()["memory_bytes"] < 1.3 * raw


# -- threads ------------------------------------------------------------------------------------


def test_readers_see_whole_changes_only(small_blocks: int) -> None:
    pairs, done, errors = 150, threading.Event(), []
    index = filled(units(3 * small_blocks, 8, seed=3), [1] * (3 * small_blocks), peak=127)
    query = units(1, 8)

    def write() -> None:
        for number in range(1000, 1000 + 2 * pairs, 2):
            with index.changing():
                index.extend([number, number + 1], [number, number + 1], [0, 0], units(2, 8))
                label(index, {number, number + 1})
                index.set_group(1, [number, number + 1])
            if number % 20 == 0:
                with index.changing():
                    index.drop([number, number + 1])
                    index.forget_people([number, number + 1])

    def read() -> None:
        while not done.is_set():
            snapshot = index.snapshot
            keys = {int(m.person[1:]) for m in snapshot.search(query, 10_000)[0]} - {1}
            assert all(key ^ 1 in keys for key in keys)
            both = [m.person for m in snapshot.search(query, 5, groups=[1])[0]]
            assert len(both) in (0, 2)

    def guarded() -> None:
        try:
            read()
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=guarded) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        write()
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert index.snapshot.rows == 3 * small_blocks + 2 * pairs - 30
