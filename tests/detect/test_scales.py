"""Several looks at a picture: with detectors that find what is painted, and with real ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus import load_image
from vultus.detect import DetectorOptions, EveryScale
from vultus.detect._single_shot import SingleShot
from vultus.detect.scales import sides_of
from vultus.errors import RangeError
from vultus.types import Box, Face, Frame, Landmarks


class Painted(SingleShot):
    """Finds red, green and blue rectangles, as networks do: from 10 to 310 px, cut off by edges."""

    def _decode(self, outputs, size_wh):
        raise NotImplementedError

    def detect_many(self, frames):
        self.seen = [(frame.width_px, frame.height_px) for frame in frames]
        return [self._paintings(frame) for frame in frames]

    def _paintings(self, frame: Frame) -> list[Face]:
        scale = min(1.0, self.options.max_side_px / max(frame.width_px, frame.height_px))
        faces = []
        for colour in cv2.split(frame.image):
            _, _, places, _ = cv2.connectedComponentsWithStats((colour > 127).astype(np.uint8))
            for x, y, width, height, _ in places[1:].tolist():  # the first is the background
                if 10 <= max(width, height) * scale <= 310:
                    box = Box(float(x), float(y), float(x + width), float(y + height))
                    x1, y1, x2, y2 = box.xyxy
                    five = np.array([(x1, y1), (x2, y1), box.center_xy, (x1, y2), (x2, y2)])
                    faces.append(Face(box, 0.9, Landmarks(five), frame))
        return faces


class Planned(SingleShot):
    """Finds what is planned for a picture of each size."""

    plan: dict[tuple[int, int], list[tuple[tuple[float, ...], float]]]

    def _decode(self, outputs, size_wh):
        raise NotImplementedError

    def detect_many(self, frames):
        return [
            [
                Face(Box(*box), score, None, frame)
                for box, score in self.plan.get((frame.width_px, frame.height_px), [])
            ]
            for frame in frames
        ]


@pytest.fixture
def painted(network, card):
    def make(*, tiled=False, **options) -> EveryScale:
        asked = DetectorOptions(**options)
        return EveryScale(Painted(network([]), card("scrfd"), asked), tiled=tiled)

    return make


@pytest.fixture
def planned(network, card):
    def make(plan, **options) -> EveryScale:
        class Own(Planned):
            pass

        Own.plan = plan
        return EveryScale(Own(network([]), card("scrfd"), DetectorOptions(**options)))

    return make


def _canvas(size_wh, boxes) -> Frame:
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2, i % 3] = 255
    return Frame(image)


def _found(faces: list[Face]) -> list[tuple[float, ...]]:
    return sorted(face.box.xyxy for face in faces)


class TestSides:
    @pytest.mark.parametrize(
        ("longer", "limit", "sides"),
        [
            (1, 2048, [1]),
            (320, 2048, [320]),
            (321, 2048, [321, 320]),
            (640, 2048, [640, 320]),
            (2048, 2048, [2048, 320]),
            (9000, 2048, [2048, 320]),
            (9000, 200, [200]),
            (2048, None, [2048, 320]),
            (4000, None, [4000, 1131, 320]),  # √(4000 × 320) = 1131.4
            (20_000, None, [20_000, 5040, 1270, 320]),
        ],
    )
    def test_by_hand(self, longer, limit, sides):
        assert sides_of(longer, limit) == sides

    @pytest.mark.parametrize(
        ("longer", "sides"), [(320, [320]), (640, [640]), (641, [641, 320]), (3000, [2048, 320])]
    )
    def test_one_is_enough_for_what_the_network_sees_whole(self, longer, sides):
        assert sides_of(longer, 2048, 640) == sides

    @given(st.integers(1, 100_000))
    @settings(max_examples=200, deadline=None)
    def test_a_face_lost_above_is_large_enough_below(self, longer):
        sides = sides_of(longer, None)
        assert sides[0] == longer
        assert sides[-1] <= 320
        for finer, coarser in pairwise(sides):
            assert 256 * coarser / finer > 39.5


class TestTwoLooks:
    def test_small_and_huge(self, painted):
        small, huge = (10, 20, 40, 50), (100, 100, 1100, 900)
        frame = _canvas((1200, 1000), [small, huge])
        faces = painted().detect(frame)
        assert _found(faces)[0] == small
        (found,) = [face for face in faces if face.box.width_px > 500]
        assert found.box.iou(Box(*map(float, huge))) > 0.98
        assert found.frame is frame
        np.testing.assert_allclose(found.points[2], (600, 500), atol=4)

    def test_one_look_misses_the_huge_one(self, painted):
        detector = painted()._plain
        assert detector.detect(_canvas((1200, 1000), [(100, 100, 1100, 900)])) == []

    def test_found_by_both_looks_is_one_face(self, painted):
        box = (100, 100, 300, 320)
        faces = painted().detect(_canvas((1200, 1000), [box]))
        assert _found(faces) == [box]  # as the finer look saw it

    def test_a_small_picture_is_looked_at_once(self, painted):
        detector = painted()
        detector.detect(_canvas((320, 200), [(10, 10, 100, 100)]))
        assert detector._plain.seen == [(320, 200)]

    def test_a_picture_that_the_network_sees_whole_is_looked_at_once(self, network, card):
        class Wide(Painted):
            whole_px = 640

        detector = EveryScale(Wide(network([]), card("scrfd"), DetectorOptions(min_face_px=30)))
        frame = _canvas((640, 480), [(10, 10, 100, 100), (200, 10, 229, 100)])
        (face,) = detector.detect(frame)
        assert detector._plain.seen == [(640, 480)]
        assert (face.frame is frame, face.box.xyxy) == (True, (10, 10, 100, 100))

    def test_looks(self, painted):
        detector = painted()
        detector.detect_many([_canvas((1200, 1000), []), _canvas((200, 100), [])])
        assert detector._plain.seen == [(1200, 1000), (320, 267), (200, 100)]

    def test_several_pictures(self, painted):
        boxes = [(10, 20, 40, 50), (50, 60, 120, 130), (1, 1, 90, 90)]
        frames = [_canvas((500 + 100 * i, 400), [box]) for i, box in enumerate(boxes)]
        found = painted().detect_many(frames)
        assert [_found(faces) for faces in found] == [[box] for box in boxes]
        assert [faces[0].frame for faces in found] == frames

    def test_no_pictures_and_empty_pictures(self, painted):
        assert painted().detect_many([]) == []
        assert painted().detect(_canvas((1200, 1000), [])) == []
        assert painted().detect(_canvas((1, 1), [])) == []
        assert painted().detect(_canvas((20_000, 20), [])) == []

    def test_smallest_face_counts_in_the_picture(self, painted):
        frame = _canvas((1200, 1000), [(10, 20, 40, 50), (100, 100, 1100, 900)])
        assert len(painted(min_face_px=30).detect(frame)) == 2
        assert len(painted(min_face_px=31).detect(frame)) == 1
        assert len(painted(min_face_px=790).detect(frame)) == 1
        assert painted(min_face_px=810).detect(frame) == []


class TestMerging:
    """A picture of 1920 × 1080: the second look sees it as 320 × 180, six times smaller."""

    FRAME = Frame(np.zeros((1080, 1920, 3), np.uint8))

    def test_parts_of_a_huge_face_go(self, planned):
        own = [((300, 300, 500, 500), 0.85), ((700, 400, 900, 600), 0.8)]  # an eye, a cheek
        faces = planned({(1920, 1080): own, (320, 180): [((40, 40, 160, 160), 0.9)]})
        assert _found(faces.detect(self.FRAME)) == [(240, 240, 960, 960)]

    def test_a_doubtful_large_face_puts_no_better_one_aside(self, planned):
        own = [((300, 300, 500, 500), 0.95), ((700, 400, 900, 600), 0.55)]
        faces = planned({(1920, 1080): own, (320, 180): [((40, 40, 160, 160), 0.6)]})
        assert _found(faces.detect(self.FRAME)) == [(240, 240, 960, 960), (300, 300, 500, 500)]

    def test_somebody_far_behind_stays(self, planned):
        """A quarter of the side or less is too small for a part."""
        own = [((300, 300, 470, 470), 0.8), ((1500, 300, 1700, 500), 0.8)]
        faces = planned({(1920, 1080): own, (320, 180): [((40, 40, 160, 160), 0.9)]})
        assert _found(faces.detect(self.FRAME)) == [
            (240, 240, 960, 960), (300, 300, 470, 470), (1500, 300, 1700, 500),
        ]  # fmt: skip

    def test_small_finds_of_the_coarse_look_do_not_count(self, planned):
        # 20 px there are 120 px in the picture, which the finer look sees better: and it did not.
        plan = {(1920, 1080): [], (320, 180): [((40, 40, 60, 60), 0.9), ((100, 40, 125, 65), 0.6)]}
        assert _found(planned(plan).detect(self.FRAME)) == [(600, 240, 750, 390)]

    def test_by_falling_score(self, planned):
        own = [((0, 0, 50, 50), 0.6), ((100, 0, 150, 50), 0.8), ((200, 0, 250, 50), 0.7)]
        faces = planned({(1920, 1080): own, (320, 180): [((40, 40, 160, 160), 0.75)]})
        assert [face.score for face in faces.detect(self.FRAME)] == [0.8, 0.75, 0.7, 0.6]

    def test_overlap_from_which_two_are_one(self, planned):
        plan = {(1920, 1080): [((0, 0, 100, 100), 0.6), ((0, 50, 100, 150), 0.8)]}  # 1/3
        assert len(planned(plan).detect(self.FRAME)) == 2  # the card's 0.4
        assert len(planned(plan, nms_iou=0.3).detect(self.FRAME)) == 1


class TestTiles:
    def test_on_the_seams(self, painted):
        """Tiles of 4,200 px start at 0, 1294 and 2586 and are 1,614 px wide."""
        boxes = [(1280, 100, 1310, 130), (1600, 200, 1630, 230), (1294, 400, 1540, 640),
                 (1500, 700, 1700, 900), (2580, 1000, 2800, 1200), (4150, 10, 4200, 60),
                 (0, 2300, 60, 2400), (1200, 1180, 1400, 1430)]  # fmt: skip
        frame = _canvas((4200, 2400), boxes)
        assert _found(painted(tiled=True).detect(frame)) == sorted(boxes)

    def test_without_tiles_the_smallest_are_lost(self, painted):
        frame = _canvas((4200, 2400), [(1280, 100, 1295, 115)])
        assert painted().detect(frame) == []
        assert len(painted(tiled=True).detect(frame)) == 1

    def test_tiles_are_not_shrunk(self, painted):
        frame = _canvas((4200, 2400), [(1280, 100, 1295, 115)])
        assert len(painted(tiled=True, max_side_px=500).detect(frame)) == 1

    def test_larger_than_a_tile(self, painted):
        huge, large = (200, 100, 2700, 2300), (3000, 1000, 3900, 1800)
        first, second = sorted(
            painted(tiled=True).detect(_canvas((4200, 2400), [huge, large])),
            key=lambda face: face.box.x1,
        )
        assert first.box.iou(Box(*map(float, huge))) > 0.98
        assert second.box.iou(Box(*map(float, large))) > 0.98

    @given(
        corners=st.lists(
            st.tuples(st.integers(0, 4399), st.integers(0, 2099), st.integers(12, 2000)),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    @settings(
        max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_any_size_anywhere_is_found_once(self, network, card, corners):
        detector = EveryScale(Painted(network([]), card("scrfd")), tiled=True)
        boxes: list[tuple[int, int, int, int]] = []
        for x, y, side in corners:
            box = (x, y, min(x + side, 4400), min(y + side, 2100))
            apart = [
                box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in boxes
            ]
            if all(apart) and min(box[2] - box[0], box[3] - box[1]) >= 12:
                boxes.append(box)
        faces = detector.detect(_canvas((4400, 2100), boxes))
        assert len(faces) == len(boxes)
        for box in boxes:
            assert max(face.box.iou(Box(*map(float, box))) for face in faces) > 0.9


def test_a_network_of_one_size_is_refused(network, card):
    fixed = Painted(network([]), card("scrfd", input="size_wh = [320, 240]"))
    with pytest.raises(RangeError, match=r"takes inputs of \(320, 240\) px only"):
        EveryScale(fixed)


@pytest.fixture(scope="module")
def close_ups(shared_data: Path, make_detector) -> list[tuple[np.ndarray, Box]]:
    """50 crops of LFW that a face fills by 70 to 95 %, and its box in parts of the side."""
    detector, rng = make_detector(), np.random.default_rng(1)
    found: list[tuple[np.ndarray, Box]] = []
    for path in sorted((shared_data / "lfw" / "images").rglob("*.jpg"))[::9]:
        image = load_image(path)
        faces = detector.detect(Frame(image))
        if len(faces) != 1:
            continue
        box = faces[0].box
        side = round(box.height_px / rng.uniform(0.7, 0.95))
        x, y = (round(c - side / 2) for c in box.center_xy)
        if x >= 0 and y >= 0 and x + side <= 250 and y + side <= 250:
            x1, y1, x2, y2 = ((c - o) / side for c, o in zip(box.xyxy, (x, y, x, y), strict=True))
            found.append((image[y : y + side, x : x + side], Box(x1, y1, x2, y2)))
        if len(found) == 50:
            break
    return found


@pytest.mark.parametrize("name", ["yunet", "yunet-2026may", "scrfd-500m", "retinaface-mbnet025"])
def test_one_look_is_enough_up_to_whole_px(shared_detector, close_ups, name):
    detector = shared_detector(name)
    assert _missed(detector, close_ups, detector.whole_px) == 0


def _missed(detector, close_ups, side: int) -> int:
    missed = 0
    for crop, part in close_ups:
        large = cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC)
        box = Box(*(side * value for value in part.xyxy))
        faces = detector.detect(Frame(np.asarray(large, np.uint8)))
        missed += not any(face.box.iou(box) > 0.5 for face in faces)
    return missed


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yunet-2026may", "scrfd-500m"])
def test_every_close_up_is_found(shared_detector, close_ups, name):
    assert len(close_ups) == 50
    assert _missed(shared_detector(name, scales="two"), close_ups, 1280) == 0
    assert _missed(shared_detector(name), close_ups[:10], 1280) >= 3  # one look is not enough


@pytest.mark.parametrize("scales", ["two", "tiled"])
def test_beyond_2000_px(shared_detector, samples: Path, scales):
    """A face of about 100 px and the same enlarged to 2,000 px, in one picture of 4,000 px."""
    detector = shared_detector("scrfd-500m", scales=scales)
    portrait = load_image(samples / "photos" / "astronaut.png")[30:230, 110:350]
    image = np.zeros((2600, 4000, 3), np.uint8)
    image[100:2500, 900:3780] = cv2.resize(portrait, (2880, 2400), interpolation=cv2.INTER_CUBIC)
    image[2000:2200, 100:340] = portrait
    large, small = sorted(detector.detect(Frame(image)), key=lambda face: -face.box.width_px)
    ratio = large.box.width_px / small.box.width_px
    assert ratio == pytest.approx(12, rel=0.15)
    expected = (np.array(small.points) - (100, 2000)) * 12 + (900, 100)
    eyes = np.linalg.norm(large.points[0] - large.points[1])
    assert np.abs(large.points - expected).max() < 0.15 * eyes
