"""Runs every suite, each in a process of its own, then prints the table for the README."""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from pathlib import Path

from common import Options

HERE = Path(__file__).resolve().parent
SUITES = (
    *("startup", "embed", "identify", "throughput", "memory", "lfw"),
    *("detect", "accuracy", "gallery", "quality", "server"),
    *("face_recognition_cli", "facenet_align"),
)


def main() -> int:
    """Run the suites one after another; a suite that fails does not stop the others."""
    parser = argparse.ArgumentParser(prog="benchmarks/run_all.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small runs, not for quoting")
    parser.add_argument("--out", type=Path, help="folder of the JSON files")
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    given = parser.parse_args()
    passed_on = ["--quick"] * given.quick + ["--strict"] * given.strict
    if given.out:
        passed_on += ["--out", str(given.out)]
    failed = []
    for suite in SUITES:
        print(f"== {suite}", flush=True)
        command = [sys.executable, str(HERE / f"{suite}.py"), *passed_on]
        if subprocess.run(command, check=False).returncode:
            failed.append(suite)
    folder = Options(given.quick, given.out).folder(importlib.metadata.version("vultus"))
    print("== table", flush=True)
    command = [sys.executable, str(HERE / "table.py"), str(folder)]
    subprocess.run(command, check=False)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
