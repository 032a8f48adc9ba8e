"""What each dense landmark means: the schemes, and how one is read from another.

Every table names points of MediaPipe's mesh; several numbers for one point stand for their mean.
Left is the viewer's left. ``docs/landmarks.md`` describes the schemes and what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.assess._face_model import FaceModel
from vultus.errors import RangeError
from vultus.types import DenseLandmarks, Landmarks, LandmarkScheme

__all__ = [
    "FEATURES",
    "features",
    "five_points",
    "five_shape",
    "mesh_edges",
    "outlines",
    "reference_shape",
    "to_scheme",
]

Places: TypeAlias = tuple[tuple[int, ...], ...]

# The contour of each eye. Source of this and of every contour below: face_mesh_connections.py of
# MediaPipe 0.10.14 (PyPI).
_LEFT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
_RIGHT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
_LEFT_IRIS, _RIGHT_IRIS = 468, 473

# iBUG's 68 points. The outline is the mesh's own from 127 at the left temple over the chin, 152,
# to 356, at equal arc lengths of the canonical face seen from the front, each point taken to the
# nearest vertex or middle of two. Of a brow, iBUG marks the tips and the upper edge; the rest is
# where the mesh has the corner, edge or middle that iBUG names.
# Source of the definition: Sagonas et al. 2013, "300 Faces in-the-Wild Challenge".
_IBUG_68: Places = (
    (127,), (234,), (93, 132), (132, 58), (58, 172), (136,), (150, 149), (176, 148), (152,),
    (400, 377), (379, 378), (365,), (288, 397), (361, 288), (323, 361), (454,), (356,),
    (70, 46), (63,), (105,), (66,), (107, 55), (336, 285), (296,), (334,), (293,), (300, 276),
    (168, 6), (197, 195), (5,), (4,), (75,), (97,), (2,), (326,), (305,),
    (33,), (160,), (158,), (133,), (153,), (144,), (362,), (385,), (387,), (263,), (373,), (380,),
    (61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,),
    (78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,),
)  # fmt: skip

# vultus's 72 points: the groups and the order are those of the `landmark72` of cloud services
# (outline 0-12; left eye 13-20, its centre 21; left brow 22-29; right eye 30-37, its centre 38;
# right brow 39-46; nose 47-56, its tip 57; mouth outside 58-65, inside 66-71), as public replies
# and drawing code show them. Which vertices stand for them is ours. The outline is made as above.
_VULTUS_72: Places = (
    (127,), (234, 93), (132,), (58, 172), (136, 150), (149, 176), (152,),
    (378, 400), (365, 379), (288, 397), (361,), (454, 323), (356,),
    (33,), (160,), (159,), (158,), (133,), (153,), (145,), (163,), _LEFT_EYE,
    (70,), (63,), (105,), (66,), (107,), (65,), (52,), (53,),
    (362,), (385,), (386,), (387,), (263,), (390,), (374,), (380,), _RIGHT_EYE,
    (336,), (296,), (334,), (293,), (300,), (283,), (282,), (295,),
    (245,), (174,), (198,), (64,), (60,), (290,), (294,), (420,), (399,), (465,), (4,),
    (61,), (39,), (0,), (269,), (291,), (405,), (17,), (181,),
    (81,), (13,), (311,), (402,), (14,), (178,),
)  # fmt: skip

# The five points of a detector. Chosen on 500 faces of LFW so as to lie where MTCNN puts them.
_FIVE_OF_MESH: Places = (_LEFT_EYE, _RIGHT_EYE, (1, 4), (61,), (291,))
_FIVE_OF: Mapping[LandmarkScheme, Places] = MappingProxyType(
    {
        "mesh-468": _FIVE_OF_MESH,
        "mesh-478": _FIVE_OF_MESH,
        "ibug-68": (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,)),
        "vultus-72": ((21,), (38,), (57,), (58,), (62,)),
    }
)

FEATURES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "chin": tuple(range(17)),
        "left_eyebrow": tuple(range(17, 22)),
        "right_eyebrow": tuple(range(22, 27)),
        "nose_bridge": tuple(range(27, 31)),
        "nose_tip": tuple(range(31, 36)),
        "left_eye": tuple(range(36, 42)),
        "right_eye": tuple(range(42, 48)),
        "top_lip": (48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60),
        "bottom_lip": (54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64),
    }
)
"""Name to points of iBUG's 68, in the order and with the lips of face_recognition 1.3.0."""

# What is drawn as a line, point by point; a closed one ends where it began.
_IBUG_LINES: Places = (
    *(FEATURES[name] for name in ("chin", "left_eyebrow", "right_eyebrow", "nose_bridge")),
    FEATURES["nose_tip"],
    (*FEATURES["left_eye"], 36),
    (*FEATURES["right_eye"], 42),
    (*range(48, 60), 48),
    (*range(60, 68), 60),
)
_VULTUS_LINES: Places = (
    tuple(range(13)),
    (*range(13, 21), 13),
    (*range(22, 30), 22),
    (*range(30, 38), 30),
    (*range(39, 47), 39),
    tuple(range(47, 57)),
    (*range(58, 66), 58),
    (58, 66, 67, 68, 62, 69, 70, 71, 58),
)
_MESH_LINES: Places = (
    (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
     148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10),
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 70),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276, 300),
    (168, 6, 197, 195, 5, 4, 1, 19, 94, 2),
    (64, 98, 97, 2, 326, 327, 294),
    (*_LEFT_EYE, 33),
    (*_RIGHT_EYE, 362),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146, 61),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95, 78),
)  # fmt: skip
_IRIS_LINES: Places = ((469, 470, 471, 472, 469), (474, 475, 476, 477, 474))
_LINES: Mapping[LandmarkScheme, Places] = MappingProxyType(
    {
        "ibug-68": _IBUG_LINES,
        "vultus-72": _VULTUS_LINES,
        "mesh-468": _MESH_LINES,
        "mesh-478": _MESH_LINES + _IRIS_LINES,
    }
)


