"""``vultus detect``: where are the faces?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli._options import (
    AnyTurn,
    Csv,
    Done,
    Draw,
    Jobs,
    Json,
    MinFace,
    job_count,
    pictures,
    recognizer,
)
from vultus.cli._output import (
    OutputFolder,
    box_list,
    end,
    error_object,
    face_object,
    fail,
    out,
    print_csv,
    print_json,
    safe,
)

__all__ = ["detect"]


def detect(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Pictures, folders or patterns.")
    ],
    min_face: MinFace = 40.0,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    any_turn: AnyTurn = False,
    draw: Draw = None,
    json: Json = False,
    csv: Csv = False,
    jobs: Jobs = 0,
) -> None:
    """Find faces: boxes, scores and five landmarks."""
    workers = job_count(paths, jobs)
    found = recognizer(min_face=min_face, jobs=workers)
    folder = OutputFolder(draw, paths) if draw else None
    if csv:
        print_csv(["image", "x1", "y1", "x2", "y2", "score", "error"])
    failed = count = faces = 0
    for done in pictures(
        paths,
        lambda frame: (found.detect(frame, largest=largest, any_turn=any_turn), None),
        jobs=workers,
        shown=not (json or csv),
        label="detecting",
        drawn=draw,
        draw=(lambda done: _draw(done, folder)) if folder else None,
    ):
        count, faces, failed = count + 1, faces + len(done.faces), failed + bool(done.error)
        if json:
            print_json(_object(done))
        elif csv:
            _print_rows(done)
        else:
            _print_lines(done)
    if not (json or csv) and count != 1:
        out.print(f"[dim]{count} pictures, {faces} faces, {failed} failed[/]")
    end(failed, count)


def _object(done: Done) -> dict[str, object]:
    return {
        "image": str(done.path),
        "width": done.frame.width_px if done.frame else None,
        "height": done.frame.height_px if done.frame else None,
        "faces": [face_object(face) for face in done.faces],
        "error": error_object(done.error),
    }


def _print_rows(done: Done) -> None:
    if done.error:
        print_csv([str(done.path), "", "", "", "", "", done.error.code])
    for face in done.faces:
        print_csv([str(done.path), *box_list(face), round(face.score, 6), ""])


def _print_lines(done: Done) -> None:
    if done.error:
        fail(done.error)
        return
    number = len(done.faces)
    out.print(
        f"[bold]{safe(done.path)}[/]  {number or 'no'} face{'' if number == 1 else 's'}",
        soft_wrap=True,
    )
    for face in done.faces:
        x1, y1, x2, y2 = face.box.xyxy
        out.print(
            f"  {x2 - x1:4.0f}×{y2 - y1:<4.0f} at ({x1:.0f}, {y1:.0f})  score {face.score:.3f}",
            soft_wrap=True,
        )


def _draw(done: Done, folder: OutputFolder) -> None:
    from vultus.draw import Mark, annotate, write_image

    if done.frame is None:
        return
    marks = [Mark(face.box, f"{face.score:.2f}", face.landmarks) for face in done.faces]
    write_image(annotate(done.frame.image, marks), folder.name_for(done.path))
