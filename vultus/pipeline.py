"""The whole flow on one screen: detect, embed, verify, enroll, identify."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Generic, TypeAlias, TypeVar, overload

import numpy as np

from vultus.decide import (
    DEFAULT_POLICY,
    Calibration,
    decide,
    load_calibration,
    shipped_calibration,
    threshold_for,
)
from vultus.detect import Detector, Mtcnn, MtcnnOptions, detect_any_turn
from vultus.encode import FaceEmbedder, face_embedder_for
from vultus.errors import CardError, GalleryError, NoFaceError, SeveralFacesError
from vultus.gallery import Gallery, NewSample, open_gallery, unknown_person_error
from vultus.models import ModelCard, Registry, Store, space_in
from vultus.runtime import SessionOptions, default_threads
from vultus.sources import ImageSource, Limits, load_frame
from vultus.types import (
    Decision,
    Embedding,
    EmbeddingSpace,
    Face,
    Identification,
    Match,
    Threshold,
)

__all__ = ["Recognizer", "largest_face", "load"]

T = TypeVar("T")
GalleryLike: TypeAlias = Gallery | str | os.PathLike[str]
Picture: TypeAlias = ImageSource | Face


class Recognizer:
    """Detector, embedder and threshold, joined. Thread-safe; share one.

    Parts are given as functions and made at first use, so that detecting does not wait for the
    embedder to load.

    Args:
        detector: Makes the detector.
        embedder: Makes what turns faces into embeddings.
        threshold: From which similarity two faces are called the same; asked for when first
            needed.
        limits: Bounds on untrusted pictures.
        calibration: Tells how often strangers reach a similarity; ``None``: nobody knows.
    """

    def __init__(
        self,
        detector: Callable[[], Detector],
        embedder: Callable[[], FaceEmbedder],
        threshold: Callable[[], Threshold],
        limits: Limits | None = None,
        calibration: Callable[[], Calibration | None] = lambda: None,
    ) -> None:
        self._detector, self._embedder = _Once(detector), _Once(embedder)
        self._threshold, self._calibration = _Once(threshold), _Once(calibration)
        self._limits = limits or Limits()

    @property
    def detector(self) -> Detector:
        """The detector, loaded."""
        return self._detector()

    @property
    def embedder(self) -> FaceEmbedder:
        """What turns faces into embeddings, loaded."""
        return self._embedder()

    @property
    def threshold(self) -> Threshold:
        """What similarities are held against, and where that number comes from."""
        return self._threshold()

    @property
    def calibration(self) -> Calibration | None:
        """How often strangers reach a similarity; ``None`` where that was not measured."""
        return self._calibration()

    def detect(
        self, image: ImageSource, *, largest: bool = False, any_turn: bool = False
    ) -> list[Face]:
        """Find the faces of a picture.

        Args:
            image: Path, bytes, data URI, binary file, (h, w, 3) uint8 RGB array, Pillow image
                or `Frame`.
            largest: Keep only the face that covers most of the picture.
            any_turn: Unless an upright face is found beyond doubt, look at quarter turns as well.

        Returns:
            Faces by falling score; an empty list when there is none.

        Raises:
            ImageError: The picture cannot be read.
        """
        frame = load_frame(image, limits=self._limits)
        faces = detect_any_turn(self.detector, frame) if any_turn else self.detector.detect(frame)
        return [largest_face(faces)] if largest and faces else faces

    @overload
    def embed(self, face: Face) -> Embedding: ...
    @overload
    def embed(self, face: Sequence[Face]) -> list[Embedding]: ...
    def embed(self, face: Face | Sequence[Face]) -> Embedding | list[Embedding]:
        """Turn a face, or several at once, into embeddings.

        Args:
            face: From `detect`.

        Returns:
            One embedding per face, in order.

        Raises:
            DegenerateLandmarksError: The landmarks of a face coincide.
        """
        faces = [face] if isinstance(face, Face) else list(face)
        found = self.embedder.embed(faces)
        return found[0] if isinstance(face, Face) else found

    def verify(self, a: Picture, b: Picture) -> Decision:
        """Are these two the same person?

        Args:
            a: A picture, of which the largest face counts, or a face.
            b: Likewise.

        Raises:
            NoFaceError: A picture shows no face.
            ImageError: A picture cannot be read.
        """
        first, second = self.embed(
            [self._one_face(a, largest=True), self._one_face(b, largest=True)]
        )
        return decide(first.similarity(second), self.threshold, self.calibration)

    def enroll(
        self,
        gallery: GalleryLike,
        name: str,
        images: Picture | list[Picture] | tuple[Picture, ...],
        *,
        largest: bool = False,
    ) -> list[int]:
        """Add pictures of one person; all of them, or none when one is refused.

        Args:
            gallery: An open gallery, or the path of one (made when absent).
            name: The person.
            images: One picture or face, or several.
            largest: Take the largest face of a picture that shows several, instead of refusing.

        Returns:
            The numbers of the new samples.

        Raises:
            NoFaceError: A picture shows no face.
            SeveralFacesError: A picture shows several and `largest` is false.
            DuplicateSampleError: A picture is enrolled for this person already.
            SpaceMismatchError: The gallery was made with another model.
        """
        pictures = list(images) if isinstance(images, (list, tuple)) else [images]
        # One by one, so that no more than one picture is held in memory.
        samples = [self.sample(name, picture, largest=largest) for picture in pictures]
        with _opened(gallery) as opened:
            return opened.add_many(samples)

    def sample(self, name: str, image: Picture, *, largest: bool = False) -> NewSample:
        """Make one picture of a person ready for a gallery, without adding it.

        Args:
            name: The person.
            image: A picture or a face.
            largest: As in `enroll`.

        Raises:
            NoFaceError: The picture shows no face.
            SeveralFacesError: It shows several and `largest` is false.
            RangeError: Nobody can have this name.
        """
        face = self._one_face(image, largest=largest)
        return NewSample(name, self.embed(face), _digest(face), face.frame.source)

    def identify(
        self,
        gallery: GalleryLike,
        image: ImageSource | list[Face],
        *,
        k: int = 5,
        any_turn: bool = False,
    ) -> list[Identification]:
        """Whose faces are in this picture?

        Args:
            gallery: An open gallery, or the path of one.
            image: A picture, or faces already detected.
            k: How many of the nearest people to report per face.
            any_turn: As in `detect`.

        Returns:
            One answer per face by falling detector score; an empty list without faces. A face
            nobody matches well enough has ``name=None``.

        Raises:
            ImageError: The picture cannot be read.
            SpaceMismatchError: The gallery was made with another model.
        """
        faces = image if isinstance(image, list) else self.detect(image, any_turn=any_turn)
        if not faces:
            return []
        with _opened(gallery, create=False) as opened:
            every = opened.search_many(self.embed(faces), k=k)
        answers = []
        for face, matches in zip(faces, every, strict=True):
            decision = self._decide(matches)
            best = matches[0] if decision and decision.same else None
            name, person = (best.name, best.person) if best else (None, None)
            answers.append(Identification(face, name, decision, tuple(matches), person))
        return answers

    def _decide(self, matches: Sequence[Match], chosen: int = 0) -> Decision | None:
        """The decision for one of a face's matches, held against the best of the others."""
        if not matches:
            return None
        match = matches[chosen]
        others = [other.similarity for i, other in enumerate(matches) if i != chosen]
        return decide(
            match.similarity,
            self.threshold,
            self.calibration,
            margin=match.similarity - max(others) if others else None,
            sample=match.sample,
        )

    def verify_claim(self, gallery: GalleryLike, name: str, image: Picture) -> Decision:
        """Is this really the enrolled person they say they are?

        Args:
            gallery: An open gallery, or the path of one.
            name: Who they say they are.
            image: A picture, of which the largest face counts, or a face.

        Returns:
            The decision for the person's best sample.

        Raises:
            UnknownPersonError: Nobody of this name is enrolled.
            NoFaceError: The picture shows no face.
            SpaceMismatchError: The gallery was made with another model.
        """
        embedding = self.embed(self._one_face(image, largest=True))
        with _opened(gallery, create=False) as opened:
            wanted = unicodedata.normalize("NFC", name.strip())
            for match in opened.search(embedding, k=max(1, len(opened))):
                if match.name == wanted:
                    return decide(
                        match.similarity, self.threshold, self.calibration, sample=match.sample
                    )
            raise unknown_person_error(wanted, (person.name for person in opened.people()))

    def _one_face(self, image: Picture, *, largest: bool) -> Face:
        if isinstance(image, Face):
            return image
        frame = load_frame(image, limits=self._limits)
        faces = self.detector.detect(frame)
        shown = frame.source or "the picture"
        if not faces:
            raise NoFaceError(f"{shown} must show a face, none was found", path=frame.source)
        if len(faces) > 1 and not largest:
            raise SeveralFacesError(
                f"{shown} must show one face, {len(faces)} were found",
                path=frame.source,
                actual=len(faces),
            )
        return largest_face(faces)


