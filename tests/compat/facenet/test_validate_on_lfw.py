from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.facenet import validate_on_lfw as module
from vultus.compat.facenet.validate_on_lfw import LfwOptions, read_pairs, validate_on_lfw
from vultus.errors import (
    DataFileError,
    ImageNotFoundError,
    InsufficientDataError,
    RangeError,
)

# -- the original's arithmetic, written down from the contract with plain loops --------------------


def distance(a, b, metric: int) -> float:
    if metric == 0:
        return float(((a - b) ** 2).sum())
    return float(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) / np.pi)


def rates(threshold, dist, same) -> tuple[float, float, float]:
    accepted = dist < threshold
    tpr = (accepted & same).sum() / same.sum()
    fpr = (accepted & ~same).sum() / (~same).sum()
    return tpr, fpr, (accepted == same).mean()


def reference(first, second, same, folds: int, metric: int, subtract_mean: bool) -> dict:
    parts = np.array_split(np.arange(len(same)), folds)
    accuracy, val, far, curves = [], [], [], []
    for test in parts:
        train = np.setdiff1d(np.arange(len(same)), test)
        mean = np.zeros(first.shape[1])
        if subtract_mean:
            mean = np.concatenate([first[train], second[train]]).mean(axis=0)
        dist = np.array(
            [distance(a - mean, b - mean, metric) for a, b in zip(first, second, strict=True)]
        )
        grid = np.arange(0, 4, 0.01)
        best = max(grid, key=lambda t: rates(t, dist[train], same[train])[2])  # the first
        accuracy.append(rates(best, dist[test], same[test])[2])
        curves.append([rates(t, dist[test], same[test])[:2] for t in grid])
        fine = np.arange(0, 4, 0.001)
        fars = np.array([rates(t, dist[train], same[train])[1] for t in fine])
        limit = 0.0
        if fars.max() >= 1e-3:
            at = int(np.argmax(fars >= 1e-3))
            share = (1e-3 - fars[at - 1]) / (fars[at] - fars[at - 1])
            limit = fine[at - 1] + share * (fine[at] - fine[at - 1])
        found = rates(limit, dist[test], same[test])
        val.append(found[0])
        far.append(found[1])
    tpr, fpr = np.mean(curves, axis=0).T
    return {
        "accuracy": (np.mean(accuracy), np.std(accuracy)),
        "val": (np.mean(val), np.std(val), np.mean(far)),
        "auc": np.trapezoid(tpr, fpr),
    }


NAMES = ["A_B", "C", "D E", "F"]


def made_up(tmp_path: Path, folds: int = 4, each: int = 5) -> Path:
    """A list of pairs in LFW's layout, with empty files for its pictures."""
    random = np.random.default_rng(3)
    lines = [f"{folds}\t{each}"]
    for _ in range(folds):
        for _ in range(each):
            name = NAMES[random.integers(4)]
            lines.append(f"{name}\t{random.integers(1, 5)}\t{random.integers(5, 9)}")
        for _ in range(each):
            one, other = random.permutation(4)[:2]
            lines.append(
                f"{NAMES[one]}\t{random.integers(1, 9)}\t{NAMES[other]}\t{random.integers(1, 9)}"
            )
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(lines) + "\n")
    for name in NAMES:
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for number in range(1, 9):
            suffix = ".jpg" if number % 2 else ".png"
            (tmp_path / "lfw" / name / f"{name}_{number:04d}{suffix}").touch()
    return path


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch):
    """Embeddings drawn around one centre per person instead of looked up in pictures."""
    calls = {}

    def features(model, paths, talk, *, flipped, every, tick):
        random = np.random.default_rng(5)
        centres = random.standard_normal((len(NAMES), 16))
        rows = np.array([NAMES.index(path.parent.name) for path in paths])
        parts = []
        for _ in range(2 if flipped else 1):
            found = centres[rows] + 0.8 * random.standard_normal((len(rows), 16))
            parts.append(found / np.linalg.norm(found, axis=1, keepdims=True))
        vectors = np.concatenate(parts, axis=1)
        calls.update(paths=paths, vectors=vectors, every=every)
        for done in [*range(every, len(paths) + 1, every), len(paths)]:
            tick(done)
        return vectors

    monkeypatch.setattr(module, "features", features)
    return calls


