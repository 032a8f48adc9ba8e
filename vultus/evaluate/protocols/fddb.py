"""FDDB: discrete and continuous ROC of a detector against faces marked as ellipses.

Source: Jain and Learned-Miller 2010, "FDDB: A Benchmark for Face Detection in Unconstrained
Settings". Detections and faces are matched one to one so that the sum of overlaps is largest; a
match scores 1 when its IoU is above 0.5 (discrete) or scores its IoU (continuous). The original
program rasterises ellipses; here they are polygons of one corner per degree, whose area is
0.005 % smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError, InsufficientDataError, MissingExtraError
from vultus.evaluate._plain import plain
from vultus.evaluate.protocols.wider import detections_of
from vultus.types import Face

__all__ = ["Ellipse", "FddbResult", "evaluate_fddb", "fddb_roc", "read_fddb"]

Floats: TypeAlias = NDArray[np.float64]

_DISCRETE_IOU = 0.5
_MAX_BYTES = 50_000_000
_MAX_FACES = 10_000  # per picture; bounds a hostile count


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A face as FDDB marks it.

    Attributes:
        major_px: Larger half axis.
        minor_px: Smaller half axis.
        angle_rad: Of the major axis against the horizontal.
        x: Centre, in pixels.
        y: Centre, in pixels.
    """

    major_px: float
    minor_px: float
    angle_rad: float
    x: float
    y: float

    def polygon(self) -> NDArray[np.float32]:
        """(360, 2) corners."""
        turn = np.deg2rad(np.arange(360.0))
        along, across = self.major_px * np.cos(turn), self.minor_px * np.sin(turn)
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        points = np.stack(
            [self.x + along * cos - across * sin, self.y + along * sin + across * cos], axis=1
        )
        return points.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FddbResult:
    """What a detector reached.

    Attributes:
        thresholds: (k,) detector scores, falling.
        false_positives: (k,) detections without a match at or above each, over all pictures.
        discrete: (k,) part of the faces found with an IoU above 0.5.
        continuous: (k,) mean IoU of the matches, over all faces.
        faces: Annotated.
        pictures: Evaluated.
        missing: Names of pictures that are not there; their faces do not count.
        failed: Pictures that could not be read, with the reason; their faces count as missed.
    """

    thresholds: Floats = field(repr=False)
    false_positives: NDArray[np.int64] = field(repr=False)
    discrete: Floats = field(repr=False)
    continuous: Floats = field(repr=False)
    faces: int
    pictures: int
    missing: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    def at(self, false_positives: int) -> tuple[float, float]:
        """Discrete and continuous true positive rate with at most so many false positives."""
        allowed = np.flatnonzero(self.false_positives <= false_positives)
        if len(allowed) == 0:
            return 0.0, 0.0
        return float(self.discrete[allowed[-1]]), float(self.continuous[allowed[-1]])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = plain(self)
        return result


def read_fddb(*files: Path) -> dict[str, list[Ellipse]]:
    """Annotations by picture, from ``FDDB-fold-NN-ellipseList.txt``.

    Each picture is its name without suffix, the number of its faces, and a line per face: major
    and minor half axis, angle, centre x, centre y, 1.

    Raises:
        DataFileError: A file cannot be read or is cut short.
    """
    found: dict[str, list[Ellipse]] = {}
    for file in files:
        try:
            if file.stat().st_size > _MAX_BYTES:
                raise DataFileError(f"{file} is too large for a list of ellipses", path=str(file))
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataFileError(f"{file} cannot be read: {error}", path=str(file)) from error
        lines = [line for line in lines if line]
        at = 0
        try:
            while at < len(lines):
                name, count = lines[at], int(lines[at + 1])
                if not 0 <= count <= min(_MAX_FACES, len(lines) - at - 2):
                    raise ValueError(f"{count} faces")
                found[name] = [_ellipse(line) for line in lines[at + 2 : at + 2 + count]]
                at += 2 + count
        except (ValueError, IndexError) as error:
            raise DataFileError(
                f"{file} must list a name, a count and as many ellipses, entry "
                f"{lines[min(at, len(lines) - 1)]!r} does not: {error}",
                path=str(file),
                line=at + 1,
            ) from error
    return found


