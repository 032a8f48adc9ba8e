"""``vultus detect``: where are the faces, and what can be told of them?"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, cast

import typer

from vultus.cli._measures import Asked, Measured, Measures, Points, measured_object, readings
from vultus.cli._options import (
    AnyTurn,
    Csv,
    DetectorName,
    Done,
    Draw,
    Gate,
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

if TYPE_CHECKING:
    from vultus.pipeline import Recognizer
    from vultus.types import Face, Frame

__all__ = ["detect"]

# Those of `vultus.detect`, written out so that ``--help`` need not load it; a test compares.
Scales: TypeAlias = Literal["one", "two", "tiled"]

_CROP_MARGIN = 0.2  # of the box, on each side


@dataclass(slots=True)
class Seen:
    """What was made of one picture.

    Attributes:
        measured: One per face, in order.
        detector: Which one ``auto`` chose; ``None`` where it had no choice to make.
        crops: Where each face's crop was written.
    """

    measured: list[Measured] = field(default_factory=list)
    detector: str | None = None
    crops: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of each picture, and where pictures go."""

    asked: Asked
    auto: bool
    draw: OutputFolder | None
    crops: OutputFolder | None

    @property
    def writes(self) -> bool:
        """Whether any picture is written."""
        return self.draw is not None or self.crops is not None


def detect(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Pictures, folders or patterns.")
    ],
    min_face: MinFace = 40.0,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    any_turn: AnyTurn = False,
    detector: DetectorName = "mtcnn",
    scales: Annotated[
        Scales | None,
        typer.Option(
            "--scales",
            help="Looks at a picture: one; two, for huge faces (usual); tiled, for tiny ones.",
        ),
    ] = None,
    landmarks: Annotated[
        Points | None, typer.Option("--landmarks", help="So many points of each face, by a mesh.")
    ] = None,
    pose: Annotated[bool, typer.Option("--pose", help="Yaw, pitch and roll.")] = False,
    quality: Annotated[
        bool, typer.Option("--quality", help="Sharpness, light, size, what is covered; a score.")
    ] = False,
    attributes: Annotated[
        bool,
        typer.Option(
            "--attributes", help="Age and sex as a model reads them; takes one that you add."
        ),
    ] = False,
    gate: Gate = "off",
    draw: Draw = None,
    crops: Annotated[
        Path | None, typer.Option("--crops", help="Write each face into this folder.")
    ] = None,
    json: Json = False,
    csv: Csv = False,
    jobs: Jobs = 0,
) -> None:
    """Find faces: boxes, scores, five landmarks; more, pose, quality, age and sex if asked."""
    workers = job_count(paths, jobs)
    asked = Asked(landmarks, pose, quality, gate, attributes)
    found = recognizer(min_face=min_face, detector=detector, scales=scales, jobs=workers)
    told = Told(asked, detector == "auto", *_folders(paths, draw, crops))
    if csv:
        print_csv(_columns(asked))
    failed = count = faces = 0
    worth: dict[str, str] = {}  # of each attribute that was read
    for done in pictures(
        paths,
        Finder(found, asked, workers, largest=largest, any_turn=any_turn),
        jobs=workers,
        shown=not (json or csv),
        label="detecting",
        drawn=[folder for folder in (draw, crops) if folder],
        draw=(lambda done: _write(done, told)) if told.writes else None,
    ):
        count, faces, failed = count + 1, faces + len(done.faces), failed + bool(done.error)
        if json:
            print_json(_object(done, told))
        elif csv:
            _print_rows(done, asked)
        else:
            _print_lines(done)
            worth |= _worth(done)
    if not (json or csv) and count != 1:
        out.print(f"[dim]{count} pictures, {faces} faces, {failed} failed[/]")
    if not (json or csv):
        _print_worth(worth)
    end(failed, count)


def _folders(
    paths: list[Path], draw: Path | None, crops: Path | None
) -> tuple[OutputFolder | None, OutputFolder | None]:
    """Of equal folders one, so that a crop does not take the name of a drawing."""
    drawn = OutputFolder(draw, paths) if draw else None
    if crops and draw and os.path.realpath(crops) == os.path.realpath(draw):
        return drawn, drawn
    return drawn, OutputFolder(crops, paths) if crops else None


class Finder:
    """Finds and measures the faces of a picture; thread-safe."""

    def __init__(
        self, found: Recognizer, asked: Asked, jobs: int, *, largest: bool, any_turn: bool
    ) -> None:
        from vultus.detect import AutoDetector
        from vultus.runtime import default_threads

        self._found, self._largest, self._any_turn = found, largest, any_turn
        self._measures = Measures(asked, 1 if jobs > 1 else default_threads())
        chooser = found.detector
        self._auto = chooser if isinstance(chooser, AutoDetector) else None

    def __call__(self, frame: Frame) -> tuple[list[Face], object]:
        faces = self._found.detect(frame, largest=self._largest, any_turn=self._any_turn)
        chosen = None if self._auto is None else self._auto.pick(frame).detector.name
        return faces, Seen(self._measures.of(faces), chosen)


def _seen(done: Done) -> Seen:
    return cast("Seen", done.value) if done.value is not None else Seen()


# -- for programs -------------------------------------------------------------------------------


