"""``vultus lookalike``: who in a folder of known people does somebody look like?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._options import Jobs, Json, MinFace
from vultus.cli._output import EXIT_SOME_FAILED, face_object, out, print_json, safe, warn
from vultus.cli.compare import rate_object

if TYPE_CHECKING:
    from vultus.lookalike import Lookalike, Lookalikes

__all__ = ["lookalike"]


def lookalike(
    photo: Annotated[Path, typer.Argument(help="A picture; its largest face counts.")],
    among: Annotated[
        Path,
        typer.Option("--among", help="A folder per person, or one picture per person."),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many people.")] = 5,
    detector: Annotated[
        str | None,
        typer.Option(help="Model that finds faces; the best RetinaFace or SCRFD here without it."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model that tells faces apart; the best ArcFace here without it."),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Add each face to its mirror image: surer, slower.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the faces side by side: a .jpg or .png."),
    ] = None,
    min_face: MinFace = 40.0,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Keep the folder's embeddings.")
    ] = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Rank the people of a folder by how much they look like the person of a photo.

    The folder's embeddings are kept by the pictures' contents: a second question takes no time.
    """
    from vultus.cli._embedded import progress_bar
    from vultus.lookalike import draw_lookalikes, find_lookalikes
    from vultus.runtime import use_one_heap

    use_one_heap()
    with progress_bar("embedding", shown=not json) as tell:
        found = find_lookalikes(
            photo,
            among,
            top=top,
            detector=detector,
            model=model,
            flip=flip,
            min_face_px=min_face,
            use_cache=cache,
            jobs=jobs or None,
            progress=tell,
        )
    if picture is not None:
        from vultus.draw import write_image

        write_image(draw_lookalikes(found), picture)
    if json:
        print_json(_object(found, picture))
    else:
        _print(found, picture)
    if any(left.code != "same-picture" for left in found.left_out):
        raise typer.Exit(EXIT_SOME_FAILED)


def _print(found: Lookalikes, picture: Path | None) -> None:
    from vultus.decide import how_often

    for left in found.left_out:
        warn(f"{left.message} [{left.code}]; it is left out")
    if found.faces > 1:
        warn(f"{found.photo} shows {found.faces} faces; the largest counts")
    out.print(f"[bold]{safe(found.photo)}[/] looks like", soft_wrap=True)
    for rank, match in enumerate(found.matches, 1):
        words = (
            "how often strangers score this high was not measured"
            if match.fmr is None
            else f"a stranger scores this high {how_often(match.fmr)}"
        )
        color = "bold green" if match.same else "bold"
        out.print(
            f"{rank:>3}  {match.similarity:.4f}  [{color}]{safe(match.name)}[/], [dim]{words}[/]",
            soft_wrap=True,
        )
    out.print(
        f"[dim]{found.people} people, {found.pictures} pictures; faces found by "
        f"{safe(found.detector)}, embedded by {safe(found.space.model)}"
        f"{' with mirror images' if found.flip else ''}.[/]",
        soft_wrap=True,
    )
    if picture is not None:
        out.print(f"[dim]{safe(picture)} shows them side by side.[/]", soft_wrap=True)


def _object(found: Lookalikes, picture: Path | None) -> dict[str, object]:
    return {
        "photo": str(found.photo),
        "face": face_object(found.face),
        "faces": found.faces,
        "matches": [_match(rank, match) for rank, match in enumerate(found.matches, 1)],
        "people": found.people,
        "pictures": found.pictures,
        "left_out": [
            {"image": str(left.path), "code": left.code, "message": left.message}
            for left in found.left_out
        ],
        "detector": found.detector,
        "space": found.space.id,
        "flip": found.flip,
        "cached": found.cached,
        "picture": None if picture is None else str(picture),
    }


def _match(rank: int, match: Lookalike) -> dict[str, object]:
    return {
        "rank": rank,
        "name": match.name,
        "similarity": round(match.similarity, 6),
        "image": str(match.path),
        "pictures": match.pictures,
        "same": match.same,
        "fmr": rate_object(match.fmr),
    }
