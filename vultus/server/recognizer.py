"""The recogniser as the server uses it: each stage timed, and batched where asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, cast, overload

from vultus.gallery import Gallery
from vultus.pipeline import Recognizer, largest_face, load
from vultus.runtime import SessionOptions
from vultus.server.batching import Batcher
from vultus.server.metrics import Metrics
from vultus.server.settings import Settings, threshold_of
from vultus.sources import ImageSource, Limits, load_frame
from vultus.types import Embedding, Face, Frame, Match

__all__ = [
    "ServingRecognizer",
    "TimedGallery",
    "load_recognizer",
    "timed",
]


class ServingRecognizer(Recognizer):
    """A `Recognizer` that tells how long its stages take.

    Args:
        base: The recogniser whose parts are used.
        limits: Bounds on pictures.
        metrics: What is told.
        detections: Finds faces in pictures of several requests together, or ``None``.
        embeddings: Embeds faces of several requests together, or ``None``.
    """

    def __init__(
        self,
        base: Recognizer,
        limits: Limits,
        metrics: Metrics,
        detections: Batcher[Frame, list[Face]] | None = None,
        embeddings: Batcher[Face, Embedding] | None = None,
    ) -> None:
        self.__dict__.update(vars(base))  # the parts are shared, loaded once
        self._limits = limits
        self._metrics = metrics
        self._detections = detections
        self._embeddings = embeddings

    def detect(
        self, image: ImageSource, *, largest: bool = False, any_turn: bool = False
    ) -> list[Face]:
        """See `Recognizer.detect`."""
        frame = image if isinstance(image, Frame) else self._decoded(image)
        with self._metrics.timed("detect"):
            if self._detections is None or any_turn:
                faces = super().detect(frame, largest=largest, any_turn=any_turn)
            else:
                (found,) = self._detections([frame])
                faces = self._with_landmarks([largest_face(found)] if largest and found else found)
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
            if self._embeddings is not None and faces:
                found = self._embeddings(faces)
            else:
                found = self.embedder.embed(faces)
                self._metrics.batch.observe(len(faces))
        return found[0] if isinstance(face, Face) else found


def load_recognizer(
    settings: Settings, metrics: Metrics, crop_key: bytes | None, busy: Callable[[], int]
) -> Recognizer:
    """Load detector and embedder, one thread each call, and run both once.

    Args:
        settings: The operator's.
        metrics: Told of each stage.
        crop_key: Encrypts the crops that are kept, or ``None``.
        busy: How many requests are being worked on.

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
    _warm_up(base)
    if settings.max_batch == 1:
        return ServingRecognizer(base, limits, metrics)
    wait_s = settings.max_wait_ms / 1000
    return ServingRecognizer(
        base,
        limits,
        metrics,
        Batcher(
            base.detector.detect_many,
            settings.max_batch,
            wait_s,
            busy,
            metrics.batch_pictures.observe,
        ),
        Batcher(base.embedder.embed, settings.max_batch, wait_s, busy, metrics.batch.observe),
    )


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
