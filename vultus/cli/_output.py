"""What commands print: for people on a terminal, for programs as JSON lines or CSV."""

from __future__ import annotations

import csv
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from vultus.errors import OutputError, VultusError

if TYPE_CHECKING:
    from vultus.types import Face, GateResult

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_NO",
    "EXIT_SOME_FAILED",
    "OutputFolder",
    "box_list",
    "end",
    "err",
    "error_object",
    "face_object",
    "fail",
    "gate_object",
    "out",
    "print_csv",
    "print_json",
    "safe",
    "warn",
    "with_progress",
]

EXIT_NO = 1
EXIT_SOME_FAILED = 3
EXIT_FAILED = 4
EXIT_INTERRUPTED = 130

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)
if out.is_terminal and err.is_terminal:
    err = out  # one console, so that lines go above a progress bar and not through it

T = TypeVar("T")


def safe(text: object) -> str:
    """Text for a terminal: no markup, no control characters that a file name could smuggle in."""
    clean = "".join(
        c if unicodedata.category(c) not in {"Cc", "Cs", "Cf"} else "\N{REPLACEMENT CHARACTER}"
        for c in str(text)
    )
    return escape(clean)


def fail(error: VultusError) -> None:
    """Print an error: its code, what happened, what to do."""
    err.print(f"[bold red]error[/] [red]{error.code}[/]: {safe(error.message)}", soft_wrap=True)
    if error.remedy:
        err.print(f"  [dim]→[/] {safe(error.remedy)}", soft_wrap=True)


def end(failed: int, count: int, *, others: int = 0) -> None:
    """End the command with the exit code for `failed` of `count` pictures; 0 when none failed.

    Args:
        failed: Pictures that could not be worked on.
        count: All of them.
        others: Pictures of known people that could not be used.
    """
    if failed and failed == count:
        raise typer.Exit(EXIT_FAILED)
    if failed or others:
        raise typer.Exit(EXIT_SOME_FAILED)


def warn(message: str) -> None:
    """Print one line of warning on standard error."""
    err.print(f"[yellow]warning[/]: {safe(message)}", soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document on one line, flushed, so that a reader sees it at once."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    sys.stdout.write(json.dumps(_encodable(value), ensure_ascii=plain) + "\n")
    sys.stdout.flush()


def print_csv(row: Sequence[object]) -> None:
    """Print one CSV line (RFC 4180 quoting)."""
    csv.writer(sys.stdout, lineterminator="\n").writerow([_encodable(cell) for cell in row])
    sys.stdout.flush()


def _encodable(value: Any) -> Any:
    """Write out lone surrogates (undecodable file names) in ASCII, all the way down."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(k): _encodable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(v) for v in value]
    return value


def error_object(error: VultusError | None) -> dict[str, str] | None:
    """``{"code", "message"}``, or ``None``."""
    return None if error is None else {"code": error.code, "message": str(error)}


def box_list(face: Face) -> list[float]:
    """[x1, y1, x2, y2] in pixels, to a hundredth."""
    return [round(v, 2) for v in face.box.xyxy]


def face_object(face: Face) -> dict[str, object]:
    """A face as the JSON outputs state it."""
    return {
        "box": box_list(face),
        "score": round(face.score, 6),
        "landmarks": None
        if face.landmarks is None
        else [[round(float(x), 2), round(float(y), 2)] for x, y in face.points],
    }


def gate_object(gate: GateResult | None) -> dict[str, object] | None:
    """What the gate said as the JSON outputs state it; ``None`` where none was asked."""
    if gate is None:
        return None
    reasons = [
        {
            "code": reason.code,
            "message": reason.message,
            "remedy": reason.remedy,
            "value": round(reason.value, 4),
            "limit": reason.limit,
        }
        for reason in gate.reasons
    ]
    return {"policy": gate.policy, "accepted": gate.accepted, "reasons": reasons}


@contextmanager
def with_progress(
    items: Iterable[T], total: int | None, label: str, *, shown: bool
) -> Iterator[Iterator[T]]:
    """Show a bar with rate and time left on standard error while `items` are consumed."""
    if not shown or not err.is_terminal:
        yield iter(items)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(label, total=total, rate="")

        def counted() -> Iterator[T]:
            for item in items:
                yield item
                progress.advance(task)
                speed = progress.tasks[0].speed
                progress.update(task, rate=f"{speed:.1f}/s" if speed else "")

        yield counted()


class OutputFolder:
    """A folder for pictures named after their sources, no two alike.

    Only what vultus drew itself is ever replaced: any other file in the folder keeps its name.

    Args:
        path: Made when absent.
        sources: What the command line names; none of them may be this folder itself.

    Raises:
        OutputError: It cannot be made, or is one of the sources.
    """

    def __init__(self, path: Path, sources: Iterable[Path] = ()) -> None:
        self.path = path
        self._taken: set[str] = set()
        if any(os.path.realpath(source) == os.path.realpath(path) for source in sources):
            raise OutputError(
                f"the pictures of {path} cannot be drawn into it, among themselves",
                remedy="draw into another folder",
                path=str(path),
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {path}: {error.strerror}") from error

    def name_for(self, source: str | Path) -> Path:
        """A file name ending in ``.jpg``; a second ``a.png`` becomes ``a-2.jpg``.

        Raises:
            OutputError: The source lies in this very folder, where it might be overwritten.
        """
        if os.path.realpath(Path(source).parent) == os.path.realpath(self.path):
            raise OutputError(
                f"{source} lies in {self.path} itself, where drawing might overwrite it",
                remedy="draw into another folder",
                path=str(source),
            )
        stem, number = Path(source).stem or "picture", 1
        while True:
            name = f"{stem}.jpg" if number == 1 else f"{stem}-{number}.jpg"
            if name.casefold() not in self._taken and _may_write(self.path / name):
                break
            number += 1
        self._taken.add(name.casefold())
        return self.path / name


def _may_write(path: Path) -> bool:
    """Whether there is no such file, or one that vultus drew."""
    from vultus.draw import MADE_BY

    try:
        with path.open("rb") as file:
            return MADE_BY in file.read(4096)
    except FileNotFoundError:
        return True
    except OSError:
        return False
