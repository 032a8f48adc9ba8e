"""What every suite shares: interleaved timing, the report as a table and as JSON, the command line.

A speed is only worth comparing within one run on one machine. So a suite measures vultus and its
peers in alternating rounds, prints medians and ratios, and writes them down together with the
conditions they were taken under.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from conditions import ROOT, conditions, cores, load_average

__all__ = [
    "ROOT",
    "Options",
    "Report",
    "SkippedError",
    "conditions",
    "cores",
    "data_folder",
    "dlib_weight",
    "interleaved",
    "main",
    "milliseconds",
    "model_file",
    "need_module",
    "progress",
    "rss_bytes",
    "seconds",
    "summary",
    "times",
]

SCHEMA = 1
T = TypeVar("T")


class SkippedError(Exception):
    """A suite, or a part of one, cannot run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Attributes:
        quick: A small run, to see that the suite works; its figures are not for quoting.
        out: Folder of the JSON file; ``None``: where full (or quick) results belong.
        rounds: Rounds instead of the suite's own number, or ``None``.
        extra: A suite's own options.
    """

    quick: bool = False
    out: Path | None = None
    rounds: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def count(self, full: int, quick: int) -> int:
        """How many rounds to run."""
        return self.rounds or (quick if self.quick else full)

    def folder(self, version: str) -> Path:
        """Where the JSON file goes; a quick run never replaces the published figures."""
        if self.out is not None:
            return self.out
        return (
            ROOT / "out" / "benchmarks" if self.quick else ROOT / "benchmarks" / "results" / version
        )


@dataclass
class Report:
    """What a suite found: rows for people, numbers for programs.

    Attributes:
        suite: Its name, also the JSON file's.
        title: What it measures, in a few words.
        settings: Threads, rounds, sizes of the sets: what the figures depend on.
        results: The numbers.
        rows: The table.
        skipped: What could not run, and why.
    """

    suite: str
    title: str
    settings: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def row(
        self,
        what: str,
        vultus: str,
        peer: str = "",
        ratio: str = "",
        *,
        target: str = "",
        met: bool | None = None,
        headline: bool = False,
    ) -> None:
        """Add a line to the table.

        Args:
            what: What was measured.
            vultus: Its figure.
            peer: Whose figure it stands beside, and that figure.
            ratio: Between the two.
            target: What the figure must reach, where something was promised.
            met: Whether it does.
            headline: Belongs into the README's table, as every row with a target does.
        """
        self.rows.append(
            {
                "what": what,
                "vultus": vultus,
                "peer": peer,
                "ratio": ratio,
                "target": target,
                "met": met,
                "headline": headline or bool(target),
            }
        )

    def skip(self, reason: object) -> None:
        """Note visibly that something could not run."""
        self.skipped.append(str(reason))
        print(f"SKIPPED {self.suite}: {reason}", file=sys.stderr, flush=True)

    def document(self, *, quick: bool, circumstances: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON document."""
        return {
            "schema": SCHEMA,
            "suite": self.suite,
            "title": self.title,
            "quick": quick,
            "conditions": dict(circumstances),
            "settings": self.settings,
            "rows": self.rows,
            "results": self.results,
            "skipped": self.skipped,
        }

    def show(self) -> None:
        """Print the table."""
        from rich import box
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=self.title, box=box.SIMPLE_HEAD, title_justify="left")
        for column in ("", "vultus", "peer", "ratio", "target"):
            table.add_column(column)
        mark = {True: " [green]✓[/]", False: " [bold red]✗ missed[/]", None: ""}
        for r in self.rows:
            cells = [escape(r[k]) for k in ("what", "vultus", "peer", "ratio", "target")]
            table.add_row(*cells[:4], cells[4] + mark[r["met"]])
        Console(width=None if sys.stdout.isatty() else 140).print(table)


# -- running a suite ----------------------------------------------------------------------------


