"""Each example runs as a user would run it, and says what is true of the pictures."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import load_image
from vultus.samples import known_dir, photos_dir

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

ANSWERS = """\
known: Barack Obama, Joe Biden
astronaut.png: unknown
obama2.jpg: Barack Obama
obama3.jpg: Barack Obama
rocket.jpg: no face
wall.jpg: Joe Biden, unknown, Barack Obama
"""


def run(name: str, folder: Path, *arguments: object) -> str:
    """What the example prints; any warning fails it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def test_every_example_is_short_and_tested() -> None:
    names = sorted(path.name for path in EXAMPLES.glob("*.py"))
    text = Path(__file__).read_text(encoding="utf-8")
    assert len(names) >= 5
    assert [name for name in names if f'"{name}"' not in text] == []
    for name in names:
        assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 50, name


def test_detect(tmp_path: Path) -> None:
    head, *faces = run("01_detect.py", tmp_path).splitlines()
    assert head == "wall.jpg: 3 faces"
    # width, height, left, top, eye distance, score; seen on the picture itself
    expected = [
        [129, 170, 218, 241, 53, 1.0],
        [82, 102, 752, 143, 40, 1.0],
        [144, 211, 1172, 266, 66, 1.0],
    ]
    for face, truth in zip(faces, expected, strict=True):
        assert numbers(face) == pytest.approx(truth, abs=4)


def test_detect_in_a_picture_without_faces(tmp_path: Path) -> None:
    assert run("01_detect.py", tmp_path, photos_dir() / "rocket.jpg") == "rocket.jpg: 0 faces\n"


def test_compare(tmp_path: Path) -> None:
    verdict, similarity, source = run("02_compare.py", tmp_path).splitlines()
    assert verdict == "the same person"
    assert numbers(similarity)[0] == pytest.approx(0.969, abs=0.01)
    assert "(fmr=5e-3)" in similarity
    assert source.startswith("measured on: ")


def test_compare_strangers(tmp_path: Path) -> None:
    pictures = (known_dir() / "Barack Obama.jpg", known_dir() / "Joe Biden.jpg")
    verdict, similarity, _ = run("02_compare.py", tmp_path, *pictures).splitlines()
    assert verdict == "different people"
    assert numbers(similarity)[0] == pytest.approx(0.81, abs=0.02)


def test_enroll_and_identify(tmp_path: Path) -> None:
    assert run("03_enroll_and_identify.py", tmp_path) == ANSWERS
    assert list(tmp_path.iterdir()) == []


def test_enroll_and_identify_with_folders_of_ones_own(tmp_path: Path) -> None:
    printed = run("03_enroll_and_identify.py", tmp_path, known_dir(), known_dir())
    assert printed.splitlines()[1:] == [
        "Barack Obama.jpg: Barack Obama",
        "Joe Biden.jpg: Joe Biden",
    ]


def test_folder_in_parallel(tmp_path: Path) -> None:
    assert run("04_folder_in_parallel.py", tmp_path).splitlines() == [
        "astronaut.png: 1 face(s)",
        "obama2.jpg: 1 face(s)",
        "obama3.jpg: 1 face(s)",
        "rocket.jpg: 0 face(s)",
        "wall.jpg: 3 face(s)",
    ]


def test_folder_in_parallel_goes_on_after_a_damaged_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    first, second = run("04_folder_in_parallel.py", tmp_path, tmp_path).splitlines()
    assert first.startswith("a.jpg: ")
    assert "is no picture that vultus reads" in first
    assert second == "b.png: 0 face(s)"


def test_draw(tmp_path: Path) -> None:
    said = run("05_draw.py", tmp_path, photos_dir() / "obama2.jpg", "marked.jpg")
    assert said == "marked.jpg: 626 x 1200 px, 1 faces marked\n"
    before = load_image(photos_dir() / "obama2.jpg").astype(np.int16)
    after = load_image(tmp_path / "marked.jpg").astype(np.int16)
    changed = np.abs(before - after).max(axis=2) > 60  # more than JPEG alone does
    face, elsewhere = changed[200:660, 180:490], changed[800:]
    assert face.mean() > 0.005
    assert elsewhere.mean() < 0.0005


def test_groups(tmp_path: Path) -> None:
    assert run("06_groups.py", tmp_path).splitlines() == [
        "among staff: Barack Obama",
        "among visitors: Joe Biden",
        "among staff and visitors: Barack Obama, Joe Biden",
        "erased: 1 face; still known: Barack Obama",
        "findings: []",
        "last change: person.remove",
    ]


def test_how_sure(tmp_path: Path) -> None:
    limit, same, different, one, hundred = run("07_how_sure.py", tmp_path).splitlines()
    assert limit == "threshold: 0.944 from LFW View 1"
    assert same.startswith("Barack Obama and obama3: the same person, 0.97")
    assert same.endswith("less than 1 time in 100,000")
    assert different.startswith("Barack Obama and Joe Biden: different people, 0.81")
    # 1 - (1 - 0.01) ** (1 / 100) is about 1e-4: the threshold of the first line.
    assert numbers(one)[-1] == pytest.approx(0.910, abs=1e-3)
    assert numbers(hundred)[-1] == pytest.approx(numbers(limit)[0], abs=2e-3)


def test_gate(tmp_path: Path) -> None:
    lines = run("08_gate.py", tmp_path).splitlines()
    said = [(line.split(",")[0], line.endswith(": passes")) for line in lines]
    assert said == [
        ("astronaut.png", False),
        ("obama2.jpg", True),
        ("obama3.jpg", True),
        ("wall.jpg", False),
        ("wall.jpg", False),
        ("wall.jpg", True),
    ]
    assert "come closer: face 88 px, limit 100 px" in lines[0]


def test_lookalike(tmp_path: Path) -> None:
    first, second, last = run("10_lookalike.py", tmp_path).splitlines()
    assert re.fullmatch(r"1\. Barack Obama: 0\.9\d\d", first)
    assert re.fullmatch(r"2\. Joe Biden: 0\.8\d\d", second)
    assert last == "lookalike.jpg: faces by mtcnn, embeddings by dlib-resnet-v1"
    height, width = load_image(tmp_path / "lookalike.jpg").shape[:2]
    assert (width, height > 300) == (18 + 3 * 318, True)


def test_import_encodings(tmp_path: Path) -> None:
    assert run("11_import_encodings.py", tmp_path).splitlines() == [
        "2 encodings of Barack Obama, Joe Biden; 0 left",
        "2 added, 0 known already",
        "0 added, 2 known already",
    ]
    path = tmp_path / "own.json"
    path.write_text('{"Ann": [1, 2]}')
    said = run("11_import_encodings.py", tmp_path, path).splitlines()
    assert said[0] == "0 encodings of ; 1 left"


def test_server(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="install the server: pip install 'vultus[server]'")
    assert run("09_server.py", tmp_path).splitlines() == ANSWERS.splitlines()[1:]
    assert list(tmp_path.iterdir()) == []
