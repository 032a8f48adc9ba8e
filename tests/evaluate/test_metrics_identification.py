"""Identification metrics against searches worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.metrics import (
    Resampling,
    Searches,
    cmc,
    false_negative_identification_rate,
    false_positive_identification_rate,
    fnir_at_fpir,
    identification,
    rank_rate,
    search_gallery,
)

GALLERY = np.eye(4)  # ada, bob, cy, and a second picture of ada
PEOPLE = ["ada", "bob", "cy", "ada"]
PROBES = np.array(
    [
        [0.1, 0.2, 0.3, 0.9],  # ada: her second picture is the best: rank 1
        [0.5, 0.4, 0.6, 0.0],  # bob: after cy and ada: rank 3
        [0.0, 0.7, 0.7, 0.0],  # cy: as similar as bob, which counts against us: rank 2
        [0.2, 0.3, 0.8, 0.1],  # dan, who is not enrolled
        [0.3, 0.1, 0.2, 0.0],  # eve, neither
    ]
)
NAMES = ["ada", "bob", "cy", "dan", "eve"]


@pytest.fixture
def searches() -> Searches:
    return search_gallery(PROBES, NAMES, GALLERY, PEOPLE)


def test_a_search_finds_ranks_and_similarities(searches: Searches) -> None:
    assert searches.enrolled == 3
    assert searches.mated.tolist() == [True, True, True, False, False]
    assert searches.mate_rank.tolist() == [1, 3, 2, 0, 0]
    assert searches.mate_similarity.tolist() == [0.9, 0.4, 0.7, -np.inf, -np.inf]
    assert searches.top_similarity.tolist() == [0.9, 0.6, 0.7, 0.8, 0.3]
    assert (searches.mated_count, searches.nonmated_count) == (3, 2)


def test_blocks_of_probes_change_nothing(searches: Searches, monkeypatch) -> None:
    monkeypatch.setattr(identification, "_BLOCK_CELLS", 8)
    again = search_gallery(PROBES, NAMES, GALLERY, PEOPLE)
    assert again.mate_rank.tolist() == searches.mate_rank.tolist()
    assert again.top_similarity.tolist() == searches.top_similarity.tolist()


def test_cmc(searches: Searches) -> None:
    assert cmc(searches, 4) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert rank_rate(searches, 2) == pytest.approx(2 / 3)


def test_open_set_rates(searches: Searches) -> None:
    assert false_positive_identification_rate(searches, [0.3, 0.31, 0.81]).tolist() == [1, 0.5, 0]
    rates = false_negative_identification_rate(searches, [0.4, 0.5, 0.8], rank=None)
    assert rates == pytest.approx([0, 1 / 3, 2 / 3])
    # Looking at the first candidate only, bob and cy are never found.
    assert false_negative_identification_rate(searches, [0.0, 0.9]) == pytest.approx([2 / 3] * 2)
    assert false_negative_identification_rate(searches, 0.7, rank=2) == pytest.approx(1 / 3)


def test_fnir_at_fpir(searches: Searches) -> None:
    point = fnir_at_fpir(searches, 0.5, rank=3)
    assert point.threshold == np.nextafter(0.3, 1)  # dan may pass, eve may not
    assert (point.fpir, point.false_positives, point.nonmated) == (0.5, 1, 2)
    assert (point.fnir, point.false_negatives, point.mated) == (0.0, 0, 3)
    assert fnir_at_fpir(searches, 0.5).fnir == pytest.approx(2 / 3)
    assert point.to_dict()["tpir"] == 1.0
    assert not point.dependable


def test_too_few_strangers_are_refused(searches: Searches) -> None:
    with pytest.raises(InsufficientDataError) as told:
        fnir_at_fpir(searches, 0.01)
    assert told.value.message.startswith("FPIR 0.01 takes at least 100 non-mated searches")
    assert (told.value.fields["expected"], told.value.fields["actual"]) == (100, 2)
    assert told.value.fields["subjects"] is None


def test_closed_sets_have_no_fpir_and_open_ones_without_mates_no_fnir(searches: Searches) -> None:
    closed = search_gallery(PROBES[:3], NAMES[:3], GALLERY, PEOPLE)
    with pytest.raises(InsufficientDataError, match="the subject of every probe is enrolled"):
        fnir_at_fpir(closed, 0.5)
    strangers = search_gallery(PROBES[3:], NAMES[3:], GALLERY, PEOPLE)
    with pytest.raises(InsufficientDataError, match="the subject of no probe is enrolled"):
        cmc(strangers)


def test_intervals_are_over_subjects() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 8))
    gallery = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    probes = (centres + 0.9 * rng.normal(size=(5, 60, 8))).reshape(-1, 8)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    names = np.tile(np.arange(60), 5)
    found = search_gallery(probes, names, gallery[:30], np.arange(30))
    how = Resampling(rounds=200, seed=1)
    rate = rank_rate(found, 1, how)
    assert 0 < rate.low < rate.value < rate.high < 1
    point = fnir_at_fpir(found, 0.1, how=how)
    assert point.fpir_interval.low < point.fpir < point.fpir_interval.high
    assert point.fnir_interval.low < point.fnir < point.fnir_interval.high
    assert point == fnir_at_fpir(found, 0.1, how=how)
    assert point.to_dict()["fnir_interval"]["confidence"] == 0.95


def test_bad_input() -> None:
    with pytest.raises(InsufficientDataError, match="the gallery are empty"):
        search_gallery(PROBES, NAMES, np.zeros((0, 4)), [])
    with pytest.raises(ShapeError, match="as long as the gallery"):
        search_gallery(PROBES[:, :3], NAMES, GALLERY, PEOPLE)
    with pytest.raises(ShapeError, match="one per row"):
        search_gallery(PROBES, NAMES[:2], GALLERY, PEOPLE)
    with pytest.raises(RangeError, match="finite"):
        search_gallery(PROBES * np.nan, NAMES, GALLERY, PEOPLE)
    found = search_gallery(PROBES, NAMES, GALLERY, PEOPLE)
    with pytest.raises(RangeError, match="max_rank >= 1"):
        cmc(found, 0)
    with pytest.raises(RangeError, match="rank must be at least 1"):
        fnir_at_fpir(found, 0.5, rank=0)
