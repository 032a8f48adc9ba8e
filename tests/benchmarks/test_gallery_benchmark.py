"""The gallery's benchmark at tiny sizes: its data, its peers, its cases, its table and its page."""

from __future__ import annotations

import importlib.util
import json
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
if not Path("/proc/self/status").exists():
    pytest.skip("memory is read from /proc, which is Linux's", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import gallery as suite  # noqa: E402
import gallery_case as cases  # noqa: E402
import gallery_data as data  # noqa: E402
import gallery_peers as peers  # noqa: E402
import page  # noqa: E402
from common import Options, Report, SkippedError  # noqa: E402

ROWS, DIMENSION = 600, 48


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> data.Faces:
    return data.make_faces(tmp_path_factory.mktemp("faces"), ROWS, DIMENSION)


# -- data ---------------------------------------------------------------------------------------


def test_faces_are_like_faces(faces: data.Faces) -> None:
    vectors = faces.vectors().astype(np.float64)
    assert vectors.shape == (ROWS, DIMENSION)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(ROWS), abs=1e-6)
    cosines = vectors @ vectors.T
    person = data.person_of(np.arange(ROWS))
    same = person[:, None] == person[None]
    np.fill_diagonal(same, val=False)
    different = person[:, None] != person[None]
    assert 0.55 < cosines[same].mean() < 0.65
    assert abs(cosines[different].mean()) < 0.02
    assert cosines[different].std() == pytest.approx(DIMENSION**-0.5, rel=0.1)
    assert faces.raw_bytes == faces.path.stat().st_size == ROWS * DIMENSION * 4


