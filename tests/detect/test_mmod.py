"""MMOD: the boxes dlib gives, the pyramid they come from, and what is asked in vain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from vultus.detect.base import DetectorOptions
from vultus.detect.mmod import Mmod, _doubled, _layout, _resampled
from vultus.errors import CardError, RangeError
from vultus.models import Registry, Store
from vultus.runtime import Session
from vultus.types import Frame

# What dlib 20.0.1 finds (cnn_face_detection_model_v1, mmod_human_face_detector.dat): picture, every
# how manyeth pixel of it, doublings; left, top, right, bottom (inclusive) and confidence.
DLIB = [
    ("golden", 1, 0, [(91, 65, 186, 159, 1.0541)]),
    ("golden", 2, 0, []),
    ("golden", 2, 1, [(44, 31, 92, 78, 1.0552)]),
    ("golden", 4, 2, [(21, 17, 45, 40, 1.0303)]),
    ("photos/astronaut.png", 2, 0, []),
    ("photos/astronaut.png", 2, 1, [(83, 38, 130, 86, 1.0576)]),
    ("photos/obama2.jpg", 4, 0, [(36, 68, 115, 147, 1.0545)]),
    ("photos/obama3.jpg", 4, 0, [(156, 68, 235, 147, 1.0745)]),
    ("photos/wall.jpg", 2, 0, [(588, 148, 667, 227, 1.0562), (92, 124, 171, 203, 1.0096)]),
    (
        "photos/wall.jpg",
        3,
        1,
        [(388, 91, 444, 148, 1.071), (73, 89, 112, 129, 1.0614), (245, 41, 284, 81, 0.435)],
    ),
    ("photos/rocket.jpg", 2, 0, []),
    ("known/Joe Biden.jpg", 4, 1, [(113, 57, 181, 126, 1.0438)]),
]


class FakeSession:
    """Gives the same scores whatever it sees, and remembers what it saw."""

    input_names = ("input",)

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores, self.seen = scores, np.zeros(0, np.float32)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.seen = inputs["input"]
        return [self.scores[None, None]]


@pytest.fixture(scope="module")
def session() -> Session:
    card = Registry().get("mmod")
    return Session(Store().read(card), card.name)


@pytest.fixture(scope="module")
def make(session: Session) -> Callable[..., Mmod]:
    def make(upsample: int | None = None, **options: Any) -> Mmod:
        card = Registry().get("dlib-mmod")
        return Mmod(session, card, DetectorOptions(**options), upsample=upsample)

    return make


def fed(scores: NDArray[np.float32], **options: Any) -> tuple[Mmod, FakeSession]:
    fake = FakeSession(scores)
    card = Registry().get("dlib-mmod")
    return Mmod(fake, card, **options), fake  # type: ignore[arg-type]


class TestLikeDlib:
    @pytest.mark.parametrize(("name", "step", "doublings", "expected"), DLIB)
    def test_boxes_are_dlibs(
        self,
        make: Callable[..., Mmod],
        samples: Path,
        golden: Mapping[str, NDArray[Any]],
        name: str,
        step: int,
        doublings: int,
        expected: list[tuple[float, ...]],
    ) -> None:
        if name == "golden":
            picture = golden["picture"]
        else:
            with Image.open(samples / name) as image:
                picture = np.asarray(image.convert("RGB"))
        frame = Frame(np.ascontiguousarray(picture[::step, ::step]))
        faces = make(doublings).detect(frame)
        assert len(faces) == len(expected)
        for face, (left, top, right, bottom, confidence) in zip(faces, expected, strict=True):
            # One pixel for another decoder of JPEG; here they are equal.
            np.testing.assert_allclose(face.box.xyxy, (left, top, right + 1, bottom + 1), atol=1)
            assert face.score == pytest.approx(min(confidence, 1.0), abs=5e-3)
            assert face.landmarks is None
            assert face.frame is frame

    def test_the_golden_box_is_equal(
        self, make: Callable[..., Mmod], golden: Mapping[str, NDArray[Any]], golden_frame: Frame
    ) -> None:
        (face,) = make().detect(golden_frame)
        assert np.array(face.box.xyxy).tolist() == (golden["mmod_box"] + [0, 0, 1, 1]).tolist()
        assert golden["mmod_confidence"][0] > 1.0
        assert face.score == 1.0

    def test_many_are_as_each(self, make: Callable[..., Mmod], golden_frame: Frame) -> None:
        detector = make()
        half = Frame(np.ascontiguousarray(golden_frame.image[::2, ::2]))
        together = detector.detect_many([golden_frame, half])
        assert [len(faces) for faces in together] == [1, 0]
        assert together[0][0].box == detector.detect(golden_frame)[0].box
        assert detector.detect_many([]) == []


class TestOptions:
    def test_a_small_face_is_found_when_asked_for(
        self, make: Callable[..., Mmod], golden_frame: Frame
    ) -> None:
        half = Frame(np.ascontiguousarray(golden_frame.image[::2, ::2]))
        assert make().detect(half) == []
        (face,) = make(min_face_px=40).detect(half)
        assert face.box.xyxy == (44, 31, 93, 79)
        # 150 doubled does not fit.
        assert make(min_face_px=40, max_side_px=299).detect(half) == []

    def test_faces_smaller_than_asked_for_are_left_out(
        self, make: Callable[..., Mmod], golden_frame: Frame
    ) -> None:
        assert len(make(min_face_px=95).detect(golden_frame)) == 1
        assert make(min_face_px=96).detect(golden_frame) == []

    def test_a_large_picture_is_shrunk_first(
        self, make: Callable[..., Mmod], golden_frame: Frame
    ) -> None:
        large = Frame(np.repeat(np.repeat(golden_frame.image, 3, axis=0), 3, axis=1))
        (face,) = make(max_side_px=300).detect(large)
        np.testing.assert_allclose(face.box.xyxy, np.array((91, 65, 187, 160)) * 3)

    def test_a_higher_threshold_drops_the_doubtful(
        self, make: Callable[..., Mmod], samples: Path
    ) -> None:
        with Image.open(samples / "photos" / "wall.jpg") as image:
            frame = Frame(np.ascontiguousarray(np.asarray(image.convert("RGB"))[::3, ::3]))
        assert [len(make(1, score_threshold=t).detect(frame)) for t in (0.3, 0.6)] == [3, 2]

    @pytest.mark.parametrize("shape", [(1, 1), (6, 300), (300, 6), (7, 7)])
    def test_no_room_for_a_face(self, make: Callable[..., Mmod], shape: tuple[int, int]) -> None:
        assert make(2).detect(Frame(np.full((*shape, 3), 90, np.uint8))) == []

    def test_nobody_there(self, make: Callable[..., Mmod]) -> None:
        assert make().detect(Frame(np.full((120, 160, 3), 90, np.uint8))) == []


class TestRefusals:
    def test_a_fixed_size(self) -> None:
        with pytest.raises(RangeError, match=r"its own size, got size_wh \(640, 480\)"):
            fed(np.zeros((1, 1), np.float32), options=DetectorOptions(size_wh=(640, 480)))

    @pytest.mark.parametrize("upsample", [-1, 5])
    def test_doublings(self, upsample: int) -> None:
        with pytest.raises(RangeError, match=rf"upsample must lie in 0\.\.4, got {upsample}"):
            fed(np.zeros((1, 1), np.float32), upsample=upsample)

    def test_a_picture_that_doubling_makes_too_large(self) -> None:
        detector, fake = fed(np.zeros((1, 1), np.float32), upsample=2)
        with pytest.raises(RangeError, match="at most 64,000,000 pixels, got 64,032,000"):
            detector.detect(Frame(np.zeros((2000, 2001, 3), np.uint8)))
        assert fake.seen.size == 0

    def test_another_kind_of_card(self) -> None:
        with pytest.raises(CardError, match="dlib-resnet-v1 is no detector"):
            Mmod(FakeSession(np.zeros((1, 1))), Registry().get("dlib-resnet-v1"))  # type: ignore[arg-type]


class TestDecoding:
    # 100 x 80, then 83 x 66, 69 x 55, ...: the first three levels lie at rows 11, 101 and 177.
    FRAME = Frame(np.zeros((80, 100, 3), np.uint8))

    def test_a_cell_of_the_first_level(self) -> None:
        scores = np.full((30, 13), -1, np.float32)
        scores[4, 5] = 0.75
        (face,) = fed(scores)[0].detect(self.FRAME)
        # Centre (5 * 8 + 14, 4 * 8 + 14) less the margin of 11: (43, 35); from there 39.5 either
        # way, rounded half up; the right and the bottom edge lie behind the last pixel.
        assert face.box.xyxy == (4, -4, 84, 76)
        assert face.score == 0.75

    def test_a_cell_of_the_second_level(self) -> None:
        scores = np.full((30, 13), -1, np.float32)
        scores[14, 5] = 2.0
        (face,) = fed(scores)[0].detect(self.FRAME)
        # Centre (54, 126): (43, 25) in a level that starts at (11, 101); corners (3.5, -14.5) and
        # (82.5, 64.5), each * 6/5 + 0.3: (4.5, -17.1), (99.3, 77.7).
        assert face.box.xyxy == (5, -17, 100, 79)
        assert face.score == 1.0

    def test_what_overlaps_something_better_is_dropped(self) -> None:
        scores = np.full((30, 13), -1, np.float32)
        scores[4, 5], scores[4, 6], scores[4, 12] = 0.5, 0.75, 0.25
        faces = fed(scores)[0].detect(self.FRAME)
        # 8 of 80 pixels apart: 72 / 88 overlap. 48 apart: 32 / 128, below 0.338.
        assert [(face.score, face.box.x1) for face in faces] == [(0.75, 12), (0.25, 60)]

    def test_zero_is_no_face(self) -> None:
        assert fed(np.zeros((30, 13), np.float32))[0].detect(self.FRAME) == []


class TestPyramid:
    def test_levels_of_a_small_picture(self) -> None:
        # 20 x 10 times 5/6, rounded down, until less than 5 rows are left; all below each other.
        tiles, size_wh = _layout((20, 10))
        assert [tuple(tile) for tile in tiles] == [
            (11, 11, 20, 10),
            (11, 31, 16, 8),
            (11, 49, 13, 6),
            (11, 65, 10, 5),
        ]
        assert size_wh == (42, 81)

    def test_a_wide_picture_has_room_beside(self) -> None:
        tiles, size_wh = _layout((200, 60))
        left = [tile for tile in tiles if tile.left == 11]
        right = [tile for tile in tiles if tile.left != 11]
        assert left
        assert right
        # Those on the right end where the first level ends, going up.
        assert {tile.left + tile.width for tile in right} == {211}
        assert [tile.top for tile in right] == sorted((tile.top for tile in right), reverse=True)
        assert size_wh[0] == 222

    @given(st.integers(1, 900), st.integers(1, 900))
    def test_levels_never_touch(self, width: int, height: int) -> None:
        tiles, size_wh = _layout((width, height))
        used = np.zeros((size_wh[1], size_wh[0]), np.int8)
        for tile in tiles:
            used[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
        assert used.max() == 1
        assert used.sum() == sum(tile.width * tile.height for tile in tiles)
        for edge in (used[:11], used[-11:], used[:, :11], used[:, -11:]):
            assert not edge.any()

    def test_what_the_network_sees(self) -> None:
        detector, fake = fed(np.full((30, 13), -1, np.float32))
        detector.detect(Frame(np.full((80, 100, 3), (255, 128, 0), np.uint8)))
        assert fake.seen.shape[:2] == (1, 3)
        assert fake.seen.dtype == np.float32
        # The mean is subtracted before the padding of 0 is put around.
        inside = fake.seen[0, :, 11 + 40, 11 + 50]
        expected = (np.array([255, 128, 0]) - [122.782, 117.001, 104.298]) / 256
        np.testing.assert_allclose(inside, expected, atol=1e-6)
        assert not fake.seen[0, :, :11].any()
        assert not fake.seen[0, :, 11 + 80 : 11 + 90].any()

    @given(st.integers(1, 60), st.integers(1, 60))
    def test_a_ramp_stays_a_ramp(self, width: int, height: int) -> None:
        ramp = np.arange(33, dtype=np.float32) + 100 * np.arange(21, dtype=np.float32)[:, None]
        resampled = _resampled(ramp[None], (width, height))[0]
        x = np.linspace(0, 32, width) if width > 1 else np.zeros(1)
        y = np.linspace(0, 20, height) if height > 1 else np.zeros(1)
        np.testing.assert_allclose(resampled, x + 100 * y[:, None], atol=1e-2)

    def test_a_doubled_picture_is_a_little_more(self) -> None:
        planes = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
        doubled = _doubled(planes)
        assert doubled.shape == (1, 7, 10)
        assert np.array_equal(doubled, np.floor(doubled))
        assert doubled[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
        assert doubled[0, ::3, 0].tolist() == [0, 4, 8]
