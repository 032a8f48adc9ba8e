"""``vultus video``: who is in this video, and when?"""

from __future__ import annotations

import json as json_text
import math
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from vultus.cli._known import Known, known_people
from vultus.cli._options import (
    DEFAULT_POLICY,
    CalibrationFile,
    DetectorName,
    Embedder,
    Groups,
    Json,
    MinFace,
    Mirror,
    ThresholdOption,
    recognizer,
)
from vultus.cli._output import (
    EXIT_SOME_FAILED,
    out,
    print_json,
    safe,
    warn,
    with_progress,
)
from vultus.errors import InputError, OutputError

if TYPE_CHECKING:
    from vultus.gallery import Gallery
    from vultus.pipeline import Recognizer
    from vultus.sources.frames import FrameSource
    from vultus.watch import Appearances, Person

__all__ = ["video"]

_CLUSTER = "cluster"

Out: TypeAlias = Annotated[Path, typer.Option("--out", help="Folder for what is found; made.")]
Every: TypeAlias = Annotated[
    int,
    typer.Option("--every", min=1, help="Look for faces in every so many frames; follow between."),
]
Annotated_: TypeAlias = Annotated[
    bool, typer.Option("--annotate", help="Also write the video with the names drawn in.")
]
MaxSide: TypeAlias = Annotated[
    int | None,
    typer.Option("--max-side", min=32, help="Shrink frames to this longer side; needed above 4K."),
]
Fps: TypeAlias = Annotated[
    float | None,
    typer.Option("--fps", help="Frames a second, where the file does not say. [pictures: 25]"),
]


def video(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[cluster] FILE", help="A video, or pictures such as img_%02d.jpg."),
    ],
    out_: Out,
    gallery: Annotated[
        str | None, typer.Option("--gallery", help="The people to look for: a gallery.")
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option("--known", help="Or a folder per person, or one picture per person."),
    ] = None,
    every: Every = 3,
    annotate: Annotated_ = False,
    threshold: ThresholdOption = DEFAULT_POLICY,
    calibration: CalibrationFile = None,
    min_face: MinFace = 40.0,
    group: Groups = None,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    max_side: MaxSide = None,
    fps: Fps = None,
    json: Json = False,
) -> None:
    """Who is in a video, and when? One decision for each face that is followed.

    Writes appearances.json and people.jpg into --out, with --annotate also annotated.mp4. With
    the word cluster before FILE nobody need be known: the people of the video get numbers.
    """
    path = _file_of(words, known=gallery is not None or known is not None)
    if gallery is not None and known is not None:
        raise InputError(
            "the people to look for are named twice", remedy="give either --gallery or --known"
        )
    found = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        threshold=threshold,
        calibration=calibration,
        detector=detector,
    )
    with ExitStack() as stack:
        source = stack.enter_context(_open(path, max_side, fps))
        people = stack.enter_context(_people(gallery or known, found, shown=not json))
        seen = _watch(source, found, people.gallery, every=every, groups=group, shown=not json)
        _write(seen, source, out_, every=every, annotate=annotate, shown=not json)
    _tell(seen, out_, json=json)
    if seen.missing is not None or people.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _file_of(words: list[str], *, known: bool) -> str:
    """The file that the words name; people are named unless it is to be clustered."""
    clustered = len(words) == 2 and words[0] == _CLUSTER
    if len(words) != 1 and not clustered:
        raise InputError(
            f"one video at a time, got {len(words)} words", remedy="vultus video [cluster] FILE"
        )
    if clustered == known:
        raise InputError(
            "to cluster a video nobody is named; else somebody is",
            remedy="give --gallery GALLERY or --known FOLDER, or the word cluster before the file",
        )
    return words[-1]


@contextmanager
def _people(source: str | Path | None, found: Recognizer, *, shown: bool) -> Iterator[Known]:
    """Who is known; nobody at all where no source is given."""
    from vultus.gallery import MemoryGallery

    if source is None:
        with MemoryGallery() as nobody:
            yield Known(nobody, 0)
    else:
        with known_people(source, found, shown=shown) as people:
            yield people


def _open(path: str, max_side: int | None, fps: float | None) -> FrameSource:
    from vultus.sources.frames import VideoLimits
    from vultus.sources.video import open_video

    return open_video(path, limits=VideoLimits(max_side_px=max_side), fps=fps)


def _watch(
    source: FrameSource,
    found: Recognizer,
    gallery: Gallery,
    *,
    every: int,
    groups: list[str] | None,
    shown: bool,
) -> Appearances:
    from vultus.watch import watch_video

    total = None if source.info.frames is None else math.ceil(source.info.frames / every)
    with with_progress(source.read(every), total, "watching", shown=shown) as frames:
        return watch_video(source, found, gallery, every=every, groups=groups, frames=frames)


def _write(
    seen: Appearances,
    source: FrameSource,
    folder: Path,
    *,
    every: int,
    annotate: bool,
    shown: bool,
) -> None:
    from vultus.draw import write_image
    from vultus.watch.video import draw_video, sheet_of

    _write_json(seen.to_object(), folder / "appearances.json")
    sheet = sheet_of(seen)
    if sheet is not None:
        write_image(sheet, folder / "people.jpg")
    if annotate:
        with with_progress(source.read(), seen.frames, "drawing", shown=shown) as frames:
            draw_video(frames, seen, folder / "annotated.mp4", every=every)


def _write_json(value: object, path: Path) -> None:
    """In one step: all of the file is there, or what was there before."""
    part = path.with_name(f".vultus-{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(
                json_text.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
            )
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


def _tell(seen: Appearances, folder: Path, *, json: bool) -> None:
    if seen.missing is not None:
        warn(seen.missing.reason)
    if json:
        print_json(seen.to_object())
        return
    unknown = 0
    for person in seen.people:
        unknown += person.name is None
        who = (
            f"[yellow]unknown {unknown}[/]"
            if person.name is None
            else f"[bold green]{safe(person.name)}[/]"
        )
        times = ", ".join(f"{s.start_s:.1f}–{s.end_s:.1f} s" for s in person.stretches[:4])
        more = len(person.stretches) - 4
        times += f" and {more} more" if more > 0 else ""
        out.print(f"{who}  {person.seconds:.1f} s [dim]({times}{_why(person)})[/]", soft_wrap=True)
    out.print(
        f"[dim]{seen.frames} frames, {seen.duration_s:.1f} s at {seen.fps:.4g} a second: "
        f"{sum(p.name is not None for p in seen.people)} known, {unknown} unknown; looked for "
        f"faces in {seen.detected} frames, embedded {seen.embedded}. Written to {safe(folder)}.[/]",
        soft_wrap=True,
    )


def _why(person: Person) -> str:
    from vultus.decide import how_often

    if person.name is None:
        return ""
    decisions = [answer.decision for answer in person.answers if answer.decision is not None]
    if not decisions:
        return ""
    best = max(decisions, key=lambda decision: decision.similarity)
    often = "" if best.fmr is None else f"; a stranger's picture scores this {how_often(best.fmr)}"
    return f"; {best.similarity:.3f}{often}"
