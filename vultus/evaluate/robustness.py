"""How much a model bears: accuracy over JPEG quality, pixels, dimensions, turns, blur, cover.

The tables of the FaceNet paper (Schroff, Kalenichenko and Philbin 2015, section 5: JPEG quality,
pixels, embedding dimension), and the same for rotation, blur and occlusion, on any pictures.
Every picture is degraded and goes through the whole pipeline again; the threshold is set anew for
each degree, as there. A face that is not found any more counts as a comparison that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InsufficientDataError, VultusError
from vultus.evaluate._one_picture import central_face
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics import threshold_at_fmr
from vultus.pipeline import Recognizer
from vultus.runtime import default_threads, ordered_map
from vultus.sources import load_frame
from vultus.types import Face, Frame, Image

__all__ = ["Sweep", "measure_robustness"]

Degrade: TypeAlias = Callable[[Image, Face, float], Image]

_FMR = 1e-3
_LEAST_PICTURES = 50


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """One kind of degradation.

    Attributes:
        title: What is changed.
        unit: What the degrees are.
        x: (k,) degrees.
        tar: (k,) true accept rate at an FMR of 1e-3; faces not found count as rejected.
        lost: (k,) pictures in which no face was found any more.
        note: How it is done.
    """

    title: str
    unit: str
    x: tuple[float, ...]
    tar: NDArray[np.float64] = field(repr=False)
    lost: tuple[int, ...]
    note: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = plain(self)
        return result


def measure_robustness(
    paths: Sequence[Path],
    people: Sequence[str],
    recognizer: Recognizer,
    *,
    pictures: int = 300,
    seed: int = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Sweep]:
    """Degrade pictures and measure again.

    Args:
        paths: The pictures.
        people: Whom each shows.
        recognizer: With one thread per session, for `jobs` pictures at a time. Its smallest face
            should be 20 px, or small pictures show its detector's limit only.
        pictures: At most so many, of people with two or more.
        seed: Of the choice.
        jobs: Pictures at a time; one per CPU when ``None``.
        progress: Called with the pictures done and to do.

    Raises:
        InsufficientDataError: Fewer than 50 pictures show somebody who is on another one, too.
    """
    chosen = _chosen(people, pictures, seed)
    if len(chosen) < _LEAST_PICTURES:
        raise InsufficientDataError(
            f"robustness takes at least {_LEAST_PICTURES} pictures of people with two or more, "
            f"got {len(chosen)}",
            expected=_LEAST_PICTURES,
            actual=len(chosen),
        )
    jobs = default_threads() if jobs is None else jobs
    work = partial(_embedded, recognizer)
    rows: list[list[NDArray[np.float32] | None]] = []
    for done, result in enumerate(ordered_map(work, [paths[i] for i in chosen], jobs), 1):
        rows.append(result)
        if progress is not None:
            progress(done, len(chosen))
    names = np.unique([people[i] for i in chosen], return_inverse=True)[1]
    found, at = [], 0
    for kind in _KINDS:
        columns = [[row[at + k] for row in rows] for k in range(len(kind.degrees))]
        at += len(kind.degrees)
        found.append(_sweep(kind, columns, names))
    originals = [row[at] for row in rows]
    return [*found, _dimensions(originals, names)]


def _chosen(people: Sequence[str], limit: int, seed: int) -> list[int]:
    """Pictures of people with two or more, whole people in random order, up to a limit."""
    random = np.random.default_rng(seed)
    by_person: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        by_person.setdefault(person, []).append(row)
    several = [rows for rows in by_person.values() if len(rows) > 1]
    chosen: list[int] = []
    for k in random.permutation(len(several)).tolist():
        chosen += several[k][:4]
        if len(chosen) >= limit:
            break
    return chosen


def _embedded(recognizer: Recognizer, path: Path) -> list[NDArray[np.float32] | None]:
    """The picture's embedding at every degree of every kind, and as it is."""
    count = sum(len(kind.degrees) for kind in _KINDS) + 1
    try:
        frame = load_frame(path)
        faces = recognizer.detect(frame)
    except VultusError:
        return [None] * count
    if not faces:
        return [None] * count
    face = central_face(faces)
    results: list[NDArray[np.float32] | None] = []
    for kind in _KINDS:
        for degree in kind.degrees:
            results.append(_once(recognizer, kind.degrade(frame.image, face, degree)))
    return [*results, recognizer.embed(face).vector]


def _once(recognizer: Recognizer, image: Image) -> NDArray[np.float32] | None:
    faces = recognizer.detect(Frame(np.ascontiguousarray(image)))
    return recognizer.embed(central_face(faces)).vector if faces else None


