from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vultus.pipeline import Recognizer
from vultus.server.wire.baidu.scale import points


def test_by_the_calibration(recognizer: Recognizer):
    calibration = recognizer.calibration
    assert calibration is not None
    assert points(recognizer, calibration.threshold(1e-4).value) == pytest.approx(80, abs=0.05)
    assert points(recognizer, calibration.threshold(1e-2).value) == pytest.approx(60, abs=0.05)
    assert (points(recognizer, 1.0), points(recognizer, -1.0)) == (100.0, 0.0)


def test_rounding_beyond_a_cosine_is_no_error(recognizer: Recognizer):
    assert points(recognizer, 1.0000001) == 100.0


def test_without_a_calibration_80_is_the_threshold():
    bare: Any = SimpleNamespace(calibration=None, threshold=SimpleNamespace(value=0.4))
    assert points(bare, 0.4) == 80.0
    assert points(bare, 0.7) == 90.0
    assert points(bare, -0.3) == 40.0
