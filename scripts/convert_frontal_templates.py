"""Rebuild the templates of dlib's frontal face detector that `vultus.compat` ships.

    pip install dlib-bin==20.0.1.post1
    python scripts/convert_frontal_templates.py           write the file
    python scripts/convert_frontal_templates.py --check   write nothing, compare

dlib carries the detector inside its own code and can save it; that is read here, number by number.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from convert.dlib_format import Reader
from convert.npz import npz_bytes

OUT = Path(__file__).resolve().parents[1] / "vultus/compat/face_recognition/frontal_templates.npz"
# scan_fhog_pyramid and object_detector, dlib/image_processing: versions, cell, padding, window,
# most levels, smallest level.
EXPECTED = (2, 1, 0, 0, 8, 0, 80, 80, 1000, 64, 64)
COUNT, PLANES, CELLS = 5, 31, 10


def templates() -> bytes:
    """The npz file: `filters` (5, 31, 10, 10) and `limits` (5,), float32."""
    import dlib

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector.svm"
        dlib.get_frontal_face_detector().save(str(path))
        reader = Reader(path.read_bytes())
    if reader.integers(len(EXPECTED)) != EXPECTED:
        raise SystemExit("dlib's detector is not the one that is known")
    reader.real()  # nuclear norm regulariser
    reader.expect(PLANES * CELLS * CELLS, "number of weights")
    reader.reals(2)  # what suppression allows: overlap, part covered
    reader.expect(COUNT, "number of templates")
    columns = np.stack([reader.column() for _ in range(COUNT)])
    filters = columns[:, :-1].reshape(COUNT, PLANES, CELLS, CELLS)
    return npz_bytes({"filters": filters, "limits": columns[:, -1]})


def main() -> int:
    """Write the file, or compare it."""
    made = templates()
    if "--check" in sys.argv[1:]:
        same = OUT.read_bytes() == made
        print("the same, to the byte" if same else f"{OUT.name} differs")
        return 0 if same else 1
    OUT.write_bytes(made)
    print(f"written: {OUT}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
