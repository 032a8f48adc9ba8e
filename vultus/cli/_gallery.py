"""What the commands that manage galleries share: opening one, and printing what it holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from vultus.cli._output import EXIT_NO, err, out, print_json, safe
from vultus.errors import GalleryFileError, InputError

if TYPE_CHECKING:
    from vultus.gallery import Gallery

__all__ = [
    "After",
    "AfterNumber",
    "FaceNumbers",
    "GalleryName",
    "GroupName",
    "Limit",
    "PersonId",
    "Sure",
    "confirm",
    "counted",
    "counting",
    "done",
    "opened",
    "paged",
    "plain",
    "show_rows",
    "when",
]

GalleryName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="GALLERY", help="A file such as family.vultus, or a postgresql:// or milvus:// URL."
    ),
]
PersonId: TypeAlias = Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")]
GroupName: TypeAlias = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]
FaceNumbers: TypeAlias = Annotated[
    list[int], typer.Argument(metavar="FACE…", help="Numbers of faces; `person faces` lists them.")
]
After: TypeAlias = Annotated[
    str | None, typer.Option("--after", help="Begin after this one: the last of the page before.")
]
AfterNumber: TypeAlias = Annotated[
    int, typer.Option("--after", min=0, help="Begin after this number: the last one seen.")
]
Limit: TypeAlias = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many; all without it.")
]
Sure: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_PAGE = 1000  # values read, and laid out as one table, at a time
_PIPE_WIDTH = 1_000_000  # where nobody looks, no line is ever broken
_WHOLE = {
    "no.",
    "at",
    "since",
    "changed",
    "face",
    "faces",
    "people",
    "crop",
    "quality",
    "similarity",
}
"""Columns of short values, which stay on one line while longer ones give way."""

T = TypeVar("T")
K = TypeVar("K")


@contextmanager
def opened(name: str, *, create: bool = False) -> Iterator[Gallery]:
    """A gallery whose changes are signed ``cli:USER`` in its audit log.

    Raises:
        GalleryFileError: The file cannot be used.
        GalleryServerError: The server cannot be used.
        MissingExtraError: Its driver is not installed.
    """
    from vultus.gallery import acting_as, open_gallery
    from vultus.gallery.audit import actor

    if name == ":memory:":
        raise GalleryFileError(
            "a gallery in memory would be gone when the command ends",
            remedy="name a file such as people.vultus",
            path=name,
            reason="memory",
        )
    with acting_as(actor().replace("user:", "cli:", 1)), open_gallery(name, create=create) as found:
        yield found


def paged(
    read: Callable[[K, int], Sequence[T]], key: Callable[[T], K], after: K, limit: int | None
) -> Iterator[T]:
    """A listing of any length, of which one page is in memory at a time.

    Args:
        read: Gives at most so many values after a key.
        key: That of a value.
        after: Where to begin.
        limit: At most so many values; all when ``None``.
    """
    while limit is None or limit > 0:
        size = _PAGE if limit is None else min(_PAGE, limit)
        page = read(after, size)
        yield from page
        if len(page) < size:
            return
        after = key(page[-1])
        limit = None if limit is None else limit - size


def plain(value: Any) -> Any:
    """A value of the gallery for JSON: records become objects, spaces their ids."""
    from vultus.types import EmbeddingSpace

    if isinstance(value, EmbeddingSpace):
        return value.id
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def show_rows(
    values: Iterable[T],
    columns: Sequence[str],
    cells: Callable[[T], Iterable[object]],
    *,
    json: bool,
    none: str,
) -> None:
    """Print records as JSON, one object a line, or as a table; `none` where there are none.

    Args:
        values: Of any number; they are printed as they come.
        columns: Headings of the table.
        cells: A record's cells.
        json: Whether programs read it.
        none: What people are told when there is nothing.
    """
    if json:
        for value in values:
            print_json(plain(value))
        return
    rows = ([_cell(cell) for cell in cells(value)] for value in values)
    widths: list[int] | None = None
    while page := list(islice(rows, _PAGE)):
        widths = _print_table(columns, page, widths)
    if widths is None:
        out.print(f"[dim]{safe(none)}[/]")


def _cell(value: object) -> str:
    return safe("–" if value is None or value == "" else value)


def _print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] | None
) -> list[int]:
    """Print some rows, with headings where `widths` are not known yet; returns the widths."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markup import render
    from rich.table import Table

    natural = [max(cell_len(render(cell).plain) for cell in column) for column in zip(*rows)]  # noqa: B905
    wide = [max(pair) for pair in zip(natural, widths or map(len, columns), strict=True)]
    fits = sum(wide) + 2 * len(wide) <= out.width or not out.is_terminal
    table = Table(box=None, pad_edge=False, show_header=widths is None, header_style="dim")
    for column, width in zip(columns, wide, strict=True):
        table.add_column(
            column,
            no_wrap=column in _WHOLE,
            overflow="fold",
            min_width=width if fits else None,
        )
    for row in rows:
        table.add_row(*row)
    if out.is_terminal:
        out.print(table)
    else:
        Console(highlight=False, emoji=False, width=_PIPE_WIDTH).print(table)
    return wide


def when(at: str) -> str:
    """A time for people: UTC to the second."""
    return f"{at[:19].replace('T', ' ')}Z"


def counted(number: int, one: str, many: str) -> str:
    """``1 face``, ``1,204 faces``."""
    return f"{number:,} {one if number == 1 else many}"


def done(what: str, *, json: bool, **facts: object) -> None:
    """Say what was done: a line for people, the facts for programs."""
    if json:
        print_json({key: plain(value) for key, value in facts.items()})
    else:
        out.print(safe(what), soft_wrap=True)


def confirm(what: str, *, sure: bool) -> None:
    """Ask before something is erased for good; ends the command when the answer is no.

    Raises:
        InputError: Nobody is there to answer.
    """
    if sure:
        return
    from rich.markup import render

    question = render(safe(what)).plain  # without control characters that an id could smuggle in
    typer.echo(f"{question}; this cannot be undone. Go on? [y/N] ", err=True, nl=False)
    answer = sys.stdin.readline()
    if not answer:
        typer.echo(err=True)
        raise InputError(f"to {question} takes an answer, and there is none", remedy="pass --yes")
    if answer.strip().lower() not in {"y", "yes"}:
        raise typer.Exit(EXIT_NO)


@contextmanager
def counting(label: str, *, shown: bool) -> Iterator[Callable[[int], None] | None]:
    """A counter on standard error that is told how far it has come; ``None`` when not shown."""
    if not shown or not err.is_terminal:
        yield None
        return
    with err.status(label) as status:

        def tell(count: int) -> None:
            if count % 100 == 0:
                status.update(f"{label} {count:,}")

        yield tell
