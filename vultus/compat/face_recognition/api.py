"""The functions of face_recognition 1.3.0, with its names, orders and numbers.

Boxes are (top, right, bottom, left); left is the picture's left. Encodings are the raw output of
dlib's network: compare them by Euclidean distance, 0.6 and less is the same person.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.compat.face_recognition._shapes import FullObjectDetection, MmodRectangle, Rectangle

if TYPE_CHECKING:
    from PIL import Image as PilImage

    from vultus.compat.face_recognition._engine import Engine

__all__ = [
    "batch_face_locations",
    "compare_faces",
    "face_distance",
    "face_encodings",
    "face_landmarks",
    "face_locations",
    "load_image_file",
]

Location: TypeAlias = tuple[int, int, int, int]
Pixels: TypeAlias = NDArray[np.uint8]

# Pillow knows only one switch for all threads; see `_whole_picture`.
_TRUNCATED = Lock()


def load_image_file(file: str | os.PathLike[str] | IO[bytes], mode: str | None = "RGB") -> Pixels:
    """Load a picture.

    The EXIF orientation is not applied, as in face_recognition; `vultus.load_image` applies it. A
    picture that was cut short is grey from there on.

    Args:
        file: A path or an open binary file.
        mode: ``RGB`` for (h, w, 3), ``L`` for (h, w) grey, any other of Pillow's modes; ``None``
            keeps the picture's own.

    Returns:
        uint8 array that may be written to.

    Raises:
        FileNotFoundError: There is no such file.
        PIL.UnidentifiedImageError: It is no picture.
        ValueError: Pillow knows no such mode.
    """
    from PIL import Image as PilImage

    with PilImage.open(file) as opened:
        picture = _whole_picture(opened)
        return np.array(picture.convert(mode) if mode else picture)


def _whole_picture(opened: PilImage.Image) -> PilImage.Image:
    """The picture decoded, however much of it there is."""
    from PIL import ImageFile

    try:
        opened.load()
    except OSError as error:
        if "truncated" not in str(error):
            raise
    else:
        return opened
    with _TRUNCATED:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            opened.load()
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
    return opened


def face_locations(
    img: Pixels, number_of_times_to_upsample: int = 1, model: str = "hog"
) -> list[Location]:
    """Find the faces of a picture.

    Args:
        img: (h, w, 3) uint8 RGB or (h, w) uint8 grey.
        number_of_times_to_upsample: Each time finds faces half as large; from 80 px at 0.
        model: ``cnn`` for dlib's MMOD; anything else for the default detector, with boxes as
            dlib's HOG detector draws them.

    Returns:
        (top, right, bottom, left) of each face inside the picture; the first is the surest.

    Raises:
        TypeError: `img` is no array, or the number is no whole number from 0 on.
        RuntimeError: The array is neither 8-bit grey nor RGB.
    """
    rects = _rects(_raw_face_locations(img, number_of_times_to_upsample, model))
    return [_trim_css_to_bounds(_rect_to_css(rect), img.shape) for rect in rects]


def batch_face_locations(
    images: Sequence[Pixels], number_of_times_to_upsample: int = 1, batch_size: int = 128
) -> list[list[Location]]:
    """Find the faces of several pictures with dlib's MMOD.

    Args:
        images: As for `face_locations`; of any sizes.
        number_of_times_to_upsample: As for `face_locations`.
        batch_size: Pictures at a time on a graphics card; without meaning on a CPU.

    Returns:
        For each picture what `face_locations` gives with ``model="cnn"``.
    """
    every = _raw_face_locations_batched(images, number_of_times_to_upsample, batch_size)
    return [
        [_trim_css_to_bounds(_rect_to_css(face.rect), image.shape) for face in faces]
        for image, faces in zip(images, every, strict=True)
    ]


def face_landmarks(
    face_image: Pixels, face_locations: Iterable[Location] | None = None, model: str = "large"
) -> list[dict[str, list[tuple[int, int]]]]:
    """Find eyes, nose, mouth and chin of each face.

    Args:
        face_image: As for `face_locations`.
        face_locations: Where the faces are; found when ``None``.
        model: ``large`` for 68 points, ``small`` for 5.

    Returns:
        Per face: name to (x, y) pixels.

    Raises:
        ValueError: No such model.
    """
    landmarks = _raw_face_landmarks(face_image, face_locations, model)
    if model == "large":
        from vultus.assess.schemes import FEATURES

        groups = dict(FEATURES)
    elif model == "small":
        groups = {"nose_tip": (4,), "left_eye": (2, 3), "right_eye": (0, 1)}
    else:
        raise ValueError("Invalid landmarks model type. Supported models are ['small', 'large'].")
    every = [[(point.x, point.y) for point in shape.parts()] for shape in landmarks]
    return [
        {name: [points[i] for i in places] for name, places in groups.items()} for points in every
    ]


def face_encodings(
    face_image: Pixels,
    known_face_locations: Iterable[Location] | None = None,
    num_jitters: int = 1,
    model: str = "small",
) -> list[NDArray[np.float64]]:
    """Turn each face into 128 numbers.

    Args:
        face_image: (h, w, 3) uint8 RGB.
        known_face_locations: Where the faces are; found when ``None``.
        num_jitters: Average over so many random distortions: steadier, and so many times slower.
        model: Landmarks a face is cut out by: ``small`` for 5, anything else for 68.

    Returns:
        (128,) float64 per face, not of unit length.

    Raises:
        TypeError: The picture is grey and shows a face, or `num_jitters` is no whole number.
        DegenerateLandmarksError: A location is so small that its landmarks coincide.
    """
    jitters = _whole_number(num_jitters, "num_jitters")
    shapes = _raw_face_landmarks(face_image, known_face_locations, model)
    if shapes and face_image.ndim == 2:
        raise TypeError(
            "face_encodings needs a colour picture, (h, w, 3) uint8 RGB, got a grey one, "
            f"{face_image.shape}; load it with mode='RGB'"
        )
    return _engine().encode(_image(face_image), shapes, jitters) if shapes else []


def compare_faces(
    known_face_encodings: Any, face_encoding_to_check: ArrayLike, tolerance: float = 0.6
) -> list[np.bool_]:
    """Whether each known face is the same person as the one to check.

    Args:
        known_face_encodings: As `face_distance` takes them.
        face_encoding_to_check: (128,).
        tolerance: Largest distance of the same person; 0.6 is typical, less is stricter.

    Returns:
        One per known face.
    """
    return list(face_distance(known_face_encodings, face_encoding_to_check) <= tolerance)


def face_distance(face_encodings: Any, face_to_compare: ArrayLike) -> NDArray[np.float64]:
    """Euclidean distance of each encoding from one.

    Args:
        face_encodings: A list of encodings, or an (n, 128) array.
        face_to_compare: (128,).

    Returns:
        (n,) float64, in the order given; empty for none.

    Raises:
        ValueError: Encodings of different lengths.
    """
    if len(face_encodings) == 0:
        return np.empty(0)
    away = np.asarray(face_encodings) - np.asarray(face_to_compare)
    distances: NDArray[np.float64] = np.linalg.norm(away, axis=1)
    return distances


# What its own tests, and some programs, call besides.


def _raw_face_locations(
    img: Pixels, number_of_times_to_upsample: int = 1, model: str = "hog"
) -> list[Rectangle] | list[MmodRectangle]:
    image = _image(img)
    doublings = _doublings(number_of_times_to_upsample)
    if image.size == 0:
        return []
    return _engine().cnn(image, doublings) if model == "cnn" else _engine().hog(image, doublings)


def _raw_face_locations_batched(
    images: Sequence[Pixels],
    number_of_times_to_upsample: int = 1,
    batch_size: int = 128,
) -> list[list[MmodRectangle]]:
    _whole_number(batch_size, "batch_size")
    return [
        cast("list[MmodRectangle]", _raw_face_locations(image, number_of_times_to_upsample, "cnn"))
        for image in images
    ]


def _raw_face_landmarks(
    face_image: Pixels, face_locations: Iterable[Location] | None = None, model: str = "large"
) -> list[FullObjectDetection]:
    image = _image(face_image)
    if face_locations is None:
        rects = _rects(_raw_face_locations(face_image))
    else:
        rects = [_css_to_rect(location) for location in face_locations]
    if not rects:
        return []
    if image.size == 0:
        raise RuntimeError("a face cannot be looked for in a picture without pixels")
    if model == "small":
        return _engine().five_points(image, rects)
    return _engine().points_68(image, rects)


def _rect_to_css(rect: Rectangle) -> Location:
    return rect.top(), rect.right(), rect.bottom(), rect.left()


def _css_to_rect(css: Location) -> Rectangle:
    try:
        top, right, bottom, left = (operator.index(edge) for edge in css)
    except TypeError as error:
        raise TypeError(
            f"a location must be four whole numbers (top, right, bottom, left), got {css!r}"
        ) from error
    except ValueError as error:
        raise IndexError(
            f"a location must be four numbers (top, right, bottom, left), got {css!r}"
        ) from error
    return Rectangle(left, top, right, bottom)


def _trim_css_to_bounds(css: Location, image_shape: tuple[int, ...]) -> Location:
    top, right, bottom, left = css
    return max(top, 0), min(right, image_shape[1]), min(bottom, image_shape[0]), max(left, 0)


def _rects(found: list[Rectangle] | list[MmodRectangle]) -> list[Rectangle]:
    return [face.rect if isinstance(face, MmodRectangle) else face for face in found]


def _engine() -> Engine:
    from vultus.compat.face_recognition._engine import engine

    return engine()


def _image(img: object) -> Pixels:
    """What dlib takes for a picture, as (h, w, 3) RGB.

    Raises:
        TypeError: It is no array.
        RuntimeError: It is neither 8-bit grey nor RGB.
    """
    if not isinstance(img, np.ndarray):
        raise TypeError(
            f"a picture must be a NumPy array, got {type(img).__name__}; "
            "load files with load_image_file(path)"
        )
    channels = img.shape[2] if img.ndim == 3 else 1
    if img.dtype != np.uint8 or img.ndim not in {2, 3} or channels not in {1, 3}:
        raise RuntimeError(
            f"Unsupported image type, must be 8bit gray or RGB image. Got {img.dtype} {img.shape}"
        )
    if channels == 1:
        img = np.repeat(img.reshape(*img.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(img)


def _doublings(value: object) -> int:
    count = _whole_number(value, "number_of_times_to_upsample")
    if count < 0:
        raise TypeError(f"number_of_times_to_upsample must be at least 0, got {count}")
    return count


def _whole_number(value: object, name: str) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from error
