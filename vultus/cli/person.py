"""``vultus person``: people of a gallery, their groups and their faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._faces import (
    faces_of,
    list_faces,
    move_faces,
    remove_faces,
    replace_faces,
    show_face,
    show_faces,
)
from vultus.cli._gallery import (
    After,
    FaceNumbers,
    GalleryName,
    GroupName,
    Limit,
    PersonId,
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
def list_people(
    gallery: GalleryName,
    group: Annotated[str | None, typer.Option(help="Only members of this group.")] = None,
    after: After = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List people, in the order of their ids."""
    with opened(gallery) as found:
        show_rows(
            paged(
                lambda a, n: found.people(group=group, after=a, limit=n),
                lambda p: p.id,
                after,
                limit,
            ),
            ("person", "name", "faces", "groups", "consent", "changed"),
            lambda p: (
                p.id,
                None if p.name == p.id else p.name,
                p.samples,
                ", ".join(p.groups),
                p.consent,
                when(p.updated_at),
            ),
            json=json,
            none="nobody",
        )


@app.command("show")
def show_person(gallery: GalleryName, person: PersonId, json: Json = False) -> None:
    """Show a person, their groups and their faces."""
    with opened(gallery) as found:
        known = found.person(person)
        memberships = found.memberships(person=person)
        faces = faces_of(found, person=person)
        if json:
            about = {**plain(known), "memberships": plain(memberships)}
            print_json({**about, "faces": plain(list(faces))})
            return
        out.print(f"[bold]{safe(known.id)}[/]  {safe(known.name)}", soft_wrap=True)
        out.print(f"[dim]since[/] {when(known.created_at)}, changed {when(known.updated_at)}")
        if known.consent:
            out.print(f"[dim]consent[/] {safe(known.consent)}", soft_wrap=True)
        for membership in memberships:
            info = f": {safe(membership.info)}" if membership.info else ""
            out.print(f"[dim]in[/] {safe(membership.group)}{info}", soft_wrap=True)
        show_faces(faces, json=False, whose=False)


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
    done(f"{person}: now {known.id}", json=json, person=known)


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
        known, gone = found.person(into), found.person(other)
        confirm(f"merge {gone.id} into {known.id}", sure=yes)
        moved = found.merge(into, other)
        known = found.person(into)
    faces = counted(moved, "face", "faces")
    done(f"{known.id}: {faces} taken over from {gone.id}", json=json, samples=moved, person=known)


@app.command("split")
def split_person(
    gallery: GalleryName,
    person: PersonId,
    new: Annotated[str, typer.Argument(help="Id of the new person.")],
    faces: FaceNumbers,
    json: Json = False,
) -> None:
    """Make a new person of some faces of another."""
    with opened(gallery) as found:
        made = found.split(person, faces, new)
    done(f"{made.id}: {counted(made.samples, 'face', 'faces')} of {person}", json=json, person=made)


@app.command("remove")
def remove_person(
    gallery: GalleryName, person: PersonId, yes: Sure = False, json: Json = False
) -> None:
    """Erase a person: faces, crops, index entries and memberships, for good."""
    with opened(gallery) as found:
        known = found.person(person)
        confirm(f"erase {known.id} and {counted(known.samples, 'face', 'faces')}", sure=yes)
        gone = found.remove(person)
    done(
        f"{known.id}: erased with {counted(gone, 'face', 'faces')}",
        json=json,
        person=known.id,
        samples=gone,
    )


@app.command("join")
def join_group(
    gallery: GalleryName,
    person: PersonId,
    group: GroupName,
    info: Annotated[
        str | None, typer.Option(help="What is noted with the membership; up to 256 bytes.")
    ] = None,
    json: Json = False,
) -> None:
    """Put a person into a group; there already, they stay, and so does a note without --info."""
    with opened(gallery) as found:
        known, joined = found.person(person), found.group(group)
        if info is not None or joined.name not in known.groups:
            found.join(person, group, info or "")
        kept = _info(found, known.id, joined.name)
    _tell_membership(known.id, joined.name, kept, json=json)


@app.command("note")
def note_membership(
    gallery: GalleryName,
    person: PersonId,
    group: GroupName,
    info: Annotated[str, typer.Argument(metavar="INFO", help="The new note; empty for none.")],
    json: Json = False,
) -> None:
    """Change what is noted with a person's membership in a group."""
    with opened(gallery) as found:
        found.set_info(person, group, info)
        known, joined = found.person(person), found.group(group)
        kept = _info(found, known.id, joined.name)
    _tell_membership(known.id, joined.name, kept, json=json)


def _info(found: Gallery, person: str, group: str) -> str:
    return next((m.info for m in found.memberships(person=person) if m.group == group), "")


def _tell_membership(person: str, group: str, info: str, *, json: bool) -> None:
    said = f"{person} is in {group}{f': {info}' if info else ''}"
    done(said, json=json, person=person, group=group, info=info)


@app.command("leave")
def leave_group(
    gallery: GalleryName, person: PersonId, group: GroupName, yes: Sure = False, json: Json = False
) -> None:
    """Take a person out of a group; faces that count in it alone are erased."""
    with opened(gallery) as found:
        known, left = found.person(person), found.group(group)
        if left.name in known.groups:  # else `leave` says so, without a question before
            confirm(f"take {known.id} out of {left.name}", sure=yes)
        gone = found.leave(person, group)
    done(
        f"{known.id} left {left.name}; {counted(gone, 'face', 'faces')} erased",
        json=json,
        person=known.id,
        group=left.name,
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
        f"{person} is in {target} too; {counted(copied, 'face', 'faces')} copied",
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
        f"{person} is in {target} now; {counted(moved, 'face', 'faces')} moved",
        json=json,
        person=person,
        group=target,
        samples=moved,
    )


app.command("faces")(list_faces)
app.command("face")(show_face)
app.command("replace-faces")(replace_faces)
app.command("move-faces")(move_faces)
app.command("remove-faces")(remove_faces)
