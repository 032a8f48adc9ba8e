from __future__ import annotations

import json
from pathlib import Path

import pytest

from vultus.decide import DEFAULT_POLICY, how_often

FIELDS = [
    "a", "b", "similarity", "threshold", "same", "policy", "fmr", "fnmr", "threshold_source",
    "space", "fmr_at_score", "faces", "boxes",
]  # fmt: skip


@pytest.fixture
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture
def obama(samples: Path) -> Path:
    return samples / "known" / "Barack Obama.jpg"


def test_same_person_as_json(vultus, recognizer, obama: Path, photos: Path):
    ended = vultus("compare", obama, photos / "obama2.jpg", "--json")
    assert (ended.code, ended.err) == (0, "")
    (line,) = ended.out.splitlines()
    said = json.loads(line)
    assert list(said) == FIELDS
    decision = recognizer.verify(obama, photos / "obama2.jpg")
    assert said["same"] is True
    assert said["similarity"] == pytest.approx(decision.similarity, abs=2e-6)
    assert said["threshold"] == recognizer.threshold.value
    assert said["policy"] == recognizer.threshold.policy == DEFAULT_POLICY
    assert said["fmr"] == recognizer.threshold.fmr
    assert said["fnmr"] == recognizer.threshold.fnmr
    assert said["threshold_source"] == recognizer.threshold.source
    assert said["space"] == recognizer.embedder.space.id
    assert (said["a"], said["b"]) == (str(obama), str(photos / "obama2.jpg"))
    assert said["faces"] == [1, 1]
    (face,) = recognizer.detect(obama)
    assert said["boxes"][0] == pytest.approx(face.box.xyxy, abs=0.0051)


def test_different_people_are_no_failure(vultus, obama: Path, photos: Path):
    ended = vultus("compare", obama, photos / "astronaut.png", "--json")
    assert ended.code == 0
    said = json.loads(ended.out)
    assert said["same"] is False
    assert said["similarity"] < said["threshold"]


def test_for_people(vultus, recognizer, obama: Path, photos: Path):
    ended = vultus("compare", obama, photos / "obama2.jpg")
    assert (ended.code, ended.err) == (0, "")
    first, often, second = ended.out.splitlines()
    assert first.startswith("the same person  similarity 0.9")
    decision = recognizer.verify(obama, photos / "obama2.jpg")
    assert often == f"A stranger scores this high {how_often(decision.fmr)}."
    assert first.endswith(f"≥ {recognizer.threshold.value:.4f}")
    threshold = recognizer.threshold
    assert second == (
        f"At this threshold {threshold.fmr:.2%} of pairs of strangers pass and "
        f"{threshold.fnmr:.1%} of pairs of one person fail ({threshold.source})."
    )

    ended = vultus("compare", obama, photos / "astronaut.png")
    assert ended.out.startswith("different people  similarity 0.8")
    assert f"< {recognizer.threshold.value:.4f}" in ended.out


def test_the_largest_face_is_told(vultus, obama: Path, photos: Path):
    wall = photos / "wall.jpg"
    ended = vultus("compare", obama, wall)
    assert ended.code == 0
    assert ended.err == f"warning: {wall} shows 3 faces; the largest was compared\n"
    assert ended.out.startswith("the same person")
    said = json.loads(vultus("compare", wall, obama, "--json").out)
    assert said["faces"] == [3, 1]


def test_a_threshold_of_ones_own(vultus, obama: Path, photos: Path):
    for number, same in (("-1", True), ("0.5", True), ("1", False)):
        ended = vultus(
            "compare", obama, photos / "astronaut.png", f"--threshold={number}", "--json"
        )
        said = json.loads(ended.out)
        assert (said["same"], said["threshold"], said["policy"]) == (same, float(number), "user")
        assert said["fmr"] is None
        assert said["fnmr"] is None
    ended = vultus("compare", obama, photos / "obama2.jpg", "--threshold", "0.5")
    last = ended.out.splitlines()[2]
    assert last == "Threshold given by the caller; its error rates are unknown."


def test_without_the_mirror_another_space(vultus, obama: Path, photos: Path):
    arguments = ["compare", obama, photos / "obama2.jpg", "--json", "--threshold", "0.9"]
    plain = json.loads(vultus(*arguments, "--no-mirror").out)
    mirrored = json.loads(vultus(*arguments).out)
    assert mirrored["space"] == plain["space"] + "+mirror"
    assert plain["similarity"] != mirrored["similarity"]


@pytest.mark.parametrize("order", [1, -1])
def test_no_face(vultus, obama: Path, photos: Path, order):
    rocket = photos / "rocket.jpg"
    ended = vultus("compare", *[obama, rocket][::order], "--json")
    assert ended.code == 4
    error = json.loads(ended.out)["error"]
    assert error["code"] == "no-face"
    assert error["message"].startswith(f"{rocket} must show a face, none was found; ")
    assert ended.err.startswith("error no-face: ")


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("missing.jpg", None, "image-not-found"),
        ("zero.jpg", b"", "image-empty"),
        ("text.jpg", b"hello", "image-format"),
        ("cut.jpg", "cut", "image-damaged"),
        (".", None, "image-not-found"),
    ],
)
def test_bad_pictures(vultus, obama: Path, photos: Path, tmp_path: Path, name, data, code):
    path = tmp_path / name
    if data is not None:
        cut = (photos / "obama2.jpg").read_bytes()[:5000]
        path.write_bytes(cut if data == "cut" else data)
    for pair in ([obama, path], [path, obama]):
        ended = vultus("compare", *pair, "--json")
        assert ended.code == 4
        assert json.loads(ended.out)["error"]["code"] == code
