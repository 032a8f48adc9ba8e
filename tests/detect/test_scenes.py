"""Photos with known faces, from the shared data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vultus import load_image
from vultus.detect import Mtcnn
from vultus.types import Frame

# Faces marked by eye, of these not found, and boxes around no marked face. Five.jpg also shows a
# painted face on a poster.
SCENES = {
    "astronaut.png": (1, 0, 0),
    "biden.jpg": (1, 0, 0),
    "couple.jpg": (2, 0, 0),
    "five.jpg": (5, 0, 1),
    "group_1920x1080.png": (57, 0, 0),
    "horse.jpg": (0, 0, 0),
    "obama.jpg": (1, 0, 0),
    "obama2.jpg": (1, 0, 0),
    "obama3.jpg": (1, 0, 0),
    "obama_partial_face.jpg": (1, 0, 0),
    "obama_partial_face2.jpg": (1, 0, 0),
}

# One person in every pose; the box's centre and width by eye.
POSES = {
    "left_face.jpeg": ((239, 371), 290),
    "left_wryneck.png": ((167, 174), 199),
    "lower_face.jpeg": ((329, 357), 119),
    "right_face.png": ((323, 136), 133),
    "right_wryneck.png": ((231, 134), 138),
    "rise_face.jpeg": ((536, 280), 223),
    "rot_0.jpg": ((163, 188), 123),
}


@pytest.fixture(scope="module")
def detector(make_detector: Callable[..., Mtcnn]) -> Mtcnn:
    return make_detector()


@pytest.mark.parametrize("name", SCENES)
def test_scene(shared_data: Path, detector: Mtcnn, name: str):
    marked = json.loads((shared_data / "scenes" / "truth.json").read_text())[name]
    faces = detector.detect(Frame(load_image(shared_data / "scenes" / name)))
    centers = [face["center_xy_px"] for face in marked]
    missed = [
        face
        for face, (x, y) in zip(marked, centers, strict=True)
        if not any(f.box.x1 < x < f.box.x2 and f.box.y1 < y < f.box.y2 for f in faces)
    ]
    extra = [
        face.box
        for face in faces
        if not any(
            face.box.x1 < x < face.box.x2 and face.box.y1 < y < face.box.y2 for x, y in centers
        )
    ]
    assert [face for face in missed if face["size_px"] >= 40] == []
    assert (len(marked), len(missed), len(extra)) == SCENES[name], (missed, extra)


@pytest.mark.parametrize("name", POSES)
def test_pose(shared_data: Path, detector: Mtcnn, name: str):
    (face,) = detector.detect(Frame(load_image(shared_data / "pose" / name)))
    (x, y), width = POSES[name]
    assert face.box.center_xy == (pytest.approx(x, abs=8), pytest.approx(y, abs=8))
    assert face.box.width_px == pytest.approx(width, rel=0.1)
