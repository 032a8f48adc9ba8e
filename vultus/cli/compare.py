"""``vultus compare``: are these two pictures of the same person?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._options import (
    DEFAULT_POLICY,
    CalibrationFile,
    Embedder,
    Json,
    MinFace,
    Mirror,
    Normalise,
    ThresholdOption,
    recognizer,
)
from vultus.cli._output import box_list, out, print_json, safe, warn
from vultus.errors import NoFaceError

if TYPE_CHECKING:
    from vultus.pipeline import Recognizer
    from vultus.types import Decision, Face, Rate

__all__ = ["compare", "decision_object", "one_face", "print_decision", "rate_object"]


def compare(
    a: Annotated[Path, typer.Argument(help="A picture; its largest face counts.")],
    b: Annotated[Path, typer.Argument(help="Another picture.")],
    threshold: ThresholdOption = DEFAULT_POLICY,
    calibration: CalibrationFile = None,
    normalise: Normalise = False,
    min_face: MinFace = 40.0,
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    json: Json = False,
) -> None:
    """Compare the faces of two pictures."""
    found = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        threshold=threshold,
        calibration=calibration,
        normalise=normalise,
    )
    _ = found.threshold  # an unknown policy is told before any work
    first, first_count = one_face(found, a)
    second, second_count = one_face(found, b)
    decision = found.verify(first, second)
    if json:
        print_json(
            {
                "a": str(a),
                "b": str(b),
                **decision_object(decision),
                "faces": [first_count, second_count],
                "boxes": [box_list(first), box_list(second)],
            }
        )
        return
    for path, count in ((a, first_count), (b, second_count)):
        if count > 1:
            warn(f"{path} shows {count} faces; the largest was compared")
    print_decision(decision, "the same person", "different people")


def one_face(found: Recognizer, path: Path) -> tuple[Face, int]:
    """The largest face of a picture, and how many it shows.

    Raises:
        NoFaceError: It shows none.
    """
    from vultus.pipeline import largest_face

    faces = found.detect(path)
    if not faces:
        raise NoFaceError(f"{path} must show a face, none was found", path=str(path))
    return largest_face(faces), len(faces)


def decision_object(decision: Decision) -> dict[str, object]:
    """A decision as the JSON outputs state it."""
    limit = decision.threshold
    return {
        "similarity": round(decision.similarity, 6),
        "threshold": limit.value,
        "same": decision.same,
        "policy": limit.policy,
        "fmr": limit.fmr,
        "fnmr": limit.fnmr,
        "threshold_source": limit.source,
        "space": limit.space,
        "fmr_at_score": rate_object(decision.fmr),
    }


def rate_object(rate: Rate | None) -> dict[str, float] | None:
    """A rate with its interval as the JSON outputs state it."""
    if rate is None:
        return None
    return {"value": rate.value, "low": rate.low, "high": rate.high}


def print_decision(decision: Decision, yes: str, no: str) -> None:
    """Print a decision in words, with the threshold and where it comes from."""
    limit = decision.threshold
    verdict = f"[bold green]{safe(yes)}[/]" if decision.same else f"[bold yellow]{safe(no)}[/]"
    sign = "≥" if decision.same else "<"
    out.print(
        f"{verdict}  similarity {decision.similarity:.4f} {sign} {limit.value:.4f}", soft_wrap=True
    )
    if decision.fmr is not None:
        from vultus.decide import how_often

        out.print(f"A stranger scores this high {how_often(decision.fmr)}.", soft_wrap=True)
    if limit.fmr is not None and limit.fnmr is not None:
        out.print(
            f"[dim]At this threshold {limit.fmr:.2%} of pairs of strangers pass and "
            f"{limit.fnmr:.1%} of pairs of one person fail ({safe(limit.source)}).[/]",
            soft_wrap=True,
        )
    else:
        out.print(
            f"[dim]Threshold {safe(limit.source)}; its error rates are unknown.[/]", soft_wrap=True
        )
