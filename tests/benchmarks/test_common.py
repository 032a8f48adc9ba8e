"""What the benchmarks share: interleaving, the report, the table; and the counting of names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import common  # noqa: E402
import conditions  # noqa: E402
import identify  # noqa: E402
import memory  # noqa: E402
import table  # noqa: E402
from common import Options, Report, SkippedError  # noqa: E402


def test_rounds_alternate_and_every_second_one_goes_backwards() -> None:
    order: list[tuple[str, int]] = []

    def note(name: str) -> Callable[[int], None]:
        return lambda i: order.append((name, i))

    ticks = iter(range(100))
    taken = common.interleaved(
        {"peer": note("peer"), "ours": note("ours")}, 3, warmup=1, clock=lambda: next(ticks)
    )
    assert order == [
        *[("peer", 0), ("ours", 0)],  # untimed
        *[("peer", 0), ("ours", 0)],
        *[("ours", 1), ("peer", 1)],
        *[("peer", 2), ("ours", 2)],
    ]
    assert taken == {"peer": [1, 1, 1], "ours": [1, 1, 1]}


def test_each_duration_belongs_to_its_own_call() -> None:
    now = [0.0]

    def lasting(seconds: float) -> Callable[[int], None]:
        def call(i: int) -> None:
            now[0] += seconds + i

        return call

    calls = {"slow": lasting(10), "fast": lasting(1)}
    taken = common.interleaved(calls, 2, warmup=0, clock=lambda: now[0])
    assert taken == {"slow": [10, 11], "fast": [1, 2]}


def test_lead_in_calls_are_not_timed() -> None:
    now, calls = [0.0], []

    def call(i: int) -> None:
        calls.append(i)
        now[0] += 1.0

    taken = common.interleaved({"a": call}, 2, warmup=0, lead_in=True, clock=lambda: now[0])
    assert taken == {"a": [1.0, 1.0]}
    assert calls == [0, 0, 1, 1]


def test_summary() -> None:
    assert common.summary([4.0, 1.0, 3.0, 2.0]) == {
        "median_s": 2.5,
        "min_s": 1.0,
        "quartile1_s": 1.75,
        "quartile3_s": 3.25,
        "max_s": 4.0,
        "runs": 4,
    }
    assert common.summary([2.0])["quartile1_s"] == 2.0


def test_three_digits_count() -> None:
    assert common.milliseconds(0.0065312) == "6.53 ms"
    assert common.milliseconds(0.065312) == "65.3 ms"
    assert common.milliseconds(0.65312) == "653 ms"
    assert common.seconds(6.5312) == "6.53 s"
    assert common.seconds(65.312) == "65.3 s"
    assert common.times(5.04) == "5.0×"
    assert common.times(21.7) == "22×"


def test_quick_figures_never_replace_published_ones(tmp_path: Path) -> None:
    assert Options().folder("0.1.0") == common.ROOT / "benchmarks" / "results" / "0.1.0"
    assert Options(quick=True).folder("0.1.0") == common.ROOT / "out" / "benchmarks"
    assert Options(quick=True, out=tmp_path).folder("0.1.0") == tmp_path
    assert (Options().count(60, 8), Options(quick=True).count(60, 8)) == (60, 8)
    assert Options(rounds=3).count(60, 8) == 3


def test_absent_data_and_peers_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VULTUS_TEST_DATA", str(tmp_path))
    with pytest.raises(SkippedError, match="lfw is absent"):
        common.data_folder("lfw")
    (tmp_path / "lfw").mkdir()
    assert common.data_folder("lfw") == tmp_path / "lfw"
    with pytest.raises(SkippedError, match=r"no_such_peer is not installed \(pip install it\)"):
        common.need_module("no_such_peer", "pip install it")


def test_conditions_name_machine_versions_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "dlib_build", lambda: None)
    found = conditions.conditions()
    assert found["cores"] >= 1
    assert {"vultus", "numpy", "onnxruntime"} <= set(found["packages"])
    assert found["date"].endswith("+00:00")
    assert found["cpu"]
    json.dumps(found)


def test_commit_is_unknown_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: str) -> str:
        raise FileNotFoundError("git")

    monkeypatch.setattr(conditions, "_git", absent)
    assert conditions.commit() == "unknown"
    monkeypatch.setattr(conditions, "_git", lambda *a: "abc" if a[0] == "rev-parse" else " M x")
    assert conditions.commit() == "abc+changes"


def test_progress_hands_everything_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(common.progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert "letters: 3/3" in capsys.readouterr().err


@pytest.fixture
def run_suite(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., dict[str, Any] | None]]:
    """Run `main` with a suite, and read what it wrote."""
    monkeypatch.setattr(conditions, "dlib_build", lambda: None)

    def run(suite: Callable[[Report, Options], None], *arguments: str) -> dict[str, Any] | None:
        monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path), *arguments])
        common.main("try", "A try", suite)
        written = tmp_path / "try.json"
        return json.loads(written.read_text("utf-8")) if written.exists() else None

    return run


def test_a_suite_prints_a_table_and_writes_json(
    run_suite: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    def suite(report: Report, options: Options) -> None:
        report.settings["rounds"] = options.count(5, 2)
        report.row("[time]", "1 ms", "peer 9 ms", "9×", target="≥ 5×", met=True)
        report.results["ratio"] = 9.0

    found = run_suite(suite, "--quick")
    assert found["suite"] == "try"
    assert found["quick"] is True
    assert found["settings"] == {"rounds": 2}
    assert found["results"] == {"ratio": 9.0}
    assert found["rows"][0]["met"] is True
    assert found["rows"][0]["headline"] is True
    assert "took_s" in found["conditions"]
    assert "[time]" in capsys.readouterr().out


def test_a_missed_target_fails_only_when_asked(run_suite: Callable[..., Any]) -> None:
    def suite(report: Report, _: Options) -> None:
        report.row("time", "3 ms", target="< 2 ms", met=False)

    assert run_suite(suite)["rows"][0]["met"] is False
    with pytest.raises(SystemExit) as ended:
        run_suite(suite, "--strict")
    assert ended.value.code == 1


def test_a_suite_that_cannot_run_says_so_and_writes_nothing(
    run_suite: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def suite(_report: Report, _options: Options) -> None:
        raise SkippedError("no data here")

    assert run_suite(suite) is None
    assert "SKIPPED try: no data here" in capsys.readouterr().err


def _document(suite: str, *, quick: bool = False) -> dict[str, Any]:
    report = Report(suite, "A title")
    report.row("time | one", "1 ms", "peer 9 ms", "9×", target="≥ 5×", met=True)
    report.row("detail", "2 ms")
    report.row("wrong", "3", "peer 1", target="no more", met=False)
    build = {
        "DLIB_USE_BLAS": False,
        "DLIB_USE_CUDA": False,
        "USE_AVX_INSTRUCTIONS": True,
        "USE_NEON_INSTRUCTIONS": False,
    }
    circumstances = {
        "cpu": "A CPU",
        "cores": 2,
        "os": "Linux",
        "python": "3.11.7",
        "packages": {"onnxruntime": "1.31.1", "dlib-bin": "20.0.1"},
        "dlib": build,
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789abcdef+changes",
    }
    return report.document(quick=quick, circumstances=circumstances)


def test_the_markdown_table_shows_headlines_and_conditions() -> None:
    assert table.markdown([_document("embed"), _document("lfw", quick=True)]).splitlines() == [
        "| | vultus | beside it | ratio | target |",
        "| --- | --- | --- | --- | --- |",
        "| time \\| one | 1 ms | peer 9 ms | 9× | ≥ 5× met |",
        "| wrong | 3 | peer 1 |  | no more **missed** |",
        "| time \\| one | 1 ms | peer 9 ms | 9× | ≥ 5× met |",
        "| wrong | 3 | peer 1 |  | no more **missed** |",
        "",
        "embed, lfw (quick run, not for quoting): A CPU, 2 cores, Linux, Python 3.11.7, "
        "onnxruntime 1.31.1, dlib-bin 20.0.1 (AVX, no BLAS); 2026-01-02, commit 0123456+.",
    ]
    assert "| detail | 2 ms |  |  |  |" in table.markdown([_document("embed")], every=True)


def test_the_table_reads_a_folder_in_its_own_order(tmp_path: Path) -> None:
    for suite in ("lfw", "embed", "memory"):
        text = json.dumps(_document(suite))
        (tmp_path / f"{suite}.json").write_text(text, encoding="utf-8")
    assert [d["suite"] for d in table.read(tmp_path)] == ["embed", "memory", "lfw"]


def test_the_newest_version_counts_by_number(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "1.0.0"):
        (tmp_path / version).mkdir()
    for version in ("0.9.0", "0.10.0"):
        (tmp_path / version / "embed.json").write_text("{}", encoding="utf-8")
    assert table.newest(tmp_path).name == "0.10.0"


@pytest.mark.parametrize(
    "suite", ["embed", "identify", "lfw", "memory", "run_all", "startup", "table", "throughput"]
)
def test_every_suite_explains_itself(suite: str) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{suite}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"benchmarks/{suite}.py" in done.stdout


# -- names --------------------------------------------------------------------------------------

OURS = "\n".join(
    json.dumps({"image": f"photos/{image}", "faces": faces, "error": None})
    for image, faces in {
        "a.jpg": [
            {"name": "Ada", "nearest": [{"name": "Ada", "similarity": 0.96}]},
            {"name": None, "nearest": [{"name": "Bob", "similarity": 0.91}]},
        ],
        "b.jpg": [{"name": None, "nearest": [{"name": "Bob", "similarity": 0.92}]}],
        "c.jpg": [],
    }.items()
)
TRUTH = {"a.jpg": {"Ada"}, "b.jpg": {"Bob"}, "c.jpg": set(), "d.jpg": {"Cy", "Ada"}}


def test_names_are_counted_as_right_wrong_and_missing() -> None:
    named = {"a.jpg": {"Ada", "Bob"}, "c.jpg": {"Cy"}, "d.jpg": {"Cy"}}
    assert identify.score(TRUTH, named) == {
        "correct": 2,  # Ada on a, Cy on d
        "wrong": 2,  # Bob on a, Cy on c
        "missed": 2,  # Bob on b, Ada on d
        "photos_exactly_right": 0,
        "photos_answered": 3,
    }


def test_names_of_vultus_by_its_own_and_by_other_thresholds() -> None:
    assert identify.read_vultus(OURS) == {"a.jpg": {"Ada"}, "b.jpg": set(), "c.jpg": set()}
    assert identify.read_vultus(OURS, 0.92) == {"a.jpg": {"Ada"}, "b.jpg": {"Bob"}, "c.jpg": set()}
    assert identify.read_vultus(OURS, 0.90)["a.jpg"] == {"Ada", "Bob"}
    points = {p["threshold"]: p for p in identify.curve(TRUTH, OURS)}
    assert (points[0.9]["correct"], points[0.9]["wrong"]) == (2, 1)
    assert (points[0.92]["correct"], points[0.92]["wrong"]) == (2, 0)
    assert (points[0.95]["correct"], points[0.95]["wrong"]) == (1, 0)


def test_a_photo_is_exactly_right_when_nothing_is_missing_or_added() -> None:
    named: dict[str, set[str]] = {"a.jpg": {"Ada"}, "b.jpg": set(), "c.jpg": set()}
    named["d.jpg"] = {"Cy", "Ada", "Bob"}
    assert identify.score(TRUTH, named)["photos_exactly_right"] == 2  # a and c
    del named["c.jpg"]  # no answer is not a right one
    assert identify.score(TRUTH, named)["photos_exactly_right"] == 1


def test_names_of_the_peer_by_its_own_and_by_stricter_tolerances() -> None:
    text = "\n".join(
        [
            "WARNING: No faces found in known/x.jpg. Ignoring file.",
            "photos/a.jpg,Ada,0.42",
            "photos/a.jpg,Bob,0.58",
            "photos/b, c.jpg,unknown_person,None",
            "photos/d.jpg,no_persons_found,None",
        ]
    )
    assert identify.read_peer(text) == {
        "a.jpg": {"Ada", "Bob"},
        "b, c.jpg": set(),
        "d.jpg": set(),
    }
    assert identify.read_peer(text, 0.5)["a.jpg"] == {"Ada"}
    assert identify.read_peer(text, 0.4)["a.jpg"] == set()


# -- memory -------------------------------------------------------------------------------------


def test_growth_compares_medians_after_the_first_photos() -> None:
    values = [100, 200, 300, 400, 500, 502, 501, 503]  # at 100, 200, …, 800 photos
    samples = [{"photos": 100.0 * (i + 1), "rss_mb": v} for i, v in enumerate(values)]
    # From 500 on: 500, 502 | 501, 503: medians 501 and 502.
    assert memory.growth(samples) == 1.0


def test_slope_is_per_thousand_photos_of_the_second_half() -> None:
    values = [500, 100, 300, 301, 302, 303]
    samples = [{"photos": 100.0 * (i + 1), "rss_mb": v} for i, v in enumerate(values)]
    assert memory.slope(samples) == pytest.approx(10 * 1024)  # 1 MB per 100 photos
    assert memory.slope(samples[:1]) == 0.0
