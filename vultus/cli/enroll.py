"""``vultus enroll``: make a person known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli._gallery import GalleryName
from vultus.cli._gallery import opened as opened_as
from vultus.cli._known import join_group
from vultus.cli._options import (
    HOPELESS,
    AllowDuplicates,
    DetectorName,
    Embedder,
    Gate,
    Json,
    KeepCrop,
    MinFace,
    Mirror,
    recognizer,
)
from vultus.cli._output import (
    end,
    error_object,
    fail,
    out,
    print_json,
    safe,
    with_progress,
)
from vultus.errors import VultusError

__all__ = ["enroll"]


def enroll(
    gallery: GalleryName,
    name: Annotated[str, typer.Argument(help="The person.")],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTO…", help="Pictures, folders or patterns.")
    ],
    largest: Annotated[
        bool, typer.Option("--largest", help="Take the largest of several faces.")
    ] = False,
    group: Annotated[
        str | None, typer.Option("--group", help="The group they join, made if absent.")
    ] = None,
    only_in: Annotated[
        str | None,
        typer.Option("--only-in", help="These faces count in this group alone; made if absent."),
    ] = None,
    allow_duplicates: AllowDuplicates = False,
    gate: Gate = "off",
    keep_crop: KeepCrop = False,
    min_face: MinFace = 40.0,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    json: Json = False,
) -> None:
    """Add pictures of one person to a gallery; each must show exactly one face."""
    from vultus.gallery.base import check_space
    from vultus.sources import expand

    found = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        detector=detector,
        gate=gate,
        keep_crop=keep_crop,
    )
    space = found.embedder.space  # a missing model is told before any work
    paths = list(expand(photos))
    failed = 0
    with (
        opened_as(gallery, create=True) as opened,
        with_progress(paths, len(paths), "enrolling", shown=len(paths) > 1 and not json) as each,
    ):
        if opened.space is not None:
            check_space(opened.space, space)
        for path in each:
            error: VultusError | None = None
            samples: list[int] = []
            try:
                sample = found.sample(name, path, largest=largest, group=only_in)
                samples = opened.add_many([sample], allow_duplicates=allow_duplicates)
            except HOPELESS:
                raise
            except VultusError as refused:
                error = refused
                failed += 1
            if json:
                print_json(
                    {
                        "image": str(path),
                        "name": name,
                        "sample": samples[0] if samples else None,
                        "error": error_object(error),
                    }
                )
            elif error:
                fail(error)
        if group is not None and failed < len(paths):
            join_group(opened, name, group)
        count = opened.person(name).samples if name in opened else 0
    if not json:
        out.print(
            f"[bold]{safe(name)}[/]: {len(paths) - failed} of {len(paths)} pictures enrolled, "
            f"{count} in the gallery {safe(gallery)}",
            soft_wrap=True,
        )
    end(failed, len(paths))
