"""How the suite of the face_recognition command reads what was printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import face_recognition_cli as suite  # noqa: E402
from common import Report, SkippedError  # noqa: E402


def test_lines_by_picture():
    text = (
        "WARNING: No faces found in known/a,b.jpg. Ignoring file.\n"
        "f/b.jpg,unknown_person\nf/a,1.jpg,Kim\nf/b.jpg,Ada\n"
    )
    assert suite.by_picture(text) == {
        "f/a,1.jpg": ["Kim"],
        "f/b.jpg": ["Ada", "unknown_person"],
    }


def test_pictures_are_drawn_alike_every_time(tmp_path: Path):
    every = [tmp_path / f"{i}.jpg" for i in range(9)]
    assert suite._drawn(every, 4) == suite._drawn(every, 4)
    assert len(set(suite._drawn(every, 9))) == 9
    with pytest.raises(SkippedError, match="10 pictures are needed, 9 are there"):
        suite._drawn(every, 10)


def test_rows_say_what_was_promised():
    report = Report("face_recognition_cli", "")
    seconds = {"original": 30.0, "vultus 1": 5.0, "vultus 2": 2.5}
    one = {name: {"median_s": value} for name, value in seconds.items()}
    report.results["WIDER"] = {
        "wall": one,
        "cpu": one,
        "faces": dict.fromkeys(seconds, 7),
        "same_people": 3,
    }
    suite.add_rows(report, "WIDER", 4)
    assert [(row["ratio"], row["met"]) for row in report.rows[:3]] == [
        ("6.0×", True),
        ("6.0×", None),
        ("2.00×", True),
    ]
