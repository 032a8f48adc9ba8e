"""The originals, run to be compared with: dlib's own models, facenet-pytorch's own MTCNN.

Both read their weights from files, so the checked members are written to a temporary folder.
"""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DlibFace", "DlibModels", "load_mtcnn"]

Picture = NDArray[np.uint8]
Array = NDArray[Any]

# dlib/image_transforms/interpolation.h get_face_chip_details, as face_recognition and the
# embedder's own example call it.
_CHIP_SIDE_PX, _CHIP_PADDING = 150, 0.25

_PREDICTOR = "shape_predictor_5_face_landmarks.dat"
_EMBEDDER = "dlib_face_recognition_resnet_model_v1.dat"
_MMOD = "mmod_human_face_detector.dat"

_STOOD_IN = ("facenet_pytorch", "torchvision")


@dataclass(frozen=True)
class DlibFace:
    """What dlib makes of one face.

    Args:
        box_ltrb: (4,) left, top, right, bottom in pixels, the last two inclusive.
        points: (5, 2) xy in whole pixels, in dlib's order: outer and inner corner of the eye on the
            viewer's right, outer and inner corner of the eye on the left, under the nose.
        chip: (150, 150, 3) RGB, the face turned upright.
        embedding: (128,) float32, raw (not of unit length).
    """

    box_ltrb: NDArray[np.int32]
    points: NDArray[np.int32]
    chip: Picture
    embedding: NDArray[np.float32]


class DlibModels:
    """dlib's detectors (HOG and MMOD), five-point predictor and embedder.

    Args:
        members: Member name to bytes, as `open_package` returns them.
        folder: Where the `.dat` files are written for dlib to read.
    """

    def __init__(self, members: dict[str, bytes], folder: Path) -> None:
        import dlib

        for name in (_PREDICTOR, _EMBEDDER, _MMOD):
            (folder / name).write_bytes(members[name])
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(folder / _PREDICTOR))
        self._embedder = dlib.face_recognition_model_v1(str(folder / _EMBEDDER))
        self._mmod = dlib.cnn_face_detection_model_v1(str(folder / _MMOD))

    def points(self, picture: Picture, box_ltrb: Array) -> NDArray[np.int32]:
        """Five points in the box."""
        return _points(self._shape(picture, box_ltrb))

    def embed(self, chip: Picture) -> NDArray[np.float32]:
        """The raw vector of a chip."""
        return np.array(self._embedder.compute_face_descriptor(chip), np.float32)

    def mmod(self, picture: Picture, doublings: int = 0) -> list[tuple[NDArray[np.int32], float]]:
        """What MMOD finds: left, top, right, bottom (the last two inclusive), and confidence."""
        found = self._mmod(picture, doublings)
        return [(_sides(detection.rect), float(detection.confidence)) for detection in found]

    def faces(self, picture: Picture) -> list[DlibFace]:
        """Every face the HOG detector finds in the picture at twice its size."""
        found = []
        for rectangle in self._detector(picture, 1):
            box = _sides(rectangle)
            shape = self._shape(picture, box)
            chip = self._dlib.get_face_chip(picture, shape, _CHIP_SIDE_PX, _CHIP_PADDING)
            found.append(DlibFace(box, _points(shape), chip, self.embed(chip)))
        return found

    def _shape(self, picture: Picture, box_ltrb: Array) -> Any:
        return self._predictor(picture, self._dlib.rectangle(*(int(side) for side in box_ltrb)))


def _sides(rectangle: Any) -> NDArray[np.int32]:
    sides = (rectangle.left(), rectangle.top(), rectangle.right(), rectangle.bottom())
    return np.array(sides, np.int32)


def _points(shape: Any) -> NDArray[np.int32]:
    return np.array([(part.x, part.y) for part in shape.parts()], np.int32)


def load_mtcnn(members: dict[str, bytes], folder: Path) -> Any:
    """Load `facenet_pytorch.models.mtcnn` from its checked source and return the module.

    The package's `__init__` is left out (it wants the network) and torchvision, of which MTCNN
    needs one function, is played by `_batched_nms`.

    Convention:
        members: member name to bytes, as `open_package` returns them.
        folder: where source and weights are written.
    """
    places = {
        "mtcnn.py": "models/mtcnn.py",
        "detect_face.py": "models/utils/detect_face.py",
        **{name: f"data/{name}" for name in ("pnet.pt", "rnet.pt", "onet.pt")},
    }
    root = folder / "facenet_pytorch"
    for name, place in places.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(members[name])
    hidden = _remove_modules()
    try:
        _stand_in("torchvision.ops.boxes", batched_nms=_batched_nms)
        _stand_in("torchvision.transforms.functional")
        for package, path in (
            ("facenet_pytorch", root),
            ("facenet_pytorch.models", root / "models"),
        ):
            _stand_in(package).__path__ = [str(path)]
        return importlib.import_module("facenet_pytorch.models.mtcnn")
    finally:
        _remove_modules()
        sys.modules.update(hidden)


def _remove_modules() -> dict[str, types.ModuleType]:
    """Take what is stood in for out of `sys.modules`, and return it."""
    names = [name for name in sys.modules if name.split(".")[0] in _STOOD_IN]
    return {name: sys.modules.pop(name) for name in names}


def _stand_in(name: str, **contents: object) -> types.ModuleType:
    """Put an empty module (and those above it) where `import` looks."""
    parent, _, last = name.rpartition(".")
    module = types.ModuleType(name)
    vars(module).update(contents)
    if parent:
        setattr(sys.modules.get(parent) or _stand_in(parent), last, module)
    sys.modules[name] = module
    return module


def _batched_nms(boxes: Any, scores: Any, groups: Any, threshold: float) -> Any:
    """Greedy non-maximum suppression within each group, as torchvision does it."""
    import torch

    if not len(boxes):
        return torch.zeros(0, dtype=torch.long)
    # Moving each group beyond the others lets one pass serve all (torchvision does the same).
    moved = boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]
    corners, order = moved.detach().numpy(), np.argsort(-scores.detach().numpy(), kind="stable")
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[rest, :2])
        high = np.minimum(corners[best, 2:], corners[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        order = rest[shared / (areas[best] + areas[rest] - shared) <= threshold]
    return torch.tensor(kept, dtype=torch.long)
