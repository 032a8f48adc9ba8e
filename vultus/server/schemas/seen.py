"""What is told of faces in a picture: where they are, how good, whose, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Self

from pydantic import Field

from vultus.decide import in_words
from vultus.server.schemas.common import Model
from vultus.types import (
    Attributes,
    Decision,
    DenseLandmarks,
    Face,
    Frame,
    GateResult,
    Match,
    Pose,
    Quality,
    Rate,
    Reading,
    Threshold,
)

__all__ = [
    "AttributesOut",
    "DecisionOut",
    "DenseOut",
    "GateOut",
    "ImageSize",
    "MatchOut",
    "PoseOut",
    "QualityOut",
    "RateOut",
    "SeenFace",
    "ThresholdOut",
    "size_of",
]

Point = tuple[float, float]


class ImageSize(Model):
    """A picture's size, upright."""

    width: int = Field(description="In pixels.", examples=[640])
    height: int = Field(description="In pixels.", examples=[480])


def size_of(frame: Frame) -> ImageSize:
    """The size of a picture."""
    return ImageSize(width=frame.width_px, height=frame.height_px)


class DenseOut(Model):
    """Many points of a face."""

    scheme: str = Field(
        description="What each point means, see docs/landmarks.md.", examples=["ibug-68"]
    )
    points: list[Point] = Field(description="x and y in pixels.")
    presence: float | None = Field(
        description="The model's belief in [0, 1] that it looks at a face; null: it has none."
    )

    @classmethod
    def of(cls, dense: DenseLandmarks) -> DenseOut:
        """The points to a hundredth of a pixel."""
        presence = None if dense.presence is None else round(dense.presence, 4)
        return cls(scheme=dense.scheme, points=_points(dense.points.tolist()), presence=presence)


class PoseOut(Model):
    """How the head is turned, in degrees, as the viewer sees it."""

    yaw: float = Field(description="-90 (to the viewer's left) to 90 (right).", examples=[-3.1])
    pitch: float = Field(description="-90 (up) to 90 (down).", examples=[4.2])
    roll: float = Field(description="-180 to 180, positive leaning clockwise.", examples=[1.7])
    method: str = Field(description="What measured it.", examples=["mesh"])

    @classmethod
    def of(cls, pose: Pose) -> PoseOut:
        """The angles to a hundredth of a degree."""
        return cls(
            yaw=round(pose.yaw_deg, 2),
            pitch=round(pose.pitch_deg, 2),
            roll=round(pose.roll_deg, 2),
            method=pose.method,
        )


class QualityOut(Model):
    """How good the picture of this face is; docs/quality.md says how each is measured."""

    score: float = Field(
        description="How well recognition can be expected to work, 0 to 1.", examples=[0.93]
    )
    blur: float = Field(description="0 sharp to 1 blurred.")
    illumination: float = Field(description="Mean luma of the face, 0 to 255.")
    contrast: float = Field(description="Spread of the luma, 0 to 1.")
    face_px: float = Field(description="Shorter side of the box, in pixels.")
    inter_eye_px: float | None = Field(description="Distance between the eyes, in pixels.")
    completeness: float = Field(description="Part of the face inside the picture, 0 to 1.")
    occlusion: dict[str, float] | None = Field(
        description="How much of each part is covered, 0 to 1. Left is the viewer's.",
        examples=[{"left_eye": 0.02, "mouth": 0.1}],
    )

    @classmethod
    def of(cls, quality: Quality) -> QualityOut:
        """Every measure but the pose, which has a place of its own."""
        told = {name: value for name, value in asdict(quality).items() if name in cls.model_fields}
        return cls(**{name: _rounded(value) for name, value in told.items()})


class RefusalOut(Model):
    """One reason why the gate did not let a face through."""

    code: str = Field(description="Stable, for programs.", examples=["too-small"])
    message: str = Field(description="What was measured and the limit.")
    remedy: str = Field(description="What the person in front of the camera can do.")
    value: float = Field(description="What was measured.")
    limit: float = Field(description="What it was held against.")


class GateOut(Model):
    """What the gate says of a face."""

    policy: str = Field(examples=["normal"])
    accepted: bool
    reasons: list[RefusalOut] = Field(description="Why not; empty when accepted.")

    @classmethod
    def of(cls, gate: GateResult) -> GateOut:
        """The gate's word with its reasons."""
        reasons = [
            RefusalOut(
                code=reason.code,
                message=reason.message,
                remedy=reason.remedy,
                value=round(reason.value, 4),
                limit=reason.limit,
            )
            for reason in gate.reasons
        ]
        return cls(policy=gate.policy, accepted=gate.accepted, reasons=reasons)


class ReadingOut(Model):
    """One attribute as a model reads it: how somebody looks to it, no fact about them."""

    value: str | float = Field(description="A word, or years.", examples=["female"])
    confidence: float | None = Field(description="The model's belief in a word, 0 to 1.")
    quality: str = Field(description="How good such readings were measured to be.")
    model: str = Field(examples=["faceres-deep"])


