"""What can be told of a face, in Baidu's words: where it is, how it is turned, how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from vultus.assess.attributes import DEFAULT_MODEL, AttributeReader
from vultus.assess.gate import check, gate_policy
from vultus.assess.landmarks import PRESENT, MeshLandmarker
from vultus.assess.pose import PoseSolver
from vultus.assess.quality import QualityAssessor
from vultus.assess.schemes import to_scheme
from vultus.errors import ModelMissingError
from vultus.models import Registry, Store
from vultus.runtime import SessionOptions
from vultus.types import Attributes, DenseLandmarks, Face, Occlusion, Pose, Quality

__all__ = [
    "Look",
    "Looker",
    "box_of",
    "quality_control_code",
    "quality_from",
    "quality_record",
    "refusal_code",
    "rotation_of",
]

Point = dict[str, float]

# Baidu's completeness is 0 or 1; ours is a part. The gate's `high` asks as much.
_WHOLE = 0.99
# Of landmark72: the eyes' centres, the tip of the nose, the lips (docs/landmarks.md).
_LEFT_EYE, _RIGHT_EYE, _NOSE, _LIPS = 21, 38, 57, slice(58, 72)

# What the gate says, in V3's codes. Several covered parts are "face is covered".
_COVERED: Mapping[str, int] = MappingProxyType(
    {
        "left-eye-covered": 223121,
        "right-eye-covered": 223122,
        "left-cheek-covered": 223123,
        "right-cheek-covered": 223124,
        "chin-covered": 223125,
        "nose-covered": 223126,
        "mouth-covered": 223127,
    }
)
_REFUSED: Mapping[str, int] = MappingProxyType(
    {
        "yaw": 223129,
        "pitch": 223129,
        "roll": 223129,
        "blurred": 223114,
        "too-dark": 223115,
        "too-bright": 223115,
        "low-contrast": 223115,
        "incomplete": 223116,
        "too-small": 223118,
        "eyes-too-close": 223118,
        "low-score": 223118,
    }
)
_SEVERAL_COVERED = 223113


@dataclass(frozen=True, slots=True)
class Look:
    """One face, looked at as far as was asked.

    Attributes:
        face: The face.
        pose: How the head is turned.
        mesh: Its points; ``None`` where the network sees no face.
        quality: ``None`` when it was not asked for.
        attributes: ``None`` when they were not asked for, or no model is installed.
    """

    face: Face
    pose: Pose
    mesh: DenseLandmarks | None = None
    quality: Quality | None = None
    attributes: Attributes | None = None

    @property
    def rotation(self) -> int:
        """Clockwise rotation of the face, -180 to 180 whole degrees."""
        return rotation_of(self.face)

    @property
    def angles(self) -> dict[str, float]:
        """Yaw, pitch and roll in degrees, with Baidu's signs.

        Their yaw is negative to the person's own left, ours to the viewer's: in three replies
        that were published with their 72 points, yaws of -15, -86 and 4 belong to faces that
        `PoseSolver` finds turned by 21, 53 and -6. Pitch and roll have the same signs.
        """
        pose = self.pose
        return {"yaw": -pose.yaw_deg, "pitch": pose.pitch_deg, "roll": pose.roll_deg}

    def landmarks(self) -> dict[str, list[Point]]:
        """`landmark`, four points, and `landmark72` where the face is seen well enough."""
        if self.mesh is not None:
            points = to_scheme(self.mesh, "vultus-72").points.astype(float)
            four = [points[_LEFT_EYE], points[_RIGHT_EYE], points[_NOSE], points[_LIPS].mean(0)]
            dense = [_point(x, y) for x, y in points.tolist()]
            return {"landmark": [_point(*p.tolist()) for p in four], "landmark72": dense}
        if self.face.landmarks is None:
            return {}
        five = self.face.landmarks.points.astype(float)
        four = [five[0], five[1], five[2], five[3:].mean(axis=0)]
        return {"landmark": [_point(*p.tolist()) for p in four]}

    def quality_object(self) -> dict[str, Any]:
        """`quality` (`qualities` in V2); empty when it was not measured."""
        return quality_record(self.quality) if self.quality is not None else {}


class Looker:
    """Looks at faces. Models are loaded when first needed; safe to call from many threads.

    Args:
        store: Where weights lie.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._store = store or Store()
        self._solver = PoseSolver()
        self._assessor = QualityAssessor()

    @cached_property
    def _landmarker(self) -> MeshLandmarker:
        options = SessionOptions(threads=1)
        return MeshLandmarker.from_card(Registry().get("facemesh"), self._store, options)

    @cached_property
    def _reader(self) -> AttributeReader | None:
        options = SessionOptions(threads=1)
        try:
            return AttributeReader.from_card(Registry().get(DEFAULT_MODEL), self._store, options)
        except ModelMissingError:  # not installed: fields it would fill stay absent
            return None

    def look(
        self, faces: Sequence[Face], *, quality: bool = False, attributes: bool = False
    ) -> list[Look]:
        """Look at faces of one picture.

        Args:
            faces: From the detector.
            quality: Measure how good they are, too.
            attributes: Read age and sex, too, where a model is installed.

        Raises:
            DegenerateLandmarksError: The landmarks of a face coincide.
        """
        found = [
            self._posed(face, mesh)
            for face, mesh in zip(faces, self._landmarker.locate(faces), strict=True)
        ]
        if quality:
            measured = self._assessor.assess(faces)
            found = [
                replace(look, quality=replace(one, pose=look.pose))
                for look, one in zip(found, measured, strict=True)
            ]
        if attributes and self._reader is not None:
            read = self._reader.read(faces)
            found = [replace(look, attributes=one) for look, one in zip(found, read, strict=True)]
        return found

    def _posed(self, face: Face, mesh: DenseLandmarks) -> Look:
        seen = mesh.presence is None or mesh.presence >= PRESENT
        if seen or face.landmarks is None:
            return Look(face, self._solver.of_landmarks(mesh), mesh if seen else None)
        return Look(face, self._solver.of_five(face.landmarks))


