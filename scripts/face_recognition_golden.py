"""Write what dlib and face_recognition 1.3.0 give for the sample pictures, for the tests.

    pip install dlib-bin==20.0.1.post1 face_recognition_models==0.3.0 "setuptools<81" click
    pip install --no-deps face_recognition==1.3.0
    python scripts/face_recognition_golden.py

The tests of `vultus.compat.face_recognition` hold vultus against these numbers without dlib.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from vultus.samples import known_dir

OUT = Path(__file__).resolve().parents[1] / "tests" / "compat" / "face_recognition" / "golden.json"
# The CNN detector takes some 20 s per megapixel here.
CNN_PIXELS = 800_000


def main() -> None:
    """Ask the originals and write the file."""
    warnings.simplefilter("ignore")
    import face_recognition as fr

    root = known_dir().parent
    pictures: dict[str, Any] = {}
    for path in sorted((*root.glob("known/*"), *root.glob("photos/*"))):
        image = fr.load_image_file(path)
        boxes = fr.face_locations(image)
        found: dict[str, Any] = {
            "hog_1": boxes,
            "hog_0": fr.face_locations(image, 0),
            "small": fr.face_landmarks(image, boxes, "small"),
            "large": fr.face_landmarks(image, boxes, "large"),
            "encodings": rounded(fr.face_encodings(image, boxes)),
            "encodings_large": rounded(fr.face_encodings(image, boxes, model="large")),
        }
        if image.shape[0] * image.shape[1] <= CNN_PIXELS:
            found["cnn_0"] = fr.face_locations(image, 0, "cnn")
        pictures[path.relative_to(root).as_posix()] = found
        print(path.name, len(boxes), file=sys.stderr)
    made = {name: importlib.metadata.version(name) for name in ("face_recognition", "dlib-bin")}
    text = json.dumps({"made_with": made, "pictures": pictures}, separators=(",", ":"))
    OUT.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


def rounded(encodings: list[Any]) -> list[list[float]]:
    """Six digits: far below what is compared."""
    return [[round(float(value), 6) for value in encoding] for encoding in encodings]


if __name__ == "__main__":
    main()
