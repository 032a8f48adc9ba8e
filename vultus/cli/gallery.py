"""``vultus gallery``: a whole gallery, to look at, check, copy, carry away and bring back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vultus.cli._carry import copy, export, import_
from vultus.cli._gallery import (
    AfterNumber,
    GalleryName,
    Limit,
    counted,
    counting,
    opened,
    paged,
    plain,
    show_rows,
    when,
)
from vultus.cli._options import AnyTurn, DetectorName, Groups, Json, MinFace, recognizer
from vultus.cli._output import EXIT_NO, face_object, out, print_json, safe
from vultus.cli._spaces import activate_space, drop_space, list_pending, migrate
from vultus.errors import EmptyGalleryError, NoFaceError

if TYPE_CHECKING:
    from vultus.gallery import GalleryInfo
    from vultus.types import Face, Match

__all__ = ["app"]

app = typer.Typer()


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
    out.print(
        f"[bold]{safe(known.location)}[/]  [dim]{known.backend}, schema {known.schema}[/]",
        soft_wrap=True,
    )
    people = counted(known.people, "person", "people")
    faces, groups = (
        counted(known.samples, "face", "faces"),
        counted(known.groups, "group", "groups"),
    )
    out.print(f"{people}, {faces}, {groups}")
    for space in known.spaces:
        mark = "active" if space.active else "kept"
        held = counted(space.samples, "face", "faces")
        out.print(f"[dim]space[/] {safe(space.space.id)}: {held}, {mark}", soft_wrap=True)
    recall = "" if search.recall is None else f", recall {search.recall:.4f}"
    out.print(
        f"[dim]search[/] {search.kind}: {safe(search.why)}{recall}"
        f"{f' ({safe(parameters)})' if parameters else ''}",
        soft_wrap=True,
    )


@app.command("verify")
def verify(gallery: GalleryName, json: Json = False) -> None:
    """Examine all that is stored, the audit log, what erasure left; exit code 1 if not sound."""
    with opened(gallery) as found:
        findings = found.verify()
    if json:
        print_json({"sound": not findings, "findings": plain(findings)})
    elif not findings:
        out.print("[green]sound[/]: records, vectors, audit log, index; nothing erased is left")
    else:
        out.print(f"[bold red]not sound[/]: {counted(len(findings), 'finding', 'findings')}")
        for finding in findings:
            out.print(f"  [red]{safe(finding.code)}[/]: {safe(finding.message)}", soft_wrap=True)
    if findings:
        raise typer.Exit(EXIT_NO)


@app.command("audit")
def audit(
    gallery: GalleryName,
    person: Annotated[
        str | None, typer.Option(help="Only about this person, also one who was erased.")
    ] = None,
    after: AfterNumber = 0,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Show who changed what and when, oldest first; `verify` proves that nothing is missing."""
    with opened(gallery) as found:
        show_rows(
            paged(
                lambda a, n: found.audit(person=person, after=a, limit=n),
                lambda entry: entry.number,
                after,
                limit,
            ),
            ("no.", "at", "who", "what", "whom", "detail"),
            lambda e: (
                e.number,
                when(e.at),
                e.actor,
                e.action,
                e.subject and e.subject[:12],
                ", ".join(f"{key} {_detail(value)}" for key, value in e.detail.items()),
            ),
            json=json,
            none="no entries",
        )


def _detail(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)


@app.command("search")
def search(
    gallery: GalleryName,
    photo: Annotated[
        Path | None, typer.Argument(help="A picture; each of its faces is searched.")
    ] = None,
    face: Annotated[
        int | None, typer.Option("--face", help="Search an enrolled face, by its number, instead.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="At most so many people.")] = 5,
    group: Groups = None,
    min_similarity: Annotated[
        float | None,
        typer.Option("--min-similarity", help="Only people at least so similar: a cosine."),
    ] = None,
    template: Annotated[
        str,
        typer.Option(help="best: each person's best face; fused: the mean of their faces."),
    ] = "best",
    min_face: MinFace = 40.0,
    any_turn: AnyTurn = False,
    detector: DetectorName = "mtcnn",
    json: Json = False,
) -> None:
    """List the people most like a face; who it is, is decided by `vultus identify`."""
    if (photo is None) == (face is None):
        raise typer.BadParameter("name a picture, or an enrolled face with --face")
    how = _template(template)
    with opened(gallery) as found:
        if found.space is None:
            raise EmptyGalleryError(f"nobody is enrolled in {gallery}", path=gallery)
        faces: list[Face | None] = [None]
        if photo is None:
            embeddings = [found.embedding(face or 0)]
        else:
            recognize = recognizer(
                min_face=min_face,
                detector=detector,
                embedder=found.space.model,
                mirror=found.space.preprocessing.endswith("+mirror"),
            )
            seen = recognize.detect(photo, any_turn=any_turn)
            if not seen:
                raise NoFaceError(f"{photo} must show a face, none was found", path=str(photo))
            faces, embeddings = [*seen], recognize.embed(seen)
        answers = found.search_many(
            embeddings, k, groups=group, min_similarity=min_similarity, template=how
        )
    for shown, matches in zip(faces, answers, strict=True):
        _tell_matches(shown, photo if face is None else face, matches, json=json)


def _template(name: str) -> Literal["best", "fused"]:
    if name == "best":
        return "best"
    if name != "fused":
        raise typer.BadParameter(f"--template must be best or fused, got {name!r}")
    return "fused"


def _tell_matches(
    shown: Face | None, of: Path | int | None, matches: list[Match], *, json: bool
) -> None:
    if json:
        found = [
            {
                "person": match.person,
                "name": match.name,
                "similarity": round(match.similarity, 6),
                "face": match.sample,
            }
            for match in matches
        ]
        about = {"face": of} if shown is None else {"image": str(of), **face_object(shown)}
        print_json({**about, "matches": found})
        return
    if shown is None:
        out.print(f"[bold]face {of}[/]")
    else:
        x, y = (round(value) for value in shown.box.xyxy[:2])
        out.print(f"[bold]{safe(of)}[/]  face at ({x}, {y})", soft_wrap=True)
    show_rows(
        matches,
        ("similarity", "person", "name", "face"),
        lambda match: (
            f"{match.similarity:.4f}",
            match.person,
            None if match.name == match.person else match.name,
            match.sample,
        ),
        json=False,
        none="nobody so similar",
    )


app.command("copy")(copy)
app.command("export")(export)
app.command("import")(import_)


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


app.command("migrate")(migrate)
app.command("pending")(list_pending)
app.command("activate")(activate_space)
app.command("drop-space")(drop_space)
