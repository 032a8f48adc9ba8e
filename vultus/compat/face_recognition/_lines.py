"""What the two commands of face_recognition print, without the option parsers around them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.compat.face_recognition import _workers, api
from vultus.compat.face_recognition._engine import Engine
from vultus.errors import RangeError
from vultus.runtime import default_threads

if TYPE_CHECKING:
    from vultus.types import Image

__all__ = ["Line", "detection", "recognition", "worker_count"]

_LARGEST_PX = 1600
# Not anchored at the end: `a.jpg.bak` is read too, as in the original.
_PICTURE = re.compile(r".*\.(jpg|jpeg|png)", re.IGNORECASE)


class Line(NamedTuple):
    """One line of a command.

    Attributes:
        text: Without its end.
        failed: It tells what could not be done, and belongs on standard error.
    """

    text: str
    failed: bool = False


def recognition(
    known_people_folder: str,
    image_to_check: str,
    *,
    cpus: int = 1,
    tolerance: float = 0.6,
    show_distance: bool = False,
) -> Iterator[Line]:
    """What ``face_recognition`` prints, picture by picture in the order of the folder.

    Args:
        known_people_folder: One picture per person, named after them.
        image_to_check: A picture or a folder of pictures.
        cpus: Pictures at a time; -1 for one per CPU.
        tolerance: Largest distance of the same person.
        show_distance: Add a third field.

    Raises:
        RangeError: `cpus` is neither -1 nor at least 1.
        OSError: A folder cannot be read.
    """
    with _workers.pool(worker_count(cpus)) as over:
        names: list[str] = []
        encodings: list[NDArray[np.float64]] = []
        files = _pictures(known_people_folder)
        for path, known in zip(files, over(_encoded, files), strict=True):
            yield from _warnings(path, known)
            if known.faces:
                names.append(os.path.splitext(os.path.basename(path))[0])  # noqa: PTH119, PTH122
                encodings.append(known.faces[0])
        files = _asked(image_to_check)
        for path, unknown in zip(files, over(partial(_encoded, shrink=True), files), strict=True):
            if unknown.failure is not None:
                yield Line(f"{path}: {unknown.failure}", failed=True)
                continue
            found: list[tuple[str, np.float64 | None]] = []
            for encoding in unknown.faces:
                distances = api.face_distance(encodings, encoding)
                near = np.flatnonzero(distances <= tolerance)
                found += [(names[i], distances[i]) for i in near] or [("unknown_person", None)]
            for name, distance in found or [("no_persons_found", None)]:
                yield Line(f"{path},{name},{distance}" if show_distance else f"{path},{name}")


def detection(image_to_check: str, *, cpus: int = 1, model: str = "hog") -> Iterator[Line]:
    """What ``face_detection`` prints: a line per face.

    Args:
        image_to_check: A picture or a folder of pictures.
        cpus: Pictures at a time; -1 for one per CPU.
        model: ``cnn``, or anything else for the default detector.

    Raises:
        RangeError: `cpus` is neither -1 nor at least 1.
        OSError: The folder cannot be read.
    """
    workers, files = worker_count(cpus), _asked(image_to_check)
    with _workers.pool(workers if len(files) > 1 else 1) as over:
        for path, found in zip(files, over(partial(_located, model=model), files), strict=True):
            if found.failure is not None:
                yield Line(f"{path}: {found.failure}", failed=True)
            yield from (Line(",".join((path, *map(str, box)))) for box in found.boxes)


def worker_count(cpus: int) -> int:
    """Pictures at a time.

    Raises:
        RangeError: `cpus` is neither -1 nor at least 1.
    """
    if cpus == -1:
        return default_threads()
    if cpus < 1:
        raise RangeError(f"--cpus must be at least 1, or -1 for all, got {cpus}")
    return cpus


class _Found(NamedTuple):
    """What a worker made of one picture."""

    faces: Sequence[NDArray[np.float64]] = ()
    boxes: Sequence[api.Location] = ()
    failure: str | None = None


def _encoded(path: str, shrink: bool = False) -> _Found:
    def work() -> _Found:
        image = api.load_image_file(path)
        image = _shrunk(image) if shrink else image
        engine = _engine(os.getpid())
        shapes = engine.five_points(image, engine.hog(image, 1))
        return _Found(faces=engine.encode(image, shapes, 1))

    return _guarded(work)


def _located(path: str, model: str) -> _Found:
    def work() -> _Found:
        image, engine = api.load_image_file(path), _engine(os.getpid())
        if model == "cnn":
            rects = [face.rect for face in engine.cnn(image, 0)]
        else:
            rects = engine.hog(image, 0)
        css = (api._rect_to_css(rect) for rect in rects)
        return _Found(boxes=[api._trim_css_to_bounds(box, image.shape) for box in css])

    return _guarded(work)


def _guarded(work: Callable[[], _Found]) -> _Found:
    try:
        return work()
    except Exception as error:  # whatever a picture may be, the others go on
        reason = error.strerror if isinstance(error, OSError) else None
        return _Found(failure=reason or str(error) or type(error).__name__)


@cache
def _engine(_process: int) -> Engine:
    """One per process, and one thread within: the workers fill the cores."""
    return Engine(1)


def _warnings(path: str, known: _Found) -> Iterator[Line]:
    if known.failure is not None:
        yield Line(f"{path}: {known.failure}", failed=True)
    elif not known.faces:
        yield Line(f"WARNING: No faces found in {path}. Ignoring file.")
    elif len(known.faces) > 1:
        yield Line(f"WARNING: More than one face found in {path}. Only considering the first face.")


def _asked(given: str) -> list[str]:
    """A picture, or those of a folder."""
    return _pictures(given) if Path(given).is_dir() else [given]


def _pictures(folder: str) -> list[str]:
    """The pictures of a folder in the system's own order, not those of folders inside it."""
    return [
        os.path.join(folder, name)  # noqa: PTH118 - as typed: Path would drop a leading ./
        for name in os.listdir(folder)  # noqa: PTH208
        if _PICTURE.match(name)
    ]


def _shrunk(image: Image) -> Image:
    """The picture, at most 1,600 pixels wide and high."""
    if max(image.shape) <= _LARGEST_PX:
        return image
    from PIL import Image as PilImage

    picture = PilImage.fromarray(image)
    picture.thumbnail((_LARGEST_PX, _LARGEST_PX), PilImage.Resampling.LANCZOS)
    return np.array(picture)
