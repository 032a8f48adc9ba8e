"""Training's tests run on one thread, so that they neither disturb others nor depend on cores."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    try:
        import torch
    except ImportError:  # the tests that need it are skipped and say so
        return
    torch.set_num_threads(1)
