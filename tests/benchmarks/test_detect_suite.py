"""The suite of detectors: what counts as found, and the table it writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.types import Box, Face, Frame

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import detect  # noqa: E402
import run_all  # noqa: E402
import table  # noqa: E402
from common import Report, SkippedError  # noqa: E402

FRAME = Frame(np.zeros((100, 200, 3), np.uint8))


def _face(*xyxy: float) -> Face:
    return Face(Box(*xyxy), 0.9, None, FRAME)


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((40, 40, 60, 60), True),
        ((45, 45, 55, 55), True),  # half as large, just
        ((46, 46, 54, 54), False),
        ((30, 30, 70, 70), True),  # twice as large, just
        ((29, 29, 71, 71), False),
        ((50, 40, 70, 60), True),  # off by half of the size, just
        ((51, 40, 71, 60), False),
        ((40, 51, 60, 71), False),
        ((46, 40, 54, 60), True),  # the longer side counts
    ],
)
def test_a_box_is_at_a_mark(box: tuple[float, ...], found: bool) -> None:
    assert detect.is_at(_face(*box), {"center_xy_px": [50, 50], "size_px": 20}) is found


def test_boxes_that_cover_the_frame() -> None:
    frame = Frame(np.zeros((100, 100, 3), np.uint8))
    whole, small, aside = _face(10, 5, 90, 95), _face(30, 30, 75, 75), _face(45, 0, 99, 60)
    assert detect.covering([whole, small, aside], frame) == [whole]
    assert detect.covering([], frame) == []


def test_boxes_in_both_lists() -> None:
    ours = [[0, 0, 10, 10], [20, 0, 30, 10], [20, 0, 31, 10]]
    assert detect.same_boxes(ours, [[1, 0, 11, 10]]) == 1
    assert detect.same_boxes(ours, [[20, 0, 30, 10]]) == 1  # each is used once
    assert detect.same_boxes(ours, ours) == 3
    assert detect.same_boxes(ours, [[6, 0, 16, 10]]) == 0  # an IoU of a quarter
    assert detect.same_boxes([], ours) == detect.same_boxes(ours, []) == 0


def test_every_picture_counts_alike() -> None:
    assert detect.mean_picture([1.0, 10.0, 3.0, 30.0, 2.0, 20.0], 2) == 11.0  # medians 2 and 20
    assert detect.mean_picture([4.0], 3) == 4.0


def test_an_absent_peer_is_told() -> None:
    report = Report("detect", "title")

    def absent() -> dict[str, Any]:
        raise SkippedError("no such peer")

    assert detect.available(report, absent) == {}
    assert report.skipped == ["no such peer"]


def _row(**more: Any) -> dict[str, Any]:
    return {
        "picture_s": 0.0123,
        "bytes": 1_234_567,
        "licence": "MIT",
        "scenes_found": 70,
        "scenes_faces": 71,
        "scenes_false": 2,
        "scenes_missed": [],
        "close_found": 1,
        "close_faces": 50,
        **more,
    }


ROWS = {
    "plain": _row(bytes=0),
    "good": _row(
        wider_easy=91.26,
        wider_medium=90.0,
        wider_hard=69.04,
        close_found_twice=50,
        scenes_missed=["group.png: 1 of 57"],
    ),
}


def test_the_table_has_the_most_accurate_first() -> None:
    lines = detect.table_of(ROWS, 220).splitlines()
    assert lines[2] == (
        "| good | 91.3 / 90.0 / 69.0 | 70 of 71 | 2 | 1 of 50; 50 in two looks "
        "| 12.3 | 1.23 | MIT |"
    )
    assert lines[3] == "| plain | – | 70 of 71 | 2 | 1 of 50 | 12.3 | – | MIT |"
    assert "- good: group.png: 1 of 57" in lines
    assert lines[-1] == "220 pictures of WIDER FACE."
    assert detect.table_of({}, 0).splitlines()[-1] == "WIDER FACE was left out."


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{detect.BEGIN}\nold\n{detect.END}\nafter\n", encoding="utf-8")
    report = Report("detect", "title", settings={"wider_pictures": 3})
    for _ in range(2):  # again and again
        detect.write_docs(ROWS, report, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{detect.BEGIN}\n| detector |")
    assert text.endswith(f"\n{detect.END}\nafter\n")
    assert "old" not in text
    assert text.count("| good |") == 1
    assert "3 pictures of WIDER FACE. " in text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a page\n", encoding="utf-8")
    with pytest.raises(SkippedError, match="must hold <!-- detectors:begin -->"):
        detect.write_docs(ROWS, Report("detect", "title"), page)
    assert page.read_text(encoding="utf-8") == "a page\n"


def test_the_page_has_the_marks() -> None:
    text = detect.PAGE.read_text(encoding="utf-8")
    assert text.index(detect.BEGIN) < text.index(detect.END)


def test_rows_hold_the_promises() -> None:
    report = Report("detect", "title", settings={"wider_pictures": 220})
    report.results["timing"] = {
        name: {"picture_s": seconds}
        for name, seconds in (
            ("mtcnn, min face 20, 1 thread", 0.1),
            ("facenet-pytorch mtcnn, min face 20, 1 thread", 0.26),
            ("mtcnn, min face 20, 2 threads", 0.1),
            ("facenet-pytorch mtcnn, min face 20, 2 threads", 0.24),
            ("dlib-mmod beside dlib", 0.2),
            ("dlib MMOD", 2.8),
            ("yunet, network alone", 0.010),
            ("yunet, with decoding", 0.0114),
        )
    }
    report.results["mtcnn_beside_facenet"] = {"both": 63, "only_vultus": 0, "only_facenet": 1}
    published = {"wider_easy": 87.0, "wider_medium": 86.0, "wider_hard": 70.0}
    detect.add_rows(report, {"yunet": _row(**published)})
    met = {row["what"]: (row["ratio"], row["met"]) for row in report.rows if row["target"]}
    assert met == {
        "mtcnn, min face 20, 1 thread, 640×480": ("2.6×", True),
        "mtcnn, min face 20, 2 threads, 640×480": ("2.4×", False),
        "dlib-mmod beside dlib, 640×480": ("14×", False),
        "mtcnn, faces found by both": ("", False),
        "yunet, with decoding": ("1.14", True),
        "yunet: WIDER FACE easy/medium/hard": ("", False),  # hard is 5 points below
    }


def test_the_suites_have_a_place_in_the_table() -> None:
    assert sorted(table.ORDER) == sorted(run_all.SUITES)
    assert {"detect", "accuracy", "gallery"} <= set(run_all.SUITES)
