"""Long work that outlives its request: started, followed, cancelled, its result kept a while."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update

from vultus.errors import VultusError
from vultus.gallery.audit import now
from vultus.server.engine import be_nice
from vultus.server.errors import (
    BusyError,
    InternalError,
    NotFoundError,
    NotReadyError,
    public_message,
)
from vultus.server.metrics import Metrics
from vultus.server.store.database import Store
from vultus.server.store.schema import job

__all__ = ["Job", "JobHandle", "Jobs"]

_log = logging.getLogger(__name__)

_HEARTBEAT_S = 5.0
_DEAD_S = 30.0  # no sign of life for this long: the process that worked on it is gone
_KEPT_S = 7 * 86_400.0
_MOST_WAITING = 64
_TOLD_EVERY_S = 0.5
_NICENESS = 10  # requests that somebody waits for go first


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work.

    Attributes:
        id: A UUID.
        app_id: Who started it.
        kind: What is done.
        state: ``waiting``, ``running``, ``done``, ``failed``, ``cancelled``, or ``interrupted``:
            the server ended meanwhile.
        done: Items finished.
        total: Of so many; ``None``: not known.
        result: What came out, once it is ``done``.
        error: ``code`` and ``message``, where it ``failed``.
        created_at: UTC, ISO 8601.
        updated_at: Likewise.
    """

    id: str
    app_id: str
    kind: str
    state: str
    done: int
    total: int | None
    result: Any
    error: Mapping[str, str] | None
    created_at: str
    updated_at: str


class JobHandle:
    """What the work itself holds: tells how far it is, learns whether to stop.

    Attributes:
        id: The job's.
    """

    def __init__(self, jobs: Jobs, job_id: str) -> None:
        self.id = job_id
        self._jobs = jobs
        self._told = 0.0
        self._stop = False

    def progress(self, done: int, total: int | None = None) -> None:
        """Tell how far it is; written down twice a second at most."""
        moment = time.monotonic()
        if moment - self._told >= _TOLD_EVERY_S or done == total:
            self._told = moment
            self._stop = self._jobs.tell(self.id, done, total)

    @property
    def stop(self) -> bool:
        """Whether it should end: cancelled, or the server ends. Looked up with `progress`."""
        return self._stop or self._jobs.ending


