"""Verification on a folder of people: drawn pairs, copies, wrong labels, leaks."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate.embeddings import EmbeddedPictures, embed_pictures
from vultus.evaluate.metrics import Resampling
from vultus.evaluate.protocols.folder import (
    draw_pairs,
    evaluate_folder,
    find_leaks,
    scan_people,
    write_pairs,
)
from vultus.evaluate.protocols.lfw import PictureTree, evaluate_lfw, read_pairs


def _tree(root: Path, counts: dict[str, int], name: str = "{person}_{i:04d}.jpg") -> Path:
    for person, count in counts.items():
        (root / person).mkdir(parents=True)
        for i in range(1, count + 1):
            file = root / person / name.format(person=person, i=i)
            file.write_bytes(f"{person} {i}".encode())
    return root


def _embed(sources, *, points=None):
    angles = [10 * (ord(p.parent.name[0]) - ord("A")) + len(p.stem) for p in sources]
    radians = np.radians(angles)
    return EmbeddedPictures.of(np.stack([np.cos(radians), np.sin(radians)], 1), "x")


TEN = {chr(ord("A") + i): 3 + i % 3 for i in range(12)} | {"Y": 1, "Z": 1}


def test_folds_have_people_of_their_own_and_equal_kinds(tmp_path: Path) -> None:
    drawn = draw_pairs(scan_people(_tree(tmp_path, TEN)), folds=3, seed=4)
    assert len(drawn.folds) == 3
    sizes = {len(fold) for fold in drawn.folds}
    assert len(sizes) == 1
    assert min(sizes) >= 20
    people = []
    for fold in drawn.folds:
        assert sum(pair.same for pair in fold) == len(fold) / 2
        assert len({(pair.first, pair.second) for pair in fold}) == len(fold)
        assert all((p.first.person == p.second.person) == p.same for p in fold)
        people.append({person for p in fold for person in (p.first.person, p.second.person)})
    assert len(people[0] | people[1] | people[2]) == sum(map(len, people))
    assert drawn.single == ("Y", "Z")


def test_pairs_are_drawn_by_the_seed(tmp_path: Path) -> None:
    tree = scan_people(_tree(tmp_path, TEN))
    assert draw_pairs(tree, folds=2).folds == draw_pairs(tree, folds=2).folds
    assert draw_pairs(tree, folds=2).folds != draw_pairs(tree, folds=2, seed=1).folds
    few = draw_pairs(tree, folds=2, most=11)
    assert [len(fold) for fold in few.folds] == [4, 4]


def test_everybody_has_a_turn_before_anybody_has_two(tmp_path: Path) -> None:
    counts = {"A": 40, "B": 30, "C": 4, "D": 4, "E": 3, "F": 3}
    drawn = draw_pairs(scan_people(_tree(tmp_path, counts)), folds=2, most=24)
    for fold in drawn.folds:
        genuine = [pair.first.person for pair in fold if pair.same]
        assert sorted(genuine.count(person) for person in set(genuine)) == [2, 2, 2]


@pytest.mark.parametrize("name", ["{person}_{i:04d}.jpg", "img{i}.png", "more/{i}.webp"])
def test_a_written_list_reads_back_to_the_same_pictures(tmp_path: Path, name: str) -> None:
    root = tmp_path / "people"
    for person in "ABCDEF":
        (root / person / "more").mkdir(parents=True)
    for person in "ABCDEF":
        for i in range(1, 13):
            (root / person / name.format(person=person, i=i)).write_bytes(f"{person}{i}".encode())
    drawn = draw_pairs(scan_people(root), folds=2, most=60)
    write_pairs(tmp_path / "pairs.txt", drawn.folds)
    listed = read_pairs(tmp_path / "pairs.txt")
    assert listed.folds == 2
    assert set(listed.pairs) == set(drawn.pairs.pairs)
    tree = PictureTree(root)
    assert {picture: tree.path(picture) for picture in listed.pictures} == {
        picture: drawn.paths[picture] for picture in listed.pictures
    }
    first = evaluate_folder(scan_people(root), _embed, drawn=drawn).folds.figures
    assert evaluate_lfw(root, listed, _embed).figures.accuracy == first.accuracy


def test_pictures_that_lfw_cannot_name_are_told(tmp_path: Path) -> None:
    root = _tree(tmp_path, TEN)
    (root / "A" / "other.jpg").write_bytes(b"other")
    drawn = draw_pairs(scan_people(root), folds=2)
    assert drawn.unnamed == (str(root / "A" / "other.jpg"),)
    assert root / "A" / "other.jpg" not in drawn.paths.values()


def test_copies_make_no_pair_and_wrong_labels_none_at_all(tmp_path: Path) -> None:
    root = _tree(tmp_path, TEN)
    shutil.copy(root / "B" / "B_0001.jpg", root / "B" / "B_0002.jpg")
    shutil.copy(root / "C" / "C_0001.jpg", root / "D" / "D_0003.jpg")
    drawn = draw_pairs(scan_people(root), folds=2, most=10_000)
    assert {leak.people for leak in drawn.repeated} == {("B",), ("C", "D")}
    (wrong,) = drawn.mislabelled
    assert wrong.paths == (str(root / "C/C_0001.jpg"), str(root / "D/D_0003.jpg"))
    for pair in drawn.pairs.pairs:
        names = {(picture.person, picture.number) for picture in (pair.first, pair.second)}
        assert names != {("B", 1), ("B", 2)}
        assert not names & {("C", 1), ("D", 3)}


def test_pictures_of_two_folders(tmp_path: Path) -> None:
    ours = scan_people(_tree(tmp_path / "test", {"A": 2, "B": 2}))
    theirs = scan_people(_tree(tmp_path / "train", {"B": 1, "C": 2}))
    (leak,) = find_leaks(ours, theirs)
    assert leak.people == ("B",)
    assert leak.paths == (
        str(tmp_path / "test/B/B_0001.jpg"),
        str(tmp_path / "train/B/B_0001.jpg"),
    )
    assert find_leaks(ours, scan_people(_tree(tmp_path / "x", {"X": 2}))) == []


def test_too_few_people(tmp_path: Path) -> None:
    tree = scan_people(_tree(tmp_path, {"A": 3, "B": 1, "C": 1}))
    with pytest.raises(InsufficientDataError) as told:
        draw_pairs(tree, folds=2)
    assert "2 folds take as many people with two different pictures" in told.value.message
    assert told.value.fields == {"expected": 2, "actual": 1}
    with pytest.raises(RangeError, match="2 folds or more"):
        draw_pairs(tree, folds=1)
    with pytest.raises(RangeError, match="2 pairs per fold"):
        draw_pairs(tree, folds=2, most=3)


def test_the_whole_folder(tmp_path: Path) -> None:
    root = _tree(tmp_path / "people", TEN)
    shutil.copy(root / "B" / "B_0001.jpg", root / "B" / "B_0002.jpg")
    (root / "loose.jpg").touch()
    train = scan_people(_tree(tmp_path / "train", {"A": 1}))
    found = evaluate_folder(
        scan_people(root),
        _embed,
        folds=3,
        against=train,
        fmrs=(0.1, 1e-6),
        how=Resampling(rounds=20),
    )
    assert found.folds.figures.accuracy == 1.0
    assert (found.people, found.pictures, found.loose) == (14, 50, 1)
    assert found.cross_pictures == 50
    assert found.cross.subjects == 14
    # Everybody's pictures are equal, so every genuine pair beats every impostor pair.
    assert found.cross.points[0].fnmr == 0.0
    assert found.cross.points[0].fnmr_interval.high > 0
    assert [lost.target_fmr for lost in found.cross.out_of_reach] == [1e-6]
    assert [leak.people for leak in found.leaked] == [("A",)]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["repeated"][0]["people"] == ["B"]
    assert document["cross"]["points"][0]["tar"] == 1.0


def test_large_folders_are_compared_in_part(tmp_path: Path, monkeypatch) -> None:
    from vultus.evaluate.protocols import folder

    monkeypatch.setattr(folder, "_MOST_CROSS_PICTURES", 20)
    tree = scan_people(_tree(tmp_path, TEN))
    found = evaluate_folder(tree, _embed, folds=2, how=Resampling(rounds=0))
    assert found.cross_pictures == 20


def test_from_pictures(shared_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "people"
    for folder in sorted((shared_data / "people").iterdir()):
        (root / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:4]:
            shutil.copy(path, root / folder.name)
    found = evaluate_folder(
        scan_people(root), partial(embed_pictures), folds=2, how=Resampling(rounds=50)
    )
    assert found.folds.figures.accuracy >= 0.85
    assert found.folds.cached == 0
    assert found.cross.area_under_curve.value > 0.98
