"""Where the user's models live, and the switches that the environment sets."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_home", "env_mirror", "env_offline"]

_OFF = frozenset({"", "0", "false", "no", "off"})


def default_home() -> Path:
    """``VULTUS_HOME`` if set, else the platform's folder for user data."""
    home = os.environ.get("VULTUS_HOME", "").strip()
    if home:
        return Path(os.path.expanduser(home)).absolute()  # noqa: PTH111 - it never raises
    import platformdirs

    return platformdirs.user_data_path("vultus", appauthor=False)


def env_offline() -> bool:
    """Whether ``VULTUS_OFFLINE`` is set to anything but 0, false, no or off."""
    return os.environ.get("VULTUS_OFFLINE", "").strip().lower() not in _OFF


def env_mirror() -> str | None:
    """``VULTUS_MIRROR``, or ``None`` when it is unset or empty."""
    return os.environ.get("VULTUS_MIRROR", "").strip() or None
