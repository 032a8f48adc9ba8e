"""Bring encodings of face_recognition into a gallery, twice; the second time adds nothing.

python examples/11_import_encodings.py [ENCODINGS]

ENCODINGS is a pickle, JSON, NPY or NPZ file; without one, a small one is made.
"""

import pickle
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import vultus
from vultus.compat.importers import add_people, read_people
from vultus.samples import known_dir

with TemporaryDirectory() as folder, vultus.open_gallery(":memory:") as gallery:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "encodings.pickle"
    if not path.exists():  # as face_recognition would store it: vectors that are not of length 1
        v = vultus.load(mirror=False)
        found = {p.stem: v.embed(v.detect(p)[0]) for p in vultus.walk_images(known_dir())}
        path.write_bytes(pickle.dumps({n: (e.vector * e.raw_norm) for n, e in found.items()}))
    people = read_people(path)  # nothing in the file is run
    print(f"{len(people.faces)} encodings of {', '.join(people.people)}; {len(people.left)} left")
    for _ in range(2):
        outcome = add_people(gallery, people)
        print(f"{outcome.added} added, {outcome.known} known already")
