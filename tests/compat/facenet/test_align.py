from __future__ import annotations

import random
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import load_frame
from vultus.compat.facenet.align import AlignOptions, align
from vultus.compat.facenet.faces import detector
from vultus.errors import ImageNotFoundError, InsufficientDataError, OutputError, RangeError


@pytest.fixture
def mixed(tree: Path, photos: Path, tmp_path: Path) -> Path:
    """One picture with a face, one with three, one with none, one that is none."""
    root = tmp_path / "mixed"
    (root / "one").mkdir(parents=True)
    (root / "two").mkdir()
    shutil.copy(photos / "obama2.jpg", root / "one" / "face.jpg")
    shutil.copy(photos / "wall.jpg", root / "one" / "wall.jpg")
    shutil.copy(photos / "rocket.jpg", root / "two" / "rocket.jpg")
    (root / "two" / "junk.dat").write_bytes(b"no picture")
    return root


def box_lines(output: Path) -> list[str]:
    return [
        line
        for path in sorted(output.glob("bounding_boxes_*.txt"))
        for line in path.read_text().splitlines()
    ]


def told(lines: list[str], source: Path) -> list[str]:
    """The pictures that were named, in order."""
    inside = (Path(line) for line in lines if line.startswith(str(source)) and ":" not in line)
    return [str(path.relative_to(source)) for path in inside]


def expected_crop(path: Path, box: tuple[int, ...], size: int) -> np.ndarray:
    with Image.open(path) as picture:
        cut = picture.convert("RGB").crop(box)
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))


def margins(box: tuple[float, ...], margin: float, size_wh: tuple[int, int]) -> tuple[int, ...]:
    """The contract's rule, written down a second time."""
    x1, y1, x2, y2 = box
    return (
        int(max(x1 - margin / 2, 0)),
        int(max(y1 - margin / 2, 0)),
        int(min(x2 + margin / 2, size_wh[0])),
        int(min(y2 + margin / 2, size_wh[1])),
    )


def test_words_files_and_pixels(mixed: Path, tmp_path: Path, heard):
    output = tmp_path / "out"
    done = align(mixed, output, AlignOptions(jobs=2), talk=heard.talk, arguments="align a b")
    face, wall = mixed / "one" / "face.jpg", mixed / "one" / "wall.jpg"
    junk, rocket = mixed / "two" / "junk.dat", mixed / "two" / "rocket.jpg"
    assert heard.lines[:3] == ["Creating networks and loading parameters", str(face), str(wall)]
    assert heard.lines[3] == str(junk)
    assert heard.lines[4].startswith(f"{junk}: {junk} is no picture that vultus reads")
    assert heard.lines[5:] == [
        str(rocket),
        f'Unable to align "{rocket}"',
        "Total number of images: 4",
        "Number of successfully aligned images: 2",
    ]
    assert (done.total, done.aligned) == (4, 2)
    assert re.fullmatch(r"bounding_boxes_\d{5}\.txt", done.boxes.name)

    found = detector().detect(load_frame(face))
    box = margins(found[0].box.xyxy, 44, (load_frame(face).width_px, load_frame(face).height_px))
    target = output / "one" / "face.png"
    lines = box_lines(output)
    assert lines[0] == f"{target} {' '.join(map(str, box))}"
    assert lines[1].startswith(f"{output / 'one' / 'wall.png'} ")
    assert lines[2:] == [str(output / "two" / "rocket.png")]  # nothing of what is no picture
    with Image.open(target) as crop:
        assert crop.size == (182, 182)
        assert (np.asarray(crop) == expected_crop(face, box, 182)).all()
    assert not (output / "two" / "rocket.png").exists()

    info = (output / "revision_info.txt").read_text().splitlines()
    assert info[0] == "arguments: align a b"
    assert info[1] == info[3] == "-" * 20
    assert info[2].startswith("vultus version: ")
    assert info[4].startswith("detector: mtcnn ")


