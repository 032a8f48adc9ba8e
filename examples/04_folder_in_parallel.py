"""Count the faces of a folder, one picture per CPU at a time.

python examples/04_folder_in_parallel.py [FOLDER]
"""

import sys
from pathlib import Path

import vultus
from vultus.runtime import default_threads, ordered_map
from vultus.samples import photos_dir

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else photos_dir()
v = vultus.load(threads=1)  # the pictures run side by side, so each takes one thread


def count(path: Path) -> tuple[Path, int | vultus.VultusError]:
    """How many faces a picture shows; only the number is kept, so memory stays flat."""
    try:
        return path, len(v.detect(path))
    except vultus.VultusError as error:
        return path, error


for path, found in ordered_map(count, vultus.walk_images(folder), default_threads()):
    print(f"{path.name}: {found} face(s)" if isinstance(found, int) else f"{path.name}: {found}")
