"""CompreFace's similarity."""

from importlib import resources
from math import sqrt, tanh
from pathlib import Path

import numpy as np
import pytest

from vultus.decide import Calibration, load_calibration
from vultus.server.wire.compreface.similarity import Scale
from vultus.types import EmbeddingSpace, Threshold

FOLDER = Path(str(resources.files("vultus.models") / "calibrations"))
SHIPPED = sorted(FOLDER.glob("*.json"))


def a_threshold(value: float) -> Threshold:
    return Threshold(value, "user", "a test", None, None, "any")


def test_the_formula_of_compreface() -> None:
    scale = Scale(1.1817961, 5.291995557)  # its default model
    for cosine in (-1.0, 0.0, 0.3, 0.9, 1.0):
        distance = sqrt(2 - 2 * cosine)
        expected = (tanh((1.1817961 - distance) * 5.291995557) + 1) / 2
        assert scale.of_cosine(cosine) == pytest.approx(expected, abs=1e-12)
    assert scale.of_cosine(1 - 1.1817961**2 / 2) == pytest.approx(0.5, abs=1e-9)
    assert scale.of_cosines(np.array([1.0, -1.0])).tolist() == pytest.approx([1.0, 0.0], abs=2e-4)
    assert scale.of_cosine(1.0 + 1e-9) <= 1.0  # of rounding


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_half_lies_at_the_threshold_and_nine_tenths_at_a_doors(path: Path) -> None:
    calibration = load_calibration(path)
    usual, door = calibration.threshold(5e-3), calibration.threshold(1e-4)
    scale = Scale.of(usual, calibration)
    assert scale.of_cosine(usual.value) == pytest.approx(0.5, abs=1e-9)
    assert scale.of_cosine(door.value) == pytest.approx(0.9, abs=1e-9)
    assert scale.of_cosine(1.0) > 0.99
    stranger = float(np.interp(-0.5, -calibration.fmr, calibration.similarity))
    assert scale.of_cosine(stranger) < 0.02  # half of all strangers


def test_another_threshold_moves_the_middle_and_keeps_the_slope() -> None:
    calibration = load_calibration(SHIPPED[0])
    usual = Scale.of(calibration.threshold(5e-3), calibration)
    strict = Scale.of(calibration.threshold(1e-4), calibration)
    assert strict.c1 == usual.c1
    assert strict.of_cosine(calibration.threshold(1e-4).value) == pytest.approx(0.5, abs=1e-9)


def test_without_a_calibration_the_curve_is_compreface_s_own_stretched() -> None:
    scale = Scale.of(a_threshold(0.5), None)
    assert (scale.c0, scale.c1) == pytest.approx((1.0, 6.25405971), abs=1e-7)
    assert Scale.of(a_threshold(1.0), None).of_cosine(0.5) == 0.0


def test_a_calibration_on_few_faces_is_as_good_as_none() -> None:
    curve = {
        "similarity": [0.1, 0.2],
        "fmr": [0.5, 0.1],
        "fmr_low": [0.4, 0.05],
        "fmr_high": [0.6, 0.2],
        "fnmr": [0.0, 0.1],
    }
    arrays = {name: np.array(values) for name, values in curve.items()}
    space = EmbeddingSpace("small", "0" * 64, 4, "none")
    few = Calibration(space, "a test", "2026-01-01", 9, 9, 9, 300, **arrays)
    assert Scale.of(a_threshold(0.5), few) == Scale.of(a_threshold(0.5), None)
