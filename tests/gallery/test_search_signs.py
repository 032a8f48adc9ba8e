"""The approximate index: what it finds, how well that was measured, when it is not used."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.gallery.search import signs as _signs
from vultus.gallery.search import snapshot as _snapshot
from vultus.gallery.search.index import VectorIndex
from vultus.gallery.search.signs import Plan, Signs, directions, read_plan
from vultus.types import EmbeddingSpace

DIMENSION = 64
PEOPLE, SAMPLES = 4000, 3

pytestmark = pytest.mark.skipif(
    not hasattr(np, "bitwise_count"), reason="the approximate index needs NumPy 2"
)

Vectors = NDArray[np.float32]


def units(vectors: NDArray[np.floating]) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def faces(people: NDArray[np.int64], seed: int, likeness: float = 0.6) -> Vectors:
    """Samples of people: two of the same person have about this cosine, others about none."""
    centres = units(np.random.default_rng(1).standard_normal((PEOPLE + 1, DIMENSION)))
    noise = units(np.random.default_rng(seed).standard_normal((len(people), DIMENSION)))
    return units(likeness**0.5 * centres[people] + (1.0 - likeness) ** 0.5 * noise)


OWNERS = np.repeat(np.arange(1, PEOPLE + 1), SAMPLES)


def filled() -> VectorIndex:
    index = VectorIndex(EmbeddingSpace("test", "0" * 64, DIMENSION, "none"))
    ids = [f"p{key}" for key in range(1, PEOPLE + 1)]
    with index.changing():
        index.extend(np.arange(len(OWNERS)) + 1, OWNERS, np.zeros(len(OWNERS)), faces(OWNERS, 2))
        index.set_people(range(1, PEOPLE + 1), ids, ids)
        index.set_group(1, range(1, 21))
        index.set_group(2, range(1, PEOPLE // 2 + 1))
    return index


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve thousand samples are many here."""
    monkeypatch.setattr(_snapshot, "LIMIT", 10_000 * DIMENSION)
    monkeypatch.setattr(_signs, "_CHOICES", ((64, 20), (128, 20), (256, 200)))


@pytest.fixture(scope="module")
def exact() -> VectorIndex:
    return filled()


def names(found: list[list[object]]) -> list[str]:
    return [matches[0].person for matches in found]  # type: ignore[attr-defined]


# -- plans ----------------------------------------------------------------------------------


def test_the_recall_of_a_plan_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_signs, "_RECALL_LEAST", 0.0)
    for choice, low, high in (
        ((64, 50), 0.7, 0.95),
        ((128, 50), 0.9, 0.999),
        ((256, 200), 0.99, 1.0),
    ):
        monkeypatch.setattr(_signs, "_CHOICES", (choice,))
        index = filled()
        plan = read_plan(index.optimise())
        assert plan is not None
        assert (plan.bits, plan.candidates, plan.rows) == (*choice, len(OWNERS))
        assert plan.source == "held-out samples"
        assert 300 < plan.queries <= 500
        info = index.snapshot.describe()
        assert (info["kind"], info["recall"]) == ("approximate", plan.recall)
        assert info["parameters"]["bits"] == choice[0]
        assert info["samples_indexed"] == len(OWNERS)
        # The same question asked of 600 people, whose first sample is taken out of the gallery.
        taken = np.arange(0, len(OWNERS), 20)
        index.drop(taken + 1)
        queries = faces(OWNERS, 2)[taken]
        truth = names(index.snapshot.search(queries, 201))  # so many are sought exactly
        own = [name == f"p{owner}" for name, owner in zip(truth, OWNERS[taken], strict=True)]
        found = names(index.snapshot.search(queries, 1))
        recall = np.mean([a == b for a, b in zip(found, truth, strict=True)], where=own)
        assert low <= plan.recall <= high
        assert plan.recall == pytest.approx(recall, abs=0.05)


