from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vultus.assess import landmarks as module
from vultus.assess._face_model import FaceModel
from vultus.assess.landmarks import PRESENT, MeshLandmarker, Pfld68
from vultus.assess.schemes import five_points
from vultus.errors import InferenceError, ShapeError
from vultus.models import Registry, Store
from vultus.runtime import Session
from vultus.sources import load_frame
from vultus.types import Box, DenseLandmarks, Face, Frame, Landmarks

# What MediaPipe 0.10.14 itself (PyPI, refine_landmarks=True, the picture as a still video, so that
# it too places the crop by the points) finds in samples/photos/obama3.jpg, a picture in the public
# domain: point of the mesh to pixel.
MEDIAPIPE = {
    33: (711, 387), 133: (766, 390), 362: (832, 397), 263: (880, 405), 1: (810, 450),
    61: (735, 516), 291: (847, 526), 13: (796, 507), 152: (789, 612), 10: (810, 292),
    468: (736, 385), 473: (858, 397),
}  # fmt: skip


class FakeMesh:
    """A network that sees the canonical face in every crop, filling two thirds of it.

    Args:
        batch_size: As `Session` has it.
        attention: Whether it has the attention network's further outputs.
        presence: What it believes.
    """

    def __init__(
        self, batch_size: int | None = None, *, attention: bool = False, presence: float = 0.9
    ) -> None:
        self.batch_size = batch_size
        self.output_names: tuple[str, ...] = ("mesh", "presence")
        if attention:
            irises = ("left_iris", "right_iris")
            self.output_names = ("mesh", "lips", "left_eye", "right_eye", *irises, "presence")
        self.presence = presence
        self.sizes: list[int] = []
        self.mesh = canonical_in(192)

    def run(self, inputs: dict[str, Any]) -> list[np.ndarray]:
        batch = inputs["input"]
        assert batch.dtype == np.float32
        assert batch.shape[1:] == (192, 192, 3)
        assert 0.0 <= batch.min() <= batch.max() <= 1.0
        self.sizes.append(len(batch))
        sizes = {"lips": 80, "left_eye": 71, "right_eye": 71, "left_iris": 5, "right_iris": 5}
        return [self._output(name, sizes.get(name, 0), len(batch)) for name in self.output_names]

    def _output(self, name: str, count: int, n: int) -> np.ndarray:
        if name == "mesh":
            return np.repeat(self.mesh[None], n, axis=0).astype(np.float32)
        if name == "presence":
            return np.full((n, 1), self.presence, np.float32)
        rows = {"lips": module._LIPS, "left_eye": module._LEFT_EYE, "right_eye": module._RIGHT_EYE}
        places = self.mesh[list(rows[name]), :2] if name in rows else np.full((count, 2), 96.0)
        return np.repeat((places + 1)[None], n, axis=0).astype(np.float32)


def canonical_in(size_px: int) -> np.ndarray:
    """(468, 3) the canonical face in a crop, level, its longer side two thirds of the crop's."""
    points = FaceModel.load().points
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    scale = size_px / 1.5 / (high - low).max()
    places = (points[:, :2] - (low + high) / 2) * scale + size_px / 2
    return np.column_stack([places, points[:, 2] * scale])


def _face(box: Box, image: np.ndarray | None = None, points: Any = None) -> Face:
    frame = Frame(np.zeros((300, 400, 3), np.uint8) if image is None else image)
    return Face(box, 1.0, None if points is None else Landmarks(points), frame)


def _meshes(*faces: Face, **options: Any) -> tuple[list[DenseLandmarks], FakeMesh]:
    net = FakeMesh(**options)
    return MeshLandmarker(net).locate(list(faces)), net  # type: ignore[arg-type]


def _eye_distance(points: np.ndarray) -> float:
    return float(np.hypot(*(points[[362, 263]].mean(axis=0) - points[[33, 133]].mean(axis=0))))


