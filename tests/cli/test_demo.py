"""`vultus demo` finds the right people, says how, and fails loudly when it does not."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from vultus.cli.demo import demo
from vultus.draw import UNKNOWN
from vultus.errors import OutputError
from vultus.gallery import open_gallery

PICTURES = ["astronaut.jpg", "obama2.jpg", "obama3.jpg", "rocket.jpg", "wall.jpg"]
NAMES = {
    "astronaut.png": [None],
    "obama2.jpg": ["Barack Obama"],
    "obama3.jpg": ["Barack Obama"],
    "rocket.jpg": [],
    "wall.jpg": ["Joe Biden", None, "Barack Obama"],
}


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(demo)
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("demo") / "out"
    return folder, run("--out", str(folder))


def test_output_for_people(done: tuple[Path, Result]) -> None:
    folder, result = done
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "Enrolled Barack Obama and Joe Biden" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "Barack Obama" in rows["obama2.jpg"]
    assert "≥ 0." in rows["obama2.jpg"]
    assert "unknown" in rows["astronaut.png"]
    assert "< 0." in rows["astronaut.png"]
    assert "nearest: Joe Biden" in " ".join(text.split())
    assert "no face found" in rows["rocket.jpg"]
    assert "Joe Biden" in rows["wall.jpg"]
    assert "policy fmr=5e-3: 0.50% of pairs of strangers pass" in text
    assert "vultus identify KNOWN PHOTOS" in text
    assert "vultus compare A.jpg B.jpg" in text
    assert str(folder / "contact-sheet.jpg") in text
    assert result.stderr == ""


def test_files(done: tuple[Path, Result]) -> None:
    folder, _ = done
    written = sorted(path.name for path in folder.iterdir())
    assert written == sorted([*PICTURES, "contact-sheet.jpg", "demo.vultus"])
    with open_gallery(folder / "demo.vultus", create=False) as gallery:
        assert [person.name for person in gallery.people()] == ["Barack Obama", "Joe Biden"]
    with Image.open(folder / "astronaut.jpg") as picture:
        assert picture.size == (512, 512)
        orange = np.abs(np.asarray(picture, np.int16) - UNKNOWN).max(axis=2) < 12
    assert orange[:200, 150:300].sum() > 300  # the plate above the face
    with Image.open(folder / "contact-sheet.jpg") as sheet:
        assert sheet.size[0] == 24 + 3 * (400 + 24)


def test_output_for_programs_and_a_second_run(done: tuple[Path, Result]) -> None:
    folder, _ = done
    result = run("-o", str(folder), "--json")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    names = {Path(row["image"]).name: [face["name"] for face in row["faces"]] for row in rows}
    assert names == NAMES
    assert all(row["error"] is None and set(row) == {"image", "faces", "error"} for row in rows)
    for row in rows:
        for face in row["faces"]:
            assert set(face) == {"box", "name", "similarity"}
            assert (face["similarity"] > 0.9) == (face["name"] is not None)
            x1, y1, x2, y2 = face["box"]
            assert x1 < x2
            assert y1 < y2
    with open_gallery(folder / "demo.vultus", create=False) as gallery:
        assert len(gallery) == 2


def test_a_wrong_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = MappingProxyType({"rocket.jpg": ("Joe Biden",)})
    monkeypatch.setattr("vultus.samples.EXPECTED", wrong)
    result = run("--out", str(tmp_path), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["faces"] == []
    assert "rocket.jpg shows Joe Biden; the answer was no face" in result.stderr
    assert "vultus doctor" in result.stderr


def test_an_unreadable_sample_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    monkeypatch.setattr("vultus.samples.EXPECTED", MappingProxyType({"broken.jpg": (None,)}))
    monkeypatch.setattr("vultus.samples.photos_dir", lambda: tmp_path)
    result = run("--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "image-format"
    assert "broken.jpg shows unknown; the answer was no face (" in result.stderr


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be made anew"):
        demo(tmp_path / "file")