def to_scheme(landmarks: DenseLandmarks, scheme: LandmarkScheme) -> DenseLandmarks:
    """Read one scheme's points from another's.

    Args:
        landmarks: A mesh can be turned into every scheme but one with more points; other schemes
            only into themselves.
        scheme: What is wanted.

    Returns:
        Points and, where there are any, depths of `scheme`, with the same presence.

    Raises:
        RangeError: `landmarks` does not hold what `scheme` needs.
    """
    have = landmarks.scheme
    if have == scheme:
        return landmarks
    table = _places(have, scheme)
    if table is None:
        raise RangeError(
            f"landmarks of {have} cannot be turned into {scheme}",
            remedy="use those of a mesh, which holds all schemes",
            expected=scheme,
            actual=have,
        )
    points = _means(landmarks.points, table).astype(np.float32)
    depth = landmarks.depth
    if depth is not None:
        depth = _means(depth[:, None], table)[:, 0].astype(np.float32)
    return DenseLandmarks(points, scheme, depth, landmarks.presence)


def features(landmarks: DenseLandmarks) -> dict[str, NDArray[np.float32]]:
    """The named parts of a face, as face_recognition names and groups them.

    Args:
        landmarks: A mesh, or iBUG's 68 points.

    Returns:
        Name to (n, 2) float32 xy in pixels of the frame: chin 17, left_eyebrow 5,
        right_eyebrow 5, nose_bridge 4, nose_tip 5, left_eye 6, right_eye 6, top_lip 12 and
        bottom_lip 12, both lips closed over the mouth's corners. Left is the viewer's left.

    Raises:
        RangeError: The scheme does not hold them.
    """
    points = to_scheme(landmarks, "ibug-68").points
    return {name: points[list(places)] for name, places in FEATURES.items()}


def five_points(landmarks: DenseLandmarks) -> Landmarks:
    """The five points a face is aligned by.

    With them, what a detector finds as a mere box can be recognised. Of a mesh they are the mean
    of each eye's contour, the middle of the two foremost points of the nose, and the corners of
    the mouth. On 500 pictures of LFW, boxes only, they lie 5.7 % of the distance between the eyes
    from MTCNN's on average, of which 3.3 % are a common shift (MTCNN's lie to the right and down);
    on 45 annotated pictures of HELEN they are closer to the truth than MTCNN's, and LFW's pairs
    are told apart as well with either.
    """
    points = _means(landmarks.points, _FIVE_OF[landmarks.scheme])
    return Landmarks(points.astype(np.float32))


def outlines(scheme: LandmarkScheme) -> Places:
    """The lines of a face for drawing: each the points to join, a closed one ends where it began.

    Outline, brows, nose, eyes, lips and, of a mesh that has them, irises.
    """
    return _LINES[scheme]


def mesh_edges() -> NDArray[np.intp]:
    """(1365, 2) pairs of points of a mesh that its triangles join, for drawing."""
    return FaceModel.load().edges()


def reference_shape(
    scheme: LandmarkScheme, model: FaceModel
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of a scheme on the canonical face, and how much each should count.

    Irises are left out: the canonical face has none.

    Returns:
        (n, 3) in centimetres and the axes of a picture, and (n,) weights that sum to 1; n as
        the scheme says, 468 for every mesh.
    """
    if scheme in {"mesh-468", "mesh-478"}:
        return model.points, model.weights
    table = _places("mesh-468", scheme) or ()
    return _means(model.points, table), np.full(len(table), 1 / len(table))


def five_shape(model: FaceModel) -> NDArray[np.float64]:
    """(5, 3), the five points on the canonical face."""
    return _means(model.points, _FIVE_OF_MESH)


def _places(have: LandmarkScheme, want: LandmarkScheme) -> Places | None:
    """Which points of `have` make those of `want`; ``None`` where they do not suffice."""
    if have not in {"mesh-468", "mesh-478"}:
        return None
    if want == "ibug-68":
        return _IBUG_68
    if want == "vultus-72":
        if have == "mesh-468":
            return _VULTUS_72
        centers: dict[tuple[int, ...], tuple[int, ...]] = {
            _LEFT_EYE: (_LEFT_IRIS,),
            _RIGHT_EYE: (_RIGHT_IRIS,),
        }
        return tuple(centers.get(places, places) for places in _VULTUS_72)
    if want == "mesh-468":
        return tuple((i,) for i in range(468))
    return None


def _means(
    points: NDArray[np.floating[Any]], table: Sequence[tuple[int, ...]]
) -> NDArray[np.float64]:
    """(len(table), k) mean of the rows that each entry names."""
    counts = np.array([len(places) for places in table])
    rows = points[[i for places in table for i in places]].astype(np.float64)
    sums = np.add.reduceat(rows, np.concatenate([[0], counts.cumsum()[:-1]]), axis=0)
    means: NDArray[np.float64] = sums / counts[:, None]
    return means
