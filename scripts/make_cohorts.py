"""Make the cohorts that ship with vultus, of the people of LFW's pairsDevTrain.

    python scripts/make_cohorts.py LFW_FOLDER

LFW_FOLDER holds ``images/`` and ``pairsDevTrain.txt``. The files go to vultus/models/cohorts, a
quarter of float32's size: int8, each row scaled to its largest number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from vultus.evaluate.cohort import mixed_strangers
from vultus.evaluate.embeddings import EmbedOptions, embed_pictures
from vultus.evaluate.protocols.lfw import PictureTree, read_pairs

OUT = Path(__file__).resolve().parents[1] / "vultus" / "models" / "cohorts"
MODELS = ("dlib-resnet-v1",)


def main() -> int:
    """Embed, mix, write."""
    lfw = Path(sys.argv[1])
    pictures = read_pairs(lfw / "pairsDevTrain.txt").pictures
    tree = PictureTree(lfw / "images")
    paths = [tree.path(picture) for picture in pictures]
    OUT.mkdir(exist_ok=True)
    for model in MODELS:
        for mirror in (False, True):
            made = embed_pictures(paths, EmbedOptions(model=model, mirror=mirror, face="center"))
            rows = np.flatnonzero(made.found)
            strangers = mixed_strangers(made.vectors[rows], [pictures[i].person for i in rows])
            codes = np.round(strangers / np.abs(strangers).max(axis=1, keepdims=True) * 127)
            file = OUT / f"{made.space.model}.{made.space.preprocessing}.npz"
            np.savez_compressed(file, space=made.space.id, vectors=codes.astype(np.int8))
            print(f"{file.name}: {len(strangers)} strangers, {file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
