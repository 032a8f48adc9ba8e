"""Make the strangers that ship with vultus, and the calibrations of what they normalise.

    python scripts/make_cohorts.py LFW_FOLDER

LFW_FOLDER holds ``images/`` and ``pairsDevTrain.txt``. Half of its people, drawn at random, are
mixed into strangers; the similarities that these normalise are calibrated on the other half. The
strangers go to vultus/models/cohorts as int8, each row scaled to its largest number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from vultus.decide import Normaliser, shipped_cohort
from vultus.evaluate.calibrate import calibrate
from vultus.evaluate.cohort import mixed_strangers
from vultus.evaluate.embeddings import EmbeddedPictures, EmbedOptions, embed_pictures
from vultus.evaluate.protocols.lfw import PictureTree, read_pairs
from vultus.evaluate.quality import picture_quality

MODELS = Path(__file__).resolve().parents[1] / "vultus" / "models"
NAMES = ("dlib-resnet-v1",)
DATA = (
    "LFW View 1, half of the people of pairsDevTrain: every pair of its {pictures:,} pictures, the"
    " face in the middle of each, found by MTCNN; normalised by strangers mixed of the other half"
)


def main() -> int:
    """Embed, mix, calibrate, write."""
    lfw = Path(sys.argv[1])
    pictures = read_pairs(lfw / "pairsDevTrain.txt").pictures
    tree = PictureTree(lfw / "images")
    paths = [tree.path(picture) for picture in pictures]
    people = np.array([picture.person for picture in pictures])
    everybody = np.unique(people)
    drawn = np.random.default_rng(0).permutation(everybody)[: len(everybody) // 2]
    mixed = np.isin(people, drawn)
    for name in NAMES:
        for mirror in (False, True):
            options = EmbedOptions(model=name, mirror=mirror, face="center")
            made = embed_pictures(paths, options)
            write_cohort(made, people, mixed & made.found)
            write_calibration(made, people, ~mixed & made.found, picture_quality(options)(paths))
    return 0


def write_cohort(made: EmbeddedPictures, people: np.ndarray, rows: np.ndarray) -> None:
    """Mix the people of some rows."""
    strangers = mixed_strangers(made.vectors[rows], people[rows].tolist())
    codes = np.round(strangers / np.abs(strangers).max(axis=1, keepdims=True) * 127)
    file = MODELS / "cohorts" / f"{made.space.model}.{made.space.preprocessing}.npz"
    file.parent.mkdir(exist_ok=True)
    np.savez_compressed(file, space=made.space.id, vectors=codes.astype(np.int8))
    print(f"{file.name}: {len(strangers)} strangers, {file.stat().st_size:,} bytes")


def write_calibration(
    made: EmbeddedPictures, people: np.ndarray, rows: np.ndarray, quality: np.ndarray
) -> None:
    """Calibrate with what was just written, as whoever loads it will."""
    cohort = shipped_cohort(made.space)
    if cohort is None:
        raise RuntimeError("the strangers just written must be found")
    found = calibrate(
        made.vectors[rows],
        people[rows].tolist(),
        made.space,
        DATA.format(pictures=int(rows.sum())),
        quality=quality[rows],
        normaliser=Normaliser(cohort),
    )
    file = MODELS / "calibrations" / f"{found.space.model}.{found.space.preprocessing}.json"
    file.write_text(found.to_json(), encoding="utf-8")
    print(f"{file.name}: {found.subjects:,} people, {found.impostor:,} impostor pairs")


if __name__ == "__main__":
    sys.exit(main())