def box_of(face: Face) -> dict[str, float]:
    """`left`, `top`, `width` and `height` of the part inside the picture, in pixels."""
    box, frame = face.box, face.frame
    left, top = min(max(box.x1, 0.0), frame.width_px), min(max(box.y1, 0.0), frame.height_px)
    right, bottom = min(box.x2, frame.width_px), min(box.y2, frame.height_px)
    return {
        "left": round(left, 2),
        "top": round(top, 2),
        "width": round(max(right - left, 0.0), 2),
        "height": round(max(bottom - top, 0.0), 2),
    }


def rotation_of(face: Face) -> int:
    """How far the line between the eyes leans, clockwise, in whole degrees; 0 without landmarks.

    In published replies `rotation` follows that line, not the roll: 13 where the roll is 9 and the
    line leans by 12, 0 where the roll is 13 and the line leans by 3.
    """
    if face.landmarks is None:
        return 0
    across, down = (face.landmarks.points[1] - face.landmarks.points[0]).astype(float).tolist()
    return round(math.degrees(math.atan2(down, across)))


def quality_record(quality: Quality) -> dict[str, Any]:
    """A quality as Baidu states it; parts that were not measured are absent."""
    told: dict[str, Any] = {}
    if quality.occlusion is not None:
        told["occlusion"] = {name: round(v, 4) for name, v in asdict(quality.occlusion).items()}
    told["blur"] = round(quality.blur, 4)
    told["illumination"] = round(quality.illumination, 1)
    told["completeness"] = int(quality.completeness >= _WHOLE)
    return told


def quality_from(record: Mapping[str, Any]) -> Quality:
    """The quality that `dataclasses.asdict` wrote."""
    parts = dict(record)
    if parts.get("occlusion") is not None:
        parts["occlusion"] = Occlusion(**parts["occlusion"])
    if parts.get("pose") is not None:
        parts["pose"] = Pose(**parts["pose"])
    return Quality(**parts)


def quality_control_code(quality: Quality, level: str) -> int | None:
    """The code with which V3's `quality_control` refuses a face; ``None``: it does not.

    LOW, NORMAL and HIGH are the gate's presets of these names.
    """
    if level == "NONE":
        return None
    reasons = [reason.code for reason in check(quality, gate_policy(level.lower())).reasons]
    return refusal_code(reasons) if reasons else None


def refusal_code(reasons: Sequence[str]) -> int:
    """The one code that stands for the gate's reasons: covered parts first, then the first."""
    covered = [_COVERED[reason] for reason in reasons if reason in _COVERED]
    if covered:
        return covered[0] if len(covered) == 1 else _SEVERAL_COVERED
    return next((_REFUSED[reason] for reason in reasons if reason in _REFUSED), 223118)


def _point(x: float, y: float) -> Point:
    return {"x": round(x, 2), "y": round(y, 2)}
