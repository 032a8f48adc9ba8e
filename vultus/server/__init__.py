"""The face service: one process, real clients, each tenant with a gallery of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vultus.server.app import create_app
    from vultus.server.settings import Settings

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> Any:
    # FastAPI and its company are imported when one of these is asked for.
    if name == "create_app":
        from vultus.server.app import create_app

        return create_app
    if name == "Settings":
        from vultus.server.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
