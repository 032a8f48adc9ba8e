"""``vultus evaluate``: what each command prints, and what it refuses."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]

LFW_KEYS = [
    "pairs", "accuracy", "accuracy_std", "auc", "eer", "val_at_far_1e-3", "threshold",
    "no_face", "missing", "seconds",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads, or writes, the cache of whoever runs it."""
    folder = tmp_path / "vultus-cache"
    monkeypatch.setenv("VULTUS_CACHE", str(folder))
    return folder


@pytest.fixture
def people(shared_data: Path, tmp_path: Path) -> Path:
    """Four people with three pictures each, named as LFW names them."""
    root = tmp_path / "people"
    for name in ("ben_afflek", "elton_john", "jerry_seinfeld", "madonna"):
        (root / name).mkdir(parents=True)
        for i, path in enumerate(sorted((shared_data / "people" / name).iterdir())[:3], 1):
            image = Image.open(path).convert("RGB")
            image.save(root / name / f"{name}_{i:04d}.jpg", quality=95)
    return root


PAIRS = """2\t1
ben_afflek\t1\t2
ben_afflek\t1\telton_john\t1
madonna\t1\t2
madonna\t1\tjerry_seinfeld\t1
"""


def _list(folder: Path, text: str, name: str = "pairs.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# -- lfw ----------------------------------------------------------------------------------------


def test_lfw_prints_exactly_these_keys(vultus: Run, people: Path, tmp_path: Path) -> None:
    pairs = _list(tmp_path, PAIRS)
    ended = vultus("evaluate", "lfw", "--images", people, "--pairs", pairs, "--json")
    assert ended.code == 0
    (line,) = ended.out.splitlines()
    found = json.loads(line)
    assert list(found) == LFW_KEYS
    assert found["pairs"] == 4
    assert (found["auc"], found["eer"], found["val_at_far_1e-3"]) == (1.0, 0.0, 1.0)
    # One pair of a kind to choose by: the first best threshold lies just above the nearer one.
    assert found["accuracy"] in {0.75, 1.0}
    assert 0.8 < found["threshold"] < 1.0
    assert (found["no_face"], found["missing"]) == (0, 0)
    assert ended.err == ""


def test_lfw_for_people_and_from_the_cache(
    vultus: Run, people: Path, tmp_path: Path, own_cache: Path
) -> None:
    pairs = _list(tmp_path, PAIRS)
    command = ("evaluate", "lfw", "--images", people, "--pairs", pairs)
    first = vultus(*command)
    assert "accuracy" in first.out
    assert "AUC              1.00000" in first.out
    assert "4, judged on 2 folds, each by the others" in first.out
    assert "0 embeddings from the cache" in first.out
    assert own_cache.is_dir()
    assert "6 embeddings from the cache" in vultus(*command).out
    assert "0 embeddings from the cache" in vultus(*command, "--no-cache").out
    assert "0 embeddings from" in vultus(*command, "--cache-dir", tmp_path / "other").out
    assert "0 embeddings from the cache" in vultus(*command, "--no-flip").out


def test_lfw_names_what_is_missing_and_what_has_no_face(
    vultus: Run, people: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (90, 90)).save(people / "madonna" / "madonna_0009.jpg")
    train = _list(tmp_path, "1\nben_afflek\t1\t2\nben_afflek\t1\telton_john\t1\n", "train.txt")
    test = _list(
        tmp_path, PAIRS.replace("2\t1\n", "3\n", 1) + "madonna\t1\t9\nmadonna\t2\tcher\t1\n"
    )
    command = ("evaluate", "lfw", "--images", people, "--pairs", test, "--threshold-from", train)
    ended = vultus(*command, "--json")
    assert ended.code == 3
    found = json.loads(ended.out)
    assert (found["pairs"], found["no_face"], found["missing"]) == (5, 1, 1)
    assert found["accuracy"] == pytest.approx(0.8)
    assert f"missing: {people / 'cher/cher_0001.jpg'}" in ended.err
    assert f"no face: {people / 'madonna/madonna_0009.jpg'}" in ended.err
    shown = vultus(*command)
    assert "1 pairs, 1 pictures are missing" in shown.out
    assert "judged by another list" in shown.out


def test_lfw_options(vultus: Run, people: Path, tmp_path: Path) -> None:
    pairs = _list(tmp_path, PAIRS)
    command = ("evaluate", "lfw", "--images", people, "--pairs", pairs, "--json")
    angle = json.loads(vultus(*command, "--distance", "cosine").out)
    assert (angle["auc"], angle["threshold"] > 0.8) == (1.0, True)
    centred = json.loads(vultus(*command, "--distance", "cosine", "--subtract-mean").out)
    assert centred["threshold"] is None
    assert json.loads(vultus(*command, "--aligned").out)["pairs"] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--distance", "chebyshev"], 2, "chebyshev"),
        (["--model", "nobody"], 4, "model-unknown"),
        (["--detector", "dlib-resnet-v1"], 4, "card-invalid"),
        (["--face", "smallest"], 2, "smallest"),
    ],
)
def test_lfw_refusals(vultus: Run, people: Path, tmp_path: Path, arguments, code, said) -> None:
    pairs = _list(tmp_path, PAIRS)
    ended = vultus("evaluate", "lfw", "--images", people, "--pairs", pairs, *arguments)
    assert ended.code == code
    assert said in ended.err


