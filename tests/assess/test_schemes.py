from __future__ import annotations

import numpy as np
import pytest

from vultus.assess import schemes
from vultus.assess._face_model import FaceModel
from vultus.assess.schemes import (
    FEATURES,
    features,
    five_points,
    five_shape,
    mesh_edges,
    outlines,
    reference_shape,
    to_scheme,
)
from vultus.errors import RangeError
from vultus.types import DenseLandmarks, LandmarkScheme

SCHEMES: tuple[LandmarkScheme, ...] = ("ibug-68", "mesh-468", "mesh-478", "vultus-72")


def _numbered(scheme: LandmarkScheme) -> DenseLandmarks:
    """Point i lies at (i, 1000 + i), its depth is -i."""
    i = np.arange(int(scheme[-2:] if scheme in {"ibug-68", "vultus-72"} else scheme[-3:]))
    points = np.stack([i, 1000 + i], axis=1).astype(np.float32)
    return DenseLandmarks(points, scheme, -i.astype(np.float32), presence=0.75)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.load()


@pytest.fixture(scope="module")
def mirror(model):
    """Point to the point on the other side of the canonical face."""
    flipped = model.points * (-1, 1, 1)
    gaps = np.linalg.norm(model.points[None] - flipped[:, None], axis=2)
    assert gaps.min(axis=1).max() < 1e-6
    return gaps.argmin(axis=1)


def test_the_canonical_face(model):
    assert model.points.shape == (468, 3)
    assert model.weights.sum() == pytest.approx(1.0)
    assert np.count_nonzero(model.weights) == 33
    assert model.points[:, 2].argmin() == 4  # the tip of the nose is nearest to the camera
    assert model.points[33, 0] < 0 < model.points[263, 0]  # 33 is the viewer's left
    assert model.points[10, 1] < model.points[152, 1]  # the forehead is above the chin


def test_its_triangles_make_one_sheet(model):
    edges = mesh_edges()
    assert edges.shape == (1365, 2)
    assert model.triangles.shape == (898, 3)
    assert 468 - len(edges) + len(model.triangles) == 1  # Euler: a disk
    assert (edges[:, 0] < edges[:, 1]).all()


@pytest.mark.parametrize("have", SCHEMES)
def test_a_scheme_into_itself(have):
    landmarks = _numbered(have)
    assert to_scheme(landmarks, have) is landmarks


def test_68_points_of_a_mesh():
    found = to_scheme(_numbered("mesh-468"), "ibug-68")
    assert found.scheme == "ibug-68"
    assert found.presence == 0.75
    assert found.points[8].tolist() == [152, 1152]  # chin
    assert found.points[30].tolist() == [4, 1004]  # tip of the nose
    assert found.points[36].tolist() == [33, 1033]  # viewer's left eye, outer corner
    assert found.points[45].tolist() == [263, 1263]
    assert found.points[48].tolist() == [61, 1061]
    assert found.points[3].tolist() == [95, 1095]  # the middle of 132 and 58
    assert found.depth is not None
    assert found.depth[3] == -95
    assert found.depth[8] == -152


def test_72_points_of_a_mesh():
    found = to_scheme(_numbered("mesh-468"), "vultus-72").points
    assert found[6].tolist() == [152, 1152]
    assert found[57].tolist() == [4, 1004]
    eye = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]
    assert found[21, 0] == pytest.approx(np.mean(eye))


def test_irises_are_the_centres_of_the_eyes_where_a_mesh_has_them():
    found = to_scheme(_numbered("mesh-478"), "vultus-72").points
    assert found[21].tolist() == [468, 1468]
    assert found[38].tolist() == [473, 1473]


def test_a_mesh_without_its_irises():
    found = to_scheme(_numbered("mesh-478"), "mesh-468")
    assert (found.points == _numbered("mesh-468").points).all()


def test_without_depth_there_is_none():
    flat = DenseLandmarks(_numbered("mesh-468").points, "mesh-468")
    assert to_scheme(flat, "ibug-68").depth is None


@pytest.mark.parametrize(
    ("have", "want"), [("ibug-68", "mesh-468"), ("ibug-68", "vultus-72"), ("mesh-468", "mesh-478")]
)
def test_what_a_scheme_does_not_hold(have, want):
    with pytest.raises(RangeError, match=f"landmarks of {have} cannot be turned into {want}"):
        to_scheme(_numbered(have), want)


