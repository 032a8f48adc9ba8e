"""What one server process keeps for CompreFace's interface, and one call on its way through it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from fastapi import Request

from vultus.assess.attributes import DEFAULT_MODEL, AttributeReader
from vultus.gallery import acting_as
from vultus.models import Registry, Store
from vultus.runtime import SessionOptions
from vultus.server.auth import Principal
from vultus.server.service import Service
from vultus.server.store import Scope
from vultus.server.wire.compreface.access import authorised
from vultus.server.wire.compreface.answers import Answers
from vultus.server.wire.compreface.collection import Collection
from vultus.server.wire.compreface.faces import Eyes
from vultus.sources import Limits

__all__ = ["Call", "State", "opened_call", "state_of"]

T = TypeVar("T")


class State:
    """Of one application.

    Args:
        service: The process's.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.naming = threading.Lock()
        self._answers: Answers | None = None

    def answers(self) -> Answers:
        """Answers of the server's recogniser.

        Raises:
            NotReadyError: It is still being loaded.
        """
        if self._answers is None:
            recognizer, settings = self.service.recognizer, self.service.settings
            limits = Limits(max_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels)
            eyes = Eyes(recognizer, limits, settings.detector, _attribute_reader)
            self._answers = Answers(recognizer, eyes, settings.gate)
        return self._answers


def state_of(request: Request) -> State:
    """The state of the application that answers a request; made with the first one."""
    known = request.app.state
    if not hasattr(known, "compreface"):
        known.compreface = State(known.service)
    state: State = known.compreface
    return state


def _attribute_reader() -> AttributeReader | None:
    """What reads age and sex; ``None`` where no model is installed."""
    store = Store()
    if not store.has(Registry().get(DEFAULT_MODEL)):
        return None
    return _loaded_reader(store.root)


@lru_cache(maxsize=1)
def _loaded_reader(root: Path) -> AttributeReader:
    return AttributeReader.from_card(
        Registry().get(DEFAULT_MODEL), Store(root), SessionOptions(threads=1)
    )


@dataclass(frozen=True, slots=True)
class Call:
    """A call of somebody who may make it.

    Attributes:
        request: Theirs.
        state: Of the application.
        principal: Who they are.
    """

    request: Request
    state: State
    principal: Principal

    @property
    def answers(self) -> Answers:
        """What answers about pictures.

        Raises:
            NotReadyError: The model is still being loaded.
        """
        return self.state.answers()

    def collection(self) -> Collection:
        """The tenant's; call it on a worker, the gallery may have to be opened."""
        service, tenant = self.state.service, self.principal.tenant
        return Collection(service.gallery(tenant), service.ids(tenant), self.state.naming)

    async def on_engine(self, job: Callable[[], T]) -> T:
        """Work on pixels, on a thread of the engine."""
        with acting_as(self.principal.actor):
            return await self.state.service.run(job)

    async def on_db(self, job: Callable[[], T]) -> T:
        """Work on the gallery alone."""
        with acting_as(self.principal.actor):
            return await self.state.service.db(job)


async def opened_call(request: Request, kind: str, scope: Scope) -> Call:
    """A call, let in; see `authorised`."""
    state = state_of(request)
    return Call(request, state, await authorised(state.service, request, kind, scope))
