"""``vultus demo``: the whole flow on the pictures that ship with vultus."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._options import Json
from vultus.cli._output import EXIT_NO, box_list, err, error_object, print_json, safe
from vultus.cli._output import out as console
from vultus.errors import OutputError, VultusError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vultus.draw import Mark
    from vultus.pipeline import Recognizer
    from vultus.types import Frame, Identification, Threshold

__all__ = ["demo"]

_GALLERY = "demo.vultus"
_SHEET = "contact-sheet.jpg"
_THUMB_PX = 400


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was said about one photo: faces from left to right."""

    path: Path
    frame: Frame | None
    found: list[Identification]
    elapsed_s: float
    error: VultusError | None

    @property
    def names(self) -> tuple[str | None, ...]:
        return tuple(face.name for face in self.found)


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the pictures and the gallery.")
    ] = Path("vultus-demo"),
    json: Json = False,
) -> None:
    """Enrol two people and find them in five photos, all of which ship with vultus."""
    from vultus.pipeline import load
    from vultus.samples import EXPECTED, photos_dir

    found = load()
    gallery = _new_gallery(out)
    started = time.perf_counter()
    people = _enroll(found, gallery)
    if not json:
        console.print(
            f"Enrolled {' and '.join(f'[bold]{safe(name)}[/]' for name in people)}, one picture "
            f"each, in {time.perf_counter() - started:.1f} s.",
            soft_wrap=True,
        )
    answers = [_identify(found, gallery, photos_dir() / name) for name in EXPECTED]
    written = [*_write_pictures(answers, out), gallery]
    if json:
        for answer in answers:
            print_json(_object(answer))
    else:
        _print_table(answers, found.threshold)
        _print_next(written)
    wrong = [answer for answer in answers if answer.names != EXPECTED[answer.path.name]]
    for answer in wrong:
        _print_wrong(answer, EXPECTED[answer.path.name])
    if wrong:
        err.print("[bold]→[/] run [bold]vultus doctor[/], which finds out why", soft_wrap=True)
        raise typer.Exit(EXIT_NO)


def _new_gallery(folder: Path) -> Path:
    """Where the demo's gallery goes; that of an earlier run is deleted."""
    path = folder / _GALLERY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in ("", "-journal", "-wal", "-shm"):  # SQLite's own companions
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be made anew: {error.strerror or error}",
            remedy="choose another folder with --out",
            path=str(path),
        ) from error
    return path


def _enroll(found: Recognizer, gallery: Path) -> list[str]:
    from vultus.samples import known_dir
    from vultus.sources import people_tree

    names = []
    for name, pictures in people_tree(known_dir()):
        found.enroll(gallery, name, list(pictures))
        names.append(name)
    return names


def _identify(found: Recognizer, gallery: Path, path: Path) -> _Answer:
    from vultus.sources import load_frame

    started = time.perf_counter()
    try:
        frame = load_frame(path)
        answers = found.identify(gallery, frame)
    except VultusError as error:
        return _Answer(path, None, [], time.perf_counter() - started, error)
    answers.sort(key=lambda answer: answer.face.box.x1)
    return _Answer(path, frame, answers, time.perf_counter() - started, None)


def _object(answer: _Answer) -> dict[str, object]:
    return {
        "image": str(answer.path),
        "faces": [
            {
                "box": box_list(face.face),
                "name": face.name,
                "similarity": round(face.decision.similarity, 6) if face.decision else None,
            }
            for face in answer.found
        ],
        "error": error_object(answer.error),
    }


def _write_pictures(answers: list[_Answer], folder: Path) -> Iterator[Path]:
    """Write every photo with its faces marked, and all of them on one sheet."""
    from vultus.draw import annotate, contact_sheet, write_image

    tiles = []
    for answer in answers:
        if answer.frame is None:
            continue
        marks = [_mark(face) for face in answer.found]
        path = folder / f"{answer.path.stem}.jpg"
        write_image(annotate(answer.frame.image, marks), path)
        yield path
        thumb = annotate(answer.frame.image, marks, max_px=_THUMB_PX)
        tiles.append((thumb, f"{answer.path.name}\n{_caption(answer)}"))
    if tiles:
        write_image(contact_sheet(tiles, thumb_px=_THUMB_PX), folder / _SHEET)
        yield folder / _SHEET


def _mark(answer: Identification) -> Mark:
    from vultus.draw import KNOWN, UNKNOWN, Mark

    color = UNKNOWN if answer.name is None else KNOWN
    note = f"{answer.decision.similarity:.3f}" if answer.decision and answer.name else ""
    return Mark(answer.face.box, answer.name or "unknown", color=color, note=note)


def _caption(answer: _Answer) -> str:
    return ", ".join(name or "unknown" for name in answer.names) or "no face"


def _print_table(answers: list[_Answer], threshold: Threshold) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for label in ("photo", "face", "answer", "similarity", "threshold", "time"):
        number = label in {"similarity", "threshold", "time"}
        table.add_column(label, justify="right" if number else "left", no_wrap=label != "answer")
    for answer in answers:
        for row in _rows(answer):
            table.add_row(*row)
    console.print(table)
    strangers = "" if threshold.fmr is None else f"{threshold.fmr:.2%} of pairs of strangers pass; "
    console.print(
        f"[dim]Threshold {threshold.value:.4f}, policy {safe(threshold.policy)}: {strangers}"
        "`vultus models show dlib-resnet-v1` tells where it was measured.[/]",
        soft_wrap=True,
    )


def _rows(answer: _Answer) -> Iterator[tuple[str, ...]]:
    photo, took = safe(answer.path.name), f"{answer.elapsed_s * 1000:.0f} ms"
    if answer.error is not None:
        yield photo, "", f"[red]{safe(answer.error.message)}[/]", "", "", took
    elif not answer.found:
        yield photo, "[dim]–[/]", "[dim]no face found[/]", "", "", took
    for face in answer.found:
        box = face.face.box
        size = f"{box.width_px:.0f}×{box.height_px:.0f} px"
        nearest = face.matches[0].name if face.matches else "nobody"
        said = (
            f"[bold green]{safe(face.name)}[/]"
            if face.name is not None
            else f"[yellow]unknown[/]\n[dim](nearest: {safe(nearest)})[/]"
        )
        similarity = limit = ""
        if face.decision:
            similarity = f"{face.decision.similarity:.4f}"
            sign = "≥" if face.decision.same else "<"
            limit = f"{sign} {face.decision.threshold.value:.4f}"
        yield photo, size, said, similarity, limit, took
        photo = took = ""


def _print_next(written: list[Path]) -> None:
    console.print("\nWritten:")
    for path in written:
        console.print(f"  {safe(path)}", soft_wrap=True)
    console.print(
        "\nNow with your own pictures:\n"
        "  [bold]vultus identify KNOWN PHOTOS[/]  KNOWN: one picture, or one folder, per person\n"
        "  [bold]vultus compare A.jpg B.jpg[/]    are these two the same person?",
        soft_wrap=True,
    )


def _print_wrong(answer: _Answer, expected: tuple[str | None, ...]) -> None:
    wanted = ", ".join(name or "unknown" for name in expected) or "no face"
    why = "" if answer.error is None else f" ({answer.error.message})"
    err.print(
        f"[bold red]wrong[/] {safe(answer.path.name)} shows {safe(wanted)}; "
        f"the answer was {safe(_caption(answer) + why)}",
        soft_wrap=True,
    )
