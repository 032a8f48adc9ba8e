"""``vultus verify``: is this really the person they say they are?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli._known import known_people
from vultus.cli._options import (
    DEFAULT_POLICY,
    CalibrationFile,
    DetectorName,
    Embedder,
    Gate,
    Json,
    MinFace,
    Mirror,
    Normalise,
    ThresholdOption,
    recognizer,
)
from vultus.cli._output import EXIT_NO, print_json, warn
from vultus.cli.compare import decision_object, one_face, print_decision

__all__ = ["verify"]


def verify(
    known: Annotated[
        str, typer.Argument(help="A gallery, a folder per person, or one picture per person.")
    ],
    name: Annotated[str, typer.Argument(help="Who they say they are.")],
    photo: Annotated[Path, typer.Argument(help="A picture of them; its largest face counts.")],
    threshold: ThresholdOption = DEFAULT_POLICY,
    calibration: CalibrationFile = None,
    normalise: Normalise = False,
    min_face: MinFace = 40.0,
    gate: Gate = "off",
    detector: DetectorName = "mtcnn",
    embedder: Embedder = "dlib-resnet-v1",
    mirror: Mirror = True,
    json: Json = False,
) -> None:
    """Check one picture against one known person; exit code 1 when it is not them."""
    found = recognizer(
        min_face=min_face,
        embedder=embedder,
        mirror=mirror,
        threshold=threshold,
        calibration=calibration,
        normalise=normalise,
        detector=detector,
        gate=gate,
    )
    _ = found.threshold  # an unknown policy is told before any work
    face, count = one_face(found, photo)
    with known_people(known, found) as (gallery, _):
        decision = found.verify_claim(gallery, name, face)
    if json:
        print_json(
            {
                "known": str(known),
                "name": name,
                "image": str(photo),
                **decision_object(decision),
                "faces": count,
            }
        )
    else:
        if count > 1:
            warn(f"{photo} shows {count} faces; the largest was checked")
        print_decision(decision, f"this is {name}", f"not {name}")
    if not decision.same:
        raise typer.Exit(EXIT_NO)
