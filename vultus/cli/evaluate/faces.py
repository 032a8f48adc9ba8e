"""``vultus evaluate landmarks | pose | attributes``: how well is a face read that was found?"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._options import Json
from vultus.cli._output import print_json
from vultus.cli.evaluate._options import end_with, list_pictures, percent, show_rows
from vultus.cli.evaluate.detection import DetectorName, counted, load_detector

if TYPE_CHECKING:
    from vultus.assess.landmarks import Landmarker
    from vultus.assess.pose import PoseEstimator
    from vultus.detect import Detector
    from vultus.evaluate.protocols.attributes import AttributesResult, Band
    from vultus.evaluate.protocols.landmarks import LandmarkResult
    from vultus.evaluate.protocols.pose import PoseResult

__all__ = ["attributes", "landmarks", "pose"]

_NO_DETECTOR = "none"


class Landmarks(StrEnum):
    """Models whose points are compared."""

    MESH = "facemesh"
    ATTENTION = "facemesh-attention"
    PFLD = "pfld-68"


class Method(StrEnum):
    """What tells a pose."""

    MESH = "mesh"
    FSANET = "fsanet"
    FIVE = "five"


def landmarks(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Pictures, each with a .pts of 68 points.")
    ],
    landmarker: Annotated[
        Landmarks, typer.Option("--landmarker", help="The model that is judged.")
    ] = Landmarks.MESH,
    detector: DetectorName = "mtcnn",
    json: Json = False,
) -> None:
    """300-W: how far 68 landmarks lie from where people put them."""
    from vultus.evaluate.protocols.landmarks import evaluate_landmarks

    judged, finder = _landmarker(landmarker.value), _finder(detector)
    with counted("locating", shown=not json) as tell:
        found = evaluate_landmarks(folder, judged, finder, tell)
    _list_missing(found.missing)
    if json:
        print_json(found.to_dict())
    else:
        show_rows(str(folder), _landmark_rows(found))
    end_with(bool(found.missing))


def pose(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Pictures, each with a .mat of AFLW2000-3D.")
    ],
    method: Annotated[
        Method, typer.Option("--method", help="The face mesh, FSA-Net, or the five points.")
    ] = Method.MESH,
    detector: DetectorName = "mtcnn",
    json: Json = False,
) -> None:
    """AFLW2000-3D: how far estimated head poses are from the true ones."""
    from vultus.evaluate.protocols.pose import evaluate_pose

    if method is Method.FIVE and detector == _NO_DETECTOR:
        raise typer.BadParameter("--method five takes the points of a detector; name one")
    judged, finder = _estimator(method), _finder(detector)
    with counted("estimating", shown=not json) as tell:
        found = evaluate_pose(folder, judged, finder, tell)
    _list_missing(found.missing)
    if json:
        print_json(found.to_dict())
    else:
        show_rows(str(folder), _pose_rows(found))
    end_with(bool(found.missing))


def attributes(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Pictures named age_sex_race_date.jpg.")
    ],
    model: Annotated[
        str, typer.Option("--model", help="The model that is judged.")
    ] = "faceres-deep",
    detector: DetectorName = "mtcnn",
    json: Json = False,
) -> None:
    """UTKFace: how far ages are off, and how often the sex fits."""
    from vultus.assess.attributes import AttributeReader
    from vultus.evaluate.protocols.attributes import evaluate_attributes
    from vultus.models import Registry, Store
    from vultus.pipeline.load import card_of_kind
    from vultus.runtime import SessionOptions, default_threads

    card = card_of_kind(Registry(), model, "attributes")
    judged = AttributeReader.from_card(card, Store(), SessionOptions(threads=default_threads()))
    finder = load_detector(detector)
    with counted("reading", shown=not json) as tell:
        found = evaluate_attributes(folder, judged, finder, tell)
    _list_missing(found.missing)
    list_pictures("no label in the name", found.unlabelled)
    if json:
        print_json(found.to_dict())
    else:
        show_rows(str(folder), _attribute_rows(found))
    end_with(bool(found.missing))


# -- what is judged -----------------------------------------------------------------------------


def _finder(name: str) -> Detector | None:
    return None if name == _NO_DETECTOR else load_detector(name)


def _landmarker(name: str) -> Landmarker:
    from vultus.assess.landmarks import MeshLandmarker, Pfld68
    from vultus.models import Registry, Store
    from vultus.runtime import SessionOptions, default_threads

    kind = Pfld68 if name == Landmarks.PFLD else MeshLandmarker
    options = SessionOptions(threads=default_threads())
    return kind.from_card(Registry().get(name), Store(), options)


def _estimator(method: Method) -> PoseEstimator:
    from vultus.assess.pose import FsaNet, LandmarkPose
    from vultus.models import Registry, Store
    from vultus.runtime import SessionOptions, default_threads

    if method is Method.FIVE:
        return LandmarkPose()
    if method is Method.MESH:
        return LandmarkPose(_landmarker(Landmarks.MESH.value))
    registry = Registry()
    cards = [registry.get(name) for name in ("fsanet-1x1", "fsanet-var")]
    return FsaNet.from_cards(cards, Store(), SessionOptions(threads=default_threads()))


# -- words --------------------------------------------------------------------------------------


def _list_missing(missing: Sequence[tuple[str, str]]) -> None:
    list_pictures("no face", [f"{path}: {why}" for path, why in missing])


def _landmark_rows(found: LandmarkResult) -> list[tuple[str, str]]:
    boxes = f"boxes of {found.detector}" if found.detector else "boxes made of the annotations"
    return [
        ("landmarker", f"{found.landmarker}, {boxes}"),
        ("faces", f"{found.faces:,}, {found.found:,} found, {found.absent} without a picture"),
        ("NME", f"{percent(found.nme)} of the distance between the eyes' outer corners"),
        ("without offset", percent(found.nme_without_offset)),
        *((f"NME {name}", percent(value)) for name, value in found.nme_parts.items()),
        ("AUC, failures", f"{percent(found.auc_at_8)}, {percent(found.failures_at_8)} at 0.08"),
        ("AUC, failures", f"{percent(found.auc_at_7)}, {percent(found.failures_at_7)} at 0.07"),
    ]


def _pose_rows(found: PoseResult) -> list[tuple[str, str]]:
    boxes = f"boxes of {found.detector}" if found.detector else "boxes made of the annotations"
    rows = [
        ("estimator", f"{found.estimator}, {boxes}"),
        (
            "faces",
            f"{found.faces:,}, {found.found:,} found, {found.excluded} beyond 99°, "
            f"{found.absent} without a picture",
        ),
    ]
    if found.bias_deg is None:
        return [*rows, ("errors", "no face was found")]
    errors = (found.yaw_deg, found.pitch_deg, found.roll_deg)
    rows += [
        (f"{name} error", f"{error:.2f}°, median {bias:+.2f}°")
        for name, error, bias in zip(("yaw", "pitch", "roll"), errors, found.bias_deg, strict=True)
    ]
    return [
        *rows,
        ("mean error", f"{found.mean_deg:.2f}°"),
        ("rotation", f"{found.rotation_deg:.2f}°"),
    ]


def _attribute_rows(found: AttributesResult) -> list[tuple[str, str]]:
    return [
        ("model", f"{found.model}, boxes of {found.detector}"),
        ("pictures", f"{found.pictures:,}, {len(found.missing)} without a face"),
        ("all ages", _band(found.all_ages)),
        *((f"{band.first_age} to {band.last_age}", _band(band)) for band in found.bands),
    ]


def _band(band: Band) -> str:
    words = [f"{band.faces:,} faces"]
    if band.age is not None:
        age = band.age
        words.append(
            f"age off by {age.mean_years:.1f} years (bias {age.bias_years:+.1f}), "
            f"{percent(age.within_five, 1)} within five"
        )
    if band.sex is not None:
        words.append(f"sex right {percent(band.sex, 1)}")
    return "; ".join(words)
