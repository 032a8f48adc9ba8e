from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from vultus.errors import NoFaceError
from vultus.server.errors import NotFoundError, NotReadyError
from vultus.server.metrics import Metrics
from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import Store, open_store
from vultus.server.store.jobs import Job, JobHandle, Jobs
from vultus.server.store.schema import job as table


@pytest.fixture
def store(gallery_path: Path) -> Iterator[Store]:
    made = open_store(Places(str(gallery_path)), Secrets(b"s" * 32))
    yield made
    made.close()


@pytest.fixture
def jobs(store: Store) -> Iterator[Jobs]:
    made = Jobs(store, Metrics())
    yield made
    made.close(5)


def _ended(jobs: Jobs, job_id: str) -> Job:
    deadline = time.monotonic() + 10
    while (found := jobs.get("acme", job_id)).state in {"waiting", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_a_job_tells_how_far_it_is_and_what_came_out(jobs: Jobs):
    go, seen = threading.Event(), threading.Event()

    def work(handle: JobHandle) -> Any:
        handle.progress(1, 2)
        seen.set()
        assert go.wait(10)
        handle.progress(2, 2)
        return {"名": 3}

    started = jobs.start("acme", "1", "export", work)
    assert seen.wait(10)
    running = jobs.get("acme", started.id)
    assert (running.state, running.done, running.total) == ("running", 1, 2)
    go.set()
    ended = _ended(jobs, started.id)
    assert (ended.state, ended.done, ended.result, ended.kind) == ("done", 2, {"名": 3}, "export")


def test_failures_are_told_in_our_words_only(jobs: Jobs):
    def fails(_: JobHandle) -> None:
        raise NoFaceError("there must be a face")

    def breaks(_: JobHandle) -> None:
        raise ValueError("a secret")

    known = _ended(jobs, jobs.start("acme", "1", "x", fails).id)
    assert known.state == "failed"
    assert known.error is not None
    assert known.error["code"] == "no-face"
    unknown = _ended(jobs, jobs.start("acme", "1", "x", breaks).id)
    assert unknown.error is not None
    assert unknown.error["code"] == "internal"
    assert "secret" not in unknown.error["message"]


def test_a_cancelled_job_stops_and_one_that_waits_is_not_begun(jobs: Jobs):
    begun, first_runs = [], threading.Event()

    def works(handle: JobHandle) -> None:
        first_runs.set()
        done = 0
        while not handle.stop:
            handle._told = 0
            handle.progress(done)
            done += 1
            time.sleep(0.005)

    first = jobs.start("acme", "1", "x", works)
    second = jobs.start("acme", "1", "x", lambda _: begun.append(1))
    assert first_runs.wait(10)
    jobs.cancel("acme", second.id)
    jobs.cancel("acme", first.id)
    assert _ended(jobs, first.id).state == "cancelled"
    assert _ended(jobs, second.id).state == "cancelled"
    assert begun == []


def test_nobody_sees_anothers_jobs(jobs: Jobs):
    started = jobs.start("acme", "1", "x", lambda _: None)
    for ask in (jobs.get, jobs.cancel):
        with pytest.raises(NotFoundError, match="there is no such job"):
            ask("other", started.id)
    assert jobs.list("other") == []
    _ended(jobs, started.id)


def test_pages_go_from_new_to_old(jobs: Jobs):
    ids = [jobs.start("acme", "1", "x", lambda _: None).id for _ in range(5)]
    found = jobs.list("acme", limit=2)
    while page := jobs.list("acme", after=found[-1].id, limit=2):
        found += page
    assert {job.id for job in found} == set(ids)
    assert len(found) == 5
    moments = [job.created_at for job in found]
    assert moments == sorted(moments, reverse=True)
    for job_id in ids:
        _ended(jobs, job_id)


def test_what_a_dead_process_worked_on_is_interrupted(store: Store, jobs: Jobs):
    started = jobs.start("acme", "1", "x", lambda _: None)
    _ended(jobs, started.id)
    with store.writing() as connection:
        connection.execute(update(table).values(state="running", seen_s=time.time() - 31))
    assert jobs.get("acme", started.id).state == "interrupted"


def test_the_end_lets_a_running_job_finish_and_marks_those_that_wait(store: Store):
    jobs = Jobs(store, Metrics())
    runs = threading.Event()

    def works(_: JobHandle) -> str:
        runs.set()
        time.sleep(0.3)
        return "finished"

    first = jobs.start("acme", "1", "x", works)
    second = jobs.start("acme", "1", "x", lambda _: None)
    assert runs.wait(10)
    jobs.close(10)
    assert jobs.get("acme", first.id).result == "finished"
    assert jobs.get("acme", second.id).state == "interrupted"
    with pytest.raises(NotReadyError):
        jobs.start("acme", "1", "x", lambda _: None)
