"""The metrics of the LFW benchmark, against lists worked out by hand."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from vultus.evaluate.metrics import Scores
from vultus.evaluate.protocols.lfw import Pair, Picture
from vultus.models import CardThreshold

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

from lfw import centre_points  # noqa: E402
from lfw_figures import (  # noqa: E402
    Side,
    figures,
    fmr_name,
    measure_side,
    round_up,
    standard_error,
    toml_block,
)


def test_standard_error_is_the_binomial_one() -> None:
    assert standard_error(0.9, 100) == pytest.approx(0.03)
    assert standard_error(1.0, 10) == 0.0


def test_rounding_is_to_the_stricter_side() -> None:
    assert round_up(0.92871) == 0.9288
    assert round_up(0.9288) == 0.9288
    assert round_up(float(np.nextafter(0.9, 1.0))) == 0.9001
    assert round_up(-0.33333) == -0.3333
    assert round_up(0.99999) == 1.0


ADA, BOB, CY = (lambda i, name=name: Picture(name, i) for name in ("Ada", "Bob_B", "Cy"))
PAIRS = [
    Pair(ADA(1), ADA(3), True),
    Pair(BOB(2), BOB(4), True),
    Pair(ADA(1), BOB(2), False),
    Pair(CY(7), ADA(3), False),
]


def test_a_side_holds_the_listed_pairs_and_all_cross_pairs() -> None:
    pictures = [Picture("Zoe", 9), ADA(1), ADA(3), BOB(2), BOB(4), CY(7)]
    angles = np.array([0.5, 0.0, 0.1, 1.0, 1.1, 2.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    side = measure_side("devTrain", PAIRS, pictures, vectors)
    assert side.listed.genuine == pytest.approx(np.cos([0.1, 0.1]), abs=1e-6)
    assert side.listed.impostor == pytest.approx(np.cos([1.0, 1.9]), abs=1e-6)
    assert side.pairs == 4
    assert side.people == 3  # Zoe is in no pair
    assert side.cross.genuine == pytest.approx(np.cos([0.1, 0.1]), abs=1e-6)
    assert len(side.cross.impostor) == 8  # 10 pairs of 5 pictures, 2 of them genuine


def _side(name: str, genuine: list[float], impostor: list[float]) -> Side:
    listed = Scores(np.array(genuine[:2]), np.array(impostor[-2:]))
    return Side(name, 5, listed, Scores(np.array(genuine), np.array(impostor)))


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


def test_a_picture_without_a_face_gets_the_points_of_its_centre() -> None:
    points = centre_points(250, 250)
    # The nose of ArcFace's template, (56.0252, 71.7366) of 112, in a box of 113.64 px.
    assert points[2] == pytest.approx([125.03, 140.97], abs=0.01)
    assert centre_points(300, 250)[2] == pytest.approx([150.03, 140.97], abs=0.01)
