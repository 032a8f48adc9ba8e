from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="install scikit-learn: pip install 'vultus[train]'")

import cv2

from vultus.assess.liveness.svm import load_liveness_svm
from vultus.cli.evaluate.liveness import liveness_judge


@pytest.fixture(scope="module")
def folders(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Public-domain portraits, and the same ones with the lines of a screen."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number, path in enumerate(sorted((samples / "known").glob("*.jpg"))):
        image = cv2.imread(str(path))
        image = cv2.resize(image, None, fx=400 / image.shape[0], fy=400 / image.shape[0])
        for kind in ("real", "attack"):
            target = folder / kind / f"person{number}"
            target.mkdir(parents=True)
            for i in range(4):
                changed = image.astype(float) * random.uniform(0.85, 1.1)
                if kind == "attack":
                    changed[::3] = changed[::3] * 0.7
                cv2.imwrite(str(target / f"{i}.png"), np.clip(changed, 0, 255).astype(np.uint8))
    return folder / "real", folder / "attack"


def test_train_judge_and_report(vultus, folders: tuple[Path, Path], tmp_path: Path):
    real, attack = folders
    given = ["--real", real, "--attack", attack]
    ended = vultus(
        "liveness-train", "texture", *given, "--test-real", real, "--test-attack", attack,
        "--out", tmp_path, "--name", "mine", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["model"] == str(tmp_path / "mine.npz")
    assert told["training"]["svm"]["presentations"] == {"live": 8, "attack": 8}
    assert told["test"]["accuracy"] == 1.0
    assert load_liveness_svm(tmp_path / "mine.npz").features == "lbp-hsv-ycrcb/1"

    model = ["--model", tmp_path / "mine.npz"]
    ended = vultus(
        "evaluate",
        "liveness",
        *given,
        *model,
        "--rounds",
        0,
        "--report",
        tmp_path / "page",
        "--json",
    )
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["apcer"], found["bpcer"], found["auc"]) == (0.0, 0.0, 1.0)
    assert (found["threshold"], found["policy"], found["model"]) == (0.5, "user", "mine")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "APCER: attacks that pass" in page
    assert "BPCER: living faces turned away" in page
    assert page.count("<svg") == 2
    assert "<p>None.</p>" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")

    ended = vultus("liveness", real / "person0" / "0.png", *model, "--json")
    assert ended.code == 0, ended.err
    (face,) = json.loads(ended.out)["faces"]
    assert (face["model"], face["source"]) == ("mine", "given by the caller")
    assert face["score"] >= 0.5


def test_page_lists_what_is_wrong(vultus, folders: tuple[Path, Path], tmp_path: Path):
    real, attack = folders
    vultus("liveness-train", "texture", "--real", real, "--attack", attack, "--out", tmp_path)
    ended = vultus(
        "evaluate", "liveness", "--real", attack, "--attack", real, "--rounds", 0,
        "--model", tmp_path / "texture.npz", "--report", tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Pictures judged wrongly: 16" in page
    assert page.count("data:image/jpeg") == 16


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["vgg", "--nuaa", "x"], "KIND must be one of texture"),
        (["texture"], "give --real and --attack, or --nuaa"),
        (["texture", "--nuaa", "x", "--real", "y"], "give --nuaa, or"),
        (["texture", "--real", "x", "--attack", "y", "--test-real", "z"], "give both"),
        (["texture", "--nuaa", "x", "--weights", "odd"], "must be balanced or fixed"),
    ],
)
def test_wrong_usage(vultus, arguments: list[str], told: str, folders, tmp_path: Path):
    (tmp_path / "x").mkdir()
    for kind in ("client", "imposter"):
        for side in ("train", "test"):
            (tmp_path / "x" / f"{kind}_{side}_raw.txt").write_text("")
    real = [str(folders[0]) if one == "z" else one for one in arguments]
    given = [str(tmp_path / one) if one in {"x", "y"} else one for one in real]
    ended = vultus("liveness-train", *given, "--out", tmp_path / "out")
    assert ended.code == 2
    assert told in " ".join(ended.err.replace("│", " ").split())


def test_the_boundary_of_ones_own_model(folders: tuple[Path, Path], vultus, tmp_path: Path):
    real, attack = folders
    vultus("liveness-train", "texture", "--real", real, "--attack", attack, "--out", tmp_path)
    assert liveness_judge(tmp_path / "texture.npz", "bpcer=1e-2", None).threshold == 0.5
    assert liveness_judge(tmp_path / "texture.npz", 0.9, None).threshold == 0.9
