"""Uvicorn's HTTP protocol with one thing added: a request's head must arrive in time."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or importlib.util.find_spec("httptools") is None:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Protocol

__all__ = ["protocol"]


class protocol(_Protocol):  # noqa: N801  (uvicorn calls it like a function)
    """One connection; closed when the head of a request takes too long (slow loris)."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The client has come."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """The client has said something."""
        super().data_received(data)
        if self._is_answering():
            self._head_came()
        else:
            self._await_head()  # part of a head; the time runs since its first byte

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._head_came()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None:
            timeout_s: float = getattr(self.config, "header_timeout_s", 10.0)
            self._head_timer = self.loop.call_later(timeout_s, self._too_late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self) -> None:
        self._head_timer = None
        if not self._is_answering():
            self.transport.abort()