def load(
    *,
    detector: str = "mtcnn",
    embedder: str = "dlib-resnet-v1",
    min_face_px: float = 40.0,
    mirror: bool = True,
    threshold: str | float = DEFAULT_POLICY,
    threads: int | None = None,
    calibration: str | os.PathLike[str] | Calibration | None = None,
    limits: Limits | None = None,
    store: Store | None = None,
) -> Recognizer:
    """Put a recogniser together; the default one ships with vultus and needs no network.

    Args:
        detector: Name of a detector's card.
        embedder: Name of an embedder's card.
        min_face_px: Smallest face side to look for, in pixels, ≥ 12.
        mirror: Average each face with its mirror image: twice the embedding time, fewer errors.
        threshold: A false match rate (``fmr=1e-3``), a false positive rate for a gallery's size
            (``fpir=1e-2,people=500``), or a cosine of your own.
        threads: CPU threads within one call; all the process may use when ``None``. Use 1 when
            you call from several threads at once.
        calibration: Of your own data, or the file of one; the one that ships with vultus for
            these embeddings, if any, when ``None``.
        limits: Bounds on untrusted pictures.
        store: Where weights lie.

    Raises:
        UnknownModelError: No card has this name.
        CardError: A card is of another kind, or no such threshold was measured.
        RangeError: A value is outside its range.
    """
    registry, store = Registry(), store or Store()
    detector_card = _card(registry, detector, "detector")
    embedder_card = _card(registry, embedder, "embedder")
    if detector_card.detector is None or detector_card.detector.family != "mtcnn":
        raise CardError(
            f"detector {detector!r} cannot be run by this version", remedy="use detector='mtcnn'"
        )
    options = SessionOptions(threads=default_threads() if threads is None else threads)
    spec = detector_card.detector
    mtcnn = MtcnnOptions(
        min_face_px=min_face_px,
        thresholds=(0.6, 0.7, spec.score_threshold),  # of the first two nets, as published
        overlap=spec.nms_iou,
    )
    space = space_in(registry, embedder_card, mirror=mirror)
    own = _own_calibration(calibration, space)
    if threshold != DEFAULT_POLICY:  # told now, not after the work; a model without needs none
        threshold_for(embedder_card, space, threshold, own)
    return Recognizer(
        lambda: Mtcnn.from_card(detector_card, store, options, mtcnn),
        lambda: face_embedder_for(embedder_card, registry, store, options, mirror=mirror),
        lambda: threshold_for(embedder_card, space, threshold, own),
        limits,
        lambda: own or shipped_calibration(space),
    )


