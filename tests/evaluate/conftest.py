"""What the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads, or writes, the cache of whoever runs it."""
    folder = tmp_path / "vultus-cache"
    monkeypatch.setenv("VULTUS_CACHE", str(folder))
    return folder