class AttributesOut(Model):
    """What an installed model reads from a face."""

    age: ReadingOut | None = None
    sex: ReadingOut | None = None

    @classmethod
    def of(cls, found: Attributes) -> AttributesOut:
        """Those readings there are."""
        return cls(age=_reading(found.age), sex=_reading(found.sex))


class SeenFace(Model):
    """One face in a picture."""

    box: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2 in pixels of the upright picture, origin top left.",
        examples=[[218.4, 241.0, 347.2, 411.7]],
    )
    score: float = Field(description="The detector's own, 0 to 1.", examples=[0.9998])
    landmarks: list[Point] | None = Field(
        description="Left eye, right eye, nose, left and right mouth corner, as the viewer sees"
        " them; x and y in pixels."
    )
    dense: DenseOut | None = Field(default=None, description="Where `landmarks` asked for more.")
    pose: PoseOut | None = Field(default=None, description="Where `pose` asked for it.")
    quality: QualityOut | None = Field(default=None, description="Where asked for, or for a gate.")
    gate: GateOut | None = Field(default=None, description="What the `gate` asked for says.")
    attributes: AttributesOut | None = Field(
        default=None, description="Where asked for and a model for them is installed."
    )

    liveness: float | None = Field(
        default=None,
        description="Where asked for and a model for it is installed: 0 a picture of a face,"
        " 1 alive.",
    )

    @classmethod
    def of(cls, face: Face, **measured: Any) -> Self:
        """A face with what was measured of it."""
        return cls(
            box=_box(face),
            score=round(face.score, 6),
            landmarks=None if face.landmarks is None else _points(face.points.tolist()),
            **measured,
        )


class RateOut(Model):
    """A measured rate and how sure the measurement is."""

    value: float = Field(examples=[2.1e-05])
    low: float = Field(description="Lower end of the interval; 0: only a bound is known.")
    high: float = Field(description="Upper end of the interval.")
    confidence: float = Field(examples=[0.95])

    @classmethod
    def of(cls, rate: Rate) -> RateOut:
        """The rate as it is."""
        return cls(value=rate.value, low=rate.low, high=rate.high, confidence=rate.confidence)


class ThresholdOut(Model):
    """What similarities are held against, and where that number comes from."""

    value: float = Field(description="Cosine.", examples=[0.9181])
    policy: str = Field(description="How it was chosen.", examples=["fmr=5e-3"])
    source: str = Field(description="What it was measured on.")
    fmr: float | None = Field(description="False match rate measured there.")
    fnmr: float | None = Field(description="False non-match rate measured there.")
    space: str = Field(description="The embedding space it belongs to.")

    @classmethod
    def of(cls, threshold: Threshold) -> ThresholdOut:
        """The threshold as it is."""
        return cls(**asdict(threshold))


class DecisionOut(Model):
    """Same person or not, with everything that led to it."""

    same: bool = Field(description="Whether the similarity reaches the threshold.")
    similarity: float = Field(description="Cosine in [-1, 1].", examples=[0.967])
    threshold: ThresholdOut
    fmr: RateOut | None = Field(
        description="How often a stranger scores this high, with its interval; null: the model"
        " in use was never measured."
    )
    margin: float | None = Field(
        description="Similarity less that of the next best person; null: nobody else."
    )
    face: str | None = Field(description="Id of the stored face that matched best.")
    words: str = Field(
        description="The decision in a sentence.",
        examples=[
            "the same person, 0.967; a stranger scores this high less than 1 time in 100,000"
        ],
    )

    @classmethod
    def of(
        cls, decision: Decision, face: str | None = None, name: str | None = None
    ) -> DecisionOut:
        """A decision in numbers and in words.

        Args:
            decision: What was decided.
            face: Id of the stored face behind it.
            name: Who it would be; ``None`` when two pictures were compared.
        """
        return cls(
            same=decision.same,
            similarity=decision.similarity,
            threshold=ThresholdOut.of(decision.threshold),
            fmr=None if decision.fmr is None else RateOut.of(decision.fmr),
            margin=decision.margin,
            face=face,
            words=in_words(decision, name),
        )


class MatchOut(Model):
    """A person of the gallery and how alike they are."""

    person: str = Field(description="Their id.", examples=["ada"])
    name: str = Field(examples=["Ada Lovelace"])
    similarity: float = Field(description="Cosine in [-1, 1] of their best face.")
    face: str = Field(description="Id of that face.")

    @classmethod
    def of(cls, match: Match, face: str) -> MatchOut:
        """A match with the id of its face."""
        return cls(person=match.person, name=match.name, similarity=match.similarity, face=face)


def _reading(reading: Reading | None) -> ReadingOut | None:
    return None if reading is None else ReadingOut(**asdict(reading))


def _box(face: Face) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(v, 2) for v in face.box.xyxy)
    return x1, y1, x2, y2


def _points(rows: list[list[float]]) -> list[Point]:
    return [(round(x, 2), round(y, 2)) for x, y in rows]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
