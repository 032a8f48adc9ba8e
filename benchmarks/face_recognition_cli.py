"""A folder of 100 photos through the `face_recognition` command: the original, and vultus's own.

Each run is a process of its own, from start to end, as a user starts it. Besides the time on the
clock, the CPU time is taken: it tells what the work costs where other programs keep the machine
busy. (The file is not called after its subject: a script's folder comes first in its imports.)
"""

from __future__ import annotations

import importlib.metadata
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Options,
    Report,
    SkippedError,
    cores,
    data_folder,
    interleaved,
    main,
    need_module,
    seconds,
    summary,
    times,
)

SEED = 20261122
TARGET_ONE, TARGET_TWO = 5.0, 1.7
ORIGINAL = ("-W", "ignore", "-m", "face_recognition.face_recognition_cli")
OURS = ("-m", "vultus", "face-recognition")


def run(report: Report, options: Options) -> None:
    """Run both on the same folders in turn."""
    from vultus.samples import known_dir

    need_original()
    count = 20 if options.quick else 100
    rounds = options.count(3, 1)
    report.settings.update(photos=count, rounds=rounds, seed=SEED, known_people=2)
    with tempfile.TemporaryDirectory(prefix="vultus-bench-") as name:
        for kind, pictures in (("WIDER", wider(count)), ("LFW", lfw(count))):
            folder = Path(name) / kind
            folder.mkdir()
            for path in pictures:
                shutil.copy(path, folder / path.name)
            report.results[kind] = measured(known_dir(), folder, rounds)
            add_rows(report, kind, count)


def need_original() -> None:
    """Skip unless the real face_recognition is installed."""
    need_module("dlib", "pip install -r benchmarks/requirements.txt")
    try:
        report = importlib.metadata.version("face_recognition")
    except importlib.metadata.PackageNotFoundError as error:
        raise SkippedError("face_recognition is not installed") from error
    if report != "1.3.0":
        raise SkippedError(f"face_recognition 1.3.0 is needed, {report} is installed")


def wider(count: int) -> list[Path]:
    """Photos of events, about 1,024 px wide."""
    return _drawn(sorted(data_folder("wider").rglob("*.jpg")), count)


def lfw(count: int) -> list[Path]:
    """Press photos cut to 250 px, one per person."""
    people = sorted((data_folder("lfw") / "images").iterdir())
    return _drawn([sorted(person.glob("*.jpg"))[0] for person in people], count)


def _drawn(every: list[Path], count: int) -> list[Path]:
    if len(every) < count:
        raise SkippedError(f"{count} pictures are needed, {len(every)} are there")
    return [every[i] for i in np.random.default_rng(SEED).permutation(len(every))[:count]]


def measured(known: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds on the clock and of the CPU, and how many pictures are answered alike."""
    commands = {
        "original": [*ORIGINAL, str(known), str(folder)],
        "vultus 1": [*OURS, str(known), str(folder), "--cpus", "1"],
        "vultus 2": [*OURS, str(known), str(folder), "--cpus", "2"],
    }
    cpu_s: dict[str, list[float]] = {name: [] for name in commands}
    answers: dict[str, dict[str, list[str]]] = {}

    def once(name: str, _: int) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = subprocess.run(
            [sys.executable, *commands[name]],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
        ).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        cpu_s[name].append(spent)
        answers[name] = by_picture(text)

    calls: dict[str, Callable[[int], object]] = {n: partial(once, n) for n in commands}
    taken = interleaved(calls, rounds, warmup=0, label=f"face_recognition, {folder.name}")
    alike = sum(answers["vultus 1"][p] == names for p, names in answers["original"].items())
    named = {"unknown_person", "no_persons_found"}
    people = sum(
        set(answers["vultus 1"][p]) - named == set(names) - named
        for p, names in answers["original"].items()
    )
    return {
        "wall": {name: summary(t) for name, t in taken.items()},
        "cpu": {name: {"median_s": statistics.median(t)} for name, t in cpu_s.items()},
        "faces": {name: sum(map(len, found.values())) for name, found in answers.items()},
        "same_lines": alike,
        "same_people": people,
        "same_with_two_cpus": answers["vultus 1"] == answers["vultus 2"],
    }


def by_picture(text: str) -> dict[str, list[str]]:
    """Picture to the names printed for it, sorted."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        path, comma, name = line.rpartition(",")
        if comma and not line.startswith("WARNING"):
            found.setdefault(path, []).append(name)
    return {path: sorted(names) for path, names in found.items()}


def add_rows(report: Report, kind: str, count: int) -> None:
    """The folder's lines of the table."""
    found = report.results[kind]
    wall = {name: t["median_s"] for name, t in found["wall"].items()}
    cpu = {name: t["median_s"] for name, t in found["cpu"].items()}
    goal = kind == "WIDER"
    for what, taken in (("", wall), (", CPU time", cpu)):
        ratio = taken["original"] / taken["vultus 1"]
        report.row(
            f"{count} photos of {kind}, --cpus 1{what}",
            seconds(taken["vultus 1"]),
            f"face_recognition {seconds(taken['original'])}",
            times(ratio),
            target=f"≥ {TARGET_ONE:.0f}×" if goal and not what else "",
            met=ratio >= TARGET_ONE if goal and not what else None,
        )
    faster = wall["vultus 1"] / wall["vultus 2"]
    report.row(
        f"{count} photos of {kind}, --cpus 2 on {cores()} cores",
        seconds(wall["vultus 2"]),
        f"--cpus 1 {seconds(wall['vultus 1'])}",
        f"{faster:.2f}×",
        target=f"≥ {TARGET_TWO}×" if goal else "",
        met=faster >= TARGET_TWO if goal else None,
    )
    faces = found["faces"]
    report.row(
        f"{kind}: photos with the same people named",
        f"{found['same_people']} of {count}",
        f"lines: {faces['vultus 1']} and {faces['original']}",
    )


if __name__ == "__main__":
    main("face_recognition_cli", "The face_recognition command on a folder", run)
