"""Intervals over subjects: weights by hand, coverage by simulation, determinism, speed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate.metrics import (
    Interval,
    Resampling,
    Scores,
    WeightedScores,
    bootstrap_scores,
    rule_of_three,
    verification_report,
    weighted,
)
from vultus.evaluate.metrics.bootstrap import bootstrap_subjects, rate_of
from vultus.evaluate.metrics.weighted import SortedScores, cumulative
from vultus.types import Rate


def test_weights_count_a_pair_as_often_as_its_repetition() -> None:
    rng = np.random.default_rng(3)
    genuine, impostor = rng.integers(0, 9, 12) / 9, rng.integers(0, 9, 20) / 9
    often_g, often_i = rng.integers(0, 4, 12), rng.integers(0, 4, 20)
    repeated = WeightedScores.of(Scores(genuine.repeat(often_g), impostor.repeat(often_i)))
    ordered = SortedScores.of(Scores(genuine, impostor))
    weighted = WeightedScores(
        ordered,
        cumulative(often_g.astype(float), ordered.genuine_order),
        cumulative(often_i.astype(float), ordered.impostor_order),
    )
    assert weighted.area() == pytest.approx(repeated.area())
    assert weighted.d_prime() == pytest.approx(repeated.d_prime())
    assert weighted.equal_error_rate().rate == pytest.approx(repeated.equal_error_rate().rate)
    for fmr in (0.1, 0.2, 0.5, 0.9):
        assert weighted.fnmr_at_fmr(fmr) == repeated.fnmr_at_fmr(fmr)


def test_sums_in_blocks_are_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighted, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, 10).astype(float)
    first, second = rng.integers(0, 10, (2, 40))
    expected = np.concatenate([[0], np.cumsum(counts[first] * counts[second])])
    assert cumulative(counts, first, second).tolist() == expected.tolist()
    assert cumulative(counts, first)[-1] == counts[first].sum()


def test_a_round_weighs_genuine_pairs_by_their_subject_and_impostors_by_the_product() -> None:
    subjects = [["a", "a"], ["b", "b"], ["a", "b"], ["a", "c"], ["b", "c"]]
    scores = Scores.from_labels([0.9, 0.8, 0.3, 0.2, 0.1], [1, 1, 0, 0, 0], subjects)
    seen = bootstrap_scores(
        scores,
        lambda drawn: [*np.diff(drawn.genuine), *np.diff(drawn.impostor)],
        Resampling(rounds=200),
    )
    for b, a, bc, ac, ab in seen:  # by rising score
        # a and b were drawn so often; c makes three.
        c = 3 - a - b
        assert (ab, ac, bc) == (a * b, a * c, b * c)
    assert seen[:, :2].mean() == pytest.approx(1.0, abs=0.2)


def test_rounds_that_hold_no_pair_are_left_out() -> None:
    subjects = [["a", "a"], ["b", "b"], ["a", "b"]]
    scores = Scores.from_labels([0.9, 0.8, 0.3], [1, 1, 0], subjects)
    rounds = bootstrap_scores(scores, lambda drawn: [drawn.impostor[-1]], Resampling(rounds=100))
    assert 30 < len(rounds) < 70  # half of the draws of two people are the same person twice
    assert set(rounds[:, 0]) == {1.0}


def test_equal_seeds_give_equal_intervals_whatever_the_threads() -> None:
    rng = np.random.default_rng(0)
    scores = Scores.from_embeddings(_unit(rng.normal(size=(60, 4))), np.arange(60) // 3)
    reports = [
        verification_report(scores, (0.1,), Resampling(rounds=50, jobs=jobs, seed=seed))
        for jobs, seed in ((1, 0), (2, 0), (1, 1))
    ]
    found = [report.points[0].fnmr_interval for report in reports]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_intervals_over_subjects_are_wider_than_over_pairs_and_hold_the_truth() -> None:
    """FMR of pairs whose score depends on the people in them: pairs are far from independent."""
    truth, inside, widths = 0.158655, 0, []  # Phi(-1) of a standard normal
    for seed in range(60):
        rng = np.random.default_rng(seed)
        own = rng.normal(0, np.sqrt(0.5), 60)  # half of the variance is the people's
        first, second = np.triu_indices(60, 1)
        impostor = (own[first] + own[second]) * np.sqrt(0.5) + rng.normal(
            0, np.sqrt(0.5), len(first)
        )
        scores = Scores(
            np.full(60, 9.0), impostor, np.arange(60), np.stack([first, second], axis=1)
        )
        cut = int(np.sort(impostor).searchsorted(1.0))
        rounds = bootstrap_scores(scores, lambda d, cut=cut: [d.fmr(cut)], Resampling(rounds=200))
        low, high = np.quantile(rounds, [0.025, 0.975])
        inside += low <= truth <= high
        widths.append(high - low)
    by_pairs = 2 * 1.96 * np.sqrt(truth * (1 - truth) / (60 * 59 / 2))
    assert np.mean(widths) > 1.5 * by_pairs
    assert inside >= 52  # 95 % of 60 is 57; fewer than 52 has a chance below 1 %


def test_no_error_seen_is_not_no_error() -> None:
    scores = Scores.from_embeddings(np.eye(40).repeat(2, axis=0), np.arange(40).repeat(2))
    report = verification_report(scores, (0.1,), Resampling(rounds=20))
    (point,) = report.points
    assert point.fnmr_interval == Rate(0.0, 0.0, rule_of_three(40))
    assert point.fmr_interval.high == pytest.approx(0.0722, abs=1e-4)
    assert report.d_prime == Interval(float("inf"), float("inf"), float("inf"))


def test_rates_hold_the_measured_value_and_all_errors_are_not_certain() -> None:
    how = Resampling(confidence=0.9)
    assert rate_of(0.5, np.array([0.6, 0.7]), how, subjects=9).low == 0.5
    certain = rate_of(1.0, np.ones(5), how, subjects=10, errors=1.0)
    assert (certain.low, certain.high) == (pytest.approx(0.1 ** (1 / 10)), 1.0)


def test_one_subject_is_refused() -> None:
    with pytest.raises(InsufficientDataError, match="at least 2 subjects, there are 1"):
        bootstrap_subjects(np.zeros(5, int), lambda w: [w.sum()], Resampling())


def test_draws_that_mostly_hold_nothing_are_refused() -> None:
    with pytest.raises(InsufficientDataError, match=r"too few subjects \(3\)"):
        bootstrap_subjects(np.arange(3), lambda _: None, Resampling(rounds=10))


@pytest.mark.parametrize(
    "options", [{"rounds": -1}, {"jobs": 0}, {"confidence": 1.0}, {"confidence": 0.0}]
)
def test_how_to_resample_is_checked(options) -> None:
    with pytest.raises(RangeError):
        Resampling(**options)


def test_a_million_scores_take_a_fraction_of_a_second_per_round() -> None:
    """1,000 rounds of a million scores in under a minute means 60 ms a round."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 1000, 1_000_000), rng.integers(1, 1000, 1_000_000)
    second = (first + second) % 1000
    genuine = rng.integers(0, 1000, 50_000)
    scores = Scores(
        rng.normal(0.7, 0.15, 50_000),
        rng.normal(0, 0.15, 1_000_000),
        genuine,
        np.stack([first, second], axis=1),
    )
    fmrs = (1e-1, 1e-2, 1e-3, 1e-4)
    plain = Resampling(rounds=0)
    began = time.process_time()
    verification_report(scores, fmrs, plain)
    alone = time.process_time() - began
    began = time.process_time()
    verification_report(scores, fmrs, Resampling(rounds=20))
    assert (time.process_time() - began - alone) / 20 < 0.06


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
