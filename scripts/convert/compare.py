"""How close the converted files come to the originals, measured on real faces."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from convert.five_points import load, locate
from convert.golden import golden_arrays
from convert.human_models import MODELS
from convert.human_reference import SIDES, evaluate_model, scaled, window
from convert.mtcnn import NETS
from convert.originals import DlibFace, DlibModels, load_mtcnn
from convert.packages import Sources

__all__ = ["Comparison", "compare", "compare_golden", "read_pictures"]

Picture = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

# Largest differences that still count as the same; the measured ones are about a tenth of these.
_MIN_COSINE = 0.99999
_MAX_POINT_PX = 1
_MAX_NET_DIFFERENCE = 2e-3
# Of a confidence: what rounding the weights to half precision may move.
_MAX_SCORE_DIFFERENCE = 5e-3

_JITTERS = 20
_NOISES = 2


@dataclass(frozen=True)
class Comparison:
    """One row of the table: what was measured on how many samples, and whether it will do."""

    what: str
    samples: int
    figures: str
    passed: bool


def read_pictures(folder: Path) -> dict[str, Picture]:
    """Read every JPEG and PNG of a folder, name to (h, w, 3) uint8 RGB."""
    from PIL import Image

    pictures = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}:
            with Image.open(path) as image:
                pictures[path.name] = np.array(image.convert("RGB"))
    return pictures


def compare(
    files: dict[str, bytes],
    pictures: dict[str, Picture],
    sources: Sources,
) -> list[Comparison]:
    """Run converted and original side by side.

    Convention:
        files: file name to bytes, as the pack holds them.
        pictures: name to (h, w, 3) uint8 RGB; the first is the golden one.
        returns: one row per weight.
    """
    with tempfile.TemporaryDirectory() as folder:
        models = DlibModels(sources.dlib, Path(folder))
        faces = [(picture, face) for picture in pictures.values() for face in models.faces(picture)]
        mtcnn = load_mtcnn(sources.mtcnn, Path(folder))
        originals = {"mtcnn_pnet": mtcnn.PNet, "mtcnn_rnet": mtcnn.RNet, "mtcnn_onet": mtcnn.ONet}
        nets = {name: original() for name, original in originals.items()}
        return [
            _compare_embedder(files["dlib_resnet_v1.onnx"], [face for _, face in faces]),
            _compare_points(files["dlib_five_points.npz"], models, faces),
            *(_compare_net(name, files[f"{name}.onnx"], net, faces) for name, net in nets.items()),
            _compare_mmod(files["dlib_mmod.onnx"], models, list(pictures.values())),
            *(
                _compare_human(name, files[f"{name}.onnx"], sources, next(iter(pictures.values())))
                for name in MODELS
            ),
        ]


def _session(data: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _batch(pictures: list[Picture]) -> FloatArray:
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32))


def _compare_embedder(data: bytes, faces: list[DlibFace]) -> Comparison:
    expected = np.stack([face.embedding for face in faces]).astype(np.float64)
    (actual,) = _session(data).run(None, {"input": _batch([face.chip for face in faces])})
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    cosine = float(((expected * actual).sum(axis=1) / norms).min())
    largest = float(np.abs(expected - actual).max())
    return Comparison(
        "dlib_resnet_v1 vs dlib",
        len(faces),
        f"cosine >= {cosine:.9f}, largest difference {largest:.1e}",
        cosine >= _MIN_COSINE,
    )


def _boxes(face: DlibFace, generator: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """The detector's box, then others moved by up to a tenth and resized by up to a fifth."""
    yield face.box_ltrb.astype(np.int64)
    low, high = face.box_ltrb[:2].astype(np.float64), face.box_ltrb[2:].astype(np.float64)
    for _ in range(_JITTERS):
        centre = (low + high) / 2 + generator.uniform(-0.1, 0.1, 2) * (high - low)
        half = (high - low) / 2 * generator.uniform(0.8, 1.2)
        yield np.rint(np.concatenate([centre - half, centre + half])).astype(np.int64)


def _compare_points(
    data: bytes, models: DlibModels, faces: list[tuple[Picture, DlibFace]]
) -> Comparison:
    predictor = load(data)
    generator = np.random.default_rng(0)
    differences = np.concatenate(
        [
            np.abs(locate(predictor, picture, box) - models.points(picture, box)).max(axis=1)
            for picture, face in faces
            for box in _boxes(face, generator)
        ]
    )
    exact = float((differences == 0).mean())
    return Comparison(
        "dlib_five_points vs dlib",
        len(differences),
        f"{exact:.2%} of points exact, largest difference {differences.max()} px",
        bool(differences.max() <= _MAX_POINT_PX),
    )


