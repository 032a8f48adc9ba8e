"""Draw the faces of a picture, each with a label, into a new file.

python examples/05_draw.py [PICTURE [OUTPUT.jpg]]
"""

import sys
from pathlib import Path

import vultus
from vultus.draw import Mark, annotate, write_image
from vultus.samples import photos_dir

picture = Path(sys.argv[1]) if len(sys.argv) > 1 else photos_dir() / "wall.jpg"
output = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("faces.jpg")

frame = vultus.load_frame(picture)
faces = sorted(vultus.load().detect(frame), key=lambda face: face.box.x1)
marks = [Mark(face.box, f"face {n}", face.landmarks) for n, face in enumerate(faces, start=1)]
write_image(annotate(frame.image, marks), output)
print(f"{output.name}: {frame.width_px} x {frame.height_px} px, {len(marks)} faces marked")
