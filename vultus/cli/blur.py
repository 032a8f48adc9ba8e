"""``vultus blur``: copies of pictures in which faces cannot be recognised."""

from __future__ import annotations

import unicodedata
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias, cast

import typer

from vultus.cli._known import Known, known_people
from vultus.cli._options import (
    AnyTurn,
    DetectorName,
    Done,
    Embedder,
    Jobs,
    Json,
    MinFace,
    Mirror,
    ThresholdOption,
    job_count,
    pictures,
    recognizer,
)
from vultus.cli._output import (
    OutputFolder,
    box_list,
    end,
    error_object,
    fail,
    out,
    print_json,
    safe,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vultus.gallery import Gallery
    from vultus.types import Face, Frame

__all__ = ["blur"]

Style: TypeAlias = Literal["blur", "pixelate", "mask"]


class Hidden(NamedTuple):
    """What becomes of one face.

    Attributes:
        face: Where it is.
        name: Of the person, when recognised; only asked for with ``--keep``.
        kept: Whether it stays visible.
    """

    face: Face
    name: str | None
    kept: bool


def blur(
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS…", help="Pictures, folders or patterns.")
    ],
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder for the copies.")],
    style: Annotated[
        Style, typer.Option("--style", help="blur, pixelate, or mask: one colour, nothing left.")
    ] = "blur",
    keep: Annotated[
        str | None,
        typer.Option("--keep", help="Leave these known people visible: a gallery or a folder."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Of the known people, only this one; may be repeated."),
    ] = None,
    threshold: ThresholdOption = "fmr=1e-3",
    min_face: MinFace = 20.0,
    any_turn: AnyTurn = False,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    json: Json = False,
    jobs: Jobs = 0,
) -> None:
    """Hide all faces, or all but those of people you know; the originals stay as they are."""
    if only and keep is None:
        raise typer.BadParameter("--only names people of --keep; give that too")
    workers = job_count([*photos, *([Path(keep)] if keep else [])], jobs)
    found = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        threshold=threshold if keep else None,
        detector=detector,
        jobs=workers,
    )
    copies = OutputFolder(folder, photos)
    known: AbstractContextManager[Known | None] = (
        known_people(keep, found, jobs=workers, shown=not json) if keep else nullcontext()
    )
    failed = count = hidden = kept = 0
    with known as people:
        wanted = _wanted(people.gallery, only) if people and only else None

        def work(frame: Frame) -> tuple[list[Face], object]:
            faces = found.detect(frame, any_turn=any_turn)
            if people is None:
                return faces, [Hidden(face, None, kept=False) for face in faces]
            answers = found.identify(people.gallery, faces, once=True)
            return faces, [
                Hidden(a.face, a.name, kept=_kept(a.name, a.person, wanted)) for a in answers
            ]

        where: dict[Path, Path] = {}
        for done in pictures(
            photos,
            work,
            jobs=workers,
            shown=not json,
            label="hiding faces",
            drawn=folder,
            draw=lambda done: _write(done, copies, style, where),
        ):
            faces = _faces(done)
            count, failed = count + 1, failed + bool(done.error)
            if not done.error:
                kept += sum(face.kept for face in faces)
                hidden += sum(not face.kept for face in faces)
            if json:
                print_json(_object(done, where.pop(done.path, None)))
            else:
                _print_line(done)
    unusable = people.failed if people else 0
    if not json:
        left = f"{kept} kept, " if keep else ""
        out.print(
            f"[dim]{count} pictures: {hidden} faces hidden, {left}{failed} failed. "
            f"A face that is not found is not hidden: look at the copies.[/]",
            soft_wrap=True,
        )
    end(failed, count, others=unusable)


def _wanted(gallery: Gallery, only: list[str]) -> set[str]:
    """Names and ids that stay visible.

    Raises:
        UnknownPersonError: Nobody is called so.
    """
    from vultus.gallery import unknown_person_error

    people = gallery.people()
    names = {name for person in people for name in (person.id, person.name)}
    wanted = {unicodedata.normalize("NFC", name.strip()) for name in only}
    for name in sorted(wanted - names):
        raise unknown_person_error(name, sorted(names))
    return wanted


def _kept(name: str | None, person: str | None, wanted: set[str] | None) -> bool:
    return name is not None and (wanted is None or name in wanted or person in wanted)


def _faces(done: Done) -> list[Hidden]:
    return cast("list[Hidden]", done.value or [])


def _write(done: Done, copies: OutputFolder, style: Style, where: dict[Path, Path]) -> None:
    from vultus.draw import hide_faces, write_image

    if done.frame is None:
        return
    boxes = [face.face.box for face in _faces(done) if not face.kept]
    target = copies.name_for(done.path)
    write_image(hide_faces(done.frame.image, boxes, style=style), target)
    where[done.path] = target


def _object(done: Done, copy: Path | None) -> dict[str, object]:
    return {
        "image": str(done.path),
        "copy": None if copy is None else str(copy),
        "faces": [
            {
                "box": box_list(face.face),
                "score": round(face.face.score, 6),
                "name": face.name,
                "hidden": not face.kept,
            }
            for face in _faces(done)
        ],
        "error": error_object(done.error),
    }


def _print_line(done: Done) -> None:
    if done.error:
        fail(done.error)
        return
    faces = _faces(done)
    hidden = sum(not face.kept for face in faces)
    names = ", ".join(f"[bold green]{safe(face.name)}[/]" for face in faces if face.kept)
    said = f"{hidden or 'no'} face{'' if hidden == 1 else 's'} hidden"
    out.print(
        f"[bold]{safe(done.path)}[/]  {said}{f', kept {names}' if names else ''}", soft_wrap=True
    )
