"""``vultus face-recognition`` and ``face-detection``: lines, warnings, exit codes, --cpus.

Each row of docs/migrating's table of commands has its test here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

import vultus.compat.face_recognition as fr
from vultus.compat.face_recognition import _lines
from vultus.errors import RangeError
from vultus.runtime import default_threads


@pytest.fixture(scope="module")
def known(samples: Path) -> Path:
    return samples / "known"


@pytest.fixture(scope="module")
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture(autouse=True)
def _one_thread_variables(monkeypatch: pytest.MonkeyPatch):
    """The commands set these for their own process."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


def test_one_picture(vultus, known: Path, photos: Path):
    ended = vultus("face-recognition", known, photos / "obama2.jpg")
    assert ended == (0, f"{photos}/obama2.jpg,Barack Obama\n", "")


def test_a_folder(vultus, known: Path, photos: Path):
    ended = vultus("face-recognition", known, photos)
    assert (ended.code, ended.err) == (0, "")
    assert sorted(ended.out.splitlines()) == [
        f"{photos}/astronaut.png,unknown_person",
        f"{photos}/obama2.jpg,Barack Obama",
        f"{photos}/obama3.jpg,Barack Obama",
        f"{photos}/rocket.jpg,no_persons_found",
        f"{photos}/wall.jpg,Barack Obama",
        f"{photos}/wall.jpg,Joe Biden",
        f"{photos}/wall.jpg,unknown_person",
    ]
    assert vultus("face-recognition", known, photos, "--cpus", 2) == ended


def test_how_many_workers():
    assert [_lines.worker_count(cpus) for cpus in (1, 2, 7)] == [1, 2, 7]
    assert _lines.worker_count(-1) == default_threads()
    with pytest.raises(RangeError, match="must be at least 1, or -1 for all, got -2"):
        _lines.worker_count(-2)


@pytest.mark.parametrize("yes", ["1", "true", "Yes"])
def test_show_distance(vultus, known: Path, photos: Path, yes: str):
    ended = vultus("face-recognition", known, known / "Barack Obama.jpg", "--show-distance", yes)
    assert ended.out == f"{known}/Barack Obama.jpg,Barack Obama,0.0\n"


def test_show_distance_of_nobody_is_none(vultus, known: Path, photos: Path):
    said = [
        vultus("face-recognition", known, photos / name, "--show-distance", "1").out
        for name in ("rocket.jpg", "astronaut.png", "obama2.jpg")
    ]
    assert said[0] == f"{photos}/rocket.jpg,no_persons_found,None\n"
    assert said[1] == f"{photos}/astronaut.png,unknown_person,None\n"
    assert float(said[2].rsplit(",", 1)[1]) == pytest.approx(0.34573490066247703, abs=0.01)
    off = vultus("face-recognition", known, photos / "rocket.jpg", "--show-distance", "no")
    assert off.out == f"{photos}/rocket.jpg,no_persons_found\n"


def test_tolerance(vultus, known: Path, photos: Path):
    strict = vultus("face-recognition", known, photos / "obama2.jpg", "--tolerance", 0.3)
    assert strict.out == f"{photos}/obama2.jpg,unknown_person\n"
    lax = vultus("face-recognition", known, photos / "obama2.jpg", "--tolerance", 2)
    names = [line.rsplit(",", 1)[1] for line in lax.out.splitlines()]
    assert sorted(names) == ["Barack Obama", "Joe Biden"]  # every known face within reach


def test_known_people_are_one_picture_each(vultus, known: Path, photos: Path, tmp_path: Path):
    folder = tmp_path / "known"
    folder.mkdir()
    shutil.copy(photos / "wall.jpg", folder / "many.faces.jpg")
    shutil.copy(photos / "rocket.jpg", folder / "none.jpg")
    (folder / "notes.txt").write_text("no picture")
    ended = vultus("face-recognition", folder, photos / "obama2.jpg")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert sorted(lines[:2]) == [
        f"WARNING: More than one face found in {folder}/many.faces.jpg. "
        "Only considering the first face.",
        f"WARNING: No faces found in {folder}/none.jpg. Ignoring file.",
    ]
    # The name is the file's without its last suffix, the face the one dlib is surest of.
    assert lines[2:] == [f"{photos}/obama2.jpg,many.faces"]


def test_nobody_known(vultus, photos: Path, tmp_path: Path):
    ended = vultus("face-recognition", tmp_path, photos / "obama2.jpg")
    assert ended == (0, f"{photos}/obama2.jpg,unknown_person\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the workers are threads")