def test_of_several_faces_the_one_in_the_middle(mixed: Path, tmp_path: Path, heard):
    align(mixed, tmp_path / "out", AlignOptions(image_size=96, margin=0), talk=heard.talk)
    frame = load_frame(mixed / "one" / "wall.jpg")

    def merit(box: tuple[float, ...]) -> float:
        x, y = (box[0] + box[2]) / 2 - frame.width_px / 2, (box[1] + box[3]) / 2
        y -= frame.height_px / 2
        return (box[2] - box[0]) * (box[3] - box[1]) - 2 * (x * x + y * y)

    boxes = [found.box.xyxy for found in detector().detect(frame)]
    assert len(boxes) == 3
    best = margins(max(boxes, key=merit), 0, (frame.width_px, frame.height_px))
    assert f"{tmp_path / 'out' / 'one' / 'wall.png'} {' '.join(map(str, best))}" in box_lines(
        tmp_path / "out"
    )
    with Image.open(tmp_path / "out" / "one" / "wall.png") as crop:
        assert crop.size == (96, 96)


def test_every_face(mixed: Path, tmp_path: Path, heard):
    options, output = AlignOptions(detect_multiple_faces=True), tmp_path / "out"
    done = align(mixed, output, options, talk=heard.talk)
    assert done.aligned == 4
    names = sorted(path.name for path in (output / "one").iterdir())
    assert names == ["face_0.png", "wall_0.png", "wall_1.png", "wall_2.png"]
    assert [Path(line.split()[0]).name for line in box_lines(output)[:-1]] == names
    again = align(mixed, output, options, talk=heard.talk)  # the original would begin anew
    assert (again.total, again.aligned) == (4, 0)


def test_what_is_there_is_left_alone(mixed: Path, tmp_path: Path, heard):
    output = tmp_path / "out"
    (output / "one").mkdir(parents=True)
    (output / "one" / "face.png").write_bytes(b"mine")
    done = align(mixed, output, talk=heard.talk)
    assert (done.total, done.aligned) == (4, 1)
    assert (output / "one" / "face.png").read_bytes() == b"mine"
    done = align(mixed, output, talk=heard.talk)  # what had no face is tried again
    assert (done.total, done.aligned) == (4, 0)
    assert heard.text.count("Unable to align") == 2
    assert box_lines(output).count(str(output / "two" / "rocket.png")) == 2


def test_random_order_shuffles_classes_and_new_ones_pictures(
    tmp_path: Path, heard, monkeypatch: pytest.MonkeyPatch
):
    source = tmp_path / "in"
    for one in "abc":
        (source / one).mkdir(parents=True)
        for name in "123":
            (source / one / name).write_bytes(b"")
    (tmp_path / "out" / "b").mkdir(parents=True)
    monkeypatch.setattr(random.SystemRandom, "shuffle", lambda _, items: items.reverse())
    align(source, tmp_path / "out", AlignOptions(random_order=True, jobs=1), talk=heard.talk)
    assert told(heard.lines, source) == [
        "c/3",
        "c/2",
        "c/1",
        "b/1",
        "b/2",
        "b/3",
        "a/3",
        "a/2",
        "a/1",
    ]
    heard.parts.clear()
    align(source, tmp_path / "out", AlignOptions(jobs=1), talk=heard.talk)
    order = told(heard.lines, source)
    assert order == sorted(order)


def test_two_pictures_of_one_name_make_one_crop(photos: Path, tmp_path: Path, heard):
    (tmp_path / "in" / "x").mkdir(parents=True)
    shutil.copy(photos / "obama2.jpg", tmp_path / "in" / "x" / "a.jpg")
    shutil.copy(photos / "obama2.jpg", tmp_path / "in" / "x" / "a.jpeg")
    done = align(tmp_path / "in", tmp_path / "out", talk=heard.talk)
    assert (done.total, done.aligned) == (2, 1)


@pytest.mark.parametrize("options", [{"image_size": 0}, {"image_size": 5000}, {"margin": -1}])
def test_options_out_of_range(options):
    with pytest.raises(RangeError, match=next(iter(options))):
        AlignOptions(**options)


def test_bad_folders(tmp_path: Path, heard):
    with pytest.raises(ImageNotFoundError, match="cannot be read as a folder"):
        align(tmp_path / "no", tmp_path / "out", talk=heard.talk)
    with pytest.raises(InsufficientDataError, match="one folder of pictures per class"):
        align(tmp_path, tmp_path / "out", talk=heard.talk)
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        align(tmp_path / "in", tmp_path / "file" / "out", talk=heard.talk)