class Jobs:
    """Runs long work on one thread, at low priority, one after the other.

    Args:
        store: The access data.
        metrics: Told how jobs end.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.ending = False
        self._store = store
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(
            1, thread_name_prefix="vultus-job", initializer=be_nice, initargs=(_NICENESS,)
        )
        self._own: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._heart: threading.Thread | None = None

    def start(self, tenant: str, app_id: str, kind: str, work: Callable[[JobHandle], Any]) -> Job:
        """Accept work.

        Args:
            tenant: Whose job it is; nobody else sees it.
            app_id: Who started it.
            kind: What is done.
            work: Gives a result that JSON can hold. It runs in a copy of the caller's context.

        Raises:
            BusyError: Too much is waiting.
            NotReadyError: The server is ending.
        """
        if self.ending:
            raise NotReadyError("the server is ending")
        with self._lock:
            if len(self._own) >= _MOST_WAITING:
                raise BusyError(f"at most {_MOST_WAITING} jobs may wait", retry_after_s=10)
            job_id = str(uuid.uuid4())
            self._own.add(job_id)
        moment = now()
        with self._store.writing() as connection:
            connection.execute(delete(job).where(job.c.seen_s < time.time() - _KEPT_S))
            connection.execute(
                insert(job).values(
                    id=job_id, tenant=tenant, app_id=app_id, kind=kind, state="waiting", done=0,
                    cancel=False, created_at=moment, updated_at=moment, seen_s=time.time(),
                )
            )  # fmt: skip
        self._beat()
        context = contextvars.copy_context()
        self._pool.submit(context.run, self._run, job_id, work)
        return self.get(tenant, job_id)

    def get(self, tenant: str, job_id: str) -> Job:
        """One of a tenant's jobs.

        Raises:
            NotFoundError: It has none of this id.
        """
        query = select(job).where(job.c.id == job_id, job.c.tenant == tenant)
        with self._store.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NotFoundError("there is no such job")
        return _job(row)

    def list(self, tenant: str, *, after: str | None = None, limit: int = 100) -> list[Job]:
        """A tenant's jobs, newest first, a page at a time.

        Args:
            tenant: Whose.
            after: Id of the last one of the page before.
            limit: At most so many.
        """
        query = select(job).where(job.c.tenant == tenant)
        if after is not None:
            last = self.get(tenant, after)
            query = query.where(
                or_(
                    job.c.created_at < last.created_at,
                    (job.c.created_at == last.created_at) & (job.c.id < last.id),
                )
            )
        query = query.order_by(job.c.created_at.desc(), job.c.id.desc()).limit(limit)
        with self._store.reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def cancel(self, tenant: str, job_id: str) -> Job:
        """Ask a job to stop; one that has ended stays as it is.

        Raises:
            NotFoundError: The tenant has none of this id.
        """
        self.get(tenant, job_id)
        with self._store.writing() as connection:
            connection.execute(update(job).where(job.c.id == job_id).values(cancel=True))
        return self.get(tenant, job_id)

    def tell(self, job_id: str, done: int, total: int | None) -> bool:
        """Note how far a job is; whether it was cancelled."""
        values = {"done": done, "updated_at": now(), "seen_s": time.time()}
        if total is not None:
            values["total"] = total
        with self._store.writing() as connection:
            connection.execute(update(job).where(job.c.id == job_id).values(**values))
            return bool(connection.execute(select(job.c.cancel).where(job.c.id == job_id)).scalar())

    def close(self, drain_s: float) -> None:
        """Finish what runs, as long as it may take; what waits is marked as interrupted."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + drain_s
        while self._running() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.ending = True
        self._wake.set()
        with self._lock:
            left, self._own = set(self._own), set()
        for job_id in left:
            self._end(job_id, "interrupted")

    # -- within ---------------------------------------------------------------------------------

    def _running(self) -> bool:
        query = select(func.count()).where(job.c.state == "running", job.c.id.in_(self._own))
        with self._store.reading() as connection:
            return bool(connection.execute(query).scalar())

    def _run(self, job_id: str, work: Callable[[JobHandle], Any]) -> None:
        handle = JobHandle(self, job_id)
        try:
            if self.ending or self.tell(job_id, 0, None):
                self._end(job_id, "interrupted" if self.ending else "cancelled")
                return
            with self._store.writing() as connection:
                query = update(job).where(job.c.id == job_id)
                connection.execute(query.values(state="running", updated_at=now()))
            result = work(handle)
            if handle.stop:
                self._end(job_id, "interrupted" if self.ending else "cancelled", result=result)
            else:
                self._end(job_id, "done", result=result)
        except VultusError as error:
            _log.warning("a job failed: %s", error.code)
            self._end(job_id, "failed", error=error)
        except Exception as error:  # a worker's boundary: whoever asks is told
            _log.exception("a job broke", exc_info=error)
            self._end(job_id, "failed", error=InternalError("something broke on the server"))

    def _end(
        self, job_id: str, state: str, *, result: Any = None, error: VultusError | None = None
    ) -> None:
        told = None if error is None else {"code": error.code, "message": public_message(error)}
        with self._store.writing() as connection:
            connection.execute(
                update(job)
                .where(job.c.id == job_id, job.c.state.in_(("waiting", "running")))
                .values(
                    state=state,
                    result=None if result is None else json.dumps(result, ensure_ascii=False),
                    error=None if told is None else json.dumps(told),
                    updated_at=now(),
                    seen_s=time.time(),
                )
            )
        with self._lock:
            self._own.discard(job_id)
        self._metrics.jobs.labels(state).inc()

    def _beat(self) -> None:
        with self._lock:
            if self._heart is None:
                self._heart = threading.Thread(target=self._live, name="vultus-heart", daemon=True)
                self._heart.start()

    def _live(self) -> None:
        """Say every few seconds that the process is still there to work on its jobs."""
        while not self._wake.wait(_HEARTBEAT_S):
            with self._lock:
                own = list(self._own)
            if not own:
                continue
            try:
                with self._store.writing() as connection:
                    query = update(job).where(job.c.id.in_(own))
                    connection.execute(query.values(seen_s=time.time()))
            except VultusError as error:
                _log.warning("no sign of life could be written: %s", error.code)


def _job(row: Row[Any]) -> Job:
    dead = row.state in {"waiting", "running"} and row.seen_s < time.time() - _DEAD_S
    return Job(
        id=row.id,
        app_id=row.app_id,
        kind=row.kind,
        state="interrupted" if dead else row.state,
        done=row.done,
        total=row.total,
        result=None if row.result is None else json.loads(row.result),
        error=None if row.error is None else json.loads(row.error),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
