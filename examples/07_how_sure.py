"""How sure is it? Thresholds by error rate, and what a similarity means in strangers.

python examples/07_how_sure.py
"""

import vultus
from vultus.decide import in_words, shipped_calibration
from vultus.samples import known_dir, photos_dir

obama, biden = known_dir() / "Barack Obama.jpg", known_dir() / "Joe Biden.jpg"

v = vultus.load(threshold="fmr=1e-4")  # a door: one stranger in ten thousand
print("threshold:", round(v.threshold.value, 3), "from", v.threshold.source[:10])
for one, other in ((obama, photos_dir() / "obama3.jpg"), (obama, biden)):
    print(f"{one.stem} and {other.stem}:", in_words(v.verify(one, other)))

calibration = shipped_calibration(v.embedder.space)
for people in (1, 100):  # the more people a stranger is compared with, the higher it must be
    limit = calibration.threshold_for_gallery(people, fpir=1e-2)
    print(f"{people} enrolled, one stranger in a hundred gets in: from {limit.value:.3f} on")
