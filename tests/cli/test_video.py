from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

av = pytest.importorskip("av", reason="install PyAV: pip install 'vultus[video]'")
pytest.importorskip("scipy", reason="install SciPy: pip install 'vultus[video]'")

from vultus.sources.recording import VideoWriter  # noqa: E402
from vultus.sources.video import open_video  # noqa: E402

TRUTH = json.loads(
    (Path(__file__).parents[1] / "video" / "hamilton.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def film(samples, tmp_path_factory):
    """A photo of the samples that drifts through the picture; nobody in the first ten frames."""
    photo = Pillow.open(samples / "photos" / PHOTO).convert("RGB")
    photo.thumbnail((240, 240))
    face = np.asarray(photo)
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, fps=25.0, threads=1) as writer:
        for index in range(40):
            image = np.full((270, 320, 3), 90, np.uint8)
            if index >= 10:
                image[10 : 10 + face.shape[0], index : index + face.shape[1]] = face
            writer.write(image, index / 25)
    return path


PHOTO = "obama2.jpg"
NAME = "Barack Obama"


def test_who_is_in_a_video_and_when(vultus, film, samples, tmp_path):
    out = tmp_path / "out"
    ended = vultus(
        "video", film, "--known", samples / "known", "--out", out, "--annotate", "--json"
    )
    assert ended.code == 0, ended.err
    told = json.loads((out / "appearances.json").read_text(encoding="utf-8"))
    assert told == json.loads(ended.out)
    assert list(told) == ["frames", "fps", "duration_s", "people"]
    assert (told["frames"], told["fps"], told["duration_s"]) == (40, 25.0, 1.6)
    (person,) = told["people"]
    assert person["name"] == NAME
    (track,) = person["tracks"]
    assert list(track) == ["start_s", "end_s", "frames"]
    assert track["start_s"] == pytest.approx(0.48)  # the first third frame that shows him
    assert track["end_s"] == pytest.approx(1.6)
    assert track["frames"] == 28
    assert person["seconds"] == pytest.approx(1.12)
    with open_video(out / "annotated.mp4") as drawn:
        frames = list(drawn.read())
    assert len(frames) == 40
    assert frames[-1].time_s + frames[-1].duration_s == pytest.approx(1.6, abs=0.04)
    with Pillow.open(out / "people.jpg") as sheet:
        assert sheet.width > 200
    assert sorted(entry.name for entry in out.iterdir()) == [
        "annotated.mp4",
        "appearances.json",
        "people.jpg",
    ]


def test_a_gallery_and_words_for_people(vultus, film, samples, tmp_path):
    gallery = tmp_path / "people.vultus"
    assert vultus("enroll", gallery, NAME, samples / "photos" / PHOTO).code == 0
    ended = vultus("video", "--gallery", gallery, film, "--out", tmp_path / "out", "--every", 5)
    assert ended.code == 0, ended.err
    plain = " ".join(ended.out.split())
    assert plain.startswith(f"{NAME} 1.")
    assert "1 known, 0 unknown" in plain


def test_the_people_of_a_video_when_nobody_is_known(vultus, film, tmp_path):
    ended = vultus("video", "cluster", film, "--out", tmp_path / "out", "--json")
    assert ended.code == 0, ended.err
    assert [person["name"] for person in json.loads(ended.out)["people"]] == [None]


@pytest.mark.parametrize(
    "words",
    [
        ["FILE"],
        ["FILE", "--known", "known", "--gallery", "known"],
        ["cluster", "FILE", "--known", "known"],
        ["FILE", "FILE", "--known", "known"],
    ],
)
def test_people_are_named_once_or_the_video_is_clustered(vultus, film, tmp_path, words):
    ended = vultus("video", *(film if w == "FILE" else w for w in words), "--out", tmp_path / "o")
    assert ended.code == 4
    assert "error input" in ended.err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_what_is_no_video_is_a_named_error(vultus, samples, tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    ended = vultus("video", path, "--known", samples / "known", "--out", tmp_path / "o", "--json")
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "video-format"


def test_pictures_that_are_missing_at_the_end_are_told(vultus, samples, tmp_path):
    photo = Pillow.open(samples / "photos" / PHOTO).convert("RGB")
    photo.thumbnail((240, 240))
    for number in range(1, 8):
        photo.save(tmp_path / f"img_{number:02d}.png")
    (tmp_path / "img_07.png").write_bytes(b"broken")
    ended = vultus(
        "video", tmp_path / "img_%02d.png", "--known", samples / "known",
        "--out", tmp_path / "out", "--every", 1, "--fps", 10, "--json",
    )  # fmt: skip
    assert ended.code == 3
    assert "the last 1 pictures cannot be read" in ended.err
    told = json.loads(ended.out)
    assert (told["frames"], told["fps"]) == (7, 10.0)
    assert told["people"] == [
        {
            "name": NAME,
            "seconds": 0.6,
            "tracks": [{"start_s": 0.0, "end_s": 0.6, "frames": 6}],
        }
    ]


def test_there_is_no_such_file(vultus, samples, tmp_path):
    ended = vultus(
        "video", tmp_path / "none.mp4", "--known", samples / "known", "--out", tmp_path / "o"
    )
    assert ended.code == 4
    assert "video-not-found" in ended.err


def test_help_tells_of_both(vultus):
    said = vultus("video", "--help").out
    assert "--annotate" in said
    assert "[cluster] FILE" in said


# -- the film that the truth was marked on --------------------------------------------------------


def _shown(people, name, time_s):
    return any(
        track["start_s"] - 1e-3 <= time_s < track["end_s"] - 1e-3
        for person in people
        if person["name"] == name
        for track in person["tracks"]
    )


@pytest.fixture(scope="module")
def clip(shared_data):
    path = shared_data / "video" / TRUTH["video"]
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path


@pytest.mark.parametrize("every", [3, 5])
def test_the_marked_film(vultus, clip, tmp_path, every):
    ended = vultus(
        "video", clip, "--known", clip.parent, "--out", tmp_path, "--every", every, "--json"
    )
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["frames"] == TRUTH["frames"]
    assert told["fps"] == pytest.approx(29.97, abs=0.01)
    assert told["duration_s"] == pytest.approx(275 / 29.97, abs=0.01)
    times = [n / told["fps"] for n in range(TRUTH["frames"])]
    for name, spans in TRUTH["people"].items():
        present = {n for span in spans for n in range(span["first"], span["last"] + 1)}
        named = {n for n, time_s in enumerate(times) if _shown(told["people"], name, time_s)}
        assert named, f"{name} is named nowhere"
        assert named <= present, f"{name} is named where they are not"
        asked = {
            n
            for span in spans
            if span["frontal"] and span["face_px"] >= 40
            for n in range(span["first"], span["last"] + 1)
        }
        if asked:
            assert len(named & asked) / len(asked) >= 0.9
    assert {p["name"] for p in told["people"]} == {*TRUTH["people"], None}
