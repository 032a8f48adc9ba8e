"""What routes hold: the recogniser, the galleries, access data, and threads to use them on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeAlias, TypeVar

from fastapi import Depends, Request

from vultus.errors import VultusError
from vultus.gallery import Gallery, open_gallery
from vultus.gallery.crops import key_from_environment
from vultus.pipeline import Recognizer
from vultus.server.engine import Engine
from vultus.server.errors import InternalError, NotReadyError, space_mismatch
from vultus.server.ids import SampleIds
from vultus.server.limits import RateLimiter
from vultus.server.metrics import Metrics
from vultus.server.places import Places
from vultus.server.secrets import Secrets, load_secrets
from vultus.server.settings import Settings
from vultus.server.store import Keys, Store, Tokens, open_store
from vultus.server.store.idempotency import Idempotency
from vultus.server.store.jobs import Jobs
from vultus.server.store.quotas import Quotas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vultus.types import Face

__all__ = ["MAIN", "CurrentService", "Liveness", "Service", "current_service"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

MAIN = "main"
"""What the owner of the main gallery is called before the first tenant is made."""

_DB_THREADS = 8
_DB_QUEUE = 256
# The event loop goes before the threads that fill the CPUs: with this and `run._SWITCH_S` the
# slowest refusal under twice the sustainable load came in 12 to 21 ms instead of 12 to 1,000 on
# two cores that had other work to do, with no less throughput.
_NICENESS = 4


class Liveness(Protocol):
    """Tells living faces from pictures of faces."""

    def score(self, faces: Sequence[Face]) -> list[float]:
        """One score in [0, 1] per face; 1 is alive."""
        ...


class Service:
    """Everything a route needs; one for each process.

    Opening it reads the secret and the access data. `start` then loads the model and the main
    gallery on a thread of its own, so that the server is live meanwhile.

    Args:
        settings: The operator's.

    Attributes:
        settings: The same.
        engine: Threads for pixels.
        store: Access data.
        keys: Who may do what.
        tokens: Access tokens.
        jobs: Long work.
        idempotency: Answers kept for repeated writes.
        rates: Requests a second.
        quotas: Requests a day.
        secrets: The server's.
        metrics: What is counted.
        liveness: A model that tells living faces; ``None`` where none is installed.

    Raises:
        SettingsError: It cannot start like this.
        StoreError: The access data cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.places = Places(settings.gallery, settings.secret_file)
        self.secrets: Secrets = load_secrets(
            self.places.secret, make_folder=self.places.on_postgres
        )
        self.store: Store = open_store(self.places, self.secrets)
        self.keys = Keys(self.store, self.secrets)
        self.tokens = Tokens(self.keys, self.secrets)
        self.rates = RateLimiter()
        self.quotas = Quotas(self.store)
        self.metrics = Metrics()
        self.jobs = Jobs(self.store, self.metrics)
        self.idempotency = Idempotency(self.store, 2 * settings.timeout_s)
        self.engine = Engine(
            settings.worker_threads, settings.queue_length, self.metrics, niceness=_NICENESS
        )
        self.liveness: Liveness | None = None
        self._db = Engine(_DB_THREADS, _DB_QUEUE, None, "db")
        self._galleries: dict[str, Gallery] = {}
        self._lock = threading.Lock()
        self._recognizer: Recognizer | None = None
        self._failed: VultusError | None = None
        self._ended = False
        self._main: str | None = None

    # -- starting and ending ----------------------------------------------------------------------

    def start(self, failed: Callable[[VultusError], None] | None = None) -> threading.Thread:
        """Load model and main gallery on a thread.

        Args:
            failed: Told when that fails.
        """

        def load() -> None:
            try:
                self.load()
            except VultusError as error:
                _log.error("the server cannot become ready: %s: %s", error.code, error)
                self._failed = error
            except Exception as error:  # a worker's boundary: a server that never gets ready ends
                _log.exception("the server cannot become ready", exc_info=error)
                self._failed = InternalError("something broke while the server was starting")
            if self._failed is not None and failed is not None:
                failed(self._failed)

        thread = threading.Thread(target=load, name="vultus-start", daemon=True)
        thread.start()
        return thread

    def load(self) -> None:
        """Load model and main gallery, and search it once.

        Raises:
            SpaceMismatchError: The gallery was made with another model.
            VultusError: Either cannot be used.
        """
        from vultus.server.liveness import load_liveness
        from vultus.server.recognizer import load_recognizer

        crop_key = self.crop_key if self.settings.keep_crops else None
        gallery = self.main_gallery()
        recognizer = load_recognizer(
            self.settings, self.metrics, crop_key, lambda: self.engine.running
        )
        space = recognizer.embedder.space
        known = gallery.space
        if known is not None and known != space:
            raise space_mismatch(known, space)
        _warm_search(gallery, recognizer)
        self.liveness = load_liveness()
        self._recognizer = recognizer

    def close(self) -> None:
        """Finish accepted work, then let everything go."""
        self._ended = True
        if not self.engine.close(self.settings.drain_s):
            _log.warning("some work did not end within %g s", self.settings.drain_s)
        self.jobs.close(self.settings.drain_s)
        self._db.close(self.settings.drain_s)
        with suppress(VultusError):
            self.quotas.give_back()
        for gallery in self._galleries.values():
            gallery.close()
        self.store.close()

    def not_ready(self) -> str | None:
        """Why the server is not ready, or ``None`` when it is; asks the databases."""
        if self._ended:
            return "ending"
        if self._failed is not None:
            return self._failed.code
        if self._recognizer is None:
            return "loading"
        try:
            self.store.ping()
            _ = self.main_gallery().space
        except VultusError as error:
            return error.code
        return None

    # -- what routes use --------------------------------------------------------------------------

    @property
    def recognizer(self) -> Recognizer:
        """The recogniser, warm.

        Raises:
            NotReadyError: It is still being loaded.
        """
        if self._recognizer is None:
            raise NotReadyError("the model is still being loaded", retry_after_s=1.0)
        return self._recognizer

    @property
    def crop_key(self) -> bytes:
        """What crops are encrypted with: the galleries' own key where set, else one derived."""
        return key_from_environment() or self.secrets.key("crops")

    def main_gallery(self) -> Gallery:
        """The gallery that was named at the start."""
        return self._opened("", self.settings.gallery)

    def gallery(self, tenant: str) -> Gallery:
        """A tenant's gallery; opened once, kept. Call it on `run` or `db`: it may have to wait.

        Raises:
            NotFoundError: There is no such tenant.
            GalleryError: The gallery cannot be used.
        """
        found = self._galleries.get(tenant)
        if found is not None:
            return found
        if tenant == MAIN and self.keys.main_tenant() is None:
            return self.main_gallery()
        slug = self.keys.tenant_slug(tenant)
        if slug is None:
            main = self.main_gallery()
            self._galleries[tenant] = main
            return main
        source = self.places.tenant(slug)
        if "://" not in source:
            Path(source).parent.mkdir(mode=0o700, exist_ok=True)
        return self._opened(tenant, source)

    def _opened(self, name: str, source: str) -> Gallery:
        from vultus.server.recognizer import timed

        with self._lock:
            if name not in self._galleries:
                self._galleries[name] = timed(open_gallery(source), self.metrics)
            return self._galleries[name]

    async def run(self, job: Callable[[], T]) -> T:
        """Do a request's work on pixels, wholly in one thread: decode, detect, embed, search.

        Raises:
            BusyError: Too much is waiting.
            JobTimeoutError: It took too long.
        """
        return await self.engine.run(job, self.settings.timeout_s)

    async def db(self, job: Callable[[], T]) -> T:
        """Do something short that waits for a database, on a thread.

        Raises:
            BusyError: Too much is waiting.
            JobTimeoutError: It took too long; a change that has begun is made nevertheless.
        """
        return await self._db.run(job, self.settings.timeout_s)

    async def main_tenant(self) -> str:
        """Who owns the main gallery; `MAIN` while there is no tenant."""
        if self._main is None:
            self._main = await self.db(self.keys.main_tenant)
        return self._main or MAIN

    def ids(self, tenant: str) -> SampleIds:
        """A tenant's sample numbers as UUIDs."""
        return SampleIds(self.secrets, tenant)


def _warm_search(gallery: Gallery, recognizer: Recognizer) -> None:
    """Have the gallery read its vectors now, not at the first request."""
    import numpy as np

    from vultus.types import Embedding

    space = recognizer.embedder.space
    if gallery.space == space:
        vector = np.zeros(space.dimension, np.float32)
        vector[0] = 1.0
        gallery.search(Embedding(vector, space), 1)


def current_service(request: Request) -> Service:
    """The process's service, as a dependency of routes."""
    service: Service = request.app.state.service
    return service


CurrentService: TypeAlias = Annotated[Service, Depends(current_service)]
"""The process's service, as an argument of routes."""
