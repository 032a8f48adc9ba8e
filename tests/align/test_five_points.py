from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from vultus.align import FivePointRegressor
from vultus.errors import WeightDamagedError
from vultus.models import Registry, Store

Pack = Callable[..., bytes]


@pytest.fixture(scope="module")
def weight() -> bytes:
    return Store().read(Registry().get("dlib-five-points"))


@pytest.fixture(scope="module")
def regressor(weight: bytes) -> FivePointRegressor:
    return FivePointRegressor.from_bytes(weight)


@pytest.fixture(scope="module")
def pack() -> Pack:
    """`pack(init=…)`: a tiny weight that works, with arrays replaced or (``None``) left out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "init": rng.uniform(0.2, 0.8, 10).astype(np.float32),
        "idx1": rng.integers(0, 6, (2, 4, 3), dtype=np.uint16),
        "idx2": rng.integers(0, 6, (2, 4, 3), dtype=np.uint16),
        "th": rng.normal(0, 20, (2, 4, 3)).astype(np.float32),
        "leaf": rng.normal(0, 0.01, (2, 4, 4, 10)).astype(np.float32),
        "anchor": rng.integers(0, 5, (2, 6), dtype=np.uint16),
        "delta": rng.normal(0, 0.1, (2, 6, 2)).astype(np.float32),
    }

    def make(**changes: Any) -> bytes:
        buffer = io.BytesIO()
        kept = {k: v for k, v in {**arrays, **changes}.items() if v is not None}
        np.savez(buffer, **kept)
        return buffer.getvalue()

    make.arrays = arrays  # type: ignore[attr-defined]
    return make


class TestGolden:
    def test_as_dlib(self, regressor: FivePointRegressor, golden: Mapping[str, np.ndarray]):
        """dlib rounds its points to whole pixels; measured: within 0.48 px, thus equal."""
        found = regressor(golden["picture"], golden["points_box"][None].astype(np.float64))
        assert found.shape == (1, 5, 2)
        np.testing.assert_allclose(found[0], golden["points"], atol=0.51)

    def test_several_faces_at_once(self, regressor, golden):
        box = golden["points_box"].astype(np.float64)
        boxes = np.stack([box, box + 3, box * 1.1, box - 40])
        together = regressor(golden["picture"], boxes)
        alone = np.concatenate([regressor(golden["picture"], b[None]) for b in boxes])
        np.testing.assert_array_equal(together, alone)

    def test_no_faces(self, regressor, golden):
        assert regressor(golden["picture"], np.zeros((0, 4))).shape == (0, 5, 2)

    def test_outside_counts_as_black(self, regressor, golden):
        """The same as a picture with a black frame around it."""
        picture = golden["picture"]
        box = golden["points_box"].astype(np.float64) - (150, 0, 150, 0)
        framed = np.pad(picture, ((200, 200), (200, 200), (0, 0)))
        np.testing.assert_allclose(
            regressor(framed, box[None] + 200) - 200, regressor(picture, box[None]), atol=1e-3
        )

    @pytest.mark.parametrize("quarter", [1, 2, 3])
    def test_a_turned_box_on_a_turned_picture(self, regressor, golden, quarter):
        """Quarter turns move whole pixels, so the points come back almost exactly."""
        picture = golden["picture"]
        left, top, right, bottom = golden["points_box"].astype(np.float64)
        turned = np.ascontiguousarray(np.rot90(picture, -quarter))  # clockwise
        center = np.array([[(left + right) / 2, (top + bottom) / 2]])
        half = np.array([right - left, bottom - top]) / 2
        moved = _clockwise(center, picture, quarter)[0]
        box = np.concatenate([moved - half, moved + half])
        found = regressor(turned, box[None], np.array([quarter * np.pi / 2]))[0]
        expected = regressor(picture, golden["points_box"][None].astype(np.float64))[0]
        np.testing.assert_allclose(found, _clockwise(expected, picture, quarter), atol=0.6)

    def test_no_tilt_is_upright(self, regressor, golden):
        boxes = golden["points_box"][None].astype(np.float64)
        np.testing.assert_array_equal(
            regressor(golden["picture"], boxes), regressor(golden["picture"], boxes, np.zeros(1))
        )

    def test_wider_than_opencv_can_address(self, regressor, golden):
        picture = golden["picture"]
        box = golden["points_box"].astype(np.float64)
        wide = np.zeros((300, 33_000, 3), np.uint8)
        wide[:, -300:] = picture
        moved = regressor(wide, (box + (32_700, 0, 32_700, 0))[None])[0] - (32_700, 0)
        np.testing.assert_allclose(moved, regressor(picture, box[None])[0], atol=0.01)


def _clockwise(points: np.ndarray, picture: np.ndarray, quarters: int) -> np.ndarray:
    """Where pixel centres go when the picture turns clockwise by quarter turns."""
    height, width = picture.shape[:2]
    for _ in range(quarters):
        points = np.stack([height - 1 - points[:, 1], points[:, 0]], axis=1)
        height, width = width, height
    return points


def _plain(arrays: Mapping[str, np.ndarray], image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The cascade as Kazemi and Sullivan write it: a loop over every stage, tree and split."""
    size = box[2:] - box[:2]
    mean = arrays["init"].astype(np.float64).reshape(5, 2)
    shape = mean.copy()
    for stage in range(len(arrays["idx1"])):
        # Rotation and scale from the mean shape to the current one, in the least-squares sense.
        a, b = mean - mean.mean(axis=0), shape - shape.mean(axis=0)
        norm = (a**2).sum()
        cos, sin = (a * b).sum() / norm, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / norm
        linear = np.array([[cos, -sin], [sin, cos]])
        values = []
        for anchor, offset in zip(arrays["anchor"][stage], arrays["delta"][stage], strict=True):
            x, y = np.floor((linear @ offset + shape[anchor]) * size + box[:2] + 0.5).astype(int)
            inside = 0 <= x < image.shape[1] and 0 <= y < image.shape[0]
            values.append(int(image[y, x].astype(int).sum()) // 3 if inside else 0)
        change = np.zeros(10)
        splits = arrays["idx1"].shape[2]
        for tree in range(arrays["idx1"].shape[1]):
            node = 0
            while node < splits:
                first = values[arrays["idx1"][stage, tree, node]]
                second = values[arrays["idx2"][stage, tree, node]]
                left = first - second > arrays["th"][stage, tree, node]
                node = 2 * node + (1 if left else 2)
            change += arrays["leaf"][stage, tree, node - splits]
        shape = shape + change.reshape(5, 2)
    return np.asarray(shape * size + box[:2])


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_definition(pack: Pack, seed: int):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    box = np.array([10.0, 5.0, 60.0, 55.0]) + rng.uniform(-12, 12)  # partly outside at times
    found = FivePointRegressor.from_bytes(pack())(image, box[None])[0]
    arrays: Mapping[str, np.ndarray] = pack.arrays  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, _plain(arrays, image, box), atol=1e-3)