def test_the_right_answers_are_right(faces: data.Faces) -> None:
    best = (faces.queries @ faces.vectors().T).argmax(axis=1)
    assert (faces.nearest == best // data.SAMPLES_PER_PERSON).all()
    assert (faces.nearest == faces.asked).mean() > 0.95


def test_a_set_is_the_same_each_time_and_read_as_written(faces: data.Faces, tmp_path: Path) -> None:
    again = data.make_faces(tmp_path, ROWS, DIMENSION)
    assert (again.vectors() == faces.vectors()).all()
    read = data.read_faces(tmp_path)
    assert (read.queries == faces.queries).all()
    assert (read.rows, read.dimension) == (ROWS, DIMENSION)
    for name, share in data.SHARES.items():
        assert (read.groups[name] == faces.groups[name]).all()
        assert len(read.groups[name]) == ROWS / data.SAMPLES_PER_PERSON
        inside = read.rows_of(name)
        assert inside.sum() == data.SAMPLES_PER_PERSON * read.groups[name].sum()
        assert inside.mean() == pytest.approx(share, abs=0.15)
    parts = list(faces.parts(250))
    assert [(start, len(part)) for start, part in parts] == [(0, 250), (250, 250), (500, 100)]
    assert (np.concatenate([part for _, part in parts]) == faces.vectors()).all()


def test_memory_is_what_was_allocated() -> None:
    before = data.anonymous_bytes()
    # Straight from the system: the allocator might hand out what it kept of an earlier test.
    with mmap.mmap(-1, 64 * 2**20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        held.write(b"x" * len(held))
        assert 60 * 2**20 < data.anonymous_bytes() - before < 160 * 2**20


# -- peers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["NumPy", "faiss Flat", "faiss SQfp16", "faiss HNSW", "usearch", "hnswlib", "sqlite-vec"],
)
def test_peers_find_the_nearest(faces: data.Faces, name: str, tmp_path: Path) -> None:
    truth = np.argsort(-(faces.queries[:20] @ faces.vectors().T), axis=1)[:, : peers.K]
    try:
        with peers.built(name, faces, tmp_path, 60.0) as peer:
            found = peer.search(faces.queries[:20])
            assert found.shape == (20, peers.K)
            assert np.mean(found[:, 0] == truth[:, 0]) >= 0.95
            search = peer.filtered("10 %")
            if search is not None:
                inside = faces.rows_of("10 %")
                assert inside[search(faces.queries[:1])].all()
            size = peer.size_bytes()
            assert size is None or size > 0.4 * faces.raw_bytes
    except SkippedError as reason:
        pytest.skip(str(reason))


def test_a_peer_that_is_absent_or_too_slow_is_skipped(
    faces: data.Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SkippedError, match="faiss is not installed"):
        peers.FaissFlat.check(10)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(SkippedError, match="tens of minutes"):
        peers.Hnswlib.check(1_000_000)
    monkeypatch.undo()

    class Slow(peers.Numpy):
        def build(self) -> None:
            self.in_time()

    monkeypatch.setitem(peers.PEERS, "slow", Slow)
    with (
        pytest.raises(SkippedError, match="took longer than this run allows"),
        peers.built("slow", faces, tmp_path, -1.0),
    ):
        pass


# -- cases --------------------------------------------------------------------------------------


def test_a_gallery_is_filled_opened_and_searched(faces: data.Faces, tmp_path: Path) -> None:
    place = {"folder": str(faces.path.parent), "path": str(tmp_path / "people.db")}
    filled = cases.fill(**place, singles=3)
    assert filled["joins"] == sum(inside.sum() for inside in faces.groups.values())
    assert filled["add"]["runs"] == filled["remove"]["runs"] == 3
    assert filled["file_bytes"] > faces.raw_bytes
    for rate in ("bulk_per_s", "fsync_per_s", "joins_per_s"):
        assert filled[rate] > 0
    opened = cases.opened(**place, rounds=5)
    assert opened["identity_at_1"] == np.mean(faces.nearest == faces.asked)
    assert opened["recall_at_1"] == 1.0
    assert opened["info"]["kind"] == "exact"
    assert set(opened["filtered"]) == set(data.SHARES)
    assert opened["search"]["runs"] == 5
    contest = cases.contest(**place, names=["NumPy", "faiss Flat"], rounds=3)
    assert list(contest["tasks"]) == [
        "one query",
        "batch of 128",
        *(f"among {name}" for name in data.SHARES),
    ]
    for timing in contest["tasks"].values():
        assert {"vultus", "NumPy"} <= set(timing)


def test_a_peer_by_itself(faces: data.Faces, tmp_path: Path) -> None:
    found = cases.peer(str(faces.path.parent), str(tmp_path), "NumPy", rounds=3, limit_s=10.0)
    assert found["recall_at_1"] == 1.0
    assert found["clock"] == "process_time"
    assert (found["exact"], found["file_bytes"]) == (True, None)
    json.dumps(found)


def test_timing_stops_at_its_limit() -> None:
    ticks = iter(range(100))
    assert cases.timed(lambda _: None, 4, clock=lambda: float(next(ticks))) == [1.0] * 4
    assert len(cases.timed(lambda _: None, 50, limit_s=-1.0)) == 1


def test_the_whole_suite_at_a_tiny_size(tmp_path: Path) -> None:
    report = Report("gallery", "")
    extra = {
        "sizes": [300],
        "dimensions": [16],
        "peers": ["NumPy", "faiss IVF"],
        "folder": tmp_path,
    }
    suite.run(report, Options(quick=True, extra=extra))
    (found,) = report.results.values()
    assert set(found["peers"]) == {"NumPy", "faiss IVF"}
    assert found["open"]["recall_at_1"] == 1.0
    assert list(tmp_path.iterdir()) == []
    assert any("in turn" in row["what"] for row in report.rows)
    document = report.document(quick=True, circumstances=CIRCUMSTANCES)
    text = page.gallery(json.loads(json.dumps(document)))
    assert "**300 × 16**" in text
    assert "A quick run, not for quoting." in text
    with pytest.raises(SkippedError, match="no peer is called nobody"):
        suite.run(report, Options(extra={**extra, "peers": ["nobody"]}))


# -- the table and the page ---------------------------------------------------------------------

CIRCUMSTANCES = {
    "cpu": "a CPU",
    "cores": 2,
    "os": "an OS",
    "python": "3.11.0",
    "packages": {"numpy": "2.0.0"},
    "dlib": None,
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "0123456789",
}


def timing(median_s: float) -> dict[str, Any]:
    return {"median_s": median_s, "p99_s": 2 * median_s}


def found(rows: int = 100_000, dimension: int = 512) -> dict[str, Any]:
    """Results as `one_size` gives them, with round numbers."""
    raw = rows * dimension * 4
    return {
        "rows": rows,
        "dimension": dimension,
        "raw_bytes": raw,
        "fill": {
            "bulk_per_s": 20_000.0,
            "add": timing(0.0005),
            "remove": timing(0.002),
            "fsync_per_s": 2000.0,
            "optimise_s": 3.0,
            "file_bytes": int(1.4 * raw),
        },
        "open": {
            "first_answer_s": 1.5,
            "memory_bytes": int(1.25 * raw),
            "identity_at_1": 1.0,
            "recall_at_1": 1.0,
            "search": timing(0.004),
            "batch_per_query_s": 0.0004,
            "info": {"kind": "exact"},
        },
        "peers": {
            "NumPy": {
                "exact": True,
                "search": timing(0.008),
                "batch_per_query_s": 0.001,
                "identity_at_1": 1.0,
                "recall_at_1": 1.0,
                "memory_bytes": raw,
                "file_bytes": None,
                "build_s": 0.5,
            },
            "hnswlib": {"skipped": "not installed"},
        },
        "contest": {
            "tasks": {
                "one query": {"vultus": timing(0.004), "NumPy": timing(0.008)},
                "batch of 128": {"vultus": timing(0.0512), "NumPy": timing(0.128)},
                "among 1 %": {"vultus": timing(0.0001), "NumPy": timing(0.00005)},
            }
        },
    }


def test_rows_say_what_was_promised_and_whether_it_is_met() -> None:
    report = Report("gallery", "")
    suite.add_rows(report, 100_000, 512, found())
    rows = {row["what"].removeprefix("100,000 × 512: "): row for row in report.rows}
    assert rows["among 1 %, in turn"]["ratio"] == "2.00× its time"
    assert rows["among 1 %, in turn"]["met"] is False
    assert (
        rows["a query in a batch of 128"]["ratio"],
        rows["a query in a batch of 128"]["met"],
    ) == (
        "10× cheaper",
        True,
    )
    assert (rows["memory"]["ratio"], rows["memory"]["met"]) == ("1.25×", True)
    assert rows["enrol one, safe on disk"]["ratio"] == "1.0×"
    assert rows["one query, exact"]["peer"] == "NumPy: 8.00 ms"
    assert rows["open and answer first"]["met"] is None
    large = Report("gallery", "")
    suite.add_rows(large, 1_000_000, 512, found(1_000_000))
    met = {row["what"].split(": ")[1]: row["met"] for row in large.rows}
    assert met["open and answer first"] is True
    assert met["one query, exact"] is True
    assert met["right person first"] is True
    assert met["among 1 %, in turn"] is None  # promised for 100,000
    small = Report("gallery", "")
    suite.add_rows(small, 10_000, 128, found(10_000, 128))
    assert all(row["met"] is None for row in small.rows)


def test_the_page_is_filled_between_its_marks() -> None:
    report = Report("gallery", "", results={"100,000 × 512": found()}, skipped=["no hnswlib"])
    report.settings["packages"] = {"faiss-cpu": "1.0"}
    document = report.document(quick=False, circumstances=CIRCUMSTANCES)
    end = "<!-- end gallery -->\nafter <!-- begin x -->\n<!-- end x -->"
    text = f"before\n<!-- begin gallery -->\nold\n{end}"
    done, missing = page.filled(text, {"gallery": document})
    assert missing == ["x"]
    assert done.startswith(
        "before\n<!-- begin gallery -->\n\n**100,000 × 512** (195 MB of vectors)"
    )
    assert "old" not in done
    assert "| vultus (SQLite) | exact | 4.00 ms | 8.00 ms | 0.40 ms | 1.0000 " in done
    assert "| 1.25× | 1.40× | 5.00 s |" in done
    assert (
        "| NumPy | exact | 8.00 ms | 16.0 ms | 1.00 ms | 1.0000 | 1.0000 | 1.00× |  | 0.50 s |"
        in done
    )
    assert "| one query | 4.00 ms | 8.00 ms |" in done
    assert "| 100,000 × 512 | 20,000/s | 0.50 ms | 0.50 ms | 2.00 ms | 1.50 s | 3.00 s |" in done
    assert "- no hnswlib" in done
    assert "Beside it: faiss-cpu 1.0." in done
    assert done.endswith(end)
    assert page.filled(done, {"gallery": document})[0] == done


def test_the_real_page_has_its_marks() -> None:
    marks = [found.group(2) for found in page._MARKED.finditer(page.PAGE.read_text("utf-8"))]
    assert "gallery" in marks
