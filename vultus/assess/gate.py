"""The gate: is this face good enough for what it is wanted for, and if not, what to do about it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TypeVar

from vultus.errors import InsufficientDataError, RangeError
from vultus.types import GateResult, Occlusion, Quality, Refusal

__all__ = ["POLICIES", "GatePolicy", "check", "gate_policy"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What is asked of a face. A limit of ``None`` asks nothing; a value on the limit passes.

    Attributes:
        name: For messages and records.
        min_face_px: Of the box's shorter side.
        min_inter_eye_px: Between the eyes.
        max_yaw_deg: Turned to either side by at most this.
        max_pitch_deg: Nodding up or down by at most this.
        max_roll_deg: Leaning to either side by at most this.
        max_blur: In [0, 1].
        min_illumination: Mean luma, 0..255.
        max_illumination: Mean luma, 0..255.
        min_contrast: In [0, 1].
        min_completeness: Part of the face inside the picture, in [0, 1].
        max_occlusion: Per part, in [0, 1].
        min_score: In [0, 1].
    """

    name: str
    min_face_px: float | None = None
    min_inter_eye_px: float | None = None
    max_yaw_deg: float | None = None
    max_pitch_deg: float | None = None
    max_roll_deg: float | None = None
    max_blur: float | None = None
    min_illumination: float | None = None
    max_illumination: float | None = None
    min_contrast: float | None = None
    min_completeness: float | None = None
    max_occlusion: Occlusion | None = None
    min_score: float | None = None


# Baidu Face V2 and V3 (2018) recommend: eyes and chin covered at most 0.6, nose and mouth 0.7,
# cheeks 0.8, light above 40, angles below 20°, faces of 100 px. Our own measure of a covered nose,
# mouth or cheek seldom reaches these numbers, so that `normal` asks for less there: of LFW's faces
# under 1 % exceed each limit.
_NORMAL_OCCLUSION = Occlusion(
    left_eye=0.6,
    right_eye=0.6,
    nose=0.5,
    mouth=0.5,
    left_cheek=0.6,
    right_cheek=0.6,
    chin=0.6,
)

_PRESETS = (
    GatePolicy("off"),
    # What recognition can still use. 12 px: on LFW, shrunk, FNMR at FMR 1e-3 doubles there
    # (0.05 to 0.11) and is 0.5 at 7 px. Luma 15: darkened to 17 it doubles as well, where the
    # detector finds the face at all. Luma 230 and blur 0.7 (Baidu's number on our own scale):
    # half to nine tenths of the pairs fail. Angles: beyond what LFW can tell, a guard against
    # profiles.
    GatePolicy(
        "low",
        min_face_px=24.0,
        min_inter_eye_px=12.0,
        max_yaw_deg=60.0,
        max_pitch_deg=50.0,
        max_roll_deg=60.0,
        max_blur=0.7,
        min_illumination=15.0,
        max_illumination=230.0,
        min_completeness=0.6,
        max_occlusion=Occlusion(0.9, 0.9, 0.7, 0.7, 0.8, 0.8, 0.9),
        min_score=0.1,
    ),
    # 24 px: above it size costs nothing on LFW. Luma 40 and, in part, occlusion: as recommended,
    # see above. Blur 0.5: half of the pairs fail there. Luma 210: a quarter of them does.
    # Angles: what 99 of 100 pictures of LFW keep, rounded.
    GatePolicy(
        "normal",
        min_face_px=48.0,
        min_inter_eye_px=24.0,
        max_yaw_deg=35.0,
        max_pitch_deg=30.0,
        max_roll_deg=30.0,
        max_blur=0.5,
        min_illumination=40.0,
        max_illumination=210.0,
        min_contrast=0.08,
        min_completeness=0.9,
        max_occlusion=_NORMAL_OCCLUSION,
        min_score=0.5,
    ),
    # For enrolment. Face 100 px, angles 20°: Baidu's recommended limits. Eyes 60 px apart: the
    # smallest token frontal image of ISO/IEC 19794-5:2005. Blur, light and contrast: what 98
    # to 99 of 100 pictures of LFW keep, rounded.
    GatePolicy(
        "high",
        min_face_px=100.0,
        min_inter_eye_px=60.0,
        max_yaw_deg=20.0,
        max_pitch_deg=20.0,
        max_roll_deg=20.0,
        max_blur=0.35,
        min_illumination=60.0,
        max_illumination=190.0,
        min_contrast=0.2,
        min_completeness=0.99,
        max_occlusion=Occlusion(0.4, 0.4, 0.4, 0.4, 0.5, 0.5, 0.5),
        min_score=0.7,
    ),
)
POLICIES: Mapping[str, GatePolicy] = MappingProxyType({p.name: p for p in _PRESETS})
"""The presets by name, laxest first. docs/quality.md tells which part of LFW each refuses."""


