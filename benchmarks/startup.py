"""How long until something happens: importing vultus, one picture from a cold start, the help."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from common import Options, Report, interleaved, main, milliseconds, summary

TARGET_IMPORT_S = 0.3
TARGET_DETECT_S = 1.5

# Name -> what the interpreter is given. The bare interpreter is timed too, as the floor.
_VULTUS = ("-m", "vultus")
PARTS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("-c", "pass"),
    "import numpy": ("-c", "import numpy"),
    "import vultus": ("-c", "import vultus"),
    "from vultus import load": ("-c", "from vultus import load"),
    "vultus --version": (*_VULTUS, "--version"),
    "vultus --help": (*_VULTUS, "--help"),
    "vultus detect one.jpg": (*_VULTUS, "detect", "PICTURE", "--json"),
    "vultus compare a.jpg b.jpg": (*_VULTUS, "compare", "PICTURE", "PICTURE", "--json"),
}
TARGETS = {"import vultus": TARGET_IMPORT_S, "vultus detect one.jpg": TARGET_DETECT_S}


def run(report: Report, options: Options) -> None:
    """Start each process anew in every round; the files are in the system's cache throughout."""
    picture = _picture()
    rounds = options.count(15, 7)
    report.settings.update(rounds=rounds, picture=picture.name, warm_file_cache=True)
    calls = {name: _starter(arguments, picture) for name, arguments in PARTS.items()}
    taken = interleaved(calls, rounds, label="startup")
    report.results["process"] = {name: summary(t) for name, t in taken.items()}
    inside = [_import_alone() for _ in range(rounds)]
    report.results["import_inside_process"] = summary(inside)
    floor = report.results["process"]["python -c pass"]["median_s"]
    report.row(
        "import vultus, within a running interpreter", milliseconds(summary(inside)["median_s"])
    )
    for name, numbers in report.results["process"].items():
        target = TARGETS.get(name)
        report.row(
            f"{name} (whole process)",
            milliseconds(numbers["median_s"]),
            f"bare python {milliseconds(floor)}" if name in TARGETS else "",
            target=f"< {target} s" if target else "",
            met=numbers["median_s"] < target if target else None,
        )


def _starter(arguments: tuple[str, ...], picture: Path) -> Callable[[int], object]:
    command = [sys.executable, *(str(picture) if a == "PICTURE" else a for a in arguments)]

    def start(_: int) -> object:
        return subprocess.run(command, check=True, capture_output=True, cwd=picture.parent)

    return start


def _import_alone() -> float:
    """Seconds that ``import vultus`` takes in a fresh interpreter, by its own clock."""
    code = "import time as t; a = t.perf_counter(); import vultus; print(t.perf_counter() - a)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=os.sep
    )
    return float(done.stdout)


def _picture() -> Path:
    from vultus.samples import photos_dir

    return photos_dir() / "obama2.jpg"


if __name__ == "__main__":
    main("startup", "from nothing to an answer", run)
