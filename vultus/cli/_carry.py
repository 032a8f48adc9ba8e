"""The commands of ``vultus gallery`` that carry people in and out: copy, export, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._gallery import GalleryName, counted, counting, done, opened
from vultus.cli._options import (
    DetectorName,
    Embedder,
    Gate,
    Jobs,
    Json,
    KeepCrop,
    MinFace,
    Mirror,
    crop_key,
    job_count,
    recognizer,
)
from vultus.cli._output import EXIT_FAILED, EXIT_SOME_FAILED, warn
from vultus.errors import DataFileError, OutputError

if TYPE_CHECKING:
    from vultus.gallery import Gallery, GalleryInfo

__all__ = ["copy", "export", "import_", "import_tree"]


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The gallery to copy.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="An empty gallery, made if absent.")],
    json: Json = False,
) -> None:
    """Copy a gallery with everything in it, to another file or another kind of database."""
    from vultus.gallery.copy import copy_gallery

    with (
        opened(source) as old,
        opened(target, create=True) as new,
        counting("copying", shown=not json) as tell,
    ):
        records = copy_gallery(old, new, tell)
        known = new.info()
    done(
        f"{_held(known)} copied to {known.location}",
        json=json,
        people=known.people,
        samples=known.samples,
        records=dict(records),
    )


def _held(known: GalleryInfo) -> str:
    people = counted(known.people, "person", "people")
    return f"{people} and {counted(known.samples, 'face', 'faces')}"


def export(
    gallery: GalleryName,
    out_path: Annotated[
        Path, typer.Argument(metavar="OUT", help="An archive such as people.vultus.zip.")
    ],
    crops: Annotated[
        bool,
        typer.Option("--crops", help="Write the kept crops into a folder per person instead."),
    ] = False,
    json: Json = False,
) -> None:
    """Write a gallery into one archive with checksums; it holds biometric data: keep it safe."""
    if not crops and (out_path.is_dir() or not out_path.name):
        raise OutputError(
            f"{out_path} is a folder, an archive is one file",
            remedy="name a file such as people.vultus.zip",
            path=str(out_path),
        )
    with opened(gallery) as found, counting("writing", shown=not json) as tell:
        if crops:
            written, lacking = _export_crops(found, out_path)
        else:
            from vultus.gallery.archive import write_archive

            counts = write_archive(found, out_path, tell)
    if crops:
        if lacking:
            warn(f"{counted(lacking, 'face keeps', 'faces keep')} no crop, and cannot be written")
        said = f"{counted(written, 'face', 'faces')} written to {out_path}"
        done(said, json=json, path=str(out_path), faces=written, without_crop=lacking)
        return
    people = counted(counts["PersonRecord"], "person", "people")
    done(
        f"{people} and {counted(counts['SampleRecord'], 'face', 'faces')} in {out_path}",
        json=json,
        path=str(out_path),
        people=counts["PersonRecord"],
        samples=counts["SampleRecord"],
    )


def _export_crops(found: Gallery, folder: Path) -> tuple[int, int]:
    """Every kept crop as ``folder/PERSON/NUMBER.png``; how many there are, how many there are not.

    Person by person, so that no two share a folder whatever their ids are made of.
    """
    from vultus.cli._faces import faces_of
    from vultus.cli._gallery import paged
    from vultus.draw import write_image
    from vultus.gallery.crops import unpack_crop

    key, written, lacking = crop_key(), 0, 0
    taken: set[str] = set()
    people = paged(lambda a, n: found.people(after=a, limit=n), lambda p: p.id, None, None)
    for person in people:
        place = folder / _folder_name(person.id, taken)
        for sample in faces_of(found, person=person.id):
            crop = found.crop(sample.number)
            if crop is None:
                lacking += 1
                continue
            write_image(unpack_crop(crop, key).frame.image, place / f"{sample.number}.png")
            written += 1
    return written, lacking


def _folder_name(person: str, taken: set[str]) -> str:
    """An id as the name of a folder, on every system; a second one of a name gets a number."""
    kept = "".join(c if c.isalnum() or c in " -_.@" else "_" for c in person).strip(" .") or "_"
    name, number = kept, 1
    while name.casefold() in taken:
        number += 1
        name = f"{kept}-{number}"
    taken.add(name.casefold())
    return name


def import_(
    gallery: GalleryName,
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="An archive, or a folder with a folder each.")
    ],
    group: Annotated[
        str | None, typer.Option(help="People of a folder join this group, made if absent.")
    ] = None,
    gate: Gate = "off",
    keep_crop: KeepCrop = False,
    min_face: MinFace = 40.0,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Bring an archive into an empty gallery, or enrol a folder of people into any."""
    if not source.is_dir():
        if group is not None:
            raise typer.BadParameter("--group is for a folder; an archive has groups of its own")
        _import_archive(gallery, source, json=json)
        return
    import_tree(
        gallery,
        source,
        group=group,
        gate=gate,
        keep_crop=keep_crop,
        min_face=min_face,
        detector=detector,
        embedder=embedder,
        mirror=mirror,
        jobs=jobs,
        json=json,
    )


def import_tree(
    gallery: str,
    source: Path,
    *,
    group: str | None = None,
    gate: str = "off",
    keep_crop: bool = False,
    min_face: float = 40.0,
    detector: str = "mtcnn",
    embedder: str = "dlib-resnet-v1",
    mirror: bool = True,
    jobs: int = 0,
    json: bool = False,
) -> None:
    """Enrol a folder of people, and say what became of it; ends the command if pictures failed."""
    from vultus.cli._known import enroll_tree
    from vultus.gallery.base import check_space

    workers = job_count([source], jobs)
    made = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        detector=detector,
        gate=gate,
        keep_crop=keep_crop,
        jobs=workers,
    )
    space = made.embedder.space  # a missing model is told before any work
    with opened(gallery, create=True) as found:
        if found.space is not None:
            check_space(found.space, space)
        tree = enroll_tree(source, made, found, jobs=workers, shown=not json, group=group)
        known = found.info()
    done(
        f"{counted(tree.enrolled, 'picture', 'pictures')} enrolled, {tree.known} known already, "
        f"{tree.failed} failed; {_held(known)} in {known.location}",
        json=json,
        enrolled=tree.enrolled,
        known=tree.known,
        failed=tree.failed,
        people=known.people,
        samples=known.samples,
    )
    if tree.failed:
        raise typer.Exit(EXIT_SOME_FAILED if tree.enrolled + tree.known else EXIT_FAILED)


def _import_archive(gallery: str, source: Path, *, json: bool) -> None:
    from vultus.gallery.archive import check_archive, read_archive

    if not source.is_file():
        raise DataFileError(
            f"{source} must be an archive or a folder of people, and there is neither",
            remedy="check the path",
            path=str(source),
        )
    check_archive(source)  # told before a gallery is made
    with opened(gallery, create=True) as found, counting("reading", shown=not json) as tell:
        read_archive(source, found, tell)
        known = found.info()
    done(
        f"{_held(known)} in {known.location}",
        json=json,
        people=known.people,
        samples=known.samples,
    )
