"""300-W: how far 68 landmarks lie from where people put them.

Source: Sagonas et al. 2013, "300 Faces in-the-Wild Challenge" (points, format, error normalised
by the distance between the outer corners of the eyes), and Sagonas et al. 2016 (area under the
cumulative error curve, failure rate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.assess.landmarks import PRESENT, Landmarker
from vultus.assess.schemes import FEATURES, to_scheme
from vultus.detect import Detector
from vultus.errors import DataFileError
from vultus.evaluate._plain import plain
from vultus.evaluate.protocols._annotated import annotated_face, picture_of

__all__ = [
    "AnnotatedFace",
    "LandmarkResult",
    "area_under_errors",
    "evaluate_landmarks",
    "failure_rate",
    "point_errors",
    "read_300w",
    "read_pts",
]

Floats = NDArray[np.float64]

_POINTS = 68
_MAX_BYTES = 64_000
_LEFT_CORNER, _RIGHT_CORNER = 36, 45  # outer corners of the eyes
_STRICT, _USUAL = 0.07, 0.08


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedFace:
    """One annotated picture.

    Attributes:
        picture: The file.
        points: (68, 2) float64 xy, iBUG's points in pixels counted from 0.
    """

    picture: Path
    points: Floats


@dataclass(frozen=True, slots=True)
class LandmarkResult:
    """How close a landmarker came; errors are parts of the distance between the eyes' corners.

    Attributes:
        landmarker: Name of its card.
        detector: Name of the detector's card; ``None``: boxes were made of the annotations.
        nme: Normalised mean error over the faces that were found; ``None`` when none was.
        nme_parts: The same for each of `FEATURES`.
        nme_without_offset: The same once each point's constant offset from the annotation, as
            estimated on the other half of the faces, is taken off: what remains when one point
            is not meant to lie where the other does. ``None`` with fewer than four faces.
        auc_at_8: Area under the cumulative error curve up to an error of 0.08, as a part of what
            is possible; a face that was not found counts as an error beyond it.
        auc_at_7: Up to 0.07.
        failures_at_8: Part of the faces with an error above 0.08 or not found.
        failures_at_7: Above 0.07.
        faces: Annotated faces whose picture is there.
        found: How many of them were found.
        missing: Pictures whose face was not found or that could not be read, with the reason.
        absent: Annotations without a picture.
    """

    landmarker: str
    detector: str | None
    nme: float | None
    nme_parts: dict[str, float]
    nme_without_offset: float | None
    auc_at_8: float
    auc_at_7: float
    failures_at_8: float
    failures_at_7: float
    faces: int
    found: int
    missing: tuple[tuple[str, str], ...]
    absent: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = plain(self)
        return result


def evaluate_landmarks(
    folder: Path,
    landmarker: Landmarker,
    detector: Detector | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LandmarkResult:
    """Compare a landmarker with annotated pictures.

    Args:
        folder: Holds pictures with a ``.pts`` of the same name each; see `read_300w`.
        landmarker: Finds iBUG's 68 points, or a mesh they can be read from.
        detector: Finds the faces; of several, the one that overlaps the annotated face most
            counts. ``None`` takes boxes made of the annotations, so that the landmarker alone
            is measured.
        progress: Called with the pictures done and their number.

    Raises:
        DataFileError: An annotation cannot be read, or none has a picture.
        RangeError: The landmarker's points hold no iBUG points.
    """
    truth, absent = read_300w(folder)
    found: list[Floats] = []
    wanted: list[Floats] = []
    missing: list[tuple[str, str]] = []
    for number, face in enumerate(truth, 1):
        points = _locate(face, landmarker, detector)
        if isinstance(points, str):
            missing.append((str(face.picture), points))
        else:
            found.append(points)
            wanted.append(face.points)
        if progress is not None:
            progress(number, len(truth))
    errors = [point_errors(a, b) for a, b in zip(found, wanted, strict=True)]
    per_face = np.array([error.mean() for error in errors] + [np.inf] * len(missing))
    return LandmarkResult(
        landmarker=landmarker.name,
        detector=None if detector is None else detector.name,
        nme=float(np.mean(errors)) if errors else None,
        nme_parts=_by_part(errors),
        nme_without_offset=_without_offset(found, wanted),
        auc_at_8=area_under_errors(per_face, _USUAL),
        auc_at_7=area_under_errors(per_face, _STRICT),
        failures_at_8=failure_rate(per_face, _USUAL),
        failures_at_7=failure_rate(per_face, _STRICT),
        faces=len(truth),
        found=len(found),
        missing=tuple(missing),
        absent=absent,
    )


def read_300w(folder: Path) -> tuple[list[AnnotatedFace], int]:
    """The annotated pictures of a folder, and how many annotations have none.

    Raises:
        DataFileError: An annotation cannot be read, or none has a picture.
    """
    annotations = sorted(folder.glob("*.pts"))
    pairs = [(picture_of(annotation), annotation) for annotation in annotations]
    faces = [AnnotatedFace(picture, read_pts(a)) for picture, a in pairs if picture is not None]
    if not faces:
        raise DataFileError(
            f"{folder} must hold pictures with a .pts file of the same name each, got "
            f"{len(annotations)} such files and no picture beside one",
            path=str(folder),
        )
    return faces, len(annotations) - len(faces)


def read_pts(path: Path) -> Floats:
    """Read one annotation.

    Args:
        path: 300-W's format (``version: 1``, ``n_points: 68``, then a line per point between
            braces) or the bare lines of it. Pixels are counted from 1 there, as iBUG states.

    Returns:
        (68, 2) float64 xy in pixels counted from 0.

    Raises:
        DataFileError: The file cannot be read, or does not hold 68 finite points.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataFileError(f"{path} is too large for {_POINTS} points", path=str(path))
        text = path.read_text(encoding="ascii")
        body = text.partition("{")[2].partition("}")[0] if "{" in text else text
        points = np.array([line.split() for line in body.strip().splitlines()], np.float64)
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} cannot be read: {error}", path=str(path)) from error
    if points.shape != (_POINTS, 2) or not np.isfinite(points).all():
        raise DataFileError(
            f"{path} must hold {_POINTS} finite points, got an array of shape {points.shape}",
            path=str(path),
            expected=(_POINTS, 2),
            actual=points.shape,
        )
    return points - 1.0


