"""Make some people known, then put names on photos.

python examples/03_enroll_and_identify.py [KNOWN PHOTOS]

KNOWN holds one folder, or one picture, per person.
"""

import sys

import vultus
from vultus.samples import known_dir, photos_dir

known, photos = sys.argv[1:3] if len(sys.argv) > 2 else (known_dir(), photos_dir())

v = vultus.load()
with vultus.open_gallery(":memory:") as people:  # or a file that stays: "people.vultus"
    for name, pictures in vultus.people_tree(known):
        v.enroll(people, name, pictures)
    print("known:", ", ".join(person.name for person in people.people()))
    for photo in vultus.walk_images(photos):
        answers = sorted(v.identify(people, photo), key=lambda answer: answer.face.box.x1)
        print(f"{photo.name}:", ", ".join(a.name or "unknown" for a in answers) or "no face")
