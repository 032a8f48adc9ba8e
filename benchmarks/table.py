"""Prints the README's Markdown table from the JSON files of a run, with its conditions."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
ORDER = (
    *("embed", "identify", "startup", "throughput", "memory", "lfw"),
    *("detect", "accuracy", "gallery", "quality", "server"),
    *("face_recognition_cli", "facenet_align"),
)
MARK = {True: "met", False: "**missed**", None: ""}


def main() -> int:
    """Read a folder of results and print its table."""
    parser = argparse.ArgumentParser(prog="benchmarks/table.py", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="default: the newest version's")
    parser.add_argument("--all", action="store_true", help="every row, not the headlines alone")
    given = parser.parse_args()
    documents = read(given.folder or newest(RESULTS))
    if not documents:
        print("no results here; run benchmarks/run_all.py first", file=sys.stderr)
        return 1
    print(markdown(documents, every=given.all))
    return 0


def newest(results: Path) -> Path:
    """The folder of the highest version that holds results."""
    folders = [p for p in results.iterdir() if any(p.glob("*.json"))] if results.is_dir() else []
    return max(folders, key=lambda p: [int(n) for n in p.name.split(".")], default=results)


def read(folder: Path) -> list[dict[str, Any]]:
    """The documents of a folder, in the table's order."""
    documents = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))]
    known = {suite: place for place, suite in enumerate(ORDER)}
    return sorted(documents, key=lambda d: (known.get(d["suite"], len(known)), d["suite"]))


def markdown(documents: Iterable[dict[str, Any]], *, every: bool = False) -> str:
    """The table, and below it what it was measured on; suites of one run share one line."""
    lines = ["| | vultus | beside it | ratio | target |", "| --- | --- | --- | --- | --- |"]
    notes: dict[str, list[str]] = {}
    for document in documents:
        for row in document["rows"]:
            if every or row["headline"]:
                goal = " ".join(word for word in (row["target"], MARK[row["met"]]) if word)
                cells = (row["what"], row["vultus"], row["peer"], row["ratio"], goal)
                lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
        name = document["suite"] + (" (quick run, not for quoting)" if document["quick"] else "")
        notes.setdefault(circumstances(document["conditions"]), []).append(name)
    return "\n".join(
        [*lines, "", *(f"{', '.join(names)}: {note}" for note, names in notes.items())]
    )


def circumstances(found: dict[str, Any]) -> str:
    """Machine and versions in one sentence."""
    packages = found["packages"]
    named = [
        f"{n} {packages[n]}"
        for n in ("onnxruntime", "numpy", "opencv-python-headless")
        if n in packages
    ]
    if "face_recognition" in packages:
        named.append(f"face_recognition {packages['face_recognition']}")
    if found["dlib"]:
        wheel = f"dlib-bin {packages['dlib-bin']}" if "dlib-bin" in packages else "dlib"
        named.append(f"{wheel} ({dlib_flags(found['dlib'])})")
    commit = found["commit"]
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['os']}, Python {found['python']}, "
        f"{', '.join(named)}; {found['date'][:10]}, commit {commit[:7]}{'+' * ('+' in commit)}."
    )


def dlib_flags(build: dict[str, Any]) -> str:
    """What a build of dlib has, and the BLAS it may lack."""
    has = {
        "AVX": build["USE_AVX_INSTRUCTIONS"],
        "NEON": build["USE_NEON_INSTRUCTIONS"],
        "CUDA": build["DLIB_USE_CUDA"],
    }
    blas = "BLAS" if build["DLIB_USE_BLAS"] else "no BLAS"
    return ", ".join([name for name, there in has.items() if there] + [blas])


if __name__ == "__main__":
    raise SystemExit(main())
