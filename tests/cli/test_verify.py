from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture
def known(samples: Path) -> Path:
    return samples / "known"


@pytest.fixture
def gallery(recognizer, known: Path, tmp_path: Path) -> Path:
    path = tmp_path / "family.db"
    for picture in known.iterdir():
        if picture.suffix == ".jpg":
            recognizer.enroll(path, picture.stem, picture)
    return path


def test_it_is_them(vultus, gallery: Path, photos: Path):
    ended = vultus("verify", gallery, "Barack Obama", photos / "obama2.jpg")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("this is Barack Obama  similarity 0.9")
    assert " ≥ 0." in ended.out


def test_it_is_not_them(vultus, gallery: Path, photos: Path):
    ended = vultus("verify", gallery, "Joe Biden", photos / "obama2.jpg")
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("not Joe Biden  similarity 0.")
    assert " < 0." in ended.out


@pytest.mark.parametrize(("name", "same"), [("Barack Obama", True), ("Joe Biden", False)])
def test_json(vultus, recognizer, gallery: Path, photos: Path, name, same):
    photo = photos / "obama3.jpg"
    ended = vultus("verify", gallery, name, photo, "--json")
    assert ended.code == (0 if same else 1)
    said = json.loads(ended.out)
    decision = recognizer.verify_claim(gallery, name, photo)
    assert said == {
        "known": str(gallery),
        "name": name,
        "image": str(photo),
        "similarity": pytest.approx(decision.similarity, abs=2e-6),
        "threshold": recognizer.threshold.value,
        "same": same,
        "policy": recognizer.threshold.policy,
        "fmr": recognizer.threshold.fmr,
        "fnmr": recognizer.threshold.fnmr,
        "threshold_source": recognizer.threshold.source,
        "space": recognizer.embedder.space.id,
        "fmr_at_score": {
            "value": decision.fmr.value,
            "low": decision.fmr.low,
            "high": decision.fmr.high,
        },
        "faces": 1,
    }


def test_against_a_folder(vultus, known: Path, photos: Path):
    ended = vultus("verify", known, "Barack Obama", photos / "obama2.jpg", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["known"] == str(known)


def test_the_largest_face_is_told(vultus, gallery: Path, photos: Path):
    ended = vultus("verify", gallery, "Barack Obama", photos / "wall.jpg")
    assert ended.code == 0
    wall = photos / "wall.jpg"
    assert ended.err == f"warning: {wall} shows 3 faces; the largest was checked\n"
    ended = vultus("verify", gallery, "Barack Obama", wall, "--json")
    assert json.loads(ended.out)["faces"] == 3


@pytest.mark.parametrize("name", ["Barak Obama", "[red]x", "", "a\nb"])
def test_somebody_unknown(vultus, gallery: Path, photos: Path, name):
    ended = vultus("verify", gallery, name, photos / "obama2.jpg", "--json")
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "person-unknown"
    assert ended.err.startswith("error person-unknown: nobody in this gallery is called ")
    assert ("did you mean 'Barack Obama'?" in ended.err) == (name == "Barak Obama")


def test_no_face(vultus, gallery: Path, photos: Path):
    ended = vultus("verify", gallery, "Joe Biden", photos / "rocket.jpg", "--json")
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "no-face"


def test_known_people_that_are_not_there(vultus, photos: Path, tmp_path: Path):
    ended = vultus("verify", tmp_path / "none.db", "A", photos / "obama2.jpg", "--json")
    assert ended.code == 4
    error = json.loads(ended.out)["error"]
    assert error["code"] == "gallery-file"
    assert "does not exist" in error["message"]
    ended = vultus("verify", tmp_path, "A", photos / "obama2.jpg", "--json")
    assert json.loads(ended.out)["error"]["code"] == "gallery-empty"


def test_another_space(vultus, gallery: Path, photos: Path):
    arguments = ["verify", gallery, "Joe Biden", photos / "obama2.jpg", "--json"]
    ended = vultus(*arguments, "--no-mirror", "--threshold", "0.9")
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "space-mismatch"


def test_markup_in_a_name(vultus, recognizer, photos: Path, tmp_path: Path):
    path = tmp_path / "g.db"
    recognizer.enroll(path, "[bold]Ann :smile:", photos / "astronaut.png")
    ended = vultus("verify", path, "[bold]Ann :smile:", photos / "astronaut.png")
    assert ended.out.startswith("this is [bold]Ann :smile:  similarity 1.0000")


def test_the_gate(vultus, recognizer, photos: Path, tmp_path: Path):
    path, photo = tmp_path / "g.db", photos / "astronaut.png"
    recognizer.enroll(path, "Eileen", photo)
    assert vultus("verify", path, "Eileen", photo, "--gate", "low").code == 0
    ended = vultus("verify", path, "Eileen", photo, "--gate", "high", "--json")
    assert ended.code == 4  # no answer, rather than a wrong one
    assert json.loads(ended.out)["error"]["code"] == "face-refused"
    assert "must pass the gate 'high': " in ended.err


def test_another_detector(vultus, gallery: Path, photos: Path):
    photo = photos / "obama2.jpg"
    ended = vultus("verify", gallery, "Barack Obama", photo, "--detector", "blazeface-back")
    assert ended.code == 0


def test_no_calibration(vultus, gallery: Path, photos: Path, tmp_path: Path):
    words = ("verify", gallery, "Barack Obama", photos / "obama2.jpg", "--json", "--calibration")
    ended = vultus(*words, tmp_path / "none.json")
    assert (ended.code, json.loads(ended.out)["error"]["code"]) == (4, "calibration-invalid")