def _compare_net(
    name: str, data: bytes, net: Any, faces: list[tuple[Picture, DlibFace]]
) -> Comparison:
    import torch
    from PIL import Image

    side_px = NETS[name].side_px or 96
    crops = []
    for picture, face in faces:
        left, top, right, bottom = (int(side) for side in face.box_ltrb)
        crop = Image.fromarray(picture).crop((left, top, right, bottom))
        crops.append(np.asarray(crop.resize((side_px, side_px))))
    noise = np.random.default_rng(0).integers(0, 256, (8, side_px, side_px, 3), dtype=np.uint8)
    batch = _batch([*crops, *noise])
    with torch.no_grad():
        expected = net((torch.from_numpy(batch) - 127.5) * 0.0078125)
    actual = _session(data).run(list(NETS[name].heads), {"input": batch})
    largest = max(
        float(np.abs(theirs.numpy() - ours).max())
        for theirs, ours in zip(expected, actual, strict=True)
    )
    return Comparison(
        f"{name} vs facenet-pytorch",
        len(batch),
        f"largest difference {largest:.1e}",
        largest <= _MAX_NET_DIFFERENCE,
    )


def _compare_mmod(data: bytes, models: DlibModels, pictures: list[Picture]) -> Comparison:
    """Boxes and scores of vultus's detector, which builds the pyramid, beside dlib's own."""
    from vultus.detect.base import DetectorOptions
    from vultus.detect.mmod import Mmod
    from vultus.models import Registry
    from vultus.runtime import Session
    from vultus.types import Frame

    card = Registry().get("dlib-mmod")
    detector = Mmod(Session(data, card.name), card, DetectorOptions(), upsample=0)
    count, moved, changed, missed = 0, 0.0, 0.0, 0
    for picture in pictures:
        shrunk = _shrunk(picture)
        expected = sorted(models.mmod(shrunk), key=lambda found: -found[1])
        faces = detector.detect(Frame(shrunk))
        missed += abs(len(faces) - len(expected))
        for face, (box, confidence) in zip(faces, expected, strict=False):
            inclusive = np.array(face.box.xyxy) - (0, 0, 1, 1)
            moved = max(moved, float(np.abs(inclusive - box).max()))
            changed = max(changed, abs(face.score - min(confidence, 1.0)))
            count += 1
    return Comparison(
        "dlib_mmod vs dlib",
        count,
        f"{missed} missed, boxes within {moved:.0f} px, scores within {changed:.1e}",
        missed == 0 and moved <= _MAX_POINT_PX and changed <= _MAX_SCORE_DIFFERENCE,
    )


def _shrunk(picture: Picture) -> Picture:
    """At most 640 pixels long: dlib's wheel takes three seconds for that."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((640, 640))
    return np.array(image)


def _compare_human(name: str, data: bytes, sources: Sources, picture: Picture) -> Comparison:
    side = SIDES[name]
    left, top = window(picture, side)
    crop = picture[top : top + side, left : left + side]
    noise = np.random.default_rng(0).integers(0, 256, (_NOISES, side, side, 3), dtype=np.uint8)
    session, outputs = _session(data), list(MODELS[name].outputs)
    largest = 0.0
    for pixels in (crop, *noise):
        value = scaled(name, pixels)[None]
        expected = evaluate_model(name, sources.human, value)
        actual = session.run(outputs, {"input": value.astype(np.float32)})
        for output, ours in zip(outputs, actual, strict=True):
            largest = max(largest, float(np.abs(expected[output] - ours).max()))
    return Comparison(
        f"{name} vs its graph",
        1 + _NOISES,
        f"largest difference {largest:.1e}",
        largest <= _MAX_NET_DIFFERENCE,
    )


def compare_golden(golden: dict[str, NDArray[Any]], sources: Sources) -> Comparison:
    """Let the originals make the golden file again from the picture in it."""
    again = golden_arrays(golden["picture"], sources)
    differences = {
        name: float(np.abs(values.astype(np.float64) - golden[name]).max())
        for name, values in again.items()
    }
    name, largest = max(differences.items(), key=lambda item: item[1])
    return Comparison(
        "golden_pack vs the originals",
        len(again),
        f"largest difference {largest:.1e} ({name})" if largest else "identical",
        largest <= _MAX_NET_DIFFERENCE,
    )
