from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vultus.assess.liveness import (
    LivenessCalibration,
    load_liveness_calibration,
    shipped_liveness_calibration,
)
from vultus.errors import CalibrationError, InsufficientDataError, RangeError


def made(live: list[float], **attacks: list[float]) -> LivenessCalibration:
    arrays = {name: np.array(scores) for name, scores in attacks.items()}
    return LivenessCalibration("m", "made up", "2026-01-02", np.array(live), arrays)


HUNDRED = [i / 100 for i in range(100)]


def test_thresholds_allow_as_many_errors_as_asked():
    found = made(HUNDRED, print=[0.001] * 100, screen=[i / 200 for i in range(100)])
    limit = found.threshold("bpcer=5e-2")
    assert limit == 0.05
    assert found.rates(limit)[1] == 0.05
    limit = found.threshold("apcer=0.1")
    assert limit == pytest.approx(89 / 200)  # just above it: ten screens are higher
    assert found.rates(limit)[0] == 0.1


def test_too_few_presentations():
    with pytest.raises(InsufficientDataError, match="at least 1,000 living faces"):
        made(HUNDRED, print=[0.1]).threshold("bpcer=1e-3")
    with pytest.raises(InsufficientDataError, match="attacks of each species"):
        made(HUNDRED, print=HUNDRED, mask=[0.1] * 5).threshold("apcer=1e-2")


@pytest.mark.parametrize("policy", ["", "fmr=1e-3", "bpcer=0", "bpcer=2", "bpcer=1e-3-", "bpcer=."])
def test_no_such_policy(policy: str):
    with pytest.raises(RangeError, match=r"must be like bpcer=1e-2"):
        made(HUNDRED, print=HUNDRED).threshold(policy)


def test_file(tmp_path: Path):
    path = tmp_path / "c.json"
    path.write_text(made([0.9, 0.8], print=[0.1]).to_json(), encoding="utf-8")
    found = load_liveness_calibration(path)
    assert (found.model, found.data, found.created) == ("m", "made up", "2026-01-02")
    np.testing.assert_array_equal(found.live, [0.8, 0.9])
    np.testing.assert_array_equal(found.attacks["print"], [0.1])


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other/1"},
        {"live": []},
        {"live": [2.0]},
        {"live": ["x"]},
        {"attacks": {}},
        {"attacks": {"a": [float("nan")]}},
        {"attacks": [1]},
    ],
)
def test_damaged_files(tmp_path: Path, change: dict):
    content = {**json.loads(made([0.9], print=[0.1]).to_json()), **change}
    path = tmp_path / "c.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CalibrationError):
        load_liveness_calibration(path)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_liveness_calibration(tmp_path / "none.json")


def test_shipped():
    found = shipped_liveness_calibration("minifasnet-v2-alt+minifasnet-v1se-alt")
    assert found is not None
    assert (len(found.live), {n: len(s) for n, s in found.attacks.items()}) == (220, {"print": 220})
    assert "no screens" in found.data
    assert shipped_liveness_calibration("other") is None
