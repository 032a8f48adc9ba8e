"""Dense landmarks: MediaPipe's face mesh, and PFLD's 68 points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_shape
from vultus.assess._square import cut, square_around, square_of, to_picture
from vultus.errors import InferenceError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import DenseLandmarks, Face, Image, LandmarkScheme

__all__ = ["PRESENT", "Landmarker", "MeshLandmarker", "Pfld68"]

Floats = NDArray[np.floating[Any]]

PRESENT = 0.5
"""Presence from which a mesh is taken for a face's. Source: MediaPipe, tensors_to_face_landmarks
and face_landmark_cpu.pbtxt (threshold 0.5)."""

_MESH_PX = 192
_MESH, _IRIS = 468, 5  # points
_PFLD_PX, _PFLD = 112, 68
# Crops per call of a network: bounds memory on a crowd (14 MB of input), keeps the cores busy.
_BATCH = 32

# Outer corner of the left and of the right eye: their line is level in the crop, as in MediaPipe.
_LEFT_CORNER, _RIGHT_CORNER = 33, 263

# The mesh of the first look says where to look the second time, and a face whose square still
# moves by more than this is looked at again: one that leans and came without five points, or a
# profile. Measured on 167 faces of LFW against four looks: with twice these limits one face in a
# hundred stays astray, by up to half the distance between the eyes; with these none is off by more
# than 6 % of it, at 2.05 looks on average; half of them bring little for 2.25.
_LOOKS, _LOOKS_MOST = 2, 4
_MOVED_TURN_RAD = np.radians(5.0)
_MOVED_SIDE = 0.05

# PFLD's crop as a multiple of the box's longer side. Measured on 45 pictures of HELEN with MTCNN:
# anything from 1.0 to 1.2 gives an error of 3.4 to 3.6 %.
_PFLD_MARGIN = 1.1

# Rows of the mesh that the attention network's further outputs replace, in their order.
# Source: tensors_to_face_landmarks_with_attention.pbtxt, as built into MediaPipe 0.10.14 (PyPI).
_LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
)  # fmt: skip
_LEFT_EYE = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245,
    156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
_RIGHT_EYE = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465,
    383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip
_REFINED = {"lips": _LIPS, "left_eye": _LEFT_EYE, "right_eye": _RIGHT_EYE}
_CONTOUR = 16  # the first rows of an eye are its contour, whose mean depth is that of its iris


class Landmarker(Protocol):
    """Finds many points of a face; safe to call from many threads at once."""

    @property
    def name(self) -> str:
        """Name of the landmarker's card."""
        ...

    @property
    def scheme(self) -> LandmarkScheme:
        """What its points mean."""
        ...

    def locate(self, faces: Sequence[Face]) -> list[DenseLandmarks]:
        """Find the points of several faces.

        Returns:
            One per face, in order, in pixels of the face's frame.
        """
        ...


class MeshLandmarker:
    """MediaPipe's face mesh: 468 points with depth, or 478 with the irises.

    Works from five points as well as from a mere box: a face is looked at twice, the second time
    in a crop that the first mesh places, and again while its crop still moves (a box says nothing
    about a face's tilt; up to 45° of it are made good that way, beyond it takes five points).

    Source: Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on
    Mobile GPUs"; Grishchenko et al. 2020, "Attention Mesh"; crops as MediaPipe's face_landmark
    graphs make them, except that a leaning face's extent is taken along its own axes.

    Args:
        session: The network: `input` (n, 192, 192, 3) RGB 0..1; `mesh` (n, 468, 3), `presence`
            (n, 1) and, of the attention network, `lips`, `left_eye`, `right_eye`, `left_iris`
            and `right_iris` (n, k, 2), all in pixels of the crop.
        name: That of its card.

    Raises:
        InferenceError: The network is no face mesh.
    """

    def __init__(self, session: Session, name: str = "facemesh") -> None:
        if not {"mesh", "presence"} <= set(session.output_names):
            raise InferenceError(
                f"{name} must give mesh and presence, it gives {', '.join(session.output_names)}",
                remedy="use the cards facemesh or facemesh-attention",
                expected=["mesh", "presence"],
                actual=list(session.output_names),
            )
        self.name = name
        self._session = session
        self._attention = "lips" in session.output_names
        self._batch = session.batch_size or _BATCH

    @classmethod
    def from_card(
        cls, card: ModelCard, store: Store, session_options: SessionOptions | None = None
    ) -> Self:
        """Load the network that `card` names from `store`."""
        return cls(Session(store.read(card), card.name, session_options), card.name)

    @property
    def scheme(self) -> LandmarkScheme:
        """``mesh-478`` where the network finds irises, else ``mesh-468``."""
        return "mesh-478" if self._attention else "mesh-468"

    def locate(self, faces: Sequence[Face]) -> list[DenseLandmarks]:
        """Find the mesh of several faces, of one picture or many.

        Args:
            faces: With five points or without.

        Returns:
            One per face, in order, with depth and with presence: below `PRESENT`, the network
            does not believe that it looks at a face, and its points mean nothing.
        """
        if not faces:
            return []
        squares = np.stack([square_of(face) for face in faces])
        count = int(self.scheme.rpartition("-")[2])
        points = np.zeros((len(faces), count, 2), np.float32)
        depth = np.zeros((len(faces), count), np.float32)
        presence = np.zeros(len(faces))
        pending = np.arange(len(faces))
        for look in range(1, _LOOKS_MOST + 1):
            for start in range(0, len(pending), self._batch):
                part = pending[start : start + self._batch]
                images = [faces[i].frame.image for i in part]
                points[part], depth[part], presence[part] = self._look(images, squares[part])
            closer = np.stack([_square_of_mesh(points[i]) for i in pending])
            again = _moved(squares[pending], closer) | (look < _LOOKS)
            squares[pending] = closer
            pending = pending[again]
            if len(pending) == 0:
                break
        return [
            DenseLandmarks(places, self.scheme, depths, float(belief))
            for places, depths, belief in zip(points, depth, presence, strict=True)
        ]

    def _look(self, images: Sequence[Image], squares: Floats) -> tuple[Floats, Floats, Floats]:
        """Run the network on one square of each picture.

        Returns:
            (n, k, 2) points and (n, k) depths in pixels of the pictures, (n,) presence.
        """
        crops = np.stack(
            [cut(image, square, _MESH_PX) for image, square in zip(images, squares, strict=True)]
        )
        batch = crops.astype(np.float32) * np.float32(1 / 255)
        outputs = self._session.run({"input": batch})
        output = dict(zip(self._session.output_names, outputs, strict=True))
        places = output["mesh"][:, :, :2].astype(np.float64)
        depth = output["mesh"][:, :, 2] * (squares[:, 2:3] / _MESH_PX)
        if self._attention:
            for name, rows in _REFINED.items():
                places[:, list(rows)] = output[name]
            irises = output["left_iris"], output["right_iris"]
            places = np.concatenate([places, *irises], axis=1)
            eyes = [
                depth[:, list(rows[:_CONTOUR])].mean(axis=1) for rows in (_LEFT_EYE, _RIGHT_EYE)
            ]
            depth = np.concatenate([depth, np.repeat(np.stack(eyes, 1), _IRIS, axis=1)], axis=1)
        points = np.stack(
            [to_picture(p, s, _MESH_PX) for p, s in zip(places, squares, strict=True)]
        )
        return points, depth, np.clip(output["presence"][:, 0], 0.0, 1.0)