class TestDamagedWeights:
    @pytest.mark.parametrize("weight", [b"", b"hello", b"PK\x03\x04", bytes(2000)])
    def test_no_archive(self, weight):
        with pytest.raises(WeightDamagedError, match="the five-point weight cannot be read"):
            FivePointRegressor.from_bytes(weight)

    @pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
    def test_cut_short(self, weight: bytes, part):
        with pytest.raises(WeightDamagedError, match="cannot be read"):
            FivePointRegressor.from_bytes(weight[: int(len(weight) * part)])

    def test_a_flipped_bit(self, weight: bytes):
        damaged = bytearray(weight)
        damaged[len(damaged) // 2] ^= 4
        with pytest.raises(WeightDamagedError, match="Bad CRC-32"):
            FivePointRegressor.from_bytes(bytes(damaged))

    def test_damaged_compression(self, weight: bytes):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("init.npy", b"\x93NUMPY" + bytes(5000))
        damaged = bytearray(buffer.getvalue())
        damaged[40:50] = b"\xff" * 10
        with pytest.raises(WeightDamagedError, match="cannot be read"):
            FivePointRegressor.from_bytes(bytes(damaged))

    def test_a_plain_array(self):
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(3))
        with pytest.raises(WeightDamagedError, match="cannot be read"):
            FivePointRegressor.from_bytes(buffer.getvalue())

    def test_nothing_pickled_is_executed(self, pack: Pack):
        class Trap:
            def __reduce__(self) -> tuple[object, ...]:
                raised.append(True)
                return (list, ())

        raised: list[bool] = []
        with pytest.raises(WeightDamagedError, match="allow_pickle=False"):
            FivePointRegressor.from_bytes(pack(init=np.array([Trap()] * 10, dtype=object)))
        assert raised  # while packing; what follows would raise when unpickled
        with pytest.raises(WeightDamagedError, match="pickled"):
            FivePointRegressor.from_bytes(pickle.dumps({"init": [1]}))

    @pytest.mark.parametrize("name", ["init", "idx1", "idx2", "th", "leaf", "anchor", "delta"])
    def test_missing_array(self, pack: Pack, name):
        with pytest.raises(WeightDamagedError, match=f"{name} is not a file in the archive"):
            FivePointRegressor.from_bytes(pack(**{name: None}))

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            ("init", np.zeros(8, np.float32), r"init must have shape \(10\)"),
            ("init", np.array(["a"] * 10), "init must be of kind 'f', got <U1"),
            ("init", np.full(10, np.nan, np.float32), "init must be finite"),
            ("idx1", np.zeros((4, 3), np.uint16), r"idx1 must have shape \(n, n, n\)"),
            ("idx1", np.full((2, 4, 3), 6, np.uint16), "idx1 must be below 6, got 6"),
            ("idx1", np.full((2, 4, 3), -1, np.int16), "idx1 must be of kind 'u', got int16"),
            ("idx2", np.full((2, 4, 3), 7, np.uint16), "idx2 must be below 6, got 7"),
            ("idx2", np.zeros((2, 4, 2), np.uint16), r"idx2 must have shape \(2, 4, 3\)"),
            ("th", np.zeros((2, 5, 3), np.float32), r"th must have shape \(2, 4, 3\)"),
            ("th", np.full((2, 4, 3), np.inf, np.float32), "th must be finite"),
            ("leaf", np.zeros((2, 4, 3, 10), np.float32), r"leaf must have shape \(2, 4, 4, 10\)"),
            ("anchor", np.float32(3), r"anchor must have shape \(n, n\)"),
            ("anchor", np.full((2, 6), 5, np.uint16), "anchor must be below 5, got 5"),
            ("delta", np.zeros((2, 5, 2), np.float32), r"delta must have shape \(2, 6, 2\)"),
        ],
    )
    def test_array_that_does_not_fit(self, pack: Pack, name, array, message):
        with pytest.raises(WeightDamagedError, match=message) as caught:
            FivePointRegressor.from_bytes(pack(**{name: array}))
        assert "vultus models verify" in caught.value.remedy

    def test_a_tree_that_is_not_whole(self, pack: Pack):
        shapes = {name: np.zeros((2, 4, 2), np.uint16) for name in ("idx1", "idx2")}
        with pytest.raises(WeightDamagedError, match=r"a tree must have 2\^d - 1 splits, got 2"):
            FivePointRegressor.from_bytes(
                pack(
                    **shapes,
                    th=np.zeros((2, 4, 2), np.float32),
                    leaf=np.zeros((2, 4, 3, 10), np.float32),
                )
            )
