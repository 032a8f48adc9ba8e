"""What CompreFace tells of the faces of a picture: boxes, plugins, versions and times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from vultus.assess.attributes import AttributeReader
from vultus.encode import AlignedEmbedder, CompositeEmbedder, FaceEmbedder
from vultus.errors import NoLandmarksError
from vultus.pipeline import Recognizer
from vultus.server.wire.compreface.errors import no_face
from vultus.server.wire.compreface.query import Options
from vultus.sources import Limits, load_frame
from vultus.types import Attributes, Box, Embedding, Face, Image, Pose

__all__ = ["Eyes", "Look", "rounded"]

_AGE_ERROR_YEARS = 5.3
"""Mean error of the age that faceres-deep reads: 400 faces of UTKFace, docs/quality.md."""

_PLACES = Decimal("0.00001")


def rounded(value: float) -> float:
    """To five places, halves up, as CompreFace tells probabilities and similarities."""
    return float(Decimal(repr(float(value))).quantize(_PLACES, ROUND_HALF_UP))


@dataclass(slots=True)
class Look:
    """The faces of one picture and what was found out about them.

    Attributes:
        faces: The largest first.
        embeddings: One per face; empty where nobody asked for them.
        fields: What to tell of each face: its box and the plugins' fields.
        times_ms: How long each stage took, for one face.
        versions: What did it.
    """

    faces: list[Face]
    embeddings: list[Embedding] = field(default_factory=list)
    fields: list[dict[str, Any]] = field(default_factory=list)
    times_ms: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def timed(self, version: str, *stages: str) -> Iterator[None]:
        """Take the time of stages that one network does at once; each face bears its share."""
        start = perf_counter()
        yield
        taken_ms = (perf_counter() - start) * 1000.0 / len(self.faces)
        for stage in stages:
            self.times_ms[stage] = round(taken_ms, 3)
            self.versions[stage] = version

    def told(self, options: Options) -> list[dict[str, Any]]:
        """The fields of each face, with the times where they are wanted."""
        if not options.status:
            return self.fields
        return [{**fields, "execution_time": self.times_ms} for fields in self.fields]

    def plugins_versions(self, options: Options) -> dict[str, Any]:
        """``plugins_versions`` where they are wanted, else nothing."""
        return {"plugins_versions": self.versions} if options.status else {}


class Eyes:
    """Looks at pictures as CompreFace's face core does.

    Args:
        recognizer: Detector and embedder.
        limits: Bounds on pictures.
        detector: Name of the detector's card.
        attributes: Gives the reader of age and sex; ``None`` where no model is installed.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        limits: Limits,
        detector: str,
        attributes: Callable[[], AttributeReader | None],
    ) -> None:
        self._recognizer = recognizer
        self._limits = limits
        self._detector = detector
        self._attributes = attributes

    def look(self, picture: bytes, options: Options, *, embed: bool) -> Look:
        """Find the faces of a picture and do what is asked of each.

        Args:
            picture: Encoded.
            options: What is asked for.
            embed: Whether embeddings are needed whether asked for or not.

        Raises:
            CompreFaceError: There is no face.
            ImageError: The picture cannot be read.
        """
        found = self._found(picture, options)
        embed = embed or "calculator" in options.plugins
        if embed:
            with found.timed(self._recognizer.embedder.space.model, "calculator"):
                found.embeddings = self._embedded(found.faces, options)
        self._tell(found, options)
        return found

    def _found(self, picture: bytes, options: Options) -> Look:
        start = perf_counter()
        if options.detect_faces:
            found = Look(largest_first(self._recognizer.detect(picture), options))
        else:
            frame = load_frame(picture, limits=self._limits)
            whole = Box(0.0, 0.0, float(frame.width_px), float(frame.height_px))
            found = Look([Face(whole, 1.0, None, frame)])
        if not found.faces:
            raise no_face()
        if options.detect_faces:
            found.times_ms["detector"] = round((perf_counter() - start) * 1000.0, 3)
            found.versions["detector"] = self._detector
        return found

    def _embedded(self, faces: list[Face], options: Options) -> list[Embedding]:
        if options.detect_faces:
            return self._recognizer.embed(faces)
        return _as_crops(self._recognizer.embedder).embed(faces)

    def _tell(self, found: Look, options: Options) -> None:
        """Fill in what is told of each face."""
        asked = options.plugins
        found.fields = [{"box": _box(face)} for face in found.faces]
        reader = self._attributes() if asked & {"age", "gender"} else None
        if reader is not None:
            with found.timed(reader.name, *sorted(asked & {"age", "gender"})):
                read = reader.read(found.faces)
            for fields, attributes in zip(found.fields, read, strict=True):
                fields.update(_attributes(attributes, asked))
        if "pose" in asked:
            with found.timed("mesh", "pose"):
                poses = [quality.pose for quality in self._recognizer.assess(found.faces)]
            for fields, pose in zip(found.fields, poses, strict=True):
                fields.update(_pose(pose))
        if "landmarks" in asked:
            for fields, face in zip(found.fields, found.faces, strict=True):
                fields.update(_landmarks(face))
        if "calculator" in asked:
            for fields, embedding in zip(found.fields, found.embeddings, strict=True):
                fields["embedding"] = embedding.vector.tolist()