def _ellipse(line: str) -> Ellipse:
    values = [float(word) for word in line.split()]
    if len(values) not in (5, 6) or not all(map(math.isfinite, values)):
        raise ValueError(f"an ellipse takes five finite numbers, got {line!r}")
    major, minor, angle, x, y = values[:5]
    if major <= 0 or minor <= 0:
        raise ValueError(f"half axes must be positive, got {line!r}")
    return Ellipse(major, minor, angle, x, y)


def evaluate_fddb(
    images: Path,
    lists: Sequence[Path],
    detect: Callable[[Path], Sequence[Face]],
    progress: Callable[[int, int], None] | None = None,
) -> FddbResult:
    """Run a detector over the annotated pictures and measure its ROC.

    Args:
        images: The folder that the names in the lists are relative to.
        lists: Files of ellipses, see `read_fddb`.
        detect: Finds the faces of a file.
        progress: Called with the pictures done and their number.

    Raises:
        DataFileError: A list cannot be read.
        InsufficientDataError: No annotated picture is there.
        MissingExtraError: SciPy, which matches, is not installed.
    """
    from vultus.errors import ImageError

    annotated = read_fddb(*lists)
    truth: list[list[Ellipse]] = []
    found: list[Floats] = []
    missing: list[str] = []
    failed: list[tuple[str, str]] = []
    for number, (name, ellipses) in enumerate(annotated.items(), 1):
        path = _picture(images, name)
        if path is None:
            missing.append(name)
            continue
        try:
            faces = detect(path)
        except ImageError as error:
            failed.append((name, str(error)))
            faces = []
        truth.append(ellipses)
        found.append(detections_of(faces))
        if progress is not None:
            progress(number, len(annotated))
    return fddb_roc(truth, found, missing=tuple(missing), failed=tuple(failed))


def _picture(images: Path, name: str) -> Path | None:
    root = images.resolve()
    for suffix in (".jpg", ".jpeg", ".png"):
        path = (root / (name + suffix)).resolve()
        if path.is_relative_to(root) and path.is_file():
            return path
    return None


def fddb_roc(
    truth: Sequence[Sequence[Ellipse]],
    found: Sequence[Floats],
    *,
    missing: tuple[str, ...] = (),
    failed: tuple[tuple[str, str], ...] = (),
) -> FddbResult:
    """The ROC of detections against ellipses.

    As in the original program the matching is done once, with all detections; a threshold then
    keeps those at or above it.

    Args:
        truth: Each picture's faces.
        found: Each picture's (n, 5) x1, y1, x2, y2, score.
        missing: Passed on to the result.
        failed: Likewise.

    Raises:
        InsufficientDataError: There is no face.
        MissingExtraError: SciPy is not installed.
    """
    faces = sum(map(len, truth))
    if faces == 0:
        raise InsufficientDataError("a ROC takes at least one annotated face")
    rows = [_matched(one, boxes) for one, boxes in zip(truth, found, strict=True)]
    every = np.concatenate(rows) if rows else np.zeros((0, 2))
    every = every[np.argsort(-every[:, 0], kind="stable")]
    scores, overlap = every[:, 0], every[:, 1]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
    return FddbResult(
        thresholds=scores[ends],
        false_positives=np.cumsum(overlap == 0)[ends],
        discrete=np.cumsum(overlap > _DISCRETE_IOU)[ends] / faces,
        continuous=np.cumsum(overlap)[ends] / faces,
        faces=faces,
        pictures=len(truth),
        missing=missing,
        failed=failed,
    )


def _matched(truth: Sequence[Ellipse], found: Floats) -> Floats:
    """(n, 2) score and overlap with its face of each detection; 0 without one."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingExtraError(
            "matching detections takes SciPy", remedy="pip install 'vultus[evaluate]'"
        ) from error
    result = np.stack([found[:, 4], np.zeros(len(found))], axis=1)
    if truth and len(found):
        polygons = [ellipse.polygon() for ellipse in truth]
        overlap = np.array([[_iou(box, polygon) for polygon in polygons] for box in found[:, :4]])
        detections, chosen = linear_sum_assignment(-overlap)
        result[detections, 1] = overlap[detections, chosen]
    return result


def _iou(box: Floats, polygon: NDArray[np.float32]) -> float:
    import cv2

    x1, y1, x2, y2 = box.tolist()
    if x2 <= x1 or y2 <= y1:
        return 0.0
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    shared = float(cv2.intersectConvexConvex(corners, polygon)[0])
    area = (x2 - x1) * (y2 - y1) + float(cv2.contourArea(polygon))
    return float(shared / (area - shared))
