from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.decide import (
    Calibration,
    QualityCost,
    decide,
    load_calibration,
    shipped_calibration,
    threshold_for,
)
from vultus.errors import CalibrationError, CardError, InsufficientDataError, RangeError
from vultus.models import Registry, space_in
from vultus.types import EmbeddingSpace

SPACE = EmbeddingSpace("test", "ab" * 32, 4, "arcface-112")


def _made(**changed: object) -> Calibration:
    """FMR falls tenfold with each 0.1 of similarity: 1 at 0.0 down to 1e-4 at 0.4."""
    fmr = np.array([1.0, 1e-1, 1e-2, 1e-3, 1e-4])
    values: dict[str, object] = {
        "space": SPACE,
        "data": "a list of faces",
        "created": "2026-01-01",
        "subjects": 100,
        "images": 775,
        "genuine": 2000,
        "impostor": 300_000,
        "similarity": np.array([0.0, 0.1, 0.2, 0.3, 0.4]),
        "fmr": fmr,
        "fmr_low": fmr / 2,
        "fmr_high": np.minimum(fmr * 2, 1.0),
        "fnmr": np.array([0.0, 0.01, 0.02, 0.05, 0.1]),
        "quality": QualityCost((0.2, 0.8), (0.1, 0.0)),
    }
    return Calibration(**{**values, **changed})  # type: ignore[arg-type]


class TestFmrAt:
    def test_measured_points(self):
        rate = _made().fmr_at(0.2)
        assert (rate.low, rate.value, rate.high) == pytest.approx((5e-3, 1e-2, 2e-2))

    def test_between_points_in_the_logarithm(self):
        assert _made().fmr_at(0.25).value == pytest.approx(10**-2.5)

    def test_beyond_the_last_point_only_a_bound_is_known(self):
        rate = _made().fmr_at(0.9)
        assert (rate.value, rate.low, rate.high) == (pytest.approx(1e-4), 0.0, pytest.approx(2e-4))

    def test_below_the_first_point_everybody_passes(self):
        assert _made().fmr_at(-0.5).value == 1.0

    @pytest.mark.parametrize("value", [1.5, -2.0, math.nan])
    def test_no_cosine(self, value):
        with pytest.raises(RangeError, match="cosine"):
            _made().fmr_at(value)

    @given(st.floats(-1, 1), st.floats(-1, 1))
    def test_never_rises_with_similarity(self, a, b):
        low, high = sorted((a, b))
        made = _made()
        assert made.fmr_at(high).value <= made.fmr_at(low).value


class TestThreshold:
    def test_inverts_the_curve(self):
        found = _made().threshold(1e-3)
        assert (found.value, found.fmr, found.fnmr) == pytest.approx((0.3, 1e-3, 0.05))
        assert (found.policy, found.source) == ("fmr=0.001", "a list of faces")
        assert found.space == SPACE.id

    def test_too_rare_a_rate_is_no_number(self):
        with pytest.raises(InsufficientDataError) as caught:
            _made().threshold(1e-5)
        assert caught.value.fields == {"expected": 3_000_000, "actual": 300_000}
        assert "takes 3,000,000 impostor comparisons" in caught.value.message

    @pytest.mark.parametrize("fmr", [0.0, 1.0, -0.1, math.nan])
    def test_no_rate(self, fmr):
        with pytest.raises(RangeError):
            _made().threshold(fmr)

    def test_of_a_gallery(self):
        # 1 - (1 - 1e-3)^10 = 0.0099551…: with ten people, that FPIR takes an FMR of 1e-3.
        found = _made().threshold_for_gallery(10, 1 - (1 - 1e-3) ** 10)
        assert found.value == pytest.approx(0.3)
        assert found.policy.endswith(",people=10")

    def test_of_a_gallery_of_one_is_the_plain_one(self):
        made = _made()
        assert made.threshold_for_gallery(1, 1e-2).value == made.threshold(1e-2).value

    def test_of_too_large_a_gallery(self):
        with pytest.raises(InsufficientDataError):
            _made().threshold_for_gallery(1000, 1e-2)

    def test_by_policy(self):
        card = Registry().get("arcface-r50")
        made = _made()
        assert threshold_for(card, SPACE, "fmr=1e-2", made).value == pytest.approx(0.2)
        found = threshold_for(card, SPACE, "fpir=1e-2,people=1", made)
        assert (found.value, found.policy) == (pytest.approx(0.2), "fpir=0.01,people=1")
        with pytest.raises(CardError, match="max-accuracy"):
            threshold_for(card, SPACE, "max-accuracy", made)
        with pytest.raises(RangeError, match="rate must be a number"):
            threshold_for(card, SPACE, "fmr=1.1.1", made)