def largest_first(faces: Sequence[Face], options: Options) -> list[Face]:
    """The faces that pass the threshold, by the area of their boxes, no more than are wanted."""
    least = options.det_prob_threshold
    passed = [face for face in faces if least is None or face.score > least]
    passed.sort(key=lambda face: -face.box.area_px)
    return passed[: options.limit or None]


# -- the fields -----------------------------------------------------------------------------------


def _box(face: Face) -> dict[str, float]:
    """In whole pixels, inside the picture."""
    width, height = face.frame.width_px, face.frame.height_px
    x_min, x_max = (min(max(round(x), 0), width) for x in (face.box.x1, face.box.x2))
    y_min, y_max = (min(max(round(y), 0), height) for y in (face.box.y1, face.box.y2))
    return {
        "probability": rounded(face.score),
        "x_max": x_max,
        "y_max": y_max,
        "x_min": x_min,
        "y_min": y_min,
    }


def _attributes(read: Attributes, asked: frozenset[str]) -> dict[str, Any]:
    """No probability of the age: the network gives none."""
    fields: dict[str, Any] = {}
    if "age" in asked and read.age is not None:
        years = float(read.age.value)
        fields["age"] = {
            "high": round(years + _AGE_ERROR_YEARS),
            "low": max(0, round(years - _AGE_ERROR_YEARS)),
        }
    if "gender" in asked and read.sex is not None and read.sex.confidence is not None:
        fields["gender"] = {
            "probability": rounded(read.sex.confidence),
            "value": str(read.sex.value),
        }
    return fields


def _pose(pose: Pose | None) -> dict[str, Any]:
    if pose is None:
        return {}
    angles = {"pitch": pose.pitch_deg, "roll": pose.roll_deg, "yaw": pose.yaw_deg}
    return {"pose": {name: rounded(angle) for name, angle in angles.items()}}


def _landmarks(face: Face) -> dict[str, Any]:
    if face.landmarks is None:
        return {}
    return {"landmarks": np.rint(face.landmarks.points).astype(int).tolist()}


# -- a picture that is a face ---------------------------------------------------------------------


class _WholePicture:
    """An aligner for pictures that are aligned crops already.

    Args:
        name: Of the aligner it stands for.
        size_px: Side of the crops.
    """

    def __init__(self, name: str, size_px: int) -> None:
        self.name = name
        self.size_px = size_px

    def align(self, faces: Sequence[Face]) -> list[Image]:
        """Each face's whole picture, scaled to the size wanted."""
        return [self._scaled(face.frame.image) for face in faces]

    def _scaled(self, image: Image) -> Image:
        shrinks = max(image.shape[:2]) > self.size_px
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        scaled = cv2.resize(image, (self.size_px, self.size_px), interpolation=how)
        return np.asarray(scaled, np.uint8)


def _as_crops(embedder: FaceEmbedder) -> FaceEmbedder:
    """The same embedder for faces whose picture is an aligned crop.

    Raises:
        NoLandmarksError: It does not tell how it aligns.
    """
    if isinstance(embedder, AlignedEmbedder):
        aligner = embedder.aligner
        return AlignedEmbedder(_WholePicture(aligner.name, aligner.size_px), embedder.embedder)
    if isinstance(embedder, CompositeEmbedder):
        parts = [(_as_crops(part), weight) for part, weight in embedder.parts]
        return CompositeEmbedder(parts, embedder.space)
    raise NoLandmarksError(f"{embedder.space.model} takes no picture that is a face already")
