"""Head pose: yaw, pitch and roll from a mesh, from 68 or 72 points, from five, or by FSA-Net.

The head's axes are those of the picture (x to the viewer's right, y down, z away from the viewer)
turned by ``R = Rz(roll) · Ry(-yaw) · Rx(pitch)``: the head nods, then turns, then leans in the
plane of the picture. So leaning the picture changes the roll alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.assess._face_model import FaceModel
from vultus.assess.landmarks import Landmarker
from vultus.assess.schemes import five_shape, reference_shape
from vultus.errors import DegenerateLandmarksError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import DenseLandmarks, Face, Image, Landmarks, Pose

__all__ = [
    "FsaNet",
    "LandmarkPose",
    "PoseEstimator",
    "PoseSolver",
    "aflw_of_rotation",
    "pose_of_rotation",
    "rotation_of_aflw",
    "rotation_of_pose",
]

Floats = NDArray[np.floating[Any]]

# How far from the camera a face is taken to be where only flat points are known. At 0.5 m or 10 m
# instead, the angles of 16 pictures of AFLW2000 change by less than 1° on average.
_DISTANCE_CM = 100.0

_FSA_PX = 64
# FSA-Net's crop: what Hopenet's crop (Ruiz et al. 2018: 40 % of width and height added around the
# 68 points, 12 % below) comes to around MTCNN's boxes, as a part of their longer side; medians
# over 500 pictures of LFW.
_FSA_WIDTH, _FSA_HEIGHT = 1.38, 1.17


class PoseEstimator(Protocol):
    """Tells how heads are turned; safe to call from many threads at once."""

    @property
    def name(self) -> str:
        """What becomes of `Pose.method`."""
        ...

    def estimate(self, faces: Sequence[Face]) -> list[Pose]:
        """One pose per face, in order."""
        ...


class PoseSolver:
    """Pose from landmarks, by laying them over MediaPipe's canonical face.

    Landmarks with depth are laid over in space (weighted Procrustes analysis). Flat ones are
    solved as a picture taken from 1 m (perspective n points).

    Source: canonical face and weights of MediaPipe's face geometry module; Kabsch 1976;
    Terzakis and Lourakis 2020 (SQPnP) as OpenCV implements it.
    """

    def __init__(self) -> None:
        self._model = FaceModel.load()
        self._five = five_shape(self._model)

    def of_landmarks(self, landmarks: DenseLandmarks) -> Pose:
        """Pose of a face with dense landmarks.

        Args:
            landmarks: Of any scheme, with depth or without; depth is better.

        Returns:
            The pose; `method` is ``mesh`` for a mesh, else the landmarks' scheme.

        Raises:
            DegenerateLandmarksError: The points coincide or lie on a line.
        """
        shape, weights = reference_shape(landmarks.scheme, self._model)
        method = "mesh" if landmarks.scheme.startswith("mesh") else landmarks.scheme
        points = landmarks.points[: len(shape)].astype(np.float64)
        if landmarks.depth is None:
            return pose_of_rotation(_flat(shape, points), method)
        depth = landmarks.depth[: len(shape)].astype(np.float64)
        space = np.concatenate([points, depth[:, None]], axis=1)
        return pose_of_rotation(_kabsch(shape, space, weights), method)

    def of_five(self, landmarks: Landmarks) -> Pose:
        """Coarse pose of a face of which only the five points are known.

        Raises:
            DegenerateLandmarksError: The points coincide or lie on a line.
        """
        rotation = _flat(self._five, landmarks.points.astype(np.float64))
        return pose_of_rotation(rotation, "five-points")


class LandmarkPose:
    """Poses of faces by a landmarker's points; without one, by the five points of the detector.

    Args:
        landmarker: Finds dense landmarks.
        solver: Turns landmarks into poses.
    """

    def __init__(
        self, landmarker: Landmarker | None = None, solver: PoseSolver | None = None
    ) -> None:
        self.name = "five-points" if landmarker is None else landmarker.name
        self._landmarker = landmarker
        self._solver = solver or PoseSolver()

    def estimate(self, faces: Sequence[Face]) -> list[Pose]:
        """One pose per face, in order.

        Raises:
            NoLandmarksError: There is no landmarker, and a face has no five points.
            DegenerateLandmarksError: The points of a face coincide or lie on a line.
        """
        if self._landmarker is None:
            return [self._solver.of_five(Landmarks(face.points)) for face in faces]
        return [self._solver.of_landmarks(found) for found in self._landmarker.locate(faces)]


class FsaNet:
    """FSA-Net: pose from a loose crop, the mean of its two published variants.

    Source: Yang et al. 2019, "FSA-Net: Learning Fine-Grained Structure Aggregation for Head Pose
    Estimation from a Single Image"; weights and preprocessing of headpose-fsanet-pytorch.

    Args:
        sessions: The networks: `input` (1, 3, 64, 64) BGR, (x - 127.5) / 128; `output` (1, 3)
            yaw, pitch and roll in degrees as the training data, 300W-LP, count them.
        name: That of its cards.
    """

    def __init__(self, sessions: Sequence[Session], name: str = "fsanet-1x1+fsanet-var") -> None:
        self.name = name
        self._sessions = tuple(sessions)

    @classmethod
    def from_cards(
        cls,
        cards: Sequence[ModelCard],
        store: Store,
        session_options: SessionOptions | None = None,
    ) -> Self:
        """Load the networks that `cards` name from `store`."""
        sessions = [Session(store.read(card), card.name, session_options) for card in cards]
        return cls(sessions, "+".join(card.name for card in cards))

    def estimate(self, faces: Sequence[Face]) -> list[Pose]:
        """One pose per face, in order, from its box."""
        return [self._estimate(face) for face in faces]

    def _estimate(self, face: Face) -> Pose:
        crop = _loose_crop(face)
        scaled = (crop[:, :, ::-1].astype(np.float32) - 127.5) / 128
        batch = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
        outputs = [net.run({net.input_names[0]: batch})[0][0] for net in self._sessions]
        yaw, pitch, roll = (float(angle) for angle in np.mean(np.stack(outputs), axis=0))
        return pose_of_rotation(rotation_of_aflw(yaw, pitch, roll), self.name)


def rotation_of_pose(pose: Pose) -> NDArray[np.float64]:
    """The (3, 3) rotation that turns a head looking straight ahead into `pose`."""
    yaw, pitch, roll = np.radians((pose.yaw_deg, pose.pitch_deg, pose.roll_deg))
    return _about(2, roll) @ _about(1, -yaw) @ _about(0, pitch)


def pose_of_rotation(rotation: Floats, method: str) -> Pose:
    """The pose of a (3, 3) rotation of the head's axes.

    A head turned further than a profile counts as a profile, one that looks further than straight
    up or down as just that: no angle but the roll goes beyond ±90°.
    """
    yaw = float(np.arcsin(np.clip(rotation[2, 0], -1.0, 1.0)))
    roll = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
    pitch = float(np.arctan2(rotation[2, 1], rotation[2, 2]))
    if abs(pitch) > np.pi / 2:
        if abs(yaw) > np.pi / 4:  # the same rotation, told as a turn past the profile
            yaw = np.copysign(np.pi / 2, yaw)
            pitch -= np.copysign(np.pi, pitch)
            roll -= np.copysign(np.pi, roll)
        else:
            pitch = np.copysign(np.pi / 2, pitch)
    return Pose(
        yaw_deg=float(np.degrees(yaw)),
        pitch_deg=float(np.degrees(pitch)),
        roll_deg=float(np.degrees(roll)),
        method=method,
    )


def rotation_of_aflw(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """The (3, 3) rotation of angles as 300W-LP and AFLW2000-3D count them.

    There yaw is positive to the viewer's left, pitch is positive upwards, and the head leans
    first, then turns, then nods.

    Source: Zhu et al. 2016 (3DDFA), whose rotation is ``Rx(pitch) · Ry(yaw) · Rz(roll)`` in axes
    with y up; the signs were checked by laying the 3-D points of 16 files over one another.
    """
    yaw, pitch, roll = np.radians((yaw_deg, pitch_deg, roll_deg))
    return _about(0, -pitch) @ _about(1, yaw) @ _about(2, roll)


def aflw_of_rotation(rotation: Floats) -> NDArray[np.float64]:
    """(3,) yaw, pitch and roll in degrees as AFLW2000-3D counts them; see `rotation_of_aflw`."""
    yaw = np.arcsin(np.clip(rotation[0, 2], -1.0, 1.0))
    pitch = -np.arctan2(-rotation[1, 2], rotation[2, 2])
    roll = np.arctan2(-rotation[0, 1], rotation[0, 0])
    angles: NDArray[np.float64] = np.degrees(np.array([yaw, pitch, roll]))
    return angles


def _about(axis: int, angle_rad: float) -> NDArray[np.float64]:
    vector = np.zeros(3)
    vector[axis] = angle_rad
    return np.asarray(cv2.Rodrigues(vector)[0], np.float64)


def _kabsch(shape: Floats, points: Floats, weights: Floats) -> NDArray[np.float64]:
    """The rotation that lays (n, 3) `shape` over (n, 3) `points` best."""
    moved, target = shape - weights @ shape, points - weights @ points
    left, spread, right = np.linalg.svd((target * weights[:, None]).T @ moved)
    _check_spread(spread[1], spread[0])
    proper = np.diag([1.0, 1.0, np.linalg.det(left) * np.linalg.det(right)])
    rotation: NDArray[np.float64] = left @ proper @ right
    return rotation


def _flat(shape: Floats, points: Floats) -> NDArray[np.float64]:
    """The rotation under which (n, 3) `shape` is seen as (n, 2) `points` from 1 m."""
    centred = points - points.mean(axis=0)
    spread = np.linalg.svd(centred, compute_uv=False)
    _check_spread(spread[1], spread[0])
    model = shape - shape.mean(axis=0)
    # As large as the canonical face seen straight: only the ratio to the distance matters.
    scale = np.sqrt((model[:, :2] ** 2).sum() / (centred**2).sum())
    camera = np.diag([_DISTANCE_CM, _DISTANCE_CM, 1.0])
    solved, turn, _ = cv2.solvePnP(model, centred * scale, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not solved:
        raise DegenerateLandmarksError(
            "landmarks admit no pose", remedy="drop this face; its landmarks are unusable"
        )
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64)


def _check_spread(across: float, along: float) -> None:
    if not across > 1e-6 * along > 0:
        raise DegenerateLandmarksError(
            "landmarks must spread in two directions to tell a pose",
            remedy="drop this face; its landmarks are unusable",
        )


def _loose_crop(face: Face) -> Image:
    """(64, 64, 3) uint8 RGB around a box; what lies outside the picture is left out."""
    (x, y), side = face.box.center_xy, max(face.box.width_px, face.box.height_px)
    half = np.array([_FSA_WIDTH, _FSA_HEIGHT]) * (side / 2)
    size = np.array(face.frame.image.shape[1::-1])
    low = np.clip(np.floor((x, y) - half), 0, size - 1).astype(int)
    high = np.clip(np.ceil((x, y) + half), low + 1, size).astype(int)
    part = face.frame.image[low[1] : high[1], low[0] : high[0]]
    crop = cv2.resize(part, (_FSA_PX, _FSA_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)
