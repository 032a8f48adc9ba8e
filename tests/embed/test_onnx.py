from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from vultus.embed import OnnxEmbedder
from vultus.errors import (
    CardError,
    DtypeError,
    InferenceError,
    ShapeError,
    SpaceMismatchError,
)
from vultus.models import InputSpec, Registry, Store, space_of
from vultus.types import EmbeddingSpace


@pytest.fixture(scope="module")
def plain() -> OnnxEmbedder:
    return OnnxEmbedder.from_card(Registry().get("dlib-resnet-v1"), Store(), mirror=False)


@pytest.fixture(scope="module")
def mirrored() -> OnnxEmbedder:
    return OnnxEmbedder.from_card(Registry().get("dlib-resnet-v1"), Store(), mirror=True)


@pytest.fixture(scope="module")
def chip(golden: Mapping[str, np.ndarray]) -> np.ndarray:
    return golden["chip"]


@pytest.fixture(scope="module")
def original(golden: Mapping[str, np.ndarray]) -> np.ndarray:
    """dlib's own output on the chip, not of unit length."""
    return golden["chip_embedding"].astype(np.float64)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (150, 150, 3), dtype=np.uint8)


class TestGolden:
    def test_as_dlib(self, plain: OnnxEmbedder, chip, original):
        (found,) = plain.embed([chip])
        assert _cosine(found.vector, original) >= 0.99999
        assert np.linalg.norm(found.vector) == pytest.approx(1.0, abs=1e-6)
        assert found.raw_norm == pytest.approx(np.linalg.norm(original), rel=1e-3)

    def test_raw_output(self, plain: OnnxEmbedder, chip, original):
        (found,) = plain.raw([chip])
        np.testing.assert_allclose(found, original, atol=1e-3)

    def test_exchanged_colours_are_noticed(self, plain: OnnxEmbedder, chip, original):
        """Blue for red still gives 0.9934; only a strict bound tells."""
        (swapped,) = plain.embed([np.ascontiguousarray(chip[..., ::-1])])
        assert 0.9 < _cosine(swapped.vector, original) < 0.9999

    def test_threads_do_not_change_the_answer(self, plain: OnnxEmbedder, chip):
        (expected,) = plain.embed([chip])
        with ThreadPoolExecutor(4) as pool:
            for (found,) in pool.map(plain.embed, [[chip]] * 8):
                assert np.array_equal(found.vector, expected.vector)


class TestMirror:
    def test_is_a_space_of_its_own(self, plain, mirrored, chip):
        assert mirrored.space.preprocessing == plain.space.preprocessing + "+mirror"
        with pytest.raises(SpaceMismatchError) as caught:
            plain.embed([chip])[0].similarity(mirrored.embed([chip])[0])
        assert f"{plain.space} and {mirrored.space}" in caught.value.message

    def test_is_the_mean_of_both_directions(self, plain, mirrored, chip):
        flipped = np.ascontiguousarray(chip[:, ::-1])
        both = sum(e.vector.astype(np.float64) for e in plain.embed([chip, flipped]))
        (found,) = mirrored.embed([chip])
        np.testing.assert_allclose(found.vector, both / np.linalg.norm(both), atol=1e-6)
        assert found.raw_norm == pytest.approx(plain.embed([chip])[0].raw_norm, rel=1e-6)

    def test_a_mirrored_face_is_the_same(self, plain, mirrored, chip):
        flipped = np.ascontiguousarray(chip[:, ::-1])
        one, other = mirrored.embed([chip, flipped])
        assert one.similarity(other) > 0.999999
        one, other = plain.embed([chip, flipped])
        assert one.similarity(other) < 0.999