class TestSimilarity100:
    def test_ten_points_for_each_tenfold(self):
        made = _made()
        assert [made.similarity_100(s) for s in (-1.0, 0.1, 0.2, 0.3, 0.4, 1.0)] == pytest.approx(
            [0, 50, 60, 70, 80, 100]
        )

    @given(st.floats(-1, 1), st.floats(-1, 1))
    def test_monotone_within_0_and_100(self, a, b):
        low, high = sorted((a, b))
        made = _made()
        assert 0 <= made.similarity_100(low) <= made.similarity_100(high) <= 100


class TestDecision:
    def test_carries_what_is_known(self):
        made = _made()
        found = decide(0.3, made.threshold(1e-2), made, margin=0.2, sample=7, quality=0.5)
        assert found.same
        assert found.fmr == made.fmr_at(0.3)
        assert (found.margin, found.sample) == (0.2, 7)
        assert found.quality_cost == pytest.approx(0.05)  # half way between the bins

    def test_without_calibration_nothing_is_invented(self):
        found = decide(0.3, _made().threshold(1e-2), quality=0.5)
        assert (found.fmr, found.quality_cost) == (None, None)


class TestFiles:
    def test_round_trip(self):
        made = _made()
        again = Calibration.from_json(made.to_json())
        for name in ("similarity", "fmr", "fmr_low", "fmr_high", "fnmr"):
            assert np.array_equal(getattr(again, name), getattr(made, name))
        assert (again.space, again.data, again.quality) == (made.space, made.data, made.quality)

    def test_without_quality(self):
        assert Calibration.from_json(_made(quality=None).to_json()).quality is None

    @pytest.mark.parametrize("key", [None, b"secret"])
    def test_a_change_breaks_the_seal(self, key):
        text = _made().to_json(key).replace("a list of faces", "another list")
        with pytest.raises(CalibrationError, match="changed since it was made"):
            Calibration.from_json(text, "file.json", key)

    def test_a_signature_needs_its_key(self):
        signed = _made().to_json(b"secret")
        assert Calibration.from_json(signed, key=b"secret").subjects == 100
        with pytest.raises(CalibrationError, match="is signed"):
            Calibration.from_json(signed)
        with pytest.raises(CalibrationError, match="another key"):
            Calibration.from_json(signed, key=b"guess")
        with pytest.raises(CalibrationError, match="is not signed"):
            Calibration.from_json(_made().to_json(), key=b"secret")

    @pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"seal": 1}', "{" * 10_000])
    def test_no_calibration(self, text):
        with pytest.raises(CalibrationError):
            Calibration.from_json(text)

    def test_another_format(self):
        content = json.loads(_made().to_json())
        content["format"] = "vultus-calibration/9"
        with pytest.raises(CalibrationError, match="vultus-calibration/9"):
            Calibration.from_json(json.dumps(content))

    def test_from_disk_for_a_space(self, tmp_path: Path):
        path = tmp_path / "c.json"
        path.write_text(_made().to_json(), encoding="utf-8")
        assert load_calibration(path, SPACE).subjects == 100
        other = EmbeddingSpace("test", "cd" * 32, 4, "arcface-112")
        with pytest.raises(CalibrationError, match="not for test/cdcd"):
            load_calibration(path, other)
        with pytest.raises(CalibrationError, match="cannot be read"):
            load_calibration(tmp_path / "absent.json")

    @pytest.mark.parametrize(
        "changed",
        [
            {"similarity": [0.0, 0.1, 0.1, 0.3, 0.4]},
            {"fmr": [1.0, 0.1, 0.2, 0.001, 0.0001]},
            {"fmr": [1.0, 0.1, 0.01, 0.001, 0.0]},
            {"fnmr": [0.0, 0.1, 0.05, 0.1, 0.1]},
            {"fnmr": [0.0, 0.1]},
            {"fmr_low": [1.0, 1.0, 1.0, 1.0, 1.0]},
            {"similarity": [0.0, 0.1, math.nan, 0.3, 0.4]},
        ],
    )
    def test_curves_that_contradict_themselves(self, changed):
        with pytest.raises(CalibrationError):
            _made(**{name: np.array(values) for name, values in changed.items()})


SHIPPED = [
    (model, mirror)
    for model in ("dlib-resnet-v1", "mobilefacenet", "dlib-mobilefacenet")
    for mirror in (False, True)
]


@pytest.mark.parametrize(("model", "mirror"), SHIPPED)
def test_the_shipped_calibration_agrees_with_the_card(model, mirror):
    registry = Registry()
    card = registry.get(model)
    space = space_in(registry, card, mirror=mirror)
    shipped = shipped_calibration(space)
    assert shipped is not None
    for listed in card.thresholds:
        if listed.preprocessing == space.preprocessing and listed.policy.startswith("fmr="):
            found = shipped.threshold(float(listed.policy[4:]))
            assert found.value == pytest.approx(listed.value, abs=2e-4)
            assert found.fnmr == pytest.approx(listed.fnmr, abs=3e-3)


def test_no_calibration_is_shipped_for_an_unknown_space():
    assert shipped_calibration(SPACE) is None
