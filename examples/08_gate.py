"""A gate that says why it refuses: too small, too turned, too blurred, covered.

python examples/08_gate.py [PHOTOS]
"""

import sys

import vultus
from vultus.assess.gate import check, gate_policy
from vultus.samples import photos_dir

photos = sys.argv[1] if len(sys.argv) > 1 else photos_dir()

v = vultus.load()
policy = gate_policy("high")
for photo in vultus.walk_images(photos):
    faces = sorted(v.detect(photo), key=lambda face: face.box.x1)
    for face, quality in zip(faces, v.assess(faces), strict=True):
        result = check(quality, policy)
        says = "passes" if result.accepted else "; ".join(map(str, result.reasons))
        print(f"{photo.name}, {face.box.width_px:.0f} px wide, quality {quality.score:.2f}: {says}")
