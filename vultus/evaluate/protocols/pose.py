"""AFLW2000-3D: how far estimated head poses are from those of fitted 3-D models.

Source: Zhu et al. 2016, "Face Alignment Across Large Poses: A 3D Solution" (the data), and Ruiz
et al. 2018, "Fine-Grained Head Pose Estimation Without Keypoints" (the protocol: mean absolute
error per angle over the faces of which no angle exceeds 99°).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.assess.pose import PoseEstimator, aflw_of_rotation, rotation_of_aflw, rotation_of_pose
from vultus.detect import Detector
from vultus.errors import DataFileError, MissingExtraError
from vultus.evaluate._plain import plain
from vultus.evaluate.protocols._annotated import annotated_face, picture_of

__all__ = ["AnnotatedPose", "PoseResult", "angle_errors", "evaluate_pose", "read_aflw2000"]

Floats = NDArray[np.float64]

_MAX_BYTES = 16_000_000
_SHAPES = {"Pose_Para": (1, 7), "pt3d_68": (3, 68)}
_KINDS = ("double", "single")  # a cell or a structure can hold anything
_LIMIT_DEG = 99.0


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPose:
    """One picture with the pose of its face, in degrees as AFLW2000-3D counts them.

    Attributes:
        picture: The file.
        angles_deg: (3,) yaw (positive to the viewer's left), pitch (positive upwards), roll
            (positive clockwise as the viewer sees it).
        points: (68, 2) float64 xy of iBUG's points in pixels.
    """

    picture: Path
    angles_deg: Floats
    points: Floats


@dataclass(frozen=True, slots=True)
class PoseResult:
    """How close a pose estimator came: mean absolute errors in degrees.

    Attributes:
        estimator: Its name.
        detector: Name of the detector's card; ``None``: boxes were made of the annotations.
        yaw_deg: In the data's own angles; ``None`` when no face was found, like all the others.
        pitch_deg: Likewise.
        roll_deg: Likewise.
        mean_deg: Mean of the three.
        rotation_deg: Mean angle of the rotation between estimate and truth, which depends on no
            choice of angles.
        bias_deg: Median signed error of yaw, pitch and roll, in the data's angles.
        faces: Pictures that count.
        found: In how many the face was found.
        missing: Pictures whose face was not found or that could not be read, with the reason.
        excluded: Pictures with an angle beyond the protocol's limit.
        absent: Annotations without a picture.
    """

    estimator: str
    detector: str | None
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    mean_deg: float | None
    rotation_deg: float | None
    bias_deg: tuple[float, float, float] | None
    faces: int
    found: int
    missing: tuple[tuple[str, str], ...]
    excluded: int
    absent: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = plain(self)
        return result


def evaluate_pose(
    folder: Path,
    estimator: PoseEstimator,
    detector: Detector | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    limit_deg: float = _LIMIT_DEG,
) -> PoseResult:
    """Compare a pose estimator with annotated pictures.

    Args:
        folder: Holds pictures with a ``.mat`` of the same name each; see `read_aflw2000`.
        estimator: What is measured.
        detector: Finds the faces; of several, the one that overlaps the annotated face most
            counts. ``None`` takes boxes made of the annotated points.
        progress: Called with the pictures done and their number.
        limit_deg: Pictures with an angle beyond this are left out; 99 in the protocol.

    Raises:
        DataFileError: An annotation cannot be read, or none has a picture.
        MissingExtraError: SciPy, which reads the files, is not installed.
    """
    every, absent = read_aflw2000(folder)
    truth = [pose for pose in every if (np.abs(pose.angles_deg) <= limit_deg).all()]
    missing: list[tuple[str, str]] = []
    errors: list[Floats] = []
    turns: list[float] = []
    for number, pose in enumerate(truth, 1):
        face = annotated_face(pose.picture, pose.points, detector)
        if isinstance(face, str):
            missing.append((str(pose.picture), face))
        else:
            rotation = rotation_of_pose(estimator.estimate([face])[0])
            errors.append(angle_errors(aflw_of_rotation(rotation), pose.angles_deg))
            turns.append(_angle_between(rotation, rotation_of_aflw(*pose.angles_deg)))
        if progress is not None:
            progress(number, len(truth))
    means: list[float] = np.abs(errors).mean(axis=0).tolist() if errors else []
    bias: list[float] = np.median(errors, axis=0).tolist() if errors else []
    return PoseResult(
        estimator=estimator.name,
        detector=None if detector is None else detector.name,
        yaw_deg=means[0] if means else None,
        pitch_deg=means[1] if means else None,
        roll_deg=means[2] if means else None,
        mean_deg=float(np.mean(means)) if means else None,
        rotation_deg=float(np.mean(turns)) if turns else None,
        bias_deg=(bias[0], bias[1], bias[2]) if bias else None,
        faces=len(truth),
        found=len(errors),
        missing=tuple(missing),
        excluded=len(every) - len(truth),
        absent=absent,
    )


def read_aflw2000(folder: Path) -> tuple[list[AnnotatedPose], int]:
    """The annotated pictures of a folder, and how many annotations have none.

    Args:
        folder: Holds pictures with a ``.mat`` of the same name each: `Pose_Para` (1, 7), of
            which the first three are pitch, yaw and roll in radians, and `pt3d_68` (3, 68).

    Raises:
        DataFileError: An annotation cannot be read or does not hold this, or none has a picture.
        MissingExtraError: SciPy, which reads the files, is not installed.
    """
    annotations = sorted(folder.glob("*.mat"))
    poses = []
    for annotation in annotations:
        picture = picture_of(annotation)
        if picture is not None:
            para, points = _read_mat(annotation)
            angles = np.degrees(para[0, [1, 0, 2]])
            poses.append(AnnotatedPose(picture, angles, points[:2].T.copy()))
    if not poses:
        raise DataFileError(
            f"{folder} must hold pictures with a .mat file of the same name each, got "
            f"{len(annotations)} such files and no picture beside one",
            path=str(folder),
        )
    return poses, len(annotations) - len(poses)


def angle_errors(found_deg: Floats, truth_deg: Floats) -> Floats:
    """Signed difference of angles the short way round, in [-180, 180)."""
    errors: Floats = (found_deg - truth_deg + 180.0) % 360.0 - 180.0
    return errors


def _angle_between(a: Floats, b: Floats) -> float:
    """Angle in degrees of the rotation that turns `b` into `a`."""
    return float(np.degrees(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1.0, 1.0))))


def _read_mat(path: Path) -> tuple[Floats, Floats]:
    try:
        from scipy.io import loadmat, whosmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise MissingExtraError(
            "reading MATLAB files takes SciPy", remedy="pip install 'vultus[evaluate]'"
        ) from error
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataFileError(f"{path} is too large for the pose of a face", path=str(path))
        # Shapes are looked at before a variable is unpacked: a small file can hold a huge one.
        listed = [(name, shape) for name, shape, kind in whosmat(path) if kind in _KINDS]
        held = {name: shape for name, shape in listed if name in _SHAPES}
        if held != _SHAPES:
            raise DataFileError(
                f"{path} must hold numbers Pose_Para (1, 7) and pt3d_68 (3, 68), got {held}",
                path=str(path),
                expected=str(_SHAPES),
                actual=str(held),
            )
        found = loadmat(path, variable_names=list(_SHAPES))
        para, points = (np.asarray(found[name], np.float64) for name in _SHAPES)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataFileError(f"{path} cannot be read: {error}", path=str(path)) from error
    if not (np.isfinite(para).all() and np.isfinite(points).all()):
        raise DataFileError(f"{path} must hold finite numbers", path=str(path))
    return para, points