# Pairs of points on opposite sides, from the schemes' definitions.
IBUG_PAIRS = [
    *((i, 16 - i) for i in range(17)),
    *((17 + i, 26 - i) for i in range(10)),
    *((i, i) for i in (27, 28, 29, 30, 33)),
    (31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (51, 51), (55, 59), (56, 58), (57, 57),
    (60, 64), (61, 63), (62, 62), (65, 67), (66, 66),
]  # fmt: skip
VULTUS_PAIRS = [
    *((i, 12 - i) for i in range(13)),
    *zip(range(13, 22), (34, 33, 32, 31, 30, 37, 36, 35, 38), strict=True),
    *zip(range(22, 30), (43, 42, 41, 40, 39, 46, 45, 44), strict=True),
    *zip(range(47, 57), range(56, 46, -1), strict=True),
    (57, 57), (58, 62), (59, 61), (60, 60), (63, 65), (64, 64),
    (66, 68), (67, 67), (69, 71), (70, 70),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "pairs", "count"),
    [(schemes._IBUG_68, IBUG_PAIRS, 68), (schemes._VULTUS_72, VULTUS_PAIRS, 72)],
)
def test_tables_are_the_same_on_both_sides(table, pairs, count, mirror):
    assert len(table) == count
    assert {i for pair in pairs for i in pair} == set(range(count))
    for a, b in pairs:
        assert sorted(mirror[list(table[a])]) == sorted(table[b])


def test_the_outline_of_68_points_is_spaced_evenly(model):
    jaw = reference_shape("ibug-68", model)[0][:17, :2]
    steps = np.linalg.norm(np.diff(jaw, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.6


def test_features_have_the_names_and_sizes_of_face_recognition():
    found = features(_numbered("ibug-68"))
    assert [(name, len(points)) for name, points in found.items()] == [
        ("chin", 17),
        ("left_eyebrow", 5),
        ("right_eyebrow", 5),
        ("nose_bridge", 4),
        ("nose_tip", 5),
        ("left_eye", 6),
        ("right_eye", 6),
        ("top_lip", 12),
        ("bottom_lip", 12),
    ]
    assert found["top_lip"][:, 0].tolist() == [48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60]
    assert found["bottom_lip"][:, 0].tolist() == [54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64]
    assert found["nose_tip"][:, 0].tolist() == [31, 32, 33, 34, 35]


def test_features_of_a_mesh_and_of_what_has_none():
    assert features(_numbered("mesh-478"))["left_eye"][0].tolist() == [33, 1033]
    with pytest.raises(RangeError, match="use those of a mesh"):
        features(_numbered("vultus-72"))


@pytest.mark.parametrize(
    ("scheme", "nose_and_mouth"),
    [
        ("mesh-468", [2.5, 61, 291]),
        ("mesh-478", [2.5, 61, 291]),
        ("ibug-68", [30, 48, 54]),
        ("vultus-72", [57, 58, 62]),
    ],
)
def test_five_points(scheme, nose_and_mouth):
    assert five_points(_numbered(scheme)).points[2:, 0].tolist() == nose_and_mouth


def test_five_points_eyes():
    assert five_points(_numbered("ibug-68")).points[:2, 0].tolist() == [38.5, 44.5]
    assert five_points(_numbered("vultus-72")).points[:2, 0].tolist() == [21, 38]
    assert five_points(_numbered("mesh-468")).points[0, 0] == pytest.approx(2301 / 16)


def test_five_points_of_the_canonical_face_are_symmetric(model):
    left_eye, right_eye, nose, left_mouth, right_mouth = five_shape(model)
    assert left_eye * (-1, 1, 1) == pytest.approx(right_eye)
    assert left_mouth * (-1, 1, 1) == pytest.approx(right_mouth)
    assert left_eye[0] < 0
    assert nose[0] == pytest.approx(0.0)
    assert left_eye[1] < nose[1] < left_mouth[1]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_name_points_of_their_scheme(scheme):
    count = len(_numbered(scheme).points)
    lines = outlines(scheme)
    assert all(0 <= min(line) <= max(line) < count for line in lines)
    assert sum(line[0] == line[-1] for line in lines) >= 4  # both eyes, both rims of the mouth


@pytest.mark.parametrize("scheme", SCHEMES)
def test_reference_shape(scheme, model):
    shape, weights = reference_shape(scheme, model)
    assert len(shape) == len(weights) == min(468, len(_numbered(scheme).points))
    assert weights.sum() == pytest.approx(1.0)


def test_features_cannot_be_changed():
    with pytest.raises(TypeError):
        FEATURES["chin"] = ()  # type: ignore[index]