def test_the_cheapest_plan_that_is_good_enough_is_taken(
    exact: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_signs, "_CHOICES", ((64, 20), (128, 20), (256, 500), (512, 500)))
    plan = read_plan(exact.snapshot.plan())
    assert plan is not None
    assert plan.bits == 256
    monkeypatch.setattr(_signs, "_RECALL_AIM", 0.5)
    monkeypatch.setattr(_signs, "_RECALL_LEAST", 0.5)
    plan = read_plan(exact.snapshot.plan())
    assert plan is not None
    assert plan.bits == 64


def test_without_several_samples_of_a_person_samples_are_turned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_signs, "_CHOICES", ((256, 500),))
    index = VectorIndex(EmbeddingSpace("test", "0" * 64, 128, "none"))
    numbers = np.arange(1, 8001)
    vectors = units(np.random.default_rng(5).standard_normal((8000, 128)))
    index.extend(numbers, numbers, np.zeros(8000), vectors)
    plan = read_plan(index.optimise())
    assert plan is not None
    assert plan.source == "samples turned to cosine 0.5"
    assert plan.recall >= 0.99
    assert plan.queries > 400


def test_no_plan_where_none_finds_the_right_people() -> None:
    # In three dimensions everybody is near somebody else.
    index = VectorIndex(EmbeddingSpace("test", "0" * 64, 3, "none"))
    rows = 10_000 * DIMENSION // 3 + 1
    vectors = units(np.random.default_rng(5).standard_normal((rows, 3)))
    index.extend(range(1, rows + 1), np.arange(rows) + 1, np.zeros(rows), vectors)
    assert index.optimise() is None
    info = index.snapshot.describe()
    assert (info["kind"], info["recall"]) == ("exact", 1.0)
    assert "no approximate index" in info["why"]


def test_a_small_gallery_needs_no_plan() -> None:
    index = VectorIndex(EmbeddingSpace("test", "0" * 64, DIMENSION, "none"))
    index.extend([1, 2], [1, 2], [0, 0], faces(np.array([1, 2]), 3))
    assert index.optimise() is None
    index.use_plan(Plan(256, 200, 1.0, 500, "held-out samples", 12_000).text())
    info = index.snapshot.describe()
    assert (info["kind"], info["why"]) == ("exact", "up to 10,000 samples exact search is fast")
    assert index.snapshot.search(faces(np.array([1]), 3), 1)[0][0].sample == 1


def test_a_plan_is_a_short_text_of_numbers() -> None:
    plan = Plan(256, 200, 0.9990, 500, "held-out samples", 12_000)
    assert read_plan(plan.text()) == plan
    assert len(plan.text()) < 200


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"kind": "lists"}, {"bits": 100}, {"bits": 0}, {"recall": 1.5}, {"rows": "x"}],
)
def test_what_is_no_plan_of_ours_is_not_used(exact: VectorIndex, change: dict[str, object]) -> None:
    text = Plan(256, 200, 1.0, 500, "held-out samples", 12_000).text()
    assert read_plan(json.dumps(json.loads(text) | change)) is None
    for broken in (None, "", text[:-5], "[]", "null"):
        assert read_plan(broken) is None
    exact.use_plan(text[:-5])
    info = exact.snapshot.describe()
    assert (info["kind"], info["recall"]) == ("exact", 1.0)


# -- search ---------------------------------------------------------------------------------


@pytest.fixture
def index() -> VectorIndex:
    index = filled()
    index.use_plan(Plan(256, 200, 1.0, 500, "held-out samples", len(OWNERS)).text())
    return index


def test_similarities_are_exact(index: VectorIndex, exact: VectorIndex) -> None:
    queries = faces(np.arange(1, 101), 6)
    found, truth = index.snapshot.search(queries, 1), exact.snapshot.search(queries, 1)
    assert np.mean([a == b for a, b in zip(found, truth, strict=True)]) > 0.97
    assert index.snapshot.search(queries[:1], 1, min_similarity=0.999) == [[]]