class Pfld68:
    """PFLD: iBUG's 68 points from a box, without depth. Its weight states no licence: for tests.

    Source: Guo et al. 2019, "PFLD: A Practical Facial Landmark Detector"; weights of
    pytorch_face_landmark.

    Args:
        session: The network: `input` (n, 3, 112, 112) RGB 0..1, `output` (n, 136) x and y by
            turns, in units of the crop.
        name: That of its card.
    """

    scheme: LandmarkScheme = "ibug-68"

    def __init__(self, session: Session, name: str = "pfld-68") -> None:
        self.name = name
        self._session = session

    @classmethod
    def from_card(
        cls, card: ModelCard, store: Store, session_options: SessionOptions | None = None
    ) -> Self:
        """Load the network that `card` names from `store`."""
        return cls(Session(store.read(card), card.name, session_options), card.name)

    def locate(self, faces: Sequence[Face]) -> list[DenseLandmarks]:
        """Find the 68 points of several faces from their boxes.

        Returns:
            One per face, in order, with neither depth nor presence.

        Raises:
            ShapeError: The network is another one.
        """
        found: list[DenseLandmarks] = []
        for start in range(0, len(faces), _BATCH):
            part = faces[start : start + _BATCH]
            squares = [_upright(face) for face in part]
            crops = np.stack(
                [
                    cut(face.frame.image, square, _PFLD_PX)
                    for face, square in zip(part, squares, strict=True)
                ]
            )
            batch = crops.transpose(0, 3, 1, 2).astype(np.float32) * np.float32(1 / 255)
            output = self._session.run({self._session.input_names[0]: batch})[0]
            check_shape(output, (len(part), 2 * _PFLD), f"the output of {self.name}")
            for places, square in zip(output.reshape(-1, _PFLD, 2), squares, strict=True):
                points = to_picture(places * _PFLD_PX, square, _PFLD_PX)
                found.append(DenseLandmarks(points.astype(np.float32), self.scheme))
        return found


def _square_of_mesh(points: Floats) -> NDArray[np.float64]:
    return square_around(points[:_MESH], _LEFT_CORNER, _RIGHT_CORNER)


def _moved(before: Floats, after: Floats) -> NDArray[np.bool_]:
    """Which of n squares a look has moved, grown or turned by much."""
    turn = np.abs((after[:, 3] - before[:, 3] + np.pi) % (2 * np.pi) - np.pi)
    shift = np.hypot(*(after[:, :2] - before[:, :2]).T) / before[:, 2]
    growth = np.abs(np.log(after[:, 2] / before[:, 2]))
    moved: NDArray[np.bool_] = (turn > _MOVED_TURN_RAD) | (np.maximum(shift, growth) > _MOVED_SIDE)
    return moved


def _upright(face: Face) -> NDArray[np.float64]:
    side = _PFLD_MARGIN * max(face.box.width_px, face.box.height_px)
    return np.array([*face.box.center_xy, side, 0.0])
