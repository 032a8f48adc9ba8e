"""The promise of a calibration: its false match rates hold on people it has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.decide import Normaliser, normalised_space, shipped_calibration, shipped_cohort
from vultus.evaluate.calibrate import calibrate
from vultus.evaluate.embeddings import EmbeddedPictures, EmbedOptions, embed_pictures
from vultus.evaluate.protocols.lfw import PictureTree, read_pairs

PICTURES = 450  # a side: about 100,000 impostor pairs, of which 100 may match at FMR 1e-3
SEED = 2


class Side:
    """Some people of one list of View 1, with all their pictures there, embedded."""

    def __init__(self, lfw: Path, name: str, cache: Path) -> None:
        listed = read_pairs(lfw / f"{name}.txt").pictures
        people = np.array([picture.person for picture in listed])
        drawn = np.random.default_rng(SEED).permutation(np.unique(people))
        rows: list[int] = []
        for person in drawn:
            rows += np.flatnonzero(people == person).tolist()
            if len(rows) >= PICTURES:
                break
        tree = PictureTree(lfw / "images")
        paths = [tree.path(listed[i]) for i in rows]
        self.made: EmbeddedPictures = embed_pictures(paths, EmbedOptions(), cache_folder=cache)
        self.people = people[rows]
        assert self.made.missing == []
        assert self.made.no_face == []

    def impostor(self, normaliser: Normaliser | None = None) -> NDArray[np.floating]:
        """Similarities of all pairs of different people, listed or not."""
        first, second = np.triu_indices(len(self.people), 1)
        strangers = self.people[first] != self.people[second]
        similarity = self.made.vectors @ self.made.vectors.T
        if normaliser is not None:
            similarity = normaliser.similarities(similarity, self.made.vectors, self.made.vectors)
        return np.asarray(similarity[first[strangers], second[strangers]])


@pytest.fixture(scope="module")
def sides(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    lfw, cache = shared_data / "lfw", tmp_path_factory.mktemp("cache")
    return Side(lfw, "pairsDevTrain", cache), Side(lfw, "pairsDevTest", cache)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_rates_hold_on_other_people(sides: tuple[Side, Side], rate: float):
    known, strangers = sides
    assert not set(known.people) & set(strangers.people)
    made = calibrate(
        known.made.vectors, known.people.tolist(), known.made.space, "a part of LFW", rounds=20
    )
    reached = strangers.impostor()
    assert len(reached) > 90_000
    measured = float((reached >= made.threshold(rate).value).mean())
    assert rate / 2 <= measured <= rate * 2


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_rates_of_the_shipped_calibration_hold(sides: tuple[Side, Side], rate: float):
    _, strangers = sides
    shipped = shipped_calibration(strangers.made.space)
    assert shipped is not None
    measured = float((strangers.impostor() >= shipped.threshold(rate).value).mean())
    assert rate / 2 <= measured <= rate * 2


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_rates_of_normalised_similarities_hold(sides: tuple[Side, Side], rate: float):
    _, strangers = sides
    shipped = shipped_calibration(normalised_space(strangers.made.space))
    cohort = shipped_cohort(strangers.made.space)
    assert shipped is not None
    assert cohort is not None
    reached = strangers.impostor(Normaliser(cohort))
    measured = float((reached >= shipped.threshold(rate).value).mean())
    assert rate / 2 <= measured <= rate * 2