def test_what_is_new_is_found_and_what_is_gone_is_not(index: VectorIndex) -> None:
    query = faces(np.array([7]), 8)
    index.snapshot.search(query, 1)
    index.extend([20_000], [7], [0], query)
    assert index.snapshot.search(query, 1)[0][0].sample == 20_000
    index.drop([20_000])
    assert index.snapshot.search(query, 1)[0][0].sample != 20_000
    index.forget_people([7])
    assert "p7" not in [m.person for m in index.snapshot.search(query, 50)[0]]
    index.keep(range(1, 11_000))
    index.compact()
    rows, signs = index._rows, index._signs
    index.snapshot.search(query, 1)
    assert signs is not None
    assert signs._rows == rows == 11_000 - 1 - SAMPLES


def test_filters_hold(index: VectorIndex, exact: VectorIndex) -> None:
    queries = faces(np.array([3, 1500, 3900]), 9)
    for groups in ([1], [2], [1, 2]):
        allowed = {f"p{key}" for key in range(1, 21 if groups == [1] else PEOPLE // 2 + 1)}
        for matches in index.snapshot.search(queries, 20, groups=groups):
            assert {match.person for match in matches} <= allowed
            assert len(matches) == 20
    few = {"groups": [1]}
    assert index.snapshot.search(queries, 20, **few) == exact.snapshot.search(queries, 20, **few)
    assert index.snapshot.search(queries, 1, groups=[2])[1][0].person == "p1500"


def test_what_codes_cannot_answer_is_answered_exactly(
    index: VectorIndex, exact: VectorIndex
) -> None:
    query = faces(np.array([3]), 9)
    for options in ({"k": 21}, {"k": 5000}, {"k": 3, "template": "fused"}):
        found = index.snapshot.search(query, **options)
        assert found == exact.snapshot.search(query, **options)


# -- codes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "bits"), [(64, 64), (64, 256), (100, 192)])
def test_directions_are_unit_and_at_right_angles(dimension: int, bits: int) -> None:
    found = directions(dimension, bits)
    assert found.shape == (dimension, bits)
    own = min(dimension, bits)
    assert found[:, :own].T @ found[:, :own] == pytest.approx(np.eye(own), abs=1e-5)
    assert (found == directions(dimension, bits)).all()


def test_distances_by_hand() -> None:
    codes = np.array([[0b1011, 0, 2**64 - 1], [0, 1, 2**64 - 1]], dtype=np.uint64)
    code = np.array([0b0011, 0], dtype=np.uint64)
    assert _signs._distances(codes, code).tolist() == [1, 3, 62 + 64]
    longer = np.concatenate([codes, codes, codes])
    assert _signs._distances(longer, np.tile(code, 3)).tolist() == [3, 9, 378]


def test_distances_grow_with_the_angle() -> None:
    signs = Signs(512, Plan(512, 100, 1.0, 1, "", 1))
    vectors = units(np.random.default_rng(0).standard_normal((2000, 512)))
    vectors[1::2] = -vectors[::2]  # the mean is no direction
    codes = signs.cover(vectors)
    away = units(vectors[:1] + 3**0.5 * vectors[2:3])  # 60 degrees: a third of the bits
    distance = _signs._distances(codes, signs.encode(away)[0])
    assert distance[0] == pytest.approx(512 / 3, abs=4 * (512 * 2 / 9) ** 0.5)
    assert distance[1] == pytest.approx(512 * 2 / 3, abs=4 * (512 * 2 / 9) ** 0.5)


def test_lowest_distances() -> None:
    distances = np.repeat(np.arange(100, dtype=np.uint8), 64)
    rows = _signs._lowest(distances, None, 640, 256)
    assert rows.tolist() == list(range(len(rows)))
    assert 320 <= len(rows) <= 704
    denied = np.zeros(len(distances), dtype=np.bool_)
    denied[:640] = True
    rows = _signs._lowest(distances, denied, 640, 256)
    assert rows[0] == 640
    assert 320 <= len(rows) <= 704
    # No row in sixteen is near: the first guess finds nothing and is widened.
    odd = np.where(np.arange(6400) % 16 == 0, 0, 9).astype(np.uint8)
    assert len(_signs._lowest(odd, np.arange(6400) % 16 == 0, 1000, 64)) == 6000
    every = np.ones(64, dtype=np.uint8)
    assert len(_signs._lowest(every, np.ones(64, dtype=np.bool_), 10, 64)) == 0
