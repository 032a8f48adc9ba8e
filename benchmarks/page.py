"""Writes the tables of docs/benchmarks.md from the JSON files of a run.

A table stands between ``<!-- begin SUITE -->`` and ``<!-- end SUITE -->``; what is around it is
written by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import ROOT, milliseconds, seconds
from table import RESULTS, circumstances, markdown, newest, read

PAGE = ROOT / "docs" / "benchmarks.md"
MB = 2**20
_MARKED = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
Found = dict[str, Any]


def main() -> int:
    """Read a folder of results and fill in the page."""
    parser = argparse.ArgumentParser(prog="benchmarks/page.py", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="default: the newest version's")
    parser.add_argument("--page", type=Path, default=PAGE, help="default: docs/benchmarks.md")
    given = parser.parse_args()
    documents = {d["suite"]: d for d in read(given.folder or newest(RESULTS))}
    before = given.page.read_text(encoding="utf-8")
    after, missing = filled(before, documents)
    for suite in missing:
        print(f"no results of {suite} here; its table stays as it is", file=sys.stderr)
    given.page.write_text(after, encoding="utf-8")
    return 1 if missing else 0


def filled(page: str, documents: dict[str, Found]) -> tuple[str, list[str]]:
    """The page with its tables made anew, and the suites that no results were there for."""
    missing: list[str] = []

    def replace(found: re.Match[str]) -> str:
        begin, suite, end = found.groups()
        if suite not in documents:
            missing.append(suite)
            return found.group()
        make = TABLES.get(suite, lambda document: markdown([document], every=True))
        return f"{begin}\n{make(documents[suite])}\n\n{end}"

    return _MARKED.sub(replace, page), missing


# -- the gallery --------------------------------------------------------------------------------


def gallery(document: Found) -> str:
    """A table of libraries per set, one of changes, and the conditions."""
    parts = [searches(title, found) for title, found in document["results"].items()]
    parts += ["Changes, each safe on disk, and opening in a new process:", changes(document)]
    skipped = [f"- {reason}" for reason in document["skipped"]]
    parts += ["Not measured:", "\n".join(skipped)] if skipped else []
    quick = "A quick run, not for quoting. " if document["quick"] else ""
    packages = ", ".join(f"{n} {v}" for n, v in document["settings"]["packages"].items())
    parts.append(f"{quick}{circumstances(document['conditions'])} Beside it: {packages}.")
    return "\n\n".join(parts)


def searches(title: str, found: Found) -> str:
    """Everybody who searched one set."""
    lines = [
        f"**{title}** ({found['raw_bytes'] / MB:,.0f} MB of vectors)",
        "",
        "| | search | one query | p99 | in a batch of 128 | right person | as a full product"
        " | memory | file | build |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    mine = found["open"] | {"file_bytes": found["fill"]["file_bytes"]}
    mine["build_s"] = found["rows"] / found["fill"]["bulk_per_s"]
    lines.append(_line("vultus (SQLite)", mine, found["open"]["info"]["kind"], found))
    for name, peer in found["peers"].items():
        if "skipped" not in peer:
            kind = "exact" if peer["exact"] else "approximate"
            lines.append(_line(name, peer, kind, found))
    return "\n".join([*lines, *side_by_side(found)])


def _line(name: str, found: Found, kind: str, around: Found) -> str:
    sizes = [
        "" if found[key] is None else f"{found[key] / around['raw_bytes']:.2f}×"
        for key in ("memory_bytes", "file_bytes")
    ]
    cells = (
        name,
        kind,
        milliseconds(found["search"]["median_s"]),
        milliseconds(found["search"]["p99_s"]),
        milliseconds(found["batch_per_query_s"]),
        f"{found['identity_at_1']:.4f}",
        f"{found['recall_at_1']:.4f}",
        *sizes,
        seconds(found["build_s"]),
    )
    return f"| {' | '.join(cells)} |"


def side_by_side(found: Found) -> list[str]:
    """Times that were taken in turn in one process."""
    tasks = found["contest"]["tasks"] if "contest" in found else {}
    if not tasks:
        return []
    names = list(dict.fromkeys(name for timing in tasks.values() for name in timing))
    names.sort(key=lambda name: name != "vultus")
    lines = [
        "",
        "In turn in one process, the whole `gallery.search` against the bare libraries:",
        "",
        f"| | {' | '.join(names)} |",
        f"| --- |{' --: |' * len(names)}",
    ]
    for what, timing in tasks.items():
        cells = [milliseconds(timing[n]["median_s"]) if n in timing else "" for n in names]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return lines


def changes(document: Found) -> str:
    """What one set's gallery needs to come and go."""
    lines = [
        "| | in bulk | one sample | fdatasync of 4 KiB | erase a person | open, first answer"
        " | `optimise()` |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for title, found in document["results"].items():
        fill = found["fill"]
        cells = (
            title,
            f"{fill['bulk_per_s']:,.0f}/s",
            milliseconds(fill["add"]["median_s"]),
            milliseconds(1.0 / fill["fsync_per_s"]),
            milliseconds(fill["remove"]["median_s"]),
            seconds(found["open"]["first_answer_s"]),
            seconds(fill["optimise_s"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


TABLES: dict[str, Callable[[Found], str]] = {"gallery": gallery}

if __name__ == "__main__":
    raise SystemExit(main())
