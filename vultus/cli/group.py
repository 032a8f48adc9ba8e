"""``vultus group``: sets of people to list and to search within."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._gallery import (
    After,
    GalleryName,
    GroupName,
    Limit,
    Sure,
    confirm,
    counted,
    done,
    opened,
    paged,
    plain,
    show_rows,
    when,
)
from vultus.cli._options import Json
from vultus.cli._output import out, print_json, safe

if TYPE_CHECKING:
    from vultus.gallery import Gallery

__all__ = ["app"]

app = typer.Typer()


@app.command("list")
def list_groups(
    gallery: GalleryName, after: After = None, limit: Limit = None, json: Json = False
) -> None:
    """List the groups, in the order of their names."""
    with opened(gallery) as found:
        show_rows(
            paged(lambda a, n: found.groups(after=a, limit=n), lambda g: g.name, after, limit),
            ("group", "people", "note", "since"),
            lambda g: (g.name, g.people, g.note, when(g.created_at)),
            json=json,
            none="no groups",
        )


@app.command("add")
def add_group(
    gallery: GalleryName,
    group: GroupName,
    note: Annotated[str, typer.Option(help="What the group is.")] = "",
    json: Json = False,
) -> None:
    """Make a group; the gallery is made when there is none."""
    with opened(gallery, create=True) as found:
        made = found.add_group(group, note)
    done(f"{made.name}: made", json=json, group=made)


@app.command("show")
def show_group(gallery: GalleryName, group: GroupName, json: Json = False) -> None:
    """Show a group: its note and how many people are in it."""
    with opened(gallery) as found:
        known = found.group(group)
    if json:
        print_json(plain(known))
        return
    people = counted(known.people, "person", "people")
    out.print(f"[bold]{safe(known.name)}[/]  {people}, since {when(known.created_at)}")
    if known.note:
        out.print(safe(known.note), soft_wrap=True)


@app.command("members")
def list_members(
    gallery: GalleryName,
    group: GroupName,
    after: After = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List the members of a group, in the order of their ids, with what is noted with each."""
    with opened(gallery) as found:
        found.group(group)
        show_rows(
            _members(found, group, after, limit),
            ("person", "name", "faces", "info"),
            lambda row: (
                row["person"],
                None if row["name"] == row["person"] else row["name"],
                row["samples"],
                row["info"],
            ),
            json=json,
            none="nobody is in this group",
        )


def _members(
    found: Gallery, group: str, after: str | None, limit: int | None
) -> Iterator[dict[str, object]]:
    """Each member with what is noted; both listings come in the order of ids."""
    people = paged(
        lambda a, n: found.people(group=group, after=a, limit=n), lambda p: p.id, after, limit
    )
    memberships = paged(
        lambda a, n: found.memberships(group=group, after=a, limit=n),
        lambda m: (m.person, m.group),
        None if after is None else (after, group),
        limit,
    )
    infos: dict[str, str] = {}
    for person in people:
        while person.id not in infos and (one := next(memberships, None)) is not None:
            infos[one.person] = one.info
        info = infos.pop(person.id, "")
        yield {"person": person.id, "name": person.name, "samples": person.samples, "info": info}


@app.command("note")
def note_group(
    gallery: GalleryName,
    group: GroupName,
    note: Annotated[str, typer.Argument(help="The new note; empty for none.")],
    json: Json = False,
) -> None:
    """Change a group's note."""
    with opened(gallery) as found:
        changed = found.update_group(group, note=note)
    done(f"{changed.name}: {changed.note or 'no note'}", json=json, group=changed)


@app.command("rename")
def rename_group(
    gallery: GalleryName,
    group: GroupName,
    new: Annotated[str, typer.Argument(help="The new name.")],
    json: Json = False,
) -> None:
    """Give a group another name."""
    with opened(gallery) as found:
        changed = found.rename_group(group, new)
    done(f"{group}: now {changed.name}", json=json, group=changed)


@app.command("remove")
def remove_group(
    gallery: GalleryName,
    group: GroupName,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also erase members who are in no other group.")
    ] = False,
    yes: Sure = False,
    json: Json = False,
) -> None:
    """Erase a group and the faces that count in it alone; its members stay."""
    with opened(gallery) as found:
        known = found.group(group)
        members = counted(known.people, "person", "people")
        also = ", and everybody who is in no other group" if orphans else ""
        confirm(f"erase the group {known.name} of {members}{also}", sure=yes)
        gone = found.remove_group(group, people="remove-orphans" if orphans else "keep")
    done(
        f"{known.name}: erased with {counted(gone, 'face', 'faces')}",
        json=json,
        group=known.name,
        samples=gone,
    )
