from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from vultus.server.liveness import load_liveness


def test_liveness_is_told_only_where_a_model_is_installed(monkeypatch: pytest.MonkeyPatch):
    assert load_liveness() is None  # tests see no models but those that ship

    class Model:
        def scores(self, faces: Sequence[Any]) -> Any:
            return np.asarray([0.25] * len(faces))

    monkeypatch.setattr("vultus.assess.liveness.installed_liveness", lambda **_: Model())
    found = load_liveness()
    assert found is not None
    faces: list[Any] = [object(), object()]
    assert found.score(faces) == [0.25, 0.25]
    assert found.score([]) == []