def _own_calibration(
    given: str | os.PathLike[str] | Calibration | None, space: EmbeddingSpace
) -> Calibration | None:
    if given is None:
        return None
    if isinstance(given, Calibration):
        given.check_space(space)
        return given
    return load_calibration(Path(given), space)


class _Once(Generic[T]):
    """A value made at first use, once, whatever number of threads ask."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._value: list[T] = []

    def __call__(self) -> T:
        if not self._value:
            with self._lock:
                if not self._value:
                    self._value.append(self._make())
        return self._value[0]


def _card(registry: Registry, name: str, kind: str) -> ModelCard:
    card = registry.get(name)
    if card.kind != kind:
        raise CardError(
            f"{name!r} must be a model of kind {kind}, it is of kind {card.kind}",
            remedy=f"`vultus models list --kind {kind}` shows the choice",
            expected=kind,
            actual=card.kind,
        )
    return card


def largest_face(faces: Sequence[Face]) -> Face:
    """The face that covers most of its picture, what lies outside not counted."""
    return max(faces, key=lambda face: face.visible_area_px)


def _digest(face: Face) -> str:
    """SHA-256 of the upright picture's pixels: the same photo under two names is one sample."""
    image = face.frame.image
    header = f"{image.shape[1]}x{image.shape[0]}:".encode()
    return hashlib.sha256(header + np.ascontiguousarray(image).data.tobytes()).hexdigest()


@contextmanager
def _opened(gallery: GalleryLike, *, create: bool = True) -> Iterator[Gallery]:
    if gallery == ":memory:":
        raise GalleryError(
            "':memory:' would be gone after this call",
            remedy='open it first, gallery = vultus.open_gallery(":memory:"), and hand that over',
        )
    if isinstance(gallery, (str, os.PathLike)):
        with open_gallery(gallery, create=create) as opened:
            yield opened
    else:
        yield gallery