def gate_policy(name: str) -> GatePolicy:
    """A preset by its name: ``off``, ``low``, ``normal`` or ``high``.

    Raises:
        RangeError: There is no such preset.
    """
    if name not in POLICIES:
        raise RangeError(
            f"a gate must be one of {', '.join(POLICIES)}, got {name!r}",
            expected=list(POLICIES),
            actual=name,
        )
    return POLICIES[name]


def check(quality: Quality, policy: GatePolicy) -> GateResult:
    """Hold a face's quality against a policy.

    Args:
        quality: Of `QualityAssessor.assess`.
        policy: Of `gate_policy`, or your own.

    Returns:
        Accepted, or every reason against the face: size, pose, sharpness, light, completeness,
        parts, score, in this order.

    Raises:
        InsufficientDataError: The policy limits what was not measured: the pose or, of a face
            without landmarks, occlusion or the distance between the eyes.
    """
    found = [*_size(quality, policy), *_pose(quality, policy), *_picture(quality, policy)]
    found += _parts(quality, policy)
    found += _low("low-score", "quality", quality.score, policy.min_score, "take a clearer picture")
    return GateResult(policy.name, tuple(found))


def _size(quality: Quality, policy: GatePolicy) -> Iterator[Refusal]:
    yield from _low(
        "too-small", "face", quality.face_px, policy.min_face_px, "come closer", unit=" px"
    )
    if policy.min_inter_eye_px is not None:
        yield from _low(
            "eyes-too-close",
            "distance between the eyes",
            _measured(quality.inter_eye_px, "the distance between the eyes", policy),
            policy.min_inter_eye_px,
            "come closer",
            unit=" px",
        )


def _pose(quality: Quality, policy: GatePolicy) -> Iterator[Refusal]:
    limits = (
        ("yaw", policy.max_yaw_deg, "turn towards the camera"),
        ("pitch", policy.max_pitch_deg, "look straight at the camera, neither up nor down"),
        ("roll", policy.max_roll_deg, "hold the head upright"),
    )
    for name, limit, remedy in limits:
        if limit is not None:
            pose = _measured(quality.pose, "the pose", policy)
            angle = abs({"yaw": pose.yaw_deg, "pitch": pose.pitch_deg, "roll": pose.roll_deg}[name])
            yield from _high(name, name, angle, limit, remedy, unit="°")


def _picture(quality: Quality, policy: GatePolicy) -> Iterator[Refusal]:
    still = "hold still and focus on the face"
    yield from _high("blurred", "blur", quality.blur, policy.max_blur, still)
    light, luma = quality.illumination, " of 255"
    more, less = "put more light on the face", "put less light on the face"
    yield from _low("too-dark", "light", light, policy.min_illumination, more, unit=luma)
    yield from _high("too-bright", "light", light, policy.max_illumination, less, unit=luma)
    haze = "wipe the lens and keep light from shining into it"
    yield from _low("low-contrast", "contrast", quality.contrast, policy.min_contrast, haze)
    move = "move the whole face into the picture"
    inside, least = quality.completeness, policy.min_completeness
    yield from _low("incomplete", "part inside the picture", inside, least, move)


def _parts(quality: Quality, policy: GatePolicy) -> Iterator[Refusal]:
    if policy.max_occlusion is None:
        return
    covered = _measured(quality.occlusion, "occlusion", policy)
    for part in fields(Occlusion):
        words = part.name.replace("_", " ")
        yield from _high(
            f"{words.replace(' ', '-')}-covered",
            f"{words} covered",
            float(getattr(covered, part.name)),
            float(getattr(policy.max_occlusion, part.name)),
            f"uncover the {words}, as seen in the picture",
        )


def _low(
    code: str, what: str, value: float, limit: float | None, remedy: str, *, unit: str = ""
) -> Iterator[Refusal]:
    """A refusal where `value` falls short of `limit`."""
    if limit is not None and not value >= limit:
        yield Refusal(code, _compared(what, value, limit, unit), remedy, value, limit)


def _high(
    code: str, what: str, value: float, limit: float | None, remedy: str, *, unit: str = ""
) -> Iterator[Refusal]:
    """A refusal where `value` exceeds `limit`."""
    if limit is not None and not value <= limit:
        yield Refusal(code, _compared(what, value, limit, unit), remedy, value, limit)


def _compared(what: str, value: float, limit: float, unit: str) -> str:
    """``yaw 41°, limit 30°``, with as many digits as it takes to see the difference."""
    digits = 0 if unit else 2
    while digits < 6 and f"{value:.{digits}f}" == f"{limit:.{digits}f}":
        digits += 1
    bound = f"{limit:.{0 if unit else 2}f}"
    return f"{what} {value:.{digits}f}{unit}, limit {bound}{unit}"


def _measured(value: T | None, what: str, policy: GatePolicy) -> T:
    if value is None:
        raise InsufficientDataError(
            f"the gate {policy.name!r} limits {what}, which was not measured",
            remedy="measure it (the pose: give QualityAssessor an estimator; the rest: use a "
            "detector that gives five points), or use a policy without this limit",
            gate=policy.name,
        )
    return value
