"""Who do I look like? Rank the people of a folder, and draw them side by side.

python examples/10_lookalike.py [PHOTO [FOLDER [OUTPUT.jpg]]]

FOLDER holds one folder, or one picture, per person.
"""

import sys
from pathlib import Path

from vultus.draw import write_image
from vultus.lookalike import draw_lookalikes, find_lookalikes
from vultus.samples import known_dir, photos_dir

photo = Path(sys.argv[1]) if len(sys.argv) > 1 else photos_dir() / "obama3.jpg"
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else known_dir()
output = Path(sys.argv[3]) if len(sys.argv) > 3 else Path("lookalike.jpg")

# Every part by its name: the best detector and embedder here, the mirror image counts as well.
found = find_lookalikes(photo, folder, top=5, flip=True)
for rank, match in enumerate(found.matches, start=1):
    print(f"{rank}. {match.name}: {match.similarity:.3f}")
write_image(draw_lookalikes(found), output)
print(f"{output.name}: faces by {found.detector}, embeddings by {found.space.model}")
