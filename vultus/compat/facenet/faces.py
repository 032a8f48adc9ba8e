"""Faces as facenet's scripts find and cut them: MTCNN from 20 px on, and the margin crop."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from vultus.compat.facenet.files import replace_file
from vultus.detect.mtcnn import Mtcnn, MtcnnOptions
from vultus.errors import RangeError
from vultus.evaluate.embeddings import central_face
from vultus.models import Registry, Store
from vultus.runtime import SessionOptions
from vultus.sources import load_frame
from vultus.types import Box, Face, Frame, Image, Landmarks

__all__ = [
    "MarginCrop",
    "check_crop",
    "detector",
    "face_of_crop",
    "margin_crop",
    "mirrored",
    "png_bytes",
    "write_png",
]

MIN_FACE_PX = 20.0
"""Facenet's ``minsize`` in every script; its thresholds 0.6, 0.7, 0.7 and its factor 0.709 are
those of `MtcnnOptions`."""

_LARGEST_PX = 4096

# Where the five points lie in a margin crop, as parts of its side: medians over the crops that
# `align` makes with its defaults (182 px, margin 44) of 1,000 people of LFW's View 1.
_CROP_POINTS = np.array(
    [[0.361, 0.421], [0.659, 0.413], [0.511, 0.568], [0.380, 0.697], [0.655, 0.692]], np.float32
)
_PNG_LEVEL = 1  # a tenth larger than Pillow's 6 and eight times as fast; the pixels are the same


class MarginCrop(NamedTuple):
    """A face cut out by facenet's rule.

    Attributes:
        image: (size_px, size_px, 3) uint8 RGB.
        box: (x1, y1, x2, y2) whole pixels of the picture, x2 and y2 exclusive.
    """

    image: Image
    box: tuple[int, int, int, int]


def detector(threads: int = 1) -> Mtcnn:
    """MTCNN with facenet's settings."""
    options = MtcnnOptions(min_face_px=MIN_FACE_PX)
    return Mtcnn.from_card(Registry().get("mtcnn"), Store(), SessionOptions(threads), options)


def check_crop(image_size: int, margin: float) -> None:
    """Require a size and a margin that a crop can have.

    Raises:
        RangeError: It cannot.
    """
    if not 1 <= image_size <= _LARGEST_PX:
        raise RangeError(f"image_size must lie in 1..{_LARGEST_PX} pixels, got {image_size}")
    if not 0 <= margin <= _LARGEST_PX:
        raise RangeError(f"margin must lie in 0..{_LARGEST_PX} pixels, got {margin}")


def margin_crop(frame: Frame, box: Box, size_px: int, margin_px: float) -> MarginCrop | None:
    """Cut a face out as facenet does.

    The box grows by half the margin on each side, is clipped to the picture and cut to whole
    pixels; what it holds is scaled bilinearly to a square, whatever its aspect ratio.

    Args:
        frame: The picture.
        box: The face's, as MTCNN gives it.
        size_px: Side of the result.
        margin_px: In pixels of the picture.

    Returns:
        ``None`` where nothing of the box lies in the picture.

    Source: facenet (Sandberg), ``align_dataset_mtcnn.py``; Pillow's filter is what its
    ``scipy.misc.imresize`` called.
    """
    half = margin_px / 2
    x1, y1 = int(max(box.x1 - half, 0)), int(max(box.y1 - half, 0))
    x2 = int(min(box.x2 + half, frame.width_px))
    y2 = int(min(box.y2 + half, frame.height_px))
    if x2 <= x1 or y2 <= y1:
        return None
    cut = Pillow.fromarray(np.ascontiguousarray(frame.image[y1:y2, x1:x2]))
    scaled = cut.resize((size_px, size_px), Pillow.Resampling.BILINEAR)
    return MarginCrop(np.asarray(scaled), (x1, y1, x2, y2))


def face_of_crop(find: Mtcnn, path: Path) -> tuple[Face, bool]:
    """The face of a picture of a data set, and whether it was found rather than assumed.

    Data sets hold margin crops, so in a picture in which nothing is found the face is where
    crops have it. In a picture with several, the one in the middle counts (`central_face`).

    Raises:
        ImageError: The picture cannot be read.
    """
    frame = load_frame(path)
    faces = find.detect(frame)
    if faces:
        return central_face(faces), True
    points: NDArray[np.float32] = _CROP_POINTS * (frame.width_px, frame.height_px)
    box = Box(0.0, 0.0, float(frame.width_px), float(frame.height_px))
    return Face(box, 0.0, Landmarks(points), frame), False


def mirrored(face: Face) -> Face:
    """The same face in the picture's mirror image."""
    width, box = face.frame.width_px, face.box
    image = np.ascontiguousarray(face.frame.image[:, ::-1])
    points = face.points[[1, 0, 2, 4, 3]]  # the left eye is the mirror's right one
    points = np.stack([width - 1 - points[:, 0], points[:, 1]], axis=1)
    return Face(
        Box(width - box.x2, box.y1, width - box.x1, box.y2),
        face.score,
        Landmarks(points),
        Frame(image, face.frame.source),
    )


def png_bytes(image: Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Pillow.fromarray(image).save(buffer, format="PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def write_png(image: Image, path: Path) -> None:
    """Write a PNG in one step: all of the file is there, or none of it.

    Raises:
        OutputError: It cannot be written.
    """
    data = png_bytes(image)
    replace_file(path, lambda temporary: temporary.write_bytes(data))
