"""``vultus gallery``: a whole gallery, to look at, check, copy, carry away and bring back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._gallery import (
    GalleryName,
    Sure,
    confirm,
    counting,
    done,
    opened,
    plain,
    show_rows,
)
from vultus.cli._options import (
    Embedder,
    Jobs,
    Json,
    MinFace,
    Mirror,
    crop_key,
    job_count,
    recognizer,
)
from vultus.cli._output import EXIT_NO, EXIT_SOME_FAILED, out, print_json, safe, warn
from vultus.errors import GalleryError

if TYPE_CHECKING:
    from vultus.gallery import Gallery, GalleryInfo
    from vultus.types import EmbeddingSpace

__all__ = ["app"]

app = typer.Typer(
    name="gallery",
    help="Whole galleries: info, verify, audit, copy, export, import, change the model.",
    no_args_is_help=True,
)

SpaceId = Annotated[str, typer.Argument(metavar="SPACE", help="Id of a space, or its beginning.")]


@app.command("info")
def info(gallery: GalleryName, json: Json = False) -> None:
    """Show what a gallery holds and how it searches."""
    with opened(gallery) as found:
        known = found.info()
    if json:
        print_json(plain(known))
    else:
        _print_info(known)


def _print_info(known: GalleryInfo) -> None:
    search = known.search
    parameters = ", ".join(f"{key} {value}" for key, value in search.parameters.items())
    out.print(f"[bold]{safe(known.location)}[/] [dim]{known.backend}, schema {known.schema}[/]")
    out.print(f"{known.people:,} people, {known.samples:,} faces, {known.groups:,} groups")
    for space in known.spaces:
        mark = "active" if space.active else "kept"
        out.print(f"[dim]space[/] {safe(space.space.id)}: {space.samples:,} faces, {mark}")
    recall = "" if search.recall is None else f", recall {search.recall:.4f}"
    out.print(
        f"[dim]search[/] {search.kind}: {safe(search.why)}{recall}"
        f"{f' ({safe(parameters)})' if parameters else ''}",
        soft_wrap=True,
    )


@app.command("verify")
def verify(gallery: GalleryName, json: Json = False) -> None:
    """Examine everything stored, the audit log and what erasure left; exit code 1 if unsound."""
    with opened(gallery) as found:
        findings = found.verify()
    if json:
        print_json({"sound": not findings, "findings": plain(findings)})
    elif not findings:
        out.print("[green]sound[/]: records, references, vectors, audit log, index; no residue")
    for finding in findings if not json else []:
        out.print(f"[bold red]{safe(finding.code)}[/] {safe(finding.message)}", soft_wrap=True)
    if findings:
        raise typer.Exit(EXIT_NO)


@app.command("audit")
def audit(
    gallery: GalleryName,
    person: Annotated[
        str | None, typer.Option(help="Only about this person, also one who was erased.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="Begin after this entry.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    json: Json = False,
) -> None:
    """Show who changed what and when, oldest first; `verify` proves that nothing is missing."""
    with opened(gallery) as found:
        entries = found.audit(person=person, after=after, limit=limit)
    show_rows(
        entries,
        ("no.", "at", "who", "what", "whom", "detail"),
        lambda e: (
            e.number,
            e.at,
            e.actor,
            e.action,
            e.subject and e.subject[:12],
            ", ".join(f"{key} {value}" for key, value in e.detail.items()),
        ),
        json=json,
        none="no entries",
    )


@app.command("copy")
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
        copied = copy_gallery(old, new, tell)
        known = new.info()
    done(
        f"{known.people:,} people and {known.samples:,} faces copied to {known.location}",
        json=json,
        people=known.people,
        samples=known.samples,
        copied=copied,
    )


@app.command("export")
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
    with opened(gallery) as found, counting("writing", shown=not json) as tell:
        if crops:
            written = _export_crops(found, out_path)
            done(f"{written} faces written to {out_path}", json=json, path=out_path, faces=written)
            return
        from vultus.gallery.archive import write_archive

        counts = write_archive(found, out_path, tell)
    done(
        f"{counts['PersonRecord']:,} people and {counts['SampleRecord']:,} faces in {out_path}",
        json=json,
        path=str(out_path),
        people=counts["PersonRecord"],
        samples=counts["SampleRecord"],
    )


def _export_crops(found: Gallery, folder: Path) -> int:
    """Every kept crop as ``folder/PERSON/NUMBER.png``; samples without one cannot be written."""
    from vultus.draw import write_image
    from vultus.gallery.crops import unpack_crop

    key, written, lacking, after = crop_key(), 0, 0, 0
    while page := found.samples(after=after):
        for sample in page:
            crop = found.crop(sample.number)
            if crop is None:
                lacking += 1
                continue
            place = folder / _folder_name(sample.person)
            place.mkdir(parents=True, exist_ok=True)
            picture = unpack_crop(crop, key).frame.image
            write_image(picture, place / f"{sample.number}.png")
            written += 1
        after = page[-1].number
    if lacking:
        warn(f"{lacking} faces keep no crop and are not in the folder")
    return written


def _folder_name(person: str) -> str:
    """An id as the name of a folder, on every system."""
    kept = "".join(c if c.isalnum() or c in " -_.@" else "_" for c in person).strip(" .")
    return kept or "_"


@app.command("import")
def import_(
    gallery: GalleryName,
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="An archive, or a folder with a folder each.")
    ],
    group: Annotated[
        str | None, typer.Option(help="People of a folder join this group, made if absent.")
    ] = None,
    min_face: MinFace = 40.0,
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Bring an archive into an empty gallery, or enrol a folder of people into any."""
    if not source.is_dir():
        from vultus.gallery.archive import read_archive

        with opened(gallery, create=True) as found, counting("reading", shown=not json) as tell:
            read_archive(source, found, tell)
            known = found.info()
        done(
            f"{known.people:,} people and {known.samples:,} faces in {known.location}",
            json=json,
            people=known.people,
            samples=known.samples,
            failed=0,
        )
        return
    from vultus.cli._known import enroll_tree

    workers = job_count([source], jobs)
    made = recognizer(min_face=min_face, embedder=embedder, mirror=mirror, jobs=workers)
    with opened(gallery, create=True) as found:
        failed = enroll_tree(source, made, found, jobs=workers, shown=not json, group=group)
        known = found.info()
    done(
        f"{known.people:,} people and {known.samples:,} faces in {known.location}, "
        f"{failed} pictures left out",
        json=json,
        people=known.people,
        samples=known.samples,
        failed=failed,
    )
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command("optimise")
def optimise(gallery: GalleryName, json: Json = False) -> None:
    """Build or refresh the approximate index of a large gallery, and measure its recall."""
    with opened(gallery) as found, counting("building the index", shown=not json):
        found.optimise()
        known = found.info()
    if json:
        print_json(plain(known.search))
    else:
        _print_info(known)


