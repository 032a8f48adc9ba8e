"""Identification on a folder of people: the split, and rates by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import ImageNotFoundError, InsufficientDataError, RangeError
from vultus.evaluate.embeddings import EmbeddedPictures
from vultus.evaluate.metrics import Resampling
from vultus.evaluate.protocols.identification import (
    evaluate_identification,
    scan_people,
    split_people,
)


def _tree(root: Path, counts: dict[str, int]) -> Path:
    """Files whose name is all that counts."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.jpg").write_bytes(f"{name} {i}".encode())
    return root


def _embed(sources, *, points=None):
    """People stand 10 degrees apart in the order of their letters; pictures 1 degree."""
    angles = [10 * (ord(p.parent.name[0]) - ord("A")) + 0.5 * int(p.stem) for p in sources]
    found = [not p.parent.name.endswith("!") for p in sources]
    radians = np.radians(angles)
    return EmbeddedPictures.of(np.stack([np.cos(radians), np.sin(radians)], 1), "x", found)


# -- the folder ---------------------------------------------------------------------------------


def test_scanning(tmp_path: Path) -> None:
    root = _tree(tmp_path / "people", {"Ada": 2, "Bob": 1})
    (root / "loose.jpg").touch()
    (root / "Empty").mkdir()
    (root / "Ada" / "more").mkdir()
    (root / "Ada" / "more" / "10.jpg").touch()
    tree = scan_people(root)
    assert {name: [p.name for p in paths] for name, paths in tree.people.items()} == {
        "Ada": ["0.jpg", "1.jpg", "10.jpg"],
        "Bob": ["0.jpg"],
    }
    assert tree.names == ["Ada", "Ada", "Ada", "Bob"]
    assert len(tree.pictures) == 4
    assert (tree.single, tree.loose) == (("Bob",), (root / "loose.jpg",))


def test_empty_folders_have_an_error_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(InsufficientDataError, match="holds no folder with pictures"):
        scan_people(tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(InsufficientDataError, match="a folder of their own"):
        scan_people(tmp_path)
    with pytest.raises(ImageNotFoundError):
        scan_people(tmp_path / "gone")


# -- the split ----------------------------------------------------------------------------------


def test_the_split_is_drawn_by_the_seed(tmp_path: Path) -> None:
    tree = scan_people(_tree(tmp_path, {"A": 5, "B": 1, "C": 3, "D": 2}))
    split = split_people(tree, enroll=2, seed=1)
    assert len(split.enrolled) == 2 + 1 + 2 + 2
    assert len(split.probes) == 3 + 0 + 1 + 0
    assert sorted([*split.enrolled, *split.probes]) == list(range(11))
    assert len(split.unenrolled) == 2
    again = split_people(tree, enroll=2, seed=1)
    assert split.enrolled.tolist() == again.enrolled.tolist()
    assert split.unenrolled == again.unenrolled
    others = [split_people(tree, enroll=2, seed=seed).enrolled.tolist() for seed in range(9)]
    assert len({tuple(other) for other in others}) > 1


def test_splits_that_cannot_be(tmp_path: Path) -> None:
    tree = scan_people(_tree(tmp_path / "a", {"A": 2, "B": 2}))
    with pytest.raises(InsufficientDataError, match="more than 2 pictures of one of them"):
        split_people(tree, enroll=2)
    with pytest.raises(InsufficientDataError, match="has 1 people"):
        split_people(scan_people(_tree(tmp_path / "b", {"A": 5})))
    for options in ({"enroll": 0}, {"unenrolled_share": 0.0}, {"unenrolled_share": 1.0}):
        with pytest.raises(RangeError, match="at least 1 and the unenrolled share"):
            split_people(tree, **options)


# -- rates --------------------------------------------------------------------------------------


def test_rates_by_hand(tmp_path: Path) -> None:
    # B's third picture stands at 10 + 30 = 40 degrees: where E's are.
    root = _tree(tmp_path, {"A": 2, "B": 2, "C": 2, "D": 2, "E": 1})
    (root / "B" / "60.jpg").write_bytes(b"B 60")
    found = evaluate_identification(
        scan_people(root), _embed, ranks=(1, 2, 5), fpirs=(0.25, 0.01), seed=5
    )
    assert (found.people, found.enrolled, found.closed_probes) == (5, 5, 5)
    assert found.single == ("E",)
    # Whichever of B's is enrolled, 60.jpg and the others find E or each other at first.
    assert found.rank_rates[1].value < 1.0
    assert found.rank_rates[5].value == 1.0
    assert found.cmc[0] == found.rank_rates[1].value
    assert found.open_enrolled == 3  # of five, two are left out (rounding 2.5 to even)
    assert "FPIR 0.01 takes at least 100 non-mated searches" in found.out_of_reach[0.01]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["rank_rates"]["5"]["value"] == 1.0
    assert document["seed"] == 5


def test_perfect_people_are_all_found(tmp_path: Path) -> None:
    tree = scan_people(_tree(tmp_path, dict.fromkeys("ABCDEFGH", 4)))
    found = evaluate_identification(tree, _embed, fpirs=(0.1,), how=Resampling(rounds=0))
    assert found.rank_rates == {1: 1.0, 5: 1.0, 10: 1.0, 20: 1.0}
    (point,) = found.open_points
    # Mates stand at most 1.5 degrees apart, strangers at least 8.5.
    assert (point.mated, point.nonmated) == (12, 16)
    assert (point.fnir, point.threshold < np.cos(np.radians(1.5))) == (0.0, True)
    assert point.fpir <= 0.1


def test_pictures_without_a_face_count_as_misses(tmp_path: Path) -> None:
    tree = scan_people(_tree(tmp_path, {"A": 3, "B": 3, "C!": 3, "D": 3}))
    found = evaluate_identification(tree, _embed, ranks=(1, 99), fpirs=())
    assert found.enrolled == 4
    assert found.rank_rates[99].value == pytest.approx(6 / 8)
    assert len(found.lost_enrolled) == 1
    assert len(found.lost_probes) == 2
