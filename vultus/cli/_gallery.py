"""What the commands that manage galleries share: opening one, and printing what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from vultus.cli._output import err, out, print_json, safe

if TYPE_CHECKING:
    from vultus.gallery import Gallery

__all__ = [
    "After",
    "GalleryName",
    "GroupName",
    "Limit",
    "PersonId",
    "Sure",
    "confirm",
    "counting",
    "done",
    "opened",
    "plain",
    "show_rows",
]

GalleryName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="GALLERY", help="A file such as family.vultus, or a postgresql:// or milvus:// URL."
    ),
]
PersonId: TypeAlias = Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")]
GroupName: TypeAlias = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]
After: TypeAlias = Annotated[
    str | None, typer.Option("--after", help="Begin after this one: the last of the page before.")
]
Limit: TypeAlias = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many; all without it.")
]
Sure: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@contextmanager
def opened(name: str, *, create: bool = False) -> Iterator[Gallery]:
    """A gallery whose changes are signed ``cli:USER`` in its audit log."""
    from vultus.gallery import acting_as, open_gallery
    from vultus.gallery.audit import actor

    with acting_as(actor().replace("user:", "cli:", 1)), open_gallery(name, create=create) as found:
        yield found


def plain(value: Any) -> Any:
    """A value of the gallery for JSON: records become objects, spaces their ids."""
    from vultus.types import EmbeddingSpace

    if isinstance(value, EmbeddingSpace):
        return value.id
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in asdict(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def show_rows(
    values: Sequence[Any],
    columns: Sequence[str],
    cells: Callable[[Any], Iterable[object]],
    *,
    json: bool,
    none: str,
) -> None:
    """Print records as a JSON array, or as a table; `none` where there are none."""
    from rich.table import Table

    if json:
        print_json(plain(values))
        return
    if not values:
        out.print(f"[dim]{safe(none)}[/]")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for value in values:
        table.add_row(*(safe("–" if cell is None else cell) for cell in cells(value)))
    out.print(table)


def done(what: str, *, json: bool, **facts: object) -> None:
    """Say what was done: a line for people, the facts for programs."""
    if json:
        print_json({key: plain(value) for key, value in facts.items()})
    else:
        out.print(safe(what), soft_wrap=True)


def confirm(what: str, *, sure: bool) -> None:
    """Ask before something is erased for good; ends the command when the answer is no."""
    if not sure and not typer.confirm(f"{what}; this cannot be undone. Go on?", err=True):
        raise typer.Exit(1)


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
