"""``vultus person``: people of a gallery, their groups and their faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._gallery import (
    After,
    AfterNumber,
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
from vultus.cli._options import (
    DetectorName,
    Embedder,
    Gate,
    Json,
    KeepCrop,
    MinFace,
    Mirror,
    crop_key,
    recognizer,
)
from vultus.cli._output import out, print_json, safe
from vultus.errors import GalleryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vultus.gallery import Gallery, Sample

__all__ = ["app"]

app = typer.Typer(
    name="person",
    help="People of a gallery and their faces: list, change, merge, split, group, erase.",
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
        faces = _faces(found, person, None, 0, None)
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
        _show_faces(faces, json=False, whose=False)


def _faces(
    found: Gallery, person: str | None, group: str | None, after: int, limit: int | None
) -> Iterator[Sample]:
    return paged(
        lambda a, n: found.samples(person=person, group=group, after=a, limit=n),
        lambda sample: sample.number,
        after,
        limit,
    )


def _show_faces(faces: Iterator[Sample], *, json: bool, whose: bool) -> None:
    columns = ("face", "person", "only in", "quality", "crop", "source", "since")
    show_rows(
        faces,
        [column for column in columns if whose or column != "person"],
        lambda s: (
            s.number,
            *([s.person] if whose else []),
            s.group,
            None if not s.quality or "score" not in s.quality else f"{s.quality['score']:.2f}",
            "kept" if s.has_crop else None,
            s.source,
            when(s.created_at),
        ),
        json=json,
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
    _tell_membership(gallery, known.id, joined.name, "is in", json=json)


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
    _tell_membership(gallery, known.id, joined.name, "is in", json=json)


def _tell_membership(gallery: str, person: str, group: str, what: str, *, json: bool) -> None:
    with opened(gallery) as found:
        info = next((m.info for m in found.memberships(person=person) if m.group == group), "")
    said = f"{person} {what} {group}{f': {info}' if info else ''}"
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


# -- faces ----------------------------------------------------------------------------------------


@app.command("faces")
def list_faces(
    gallery: GalleryName,
    person: Annotated[str | None, typer.Option(help="Only faces of this person.")] = None,
    group: Annotated[
        str | None, typer.Option(help="Only faces that count in a search of this group.")
    ] = None,
    after: AfterNumber = 0,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List faces, in the order of their numbers."""
    with opened(gallery) as found:
        _show_faces(_faces(found, person, group, after, limit), json=json, whose=True)


@app.command("face")
def show_face(
    gallery: GalleryName,
    number: Annotated[int, typer.Argument(metavar="FACE", help="Number of the face.")],
    vectors: Annotated[
        bool, typer.Option("--vectors", help="With --json: its embeddings too.")
    ] = False,
    crop: Annotated[
        Path | None,
        typer.Option("--crop", help="Write its kept picture here; takes VULTUS_GALLERY_KEY."),
    ] = None,
    json: Json = False,
) -> None:
    """Show one face: whose it is, where it came from, how good it is."""
    with opened(gallery) as found:
        sample = found.sample(number)
        if crop is not None:
            _write_crop(found, number, crop)
        embeddings = _embeddings(found, sample) if vectors else []
    if json:
        print_json({**plain(sample), **({"embeddings": embeddings} if vectors else {})})
        return
    out.print(f"[bold]face {sample.number}[/] of {safe(sample.person)}", soft_wrap=True)
    facts = {
        "source": sample.source,
        "only in": sample.group,
        "since": when(sample.created_at),
        "crop": "kept" if sample.has_crop else None,
        "quality": ", ".join(f"{key} {value:g}" for key, value in (sample.quality or {}).items()),
        "spaces": ", ".join(sample.spaces),
        "digest": sample.source_digest,
    }
    for name, value in facts.items():
        if value:
            out.print(f"[dim]{name}[/] {safe(value)}", soft_wrap=True)


def _embeddings(found: Gallery, sample: Sample) -> list[dict[str, object]]:
    spaces = [entry.space for entry in found.spaces() if entry.space.id in sample.spaces]
    return [
        {"space": space.id, "vector": found.embedding(sample.number, space).vector.tolist()}
        for space in spaces
    ]


def _write_crop(found: Gallery, number: int, path: Path) -> None:
    from vultus.draw import write_image
    from vultus.gallery.crops import unpack_crop

    sealed = found.crop(number)
    if sealed is None:
        raise GalleryError(
            f"face {number} keeps no crop", remedy="enrol with --keep-crop to keep crops"
        )
    write_image(unpack_crop(sealed, crop_key()).frame.image, path)


@app.command("replace-faces")
def replace_faces(
    gallery: GalleryName,
    person: PersonId,
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO…", help="Pictures, folders or patterns.")
    ],
    group: Annotated[
        str | None,
        typer.Option(help="Replace only the faces that count in this group alone, by such."),
    ] = None,
    largest: Annotated[
        bool, typer.Option("--largest", help="Take the largest of several faces.")
    ] = False,
    gate: Gate = "off",
    keep_crop: KeepCrop = False,
    min_face: MinFace = 40.0,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    yes: Sure = False,
    json: Json = False,
) -> None:
    """Erase a person's faces and enrol others instead, all in one change, or none."""
    from vultus.sources import expand

    made = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        detector=detector,
        gate=gate,
        keep_crop=keep_crop,
    )
    with opened(gallery) as found:
        known = found.person(person)
        items = [
            made.sample(known.id, path, largest=largest, group=group) for path in expand(photos)
        ]
        where = f" that count in {group} alone" if group else ""
        confirm(f"erase the faces of {known.id}{where}", sure=yes)
        numbers = found.replace(known.id, items, group=group)
        known = found.person(person)
    faces = counted(len(numbers), "face", "faces")
    done(
        f"{known.id}: {faces} enrolled instead, {known.samples} in the gallery {gallery}",
        json=json,
        person=known,
        faces=numbers,
    )


@app.command("move-faces")
def move_faces(
    gallery: GalleryName,
    person: Annotated[str, typer.Argument(help="Id of the person whose faces they are.")],
    faces: FaceNumbers,
    json: Json = False,
) -> None:
    """Give faces to another person: corrects a wrong name."""
    with opened(gallery) as found:
        moved = found.move_samples(faces, person)
        known = found.person(person)
    faces_moved = counted(moved, "face", "faces")
    done(f"{known.id}: {faces_moved} taken over", json=json, person=known, samples=moved)


@app.command("remove-faces")
def remove_faces(
    gallery: GalleryName,
    faces: FaceNumbers,
    yes: Sure = False,
    json: Json = False,
) -> None:
    """Erase single faces; the people stay."""
    with opened(gallery) as found:
        for number in faces:
            found.sample(number)
        confirm(f"erase {counted(len(set(faces)), 'face', 'faces')}", sure=yes)
        gone = found.remove_samples(faces)
    done(f"{counted(gone, 'face', 'faces')} erased", json=json, samples=gone)
