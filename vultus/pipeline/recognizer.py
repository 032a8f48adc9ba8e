"""The whole flow on one screen: detect, embed, verify, enroll, identify."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias, overload

import numpy as np

from vultus.assess.attributes import AttributeReader
from vultus.assess.gate import GatePolicy, check, gate_policy
from vultus.assess.landmarks import Landmarker
from vultus.assess.quality import QualityAssessor
from vultus.assess.schemes import five_points
from vultus.decide import Calibration, Normaliser
from vultus.detect import Detector, detect_any_turn
from vultus.encode import FaceEmbedder
from vultus.errors import (
    GalleryError,
    ModelMissingError,
    NoFaceError,
    RefusedFaceError,
    SeveralFacesError,
)
from vultus.gallery import Gallery, NewSample, open_gallery, unknown_person_error
from vultus.gallery.crops import pack_crop
from vultus.pipeline._once import Once
from vultus.pipeline._verdicts import Verdicts
from vultus.sources import ImageSource, Limits, load_frame
from vultus.types import (
    Decision,
    Embedding,
    Face,
    GateResult,
    Identification,
    Match,
    Quality,
    Threshold,
)

__all__ = ["Recognizer", "largest_face"]

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
        landmarker: Finds the points of faces whose detector gives boxes only; without one they
            stay without.
        assessor: Measures faces for the gate.
        attributes: Reads age and sex where they are asked for.
        gate: What is asked of faces that are enrolled, identified or verified.
        crop_key: Keeps an encrypted picture of each enrolled face.
        normaliser: Holds similarities against what both faces reach with strangers, before they
            are decided on; threshold and calibration are then of normalised ones.
    """

    def __init__(
        self,
        detector: Callable[[], Detector],
        embedder: Callable[[], FaceEmbedder],
        threshold: Callable[[], Threshold],
        limits: Limits | None = None,
        *,
        calibration: Callable[[], Calibration | None] = lambda: None,
        landmarker: Callable[[], Landmarker] | None = None,
        assessor: Callable[[], QualityAssessor] = QualityAssessor,
        attributes: Callable[[], AttributeReader] | None = None,
        gate: GatePolicy | None = None,
        crop_key: bytes | None = None,
        normaliser: Callable[[], Normaliser] | None = None,
    ) -> None:
        self._detector, self._embedder = Once(detector), Once(embedder)
        self._threshold, self._calibration = Once(threshold), Once(calibration)
        self._landmarker = None if landmarker is None else Once(landmarker)
        self._verdicts = Verdicts(
            self._threshold, self._calibration, None if normaliser is None else Once(normaliser)
        )
        self._assessor = Once(assessor)
        self._attributes = None if attributes is None else Once(attributes)
        self._gate = gate or gate_policy("off")
        self._crop_key = crop_key
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
            Faces by falling score; an empty list when there is none. Landmarks that the detector
            does not give are found by the face mesh.

        Raises:
            ImageError: The picture cannot be read.
        """
        frame = load_frame(image, limits=self._limits)
        faces = detect_any_turn(self.detector, frame) if any_turn else self.detector.detect(frame)
        return self._with_landmarks([largest_face(faces)] if largest and faces else faces)

    def _with_landmarks(self, faces: list[Face]) -> list[Face]:
        lacking = [i for i, face in enumerate(faces) if face.landmarks is None]
        if not lacking or self._landmarker is None:
            return faces
        complete = list(faces)
        found = self._landmarker().locate([faces[i] for i in lacking])
        for i, dense in zip(lacking, found, strict=True):
            complete[i] = replace(faces[i], landmarks=five_points(dense))
        return complete

    def assess(self, faces: Sequence[Face]) -> list[Quality]:
        """Measure how good pictures of faces are: sharpness, light, size, pose, what is covered.

        Args:
            faces: From `detect`.

        Returns:
            One quality per face, in order.

        Raises:
            DegenerateLandmarksError: The landmarks of a face coincide.
        """
        return self._assessor().assess(faces)

    def with_attributes(self, faces: Sequence[Face]) -> list[Face]:
        """Read age and sex, each with how good that reading was measured to be.

        How old and of which sex somebody looks to a network is no fact about them, and no ground
        for a decision. docs/quality.md has what was measured, and how to get the model.

        Args:
            faces: From `detect`.

        Returns:
            The same faces with their ``attributes``, which `identify` hands on; what no model
            reads is ``None`` in them.

        Raises:
            ModelMissingError: The model is not on this machine, whether there are faces or not;
                the message tells how to get it.
        """
        if self._attributes is None:
            raise ModelMissingError(
                "this recogniser was made without a reader of attributes",
                remedy="vultus.load makes one that has it",
            )
        read = self._attributes().read(faces)
        return [replace(face, attributes=own) for face, own in zip(faces, read, strict=True)]

    def _judged(self, faces: Sequence[Face]) -> list[tuple[Quality | None, GateResult | None]]:
        """Quality and the gate's word on each face; neither where the gate asks nothing."""
        if self._gate == gate_policy("off"):
            return [(None, None) for _ in faces]
        return [(quality, check(quality, self._gate)) for quality in self.assess(faces)]

    def _admitted(self, face: Face) -> Quality | None:
        """A face's quality, when the gate lets it through.

        Raises:
            RefusedFaceError: It does not.
        """
        quality, gate = self._judged([face])[0]
        if gate is not None and not gate.accepted:
            raise RefusedFaceError(
                f"{face.frame.source or 'the face'} must pass the gate {gate.policy!r}: "
                + "; ".join(map(str, gate.reasons)),
                path=face.frame.source,
                reasons=[reason.code for reason in gate.reasons],
            )
        return quality

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
        return self._verdicts.of_pair(first, second)

    def enroll(
        self,
        gallery: GalleryLike,
        name: str,
        images: Picture | list[Picture] | tuple[Picture, ...],
        *,
        largest: bool = False,
        allow_duplicates: bool = False,
    ) -> list[int]:
        """Add pictures of one person; all of them, or none when one is refused.

        Args:
            gallery: An open gallery, or the path of one (made when absent).
            name: The person.
            images: One picture or face, or several.
            largest: Take the largest face of a picture that shows several, instead of refusing.
            allow_duplicates: Take pictures that the person already holds.

        Returns:
            The numbers of the new samples.

        Raises:
            NoFaceError: A picture shows no face.
            SeveralFacesError: A picture shows several and `largest` is false.
            RefusedFaceError: The gate does not let a face through.
            DuplicateSampleError: A picture is enrolled for this person already.
            SpaceMismatchError: The gallery was made with another model.
        """
        pictures = list(images) if isinstance(images, (list, tuple)) else [images]
        # One by one, so that no more than one picture is held in memory.
        samples = [self.sample(name, picture, largest=largest) for picture in pictures]
        with _opened(gallery) as opened:
            return opened.add_many(samples, allow_duplicates=allow_duplicates)

    def sample(
        self, name: str, image: Picture, *, largest: bool = False, group: str | None = None
    ) -> NewSample:
        """Make one picture of a person ready for a gallery, without adding it.

        Args:
            name: The person.
            image: A picture or a face.
            largest: As in `enroll`.
            group: The face counts in this group only; ``None``: in all of the person's.

        Raises:
            NoFaceError: The picture shows no face.
            SeveralFacesError: It shows several and `largest` is false.
            RefusedFaceError: The gate does not let the face through.
            RangeError: Nobody can have this name.
        """
        face = self._one_face(image, largest=largest)
        quality = self._admitted(face)
        return NewSample(
            name,
            self.embed(face),
            _digest(face),
            face.frame.source,
            group=group,
            quality=quality,
            crop=None if self._crop_key is None else pack_crop(face, self._crop_key),
        )

    def identify(
        self,
        gallery: GalleryLike,
        image: ImageSource | list[Face],
        *,
        k: int = 5,
        any_turn: bool = False,
        groups: Collection[str] | None = None,
        once: bool = False,
    ) -> list[Identification]:
        """Whose faces are in this picture?

        Args:
            gallery: An open gallery, or the path of one.
            image: A picture, or faces already detected.
            k: How many of the nearest people to report per face.
            any_turn: As in `detect`.
            groups: Only members of any of these; ``None``: everybody.
            once: Nobody is on one picture twice. Of two faces that claim one person, the more
                similar one keeps the name; the other gets its next best match that reaches the
                threshold, or stays unknown. It keeps the name, too, when strangers reach its
                similarity less than once in ten thousand times: a mirror, a photo on a wall.

        Returns:
            One answer per face by falling detector score; an empty list without faces. A face
            nobody matches well enough, or that the gate refuses, has ``name=None``.

        Raises:
            ImageError: The picture cannot be read.
            SpaceMismatchError: The gallery was made with another model.
            UnknownGroupError: There is no such group.
        """
        faces = image if isinstance(image, list) else self.detect(image, any_turn=any_turn)
        judged = self._judged(faces)
        passed = [face for face, (_, gate) in zip(faces, judged, strict=True) if _open(gate)]
        every: list[list[Match]] = []
        if passed:
            with _opened(gallery, create=False) as opened:
                probes = self.embed(passed)
                every = opened.search_many(probes, k=k, groups=groups)
                every = self._verdicts.ranked(opened, probes, every)
        chosen = self._verdicts.chosen(every, once=once)
        found = iter(zip(every, chosen, strict=True))
        return [
            self._verdicts.answer(face, *next(found), quality, gate)
            if _open(gate)
            else Identification(face, None, None, (), None, quality, gate)
            for face, (quality, gate) in zip(faces, judged, strict=True)
        ]

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
            RefusedFaceError: The gate does not let the face through.
            SpaceMismatchError: The gallery was made with another model.
        """
        face = self._one_face(image, largest=True)
        quality = self._admitted(face)
        embedding = self.embed(face)
        with _opened(gallery, create=False) as opened:
            wanted = unicodedata.normalize("NFC", name.strip())
            for match in opened.search(embedding, k=max(1, len(opened))):
                if match.person == wanted:
                    return self._verdicts.of_claim(opened, embedding, match, quality)
            raise unknown_person_error(wanted, (person.id for person in opened.people()))

    def _one_face(self, image: Picture, *, largest: bool) -> Face:
        if isinstance(image, Face):
            return image
        frame = load_frame(image, limits=self._limits)
        faces = self.detect(frame)
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


def largest_face(faces: Sequence[Face]) -> Face:
    """The face that covers most of its picture, what lies outside not counted."""
    return max(faces, key=lambda face: face.visible_area_px)


def _open(gate: GateResult | None) -> bool:
    return gate is None or gate.accepted


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