class TestBatches:
    @pytest.mark.parametrize("mirror", [False, True])
    def test_together_as_alone(self, plain, mirrored, chip, mirror):
        embedder = mirrored if mirror else plain
        crops = [chip, _noise(1), chip[::-1], _noise(2)]
        together = embedder.embed(crops)
        for crop, found in zip(crops, together, strict=True):
            (alone,) = embedder.embed([crop])
            np.testing.assert_allclose(found.vector, alone.vector, atol=2e-6)

    def test_more_than_one_call_holds(self, plain, chip):
        found = plain.embed([_noise(0), *[chip] * 16, _noise(1)])  # batches of 16
        assert len(found) == 18
        assert min(found[i].similarity(found[1]) for i in range(1, 17)) > 0.99999
        assert found[0].similarity(found[17]) > found[0].similarity(found[1])

    @pytest.mark.parametrize("mirror", [False, True])
    def test_none(self, plain, mirrored, mirror):
        embedder = mirrored if mirror else plain
        assert embedder.embed([]) == []
        assert embedder.raw([]).shape == (0, 128)

    def test_not_contiguous(self, plain, chip):
        wide = np.zeros((150, 300, 3), np.uint8)
        wide[:, ::2] = chip
        one, other = plain.embed([wide[:, ::2], chip])
        np.testing.assert_allclose(one.vector, other.vector, atol=2e-6)


class TestBadCrops:
    @pytest.mark.parametrize("shape", [(112, 112, 3), (150, 149, 3), (1, 1, 3)])
    def test_wrong_size(self, plain, shape):
        with pytest.raises(ShapeError) as caught:
            plain.embed([np.zeros(shape, np.uint8)])
        assert caught.value.message == (
            f"an aligned crop must have shape (150, 150, 3), got {shape}"
        )

    @pytest.mark.parametrize("shape", [(150, 150), (150, 150, 4), (3, 150, 150)])
    def test_wrong_channels(self, plain, shape):
        with pytest.raises(ShapeError, match=r"an image must be \(h, w, 3\) RGB"):
            plain.embed([np.zeros(shape, np.uint8)])

    def test_wrong_dtype(self, plain, chip):
        with pytest.raises(DtypeError, match=r"must be uint8 in 0\.\.255, got float32"):
            plain.embed([chip, chip.astype(np.float32)])

    def test_no_array(self, plain):
        with pytest.raises(DtypeError, match="must be a NumPy array, got list"):
            plain.embed([[[1, 2, 3]]])


class FakeSession:
    """Stands in for a network: outputs are computed by a function, inputs are kept."""

    input_names = ("input",)
    output_names = ("output", "more")

    def __init__(
        self, answer: Callable[[np.ndarray], np.ndarray], batch_size: int | None = None
    ) -> None:
        self.answer = answer
        self.batch_size = batch_size
        self.blobs: list[np.ndarray] = []

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        assert list(outputs) == ["output"]
        (blob,) = inputs.values()
        self.blobs.append(blob)
        return [self.answer(blob)]


SPACE = EmbeddingSpace("fake", "0" * 64, 2, "none")


def _fake(
    answer: Callable[[np.ndarray], np.ndarray],
    *,
    mirror: bool = False,
    batch_size: int | None = None,
    **spec: Any,
) -> tuple[OnnxEmbedder, FakeSession]:
    session = FakeSession(answer, batch_size)
    options = {"size_wh": (2, 1), "layout": "NCHW", "channels": "RGB", **spec}
    embedder = OnnxEmbedder(session, InputSpec(**options), SPACE, mirror=mirror)  # type: ignore[arg-type]
    return embedder, session


def _first_pixel(blob: np.ndarray) -> np.ndarray:
    return blob[:, :2, 0, 0]


CROP = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)  # 2 wide, 1 high


