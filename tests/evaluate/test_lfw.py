"""The LFW protocol: lists, folds worked out by hand, an independent implementation, pictures."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import (
    DataFileError,
    DtypeError,
    InsufficientDataError,
    OutputError,
    RangeError,
    ShapeError,
)
from vultus.evaluate.embeddings import embed_pictures
from vultus.evaluate.protocols.lfw import (
    Pair,
    Picture,
    PictureTree,
    distances,
    evaluate_folds,
    evaluate_lfw,
    evaluate_transfer,
    read_pairs,
    write_pairs,
)

VIEW_2 = """2\t2
Ada\t1\t3
Bob_B\t2\t4
Ada\t1\tBob_B\t2
Cy\t7\tAda\t3
Ada\t1\t2
Cy\t1\t7
Bob_B\t4\tCy\t1
Cy\t7\tBob_B\t2
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return path


# -- lists --------------------------------------------------------------------------------------


def test_reading_pairs_with_folds(tmp_path: Path) -> None:
    listed = read_pairs(_file(tmp_path, VIEW_2))
    assert listed.folds == 2
    assert listed.fold.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert listed.pairs[0] == Pair(Picture("Ada", 1), Picture("Ada", 3), True)
    assert listed.pairs[3] == Pair(Picture("Cy", 7), Picture("Ada", 3), False)
    assert listed.same.tolist() == [True, True, False, False] * 2
    assert listed.subjects[6] == ("Bob_B", "Cy")
    assert listed.pictures[:3] == [Picture("Ada", 1), Picture("Ada", 2), Picture("Ada", 3)]
    assert len(listed.pictures) == 7


def test_reading_a_list_without_folds_and_without_tabs(tmp_path: Path) -> None:
    listed = read_pairs(_file(tmp_path, "1\nAda 1 3\nAda 1 Bob 2\n\n"))
    assert (listed.folds, listed.fold.tolist()) == (1, [0, 0])
    assert listed.pairs[1] == Pair(Picture("Ada", 1), Picture("Bob", 2), False)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "got nothing"),
        ("ten\t300\n", 1, "one or two numbers"),
        ("1\t2\t3\n", 1, "one or two numbers"),
        ("0\n", 1, "one or two numbers"),
        ("1\nAda\t1\n", 2, "3 or 4 fields, got 2"),
        ("1\nAda\t1\tx\nAda\t1\tBob\t2", 2, "named by their number"),
        ("1\nAda\t1\t2\nAda\t1\tAda\t2", 3, "must name two people"),
        ("1\n../x\t1\t2\nAda\t1\tBob\t2", 2, "no name of a folder"),
        ("1\n..\t1\t2\nAda\t1\tBob\t2", 2, "no name of a folder"),
        ("2\nAda\t1\t2\nAda\t1\tBob\t2", 1, "1 x 2 x 2 pairs are announced, the file has 2"),
        (VIEW_2.replace("Cy\t1\t7", "Cy\t1\tEve\t7"), 6, "fold 2 must have 2 pairs of each kind"),
    ],
)
def test_lists_that_are_wrong_say_where(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(DataFileError, match=said) as told:
        read_pairs(_file(tmp_path, text))
    assert told.value.fields["line"] == line


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read"):
        read_pairs(tmp_path / "gone.txt")
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataFileError, match="not UTF-8"):
        read_pairs(tmp_path / "pairs.txt")


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    listed = read_pairs(_file(tmp_path, VIEW_2))
    again = tmp_path / "again.txt"
    write_pairs(again, [listed.pairs[:4], listed.pairs[4:]])
    assert again.read_text() == VIEW_2
    write_pairs(again, [listed.pairs[3::-1]])  # one person first, whatever the order
    assert read_pairs(again).same.tolist() == [True, True, False, False]
    with pytest.raises(DataFileError, match="equally many"):
        write_pairs(again, [listed.pairs[:3]])
    odd = Picture("A\tb", 1)
    with pytest.raises(DataFileError, match="without tabs"):
        write_pairs(again, [[Pair(odd, odd, True), listed.pairs[2]]])
    with pytest.raises(OutputError):
        write_pairs(tmp_path / "no" / "where.txt", [listed.pairs[:4]])


