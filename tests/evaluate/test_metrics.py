"""Verification metrics against lists worked out by hand, and against scikit-learn."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import DtypeError, InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.metrics import (
    Resampling,
    Scores,
    WeightedScores,
    accuracy,
    accuracy_threshold,
    area_under_curve,
    d_prime,
    equal_error_rate,
    error_curve,
    false_match_rate,
    false_non_match_rate,
    fnmr_at_fmr,
    need_for,
    rule_of_three,
    threshold_at_fmr,
    verification_report,
)

TEN = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def small() -> Scores:
    return Scores(np.array([0.9, 0.8, 0.4]), np.array([0.5, 0.4, 0.3, 0.1]))


# -- rates at a threshold -----------------------------------------------------------------------


def test_reaching_the_threshold_is_accepted() -> None:
    assert false_match_rate([0.5, 0.4, 0.3, 0.1], 0.4) == 0.5
    assert false_match_rate([0.5, 0.4, 0.3, 0.1], 0.41) == 0.25
    assert false_non_match_rate([0.9, 0.8, 0.4], 0.4) == 0.0
    assert false_non_match_rate([0.9, 0.8, 0.4], 0.5) == pytest.approx(1 / 3)


def test_rates_take_many_thresholds_in_any_shape() -> None:
    found = false_match_rate(TEN, [[0.0, 0.05], [0.9, 1.0]])
    assert found.tolist() == [[1.0, 0.9], [0.1, 0.0]]
    assert false_non_match_rate(TEN, [0.0, 0.9, np.inf]).tolist() == [0.0, 0.9, 1.0]


def test_accuracy_counts_a_similarity_that_equals_the_threshold_as_the_same_person() -> None:
    scores = Scores.from_labels([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert accuracy(scores, 0.7) == 0.75  # only 0.8 is wrong
    assert accuracy(scores, 0.71) == 0.5  # and now 0.7 as well


@pytest.mark.parametrize(
    ("similarities", "same", "best"),
    [
        ([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 0], 0.55),  # midway between two separate groups
        ([0.9, 0.7, 0.6, 0.2], [1, 0, 1, 0], 0.4),  # one of two best cuts, not their mean
        ([0.2, 0.3, 0.6, 0.7, 0.9], [0, 1, 0, 1, 1], 0.25),
        ([0.5, 0.5, 0.9, 0.1], [1, 0, 1, 0], 0.3),  # equal ones alike; of two cuts the lower
    ],
)
def test_the_most_accurate_threshold(similarities, same, best) -> None:
    assert accuracy_threshold(Scores.from_labels(similarities, same)) == pytest.approx(best)


# -- operating points ---------------------------------------------------------------------------


def test_threshold_at_fmr_lets_just_the_allowed_share_pass() -> None:
    assert 0.7 < threshold_at_fmr(TEN, 0.2) < 0.7001
    assert 0.8 < threshold_at_fmr(TEN, 0.19) < 0.8001
    assert threshold_at_fmr(TEN[::-1], 0.2) == threshold_at_fmr(TEN, 0.2)


def test_equal_impostors_stay_out_together() -> None:
    impostor = [0.1] * 8 + [0.9, 0.9]
    assert threshold_at_fmr(impostor, 0.1) == np.nextafter(0.9, 1)
    assert threshold_at_fmr(impostor, 0.2) == np.nextafter(0.1, 1)


def test_fnmr_at_fmr_tells_counts_and_rates() -> None:
    point = fnmr_at_fmr(small(), 0.25)
    assert point.threshold == np.nextafter(0.4, 1)  # 0.5 may pass, 0.4 may not
    assert (point.fmr, point.false_matches, point.impostor) == (0.25, 1, 4)
    assert (point.fnmr, point.false_non_matches, point.genuine) == (pytest.approx(1 / 3), 1, 3)
    assert point.tar == pytest.approx(2 / 3)
    assert not point.dependable  # one false match is far from thirty
    assert fnmr_at_fmr(small(), 0.49).fmr == 0.25  # never above the target
    assert fnmr_at_fmr(small(), 0.5).threshold == np.nextafter(0.3, 1)


def test_thirty_errors_are_dependable() -> None:
    scores = Scores(np.ones(3), np.arange(1000) / 1000)
    assert fnmr_at_fmr(scores, 0.03).dependable
    assert not fnmr_at_fmr(scores, 0.029).dependable


def test_a_target_out_of_reach_is_refused_and_says_what_it_takes() -> None:
    with pytest.raises(InsufficientDataError) as told:
        fnmr_at_fmr(Scores(np.ones(5), np.zeros(9_999)), 1e-4)
    assert str(told.value) == (
        "FMR 0.0001 takes at least 10,000 impostor comparisons to be seen at all (300,000 to be "
        "dependable, by the rule of 30), there are 9,999; add impostor comparisons: 142 people "
        "with one picture each give 10,000, or aim at a higher FMR"
    )
    assert told.value.fields == {
        "expected": 10_000,
        "actual": 9_999,
        "rule_of_3": 30_000,
        "rule_of_30": 300_000,
        "subjects": 142,
        "rate": 1e-4,
    }
    assert fnmr_at_fmr(Scores(np.ones(5), np.zeros(10_000)), 1e-4).fmr == 0.0


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, float("nan")])
def test_a_target_must_be_a_share(target: float) -> None:
    with pytest.raises(RangeError, match=r"FMR to aim at must lie in \(0, 1\)"):
        fnmr_at_fmr(small(), target)


def test_what_a_rate_takes() -> None:
    need = need_for(1e-3)
    assert (need.least, need.rule_of_3, need.rule_of_30) == (1000, 3000, 30_000)
    assert need.subjects == 46  # 46 * 45 / 2 = 1035, 45 * 44 / 2 = 990
    assert need_for(1.0).subjects == 2


def test_the_rule_of_three() -> None:
    assert rule_of_three(1000) == pytest.approx(3 / 1000, rel=0.01)
    assert rule_of_three(1) == pytest.approx(0.95)


# -- curves -------------------------------------------------------------------------------------


def test_the_error_curve_has_every_distinct_score_and_infinity() -> None:
    curve = error_curve(small())
    assert curve.threshold.tolist() == [0.1, 0.3, 0.4, 0.5, 0.8, 0.9, np.inf]
    assert curve.fmr.tolist() == [1.0, 0.75, 0.5, 0.25, 0, 0, 0]
    assert curve.fnmr == pytest.approx([0, 0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    assert curve.tar == pytest.approx([1, 1, 1, 2 / 3, 2 / 3, 1 / 3, 0])


def test_a_thinned_curve_keeps_ends_and_decades() -> None:
    rng = np.random.default_rng(0)
    scores = Scores(rng.normal(2, 1, 5000), rng.normal(0, 1, 50_000))
    curve = error_curve(scores, points=100)
    assert 60 < len(curve.fmr) <= 104
    assert (curve.fmr[0], curve.fmr[-1], curve.threshold[-1]) == (1.0, 0.0, np.inf)
    assert (np.diff(curve.fmr) <= 0).all()
    assert ((curve.fmr > 0) & (curve.fmr < 1e-3)).sum() >= 5
    whole = error_curve(scores)
    rows = set(zip(whole.threshold, whole.fmr, whole.fnmr, strict=True))
    assert set(zip(curve.threshold, curve.fmr, curve.fnmr, strict=True)) <= rows
    assert error_curve(small(), points=100).fmr.tolist() == error_curve(small()).fmr.tolist()


def test_equal_error_rate_by_hand() -> None:
    # At 0.4: FMR 1/2, FNMR 0. At 0.5: 1/4 and 1/3. Between them FMR = 1/2 - a/4, FNMR = a/3:
    # equal at a = 6/7, so 2/7.
    found = equal_error_rate(small())
    assert found.rate == pytest.approx(2 / 7)
    assert found.threshold == 0.5


def test_equal_error_rate_of_separate_and_of_equal_scores() -> None:
    assert equal_error_rate(Scores(np.array([0.9]), np.array([0.1]))).rate == 0.0
    assert equal_error_rate(Scores(np.array([0.1]), np.array([0.9]))).rate == 1.0
    assert equal_error_rate(Scores(np.array([0.5]), np.array([0.5]))).rate == 0.5


def test_area_counts_ties_half() -> None:
    # Of 12 comparisons 0.4 beats 0.3 and 0.1, ties with 0.4, and loses to 0.5.
    assert area_under_curve(small()) == pytest.approx((4 + 4 + 2 + 0.5) / 12)


def test_d_prime_by_hand() -> None:
    scores = Scores(np.array([4.0, 6.0]), np.array([0.0, 2.0]))  # means 5 and 1, variances 1
    assert d_prime(scores) == pytest.approx(4.0)
    assert d_prime(Scores(np.array([1.0, 1.0]), np.array([0.0]))) == float("inf")
    assert d_prime(Scores(np.array([1.0, 1.0]), np.array([1.0]))) == 0.0
    far = Scores(np.array([1e6 + 4, 1e6 + 6]), np.array([1e6, 1e6 + 2]))
    assert d_prime(far) == pytest.approx(4.0, rel=1e-6)


# -- scikit-learn -------------------------------------------------------------------------------


SCORES = st.lists(st.integers(0, 12), min_size=1, max_size=30)


@settings(deadline=None)  # the first call loads scikit-learn
@given(SCORES, SCORES)
def test_curve_area_and_equal_error_rate_are_those_of_scikit_learn(genuine, impostor) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    optimize = pytest.importorskip("scipy.optimize")
    scores = Scores(np.array(genuine) / 12, np.array(impostor) / 12)
    same = [1] * len(genuine) + [0] * len(impostor)
    values = np.concatenate([scores.genuine, scores.impostor])
    assert area_under_curve(scores) == pytest.approx(metrics.roc_auc_score(same, values))
    fpr, tpr, thresholds = metrics.roc_curve(same, values, drop_intermediate=False)
    curve = error_curve(scores)
    assert curve.threshold == pytest.approx(thresholds[::-1])
    assert curve.fmr == pytest.approx(fpr[::-1])
    assert curve.tar == pytest.approx(tpr[::-1])
    gap = tpr + fpr - 1.0  # rises along the curve; the root of its polyline
    at = optimize.brentq(lambda x: np.interp(x, np.arange(len(gap)), gap), 0, len(gap) - 1)
    expected = np.interp(at, np.arange(len(fpr)), fpr)
    assert equal_error_rate(scores).rate == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(SCORES, SCORES, st.integers(1, 99))
def test_the_threshold_is_the_lowest_that_keeps_the_target(genuine, impostor, percent) -> None:
    scores, target = Scores(np.array(genuine) / 12, np.array(impostor) / 12), percent / 100
    if target * len(impostor) < 1 - 1e-9:
        with pytest.raises(InsufficientDataError):
            fnmr_at_fmr(scores, target)
        return
    point = fnmr_at_fmr(scores, target)
    assert point.fmr == false_match_rate(scores.impostor, point.threshold) <= target + 1e-12
    assert point.fnmr == false_non_match_rate(scores.genuine, point.threshold)
    below = np.nextafter(point.threshold, -np.inf)
    assert false_match_rate(scores.impostor, below) > target - 1e-12
    assert WeightedScores.of(scores).fnmr_at_fmr(target) == point.fnmr


# -- bad input ----------------------------------------------------------------------------------


def test_lists_of_unequal_length() -> None:
    with pytest.raises(ShapeError, match=r"must have shape \(2\), got \(3,\)"):
        Scores.from_labels([0.1, 0.2], [True, False, True])
    with pytest.raises(ShapeError, match="subjects, two per similarity"):
        Scores.from_labels([0.1, 0.2], [True, False], [["a", "a"]])


def test_nan_scores() -> None:
    with pytest.raises(RangeError, match="similarities must be finite, number 1 is nan"):
        Scores.from_labels([0.1, float("nan")], [True, False])
    with pytest.raises(RangeError, match="impostor scores must be finite, number 0 is inf"):
        threshold_at_fmr([float("inf"), 0.0], 0.5)


@pytest.mark.parametrize(("label", "kind"), [(True, "impostor"), (False, "genuine")])
def test_labels_of_one_class(label: bool, kind: str) -> None:
    with pytest.raises(InsufficientDataError, match=f"there are no {kind} ones"):
        Scores.from_labels([0.1, 0.2], [label, label])


def test_no_scores_at_all() -> None:
    with pytest.raises(InsufficientDataError, match="there are no genuine ones"):
        Scores.from_labels([], [])


def test_what_is_no_number_or_no_label() -> None:
    with pytest.raises(DtypeError, match="must be real numbers"):
        Scores.from_labels(["a", "b"], [True, False])
    with pytest.raises(DtypeError, match="must hold booleans or 0 and 1"):
        Scores.from_labels([0.1, 0.2], [1, 2])
    with pytest.raises(DtypeError, match="names or whole numbers"):
        Scores.from_labels([0.1, 0.2], [1, 0], [[0.5, 0.5], [0.5, 0.6]])
    with pytest.raises(ShapeError, match="must have shape"):
        Scores.from_labels([[0.1, 0.2]], [True])


def test_subjects_that_contradict_the_labels() -> None:
    with pytest.raises(RangeError, match="pair 1 says same=False"):
        Scores.from_labels([0.1, 0.2], [True, False], [["a", "a"], ["b", "b"]])


# -- all cross pairs ----------------------------------------------------------------------------


def test_cross_pairs_compare_each_picture_with_each_other_once() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], np.float32)
    scores = Scores.from_embeddings(vectors, ["ada", "bob", "ada"])
    assert scores.genuine == pytest.approx([0.6])
    assert sorted(scores.impostor) == pytest.approx([0.0, 0.8])
    assert scores.subject_count == 2
    assert scores.genuine_subjects.tolist() == [0]
    assert sorted(map(sorted, scores.impostor_subjects.tolist())) == [[0, 1], [0, 1]]


def test_cross_pairs_of_one_person_are_refused() -> None:
    with pytest.raises(InsufficientDataError, match="no impostor ones"):
        Scores.from_embeddings(np.eye(2), ["ada", "ada"])


# -- the report ---------------------------------------------------------------------------------


def test_the_report_holds_what_the_functions_say_and_lists_what_is_out_of_reach() -> None:
    report = verification_report(small(), (0.25, 1e-3))
    assert report.points == (fnmr_at_fmr(small(), 0.25),)
    (lost,) = report.out_of_reach
    assert (lost.target_fmr, lost.impostor, lost.impostor_needed) == (1e-3, 4, 1000)
    assert lost.subjects_needed == 46
    assert report.equal_error_rate == pytest.approx(2 / 7)
    assert (report.subjects, report.rounds) == (None, 0)
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert document["points"][0]["tar"] == pytest.approx(2 / 3)
    assert document["curve"]["threshold"][-1] is None


def test_intervals_without_subjects_are_refused() -> None:
    with pytest.raises(InsufficientDataError, match="the subjects of these pairs are unknown"):
        verification_report(small(), how=Resampling(rounds=10))


def test_a_million_scores_take_seconds() -> None:
    rng = np.random.default_rng(0)
    scores = Scores(rng.normal(0.7, 0.15, 100_000), rng.normal(0, 0.15, 900_000))
    began = time.process_time()
    report = verification_report(scores)
    assert time.process_time() - began < 5
    # Two normal distributions 4.67 standard deviations apart: EER = Phi(-2.333).
    assert report.equal_error_rate == pytest.approx(0.00982, abs=0.0004)
    assert report.d_prime == pytest.approx(0.7 / 0.15, rel=0.01)