@pytest.mark.parametrize("metric", [0, 1])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("subtract_mean", [False, True])
def test_the_four_lines(tmp_path: Path, stubbed, heard, metric, flipped, subtract_mean):
    pairs_file = made_up(tmp_path)
    options = LfwOptions(
        lfw_nrof_folds=4,
        lfw_batch_size=1,
        distance_metric=metric,
        use_flipped_images=flipped,
        subtract_mean=subtract_mean,
    )
    measured = validate_on_lfw(
        tmp_path / "lfw", "dlib-resnet-v1", pairs_file, options, talk=heard.talk
    )
    pairs = read_pairs(pairs_file)
    where = {(path.parent.name, int(path.stem[-4:])): i for i, path in enumerate(stubbed["paths"])}
    vectors = stubbed["vectors"]
    assert vectors.shape[1] == (32 if flipped else 16)
    expected = reference(
        vectors[[where[pair.first] for pair in pairs]],
        vectors[[where[pair.second] for pair in pairs]],
        np.array([pair.same for pair in pairs]),
        4,
        metric,
        subtract_mean,
    )
    assert stubbed["every"] == 10
    accuracy, val = expected["accuracy"], expected["val"]
    assert heard.lines == [
        "Model filename: dlib-resnet-v1",
        "Runnning forward pass on LFW images",
        "." * (len(where) // 10),
        f"Accuracy: {accuracy[0]:2.5f}+-{accuracy[1]:2.5f}",
        f"Validation rate: {val[0]:2.5f}+-{val[1]:2.5f} @ FAR={val[2]:2.5f}",
        f"Area Under Curve (AUC): {expected['auc']:1.3f}",
        f"Equal Error Rate (EER): {measured.grid_eer:1.3f}",
    ]
    assert 0.0 < measured.accuracy <= 1.0


def test_a_curve_that_never_meets_the_error_rate(tmp_path: Path, heard, monkeypatch):
    """Squared distances go up to 8 when flipped; the grid ends at 4, the original fails."""

    def features(model, paths, talk, *, flipped, every, tick):
        first = np.tile(np.eye(8)[0], 2)
        return np.stack([first if path.stem == "A_0001" else -first for path in paths])

    monkeypatch.setattr(module, "features", features)
    for name in ("A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.jpg"):
        (tmp_path / "lfw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lfw" / name).touch()
    (tmp_path / "p").write_text("1\n" + 2 * "A\t1\t2\nA\t1\tB\t1\n")
    options = LfwOptions(lfw_nrof_folds=2, use_flipped_images=True)
    validate_on_lfw(tmp_path / "lfw", "dlib-resnet-v1", tmp_path / "p", options, talk=heard.talk)
    assert heard.lines[3] == "Accuracy: 0.50000+-0.00000"
    assert heard.lines[-1] == "Equal Error Rate (EER): nan"


def test_a_fold_of_one_kind(tmp_path: Path, stubbed, heard):
    pairs = made_up(tmp_path)
    lines = pairs.read_text().splitlines()
    pairs.write_text("\n".join([lines[0], *sorted(lines[1:], key=lambda line: line.count("\t"))]))
    with pytest.raises(InsufficientDataError, match="every fold needs pairs of one person and of"):
        validate_on_lfw(
            tmp_path / "lfw",
            "dlib-resnet-v1",
            pairs,
            LfwOptions(lfw_nrof_folds=4),
            talk=heard.talk,
        )


def test_from_pictures(samples: Path, tmp_path: Path, heard):
    photos, root = samples / "photos", tmp_path / "lfw"
    (root / "Obama").mkdir(parents=True)
    (root / "Biden").mkdir()
    for number, path in enumerate(
        [samples / "known" / "Barack Obama.jpg", photos / "obama2.jpg", photos / "obama3.jpg"], 1
    ):
        shutil.copy(path, root / "Obama" / f"Obama_{number:04d}.jpg")
    shutil.copy(samples / "known" / "Joe Biden.jpg", root / "Biden" / "Biden_0001.jpg")
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(
        "whatever\n" + 2 * "Obama\t1\t2\nObama\t2\t3\nObama\t1\tBiden\t1\nObama\t3\tBiden\t1\n"
    )
    options = LfwOptions(lfw_nrof_folds=2, use_flipped_images=True)
    measured = validate_on_lfw(root, "dlib-resnet-v1", pairs, options, talk=heard.talk)
    assert measured.accuracy == 1.0
    assert heard.lines[2:4] == ["", "Accuracy: 1.00000+-0.00000"]
    assert heard.lines[5] == "Area Under Curve (AUC): 1.000"


class TestReadPairs:
    def test_the_first_line_is_passed_over(self, tmp_path: Path):
        (tmp_path / "p").write_text("anything\nA\t1\t2\n\nA B\t3\tC\t04\n")
        same, different = read_pairs(tmp_path / "p")
        assert (same.first, same.second, same.same) == (("A", 1), ("A", 2), True)
        assert (different.first, different.second) == (("A B", 3), ("C", 4))
        assert not different.same

    def test_split_at_spaces_where_there_is_no_tab(self, tmp_path: Path):
        (tmp_path / "p").write_text("10 300\nA 1 2\n")
        assert read_pairs(tmp_path / "p")[0].second == ("A", 2)

    @pytest.mark.parametrize(
        "line", ["A\t1", "A\tx\t2", "A\t1\tA\t2", "A\t1\tB\t2\t3", "..\t1\t2", "a/b\t1\t2"]
    )
    def test_wrong_lines_are_named(self, tmp_path: Path, line):
        (tmp_path / "p").write_text(f"1\t1\nA\t1\t2\n{line}\n")
        with pytest.raises(DataFileError, match="line 3"):
            read_pairs(tmp_path / "p")

    def test_no_list(self, tmp_path: Path):
        with pytest.raises(DataFileError, match="cannot be read") as caught:
            read_pairs(tmp_path / "no")
        assert "--lfw_pairs" in caught.value.remedy
        (tmp_path / "empty").write_text("10\t300\n")
        with pytest.raises(DataFileError, match="holds no pair"):
            read_pairs(tmp_path / "empty")
        (tmp_path / "bytes").write_bytes(b"\xff\xfe\n\xff")
        with pytest.raises(DataFileError, match="cannot be read"):
            read_pairs(tmp_path / "bytes")


def test_a_picture_that_is_missing(tmp_path: Path, stubbed, heard):
    pairs = made_up(tmp_path)
    shutil.rmtree(tmp_path / "lfw" / "C")
    with pytest.raises(ImageNotFoundError, match=r'^No file ".*C_000\d" with extension png or jpg'):
        validate_on_lfw(tmp_path / "lfw", "dlib-resnet-v1", pairs, talk=heard.talk)


def test_more_folds_than_pairs(tmp_path: Path, stubbed, heard):
    pairs = made_up(tmp_path, folds=1, each=2)
    with pytest.raises(InsufficientDataError):
        validate_on_lfw(tmp_path / "lfw", "dlib-resnet-v1", pairs, talk=heard.talk)


@pytest.mark.parametrize(
    "options", [{"distance_metric": 2}, {"lfw_batch_size": 0}, {"image_size": 0}]
)
def test_options_out_of_range(options):
    with pytest.raises(RangeError, match=next(iter(options))):
        LfwOptions(**options)
