"""The golden file: one face, and what the originals make of it at every stage.

The picture is the head of scikit-image's astronaut (Eileen Collins; NASA, public domain).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.human_reference import human_golden
from convert.originals import DlibModels, load_mtcnn
from convert.packages import DamagedPackageError, Sources, sha256

__all__ = ["cut_picture", "golden_arrays"]

# skimage/data/astronaut.png in scikit-image 0.26.0.
_ASTRONAUT_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
# Head and shoulders: one face, about 90 pixels wide, with room on every side.
_ROWS, _COLUMNS = slice(0, 300), slice(80, 380)

# facenet-pytorch's own default; the others are left at theirs too (0.6, 0.7, 0.7; factor 0.709).
_MIN_FACE_PX = 20


def cut_picture(path: Path) -> NDArray[np.uint8]:
    """Read `astronaut.png` and return its head, (300, 300, 3) RGB.

    Raises:
        DamagedPackageError: the file is another picture.
    """
    from PIL import Image

    actual = sha256(path.read_bytes())
    if actual != _ASTRONAUT_SHA256:
        raise DamagedPackageError(
            f"{path} must be scikit-image's astronaut.png, SHA-256 {_ASTRONAUT_SHA256}, "
            f"got {actual}"
        )
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.ascontiguousarray(pixels[_ROWS, _COLUMNS])


def golden_arrays(picture: NDArray[np.uint8], sources: Sources) -> dict[str, NDArray[Any]]:
    """Run the originals on the picture.

    Convention:
        picture: (h, w, 3) uint8 RGB with exactly one face.
        returns: the arrays of `golden_pack.npz`:
            picture (h, w, 3) uint8;
            points_box (4,) and points (5, 2) int32, chip (150, 150, 3) uint8 and chip_embedding
            (128,) float32, as `DlibFace` describes them;
            mtcnn_boxes (1, 4) xyxy, mtcnn_scores (1,) and mtcnn_points (1, 5, 2) float32, points
            in the order left eye, right eye, nose, left and right mouth corner (the viewer's);
            mmod_box (4,) int32 and mmod_confidence (1,) float32, as `DlibModels.mmod` gives them;
            and what `human_golden` returns.

    Raises:
        ValueError: one of the originals does not find exactly one face.
    """
    with tempfile.TemporaryDirectory() as folder:
        dlib = DlibModels(sources.dlib, Path(folder))
        faces, mmod = dlib.faces(picture), dlib.mmod(picture)
        mtcnn = load_mtcnn(sources.mtcnn, Path(folder))
        detector = mtcnn.MTCNN(min_face_size=_MIN_FACE_PX, keep_all=True, device="cpu")
        boxes, scores, points = detector.detect(picture, landmarks=True)
    if len(faces) != 1 or len(mmod) != 1 or boxes is None or len(boxes) != 1:
        raise ValueError("every original must find exactly one face in the golden picture")
    return {
        "picture": picture,
        "points_box": faces[0].box_ltrb,
        "points": faces[0].points,
        "chip": faces[0].chip,
        "chip_embedding": faces[0].embedding,
        "mtcnn_boxes": np.asarray(boxes, np.float32),
        "mtcnn_scores": np.asarray(scores, np.float32),
        "mtcnn_points": np.asarray(points, np.float32),
        "mmod_box": mmod[0][0],
        "mmod_confidence": np.array([mmod[0][1]], np.float32),
        **human_golden(picture, sources.human),
    }
