"""Do two pictures show the same person?

python examples/02_compare.py [PICTURE PICTURE]
"""

import sys

import vultus
from vultus.samples import known_dir, photos_dir

samples = (known_dir() / "Barack Obama.jpg", photos_dir() / "obama2.jpg")
first, second = sys.argv[1:3] if len(sys.argv) > 2 else samples

decision = vultus.load().verify(first, second)
limit = decision.threshold
print("the same person" if decision.same else "different people")
print(f"similarity {decision.similarity:.3f}, threshold {limit.value:.3f} ({limit.policy})")
print(f"measured on: {limit.source}")
