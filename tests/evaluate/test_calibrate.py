from __future__ import annotations

import itertools

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.calibrate import _intervals, _Pairs, calibrate
from vultus.types import EmbeddingSpace

SPACE = EmbeddingSpace("test", "ab" * 32, 16, "arcface-112")


def _faces(people: int, each: int, seed: int = 1) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    centres = np.repeat(random.standard_normal((people, 16)), each, axis=0)
    found = centres + 0.6 * random.standard_normal(centres.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), [f"p{i // each}" for i in range(people * each)]


def test_rates_are_those_of_a_plain_loop():
    vectors, people = _faces(40, 3)
    made = calibrate(vectors, people, SPACE, "random faces", rounds=50, created="2026-01-02")
    genuine, impostor = [], []
    for i, j in itertools.combinations(range(len(people)), 2):
        (genuine if people[i] == people[j] else impostor).append(float(vectors[i] @ vectors[j]))
    assert (made.subjects, made.images) == (40, 120)
    assert (made.genuine, made.impostor) == (len(genuine), len(impostor)) == (120, 7020)
    for similarity, fmr, fnmr in zip(made.similarity, made.fmr, made.fnmr, strict=True):
        assert fmr == pytest.approx(np.mean(np.array(impostor) >= similarity - 1e-6), abs=2e-4)
        assert fnmr == pytest.approx(np.mean(np.array(genuine) < similarity - 1e-6), abs=1e-2)
    assert made.fmr[-1] == pytest.approx(30 / 7020)  # where 30 strangers are left
    assert made.created == "2026-01-02"


def test_intervals_are_those_of_resampled_people():
    random = np.random.default_rng(3)
    subjects = np.array(list(itertools.combinations(range(25), 2)), np.int32)
    scores = random.uniform(size=len(subjects)).astype(np.float32)
    pairs = _Pairs(scores, subjects, scores, subjects)
    limits = np.array([0.2, 0.9], np.float32)
    low, high = _intervals(pairs, limits, 25, 400, 7)
    draws = np.random.default_rng(7).multinomial(25, np.full(25, 1 / 25), 400)
    weights = draws[:, subjects[:, 0]] * draws[:, subjects[:, 1]]
    for k, limit in enumerate(limits):
        rates = (weights * (scores >= limit)).sum(axis=1) / weights.sum(axis=1)
        assert (low[k], high[k]) == pytest.approx(np.quantile(rates, [0.025, 0.975]), rel=1e-5)


def test_intervals_hold_the_rate_and_widen_with_fewer_people():
    few, many = (
        calibrate(*_faces(n, 3), SPACE, "random", rounds=200).fmr_at(0.5) for n in (25, 200)
    )
    assert few.low < few.value < few.high
    assert few.high - few.low > 2 * (many.high - many.low)


def test_the_same_seed_gives_the_same_file():
    faces = _faces(30, 3)
    texts = {
        calibrate(*faces, SPACE, "random", rounds=20, created="2026-01-01").to_json()
        for _ in range(2)
    }
    assert len(texts) == 1


def test_quality_costs_what_bad_pictures_lose():
    vectors, people = _faces(60, 4)
    quality = np.random.default_rng(2).uniform(size=len(people))
    blurred = vectors + (0.8 * (1 - quality))[:, None] * np.random.default_rng(4).standard_normal(
        vectors.shape
    )
    blurred = (blurred / np.linalg.norm(blurred, axis=1, keepdims=True)).astype(np.float32)
    made = calibrate(blurred, people, SPACE, "random", quality=quality, rounds=20)
    assert made.quality is not None
    assert len(made.quality.cost) == 5
    assert made.quality.cost[-1] == 0.0
    assert list(made.quality.cost) == sorted(made.quality.cost, reverse=True)
    assert made.quality.cost[0] > 0.1


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        (_faces(10, 4), "at least 20 people, got 10"),
        (_faces(40, 1), "at least 30 genuine pairs, got 0"),
        ((np.zeros((0, 16), np.float32), []), "at least 20 people, got 0"),
    ],
)
def test_too_little_data(faces, message):
    with pytest.raises(InsufficientDataError, match=message):
        calibrate(*faces, SPACE, "random")


def test_bad_input():
    vectors, people = _faces(30, 2)
    with pytest.raises(ShapeError):
        calibrate(vectors, people[1:], SPACE, "random")
    vectors[3, 3] = np.nan
    with pytest.raises(RangeError):
        calibrate(vectors, people, SPACE, "random")


def test_unknown_quality_is_left_out():
    vectors, people = _faces(40, 3)
    made = calibrate(
        vectors, people, SPACE, "random", quality=np.full(len(people), np.nan), rounds=20
    )
    assert made.quality is None


def test_of_very_many_pictures_some_people_are_drawn(monkeypatch: pytest.MonkeyPatch):
    vectors, people = _faces(40, 3)
    monkeypatch.setattr("vultus.evaluate.calibrate._MOST_PICTURES", 100)
    made = calibrate(vectors, people, SPACE, "random", rounds=20)
    assert 90 <= made.images <= 100
    assert made.images < len(people)
    assert made.data == f"random; {made.images} pictures of randomly drawn people"