# -- kinds ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    title: str
    unit: str
    degrees: tuple[float, ...]
    degrade: Degrade
    note: str


def _jpeg(image: Image, _face: Face, quality: float) -> Image:
    settings = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    data = cv2.imencode(".jpg", image, settings)[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def _pixels(image: Image, face: Face, pixels: float) -> Image:
    scale = min(1.0, float(np.sqrt(pixels / face.box.area_px)))
    size_wh = (max(12, round(image.shape[1] * scale)), max(12, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(image: Image, face: Face, degrees: float) -> Image:
    matrix = cv2.getRotationMatrix2D(face.box.center_xy, degrees, 1.0)
    size_wh = (image.shape[1], image.shape[0])
    return np.asarray(
        cv2.warpAffine(image, matrix, size_wh, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _blurred(image: Image, face: Face, percent: float) -> Image:
    sigma = percent / 100 * min(face.box.width_px, face.box.height_px)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 1e-3)), np.uint8)


def _covered(image: Image, face: Face, percent: float) -> Image:
    """A grey bar over the lower part of the face, as wide as the face."""
    result = image.copy()
    box = face.box
    top = max(0, round(box.y2 - percent / 100 * box.height_px))
    result[top : max(0, round(box.y2)), max(0, round(box.x1)) : max(0, round(box.x2))] = 128
    return result


_KINDS = (
    _Kind("JPEG quality", "quality", (10, 20, 30, 50, 70, 90), _jpeg, "Pictures compressed again."),
    _Kind(
        "Pixels of the face",
        "pixels",
        (1600, 6400, 14400, 25600, 65536),
        _pixels,
        "Pictures shrunk until the face's box has so many pixels; never enlarged.",
    ),
    _Kind("Turn", "degrees", (0, 10, 20, 30, 45), _turned, "Turned in the picture's plane."),
    _Kind(
        "Blur", "% of the face", (0, 1, 2, 4, 6), _blurred, "Gaussian, deviation in % of the face."
    ),
    _Kind(
        "Cover", "% of the face", (0, 10, 20, 30, 40), _covered, "A grey bar from the chin upwards."
    ),
)


# -- measuring ------------------------------------------------------------------------------------


def _sweep(
    kind: _Kind, columns: list[list[NDArray[np.float32] | None]], names: NDArray[np.intp]
) -> Sweep:
    tar = np.array([_tar(column, names) for column in columns])
    lost = tuple(sum(vector is None for vector in column) for column in columns)
    return Sweep(kind.title, kind.unit, kind.degrees, tar, lost, kind.note)


def _tar(column: list[NDArray[np.float32] | None], names: NDArray[np.intp]) -> float:
    """True accept rate at the threshold for an FMR of 1e-3; lost faces are rejected."""
    here = np.array([vector is not None for vector in column])
    first, second = np.triu_indices(len(column), 1)
    same = names[first] == names[second]
    both = here[first] & here[second]
    if not (~same & both).any():
        return 0.0
    width = next(len(v) for v in column if v is not None)
    rows = np.stack([np.zeros(width, np.float32) if v is None else v for v in column])
    values = np.einsum("nd,nd->n", rows[first], rows[second]).astype(np.float64)
    limit = threshold_at_fmr(values[~same & both], _FMR)
    return float((values[same & both] >= limit).sum() / same.sum())


def _dimensions(originals: list[NDArray[np.float32] | None], names: NDArray[np.intp]) -> Sweep:
    """Fewer numbers per face: the embedding's principal components of these very pictures."""
    kept = [i for i, vector in enumerate(originals) if vector is not None]
    rows = np.stack([v for v in originals if v is not None]).astype(np.float64)
    mean = rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
    width = rows.shape[1]
    degrees = [d for d in (8, 16, 32, 64, 128, 256) if d < min(width, len(axes))] + [width]
    tar = []
    for degree in degrees:
        # The mean is put back, so that all components give the cosines of the whole.
        small = (rows - mean) @ axes[:degree].T @ axes[:degree] + mean if degree < width else rows
        small = small / np.linalg.norm(small, axis=1, keepdims=True)
        column: list[NDArray[np.float32] | None] = [None] * len(originals)
        for i, row in zip(kept, small.astype(np.float32), strict=True):
            column[i] = row
        tar.append(_tar(column, names))
    lost = tuple([len(originals) - len(kept)] * len(degrees))
    note = "Principal components of these pictures: an upper bound of what so few can hold."
    return Sweep(
        "Dimensions", "numbers per face", tuple(map(float, degrees)), np.array(tar), lost, note
    )
