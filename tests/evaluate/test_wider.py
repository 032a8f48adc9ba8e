from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vultus.errors import DataFileError, ImageDamagedError, InsufficientDataError
from vultus.evaluate.protocols.wider import (
    WiderPicture,
    area_under_envelope,
    evaluate_wider,
    matched,
    read_wider,
    wider_ap,
)
from vultus.types import Box, Face, Frame

scipy_io = pytest.importorskip("scipy.io", reason="the extra 'evaluate' is not installed")


def _picture(boxes: list[list[float]], counts: list[bool]) -> WiderPicture:
    flags = np.array(counts, bool)
    return WiderPicture(
        Path("a.jpg"),
        np.array(boxes, float).reshape(-1, 4),
        {"easy": flags, "medium": flags, "hard": flags},
    )


def _rows(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 5)


class TestMatched:
    def test_by_hand(self):
        boxes = np.array([[0, 0, 10, 10], [100, 0, 10, 10], [200, 0, 10, 10]], float)
        counts = np.array([True, False, True])
        found = np.array(
            [
                [0, 0, 10, 10],  # finds the first
                [100, 0, 110, 10],  # a face that does not count: ignored
                [0, 0, 10, 11],  # the first again: a proposal that finds nothing
                [50, 50, 60, 60],  # no face
                [200, 0, 210, 10],  # finds the third
            ],
            float,
        )
        proposals, recalled = matched(boxes, counts, found)
        assert proposals.tolist() == [1, 1, 2, 3, 4]
        assert recalled.tolist() == [1, 1, 1, 1, 2]

    def test_pixels_are_inclusive(self):
        # 10 x 10 against 10 x 20 is 11·11 / 11·21 = 0.524 with inclusive pixels, 0.5 without;
        # against 10 x 21 it is 121 / 242 = 0.5, which is still a match.
        boxes = np.array([[0, 0, 10, 10]], float)
        for height, hit in ((20, 1), (21, 1), (22, 0)):
            found = np.array([[0, 0, 10, height]], float)
            assert matched(boxes, np.array([True]), found)[1].tolist() == [hit]

    def test_no_faces(self):
        proposals, recalled = matched(np.zeros((0, 4)), np.zeros(0, bool), np.ones((2, 4)))
        assert (proposals.tolist(), recalled.tolist()) == ([1, 2], [0, 0])


class TestAp:
    def test_perfect(self):
        picture = _picture([[0, 0, 10, 10], [50, 0, 10, 10]], [True, True])
        found = _rows((0, 0, 10, 10, 0.9), (50, 0, 60, 10, 0.8))
        assert wider_ap([picture], [found], "easy") == pytest.approx(1.0)

    def test_one_of_two_found(self):
        picture = _picture([[0, 0, 10, 10], [50, 0, 10, 10]], [True, True])
        found = _rows((0, 0, 10, 10, 0.9), (80, 80, 90, 90, 0.1))
        assert wider_ap([picture], [found], "easy") == pytest.approx(0.5)

    def test_a_false_face_before_a_true_one(self):
        picture = _picture([[0, 0, 10, 10]], [True])
        found = _rows((80, 80, 90, 90, 0.9), (0, 0, 10, 10, 0.1))
        assert wider_ap([picture], [found], "easy") == pytest.approx(0.5)

    def test_nothing_found(self):
        assert wider_ap([_picture([[0, 0, 9, 9]], [True])], [_rows()], "hard") == 0.0

    def test_no_face_counts(self):
        with pytest.raises(InsufficientDataError, match="hard"):
            wider_ap([_picture([[0, 0, 9, 9]], [False])], [_rows()], "hard")

    def test_area_by_hand(self):
        # Precision 1 up to a recall of 0.5, then 0.5 up to 1.
        recall, precision = np.array([0.25, 0.5, 0.75, 1.0]), np.array([0.5, 1.0, 0.4, 0.5])
        assert area_under_envelope(recall, precision) == pytest.approx(0.75)

    @pytest.mark.parametrize("seed", range(5))
    def test_is_that_of_the_published_program(self, seed: int):
        random = np.random.default_rng(seed)
        pictures, found = [], []
        for _ in range(12):
            count = int(random.integers(0, 8))
            boxes = np.concatenate(
                [random.uniform(0, 80, (count, 2)), random.uniform(5, 40, (count, 2))], axis=1
            )
            picture = _picture(boxes.tolist(), (random.uniform(size=count) < 0.7).tolist())
            pictures.append(picture)
            copies = np.repeat(np.arange(count), random.integers(0, 3, count))
            near = boxes[copies] + random.normal(0, 2, (len(copies), 4))
            noise = np.concatenate(
                [random.uniform(0, 80, (5, 2)), random.uniform(5, 40, (5, 2))], axis=1
            )
            every = np.concatenate([near, noise])
            every[:, 2:] += every[:, :2]
            scores = np.round(random.uniform(size=(len(every), 1)), 2)
            rows = np.concatenate([every, scores], axis=1)
            found.append(rows[np.argsort(-rows[:, 4], kind="stable")])
        assert wider_ap(pictures, found, "easy") == pytest.approx(_published(pictures, found))