def _error(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance as a part of that between the eyes."""
    return float(np.hypot(*(found - truth).T).mean()) / _eye_distance(truth)


@pytest.fixture(scope="module")
def mesh() -> MeshLandmarker:
    return MeshLandmarker.from_card(Registry().get("facemesh"), Store())


@pytest.fixture(scope="module")
def attention() -> MeshLandmarker:
    return MeshLandmarker.from_card(Registry().get("facemesh-attention"), Store())


@pytest.fixture(scope="module")
def sample(samples: Path, make_detector: Any) -> Face:
    return make_detector().detect(load_frame(samples / "photos" / "obama3.jpg"))[0]


# How crops and points hang together, with a network whose answer is known.


def test_points_are_mapped_from_the_crop_to_the_picture():
    # A box of 120 px makes a square of 180 px around (200, 150), so the crop shows 180 px as 192.
    (found,), net = _meshes(_face(Box(140, 90, 260, 210)))
    expected = np.array([200, 150]) + (canonical_in(192)[:, :2] - 96) * (180 / 192) - 0.5
    assert found.scheme == "mesh-468"
    assert found.points == pytest.approx(expected, abs=1e-3)
    assert found.depth == pytest.approx(canonical_in(192)[:, 2] * (180 / 192), abs=1e-3)
    assert found.presence == pytest.approx(0.9)
    assert net.sizes == [1, 1]  # two looks, then it stands still


def test_points_lean_with_five_points():
    turn = np.radians(40)
    cos, sin = np.cos(turn), np.sin(turn)
    five = np.array([[-20, -20], [20, -20], [0, 5], [-15, 30], [15, 30]])
    five = five @ np.array([[cos, sin], [-sin, cos]]) + (200, 150)
    (found,), _ = _meshes(_face(Box(150, 100, 250, 200), points=five))
    across = found.points[263] - found.points[33]
    assert np.arctan2(across[1], across[0]) == pytest.approx(turn, abs=1e-4)


def test_a_face_that_keeps_turning_is_looked_at_again_but_not_for_ever():
    net = FakeMesh()
    turn = np.radians(30)
    cos, sin = np.cos(turn), np.sin(turn)
    level = net.mesh[:, :2] - 96
    net.mesh[:, :2] = level @ np.array([[cos, sin], [-sin, cos]]) + 96
    MeshLandmarker(net).locate([_face(Box(140, 90, 260, 210))])  # type: ignore[arg-type]
    assert net.sizes == [1, 1, 1, 1]


def test_faces_go_through_the_network_together():
    faces = [_face(Box(x, 90, x + 100, 190)) for x in range(40)]
    found, net = _meshes(*faces)
    assert net.sizes == [32, 8, 32, 8]
    shifts = np.array([f.points[0, 0] - found[0].points[0, 0] for f in found])
    assert shifts == pytest.approx(np.arange(40), abs=1e-3)


def test_a_network_for_one_crop_gets_one_at_a_time():
    found, net = _meshes(*[_face(Box(x, 90, x + 100, 190)) for x in range(3)], batch_size=1)
    assert len(found) == 3
    assert set(net.sizes) == {1}


def test_no_faces():
    found, net = _meshes()
    assert found == []
    assert net.sizes == []


def test_irises_lips_and_eyes_replace_those_of_the_mesh():
    (found,), net = _meshes(_face(Box(104, 54, 296, 246)), attention=True)
    scale = 192 * 1.5 / 192
    expected = np.array([200, 150]) + (net.mesh[:, :2] - 96) * scale - 0.5
    assert found.scheme == "mesh-478"
    moved = [*module._LIPS, *module._LEFT_EYE, *module._RIGHT_EYE]
    expected[list(set(moved))] += scale
    # The square of the second look is that of the mesh with its moved points.
    assert found.points[:468] == pytest.approx(expected, abs=1.0)
    assert np.ptp(found.points[468:], axis=0).max() < 1e-3
    assert found.depth is not None
    contour = list(module._LEFT_EYE[:16])
    assert found.depth[468:473] == pytest.approx(np.repeat(found.depth[contour].mean(), 5))
    assert found.depth[473] == pytest.approx(found.depth[list(module._RIGHT_EYE[:16])].mean())


def test_tables_of_the_attention_network():
    assert len(set(module._LIPS)) == 80
    assert len(set(module._LEFT_EYE)) == len(set(module._RIGHT_EYE)) == 71


def test_another_network_is_refused():
    net = FakeMesh()
    net.output_names = ("output",)
    with pytest.raises(
        InferenceError, match="pfld-68 must give mesh and presence, it gives output"
    ):
        MeshLandmarker(net, "pfld-68")  # type: ignore[arg-type]


def test_another_network_is_no_pfld():
    class Small:
        input_names = ("input",)

        def run(self, inputs):
            return [np.zeros((1, 10), np.float32)]

    with pytest.raises(ShapeError, match=r"the output of pfld-68 must have shape \(1, 136\)"):
        Pfld68(Small()).locate([_face(Box(0, 0, 9, 9))])  # type: ignore[arg-type]


def test_presence_is_a_belief():
    (found,), _ = _meshes(_face(Box(140, 90, 260, 210)), presence=1.0000001)
    assert found.presence == 1.0


# The real networks.


def test_the_attention_mesh_is_mediapipe_s(attention, sample):
    (found,) = attention.locate([sample])
    gaps = [np.hypot(*(found.points[i] - xy)) for i, xy in MEDIAPIPE.items()]
    assert max(gaps) / _eye_distance(found.points) < 0.04
    assert found.presence is not None
    assert found.presence > 0.99


def test_both_networks_agree(mesh, attention, sample):
    (plain,), (fine,) = mesh.locate([sample]), attention.locate([sample])
    assert _error(plain.points, fine.points[:468]) < 0.05
    assert np.corrcoef(plain.depth, fine.depth[:468])[0, 1] > 0.99


def test_depth_is_small_at_the_nose_and_large_at_the_ears(mesh, sample):
    (found,) = mesh.locate([sample])
    assert found.depth is not None
    assert found.depth[4] < found.depth[[33, 263]].min() < found.depth[[127, 356]].min()


def test_a_box_serves_as_well_as_five_points(mesh, sample):
    (five,) = mesh.locate([sample])
    (box,) = mesh.locate([Face(sample.box, 1.0, None, sample.frame)])
    assert _error(box.points, five.points) < 0.03


@pytest.mark.parametrize("degrees", [-30, 25, 160])
def test_a_leaning_face(mesh, sample, degrees):
    """Upright or not, the points stay on the face: with five points at any tilt."""
    (upright,) = mesh.locate([sample])
    turned, matrix = _turned(sample, degrees)
    (found,) = mesh.locate([turned])
    expected = upright.points @ matrix[:, :2].T + matrix[:, 2]
    assert _error(found.points, expected) < 0.05
    if abs(degrees) <= 30:
        (from_box,) = mesh.locate([Face(turned.box, 1.0, None, turned.frame)])
        assert _error(from_box.points, expected) < 0.08


def _turned(face: Face, degrees: float) -> tuple[Face, np.ndarray]:
    matrix = cv2.getRotationMatrix2D(face.box.center_xy, -degrees, 0.5)
    image = cv2.warpAffine(face.frame.image, matrix, face.frame.image.shape[1::-1])
    points = face.points @ matrix[:, :2].T + matrix[:, 2]
    x, y = face.box.center_xy
    half = face.box.height_px / 4
    box = Box(x - half, y - half, x + half, y + half)
    return Face(box, 1.0, Landmarks(points), Frame(np.asarray(image, np.uint8))), matrix


def test_a_batch_gives_what_single_faces_give(mesh, samples, make_detector):
    frame = load_frame(samples / "photos" / "wall.jpg")
    faces = make_detector().detect(frame)[:5]
    together = mesh.locate(faces)
    for face, found in zip(faces, together, strict=True):
        (alone,) = mesh.locate([face])
        assert found.points == pytest.approx(alone.points, abs=0.02)


def test_where_there_is_no_face_it_says_so(mesh, attention):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    for landmarker in (mesh, attention):
        (found,) = landmarker.locate([_face(Box(50, 50, 150, 150), noise)])
        assert found.presence is not None
        assert found.presence < PRESENT


def test_a_face_reaching_outside_the_picture(mesh, sample):
    (whole,) = mesh.locate([sample])
    left = round(sample.box.x1 + 0.2 * sample.box.width_px)
    image = np.ascontiguousarray(sample.frame.image[:, left:])
    box = sample.box
    moved = Face(Box(box.x1 - left, box.y1, box.x2 - left, box.y2), 1.0, None, Frame(image))
    (found,) = mesh.locate([moved])
    assert _error(found.points + (left, 0), whole.points) < 0.12


def test_hostile_boxes(mesh):
    image = np.zeros((5, 7, 3), np.uint8)
    boxes = [Box(0, 0, 1e-3, 1e-3), Box(-1e7, -1e7, 1e7, 1e7), Box(1e6, 1e6, 1e6 + 1, 1e6 + 1)]
    for found in mesh.locate([_face(box, image) for box in boxes]):
        assert np.isfinite(found.points).all()


def test_five_points_lie_where_mtcnn_has_them(mesh, samples, make_detector):
    for name in ("obama3.jpg", "obama2.jpg", "astronaut.png"):
        face = make_detector().detect(load_frame(samples / "photos" / name))[0]
        (found,) = mesh.locate([Face(face.box, 1.0, None, face.frame)])
        gaps = np.hypot(*(five_points(found).points - face.points).T)
        assert gaps.max() / np.hypot(*(face.points[1] - face.points[0])) < 0.12


def test_five_points_on_lfw(mesh, shared_data, make_detector):
    pictures = sorted((shared_data / "lfw" / "images").glob("*/*.jpg"))[::100]
    detect = make_detector()
    errors = []
    for picture in pictures:
        frame = load_frame(picture)
        faces = [f for f in detect.detect(frame) if f.box.x1 < 125 < f.box.x2]
        if not faces:
            continue
        face = max(faces, key=lambda f: f.box.area_px)
        (found,) = mesh.locate([Face(face.box, 1.0, None, frame)])
        gaps = np.hypot(*(five_points(found).points - face.points).T)
        errors.append(gaps.mean() / np.hypot(*(face.points[1] - face.points[0])))
    assert len(errors) >= 45
    assert np.mean(errors) < 0.065


def test_pfld(shared_models, mesh, sample):
    weight = (shared_models / "pfld.onnx").read_bytes()
    pfld = Pfld68(Session(weight, "pfld"))
    (found,) = pfld.locate([sample])
    assert found.scheme == "ibug-68"
    assert found.depth is None
    assert found.presence is None
    truth = five_points(mesh.locate([sample])[0]).points
    gaps = np.hypot(*(five_points(found).points - truth).T)
    assert gaps.max() / np.hypot(*(truth[1] - truth[0])) < 0.12
    assert pfld.locate([]) == []
    many = pfld.locate([sample] * 33)
    assert len(many) == 33
    assert many[32].points == pytest.approx(found.points, abs=0.02)
