"""``vultus import``: take over the people that another system knows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vultus.cli._gallery import counted, opened
from vultus.cli._options import DetectorName, Embedder, Jobs, Json, MinFace, Mirror
from vultus.cli._output import EXIT_FAILED, EXIT_SOME_FAILED, out, print_json, safe, warn

if TYPE_CHECKING:
    from vultus.compat.importers import ForeignPeople, Left, Outcome
    from vultus.gallery import Gallery

__all__ = ["import_"]

_FOLDER = "folder"
_SHOWN = 20  # of what was left


def import_(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Encodings (pickle, JSON, NPY, NPZ), a DeepFace database, a facenet classifier, "
            "or a folder with a folder or a picture per person.",
        ),
    ],
    gallery: Annotated[
        str, typer.Option("--gallery", "-g", help="A gallery, made if absent, or its URL.")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--format", help="auto, face_recognition, deepface, facenet or folder: what it is."
        ),
    ] = "auto",
    names: Annotated[
        Path | None,
        typer.Option("--names", help="Names of encodings without names: a file, one per row."),
    ] = None,
    person_from: Annotated[
        str,
        typer.Option(
            "--person-from", help="DeepFace: names are those of the folder, the file, or auto."
        ),
    ] = "auto",
    group: Annotated[
        str | None, typer.Option("--group", help="Everybody joins this group, made if absent.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")
    ] = False,
    min_face: MinFace = 40.0,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Bring people from another system into a gallery; twice adds nothing twice.

    Nothing in a file is run: a pickle of more than arrays and built-ins is refused by name.
    Smallest face, detector, embedder, mirror and jobs are for folders, whose pictures are embedded.
    """
    if format not in {"auto", "face_recognition", "deepface", "facenet", _FOLDER}:
        raise typer.BadParameter(
            f"--format must be auto, face_recognition, deepface, facenet or folder, got {format!r}"
        )
    if person_from not in {"auto", "folder", "file"}:
        raise typer.BadParameter(f"--person-from must be auto, folder or file, got {person_from!r}")
    if format == _FOLDER or (format == "auto" and source.is_dir()):
        if names is not None or person_from != "auto":
            raise typer.BadParameter("--names and --person-from are for files, not for folders")
        if dry_run:
            _tell_folder(source, gallery, json=json)
            return
        from vultus.cli._carry import import_tree

        import_tree(
            gallery,
            source,
            group=group,
            min_face=min_face,
            detector=detector,
            embedder=embedder,
            mirror=mirror,
            jobs=jobs,
            json=json,
        )
        return
    from vultus.compat.importers import add_people, read_people

    found = read_people(
        source, cast("Any", format), names=names, person_from=cast("Any", person_from)
    )
    if (dry_run or not found.people) and not _exists(gallery):
        held, outcome = (0, 0), add_people(None, found, group=group, dry_run=True)
    else:
        with opened(gallery, create=not dry_run) as known:
            outcome = add_people(known, found, group=group, dry_run=dry_run)
            held = _held(known)
    _tell(found, outcome, gallery, held, dry_run=dry_run, json=json)
    if found.left and not (found.format == "facenet" and len(found.left) == 1):
        raise typer.Exit(EXIT_SOME_FAILED if found.people else EXIT_FAILED)


def _exists(gallery: str) -> bool:
    """Whether there is a gallery to look into; what a server holds is known to it alone."""
    return "://" in gallery or Path(gallery).exists()


def _held(gallery: Gallery) -> tuple[int, int]:
    known = gallery.info()
    return known.people, known.samples


def _tell(
    found: ForeignPeople,
    outcome: Outcome,
    gallery: str,
    held: tuple[int, int],
    *,
    dry_run: bool,
    json: bool,
) -> None:
    if json:
        print_json(
            {
                "source": found.source,
                "format": found.format,
                "space": found.space.id if found.space else None,
                "gallery": gallery,
                "dry_run": dry_run,
                "faces": len(found.faces),
                **asdict(outcome),
                "people": held[0],
                "samples": held[1],
                "left": [asdict(left) for left in found.left],
                "notes": list(found.notes),
            }
        )
        return
    out.print(
        f"[bold]{safe(found.source)}[/]  [dim]{found.format}[/]: "
        f"{counted(len(found.faces), 'face', 'faces')} of "
        f"{counted(len(found.people), 'person', 'people')}",
        soft_wrap=True,
    )
    if found.space:
        out.print(f"[dim]space[/] {safe(found.space.id)}", soft_wrap=True)
    for note in found.notes:
        out.print(f"[dim]note[/] {safe(note)}", soft_wrap=True)
    _tell_left(found.left)
    would = "would be " if dry_run else ""
    joined = f", {outcome.joined} {'would join' if dry_run else 'joined'} the group"
    out.print(
        f"{counted(outcome.added, 'face', 'faces')} {would}added, {outcome.known} known already, "
        f"{counted(outcome.new_people, 'new person', 'new people')}"
        f"{joined if outcome.joined else ''}; "
        f"{counted(held[0], 'person', 'people')} and {counted(held[1], 'face', 'faces')} "
        f"in {safe(gallery)}",
        soft_wrap=True,
    )


def _tell_left(left: tuple[Left, ...]) -> None:
    for item in left[:_SHOWN]:
        whose = f" ({item.person})" if item.person else ""
        warn(f"left: {item.where}{whose}: {item.reason}")
    if len(left) > _SHOWN:
        warn(f"left: {len(left) - _SHOWN} more; --json lists them all")


def _tell_folder(source: Path, gallery: str, *, json: bool) -> None:
    """What a folder holds; what can be seen in its pictures takes embedding them."""
    from vultus.sources import people_tree

    people = [(name, len(pictures)) for name, pictures in people_tree(source)]
    pictures = sum(count for _, count in people)
    if json:
        print_json(
            {
                "source": str(source),
                "format": _FOLDER,
                "gallery": gallery,
                "dry_run": True,
                "people": [{"name": name, "pictures": count} for name, count in people],
                "pictures": pictures,
            }
        )
        return
    for name, count in people:
        out.print(f"[bold]{safe(name)}[/]  {counted(count, 'picture', 'pictures')}", soft_wrap=True)
    out.print(
        f"{counted(pictures, 'picture', 'pictures')} of {counted(len(people), 'person', 'people')} "
        f"would be looked at for {safe(gallery)}",
        soft_wrap=True,
    )
