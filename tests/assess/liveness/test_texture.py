from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus.assess.liveness.own import load_own_liveness
from vultus.assess.liveness.svm import LivenessSvm, load_liveness_svm
from vultus.assess.liveness.texture import TEXTURE, TextureLiveness, texture_features, texture_of
from vultus.errors import CardError, DataFileError, RangeError, ShapeError
from vultus.types import Box, Face, Frame


def machine(**changes: object) -> LivenessSvm:
    """Two support vectors in the plane: live at (1, 0), attack at (-1, 0)."""
    parts: dict[str, object] = {
        "name": "toy",
        "features": "toy/1",
        "mean": np.zeros(2),
        "scale": np.array([2.0]),
        "support": np.array([[1, 0], [-1, 0]], np.float32),
        "weights": np.array([1.0, -1.0]),
        "bias": 0.0,
        "gamma": 0.5,
        "slope": 2.0,
        "offset": 0.0,
        "reject_below": 0.6,
        "report": {"C": 1.0},
    }
    return LivenessSvm(**{**parts, **changes})  # type: ignore[arg-type]


def slow_pattern(crop: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel."""
    planes = np.concatenate(
        [cv2.cvtColor(crop, code) for code in (cv2.COLOR_RGB2HSV_FULL, cv2.COLOR_RGB2YCrCb)], 2
    )
    uniform = [
        c for c in range(256) if sum((c >> i & 1) != (c >> (i + 1) % 8 & 1) for i in range(8)) <= 2
    ]
    around = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    found = np.zeros((6, 59))
    for channel in range(6):
        plane = planes[:, :, channel]
        for y in range(1, plane.shape[0] - 1):
            for x in range(1, plane.shape[1] - 1):
                code = sum(
                    1 << bit for bit, (dy, dx) in enumerate(around)
                    if plane[y + dy, x + dx] >= plane[y, x]
                )  # fmt: skip
                found[channel, uniform.index(code) if code in uniform else 58] += 1
    return (found / found.sum(axis=1, keepdims=True)).ravel()


def test_patterns_follow_their_definition():
    crop = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    found = texture_of(crop)
    assert found.shape == (354,)
    np.testing.assert_allclose(found, slow_pattern(crop), atol=1e-12)


def test_a_flat_crop_has_one_pattern():
    found = texture_of(np.full((5, 5, 3), 90, np.uint8)).reshape(6, 59)
    assert (found[:, 57] == 1).all()  # every neighbour is at least as bright
    assert found.sum() == 6


def test_features_of_faces():
    assert texture_features([]).shape == (0, 354)
    frame = Frame(np.random.default_rng(2).integers(0, 256, (100, 100, 3), np.uint8))
    found = texture_features([Face(Box(10, 10, 74, 74), 0.9, None, frame)])
    assert found.shape == (1, 354)
    assert found.reshape(6, 59).sum(axis=1) == pytest.approx(np.ones(6))
    with pytest.raises(ShapeError):
        texture_of(np.zeros((5, 5), np.uint8))


def test_margins_and_probability_by_hand():
    one = machine()
    # (2, 0) scaled is (1, 0): at 0 from one support vector, at squared distance 4 from the other.
    margin = 1 - np.exp(-2.0)
    points = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 3.0]])
    assert one.margins(points) == pytest.approx([margin, -margin, 0.0])
    high = 1 / (1 + np.exp(-2 * margin))
    assert one.probability(points) == pytest.approx([high, 1 - high, 0.5])
    assert one.verdicts(one.probability(points)) == ["live", "attack", "undecided"]
    assert one.margins(np.zeros((0, 2))).shape == (0,)
    with pytest.raises(ShapeError):
        one.margins(np.zeros((1, 3)))


@pytest.mark.parametrize(
    "changes",
    [{"gamma": 0.0}, {"slope": -1.0}, {"bias": np.inf}, {"reject_below": 0.4},
     {"scale": np.array([0.0])}, {"weights": np.array([np.nan, 1.0])}],
)  # fmt: skip
def test_no_such_machine(changes: dict[str, object]):
    with pytest.raises(RangeError):
        machine(**changes)


def test_a_machine_is_kept_as_plain_arrays(tmp_path: Path):
    path = tmp_path / "toy.npz"
    machine().save(path)
    back = load_liveness_svm(path)
    points = np.random.default_rng(3).normal(size=(5, 2))
    assert back.margins(points) == pytest.approx(machine().margins(points))
    assert (back.name, back.reject_below, back.report) == ("toy", 0.6, {"C": 1.0})
    assert list(tmp_path.iterdir()) == [path]


def test_no_file_is_executed_or_trusted(tmp_path: Path):
    path = tmp_path / "bad.npz"
    for content in (b"", b"\x80\x04K\x01.", b"PK\x03\x04junk"):
        path.write_bytes(content)
        with pytest.raises(DataFileError, match="no machine for liveness"):
            load_liveness_svm(path)
    np.savez(path, about=np.array([object()], dtype=object))
    with pytest.raises(DataFileError, match="no machine for liveness"):
        load_liveness_svm(path)
    about = np.frombuffer(json.dumps({"format": "other"}).encode(), np.uint8)
    np.savez(path, about=about)
    with pytest.raises(DataFileError, match="its format must be"):
        load_liveness_svm(path)
    with pytest.raises(DataFileError):
        load_liveness_svm(tmp_path / "absent.npz")


def test_texture_takes_a_machine_for_texture(tmp_path: Path):
    with pytest.raises(CardError, match="trained on toy/1"):
        TextureLiveness(machine())
    width = 354
    one = machine(
        features=TEXTURE, mean=np.zeros(width), support=np.eye(2, width, dtype=np.float32)
    )
    one.save(tmp_path / "texture.npz")
    judge = load_own_liveness(tmp_path / "texture.npz")
    frame = Frame(np.zeros((80, 80, 3), np.uint8))
    face = Face(Box(5, 5, 69, 69), 0.9, None, frame)
    assert judge.name == "toy"
    assert judge.scores([face]) == pytest.approx(one.probability(texture_features([face])))
    assert judge.scores([]).shape == (0,)