def test_lfw_without_folds_and_without_another_list(
    vultus: Run, people: Path, tmp_path: Path
) -> None:
    pairs = _list(tmp_path, "1\nben_afflek\t1\t2\nben_afflek\t1\telton_john\t1\n")
    ended = vultus("evaluate", "lfw", "--images", people, "--pairs", pairs, "--json")
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "data-file"
    assert "pairsDevTrain.txt" in ended.err


# -- the others ---------------------------------------------------------------------------------


def test_bin(vultus: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures, same = [], []
    for i in range(20):
        crops = [Image.fromarray(rng.integers(0, 255, (7, 7, 3), np.uint8)) for _ in range(2)]
        for crop in (crops[0], crops[i % 2]):
            path = tmp_path / "crop.png"
            crop.resize((112, 112)).save(path)
            pictures.append(path.read_bytes())
        same.append(i % 2 == 0)
    sets = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for path in sets:
        path.write_bytes(pickle.dumps((pictures, same), protocol=2))
    ended = vultus("evaluate", "bin", *sets, "--json")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [one["set"] for one in found] == ["a", "b"]
    assert list(found[0]) == ["set", *LFW_KEYS[:7], "failed", "seconds"]
    assert found[0]["accuracy"] == 1.0
    assert "accuracy" in vultus("evaluate", "bin", sets[0]).out
    (tmp_path / "evil.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    refused = vultus("evaluate", "bin", tmp_path / "evil.bin")
    assert (refused.code, "os.system" in refused.err) == (4, True)


def test_ytf(vultus: Run, people: Path, tmp_path: Path) -> None:
    for i, person in enumerate(("ben_afflek", "madonna")):
        for video in ("0", "1"):
            folder = tmp_path / "db" / person / video
            folder.mkdir(parents=True)
            for k in (1, 2):
                shutil.copy(
                    people / person / f"{person}_{k + (video == '1'):04d}.jpg",
                    folder / f"{video}.{i}{k}.jpg",
                )
    splits = _list(
        tmp_path,
        "1, ben_afflek/0, ben_afflek/1, 1\n1, ben_afflek/0, madonna/0, 0\n"
        "2, madonna/0, madonna/1, 1\n2, madonna/1, ben_afflek/1, 0\n",
    )
    command = ("evaluate", "ytf", "--frames", tmp_path / "db", "--splits", splits)
    found = json.loads(vultus(*command, "--json").out)
    assert (found["pairs"], found["frames"], found["auc"]) == (4, 8, 1.0)
    assert "frames" in vultus(*command, "--most-frames", 1).out
    lost = vultus(*command[:-1], _list(tmp_path, "1, cher/0, cher/1, 1\n"))
    assert (lost.code, "data-file" in lost.err) == (4, True)


@pytest.fixture
def ijb(tmp_path: Path) -> Path:
    """Three templates of one picture each, and two galleries."""
    meta = tmp_path / "meta"
    meta.mkdir()
    _list(meta, "1.jpg 1 1\n2.jpg 2 1\n3.jpg 3 1\n", "ijbc_face_tid_mid.txt")
    _list(meta, "1 2 1\n1 3 0\n", "ijbc_template_pair_label.txt")
    points = " ".join(str(v) for v in (30, 40, 70, 40, 50, 60, 35, 80, 65, 80, 0.9))
    names = "".join(f"{i}.jpg {points}\n" for i in (1, 2, 3))
    _list(meta, names, "ijbc_name_5pts_score.txt")
    _list(meta, "TEMPLATE_ID,SUBJECT_ID\n1,10\n", "ijbc_1N_gallery_G1.csv")
    _list(meta, "TEMPLATE_ID,SUBJECT_ID\n3,11\n", "ijbc_1N_gallery_G2.csv")
    _list(meta, "TEMPLATE_ID,SUBJECT_ID\n2,10\n3,11\n", "ijbc_1N_probe_mixed.csv")
    return meta


def test_ijb_of_features(vultus: Run, ijb: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    command = ("evaluate", "ijb", "--meta", ijb, "--features", tmp_path / "f.npy")
    found = json.loads(vultus(*command, "--json").out)
    assert found["verification"]["report"]["area_under_curve"] == 1.0
    assert found["identification"]["rank_rates"]["1"] == 1.0
    shown = vultus(*command)
    assert "mean of 2 galleries" in shown.out
    assert "needs 1,000,000 impostor pairs" in shown.out


def test_ijb_of_pictures(vultus: Run, ijb: Path, people: Path, tmp_path: Path) -> None:
    images = tmp_path / "loose_crop"
    images.mkdir()
    for i, name in enumerate(
        ("madonna/madonna_0001", "madonna/madonna_0001", "elton_john/elton_john_0001")
    ):
        shutil.copy(people / f"{name}.jpg", images / f"{i + 1}.jpg")
    command = ("evaluate", "ijb", "--meta", ijb, "--images", images)
    found = json.loads(vultus(*command, "--json").out)
    assert found["verification"]["report"]["area_under_curve"] == 1.0
    (images / "2.jpg").unlink()
    lost = vultus(*command, "--json")
    assert lost.code == 3
    assert "missing: " in lost.err
    assert json.loads(lost.out)["verification"]["without_face"] == [2]


def test_ijb_refusals(vultus: Run, ijb: Path, tmp_path: Path) -> None:
    assert vultus("evaluate", "ijb", "--meta", ijb).code == 2
    (tmp_path / "x.npy").write_bytes(pickle.dumps([1]))
    odd = vultus("evaluate", "ijb", "--meta", ijb, "--features", tmp_path / "x.npy")
    assert (odd.code, "cannot be read" in odd.err) == (4, True)
    np.save(tmp_path / "i.npy", np.ones(3, int))
    odd = vultus("evaluate", "ijb", "--meta", ijb, "--features", tmp_path / "i.npy")
    assert (odd.code, "one array of floats" in odd.err) == (4, True)
    empty = vultus("evaluate", "ijb", "--meta", tmp_path, "--features", tmp_path / "i.npy")
    assert (empty.code, "must hold one file *_face_tid_mid.txt" in empty.err) == (4, True)
    _list(ijb, "9.jpg 1 2 3 4 5 6 7 8 9 10 0.9\n", "ijbc_name_5pts_score.txt")
    other = vultus("evaluate", "ijb", "--meta", ijb, "--images", tmp_path)
    assert (other.code, "the same pictures in the" in other.err) == (4, True)


def test_megaface(vultus: Run, people: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    shutil.move(people / "madonna", others / "madonna")
    command = ("evaluate", "megaface", "--probes", people, "--distractors", others)
    found = json.loads(vultus(*command, "--sizes", "1,3,9", "--json").out)
    assert (found["pairs"], found["out_of_reach"]) == (18, [9])
    assert found["rates"]["3"]["1"] > 0.8
    assert "9 distractors  there are fewer" in vultus(*command, "--sizes", "1,9").out
    np.savez(
        tmp_path / "f.npz",
        probes=np.eye(2)[[0, 0]],
        subjects=np.array([1, 1]),
        distractors=np.eye(2)[[1]],
    )
    given = vultus(
        "evaluate", "megaface", "--features", tmp_path / "f.npz", "--sizes", "1", "--json"
    )
    assert json.loads(given.out)["rates"] == {"1": {"1": 1.0, "10": 1.0}}
    assert vultus("evaluate", "megaface", "--probes", people).code == 2
    assert vultus(*command, "--ranks", "one").code == 2
    odd = vultus("evaluate", "megaface", "--features", people / "gone.npz")
    assert (odd.code, "must be a .npz file of probes" in odd.err) == (4, True)


def test_identification(vultus: Run, people: Path) -> None:
    command = ("evaluate", "identification", people, "--rounds", 20)
    found = json.loads(vultus(*command, "--json").out)
    assert (found["enrolled"], found["closed_probes"]) == (4, 8)
    assert found["rank_rates"]["1"]["value"] > 0.8
    assert found["out_of_reach"]["0.1"].startswith("FPIR 0.1 takes at least 10")
    shown = vultus(*command, "--enroll", 2, "--unenrolled", 0.25, "--seed", 3)
    assert "4 enrolled, 4 probes" in shown.out
    assert vultus("evaluate", "identification", people, "--unenrolled", 2).code == 4


def test_folder(vultus: Run, people: Path, tmp_path: Path) -> None:
    shutil.copy(people / "madonna/madonna_0001.jpg", people / "elton_john/elton_john_0003.jpg")
    train = tmp_path / "train" / "x"
    train.mkdir(parents=True)
    shutil.copy(people / "ben_afflek/ben_afflek_0002.jpg", train)
    command = ("evaluate", "folder", people, "--folds", 2, "--rounds", 20)
    ended = vultus(
        *command, "--write", tmp_path / "pairs.txt", "--against", tmp_path / "train", "--json"
    )
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["people"], found["pictures"]) == (4, 12)
    assert found["mislabelled"][0]["people"] == ["elton_john", "madonna"]
    assert "one picture of elton_john and madonna" in ended.err
    assert f"also in {tmp_path / 'train'}" in ended.err
    written = vultus(
        "evaluate", "lfw", "--images", people, "--pairs", tmp_path / "pairs.txt", "--json"
    )
    assert json.loads(written.out)["accuracy"] == found["folds"]["figures"]["accuracy"]
    shown = vultus(*command, "--most-pairs", 4)
    assert "under several people: 1" in shown.out
    assert "needs 1,000,000 impostor pairs" in shown.out
    (tmp_path / "empty").mkdir()
    empty = vultus("evaluate", "folder", tmp_path / "empty")
    assert (empty.code, "insufficient-data" in empty.err) == (4, True)


# -- as a whole ---------------------------------------------------------------------------------


def test_the_group_has_its_commands_and_wrong_ones_are_told(vultus: Run) -> None:
    shown = vultus("evaluate", "--help")
    assert shown.code == 0
    for command in ("lfw", "bin", "ytf", "ijb", "megaface", "identification", "folder"):
        assert command in shown.out
        assert f"vultus evaluate {command}" in vultus("evaluate", command, "--help").out
    assert vultus("evaluate", "nothing").code == 2


def test_other_commands_do_not_load_the_evaluations() -> None:
    script = (
        "import sys, vultus.cli; from typer.main import get_command; "
        "get_command(vultus.cli.app).list_commands(None); "
        "print([m for m in sys.modules if m.startswith('vultus.cli.evaluate.') "
        "or m.startswith('vultus.evaluate')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