def _published(pictures: list[WiderPicture], found: list[np.ndarray]) -> float:
    """The benchmark's own steps, loop for loop."""
    low = min(rows[:, 4].min() for rows in found if len(rows))
    high = max(rows[:, 4].max() for rows in found if len(rows))
    curve = np.zeros((1000, 2))
    faces = 0
    for picture, given in zip(pictures, found, strict=True):
        counts = picture.counts["easy"]
        faces += int(counts.sum())
        if len(given) == 0:
            continue
        rows = given.copy()
        rows[:, 4] = (rows[:, 4] - low) / (high - low)
        state, proposals, recall = [0] * len(counts), [1] * len(rows), [0] * len(rows)
        for h, row in enumerate(rows):
            best, where = -1.0, -1
            for g, (x, y, w, height) in enumerate(picture.boxes):
                iw = min(row[2], x + w) - max(row[0], x) + 1
                ih = min(row[3], y + height) - max(row[1], y) + 1
                shared = max(iw, 0) * max(ih, 0)
                area = (row[2] - row[0] + 1) * (row[3] - row[1] + 1)
                iou = shared / (area + (w + 1) * (height + 1) - shared)
                if iou > best:
                    best, where = iou, g
            if best >= 0.5:
                if not counts[where]:
                    state[where], proposals[h] = -1, -1
                elif state[where] == 0:
                    state[where] = 1
            recall[h] = state.count(1)
        for t in range(1000):
            above = np.flatnonzero(rows[:, 4] >= 1 - (t + 1) / 1000)
            if len(above):
                curve[t, 0] += proposals[: above[-1] + 1].count(1)
                curve[t, 1] += recall[above[-1]]
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(curve[:, 1] / curve[:, 0])
    return area_under_envelope(curve[:, 1] / faces, precision)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pictures of one event, of which one is there, in the published files' shape."""

    def cells(*values: object) -> np.ndarray:
        array = np.empty((len(values), 1), object)
        for i, value in enumerate(values):
            array[i, 0] = value
        return array

    truth = tmp_path / "ground_truth"
    truth.mkdir()
    (tmp_path / "images" / "0--Parade").mkdir(parents=True)
    (tmp_path / "images" / "0--Parade" / "one.jpg").write_bytes(b"x")
    common = {
        "event_list": cells("0--Parade"),
        "file_list": cells(cells("one", "two")),
        "face_bbx_list": cells(cells(np.array([[1, 2, 30, 40], [5, 5, 3, 3]]), np.ones((1, 4)))),
    }
    scipy_io.savemat(truth / "wider_face_val.mat", common)
    for name, first in (("easy", [[1]]), ("medium", [[1]]), ("hard", [[1], [2]])):
        lists = cells(cells(np.array(first), np.array([[1]])))
        scipy_io.savemat(truth / f"wider_{name}_val.mat", {**common, "gt_list": lists})
    return tmp_path


class TestRead:
    def test_the_pictures_present(self, root: Path):
        (picture,), missing = read_wider(root)
        assert missing == 1
        assert picture.path.name == "one.jpg"
        assert picture.boxes.tolist() == [[1, 2, 30, 40], [5, 5, 3, 3]]
        assert picture.counts["easy"].tolist() == [True, False]
        assert picture.counts["hard"].tolist() == [True, True]

    def test_evaluated(self, root: Path):
        def detect(path: Path) -> list[Face]:
            return [Face(Box(1, 2, 31, 42), 0.9, None, Frame(np.zeros((9, 9, 3), np.uint8)))]

        steps: list[tuple[int, int]] = []
        result = evaluate_wider(root, detect, lambda *step: steps.append(step))
        assert (result.easy, result.medium) == (pytest.approx(1.0), pytest.approx(1.0))
        assert result.hard == pytest.approx(0.5)
        assert (result.pictures, result.missing, result.failed) == (1, 1, ())
        assert result.faces == {"easy": 1, "medium": 1, "hard": 2}
        assert steps == [(1, 1)]
        assert result.to_dict()["hard"] == pytest.approx(0.5)

    def test_a_picture_that_cannot_be_read_is_named_and_missed(self, root: Path):
        def detect(path: Path) -> list[Face]:
            raise ImageDamagedError(f"{path} is damaged")

        result = evaluate_wider(root, detect)
        assert result.easy == 0.0
        assert [Path(name).name for name, _ in result.failed] == ["one.jpg"]

    def test_nothing_there(self, root: Path, tmp_path: Path):
        with pytest.raises(DataFileError, match="cannot be read"):
            read_wider(tmp_path / "absent")
        (root / "images" / "0--Parade" / "one.jpg").unlink()
        with pytest.raises(DataFileError, match="none was found"):
            read_wider(root)

    def test_a_damaged_list(self, root: Path):
        (root / "ground_truth" / "wider_hard_val.mat").write_bytes(b"MATLAB 5.0" + bytes(300))
        with pytest.raises(DataFileError, match="wider_hard_val"):
            read_wider(root)