def test_finding_pictures(tmp_path: Path) -> None:
    for name in ("Ada/Ada_0001.jpg", "Ada/Ada_0002.png", "Bob/x10.webp", "Bob/x9.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tree = PictureTree(tmp_path)
    assert tree.path(Picture("Ada", 1)) == tmp_path / "Ada/Ada_0001.jpg"
    assert tree.path(Picture("Ada", 2)) == tmp_path / "Ada/Ada_0002.png"
    assert tree.path(Picture("Ada", 3)) == tmp_path / "Ada/Ada_0003.jpg"  # and it is missing
    assert tree.path(Picture("Bob", 1)) == tmp_path / "Bob/x9.jpg"  # by natural order
    assert tree.path(Picture("Bob", 2)) == tmp_path / "Bob/x10.webp"
    assert tree.path(Picture("Cy", 1)) == tmp_path / "Cy/Cy_0001.jpg"


# -- distances and folds by hand ----------------------------------------------------------------


def test_distances() -> None:
    a, b = np.array([[3.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 4.0], [1.0, 0.0]])
    assert distances(a, b, "euclidean").tolist() == [25.0, 0.0]  # squared
    assert distances(a, b, "cosine") == pytest.approx([0.5, 0.0])  # a quarter turn is half of pi
    assert distances(a[1:], -b[1:], "cosine") == pytest.approx([1.0])
    with pytest.raises(RangeError, match="one is zero"):
        distances(a, b * 0, "cosine")
    with pytest.raises(RangeError, match="euclidean or cosine"):
        distances(a, b, "manhattan")
    with pytest.raises(ShapeError):
        distances(a, b[:1], "euclidean")


def _line(values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Points whose squared distance from each other is as given."""
    second = np.sqrt(np.array(values))[:, None]
    return np.zeros_like(second), second


def test_two_folds_by_hand() -> None:
    same = np.array([True, True, False, False] * 2)
    first, second = _line([0.105, 0.305, 0.505, 0.705, 0.205, 0.605, 0.405, 0.905])
    found = evaluate_folds(first, second, same, 2)
    # Fold 1 alone: all right from 0.31 to 0.50; the first is 0.31. On fold 2 that accepts 0.205
    # only: 3 of 4 right. Fold 2 alone: 0.21 is right but for 0.605, and so is 0.61 but for 0.405;
    # the first is 0.21. On fold 1 that accepts 0.105 only: 3 of 4.
    assert found.fold_accuracies == (0.75, 0.75)
    assert (found.accuracy, found.accuracy_std) == (0.75, 0.0)
    assert found.threshold == pytest.approx((0.21 + 0.31) / 2)
    assert found.similarity_threshold == pytest.approx(1 - 0.26 / 2)
    # 0.605 alone is beaten, by 0.405 and 0.505: 14 of 16.
    assert found.auc == pytest.approx(14 / 16)
    # FAR 1e-3 on two impostors of the training fold lies 1/500 of a step above the last grid
    # point below the nearest one: 0.505 -> 0.505 + 0.001 / 500 (0.505 < 0.506, not < 0.505).
    assert found.val == pytest.approx((0.5 + 1.0) / 2)  # 0.205 | 0.105 and 0.305
    assert found.val_std == pytest.approx(0.25)
    assert found.val_far == pytest.approx(0.25)  # 0.405 of fold 2 lies below 0.505


def test_deviation_and_standard_error() -> None:
    same = np.array([True, False] * 3)
    # Folds one and two are separate at 0.2; in the third the two are exchanged.
    first, second = _line([0.105, 0.905, 0.105, 0.905, 0.905, 0.105])
    found = evaluate_folds(first, second, same, 3)
    assert found.fold_accuracies == (0.5, 0.5, 0.0)
    assert found.accuracy_std == pytest.approx(np.std([0.5, 0.5, 0]))
    assert found.accuracy_standard_error == pytest.approx(np.std([0.5, 0.5, 0], ddof=1) / 3**0.5)


def test_threshold_of_another_list() -> None:
    same = np.array([True, True, False, False])
    train = (*_line([0.105, 0.305, 0.505, 0.705]), same)
    test = (*_line([0.205, 0.605, 0.405, 0.905]), same)
    found = evaluate_transfer(train, test)
    assert (found.accuracy, found.threshold) == (0.75, pytest.approx(0.31))
    assert (found.folds, found.pairs) == (1, 4)
    assert found.accuracy_std == pytest.approx(np.sqrt(0.75 * 0.25 / 4))


def test_a_pair_without_a_face_is_never_accepted() -> None:
    same = np.array([True, True, False, False] * 2)
    first, second = _line([0.105, 0.305, 0.505, 0.705] * 2)
    whole = evaluate_folds(first, second, same, 2)
    assert (whole.accuracy, whole.auc) == (1.0, 1.0)
    rejected = np.array([True, False, True, False] + [False] * 4)
    second[rejected] = np.nan  # never looked at
    found = evaluate_folds(first, second, same, 2, rejected=rejected)
    assert found.fold_accuracies == (0.75, 1.0)  # the genuine one is an error, the other is not
    # Of 16 comparisons the genuine one loses three and ties with the impostor one.
    assert found.auc == pytest.approx((12 + 0.5) / 16)


# -- an independent implementation --------------------------------------------------------------


def facenet(first, second, same, folds, distance, subtract_mean):
    """As the contract describes it, in plain loops with SciPy and scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    selection = pytest.importorskip("sklearn.model_selection")
    from scipy import interpolate, optimize

    def distance_of(mean):
        a, b = first - mean, second - mean
        if distance == "euclidean":
            return np.sum(np.square(a - b), 1)
        cosine = np.sum(a * b, 1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        return np.arccos(np.clip(cosine, -1, 1)) / np.pi

    accuracies, tprs, fprs, vals, fars, own = [], [], [], [], [], np.zeros(len(same))
    grid, fine = np.arange(0, 4, 0.01), np.arange(0, 4, 0.001)
    for train, test in selection.KFold(folds, shuffle=False).split(same):
        mean = np.mean(np.concatenate([first[train], second[train]]), axis=0)
        d = distance_of(mean if subtract_mean else 0.0)
        own[test] = d[test]
        best = np.argmax([np.mean((d[train] < t) == same[train]) for t in grid])
        accuracies.append(np.mean((d[test] < grid[best]) == same[test]))
        tprs.append([np.mean(d[test][same[test]] < t) for t in grid])
        fprs.append([np.mean(d[test][~same[test]] < t) for t in grid])
        far = np.array([np.mean(d[train][~same[train]] < t) for t in fine])
        threshold = 0.0
        if far.max() >= 1e-3:
            threshold = float(interpolate.interp1d(far, fine)(1e-3))
        vals.append(np.mean(d[test][same[test]] < threshold))
        fars.append(np.mean(d[test][~same[test]] < threshold))
    tpr, fpr = np.mean(tprs, 0), np.mean(fprs, 0)
    return {
        "accuracy": np.mean(accuracies),
        "accuracy_std": np.std(accuracies),
        "val": np.mean(vals),
        "val_std": np.std(vals),
        "val_far": np.mean(fars),
        "grid_auc": metrics.auc(fpr, tpr),
        "grid_eer": optimize.brentq(
            lambda x: 1.0 - x - interpolate.interp1d(fpr, tpr)(x), 0.0, 1.0
        ),
        "auc": metrics.roc_auc_score(same, -own),
    }


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("subtract_mean", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_figures_are_those_of_an_independent_implementation(distance, subtract_mean, seed) -> None:
    rng = np.random.default_rng(seed)
    same = np.tile(np.repeat([True, False], 30), 10)
    first = rng.normal(size=(600, 6)) + 0.7
    second = np.where(same[:, None], first, rng.normal(size=(600, 6)) + 0.7)
    second = second + 0.6 * rng.normal(size=(600, 6))
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    expected = facenet(first, second, same, 10, distance, subtract_mean)
    found = evaluate_folds(first, second, same, 10, distance=distance, subtract_mean=subtract_mean)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, abs=1e-9)


def test_uneven_folds_are_cut_like_scikit_learn_cuts_them() -> None:
    rng = np.random.default_rng(2)
    same = rng.random(47) < 0.5
    first, second = 0.25 * rng.normal(size=(2, 47, 3))  # all within the grid
    expected = facenet(first, second, same, 4, "euclidean", False)
    found = evaluate_folds(first, second, same, 4)
    assert found.accuracy == pytest.approx(expected["accuracy"])


# -- bad input ----------------------------------------------------------------------------------


def test_bad_arrays() -> None:
    same = np.array([True, True, False, False])
    first, second = _line([0.1, 0.2, 0.3, 0.4])
    with pytest.raises(InsufficientDataError, match="cannot be cut into 5 folds"):
        evaluate_folds(first, second, same, 5)
    with pytest.raises(InsufficientDataError, match="one has a single kind"):
        evaluate_folds(first, second, same, 2)
    with pytest.raises(InsufficientDataError, match="at least 2 folds"):
        evaluate_folds(first, second, same, np.zeros(4, int))
    with pytest.raises(ShapeError, match="one per pair"):
        evaluate_folds(first, second, same, np.zeros(3, int))
    with pytest.raises(ShapeError, match="rejected"):
        evaluate_folds(first, second, same, 2, rejected=np.zeros(3, bool))
    with pytest.raises(DtypeError, match="booleans"):
        evaluate_folds(first, second, np.array([1, 1, 0, 0]), 2)


# -- from pictures ------------------------------------------------------------------------------


@pytest.fixture
def tree(samples: Path, tmp_path: Path) -> Path:
    """Two people with two pictures each, a picture without a face, and a list of 2 folds."""
    known, photos = samples / "known", samples / "photos"
    root = tmp_path / "lfw"
    for source, name in (
        (known / "Barack Obama.jpg", "Obama/Obama_0001.jpg"),
        (photos / "obama2.jpg", "Obama/Obama_0002.jpg"),
        (known / "Joe Biden.jpg", "Biden/Biden_0001.jpg"),
        (known / "Joe Biden.jpg", "Biden/Biden_0002.jpg"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / name)
    Image.new("RGB", (100, 100)).save(root / "Biden/Biden_0003.png")
    return root


def _view_1(folder: Path, name: str, lines: str) -> Path:
    path = folder / name
    path.write_text(f"{len(lines.splitlines()) // 2}\n{lines}")
    return path


def test_from_pictures(tree: Path, tmp_path: Path) -> None:
    train = _view_1(tmp_path, "train.txt", "Obama\t1\t2\nObama\t1\tBiden\t1\n")
    test = _view_1(
        tmp_path,
        "test.txt",
        "Biden\t1\t2\nBiden\t1\t3\nBiden\t1\t9\nBiden\t1\tObama\t2\nBiden\t3\tObama\t2\nEve\t1\tBiden\t1\n",
    )
    embed = partial(embed_pictures, cache_folder=tmp_path / "cache")
    arguments = (tree, read_pairs(test), embed)
    found = evaluate_lfw(*arguments, threshold_from=read_pairs(train))
    assert (found.listed, found.left_out, found.rejected) == (6, 2, 2)
    assert found.missing == (
        str(tree / "Biden/Biden_0009.jpg"),
        str(tree / "Eve/Eve_0001.jpg"),
    )
    assert found.no_face == (str(tree / "Biden/Biden_0003.png"),)
    # Left are Biden 1-2 (right), Biden 1-3 (no face: an error), and two impostors (right).
    assert (found.figures.pairs, found.figures.accuracy) == (4, 0.75)
    assert found.figures.similarity_threshold == pytest.approx(0.97, abs=0.03)
    assert found.space == "dlib-resnet-v1/fd107ddb6263/128/dlib-10+mirror"
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["figures"]["accuracy"] == 0.75
    again = evaluate_lfw(*arguments, threshold_from=read_pairs(train))
    assert again.cached == 4  # Biden 1 and 2 are one file
    assert again.figures == found.figures


def test_a_list_without_folds_needs_another(tree: Path, tmp_path: Path) -> None:
    alone = read_pairs(_view_1(tmp_path, "test.txt", "Obama\t1\t2\nObama\t1\tBiden\t1\n"))
    with pytest.raises(DataFileError, match=r"has no folds.*pairsDevTrain\.txt"):
        evaluate_lfw(tree, alone)


def test_a_wrong_folder_is_told(tree: Path, tmp_path: Path) -> None:
    pairs = read_pairs(_view_1(tmp_path, "test.txt", "Obama\t1\t2\nObama\t1\tBiden\t1\n"))
    with pytest.raises(DataFileError, match=r"no pair of .* has both pictures in"):
        evaluate_lfw(tree / "Biden", pairs, threshold_from=pairs)


@pytest.mark.slow
def test_view_1_of_lfw(shared_data: Path, tmp_path: Path) -> None:
    """The first 40 pairs of each kind of both lists; the whole is a benchmark."""
    lfw = shared_data / "lfw"
    parts = []
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt"):
        pairs = read_pairs(lfw / name).pairs
        some = [p for p in pairs if p.same][:40] + [p for p in pairs if not p.same][:40]
        write_pairs(tmp_path / name, [some])
        parts.append(read_pairs(tmp_path / name))
    found = evaluate_lfw(
        lfw / "images",
        parts[1],
        partial(embed_pictures, use_cache=False),
        threshold_from=parts[0],
    )
    assert (found.missing, found.no_face) == ((), ())
    assert found.figures.accuracy >= 0.95
    assert found.figures.auc > 0.99
