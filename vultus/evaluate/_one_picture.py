"""Embeds one picture: finds its face, or takes it as the crop it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.align import ARCFACE_112
from vultus.encode import AlignedEmbedder
from vultus.errors import CardError, ImageNotFoundError, InputError, RangeError
from vultus.evaluate._cache import Entry
from vultus.pipeline import Recognizer, largest_face
from vultus.sources import load_frame
from vultus.types import Box, Face, Frame, Landmarks

__all__ = ["EmbedOptions", "Source", "central_face", "digest_of", "embed_one", "name_of"]

Source: TypeAlias = Path | bytes


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How pictures become embeddings.

    Attributes:
        model: Name of an embedder's card.
        detector: Name of a detector's card.
        min_face_px: Smallest face side to look for, in pixels.
        mirror: Average each face with its mirror image (test-time augmentation by flipping).
        face: Which of several faces counts: ``center``, the one whose area less twice the squared
            distance of its centre from the picture's is largest (as LFW files its pictures;
            source: facenet, ``align_dataset_mtcnn.py``), or ``largest``.
        crops: ``detect``: whole pictures, in which faces are found. ``aligned``: each picture is
            a crop as the model was trained on; it is only scaled to the model's size. ``arcface``:
            each is a crop on ArcFace's template, so where its five points lie is known, whatever
            alignment the model wants.

    Raises:
        RangeError: An unknown choice.
    """

    model: str = "dlib-resnet-v1"
    detector: str = "mtcnn"
    min_face_px: float = 40.0
    mirror: bool = True
    face: Literal["center", "largest"] = "center"
    crops: Literal["detect", "aligned", "arcface"] = "detect"

    def __post_init__(self) -> None:
        for name, known in (
            ("face", ("center", "largest")),
            ("crops", ("detect", "aligned", "arcface")),
        ):
            if getattr(self, name) not in known:
                raise RangeError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )


def embed_one(
    recognizer: Recognizer,
    options: EmbedOptions,
    sources: Sequence[Source],
    points: NDArray[np.float32] | None,
    index: int,
) -> Entry | InputError:
    """One picture's embedding, or why there is none.

    Args:
        recognizer: Shared by all threads.
        options: Choice of the face.
        sources: All pictures.
        points: (n, 5, 2) landmarks where they are known.
        index: Which picture.

    Raises:
        ModelError: The model cannot be used.
        InferenceError: A network failed.
    """
    source = sources[index]
    try:
        frame = load_frame(source, label=name_of(source, index))
        if points is not None:
            return _embedded(recognizer, [_face_at(frame, points[index])], options)
        if options.crops == "aligned":
            return _aligned(recognizer, frame)
        if options.crops == "arcface":
            faces = [_face_at(frame, ARCFACE_112 / 112 * min(frame.width_px, frame.height_px))]
        else:
            faces = recognizer.detect(frame)
        return _embedded(recognizer, faces, options)
    except InputError as error:
        return error


def _embedded(recognizer: Recognizer, faces: list[Face], options: EmbedOptions) -> Entry:
    if not faces:
        return Entry(0, 0.0, np.zeros(0, np.float32))
    face = central_face(faces) if options.face == "center" else largest_face(faces)
    embedding = recognizer.embed(face)
    return Entry(len(faces), embedding.raw_norm, embedding.vector)


def _face_at(frame: Frame, points: NDArray[Any]) -> Face:
    """A face whose points are known; its box is the points' own, which no alignment looks at."""
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    box = Box(float(x1), float(y1), float(x2), float(y2))
    return Face(box, 1.0, Landmarks(points.astype(np.float32)), frame)


def _aligned(recognizer: Recognizer, frame: Frame) -> Entry:
    """The picture as the crop itself: its middle square, scaled to the model's size."""
    import cv2

    joined = recognizer.embedder
    if not isinstance(joined, AlignedEmbedder):
        raise CardError(
            f"{joined.space.model} joins several models, which want crops of their own",
            remedy="use whole pictures, or crops on ArcFace's template",
        )
    side, size = min(frame.width_px, frame.height_px), joined.aligner.size_px
    left, top = (frame.width_px - side) // 2, (frame.height_px - side) // 2
    crop = frame.image[top : top + side, left : left + side]
    if side != size:
        how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        crop = cv2.resize(crop, (size, size), interpolation=how).astype(np.uint8, copy=False)
    (embedding,) = joined.embedder.embed([crop])
    return Entry(1, embedding.raw_norm, embedding.vector)


def central_face(faces: Sequence[Face]) -> Face:
    """The face whose area less twice the squared distance from the picture's centre is largest.

    Source of the rule: facenet (Sandberg), ``align_dataset_mtcnn.py``; areas in square pixels.
    """

    def merit(face: Face) -> float:
        centre = (face.frame.width_px / 2, face.frame.height_px / 2)
        gap = np.subtract(face.box.center_xy, centre)
        return face.box.area_px - 2.0 * float(gap @ gap)

    return max(faces, key=merit)


def digest_of(source: Source) -> bytes | ImageNotFoundError:
    """SHA-256 of the encoded picture."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return ImageNotFoundError(f"{source} cannot be read: {reason}", path=str(source))


def name_of(source: Source, index: int) -> str:
    """What to call it in messages."""
    return f"picture {index}" if isinstance(source, bytes) else str(source)