def point_errors(found: Floats, truth: Floats) -> Floats:
    """(68,) distance of each point from its annotation, by that of the eyes' outer corners.

    Args:
        found: (68, 2) xy.
        truth: (68, 2) xy.

    Raises:
        DataFileError: The annotated corners of the eyes coincide.
    """
    scale = float(np.hypot(*(truth[_RIGHT_CORNER] - truth[_LEFT_CORNER])))
    if not scale > 0:
        raise DataFileError("an annotated face must have two eyes apart from one another")
    errors: Floats = np.hypot(*(found - truth).T) / scale
    return errors


def area_under_errors(errors: Floats, limit: float) -> float:
    """Area under the cumulative error curve up to `limit`, as a part of what is possible.

    Exact: each face adds what lies between its error and the limit.

    Args:
        errors: (n,) one per face, infinite where it was not found; n ≥ 1.
        limit: Above 0.
    """
    return float(np.maximum(1.0 - errors / limit, 0.0).mean())


def failure_rate(errors: Floats, limit: float) -> float:
    """Part of the faces whose error exceeds `limit`."""
    return float((errors > limit).mean())


def _locate(face: AnnotatedFace, landmarker: Landmarker, detector: Detector | None) -> Floats | str:
    detected = annotated_face(face.picture, face.points, detector)
    if isinstance(detected, str):
        return detected
    (found,) = landmarker.locate([detected])
    if found.presence is not None and found.presence < PRESENT:
        return f"the landmarker saw no face (presence {found.presence:.2f})"
    return to_scheme(found, "ibug-68").points.astype(np.float64)


def _by_part(errors: Sequence[Floats]) -> dict[str, float]:
    if not errors:
        return {}
    per_point = np.mean(errors, axis=0)
    return {name: float(per_point[list(places)].mean()) for name, places in FEATURES.items()}


def _without_offset(found: Sequence[Floats], truth: Sequence[Floats]) -> float | None:
    """Mean error after each half's mean offset is taken off the other half."""
    if len(found) < 4:
        return None
    gaps = np.stack([_in_face(a, b) for a, b in zip(found, truth, strict=True)])
    halves = gaps[::2], gaps[1::2]
    left = [own - other.mean(axis=0) for own, other in (halves, halves[::-1])]
    return float(np.abs(np.concatenate(left)).mean())


def _in_face(found: Floats, truth: Floats) -> NDArray[np.complex128]:
    """(68,) gaps as x + iy along the annotated line of the eyes, in units of its length."""
    across = (truth[_RIGHT_CORNER] - truth[_LEFT_CORNER]) @ (1, 1j)
    gaps: NDArray[np.complex128] = ((found - truth) @ (1, 1j)) / across
    return gaps
