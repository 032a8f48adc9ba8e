"""Where are the faces?

python examples/01_detect.py [PICTURE]
"""

import sys
from pathlib import Path

import vultus
from vultus.samples import photos_dir

picture = Path(sys.argv[1]) if len(sys.argv) > 1 else photos_dir() / "wall.jpg"

faces = vultus.load().detect(picture)
print(f"{picture.name}: {len(faces)} faces")
for face in sorted(faces, key=lambda face: face.box.x1):
    box, (left_eye, right_eye, *_) = face.box, face.landmarks.points
    print(
        f"  {box.width_px:.0f} x {box.height_px:.0f} px at ({box.x1:.0f}, {box.y1:.0f}), "
        f"eyes {right_eye[0] - left_eye[0]:.0f} px apart, score {face.score:.3f}"
    )
