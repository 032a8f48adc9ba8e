"""The challenge against what a camera would see: photos turned before it, speakers, a real mesh."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus.assess.landmarks import PRESENT, MeshLandmarker
from vultus.assess.liveness.active import ActiveOutcome, ActiveSession
from vultus.assess.liveness.gestures import Gestures, amounts, gestures_of, mean_gestures
from vultus.assess.pose import PoseSolver
from vultus.detect import Mtcnn, MtcnnOptions
from vultus.models import Registry, Store
from vultus.sources import load_frame
from vultus.types import Frame, Image

CODE = "0123456789abcdef"
FPS = 15.0


class Eyes:
    """What a session is told of a picture."""

    def __init__(self) -> None:
        options = MtcnnOptions(min_face_px=60)
        self._detector = Mtcnn.from_card(Registry().get("mtcnn"), Store(), None, options)
        self._mesh = MeshLandmarker.from_card(Registry().get("facemesh"), Store())
        self._solver = PoseSolver()

    def see(self, image: Image) -> list[Gestures]:
        faces = self._detector.detect(Frame(np.ascontiguousarray(image)))
        meshes = self._mesh.locate(faces)
        return [gestures_of(m, self._solver) for m in meshes if (m.presence or 0) >= PRESENT]


@pytest.fixture(scope="module")
def eyes() -> Eyes:
    return Eyes()


def turned(image: Image, axis: int, angle_deg: float) -> Image:
    """The photo, held before a camera and turned in space about its middle."""
    height, width = image.shape[:2]
    far, middle = 1.5 * max(height, width), (width / 2, height / 2)
    angles = np.zeros(3)
    angles[axis] = np.radians(angle_deg)
    rotation = cv2.Rodrigues(angles)[0]
    camera = np.array([[far, 0, middle[0]], [0, far, middle[1]], [0, 0, 1.0]])
    plane = np.column_stack([rotation[:, 0], rotation[:, 1], [0, 0, 1.0]])
    centred = np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1.0]])
    matrix = camera @ plane @ np.diag([1 / far, 1 / far, 1]) @ centred
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height)), np.uint8)


def clip(path: Path) -> list[Image]:
    video, images = cv2.VideoCapture(str(path)), []
    while True:
        read, image = video.read()
        if not read:
            return images
        images.append(np.ascontiguousarray(image[:, :, ::-1]))


def photo(samples: Path) -> Image:
    image = load_frame(samples / "photos" / "obama2.jpg").image
    factor = 480 / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor), np.uint8)


@pytest.mark.parametrize("actions", [("turn-left", "blink"), ("nod", "open-mouth")])
def test_a_photo_moved_before_the_camera_is_refused(eyes: Eyes, samples: Path, actions):
    """Turned to both sides by 40° and tilted: its mesh stays almost as it was."""
    image = photo(samples)
    still = eyes.see(image)
    moves = [(axis, angle) for axis in (1, 0) for angle in (-40, -20, 20, 40)]
    seen = [eyes.see(turned(image, *move)) for move in moves]
    session = ActiveSession.start(actions, CODE, 60.0, pauses_s=[0.5, 0.5])
    outcome, frame = session.outcome, 0
    while outcome.state == "pending":
        # Two pictures of each attitude, by turns with the photo held straight.
        shown = seen[frame // 4 % len(seen)] if frame > 15 and frame % 4 > 1 else still
        outcome = session.observe(frame / FPS, shown if len(shown) == 1 else still)
        frame += 1
    assert (outcome.done, outcome.reason) == ((0, 2), "no-response")
    for faces in seen:
        for one in faces:
            gone = amounts(one, still[0])
            assert max(gone[a] for a in ("turn-left", "turn-right", "nod", "open-mouth")) < 0.8


def test_blinks_of_speakers(eyes: Eyes, shared_data: Path):
    """Three blinks in two clips of people who talk; nothing else is taken for an action."""
    blinks = 0
    for name in ("bbaf2n.mpg", "brbk7n.mpg"):
        seen = [eyes.see(image)[0] for image in clip(shared_data / "video" / name)[12::1]]
        rest = mean_gestures(seen)
        shut = np.array([amounts(one, rest)["blink"] for one in seen]) >= 1.0
        blinks += int((np.diff(shut.astype(int)) == 1).sum())
        others = [{**amounts(one, rest), "blink": 0.0} for one in seen]
        assert max(max(one.values()) for one in others) < 1.0
    assert blinks == 3


def test_a_speakers_clip_is_no_answer(eyes: Eyes, shared_data: Path):
    seen = [eyes.see(image) for image in clip(shared_data / "video" / "bbaf2n.mpg")[::2]]
    session = ActiveSession.start(("turn-right", "blink"), CODE, 60.0)
    outcome: ActiveOutcome = session.outcome
    for i in range(400):
        outcome = session.observe(i / 12.5, seen[i % len(seen)])
        if outcome.state != "pending":
            break
    assert (outcome.state, outcome.done) == ("failed", (0, 2))
    assert outcome.reason == "no-response"
