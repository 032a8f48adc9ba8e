"""``vultus group``: sets of people to list and to search within."""

from __future__ import annotations

from typing import Annotated

import typer

from vultus.cli._gallery import (
    After,
    GalleryName,
    GroupName,
    Limit,
    Sure,
    confirm,
    done,
    opened,
    show_rows,
)
from vultus.cli._options import Json

__all__ = ["app"]

app = typer.Typer(
    name="group", help="Groups of a gallery: make, list, change, remove.", no_args_is_help=True
)
_COLUMNS = ("group", "people", "note", "since")


@app.command("list")
def list_groups(
    gallery: GalleryName, after: After = None, limit: Limit = None, json: Json = False
) -> None:
    """List the groups, in the order of their names."""
    with opened(gallery) as found:
        groups = found.groups(after=after, limit=limit)
    show_rows(
        groups,
        _COLUMNS,
        lambda g: (g.name, g.people, g.note, g.created_at),
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
def show_group(
    gallery: GalleryName,
    group: GroupName,
    after: After = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List the members of a group, with what is noted with each membership."""
    with opened(gallery) as found:
        found.group(group)
        people = found.people(group=group, after=after, limit=limit)
        infos = {m.person: m.info for m in found.memberships(group=group)}
    show_rows(
        [
            {"person": p.id, "name": p.name, "samples": p.samples, "info": infos.get(p.id, "")}
            for p in people
        ],
        ("person", "name", "samples", "info"),
        lambda row: row.values(),
        json=json,
        none="nobody is in this group",
    )


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
    done(f"{group} is now {changed.name}", json=json, group=changed)


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
        confirm(f"erase the group {group} of {known.people} people", sure=yes)
        gone = found.remove_group(group, people="remove-orphans" if orphans else "keep")
    done(f"{group}: erased, and {gone} faces with it", json=json, group=known.name, samples=gone)
