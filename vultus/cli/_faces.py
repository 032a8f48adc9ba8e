"""The commands of ``vultus person`` that are about single faces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._gallery import (
    AfterNumber,
    FaceNumbers,
    GalleryName,
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
    AllowDuplicates,
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

__all__ = [
    "faces_of",
    "list_faces",
    "move_faces",
    "remove_faces",
    "replace_faces",
    "show_face",
    "show_faces",
]


def faces_of(
    found: Gallery,
    *,
    person: str | None = None,
    group: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[Sample]:
    """Samples in the order of their numbers, of which one page is in memory at a time."""
    return paged(
        lambda a, n: found.samples(person=person, group=group, after=a, limit=n),
        lambda sample: sample.number,
        after,
        limit,
    )


def show_faces(faces: Iterator[Sample], *, json: bool, whose: bool) -> None:
    """Print samples, with whose they are where `whose`."""
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
        listed = faces_of(found, person=person, group=group, after=after, limit=limit)
        show_faces(listed, json=json, whose=True)


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
    allow_duplicates: AllowDuplicates = False,
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
        numbers = found.replace(known.id, items, group=group, allow_duplicates=allow_duplicates)
        known = found.person(person)
    faces = counted(len(numbers), "face", "faces")
    done(
        f"{known.id}: {faces} enrolled instead, {known.samples} in the gallery {gallery}",
        json=json,
        person=known,
        faces=numbers,
    )


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