def _object(done: Done, told: Told) -> dict[str, object]:
    seen = _seen(done)
    faces = [
        {**face_object(face), **measured_object(told.asked, measured)}
        for face, measured in zip(done.faces, seen.measured, strict=True)
    ]
    if told.crops is not None:
        for one, path in zip(faces, seen.crops, strict=False):  # fewer where writing failed
            one["crop"] = str(path)
    return {
        "image": str(done.path),
        "width": done.frame.width_px if done.frame else None,
        "height": done.frame.height_px if done.frame else None,
        **({"detector": seen.detector} if told.auto else {}),
        "faces": faces,
        "error": error_object(done.error),
    }


def _columns(asked: Asked) -> list[str]:
    return [
        *("image", "x1", "y1", "x2", "y2", "score"),
        *(("yaw", "pitch", "roll") if asked.pose else ()),
        *(("quality",) if asked.quality else ()),
        *(("accepted",) if asked.gated else ()),
        *(("age", "sex") if asked.attributes else ()),
        "error",
    ]


def _print_rows(done: Done, asked: Asked) -> None:
    if done.error:
        empty = [""] * (len(_columns(asked)) - 2)
        print_csv([str(done.path), *empty, done.error.code])
    for face, found in zip(done.faces, _seen(done).measured, strict=True):
        row: list[object] = [str(done.path), *box_list(face), round(face.score, 6)]
        if found.pose is not None:
            angles = (found.pose.yaw_deg, found.pose.pitch_deg, found.pose.roll_deg)
            row += [round(angle, 2) for angle in angles]
        if found.quality is not None:
            row.append(round(found.quality.score, 4))
        if found.gate is not None:
            row.append("yes" if found.gate.accepted else "no")
        if found.attributes is not None:
            read = readings(found.attributes)
            row += [_value(read[name].value) if name in read else "" for name in ("age", "sex")]
        print_csv([*row, ""])


# -- for people ---------------------------------------------------------------------------------


def _print_lines(done: Done) -> None:
    if done.error:
        fail(done.error)
        return
    number, seen = len(done.faces), _seen(done)
    chosen = f"  [dim]{safe(seen.detector)}[/]" if seen.detector else ""
    out.print(
        f"[bold]{safe(done.path)}[/]  {number or 'no'} face{'' if number == 1 else 's'}{chosen}",
        soft_wrap=True,
    )
    for face, measured in zip(done.faces, seen.measured, strict=True):
        x1, y1, x2, y2 = face.box.xyxy
        out.print(
            f"  {x2 - x1:4.0f}×{y2 - y1:<4.0f} at ({x1:.0f}, {y1:.0f})  "
            f"score {face.score:.3f}{_words(measured)}",
            soft_wrap=True,
        )


def _words(found: Measured) -> str:
    """What was measured of a face, behind what every line says."""
    words = ""
    if found.dense is not None:
        words += f"  {len(found.dense.points)} points"
    if found.pose is not None:
        pose = found.pose
        words += f"  yaw {pose.yaw_deg:.0f}° pitch {pose.pitch_deg:.0f}° roll {pose.roll_deg:.0f}°"
    if found.quality is not None:
        words += f"  quality {found.quality.score:.2f}"
    for name, reading in readings(found.attributes).items() if found.attributes else ():
        words += f"  {name} {_value(reading.value)}"
        if reading.confidence is not None:
            words += f" {reading.confidence:.2f}"
    if found.gate is not None and found.gate.accepted:
        words += "  [green]accepted[/]"
    elif found.gate is not None:
        why = safe("; ".join(map(str, found.gate.reasons)))
        words += f"  [yellow]refused[/], [dim]{why}[/]"
    return words


def _value(value: str | float) -> str:
    return safe(value) if isinstance(value, str) else f"{value:.0f}"


def _worth(done: Done) -> dict[str, str]:
    """How good each attribute that was read of a picture's faces was measured to be."""
    return {
        name: f"{reading.quality} ({reading.model})"
        for found in _seen(done).measured
        if found.attributes is not None
        for name, reading in readings(found.attributes).items()
    }


def _print_worth(worth: dict[str, str]) -> None:
    for name, words in worth.items():
        out.print(f"[dim]{name}: {safe(words)}[/]", soft_wrap=True)


# -- pictures -----------------------------------------------------------------------------------


def _write(done: Done, told: Told) -> None:
    if told.draw is not None:
        _draw(done, told.draw)
    if told.crops is not None:
        _crop(done, told.crops)


def _draw(done: Done, folder: OutputFolder) -> None:
    from vultus.assess.schemes import outlines
    from vultus.draw import Mark, PointMark, annotate, draw_points, write_image

    if done.frame is None:
        return
    dense = [found.dense for found in _seen(done).measured if found.dense is not None]
    marks = [
        # Where many points are drawn, the five would only cover them.
        Mark(face.box, f"{face.score:.2f}", None if dense else face.landmarks)
        for face in done.faces
    ]
    picture = annotate(done.frame.image, marks)
    if dense:
        points = [PointMark(one.points, outlines(one.scheme)) for one in dense]
        picture = draw_points(picture, points)
    write_image(picture, folder.name_for(done.path))


def _crop(done: Done, folder: OutputFolder) -> None:
    """Each face with some of its surroundings, as it stands in the picture."""
    from vultus.draw import write_image

    if done.frame is None:
        return
    image = done.frame.image
    for face in done.faces:
        x1, y1, x2, y2 = face.box.xyxy
        aside, above = _CROP_MARGIN * (x2 - x1), _CROP_MARGIN * (y2 - y1)
        rows = slice(max(0, round(y1 - above)), max(0, round(y2 + above)))
        columns = slice(max(0, round(x1 - aside)), max(0, round(x2 + aside)))
        path = folder.name_for(done.path)
        write_image(image[rows, columns], path)
        _seen(done).crops.append(path)
