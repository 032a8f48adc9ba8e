"""``vultus liveness``: is this a living face, or a picture of one?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vultus.cli._options import DetectorName, Jobs, Json, MinFace, job_count, pictures, recognizer
from vultus.cli._output import box_list, end, error_object, fail, out, print_json, safe

if TYPE_CHECKING:
    from vultus.types import Face, Frame, Liveness

__all__ = ["liveness"]

DEFAULT_POLICY = "bpcer=1e-2"  # of `vultus.assess.liveness`; a test compares
_COLOURS = {"live": "green", "attack": "red", "undecided": "yellow"}


def liveness(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH…", help="Pictures, folders or patterns.")
    ],
    threshold: Annotated[
        str, typer.Option("--threshold", help="bpcer=RATE, apcer=RATE, or a score in [0, 1].")
    ] = DEFAULT_POLICY,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Measured on your own presentations.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="NAME.npz of `vultus liveness-train`, not the installed ones."
        ),
    ] = None,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    min_face: MinFace = 40.0,
    detector: DetectorName = "mtcnn",
    json: Json = False,
    jobs: Jobs = 0,
) -> None:
    """Judge every face: live, attack, or undecided and why. Takes models that you add."""
    from vultus.assess.liveness import load_liveness_calibration
    from vultus.cli.evaluate.liveness import liveness_judge

    try:
        limit: str | float = float(threshold)
    except ValueError:
        limit = threshold
    known = None if calibration is None else load_liveness_calibration(calibration)
    judge = liveness_judge(model, limit, known)
    workers = job_count(paths, jobs)
    found = recognizer(min_face=min_face, detector=detector, jobs=workers)

    def read(frame: Frame) -> tuple[list[Face], object]:
        faces = found.detect(frame, largest=largest)
        return faces, judge.read(faces)

    failed = total = 0
    for done in pictures(paths, read, jobs=workers, shown=not json, label="judging"):
        total, failed = total + 1, failed + bool(done.error)
        verdicts = cast("list[Liveness]", done.value or [])
        judged = list(zip(done.faces, verdicts, strict=True))
        if json:
            faces = [_object(face, verdict) for face, verdict in judged]
            print_json({"image": str(done.path), "faces": faces, "error": error_object(done.error)})
        elif done.error is not None:
            fail(done.error)
        else:
            _tell(str(done.path), judged)
    if not json:
        out.print(
            f"{judge.name}; threshold {judge.threshold:.3f} ({judge.policy}), measured on: "
            f"{safe(judge.source)}",
            soft_wrap=True,
        )
    end(failed, total)


def _object(face: Face, verdict: Liveness) -> dict[str, object]:
    return {
        "box": box_list(face),
        "verdict": verdict.verdict,
        "score": round(verdict.score, 6),
        "threshold": round(verdict.threshold, 6),
        "policy": verdict.policy,
        "model": verdict.model,
        "source": verdict.source,
        "reasons": [{"code": one.code, "message": str(one)} for one in verdict.reasons],
    }


def _tell(path: str, faces: list[tuple[Face, Liveness]]) -> None:
    if not faces:
        out.print(f"{safe(path)}: no face", soft_wrap=True)
    for face, one in faces:
        box = ", ".join(f"{value:.0f}" for value in face.box.xyxy)
        why = "".join(f"; {reason}" for reason in one.reasons)
        out.print(
            f"{safe(path)}: [{_COLOURS[one.verdict]}]{one.verdict}[/] {one.score:.3f}"
            f" (face at {box}){safe(why)}",
            soft_wrap=True,
        )
