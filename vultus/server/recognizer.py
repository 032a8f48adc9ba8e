"""The recogniser as the server uses it: each stage timed, embeddings batched where asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from vultus.encode import FaceEmbedder
from vultus.errors import ModelMissingError
from vultus.gallery import Gallery
from vultus.pipeline import Recognizer, load
from vultus.runtime import SessionOptions
from vultus.server.metrics import Metrics
from vultus.server.settings import Settings, threshold_of
from vultus.sources import ImageSource, Limits, load_frame
from vultus.types import Embedding, Face, Frame, Match

if TYPE_CHECKING:
    from vultus.assess.liveness import PassiveLiveness

__all__ = [
    "Batcher",
    "InstalledLiveness",
    "ServingRecognizer",
    "TimedGallery",
    "load_liveness",
    "load_recognizer",
    "timed",
]


class ServingRecognizer(Recognizer):
    """A `Recognizer` that tells how long its stages take.

    Args:
        base: The recogniser whose parts are used.
        limits: Bounds on pictures.
        metrics: What is told.
        batcher: Embeds faces of several requests together, or ``None``.
    """

    def __init__(
        self, base: Recognizer, limits: Limits, metrics: Metrics, batcher: Batcher | None = None
    ) -> None:
        self.__dict__.update(vars(base))  # the parts are shared, loaded once
        self._limits = limits
        self._metrics = metrics
        self._batcher = batcher

    def detect(
        self, image: ImageSource, *, largest: bool = False, any_turn: bool = False
    ) -> list[Face]:
        """See `Recognizer.detect`."""
        frame = image if isinstance(image, Frame) else self._decoded(image)
        with self._metrics.timed("detect"):
            faces = super().detect(frame, largest=largest, any_turn=any_turn)
        self._metrics.faces.inc(len(faces))
        return faces

    def _decoded(self, image: ImageSource) -> Frame:
        with self._metrics.timed("decode"):
            return load_frame(image, limits=self._limits)

    @overload
    def embed(self, face: Face) -> Embedding: ...
    @overload
    def embed(self, face: Sequence[Face]) -> list[Embedding]: ...
    def embed(self, face: Face | Sequence[Face]) -> Embedding | list[Embedding]:
        """See `Recognizer.embed`."""
        faces = [face] if isinstance(face, Face) else list(face)
        with self._metrics.timed("embed"):
            if self._batcher is not None and faces:
                found = self._batcher.embed(faces)
            else:
                found = self.embedder.embed(faces)
                self._metrics.batch.observe(len(faces))
        return found[0] if isinstance(face, Face) else found


class _Waiting:
    """Faces of one request that wait to be embedded with others."""

    __slots__ = ("done", "error", "faces", "found")

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = faces
        self.done = threading.Event()
        self.found: list[Embedding] = []
        self.error: BaseException | None = None


class Batcher:
    """Embeds the faces of requests that run at the same time in one call of the network.

    The first to come waits a bounded time for others, then embeds for all of them.

    Args:
        embedder: What embeds.
        max_batch: Most faces together.
        max_wait_s: How long the first one waits.
        metrics: Told of the sizes of batches.
    """

    def __init__(
        self, embedder: FaceEmbedder, max_batch: int, max_wait_s: float, metrics: Metrics
    ) -> None:
        self._embedder = embedder
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._metrics = metrics
        self._changed = threading.Condition()
        self._pending: list[_Waiting] = []

    def embed(self, faces: Sequence[Face]) -> list[Embedding]:
        """One embedding per face, in order."""
        own = _Waiting(faces)
        with self._changed:
            leads = not self._pending
            self._pending.append(own)
            self._changed.notify_all()
            if leads:
                self._gather()
                batch, self._pending = self._pending, []
        if leads:
            self._embed_all(batch)
        own.done.wait()
        if own.error is not None:
            raise own.error
        return own.found

    def _gather(self) -> None:
        deadline = time.monotonic() + self._max_wait_s
        while sum(len(w.faces) for w in self._pending) < self._max_batch:
            left = deadline - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _embed_all(self, batch: Sequence[_Waiting]) -> None:
        faces = [face for waiting in batch for face in waiting.faces]
        try:
            found = iter(self._embedder.embed(faces))
            self._metrics.batch.observe(len(faces))
            for waiting in batch:
                waiting.found = [next(found) for _ in waiting.faces]
        except BaseException:
            self._one_by_one(batch)  # one request's bad face is not the others' failure
        finally:
            for waiting in batch:
                waiting.done.set()

    def _one_by_one(self, batch: Sequence[_Waiting]) -> None:
        for waiting in batch:
            try:
                waiting.found = self._embedder.embed(waiting.faces)
            except BaseException as error:  # a worker's boundary: whoever waits is told
                waiting.error = error


def load_recognizer(settings: Settings, metrics: Metrics, crop_key: bytes | None) -> Recognizer:
    """Load detector and embedder, one thread each call, and run both once.

    Raises:
        ModelError: A model is not here or not what it should be.
    """
    limits = Limits(max_bytes=settings.max_body_bytes, max_pixels=settings.max_pixels)
    base = load(
        detector=settings.detector,
        embedder=settings.model,
        min_face_px=settings.min_face_px,
        mirror=settings.mirror,
        threshold=threshold_of(settings.threshold),
        calibration=settings.calibration,
        threads=SessionOptions().threads,
        gate=settings.gate,
        crop_key=crop_key,
        limits=limits,
    )
    batcher = None
    if settings.max_batch > 1:
        wait_s = settings.max_wait_ms / 1000
        batcher = Batcher(base.embedder, settings.max_batch, wait_s, metrics)
    _warm_up(base)
    return ServingRecognizer(base, limits, metrics, batcher)


class InstalledLiveness:
    """Scores of the liveness models that are on this machine.

    Args:
        model: The models.
    """

    def __init__(self, model: PassiveLiveness) -> None:
        self._model = model

    def score(self, faces: Sequence[Face]) -> list[float]:
        """One score in [0, 1] per face; 1 is alive."""
        return [float(score) for score in self._model.scores(faces)]


def load_liveness() -> InstalledLiveness | None:
    """The liveness models, one thread each call; ``None`` where none is installed."""
    from vultus.assess.liveness import installed_liveness

    try:
        # Interfaces hold scores against limits of their own, so the threshold does not matter.
        return InstalledLiveness(installed_liveness(options=SessionOptions(), threshold=0.5))
    except ModelMissingError:
        return None


def _warm_up(recognizer: Recognizer) -> None:
    """Run everything once on a picture that ships with vultus."""
    import importlib.resources

    folder = importlib.resources.files("vultus.samples") / "photos"
    picture = min(entry.name for entry in folder.iterdir() if entry.name.endswith(".jpg"))
    frame = load_frame((folder / picture).read_bytes())  # the operator's limits are for clients
    faces = recognizer.detect(frame, largest=True)
    if faces:
        recognizer.embed(faces)
    _ = recognizer.threshold, recognizer.calibration


class TimedGallery:
    """A gallery whose searches are timed; everything else is the gallery's own."""

    def __init__(self, gallery: Gallery, metrics: Metrics) -> None:
        self._gallery = gallery
        self._metrics = metrics

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gallery, name)

    def __len__(self) -> int:
        return len(self._gallery)

    def __contains__(self, person: object) -> bool:
        return person in self._gallery

    def search(
        self,
        embedding: Embedding,
        k: int = 5,
        *,
        groups: Collection[str] | None = None,
        min_similarity: float | None = None,
        template: Literal["best", "fused"] = "best",
    ) -> list[Match]:
        """See `Gallery.search`."""
        return self.search_many(
            [embedding], k, groups=groups, min_similarity=min_similarity, template=template
        )[0]

    def search_many(
        self,
        embeddings: Sequence[Embedding],
        k: int = 5,
        *,
        groups: Collection[str] | None = None,
        min_similarity: float | None = None,
        template: Literal["best", "fused"] = "best",
    ) -> list[list[Match]]:
        """See `Gallery.search_many`."""
        with self._metrics.timed("search"):
            return self._gallery.search_many(
                embeddings, k, groups=groups, min_similarity=min_similarity, template=template
            )


def timed(gallery: Gallery, metrics: Metrics) -> Gallery:
    """A gallery whose searches are timed."""
    return cast("Gallery", TimedGallery(gallery, metrics))
