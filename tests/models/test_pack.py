"""The shipped weights: small, undamaged, loadable, and as accurate as on the day they were made."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

WEIGHTS = Path(__file__).resolve().parents[2] / "vultus" / "models" / "weights"

# Names and shapes of what goes in and comes out; text stands for a free size.
SIGNATURES = {
    "mtcnn_pnet.onnx": (
        {"input": ["N", 3, "H", "W"]},
        {"reg": ["N", 4, "h", "w"], "prob": ["N", 2, "h", "w"]},
    ),
    "mtcnn_rnet.onnx": ({"input": ["N", 3, 24, 24]}, {"reg": ["N", 4], "prob": ["N", 2]}),
    "mtcnn_onet.onnx": (
        {"input": ["N", 3, 48, 48]},
        {"reg": ["N", 4], "pts": ["N", 10], "prob": ["N", 2]},
    ),
    "dlib_resnet_v1.onnx": ({"input": ["N", 3, 150, 150]}, {"output": ["N", 128]}),
    "dlib_mmod.onnx": ({"input": ["N", 3, "H", "W"]}, {"scores": ["N", 1, "h", "w"]}),
    "blazeface_short.onnx": (
        {"input": ["N", 128, 128, 3]},
        {"scores": ["N", 896], "boxes": ["N", 896, 16]},
    ),
    "blazeface_full.onnx": (
        {"input": ["N", 192, 192, 3]},
        {"scores": ["N", 2304], "boxes": ["N", 2304, 16]},
    ),
    "blazeface_back.onnx": (
        {"input": ["N", 256, 256, 3]},
        {"scores": ["N", 896], "boxes": ["N", 896, 16]},
    ),
    "facemesh.onnx": (
        {"input": ["N", 192, 192, 3]},
        {"mesh": ["N", 468, 3], "presence": ["N", 1]},
    ),
    "facemesh_attention.onnx": (
        {"input": [1, 192, 192, 3]},
        {
            "mesh": [1, 468, 3],
            "lips": [1, 80, 2],
            "left_eye": [1, 71, 2],
            "right_eye": [1, 71, 2],
            "left_iris": [1, 5, 2],
            "right_iris": [1, 5, 2],
            "presence": [1, 1],
        },
    ),
}


def noticed() -> dict[str, tuple[int, str]]:
    """File name to (bytes, SHA-256), as NOTICE.md lists them."""
    text = (WEIGHTS / "NOTICE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| (\d+) \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    return {name: (int(size), digest) for name, size, digest in rows}


def session(name: str) -> ort.InferenceSession:
    return ort.InferenceSession(WEIGHTS / name, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(WEIGHTS / "golden_pack.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def nchw(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_the_notice_lists_every_file() -> None:
    files = {path.name for path in WEIGHTS.iterdir() if path.suffix in {".onnx", ".npz"}}
    assert set(noticed()) == files


@pytest.mark.parametrize("name", sorted(noticed()))
def test_each_file_has_the_size_and_digest_of_the_notice(name: str) -> None:
    data = (WEIGHTS / name).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == noticed()[name]


def test_the_pack_stays_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 25_000_000


@pytest.mark.parametrize("name", SIGNATURES)
def test_each_network_has_the_inputs_and_outputs_it_promises(name: str) -> None:
    network = session(name)
    inputs, outputs = SIGNATURES[name]
    assert {value.name: value.shape for value in network.get_inputs()} == inputs
    assert {value.name: value.shape for value in network.get_outputs()} == outputs
    values = [*network.get_inputs(), *network.get_outputs()]
    assert {value.type for value in values} == {"tensor(float)"}


def test_the_embedder_gives_dlibs_vector(golden: dict[str, np.ndarray]) -> None:
    (actual,) = session("dlib_resnet_v1.onnx").run(None, {"input": nchw(golden["chip"])})
    expected = golden["chip_embedding"]
    assert cosine(actual[0], expected) >= 0.99999
    # Measured: 1.9e-4 on values of up to 0.4.
    np.testing.assert_allclose(actual[0], expected, atol=1e-3)
    assert float(np.linalg.norm(actual[0])) == pytest.approx(1.4573, abs=1e-3)


def test_the_golden_vector_betrays_swapped_colours(golden: dict[str, np.ndarray]) -> None:
    swapped = golden["chip"][..., ::-1]
    (actual,) = session("dlib_resnet_v1.onnx").run(None, {"input": nchw(swapped)})
    # Measured: 0.9934. A mirrored chip gives 0.990.
    assert cosine(actual[0], golden["chip_embedding"]) < 0.999


def test_a_batch_gives_what_single_chips_give(golden: dict[str, np.ndarray]) -> None:
    embedder = session("dlib_resnet_v1.onnx")
    chips = [nchw(golden["chip"]), nchw(golden["chip"][:, ::-1])]
    (together,) = embedder.run(None, {"input": np.concatenate(chips)})
    for chip, vector in zip(chips, together, strict=True):
        np.testing.assert_allclose(embedder.run(None, {"input": chip})[0][0], vector, atol=1e-5)


@pytest.mark.parametrize(("name", "side_px"), [("mtcnn_rnet.onnx", 24), ("mtcnn_onet.onnx", 48)])
def test_the_refining_networks_tell_a_face_from_a_wall(
    golden: dict[str, np.ndarray], name: str, side_px: int
) -> None:
    box = tuple(float(side) for side in golden["mtcnn_boxes"][0])
    crop = Image.fromarray(golden["picture"]).resize((side_px, side_px), box=box)
    face, wall = nchw(np.asarray(crop)), np.full((1, 3, side_px, side_px), 200, np.float32)
    (probability,) = session(name).run(["prob"], {"input": np.concatenate([face, wall])})
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert probability[0, 1] > 0.9
    assert probability[1, 1] < 0.1


def test_the_first_network_takes_any_size() -> None:
    network = session("mtcnn_pnet.onnx")
    for height, width in ((12, 12), (37, 50)):
        offsets, probability = network.run(
            ["reg", "prob"], {"input": np.zeros((2, 3, height, width), np.float32)}
        )
        # One cell per 2 pixels: 3 x 3 convolutions around one pooling that rounds up.
        cells = tuple((side - 2 + 1) // 2 - 4 for side in (height, width))
        assert offsets.shape == (2, 4, *cells)
        assert probability.shape == (2, 2, *cells)


@pytest.mark.parametrize("name", ["facemesh", "facemesh_attention"])
def test_the_meshes_are_the_originals(golden: dict[str, np.ndarray], name: str) -> None:
    (row,) = [row for row in golden["windows"].tolist() if row[2] == 192]
    left, top, side = row
    crop = golden["picture"][top : top + side, left : left + side]
    network = session(f"{name}.onnx")
    wanted = [value.name for value in network.get_outputs()]
    outputs = network.run(wanted, {"input": (crop[None] / 255).astype(np.float32)})
    for output, values in zip(wanted, outputs, strict=True):
        # Measured: 7e-5 pixels.
        np.testing.assert_allclose(values[0], golden[f"{name}_{output}"], atol=5e-3)
    (wall,) = network.run(["presence"], {"input": np.full((1, 192, 192, 3), 0.5, np.float32)})
    assert wall[0, 0] < 0.5 < golden[f"{name}_presence"][0]


def test_the_mesh_lies_where_the_detector_saw_the_face(golden: dict[str, np.ndarray]) -> None:
    (row,) = [row for row in golden["windows"].tolist() if row[2] == 192]
    for name in ("facemesh_mesh", "facemesh_attention_mesh"):
        mesh = golden[name][:, :2] + row[:2]
        # The corners of the eyes are 33, 133 and 362, 263, those of the mouth 61 and 291.
        found = [mesh[[33, 133]].mean(0), mesh[[362, 263]].mean(0), mesh[61], mesh[291]]
        assert np.abs(found - golden["mtcnn_points"][0][[0, 1, 3, 4]]).max() < 4
    for side, eye in (("left", 33), ("right", 263)):
        iris = golden[f"facemesh_attention_{side}_iris"][0]
        assert np.abs(golden["facemesh_attention_mesh"][eye, :2] - iris).max() < 15


def test_the_regressor_holds_plain_arrays() -> None:
    with np.load(WEIGHTS / "dlib_five_points.npz", allow_pickle=False) as arrays:
        held = {name: (values.dtype.name, values.shape) for name, values in arrays.items()}
    assert held == {
        "init": ("float32", (10,)),
        "idx1": ("uint16", (15, 500, 15)),
        "idx2": ("uint16", (15, 500, 15)),
        "th": ("float32", (15, 500, 15)),
        "leaf": ("float32", (15, 500, 16, 10)),
        "anchor": ("uint16", (15, 800)),
        "delta": ("float32", (15, 800, 2)),
    }


def test_the_golden_file_shows_one_face_to_every_original(golden: dict[str, np.ndarray]) -> None:
    assert (WEIGHTS / "golden_pack.npz").stat().st_size < 400_000
    assert {name: (values.dtype.name, values.shape) for name, values in golden.items()} == {
        "picture": ("uint8", (300, 300, 3)),
        "points_box": ("int32", (4,)),
        "points": ("int32", (5, 2)),
        "chip": ("uint8", (150, 150, 3)),
        "chip_embedding": ("float32", (128,)),
        "mtcnn_boxes": ("float32", (1, 4)),
        "mtcnn_scores": ("float32", (1,)),
        "mtcnn_points": ("float32", (1, 5, 2)),
        "mmod_box": ("int32", (4,)),
        "mmod_confidence": ("float32", (1,)),
        "windows": ("int32", (3, 3)),
        "facemesh_mesh": ("float32", (468, 3)),
        "facemesh_presence": ("float32", (1,)),
        "facemesh_attention_mesh": ("float32", (468, 3)),
        "facemesh_attention_lips": ("float32", (80, 2)),
        "facemesh_attention_left_eye": ("float32", (71, 2)),
        "facemesh_attention_right_eye": ("float32", (71, 2)),
        "facemesh_attention_left_iris": ("float32", (5, 2)),
        "facemesh_attention_right_iris": ("float32", (5, 2)),
        "facemesh_attention_presence": ("float32", (1,)),
        "blazeface_short": ("float32", (17,)),
        "blazeface_full": ("float32", (17,)),
        "blazeface_back": ("float32", (17,)),
    }
    # dlib and MTCNN see the same nose within a tenth of the face.
    assert np.abs(golden["points"][4] - golden["mtcnn_points"][0, 2]).max() < 9
