"""``vultus person``: people of a gallery, their groups and their faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._gallery import (
    After,
    GalleryName,
    GroupName,
    Limit,
    PersonId,
    Sure,
    confirm,
    done,
    opened,
    plain,
    show_rows,
)
from vultus.cli._options import Json
from vultus.cli._output import out, print_json, safe

if TYPE_CHECKING:
    from vultus.gallery import Sample

__all__ = ["app"]

app = typer.Typer(
    name="person",
    help="People of a gallery: list, change, merge, split, group, erase.",
    no_args_is_help=True,
)


@app.command("list")
def list_people(
    gallery: GalleryName,
    group: Annotated[str | None, typer.Option(help="Only members of this group.")] = None,
    after: After = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List people, in the order of their ids."""
    with opened(gallery) as found:
        people = found.people(group=group, after=after, limit=limit)
    show_rows(
        people,
        ("person", "name", "faces", "groups", "consent", "changed"),
        lambda p: (p.id, p.name, p.samples, ", ".join(p.groups), p.consent, p.updated_at),
        json=json,
        none="nobody",
    )


@app.command("show")
def show_person(gallery: GalleryName, person: PersonId, json: Json = False) -> None:
    """Show a person, their groups and their faces."""
    with opened(gallery) as found:
        known = found.person(person)
        memberships = found.memberships(person=person)
        samples: list[Sample] = []
        while page := found.samples(person=person, after=samples[-1].number if samples else 0):
            samples += page
    if json:
        print_json({**plain(known), "memberships": plain(memberships), "faces": plain(samples)})
        return
    out.print(f"[bold]{safe(known.id)}[/] {safe(known.name)}")
    out.print(f"[dim]consent[/] {safe(known.consent or '–')}  [dim]since[/] {known.created_at}")
    for membership in memberships:
        out.print(f"[dim]in[/] {safe(membership.group)}  {safe(membership.info)}")
    show_rows(
        samples,
        ("face", "group", "quality", "crop", "source", "since"),
        lambda s: (
            s.number,
            s.group,
            None if not s.quality else f"{s.quality.get('score', 0):.2f}",
            "kept" if s.has_crop else None,
            s.source,
            s.created_at,
        ),
        json=False,
        none="no faces",
    )


@app.command("put")
def put_person(
    gallery: GalleryName,
    person: PersonId,
    name: Annotated[str | None, typer.Option(help="What they are called.")] = None,
    consent: Annotated[
        str | None, typer.Option(help="Reference to their consent; empty takes it away.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a person known, or change their name or consent."""
    with opened(gallery, create=True) as found:
        known = found.put_person(person, name=name, consent=consent)
    done(f"{known.id}: {known.name}", json=json, person=known)


@app.command("rename")
def rename_person(
    gallery: GalleryName,
    person: PersonId,
    new: Annotated[str, typer.Argument(help="The new id.")],
    json: Json = False,
) -> None:
    """Give a person another id."""
    with opened(gallery) as found:
        known = found.rename(person, new)
    done(f"{person} is now {known.id}", json=json, person=known)


@app.command("merge")
def merge_people(
    gallery: GalleryName,
    into: Annotated[str, typer.Argument(help="Id of the person who stays.")],
    other: Annotated[str, typer.Argument(help="Id of the person who is taken in.")],
    yes: Sure = False,
    json: Json = False,
) -> None:
    """Make two people one: the other's faces and groups go to the first."""
    with opened(gallery) as found:
        found.person(other)
        confirm(f"merge {other} into {into}", sure=yes)
        moved = found.merge(into, other)
        known = found.person(into)
    done(f"{into}: {moved} faces taken over from {other}", json=json, samples=moved, person=known)


@app.command("split")
def split_person(
    gallery: GalleryName,
    person: PersonId,
    new: Annotated[str, typer.Argument(help="Id of the new person.")],
    faces: Annotated[list[int], typer.Argument(help="Numbers of the faces that are theirs.")],
    json: Json = False,
) -> None:
    """Make a new person of some faces of another."""
    with opened(gallery) as found:
        made = found.split(person, faces, new)
    done(f"{made.id}: {made.samples} faces of {person}", json=json, person=made)


@app.command("remove")
def remove_person(
    gallery: GalleryName, person: PersonId, yes: Sure = False, json: Json = False
) -> None:
    """Erase a person: faces, crops, index entries and memberships, for good."""
    with opened(gallery) as found:
        known = found.person(person)
        confirm(f"erase {person} and {known.samples} faces", sure=yes)
        gone = found.remove(person)
    done(f"{person}: erased with {gone} faces", json=json, person=known.id, samples=gone)


@app.command("join")
def join_group(
    gallery: GalleryName,
    person: PersonId,
    group: GroupName,
    info: Annotated[str, typer.Option(help="What is noted with the membership.")] = "",
    json: Json = False,
) -> None:
    """Put a person into a group, or change what is noted with it."""
    with opened(gallery) as found:
        found.join(person, group, info)
    done(f"{person} is in {group}", json=json, person=person, group=group, info=info)


@app.command("leave")
def leave_group(
    gallery: GalleryName, person: PersonId, group: GroupName, yes: Sure = False, json: Json = False
) -> None:
    """Take a person out of a group; faces that count in it alone are erased."""
    with opened(gallery) as found:
        confirm(f"take {person} out of {group}", sure=yes)
        gone = found.leave(person, group)
    done(
        f"{person} left {group}; {gone} faces erased",
        json=json,
        person=person,
        group=group,
        samples=gone,
    )


@app.command("copy")
def copy_person(
    gallery: GalleryName,
    person: PersonId,
    source: Annotated[str, typer.Argument(help="A group they are in.")],
    target: Annotated[str, typer.Argument(help="The group they shall be in too.")],
    json: Json = False,
) -> None:
    """Copy a person from one group to another, with their note and the faces of that group."""
    with opened(gallery) as found:
        copied = found.copy_person(person, source, target)
    done(
        f"{person} is in {target} too; {copied} faces copied",
        json=json,
        person=person,
        group=target,
        samples=copied,
    )


@app.command("move")
def move_person(
    gallery: GalleryName,
    person: PersonId,
    source: Annotated[str, typer.Argument(help="The group they leave.")],
    target: Annotated[str, typer.Argument(help="The group they go to.")],
    json: Json = False,
) -> None:
    """Move a person from one group to another, with their note and the faces of that group."""
    with opened(gallery) as found:
        moved = found.move_person(person, source, target)
    done(
        f"{person} is in {target} now; {moved} faces moved",
        json=json,
        person=person,
        group=target,
        samples=moved,
    )


@app.command("move-faces")
def move_faces(
    gallery: GalleryName,
    person: Annotated[str, typer.Argument(help="Id of the person whose faces they are.")],
    faces: Annotated[list[int], typer.Argument(help="Numbers of faces.")],
    json: Json = False,
) -> None:
    """Give faces to another person: corrects a wrong name."""
    with opened(gallery) as found:
        moved = found.move_samples(faces, person)
    done(f"{person}: {moved} faces taken over", json=json, person=person, samples=moved)


@app.command("remove-faces")
def remove_faces(
    gallery: GalleryName,
    faces: Annotated[list[int], typer.Argument(help="Numbers of faces.")],
    yes: Sure = False,
    json: Json = False,
) -> None:
    """Erase single faces; the people stay."""
    with opened(gallery) as found:
        confirm(f"erase {len(faces)} faces", sure=yes)
        gone = found.remove_samples(faces)
    done(f"{gone} faces erased", json=json, samples=gone)
