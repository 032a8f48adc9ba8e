"""WIDER FACE: average precision of a detector on the easy, medium and hard faces.

Source: Yang, Luo, Loy and Tang 2016, "WIDER FACE: A Face Detection Benchmark", and the rules of
its evaluation tools: scores are stretched to [0, 1] over the whole set; a detection belongs to the
face it overlaps most, if by an IoU of 0.5 or more, in inclusive pixels; detections of faces that
do not count in a subset are ignored; a further detection of a face found already is a proposal
that finds nothing. Precision and recall are read at 1,000 thresholds, and AP is the area under the
precision envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError, InsufficientDataError, MissingExtraError
from vultus.evaluate._plain import plain
from vultus.types import Face

__all__ = ["Subset", "WiderPicture", "WiderResult", "evaluate_wider", "read_wider", "wider_ap"]

Floats: TypeAlias = NDArray[np.float64]
Subset: TypeAlias = Literal["easy", "medium", "hard"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)

_IOU = 0.5
_THRESHOLDS = 1000
_MAX_BYTES = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class WiderPicture:
    """One picture with its annotated faces.

    Attributes:
        path: Where it lies.
        boxes: (n, 4) x, y, width, height in pixels, as annotated.
        counts: Subset to (n,) booleans: whether a face counts there; the others are ignored.
    """

    path: Path
    boxes: Floats
    counts: dict[Subset, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class WiderResult:
    """What a detector reached.

    Attributes:
        easy: Average precision in [0, 1].
        medium: Likewise.
        hard: Likewise.
        pictures: Evaluated.
        missing: Listed in the ground truth and not on this machine.
        failed: Pictures that could not be read, with the reason; their faces count as missed.
        faces: Subset to how many faces count there.
    """

    easy: float
    medium: float
    hard: float
    pictures: int
    missing: int
    failed: tuple[tuple[str, str], ...]
    faces: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = plain(self)
        return result


def read_wider(root: Path) -> tuple[list[WiderPicture], int]:
    """The pictures of the validation set that are present, and how many are not.

    Args:
        root: Holds ``images/EVENT/*.jpg`` and ``ground_truth/wider_*_val.mat`` (face, easy,
            medium, hard), as published.

    Raises:
        DataFileError: The ground truth cannot be read or contradicts itself, or no picture is
            there.
        MissingExtraError: SciPy, which reads the files, is not installed.
    """
    truth = root / "ground_truth"
    whole = _mat(truth / "wider_face_val.mat")
    parts = {name: _mat(truth / f"wider_{name}_val.mat")["gt_list"] for name in SUBSETS}
    pictures, missing = [], 0
    try:
        for e, event in enumerate(whole["event_list"]):
            for i, file in enumerate(whole["file_list"][e][0]):
                path = root / "images" / str(event[0][0]) / f"{file[0][0]!s}.jpg"
                if not path.is_file():
                    missing += 1
                    continue
                boxes = np.asarray(whole["face_bbx_list"][e][0][i][0], np.float64).reshape(-1, 4)
                counts = {name: _flags(parts[name][e][0][i][0], len(boxes)) for name in SUBSETS}
                pictures.append(WiderPicture(path, boxes, counts))
    except (IndexError, ValueError, TypeError) as error:
        raise DataFileError(
            f"the ground truth in {truth} contradicts itself: {error}", path=str(truth)
        ) from error
    if not pictures:
        raise DataFileError(
            f"{root} must hold images/EVENT/*.jpg of WIDER FACE's validation set, none was found",
            path=str(root),
        )
    return pictures, missing


def _flags(numbers: Any, count: int) -> NDArray[np.bool_]:
    """From face numbers, counted from 1, to one boolean per face."""
    flags = np.zeros(count, bool)
    flags[np.asarray(numbers, np.int64).ravel() - 1] = True
    return flags


def _mat(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise MissingExtraError(
            "reading MATLAB files takes SciPy", remedy="pip install 'vultus[evaluate]'"
        ) from error
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataFileError(f"{path} is too large for a list of faces", path=str(path))
        found: dict[str, Any] = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataFileError(f"{path} cannot be read: {error}", path=str(path)) from error
    return found


def evaluate_wider(
    root: Path,
    detect: Callable[[Path], Sequence[Face]],
    progress: Callable[[int, int], None] | None = None,
) -> WiderResult:
    """Run a detector over the pictures present and measure its average precision.

    The published numbers of a detector come with a very low score threshold (0.02, say): give it
    one, or the curve ends early.

    Args:
        root: See `read_wider`.
        detect: Finds the faces of a file.
        progress: Called with the pictures done and their number.

    Raises:
        DataFileError: See `read_wider`.
        InsufficientDataError: See `wider_ap`.
    """
    from vultus.errors import ImageError

    pictures, missing = read_wider(root)
    found: list[Floats] = []
    failed: list[tuple[str, str]] = []
    for number, picture in enumerate(pictures, 1):
        try:
            faces = detect(picture.path)
        except ImageError as error:
            failed.append((str(picture.path), str(error)))
            faces = []
        found.append(detections_of(faces))
        if progress is not None:
            progress(number, len(pictures))
    aps = {name: wider_ap(pictures, found, name) for name in SUBSETS}
    faces_per = {str(name): int(sum(p.counts[name].sum() for p in pictures)) for name in SUBSETS}
    return WiderResult(
        aps["easy"], aps["medium"], aps["hard"], len(pictures), missing, tuple(failed), faces_per
    )


def detections_of(faces: Sequence[Face]) -> Floats:
    """(n, 5) x1, y1, x2, y2, score by falling score."""
    rows = [(*face.box.xyxy, face.score) for face in faces]
    array = np.array(rows, np.float64).reshape(-1, 5)
    return array[np.argsort(-array[:, 4], kind="stable")]


def wider_ap(pictures: Sequence[WiderPicture], found: Sequence[Floats], subset: Subset) -> float:
    """Average precision on one subset, in [0, 1].

    Args:
        pictures: With their annotated faces.
        found: For each picture (n, 5) x1, y1, x2, y2, score by falling score.
        subset: Which faces count.

    Raises:
        InsufficientDataError: No face counts.
    """
    faces = int(sum(picture.counts[subset].sum() for picture in pictures))
    if faces == 0:
        raise InsufficientDataError(f"no face of the pictures counts in the subset {subset!r}")
    every = np.concatenate([rows[:, 4] for rows in found]) if found else np.zeros(0)
    if len(every) == 0:
        return 0.0
    low, spread = float(every.min()), float(np.ptp(every)) or 1.0
    totals = np.zeros((_THRESHOLDS, 2))
    limits = 1.0 - np.arange(1, _THRESHOLDS + 1) / _THRESHOLDS
    for picture, rows in zip(pictures, found, strict=True):
        if len(rows):
            proposals, recalled = matched(picture.boxes, picture.counts[subset], rows[:, :4])
            scores = (rows[:, 4] - low) / spread
            # Of the detections at or above each limit, the last one's running counts.
            last = np.searchsorted(-scores, -limits, side="right")
            totals[:, 0] += np.concatenate([[0], proposals])[last]
            totals[:, 1] += np.concatenate([[0], recalled])[last]
    precision = np.divide(
        totals[:, 1], totals[:, 0], out=np.zeros(_THRESHOLDS), where=totals[:, 0] > 0
    )
    return area_under_envelope(totals[:, 1] / faces, precision)


def matched(
    boxes: Floats, counts: NDArray[np.bool_], found: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Running numbers, over detections by falling score, of proposals and of faces found.

    Args:
        boxes: (n, 4) x, y, width, height of the annotated faces.
        counts: (n,) whether each counts.
        found: (m, 4) x1, y1, x2, y2.

    Returns:
        (m,) proposals that are not ignored, and (m,) counting faces found, so far.
    """
    if len(boxes) == 0:
        return np.arange(1, len(found) + 1), np.zeros(len(found), np.int64)
    overlap = _iou_inclusive(found, np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1))
    best = overlap.argmax(axis=1)
    hits = overlap[np.arange(len(found)), best] >= _IOU
    ignored = hits & ~counts[best]
    right = hits & counts[best]
    first = np.zeros(len(found), bool)
    rows = np.flatnonzero(right)
    first[rows[np.unique(best[rows], return_index=True)[1]]] = True
    return np.cumsum(~ignored), np.cumsum(first)


def _iou_inclusive(a: Floats, b: Floats) -> Floats:
    """(n, m) intersection over union of xyxy boxes whose last pixels belong to them."""
    size = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(size + 1, 0, None).prod(axis=2)
    areas = [np.prod(x[:, 2:] - x[:, :2] + 1, axis=1) for x in (a, b)]
    result: Floats = shared / (areas[0][:, None] + areas[1][None, :] - shared)
    return result


def area_under_envelope(recall: Floats, precision: Floats) -> float:
    """Average precision: the area under the highest precision at this recall or a higher one.

    Source: Everingham et al. 2010, "The PASCAL Visual Object Classes Challenge", as of VOC 2010.
    """
    r = np.concatenate([[0.0], recall, [1.0]])
    p = np.concatenate([[0.0], precision, [0.0]])
    p = np.maximum.accumulate(p[::-1])[::-1]
    steps = np.flatnonzero(r[1:] != r[:-1])
    return float(((r[steps + 1] - r[steps]) * p[steps + 1]).sum())
