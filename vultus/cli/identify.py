"""``vultus identify``: whose faces are in these pictures?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vultus.cli._known import known_people
from vultus.cli._options import (
    DEFAULT_POLICY,
    AnyTurn,
    CalibrationFile,
    Csv,
    DetectorName,
    Done,
    Draw,
    Embedder,
    Gate,
    Groups,
    Jobs,
    Json,
    MinFace,
    Mirror,
    Normalise,
    ThresholdOption,
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
    gate_object,
    out,
    print_csv,
    print_json,
    safe,
)
from vultus.cli.compare import rate_object

if TYPE_CHECKING:
    from vultus.types import Face, Frame, Identification

__all__ = ["identify"]


def identify(
    known: Annotated[
        str, typer.Argument(help="A gallery, a folder per person, or one picture per person.")
    ],
    photos: Annotated[
        list[Path], typer.Argument(metavar="PHOTOS…", help="Pictures, folders or patterns.")
    ],
    threshold: ThresholdOption = DEFAULT_POLICY,
    calibration: CalibrationFile = None,
    normalise: Normalise = False,
    min_face: MinFace = 40.0,
    any_turn: AnyTurn = False,
    gate: Gate = "off",
    group: Groups = None,
    once: Annotated[bool, typer.Option("--once", help="Nobody is on one picture twice.")] = False,
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    draw: Draw = None,
    json: Json = False,
    csv: Csv = False,
    jobs: Jobs = 0,
) -> None:
    """Put names on the faces of photos; strangers stay without one."""
    workers = job_count([*photos, Path(known)], jobs)
    found = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        threshold=threshold,
        calibration=calibration,
        normalise=normalise,
        detector=detector,
        gate=gate,
        jobs=workers,
    )
    limit = found.threshold
    folder = OutputFolder(draw, photos) if draw else None
    quiet = json or csv
    seen: Counter[str] = Counter()
    failed = count = strangers = refused = 0
    with known_people(known, found, jobs=workers, shown=not quiet) as (gallery, unusable):

        def work(frame: Frame) -> tuple[list[Face], object]:
            faces = found.detect(frame, any_turn=any_turn)
            return faces, found.identify(gallery, faces, groups=group, once=once)

        if csv:
            print_csv(["image", "name", "similarity", "x1", "y1", "x2", "y2", "error"])
        each = pictures(
            photos,
            work,
            jobs=workers,
            shown=not quiet,
            label="identifying",
            drawn=draw,
            draw=(lambda done: _draw(done, _answers(done), folder)) if folder else None,
        )
        for done in each:
            answers = _answers(done)
            count, failed = count + 1, failed + bool(done.error)
            seen.update({a.name for a in answers if a.name})
            strangers += sum(a.name is None for a in answers)
            refused += sum(map(_refused, answers))
            if json:
                print_json(_object(done, answers))
            elif csv:
                _print_rows(done, answers)
            else:
                _print_lines(done, answers)
    if not quiet:
        rates = (
            "given by you, its error rates are unknown"
            if limit.fmr is None
            else f"{limit.fmr:.2%} of pairs of strangers pass ({safe(limit.policy)})"
        )
        ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
        people = ", ".join(f"{safe(name)} in {times}" for name, times in ranked) or "nobody known"
        out.print(
            f"[dim]{count} pictures: {people}; {strangers - refused} unknown faces, "
            f"{f'{refused} refused, ' if refused else ''}{failed} failed"
            f"{f', {unusable} of the known left out' if unusable else ''}. "
            f"Threshold {limit.value:.4f}: {rates}.[/]",
            soft_wrap=True,
        )
    end(failed, count, others=unusable)


def _answers(done: Done) -> list[Identification]:
    return cast("list[Identification]", done.value or [])


def _similarity(answer: Identification) -> float | None:
    return round(answer.decision.similarity, 6) if answer.decision else None


def _margin(answer: Identification) -> float | None:
    margin = answer.decision.margin if answer.decision else None
    return None if margin is None else round(margin, 6)


def _object(done: Done, answers: list[Identification]) -> dict[str, object]:
    return {
        "image": str(done.path),
        "width": done.frame.width_px if done.frame else None,
        "height": done.frame.height_px if done.frame else None,
        "faces": [
            {
                **face_object(answer.face),
                "name": answer.name,
                "similarity": _similarity(answer),
                "threshold": answer.decision.threshold.value if answer.decision else None,
                "fmr": rate_object(answer.decision.fmr) if answer.decision else None,
                "margin": _margin(answer),
                "gate": gate_object(answer.gate),
                "nearest": [
                    {"name": m.name, "similarity": round(m.similarity, 6)} for m in answer.matches
                ],
            }
            for answer in answers
        ],
        "error": error_object(done.error),
    }


def _print_rows(done: Done, answers: list[Identification]) -> None:
    if done.error:
        print_csv([str(done.path), "", "", "", "", "", "", done.error.code])
    for answer in answers:
        row = [answer.name or "", _similarity(answer), *box_list(answer.face), ""]
        print_csv([str(done.path), *row])


def _print_lines(done: Done, answers: list[Identification]) -> None:
    if done.error:
        fail(done.error)
        return
    said = [_said(answer) for answer in answers] or ["[dim]no face[/]"]
    if len(said) == 1:
        out.print(f"[bold]{safe(done.path)}[/]  {said[0]}", soft_wrap=True)
        return
    out.print(f"[bold]{safe(done.path)}[/]", soft_wrap=True)
    for line in said:
        out.print(f"  {line}", soft_wrap=True)


def _said(answer: Identification) -> str:
    """One face in words: who, how similar, and how often a stranger looks as similar."""
    from vultus.decide import in_words

    if answer.gate is not None and _refused(answer):
        return f"[yellow]refused[/], [dim]{safe('; '.join(map(str, answer.gate.reasons)))}[/]"
    if answer.name is None or answer.decision is None:
        return "[yellow]unknown[/]"
    who, _, rest = in_words(answer.decision, safe(answer.name)).partition(", ")
    return f"[bold green]{who}[/], [dim]{rest}[/]"


def _refused(answer: Identification) -> bool:
    return answer.gate is not None and not answer.gate.accepted


def _draw(done: Done, answers: list[Identification], folder: OutputFolder) -> None:
    from vultus.draw import KNOWN, UNKNOWN, Mark, annotate, write_image

    if done.frame is None:
        return
    marks = [
        Mark(
            answer.face.box,
            answer.name or ("refused" if _refused(answer) else "unknown"),
            color=KNOWN if answer.name else UNKNOWN,
            note=f"{answer.decision.similarity:.3f}" if answer.decision else "",
        )
        for answer in answers
    ]
    write_image(annotate(done.frame.image, marks), folder.name_for(done.path))
