"""MegaFace: ranks among growing sets of strangers, by hand and by a plain loop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import ImageNotFoundError, InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.embeddings import EmbeddedPictures
from vultus.evaluate.protocols import megaface
from vultus.evaluate.protocols.megaface import evaluate_features, evaluate_megaface


def _at(degrees: list[float]) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_by_hand() -> None:
    # Ada at 0 and 20 degrees, Bob at 90 and 93, Cy alone.
    probes = _at([0, 20, 90, 93, 200])
    names = ["ada", "ada", "bob", "bob", "cy"]
    strangers = _at([300, 10, 20, 95])
    found = evaluate_features(probes, names, strangers, sizes=(1, 2, 3, 4, 9), ranks=(1, 2))
    assert (found.pairs, found.subjects, found.distractors) == (4, 3, 4)
    assert found.out_of_reach == (9,)
    assert found.rates[1] == {1: 1.0, 2: 1.0}
    # The stranger at 10 is nearer to both of Ada's than they are to each other.
    assert found.rates[2] == {1: 0.5, 2: 1.0}
    # The one at 20 as well, where a tie counts against the mate.
    assert found.rates[3] == {1: 0.5, 2: 0.5}
    # And 95 is nearer to 93 than 90 is, not so the other way round.
    assert found.rates[4] == {1: 0.25, 2: 0.5}
    assert json.loads(json.dumps(found.to_dict()))["rates"]["4"]["1"] == 0.25


def test_probes_without_a_face_are_never_found() -> None:
    found = evaluate_features(
        _at([0, 1, 2]),
        ["ada"] * 3,
        _at([180]),
        sizes=(1,),
        ranks=(1,),
        found=np.array([True, True, False]),
    )
    assert (found.pairs, found.rates) == (6, {1: {1: pytest.approx(2 / 6)}})


def test_many_against_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(megaface, "_BLOCK_CELLS", 500)
    rng = np.random.default_rng(0)
    probes, strangers = rng.normal(size=(30, 5)), rng.normal(size=(200, 5))
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    strangers /= np.linalg.norm(strangers, axis=1, keepdims=True)
    who = np.arange(30) // 3
    found = evaluate_features(probes, who, strangers, sizes=(10, 70, 200), ranks=(1, 3, 20))
    for size in (10, 70, 200):
        for rank in (1, 3, 20):
            hits = [
                1 + sum(probes[i] @ s >= probes[i] @ probes[j] for s in strangers[:size]) <= rank
                for i in range(30)
                for j in range(30)
                if i != j and who[i] == who[j]
            ]
            assert found.rates[size][rank] == pytest.approx(np.mean(hits))


def test_from_pictures(samples: Path, tmp_path: Path) -> None:
    for name in ("Ada/1.jpg", "Ada/2.jpg", "Bob/1.jpg"):
        (tmp_path / "probes" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(samples / "photos" / "wall.jpg", tmp_path / "probes" / name)
    (tmp_path / "others").mkdir()
    for i in range(3):
        shutil.copy(samples / "photos" / "wall.jpg", tmp_path / "others" / f"{i}.jpg")

    def embed(sources, *, points=None):
        angles = [{"Ada": 0, "Bob": 90}.get(s.parent.name, 180) for s in sources]
        found = [s.name != "2.jpg" or s.parent.name == "Ada" for s in sources]
        return EmbeddedPictures.of(_at(angles), "x", found)

    found = evaluate_megaface(tmp_path / "probes", tmp_path / "others", embed, sizes=(1, 2, 3))
    assert found.rates == {1: {1: 1.0, 10: 1.0}, 2: {1: 1.0, 10: 1.0}}
    assert (found.distractors, found.out_of_reach, found.single) == (2, (3,), ("Bob",))
    assert found.lost_distractors == ("picture 2",)
    (tmp_path / "none").mkdir()
    with pytest.raises(InsufficientDataError, match="holds no distractors"):
        evaluate_megaface(tmp_path / "probes", tmp_path / "none", embed)
    with pytest.raises(ImageNotFoundError):
        evaluate_megaface(tmp_path / "gone", tmp_path / "others", embed)


def test_bad_input() -> None:
    probes, strangers = _at([0, 1]), _at([90])
    with pytest.raises(InsufficientDataError, match="takes 10 distractors, there are 1"):
        evaluate_features(probes, ["a", "a"], strangers)
    with pytest.raises(InsufficientDataError, match="another picture of the same person"):
        evaluate_features(probes, ["a", "b"], strangers, sizes=(1,))
    with pytest.raises(RangeError, match="at least 1"):
        evaluate_features(probes, ["a", "a"], strangers, sizes=(0, 1))
    with pytest.raises(RangeError, match="at least 1"):
        evaluate_features(probes, ["a", "a"], strangers, sizes=())
    with pytest.raises(ShapeError, match="as long as the probes"):
        evaluate_features(probes, ["a", "a"], strangers[:, :1], sizes=(1,))
    with pytest.raises(RangeError, match="finite"):
        evaluate_features(probes, ["a", "a"], strangers * np.nan, sizes=(1,))
