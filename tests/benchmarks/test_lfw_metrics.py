"""The metrics of the LFW benchmark, against lists worked out by hand."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from vultus.models import CardThreshold
from vultus.types import Box, Face, Frame, Landmarks

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

from lfw import centre_face, main_face  # noqa: E402
from lfw_figures import Side, figures, fmr_name, measure_side, toml_block  # noqa: E402
from lfw_view1 import Pair, Picture, pictures_of, read_pairs  # noqa: E402
from metrics import (  # noqa: E402
    accuracy,
    accuracy_threshold,
    cross_pairs,
    error_rates,
    round_up,
    standard_error,
    threshold_at_fmr,
)


def test_accuracy_counts_a_similarity_that_equals_the_threshold_as_the_same_person() -> None:
    similarities, same = [0.9, 0.8, 0.7, 0.6], [True, False, True, False]
    assert accuracy(similarities, same, 0.7) == 0.75  # only 0.8 is wrong
    assert accuracy(similarities, same, 0.71) == 0.5  # and now 0.7 as well
    assert accuracy(similarities, same, 0.85) == 0.75


def test_standard_error_is_the_binomial_one() -> None:
    assert standard_error(0.9, 100) == pytest.approx(0.03)
    assert standard_error(1.0, 10) == 0.0


def test_best_threshold_lies_midway_between_two_separate_groups() -> None:
    assert accuracy_threshold([0.9, 0.8, 0.3, 0.1], [True, True, False, False]) == pytest.approx(
        0.55
    )


def test_best_threshold_is_itself_one_of_the_best_where_the_best_are_apart() -> None:
    # Right at the five cuts from below: 2, 3 (at 0.4), 2, 3 (at 0.8), 2. Their mean, 0.6, is worse.
    similarities, same = [0.9, 0.7, 0.6, 0.2], [True, False, True, False]
    best = accuracy_threshold(similarities, same)
    assert best == pytest.approx(0.4)
    assert accuracy(similarities, same, best) == 0.75


def test_best_threshold_is_the_middle_one_of_a_plateau() -> None:
    # Cuts at 0.25, 0.45 and 0.65 decide 4 of 5 rightly; the others fewer.
    similarities, same = [0.2, 0.3, 0.6, 0.7, 0.9], [False, True, False, True, True]
    right = [accuracy(similarities, same, t) for t in (0.25, 0.45, 0.65, 0.8)]
    assert right == [0.8, 0.6, 0.8, 0.6]
    assert accuracy_threshold(similarities, same) == pytest.approx(0.25)


def test_best_threshold_treats_equal_similarities_alike() -> None:
    best = accuracy_threshold([0.5, 0.5, 0.9, 0.1], [True, False, True, False])
    assert best == pytest.approx(0.3)  # 0.7 is as good; of two the lower


def test_best_threshold_when_all_pairs_are_of_one_kind() -> None:
    assert accuracy([0.2, 0.4], [True, True], accuracy_threshold([0.2, 0.4], [True, True])) == 1.0
    best = accuracy_threshold([0.2, 0.4], [False, False])
    assert accuracy([0.2, 0.4], [False, False], best) == 1.0


def test_threshold_at_fmr_lets_just_the_allowed_share_pass() -> None:
    impostor = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert 0.7 < threshold_at_fmr(impostor, 0.2) < 0.7001
    assert 0.8 < threshold_at_fmr(impostor, 0.1) < 0.8001
    assert 0.8 < threshold_at_fmr(impostor, 0.19) < 0.8001
    assert error_rates([1.0], impostor, threshold_at_fmr(impostor, 0.2)) == (0.2, 0.0)
    assert threshold_at_fmr(impostor[::-1], 0.2) == threshold_at_fmr(impostor, 0.2)


def test_threshold_at_fmr_keeps_equal_impostors_out_together() -> None:
    impostor = [0.1] * 8 + [0.9, 0.9]
    strict = threshold_at_fmr(impostor, 0.1)
    assert error_rates([1.0], impostor, strict) == (0.0, 0.0)
    assert error_rates([1.0], impostor, threshold_at_fmr(impostor, 0.2)) == (0.2, 0.0)


def test_threshold_at_fmr_refuses_what_the_pairs_cannot_show() -> None:
    with pytest.raises(ValueError, match="cannot be measured on 10 impostor pairs"):
        threshold_at_fmr(np.arange(10) / 10, 0.05)
    with pytest.raises(ValueError, match="cannot be measured"):
        threshold_at_fmr(np.arange(10) / 10, 1.0)
    values = np.arange(1000) / 1000
    assert error_rates([1.0], values, threshold_at_fmr(values, 1e-3)) == (0.001, 0.0)


def test_error_rates() -> None:
    genuine, impostor = [0.9, 0.8, 0.4], [0.5, 0.4, 0.3, 0.1]
    assert error_rates(genuine, impostor, 0.4) == (0.5, 0.0)
    assert error_rates(genuine, impostor, 0.5) == (0.25, pytest.approx(1 / 3))
    assert error_rates(genuine, impostor, 0.95) == (0.0, 1.0)


def test_rounding_is_to_the_stricter_side() -> None:
    assert round_up(0.92871) == 0.9288
    assert round_up(0.9288) == 0.9288
    assert round_up(float(np.nextafter(0.9, 1.0))) == 0.9001
    assert round_up(-0.33333) == -0.3333
    assert round_up(0.99999) == 1.0


def test_cross_pairs_compare_each_picture_with_each_other_once() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], np.float32)
    genuine, impostor = cross_pairs(vectors, ["a", "b", "a"])
    assert genuine == pytest.approx([0.6])
    assert sorted(impostor) == pytest.approx([0.0, 0.8])


PAIRS = "2\nAda\t1\t3\nBob_B\t2\t4\nAda\t1\tBob_B\t2\nCy\t7\tAda\t3\n"


def test_read_pairs() -> None:
    pairs = read_pairs(PAIRS)
    assert pairs[0] == Pair(Picture("Ada", 1), Picture("Ada", 3), True)
    assert pairs[3] == Pair(Picture("Cy", 7), Picture("Ada", 3), False)
    assert pictures_of(pairs) == [
        Picture("Ada", 1),
        Picture("Ada", 3),
        Picture("Bob_B", 2),
        Picture("Bob_B", 4),
        Picture("Cy", 7),
    ]
    assert Picture("Ada", 3).path(Path("x")) == Path("x/Ada/Ada_0003.jpg")


@pytest.mark.parametrize(
    ("text", "said"),
    [("1\nAda\t1\n", "3 or 4 fields"), ("1\nAda\t1\t2\n", "1 of 1"), ("3" + PAIRS[1:], "2 of 4")],
)
def test_read_pairs_refuses_lists_that_do_not_add_up(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_pairs(text)


def test_a_side_holds_the_listed_pairs_and_all_cross_pairs() -> None:
    pictures = [Picture("Zoe", 9), *pictures_of(read_pairs(PAIRS))]
    angles = np.array([0.5, 0.0, 0.1, 1.0, 1.1, 2.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    side = measure_side("devTrain", read_pairs(PAIRS), pictures, vectors)
    assert side.similarities == pytest.approx(np.cos([0.1, 0.1, 1.0, 1.9]), abs=1e-6)
    assert side.same.tolist() == [True, True, False, False]
    assert side.people == 3  # Zoe is in no pair
    assert side.genuine == pytest.approx(np.cos([0.1, 0.1]), abs=1e-6)
    assert len(side.impostor) == 8  # 10 pairs of 5 pictures, 2 of them genuine


def _side(name: str, genuine: list[float], impostor: list[float]) -> Side:
    similarities = np.array(genuine[:2] + impostor[-2:])
    same = np.array([True, True, False, False])
    return Side(name, 5, similarities, same, np.array(genuine), np.array(impostor))


def test_figures_choose_on_one_side_and_measure_on_both() -> None:
    train = _side("devTrain", [0.96, 0.90, 0.80], [i / 200 for i in range(180)])
    test = _side("devTest", [0.95, 0.60], [0.1, 0.2, 0.3, 0.9])
    found = figures(train, test, "dlib-5")
    # 0.89, 0.895 against 0.90, 0.96: midway is 0.8975; there 0.60 and the impostor 0.9 go wrong.
    assert found["threshold"] == pytest.approx(0.8975)
    assert found["accuracy_devTrain"] == 1.0
    assert found["accuracy_devTest"] == 0.5
    assert found["accuracy_devTest_with_its_own_threshold"] == 0.75
    # 180 pairs show an FMR of 1e-2 (one pair: above 0.89), nothing below; 4 pairs show none.
    assert found["tar"]["devTrain"].pop("1e-2") == pytest.approx(2 / 3)
    assert set(found["tar"]["devTrain"].values()) == {None}
    assert set(found["tar"]["devTest"].values()) == {None}
    policies = {t["policy"]: t for t in found["thresholds"]}
    assert list(policies) == ["fmr=1e-2", "max-accuracy"]
    one = policies["fmr=1e-2"]
    assert one["value"] == 0.8901
    assert (one["fmr"], one["fnmr"]) == pytest.approx((1 / 180, 1 / 3))
    assert (one["fmr_devTest"], one["fnmr_devTest"]) == (0.25, 0.5)


def test_toml_block_is_a_threshold_of_a_card() -> None:
    train = _side("devTrain", [0.96, 0.90, 0.80], [i / 200 for i in range(180)])
    test = _side("devTest", [0.95, 0.60], [0.1, 0.2, 0.3, 0.9])
    blocks = [toml_block(t) for t in figures(train, test, "dlib-5+mirror")["thresholds"]]
    first = CardThreshold.model_validate(tomllib.loads("\n".join(blocks))["thresholds"][0])
    assert (first.policy, first.value, first.preprocessing) == ("fmr=1e-2", 0.8901, "dlib-5+mirror")
    assert (first.fmr, first.fnmr) == (0.00556, 0.333)
    assert "180 impostor and 3 genuine cross pairs" in first.source
    assert "pairsDevTest then had FMR 0.25, FNMR 0.5" in first.source


def test_policies_are_named_like_the_cards_do() -> None:
    assert [fmr_name(fmr) for fmr in (1e-2, 5e-3, 1e-4)] == ["1e-2", "5e-3", "1e-4"]


def _face(frame: Frame, x1: float, y1: float, side: float) -> Face:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    landmarks = Landmarks((points * side + (x1, y1)).astype(np.float32))
    return Face(Box(x1, y1, x1 + side, y1 + side), 0.9, landmarks, frame)


def test_the_face_in_the_middle_counts_more_than_a_larger_one_at_the_edge() -> None:
    frame = Frame(np.zeros((250, 250, 3), np.uint8))
    corner = _face(frame, 0, 0, 100)  # 10000 - 2 * (75² + 75²) = -12500
    middle = _face(frame, 95, 95, 60)  # 3600 - 0
    assert main_face([corner, middle], frame) is middle
    large = _face(frame, 60, 60, 110)  # 12100 - 2 * (10² + 10²) = 11700
    assert main_face([corner, middle, large], frame) is large


def test_a_picture_without_a_face_gets_its_centre() -> None:
    face = centre_face(Frame(np.zeros((250, 250, 3), np.uint8)))
    assert face.box.xyxy == pytest.approx((68.18, 68.18, 181.82, 181.82), abs=0.01)
    assert face.score == 0.0
    # The nose of ArcFace's template, (56.0252, 71.7366) of 112, in a box of 113.64 px.
    assert face.landmarks.points[2] == pytest.approx([125.03, 140.97], abs=0.01)
