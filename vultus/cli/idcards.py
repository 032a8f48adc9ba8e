"""``vultus idcards``: the local registry of ID photos that the server checks people against."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vultus.cli._options import Json
from vultus.cli._output import end, out, print_json, safe, warn, with_progress
from vultus.cli.serve import need_server
from vultus.errors import DataFileError, NoFaceError, VultusError

if TYPE_CHECKING:
    from vultus.pipeline import Recognizer
    from vultus.server.settings import Settings
    from vultus.server.store.idcards import IdCard, IdCards

__all__ = ["app"]

app = typer.Typer()

GalleryName = Annotated[str, typer.Option(help="The server's main gallery: a file or URL.")]
TenantName = Annotated[
    str | None, typer.Option(help="Whose registry; that of the main gallery's owner without.")
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="The server's TOML file: same secret, same model.")
]

_NUMBER = ("id_card_number", "number")
_NAME = ("name",)
_PICTURE = ("picture", "image", "file")
_BATCH = 50


class _Row(NamedTuple):
    """One line of the list: where it stands, what it says."""

    line: int
    number: str
    name: str
    picture: Path


@app.command("import")
def import_cards(
    file: Annotated[
        Path, typer.Argument(help="CSV in UTF-8 with id_card_number, name and picture.")
    ],
    gallery: GalleryName,
    tenant: TenantName = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Take ID cards into the registry: embeddings of their photos, hashes of number and name.

    Pictures are named by their path from the list's folder. Neither pictures nor numbers nor names
    are kept. A number that is there already gets the new photo and name.
    """
    rows = _rows(file)
    with _opened(gallery, tenant, config) as (cards, owner, settings):
        found = _recognizer(settings)
        failed, kept = 0, []
        with with_progress(rows, len(rows), "import", shown=not json) as counted:
            for row in counted:
                try:
                    kept.append(_card(found, row))
                except VultusError as error:
                    failed += 1
                    warn(f"line {row.line}: {error.message}")
                if len(kept) >= _BATCH:
                    cards.put(owner, kept)
                    kept.clear()
        cards.put(owner, kept)
        total = cards.count(owner)
    _tell({"tenant": owner, "imported": len(rows) - failed, "failed": failed, "cards": total}, json)
    end(failed, len(rows))


@app.command("count")
def count(
    gallery: GalleryName,
    tenant: TenantName = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Tell how many cards the registry holds."""
    with _opened(gallery, tenant, config) as (cards, owner, _):
        _tell({"tenant": owner, "cards": cards.count(owner)}, json)


@app.command("remove")
def remove(
    gallery: GalleryName,
    number: Annotated[
        str | None, typer.Option(prompt="Number", help="Of the card; asked for when left out.")
    ] = None,
    tenant: TenantName = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Erase one card."""
    with _opened(gallery, tenant, config) as (cards, owner, _):
        gone = cards.remove(owner, number or "")
        _tell({"tenant": owner, "removed": int(gone), "cards": cards.count(owner)}, json)


@app.command("clear")
def clear(
    gallery: GalleryName,
    tenant: TenantName = None,
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Erase all cards of a tenant."""
    if not yes:
        typer.confirm("Erase all ID cards?", abort=True, err=True)
    with _opened(gallery, tenant, config) as (cards, owner, _):
        _tell({"tenant": owner, "removed": cards.clear(owner), "cards": 0}, json)


@contextmanager
def _opened(
    gallery: str, tenant: str | None, config: Path | None
) -> Iterator[tuple[IdCards, str, Settings]]:
    """The registry, whose part of it is meant, and the server's settings.

    Raises:
        NotFoundError: There is no such tenant.
    """
    need_server()
    from vultus.server.places import Places
    from vultus.server.secrets import load_secrets
    from vultus.server.service import MAIN
    from vultus.server.settings import load_settings
    from vultus.server.store import Keys, open_store
    from vultus.server.store.idcards import IdCards

    settings = load_settings(config, None, {"gallery": gallery})
    places = Places(settings.gallery, settings.secret_file)
    secrets = load_secrets(places.secret)
    store = open_store(places, secrets)
    try:
        keys = Keys(store, secrets)
        if tenant is not None:
            keys.tenant_slug(tenant)  # says so where there is none
        yield IdCards(store, secrets), tenant or keys.main_tenant() or MAIN, settings
    finally:
        store.close()


def _recognizer(settings: Settings) -> Recognizer:
    from vultus.pipeline import load

    return load(
        detector=settings.detector,
        embedder=settings.model,
        min_face_px=settings.min_face_px,
        mirror=settings.mirror,
    )


def _card(found: Recognizer, row: _Row) -> IdCard:
    """One card with the largest face of its photo.

    Raises:
        VultusError: The photo cannot be read or shows no face, or the number is none.
    """
    from vultus.server.store.idcards import IdCard, clean_number

    number = clean_number(row.number)
    faces = found.detect(row.picture, largest=True)
    if not faces:
        raise NoFaceError("the photo must show a face, none was found")
    return IdCard(number, row.name, found.embed(faces[0]))


def _rows(file: Path) -> list[_Row]:
    """What the list says.

    Raises:
        DataFileError: It cannot be read, or lacks a column or a value.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            number, name, picture = (
                _column(file, columns, names) for names in (_NUMBER, _NAME, _PICTURE)
            )
            rows = []
            for cells in reader:
                line = reader.line_num
                told = [_cell(file, line, cells, one) for one in (number, name, picture)]
                rows.append(_Row(line, told[0], told[1], file.parent / told[2]))
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataFileError(f"{file} must be a CSV file in UTF-8: {error}") from error


def _column(file: Path, columns: dict[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return columns[name]
    raise DataFileError(
        f"{file} must have a column {names[0]}, it has {', '.join(columns) or 'none'}",
        remedy="name the columns id_card_number, name and picture in the first line",
    )


def _cell(file: Path, line: int, cells: dict[str, str], column: str) -> str:
    text = (cells.get(column) or "").strip()
    if not text:
        raise DataFileError(f"{file}, line {line}: {column} must not be empty")
    return text


def _tell(facts: dict[str, object], json: bool) -> None:
    if json:
        print_json(facts)
    else:
        out.print(", ".join(f"{name} {safe(value)}" for name, value in facts.items()))