def main(
    suite: str,
    title: str,
    run: Callable[[Report, Options], None],
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Run one suite from the command line: measure, print, write JSON.

    The exit status is 1 when ``--strict`` was given and a target was missed. A suite that cannot
    run says why, writes nothing and ends with 0.
    """
    parser = argparse.ArgumentParser(prog=f"benchmarks/{suite}.py", description=title)
    parser.add_argument("--quick", action="store_true", help="a small run, not for quoting")
    parser.add_argument("--out", type=Path, help="folder of the JSON file")
    parser.add_argument("--rounds", type=int, help="number of rounds")
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    if add_options:
        add_options(parser)
    given = vars(parser.parse_args())
    strict = given.pop("strict")
    options = Options(given.pop("quick"), given.pop("out"), given.pop("rounds"), given)
    report = Report(suite, title)
    before, began = load_average(), time.perf_counter()
    if before and before[0] > 0.3 * cores():
        print(f"this machine is busy (load {before[0]}): times will be noisy", file=sys.stderr)
    try:
        run(report, options)
    except SkippedError as reason:
        report.skip(reason)
        return
    circumstances = conditions()
    circumstances["load_average_before"] = before
    circumstances["took_s"] = round(time.perf_counter() - began, 1)
    report.show()
    folder = options.folder(circumstances["packages"]["vultus"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.suite}.json"
    document = report.document(quick=options.quick, circumstances=circumstances)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}")
    if strict and any(r["met"] is False for r in report.rows):
        raise SystemExit(1)


def need_module(name: str, how: str) -> None:
    """Skip unless a peer is installed.

    Raises:
        SkippedError: It is not.
    """
    if importlib.util.find_spec(name) is None:
        raise SkippedError(f"{name} is not installed ({how})")


def data_folder(name: str) -> Path:
    """A folder of the shared reference data.

    Raises:
        SkippedError: It is not on this machine.
    """
    root = Path(os.environ.get("VULTUS_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not (root / name).is_dir():
        raise SkippedError(f"{root / name} is absent (set VULTUS_TEST_DATA)")
    return root / name


def model_file(name: str) -> Path:
    """A file of face_recognition_models, found without importing it (and its pkg_resources)."""
    need_module("face_recognition_models", "pip install -r benchmarks/requirements.txt")
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise SkippedError("face_recognition_models has no files")
    return Path(spec.origin).parent / "models" / name


def dlib_weight() -> Path:
    """Dlib's own face embedder."""
    return model_file("dlib_face_recognition_resnet_model_v1.dat")


# -- measuring ----------------------------------------------------------------------------------


def interleaved(
    calls: Mapping[str, Callable[[int], object]],
    rounds: int,
    *,
    warmup: int = 1,
    lead_in: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    label: str = "",
) -> dict[str, list[float]]:
    """Time several calls in turn, round after round, so that noise falls on all of them alike.

    Every second round goes backwards: no call always follows the same neighbour.

    Args:
        calls: Name -> what to time; each is given the round's number, from 0.
        rounds: How many times each is timed.
        warmup: Untimed rounds before; they too are given 0, 1, ….
        lead_in: Call each once untimed right before it is timed, so that it finds the caches as
            in work on many items and not as its neighbour left them.
        clock: Tells seconds.
        label: Shown with the progress; nothing is shown without.

    Returns:
        Name -> one duration in seconds per round, in order.
    """
    for i in range(warmup):
        for call in calls.values():
            call(i)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    counted = progress(range(rounds), rounds, label) if label else range(rounds)
    for i in counted:
        for name in list(calls) if i % 2 == 0 else list(reversed(calls)):
            if lead_in:
                calls[name](i)
            began = clock()
            calls[name](i)
            taken[name].append(clock() - began)
    return taken


def summary(taken: Sequence[float]) -> dict[str, float | int]:
    """Median, extremes and quartiles of durations in seconds."""
    low, _, high = (
        statistics.quantiles(taken, n=4, method="inclusive") if len(taken) > 1 else [taken[0]] * 3
    )
    return {
        "median_s": statistics.median(taken),
        "min_s": min(taken),
        "quartile1_s": low,
        "quartile3_s": high,
        "max_s": max(taken),
        "runs": len(taken),
    }


def rss_bytes() -> int:
    """Resident memory of this process.

    Raises:
        SkippedError: The system has no /proc.
    """
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError as error:
        raise SkippedError("resident memory is read from /proc, which is Linux's") from error
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Show done, rate and time left on standard error: one line on a terminal, ten in a log."""
    began, shown = time.perf_counter(), 0.0
    terminal = sys.stderr.isatty()
    for done, item in enumerate(items, 1):
        yield item
        now = time.perf_counter()
        due = now - shown > 0.2 if terminal else done * 10 // total > (done - 1) * 10 // total
        if due or done == total:
            shown, rate = now, done / (now - began)
            left = max(0.0, (total - done) / rate)
            text = f"{label}: {done}/{total}, {rate:.1f}/s, {left:.0f} s left"
            end = "\n" if done == total or not terminal else ""
            print(("\r\x1b[K" if terminal else "") + text, end=end, file=sys.stderr, flush=True)


# -- words --------------------------------------------------------------------------------------


def milliseconds(value_s: float) -> str:
    """``6.53 ms``, three digits that count."""
    value = value_s * 1000
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} ms"


def seconds(value_s: float) -> str:
    """``12.3 s``, three digits that count."""
    digits = 2 if value_s < 10 else 1 if value_s < 100 else 0
    return f"{value_s:.{digits}f} s"


def times(ratio: float) -> str:
    """``22×``; a digit after the point below ten."""
    return f"{ratio:.1f}×" if ratio < 10 else f"{ratio:.0f}×"
