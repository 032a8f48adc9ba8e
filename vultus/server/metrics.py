"""What the server counts and times, in Prometheus's words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# From a search in a small gallery to a crowd in a large picture.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """One process's counts; with several processes, `page` adds them up.

    Attributes:
        stage: Seconds of ``decode``, ``detect``, ``embed``, ``search`` and ``queue``.
        request: Seconds of a whole request, by route.
        outcome: Requests by route, method and status.
        refused: Requests refused before any work, by reason.
        queue_depth: Requests that wait for a thread.
        batch: Faces that were embedded together.
        batch_pictures: Pictures that faces were looked for in together, where batching is on.
        faces: Faces found.
        jobs: Long jobs by how they ended.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.stage = Histogram(
            "vultus_stage_seconds",
            "Time in each stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.request = Histogram(
            "vultus_request_seconds",
            "Time of a request.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.outcome = Counter(
            "vultus_requests",
            "Requests by outcome.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.refused = Counter(
            "vultus_refused", "Requests refused before any work.", ["reason"], registry=registry
        )
        self.queue_depth = Gauge(
            "vultus_queue_depth",
            "Requests that wait for a thread.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.batch = Histogram(
            "vultus_batch_faces",
            "Faces that were embedded together.",
            buckets=_SIZES,
            registry=registry,
        )
        self.batch_pictures = Histogram(
            "vultus_batch_pictures",
            "Pictures that faces were looked for in together.",
            buckets=_SIZES,
            registry=registry,
        )
        self.faces = Counter("vultus_faces_found", "Faces found.", registry=registry)
        self.jobs = Counter(
            "vultus_jobs", "Long jobs by how they ended.", ["state"], registry=registry
        )
        self._stages = {
            name: self.stage.labels(name)
            for name in ("decode", "detect", "embed", "search", "queue")
        }

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time a block as one stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._stages[stage].observe(time.perf_counter() - began)

    def observe(self, stage: str, seconds: float) -> None:
        """Note how long a stage took."""
        self._stages[stage].observe(seconds)

    def page(self) -> bytes:
        """Everything, as Prometheus reads it."""
        if os.environ.get(_MULTIPROCESS):
            from prometheus_client.multiprocess import MultiProcessCollector

            together = CollectorRegistry()
            MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return generate_latest(together)
        return generate_latest(self.registry)