class TestPreprocessing:
    """What the network is fed, by hand."""

    def test_as_it_is(self):
        embedder, session = _fake(_first_pixel)
        (found,) = embedder.embed([CROP])
        assert session.blobs[0].dtype == np.float32
        assert session.blobs[0].tolist() == [[[[10, 40]], [[20, 50]], [[30, 60]]]]
        np.testing.assert_allclose(found.vector, np.array([1, 2]) / np.sqrt(5), rtol=1e-6)
        assert found.raw_norm == pytest.approx(np.hypot(10, 20))

    def test_bgr(self):
        embedder, session = _fake(_first_pixel, channels="BGR")
        embedder.embed([CROP])
        assert session.blobs[0].tolist() == [[[[30, 60]], [[20, 50]], [[10, 40]]]]

    def test_channels_last(self):
        embedder, session = _fake(lambda blob: blob[:, 0, 0, :2], layout="NHWC")
        embedder.embed([CROP])
        assert session.blobs[0].tolist() == [[[[10, 20, 30], [40, 50, 60]]]]

    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    def test_mean_and_std_follow_the_channels(self, layout):
        embedder, session = _fake(
            lambda blob: blob.reshape(len(blob), -1)[:, :2] + 9,
            layout=layout,
            channels="BGR",
            mean=(0, 10, 20),
            std=(1, 2, 5),
        )
        embedder.embed([CROP])
        blob = session.blobs[0] if layout == "NHWC" else session.blobs[0].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(blob[0, 0], [[30, 5, -2], [60, 20, 4]], rtol=1e-6)

    def test_mirror_turns_left_and_right(self):
        embedder, session = _fake(_first_pixel, mirror=True)
        embedder.embed([CROP])
        assert session.blobs[0][:, 0, 0].tolist() == [[10, 40], [40, 10]]

    @pytest.mark.parametrize("mirror", [False, True])
    def test_a_network_of_batch_size_one_is_fed_one_by_one(self, mirror):
        embedder, session = _fake(_first_pixel, mirror=mirror, batch_size=1)
        free, _ = _fake(_first_pixel, mirror=mirror)
        crops = [CROP, CROP + 5, CROP * 2]
        found = embedder.embed(crops)
        assert {blob.shape[0] for blob in session.blobs} == {1}
        for one, other in zip(found, free.embed(crops), strict=True):
            np.testing.assert_allclose(one.vector, other.vector, rtol=1e-6)

    def test_more_crops_than_a_batch(self):
        embedder, session = _fake(_first_pixel)
        embedder.embed([CROP] * 35)
        assert [len(blob) for blob in session.blobs] == [16, 16, 3]


class TestBadNetworks:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
    @pytest.mark.parametrize("mirror", [False, True])
    def test_output_that_is_no_direction(self, value, mirror):
        embedder, _ = _fake(lambda blob: np.full((len(blob), 2), value, np.float32), mirror=mirror)
        with pytest.raises(InferenceError) as caught:
            embedder.embed([CROP])
        assert caught.value.message == (
            "fake gave an output that is not a direction (zero, NaN or infinite)"
        )
        assert "vultus doctor" in caught.value.remedy

    def test_one_bad_face_among_good_ones(self):
        def answer(blob: np.ndarray) -> np.ndarray:
            out = np.ones((len(blob), 2), np.float32)
            out[-1, 0] = np.nan
            return out

        with pytest.raises(InferenceError, match="not a direction"):
            _fake(answer)[0].embed([CROP, CROP])

    def test_opposite_directions_cancel_out(self):
        embedder, _ = _fake(
            lambda blob: np.where(blob[:, :1, 0, 0] == 10, [[1.0, 0.0]], [[-1.0, 0.0]]), mirror=True
        )
        with pytest.raises(InferenceError, match="not a direction"):
            embedder.embed([CROP])

    @pytest.mark.parametrize("shape", [(1, 3), (2,), (1, 2, 1)])
    def test_output_of_another_shape(self, shape):
        embedder, _ = _fake(lambda _: np.ones(shape, np.float32))
        with pytest.raises(CardError, match=r"fake must give \(1, 2\) outputs, got") as caught:
            embedder.embed([CROP])
        assert "embedding.dimension" in caught.value.remedy

    def test_a_card_without_size(self):
        with pytest.raises(CardError, match=r"embedder fake must state input\.size_wh"):
            _fake(_first_pixel, size_wh=None)

    def test_a_card_of_another_kind(self):
        with pytest.raises(CardError, match="mtcnn is a model of kind detector, not an embedder"):
            OnnxEmbedder.from_card(Registry().get("mtcnn"), Store())


def test_space_is_the_card_s(plain: OnnxEmbedder, mirrored: OnnxEmbedder):
    card = Registry().get("dlib-resnet-v1")
    assert plain.space == space_of(card, mirror=False)
    assert mirrored.space == space_of(card, mirror=True)
