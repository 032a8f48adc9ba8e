"""The command ``vultus lookalike``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def known(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Obama in a folder of his own, Biden as 王小明.jpg, and a rocket."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VULTUS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "known"
    (folder / "Barack Obama").mkdir(parents=True)
    shutil.copy(samples / "known" / "Barack Obama.jpg", folder / "Barack Obama" / "1.jpg")
    shutil.copy(samples / "photos" / "obama2.jpg", folder / "Barack Obama" / "2.jpg")
    shutil.copy(samples / "known" / "Joe Biden.jpg", folder / "王小明.jpg")
    shutil.copy(samples / "photos" / "rocket.jpg", folder / "rocket.jpg")
    return Path("known")


def test_in_words(vultus, known: Path, samples: Path) -> None:
    done = vultus("lookalike", samples / "photos" / "obama3.jpg", "--among", known)
    assert done.code == 3  # the rocket
    assert done.err.splitlines() == [
        "warning: no face was found in known/rocket.jpg [no-face]; it is left out"
    ]
    head, first, second, last = done.out.splitlines()
    assert head.endswith("obama3.jpg looks like")
    rank, similarity, name = first.split(maxsplit=2)
    assert (rank, name.partition(",")[0]) == ("1", "Barack Obama")
    assert float(similarity) > 0.95
    assert "a stranger scores this high less than 1 time in" in first
    assert second.split()[2].strip(",") == "王小明"
    assert last == "2 people, 3 pictures; faces found by mtcnn, embedded by dlib-resnet-v1."


def test_json_and_cache(vultus, known: Path, samples: Path) -> None:
    (known / "rocket.jpg").unlink()
    photo = samples / "photos" / "wall.jpg"
    ask = ("lookalike", photo, "--among", known, "--top", 1, "--flip", "--json")
    done = vultus(*ask)
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert list(said) == [
        "photo", "face", "faces", "matches", "people", "pictures", "left_out", "detector",
        "space", "flip", "cached", "picture",
    ]  # fmt: skip
    assert (said["faces"], said["people"], said["pictures"], said["cached"]) == (3, 2, 3, 0)
    assert (said["flip"], said["space"]) == (True, "dlib-resnet-v1/fd107ddb6263/128/dlib-10+mirror")
    (match,) = said["matches"]
    assert (match["rank"], match["name"], match["pictures"]) == (1, "Barack Obama", 2)
    assert match["same"] is True
    assert set(match["fmr"]) == {"value", "low", "high"}
    again = json.loads(vultus(*ask).out)
    assert again["cached"] == 3
    assert again["matches"] == said["matches"]
    assert json.loads(vultus(*ask, "--no-cache").out)["cached"] == 0


def test_a_picture(vultus, known: Path, samples: Path) -> None:
    for name, kind in (("a.png", "PNG"), ("b.jpg", "JPEG")):
        photo = samples / "photos" / "obama3.jpg"
        done = vultus("lookalike", photo, "--among", known, "--out", name)
        assert done.out.endswith(f"{name} shows them side by side.\n")
        with Image.open(name) as picture:
            assert picture.format == kind
            width, height = picture.size
        assert width == 18 + 3 * (300 + 18)  # the photo and two people
        assert 300 < height < 480


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rocket.jpg"], 4, "error no-face"),
        (["gone.jpg"], 4, "error image-not-found"),
        (["wall.jpg", "--model", "mtcnn"], 4, "must be a model of kind embedder"),
        (["wall.jpg", "--detector", "scrfd-10g"], 4, "error model-missing"),
        (["wall.jpg", "--top", "0"], 2, "Invalid value for '--top'"),
        (["wall.jpg", "--out", "a.gif"], 4, "a picture's file must end in .jpg"),
    ],
)
def test_failures(vultus, known: Path, samples: Path, arguments, code: int, said: str) -> None:
    photo, *others = arguments
    done = vultus("lookalike", samples / "photos" / photo, "--among", known, *others)
    assert done.code == code
    assert said in " ".join(done.err.replace("│", " ").split())


def test_no_folder(vultus, samples: Path, tmp_path: Path) -> None:
    photo = samples / "photos" / "wall.jpg"
    assert "is a file, and a folder" in vultus("lookalike", photo, "--among", photo).err
    assert "holds no pictures" in vultus("lookalike", photo, "--among", tmp_path).err