# -- several processes ----------------------------------------------------------------------------


@pytest.fixture
def many(photos: Path, tmp_path: Path) -> Path:
    """Four classes of twelve pictures each, a quarter of them without a face."""
    root = tmp_path / "many"
    with Image.open(photos / "obama2.jpg") as picture:
        face = picture.convert("RGB").resize((160, 160 * picture.height // picture.width))
    with Image.open(photos / "rocket.jpg") as picture:
        none = picture.convert("RGB").resize((160, 160 * picture.height // picture.width))
    for one in range(4):
        (root / f"class {one}").mkdir(parents=True)
        for i in range(12):
            (none if i % 4 == 3 else face).save(root / f"class {one}" / f"{i}.png")
    return root


def check_shared(many: Path, output: Path, said: list[str]) -> None:
    """Nothing was lost, nothing was done twice."""
    every = sorted(f"{output / path.parent.name / path.name}" for path in many.glob("*/*.png"))
    told = [re.sub(r"( \d+){4}$", "", line) for line in box_lines(output)]
    assert sorted(told) == every
    assert len(list(output.glob("*/*.png"))) == 36
    assert sum(words.count("Unable to align") for words in said) == 12
    aligned = [int(re.findall(r"aligned images: (\d+)", words)[0]) for words in said]
    assert sum(aligned) == 36
    assert all("Total number of images: 48\n" in words for words in said)
    assert list(output.rglob("*.part")) == []


@pytest.mark.parametrize("options", [["--random_order"], ["--random-order", "-j", "2"], []])
def test_processes_share_the_work(many: Path, tmp_path: Path, vultus_process, options):
    output = tmp_path / "out"
    started = [vultus_process("facenet", "align", many, output, *options) for _ in range(2)]
    said = []
    for process in started:
        out, err = process.communicate(timeout=100)
        assert (process.returncode, err) == (0, b"")
        said.append(out.decode())
    check_shared(many, output, said)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_what_a_dead_process_held_is_done_by_another(many, tmp_path, vultus_process, how):
    output = tmp_path / "out"
    victim = vultus_process("facenet", "align", many, output, "--random_order")
    deadline = time.monotonic() + 60
    while not list(output.glob("*/*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    getattr(victim, how)()
    victim.communicate()
    before = len(list(output.glob("*/*.png")))
    if how == "terminate":  # what is written is told of; at most the last crop is not yet
        with_face = [line for line in box_lines(output) if re.search(r"( \d+){4}$", line)]
        assert before - 1 <= len(with_face) <= before
    heir = vultus_process("facenet", "align", many, output, "--random_order")
    out, err = heir.communicate(timeout=100)
    assert (heir.returncode, err) == (0, b"")
    assert len(list(output.glob("*/*.png"))) == 36
    assert f"aligned images: {36 - before}\n" in out.decode()


# -- real pictures --------------------------------------------------------------------------------


def test_lfw(shared_data: Path, tmp_path: Path, heard):
    """Original pictures of LFW: every face is found, and its crop is the contract's."""
    people = sorted((shared_data / "lfw" / "images").iterdir())[:8]
    for person in people:
        shutil.copytree(person, tmp_path / "in" / person.name)
    done = align(tmp_path / "in", tmp_path / "out", talk=heard.talk)
    count = len(list((tmp_path / "in").glob("*/*")))
    assert (done.total, done.aligned) == (count, count)
    for line in box_lines(tmp_path / "out"):
        name, *numbers = line.rsplit(" ", 4)
        x1, y1, x2, y2 = map(int, numbers)
        assert 0 <= x1 < 125 < x2 <= 250  # LFW's faces are in the middle
        assert 0 <= y1 < 125 < y2 <= 250
        source = tmp_path / "in" / Path(name).parent.name / f"{Path(name).stem}.jpg"
        with Image.open(name) as crop:
            assert (np.asarray(crop) == expected_crop(source, (x1, y1, x2, y2), 182)).all()
