"""``vultus calibrate``: how often strangers reach a similarity, on your own pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._embedded import EmbeddedPeople, embedded_people
from vultus.cli._gallery import opened
from vultus.cli._options import Embedder, Jobs, Json, MinFace, Mirror, signing_key
from vultus.cli._output import EXIT_SOME_FAILED, out, print_json, safe
from vultus.errors import InsufficientDataError, OutputError

if TYPE_CHECKING:
    from vultus.decide import Calibration

__all__ = ["calibrate"]

_RATES = (1e-1, 1e-2, 5e-3, 1e-3, 1e-4, 1e-5)


def calibrate(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A folder with a folder per person, or a gallery."),
    ],
    target: Annotated[
        Path, typer.Option("--out", "-o", help="Where the calibration is written, such as a.json.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(help="Only the pictures that this list of pairs (LFW's format) names."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="What the pictures are, for whoever reads a threshold.")
    ] = None,
    face: Annotated[
        str, typer.Option(help="Which of several faces counts: largest or center.")
    ] = "largest",
    quality: Annotated[
        bool, typer.Option("--quality/--no-quality", help="Measure what quality costs as well.")
    ] = True,
    rounds: Annotated[int, typer.Option(min=20, help="Rounds of the bootstrap.")] = 1000,
    min_face: MinFace = 40.0,
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Measure thresholds on your own people: every picture is compared with every other.

    With VULTUS_SIGNING_KEY set the file is signed with it, and read only where it is set too.
    """
    from vultus.evaluate.calibrate import calibrate as measure
    from vultus.evaluate.embeddings import EmbedOptions

    _check_face(face)
    if os.path.isdir(source):  # noqa: PTH112 - Path.is_dir raises for some names
        how = EmbedOptions(
            model=embedder,
            min_face_px=min_face,
            mirror=mirror,
            face="center" if face == "center" else "largest",
        )
        named = _pictures(Path(source), pairs)
        found = embedded_people(named, how, shown=not json, jobs=jobs, quality=quality)
    elif pairs is not None:
        raise typer.BadParameter("--pairs names pictures of a folder; a gallery keeps none")
    else:
        found = _of_gallery(source)
    text = data or f"{source}: every pair of {len(found.people):,} pictures"
    made = measure(
        found.vectors, found.people, found.space, text, quality=found.quality, rounds=rounds
    )
    try:
        target.write_text(made.to_json(signing_key()), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error}", path=str(target)) from error
    _tell(made, target, found.failed, json=json)
    if found.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _check_face(face: str) -> None:
    if face not in ("largest", "center"):
        raise typer.BadParameter(f"--face must be largest or center, got {face!r}")


def _pictures(folder: Path, pairs: Path | None) -> list[tuple[str, Path]]:
    from vultus.sources import people_tree

    named = [(person, path) for person, paths in people_tree(folder) for path in paths]
    if pairs is None:
        return named
    wanted = _listed(pairs, folder)
    return [(person, path) for person, path in named if path in wanted]


def _listed(pairs: Path, folder: Path) -> set[Path]:
    """The pictures that a list of pairs names."""
    from vultus.evaluate.protocols._pairs import PictureTree, read_pairs

    tree = PictureTree(folder)
    return {tree.path(picture) for picture in read_pairs(pairs).pictures}


def _of_gallery(name: str) -> EmbeddedPeople:
    from vultus.evaluate.enrolled import enrolled_faces

    with opened(name) as gallery:
        faces = enrolled_faces(gallery)
    made = faces.embedded
    return EmbeddedPeople(
        made.vectors, list(faces.people), list(faces.names), made.space, 0, faces.quality
    )


def _tell(made: Calibration, path: Path, failed: int, *, json: bool) -> None:
    if json:
        counts = {
            name: getattr(made, name) for name in ("subjects", "images", "genuine", "impostor")
        }
        print_json(
            {
                "calibration": str(path),
                "space": made.space.id,
                **counts,
                "failed": failed,
                "thresholds": [_threshold_object(made, rate) for rate in _RATES],
            }
        )
        return
    out.print(
        f"[bold]{safe(path)}[/]: {made.subjects:,} people, {made.images:,} pictures, "
        f"{made.genuine:,} genuine and {made.impostor:,} impostor pairs",
        soft_wrap=True,
    )
    for rate in _RATES:
        try:
            found = made.threshold(rate)
        except InsufficientDataError as error:
            out.print(f"  fmr={rate:g}: insufficient data; {safe(error.message)}", soft_wrap=True)
            continue
        bounds = made.fmr_at(found.value)
        out.print(
            f"  fmr={rate:g}: from {found.value:.4f} on (95 %: {bounds.low:.2g}–{bounds.high:.2g}),"
            f" {found.fnmr or 0.0:.2%} of genuine pairs missed",
            soft_wrap=True,
        )


def _threshold_object(made: Calibration, rate: float) -> dict[str, object]:
    try:
        found = made.threshold(rate)
    except InsufficientDataError as error:
        return {"fmr": rate, "threshold": None, "reason": error.message}
    bounds = made.fmr_at(found.value)
    return {
        "fmr": rate,
        "threshold": round(found.value, 6),
        "fmr_interval": [bounds.low, bounds.high],
        "fnmr": found.fnmr,
    }