@app.command("key")
def key() -> None:
    """Print a new key for encrypted crops; keep it in VULTUS_GALLERY_KEY, and keep it safe."""
    from vultus.gallery.crops import new_key

    typer.echo(new_key())


# -- another model --------------------------------------------------------------------------------


@app.command("migrate")
def migrate(
    gallery: GalleryName,
    to: Annotated[str, typer.Option("--to", help="Model that shall tell the faces apart.")],
    mirror: Mirror = True,
    activate: Annotated[
        bool, typer.Option("--activate/--no-activate", help="Switch over when all is done.")
    ] = True,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Switch although faces without crops lack.")
    ] = False,
    json: Json = False,
) -> None:
    """Embed every face anew for another model, from the kept crops; goes on where it stopped."""
    from vultus.upgrade import embed_anew

    embedder = recognizer(embedder=to, mirror=mirror, threshold="0").embedder
    with opened(gallery) as found, counting("embedding", shown=not json) as tell:
        report = embed_anew(found, embedder, crop_key(), tell)
        switched = activate and (report.complete or allow_missing)
        if switched:
            found.activate(report.space, allow_missing=allow_missing)
    lacking = len(report.without_crop)
    if lacking:
        warn(f"{lacking} faces keep no crop: enrol them again, or switch with --allow-missing")
    done(
        f"{report.embedded:,} faces embedded for {report.space.id}; "
        f"{'it is active now' if switched else 'not switched over'}",
        json=json,
        space=report.space,
        embedded=report.embedded,
        without_crop=list(report.without_crop),
        active=switched,
    )
    if activate and not switched:
        raise typer.Exit(EXIT_SOME_FAILED)


@app.command("activate")
def activate_space(
    gallery: GalleryName,
    space: SpaceId,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Although faces lack an embedding there.")
    ] = False,
    json: Json = False,
) -> None:
    """Search in another space the gallery keeps: switch over, or back."""
    with opened(gallery) as found:
        chosen = _space(found, space)
        found.activate(chosen, allow_missing=allow_missing)
    done(f"{chosen.id} is active now", json=json, space=chosen)


@app.command("drop-space")
def drop_space(gallery: GalleryName, space: SpaceId, yes: Sure = False, json: Json = False) -> None:
    """Erase a space that is not active, with all its embeddings."""
    with opened(gallery) as found:
        chosen = _space(found, space)
        confirm(f"erase all embeddings of {chosen.id}", sure=yes)
        gone = found.drop_space(chosen)
    done(f"{gone:,} embeddings of {chosen.id} erased", json=json, space=chosen, embeddings=gone)


def _space(found: Gallery, wanted: str) -> EmbeddingSpace:
    spaces = [entry.space for entry in found.spaces()]
    fitting = [space for space in spaces if space.id.startswith(wanted)]
    if len(fitting) != 1:
        raise GalleryError(
            f"{wanted!r} must name one space of this gallery, it names {len(fitting)}",
            remedy=f"the gallery keeps {', '.join(space.id for space in spaces) or 'none'}",
        )
    return fitting[0]
