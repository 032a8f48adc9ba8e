"""Whatever comes in, every detector gives a correct answer or a named error, and never crashes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vultus
from vultus import load_image
from vultus.detect import Detector, DetectorOptions, detector_for
from vultus.errors import DtypeError, ShapeError, VultusError
from vultus.models import Registry, Store
from vultus.types import Face, Frame

SHIPPED = ["mtcnn", "dlib-mmod", "blazeface-short", "blazeface-full", "blazeface-back",
           "opencv-haar"]  # fmt: skip
OTHERS = ["scrfd-500m", "yunet", "yunet-2026may", "retinaface-mbnet025", "ultralight-rfb-320"]
SEVERAL_LOOKS = [("scrfd-500m", "two"), ("yunet", "tiled")]
EVERY = [*((name, "one") for name in SHIPPED + OTHERS), *SEVERAL_LOOKS]


@pytest.fixture(scope="module")
def made() -> dict[tuple[str, str], Detector]:
    return {}


@pytest.fixture(params=EVERY, ids="-".join)
def detector(request, made, shared_detector: Callable[..., Detector]) -> Detector:
    """Each detector as it comes, loaded once."""
    name, scales = request.param
    if request.param not in made:
        if name in SHIPPED:
            found = detector_for(Registry().get(name), Store(), None, DetectorOptions())
        else:
            found = shared_detector(name, scales=scales)
        made[request.param] = found
    return made[request.param]


def _check(faces: list[Face], frame: Frame) -> None:
    """What holds for every answer."""
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    for face in faces:
        assert face.frame is frame
        assert 0.0 <= face.score <= 1.0
        assert all(map(math.isfinite, face.box.xyxy))
        assert face.box.x1 < frame.width_px
        assert face.box.y1 < frame.height_px
        assert face.box.x2 > 0
        assert face.box.y2 > 0
        assert face.landmarks is None or np.isfinite(face.points).all()


def _boxes(faces: list[Face]) -> np.ndarray:
    return np.array([face.box.xyxy for face in faces]).reshape(-1, 4)


def _picture(width: int, height: int, kind: str, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if kind == "noise":
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "blocks":
        blocks = generator.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
        return np.kron(blocks, np.ones((16, 16, 1), np.uint8))[:height, :width]
    return np.full((height, width, 3), generator.integers(0, 256, 3), np.uint8)


@pytest.mark.parametrize(
    "size_wh", [(1, 1), (1, 2), (3, 1), (7, 5), (20_000, 20), (20, 20_000), (20_000, 1)]
)
def test_tiny_and_narrow(detector: Detector, size_wh: tuple[int, int]) -> None:
    for kind in ("plain", "blocks"):
        frame = Frame(_picture(*size_wh, kind, 1))
        _check(detector.detect(frame), frame)


@given(
    width=st.integers(1, 260),
    height=st.integers(1, 260),
    kind=st.sampled_from(["noise", "blocks", "plain"]),
    view=st.sampled_from(["whole", "mirrored", "turned", "every second"]),
    seed=st.integers(0, 99),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_picture(
    detector: Detector, width: int, height: int, kind: str, view: str, seed: int
) -> None:
    image = _picture(width, height, kind, seed)
    image = {
        "whole": image,
        "mirrored": image[:, ::-1],  # steps backwards
        "turned": image.transpose(1, 0, 2),
        "every second": image[::2, ::2],
    }[view]
    before, frame = image.copy(), Frame(image)
    faces = detector.detect(frame)
    _check(faces, frame)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(_boxes(detector.detect(Frame(before))), _boxes(faces))


def test_an_empty_batch(detector: Detector) -> None:
    assert detector.detect_many([]) == []


def test_a_batch_of_mixed_sizes(detector: Detector, samples: Path) -> None:
    astronaut = load_image(samples / "photos" / "astronaut.png")
    wall = load_image(samples / "photos" / "wall.jpg")
    images = [astronaut, _picture(1, 1, "plain", 0), wall, _picture(700, 9, "noise", 2), astronaut,
              astronaut[:300, 100:400], _picture(33, 32, "blocks", 3)]  # fmt: skip
    frames = [Frame(image) for image in images]
    found = detector.detect_many(frames)
    assert len(found) == len(frames)
    assert len(found[0]) == len(found[4]) >= 1
    for frame, faces in zip(frames, found, strict=True):
        _check(faces, frame)
        np.testing.assert_allclose(_boxes(faces), _boxes(detector.detect(frame)), atol=0.01)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((40, 40), np.uint8), ShapeError),  # grey
        (np.zeros((40, 40, 1), np.uint8), ShapeError),
        (np.zeros((40, 40, 4), np.uint8), ShapeError),  # alpha
        (np.zeros((2, 40, 40, 3), np.uint8), ShapeError),
        (np.zeros((0, 40, 3), np.uint8), ShapeError),
        (np.zeros((40, 0, 3), np.uint8), ShapeError),
        (np.zeros((40, 40, 3), np.float32), DtypeError),
        (np.full((40, 40, 3), np.nan), DtypeError),
        (np.full((40, 40, 3), np.inf, np.float16), DtypeError),
        (np.zeros((40, 40, 3), np.uint16), DtypeError),
        (np.zeros((40, 40, 3), np.int8), DtypeError),
        (np.zeros((40, 40, 3), bool), DtypeError),
        (np.zeros((40, 40, 3), complex), DtypeError),
        (np.full((40, 40, 3), None), DtypeError),
    ],
    ids=lambda value: f"{value.shape}-{value.dtype}" if isinstance(value, np.ndarray) else "",
)
def test_arrays_that_are_no_picture(image: np.ndarray, error: type[VultusError]) -> None:
    with pytest.raises(error, match=r"an image must be .*, got "):
        Frame(image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 40, 40, 3), np.uint8),
        np.zeros((0, 40, 3), np.uint8),
        np.zeros((40, 0), np.uint8),
        np.zeros((40, 40, 2), np.uint8),
        np.zeros((40, 40, 3), np.float32),
        np.full((40, 40, 3), np.nan),
        np.full((40, 40), np.inf, np.float16),
        np.zeros((40, 40, 3), np.int8),
        np.zeros((40, 40, 3), complex),
        np.full((40, 40, 3), None),
        None,
        3,
    ],
    ids=lambda image: f"{image.shape}-{image.dtype}" if isinstance(image, np.ndarray) else None,
)
def test_a_recogniser_refuses_them_by_name(image: object) -> None:
    with pytest.raises(VultusError) as caught:
        vultus.load().detect(image)  # type: ignore[arg-type]
    assert caught.value.code in {"array-dtype", "array-shape"}


def test_a_recogniser_takes_grey_and_alpha(samples: Path) -> None:
    colour = load_image(samples / "photos" / "astronaut.png")
    recognizer = vultus.load()
    grey = np.asarray(colour.mean(axis=2), np.uint8)
    opaque = np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])
    (face,) = recognizer.detect(colour)
    (of_grey,) = recognizer.detect(grey)
    (of_opaque,) = recognizer.detect(opaque)
    assert of_grey.box.iou(face.box) > 0.9
    assert of_opaque.box == face.box


@pytest.mark.parametrize("value", [None, [], [[1, 2], [3]], 3, object()])
def test_what_is_no_array(value: object) -> None:
    with pytest.raises(DtypeError, match=r"an image must be a NumPy array, got "):
        Frame(value)  # type: ignore[arg-type]
