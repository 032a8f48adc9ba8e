"""The commands of ``vultus gallery`` that are about embedding spaces: another model, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._faces import show_faces
from vultus.cli._gallery import (
    AfterNumber,
    GalleryName,
    Limit,
    Sure,
    confirm,
    counted,
    counting,
    done,
    opened,
    paged,
)
from vultus.cli._options import Json, Mirror, crop_key, recognizer
from vultus.cli._output import EXIT_SOME_FAILED, warn
from vultus.errors import GalleryError

if TYPE_CHECKING:
    from vultus.gallery import Gallery
    from vultus.types import EmbeddingSpace

__all__ = ["activate_space", "drop_space", "list_pending", "migrate"]

SpaceId = Annotated[str, typer.Argument(metavar="SPACE", help="Id of a space, or its beginning.")]


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

    key = crop_key()
    embedder = recognizer(embedder=to, mirror=mirror, threshold="0").embedder
    with opened(gallery) as found, counting("embedding", shown=not json) as tell:
        report = embed_anew(found, embedder, key, tell)
        switched = activate and (report.complete or allow_missing)
        if switched:
            found.activate(report.space, allow_missing=allow_missing)
        left = (
            "it is active now"
            if found.space == report.space
            else f"{found.space.id if found.space else 'nothing'} stays active"
        )
    if lacking := len(report.without_crop):
        warn(
            f"{counted(lacking, 'face keeps', 'faces keep')} no crop; `vultus gallery pending` "
            "lists what to enrol again, --allow-missing goes on without"
        )
    done(
        f"{counted(report.embedded, 'face', 'faces')} embedded for {report.space.id}; {left}",
        json=json,
        space=report.space,
        embedded=report.embedded,
        without_crop=list(report.without_crop),
        active=switched,
    )
    if activate and not switched:
        raise typer.Exit(EXIT_SOME_FAILED)


def list_pending(
    gallery: GalleryName,
    space: SpaceId,
    after: AfterNumber = 0,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List the faces that lack an embedding in a space."""
    with opened(gallery) as found:
        chosen = _space(found, space)
        lacking = paged(
            lambda a, n: found.pending(chosen, after=a, limit=n), lambda f: f.number, after, limit
        )
        show_faces(lacking, json=json, whose=True)


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


def drop_space(gallery: GalleryName, space: SpaceId, yes: Sure = False, json: Json = False) -> None:
    """Erase a space that is not active, with all its embeddings."""
    with opened(gallery) as found:
        chosen = _space(found, space)
        confirm(f"erase all embeddings of {chosen.id}", sure=yes)
        gone = found.drop_space(chosen)
    what = counted(gone, "embedding", "embeddings")
    done(f"{what} of {chosen.id} erased", json=json, space=chosen, embeddings=gone)


def _space(found: Gallery, wanted: str) -> EmbeddingSpace:
    spaces = [entry.space for entry in found.spaces()]
    fitting = [space for space in spaces if space.id == wanted] or [
        space for space in spaces if space.id.startswith(wanted)
    ]
    if len(fitting) != 1:
        raise GalleryError(
            f"{wanted!r} must name one space of this gallery, it names {len(fitting)}",
            remedy=f"the gallery keeps {', '.join(space.id for space in spaces) or 'none'}",
        )
    return fitting[0]