def test_processes_give_the_same_lines(vultus_process, vultus, known: Path, photos: Path):
    """In a process of its own, without other threads, --cpus makes processes."""
    code = (
        "import sys; sys.argv = ['x', *sys.argv[1:]]\n"
        "from vultus.compat.face_recognition import _workers\n"
        "assert _workers._may_fork()\n"
        "with _workers.pool(2) as over:\n"
        "    import os\n"
        "    print(len({*over(abs, range(-4, 0))}), type(over).__name__)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "4 _Processes\n"
    process = vultus_process("face-recognition", known, photos, "--cpus", "2")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.decode() == vultus("face-recognition", known, photos).out


def test_files_are_told_by_their_names(vultus, known: Path, photos: Path, tmp_path: Path):
    shutil.copy(photos / "obama2.jpg", tmp_path / "a.JPEG.bak")  # not anchored at the end
    shutil.copy(photos / "obama2.jpg", tmp_path / "a.gif")
    (tmp_path / "inside").mkdir()
    shutil.copy(photos / "obama2.jpg", tmp_path / "inside" / "b.jpg")
    ended = vultus("face-recognition", known, tmp_path)
    assert ended.out == f"{tmp_path}/a.JPEG.bak,Barack Obama\n"


def test_paths_are_printed_as_typed(vultus, known: Path, photos: Path, monkeypatch):
    monkeypatch.chdir(photos.parent)
    ended = vultus("face-recognition", "./known", "./photos/obama2.jpg")
    assert ended.out == "./photos/obama2.jpg,Barack Obama\n"


def test_large_pictures_are_shrunk_first(known: Path):
    image = np.zeros((40, 3200, 3), np.uint8)
    assert _lines._shrunk(image).shape == (20, 1600, 3)
    assert _lines._shrunk(image[:, :1600]).shape == (40, 1600, 3)


def test_detection_prints_a_line_per_face(vultus, photos: Path):
    one = vultus("face-detection", photos / "obama2.jpg")
    assert one == (0, f"{photos}/obama2.jpg,302,474,611,164\n", "")
    assert vultus("face-detection", photos / "rocket.jpg") == (0, "", "")
    every = vultus("face-detection", photos)
    assert len(every.out.splitlines()) == 6
    assert vultus("face-detection", photos, "--cpus", 2) == every


def test_detection_without_upsampling(vultus, photos: Path):
    image = fr.load_image_file(photos / "astronaut.png")
    for model in ("hog", "cnn", "nonsense"):
        ended = vultus("face-detection", photos / "astronaut.png", "--model", model)
        boxes = fr.face_locations(image, 0, model)
        lines = [f"{photos}/astronaut.png,{t},{r},{b},{x}\n" for t, r, b, x in boxes]
        assert ended == (0, "".join(lines), "")
        assert boxes


@pytest.mark.parametrize("command", ["face-recognition", "face-detection"])
def test_wrong_use(vultus, command: str, known: Path, photos: Path):
    paths = [known, photos] if command == "face-recognition" else [photos]
    missing = vultus(command, *paths[1:])
    assert (missing.code, missing.out) == (2, "")
    assert "Missing argument" in missing.err
    none = vultus(command, *paths, "--cpus", 0)
    assert none.code == 2
    assert "must be at least 1, or -1 for all" in none.err
    assert vultus(command, "--help").code == 0


def test_show_distance_takes_a_value(vultus, known: Path, photos: Path):
    ended = vultus("face-recognition", known, photos, "--show-distance", "maybe")
    assert ended.code == 2
    assert "'maybe' is not a valid boolean" in ended.err


def test_a_missing_file_is_told(vultus, known: Path, tmp_path: Path):
    ended = vultus("face-recognition", known, tmp_path / "none.jpg")
    assert (ended.code, ended.out) == (1, "")
    assert "none.jpg: No such file or directory" in ended.err.replace("\n", "")
    ended = vultus("face-recognition", tmp_path / "nobody", tmp_path / "none.jpg")
    assert (ended.code, ended.out) == (1, "")
    assert "nobody: No such file or directory" in ended.err.replace("\n", "")
    ended = vultus("face-detection", tmp_path / "none.jpg")
    assert (ended.code, ended.out) == (1, "")


def test_a_picture_that_cannot_be_read_stops_no_other(
    vultus, known: Path, photos: Path, tmp_path: Path
):
    (tmp_path / "text.jpg").write_text("no picture")
    shutil.copy(photos / "obama2.jpg", tmp_path / "a.jpg")
    ended = vultus("face-recognition", known, tmp_path)
    assert (ended.code, ended.out) == (1, f"{tmp_path}/a.jpg,Barack Obama\n")
    assert "cannot identify image file" in ended.err
    (tmp_path / "a.jpg").unlink()
    ended = vultus("face-recognition", tmp_path, photos / "obama2.jpg")
    assert (ended.code, ended.out) == (1, f"{photos}/obama2.jpg,unknown_person\n")
    assert "cannot identify image file" in ended.err


def test_a_grey_picture_is_read_as_colour(vultus, known: Path, photos: Path, tmp_path: Path):
    PilImage.open(photos / "obama2.jpg").convert("L").save(tmp_path / "grey.png")
    ended = vultus("face-recognition", known, tmp_path / "grey.png")
    assert ended.out == f"{tmp_path}/grey.png,Barack Obama\n"
