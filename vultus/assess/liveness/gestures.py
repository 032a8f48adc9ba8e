"""What a face does, read from its mesh: eyes shut, mouth open, a smile, a turn, a nod."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from vultus.assess.pose import PoseSolver
from vultus.errors import DegenerateLandmarksError, RangeError
from vultus.types import DenseLandmarks

__all__ = ["ACTIONS", "TOLD", "Action", "Gestures", "amounts", "gestures_of", "mean_gestures"]

Action: TypeAlias = Literal["blink", "turn-left", "turn-right", "nod", "open-mouth", "smile"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What can be asked for. Left and right are those of the person before the camera."""

TOLD: Mapping[Action, str] = MappingProxyType(
    {
        "blink": "close your eyes and open them again",
        "turn-left": "turn your head to your left and back",
        "turn-right": "turn your head to your right and back",
        "nod": "lower your chin and raise it again",
        "open-mouth": "open your mouth wide and close it",
        "smile": "smile, then stop smiling",
    }
)
"""What to tell the person."""

# How far each measure must go from where it rests. Measured with the face mesh on two clips of
# GRID speakers (75 pictures each, three blinks, speech throughout) and on still photos turned in
# space by up to 40° (four photos, 28 pictures):
#   eyes: 0.65 to 0.73 of the resting opening in the three blinks, 0.87 and more otherwise;
#   mouth: speech opens it by up to 0.18 of its width;
#   smile: speech widens the mouth by up to 9 % over the median;
#   turn and nod: a turned photo shows up to 8.2° of yaw and 6.3° of pitch.
# That people reach them when asked is taken from what the gestures are, not measured on anybody.
_SHUT = 0.25  # part of the opening that goes
_OPEN = 0.35  # of the mouth's width
_WIDER = 0.12  # part of the mouth's width that comes
_TURN_DEG = 20.0
_NOD_DEG = 12.0

# Beyond this turn the far eye and the far half of the mouth are seen too flat to measure.
_FACING_DEG = 15.0

# Rows of the mesh. Eyes: corners, then upper and lower lids, as Soukupová and Čech name p1 to p6.
_EYES = ((33, 133, 160, 144, 158, 153), (362, 263, 385, 380, 387, 373))
_LIPS = (13, 14)  # inner edge, upper and lower
_INNER = (78, 308)  # corners of the inner edge
_MOUTH = (61, 291)  # corners
_OUTER_EYES = (33, 263)


@dataclass(frozen=True, slots=True)
class Gestures:
    """Measures of one face in one picture.

    Attributes:
        eyes: Eye aspect ratio, mean of both: height of the opening over its width.
        mouth: Height of the opening between the lips over its width.
        width: Distance between the mouth's corners over that between the eyes' outer corners.
        yaw_deg: As in `Pose`.
        pitch_deg: Likewise.

    Raises:
        RangeError: A value is not finite.
    """

    eyes: float
    mouth: float
    width: float
    yaw_deg: float
    pitch_deg: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.values())):
            raise RangeError(f"measures of a face must be finite, got {self.values()}")

    def values(self) -> tuple[float, float, float, float, float]:
        """All of them, in order."""
        return self.eyes, self.mouth, self.width, self.yaw_deg, self.pitch_deg


def gestures_of(mesh: DenseLandmarks, solver: PoseSolver) -> Gestures:
    """Measure a face.

    Args:
        mesh: 468 or 478 points; depth, where there is any, keeps a turned face's measures right.
        solver: Reads the pose.

    Raises:
        RangeError: The landmarks are no mesh.
        DegenerateLandmarksError: The points coincide.

    Source: eye aspect ratio: Soukupová and Čech 2016, "Real-Time Eye Blink Detection using
    Facial Landmarks"; the mouth's likewise.
    """
    if not mesh.scheme.startswith("mesh"):
        raise RangeError(
            f"gestures are read from a mesh, got {mesh.scheme}",
            remedy="use the landmarker facemesh or facemesh-attention",
            expected="mesh-468",
            actual=mesh.scheme,
        )
    points = mesh.points.astype(np.float64)
    if mesh.depth is not None:
        points = np.concatenate([points, mesh.depth[:, None]], axis=1)
    pose = solver.of_landmarks(mesh)
    eyes = [
        (_apart(points, (up1, down1)) + _apart(points, (up2, down2)))
        / (2.0 * _length(points, (left, right)))
        for left, right, up1, down1, up2, down2 in _EYES
    ]
    return Gestures(
        eyes=sum(eyes) / 2.0,
        mouth=_apart(points, _LIPS) / _length(points, _INNER),
        width=_apart(points, _MOUTH) / _length(points, _OUTER_EYES),
        yaw_deg=pose.yaw_deg,
        pitch_deg=pose.pitch_deg,
    )


def mean_gestures(seen: Sequence[Gestures]) -> Gestures:
    """The median of each measure: the face at rest."""
    middle = np.median(np.array([one.values() for one in seen]), axis=0)
    return Gestures(*map(float, middle))


def amounts(now: Gestures, rest: Gestures) -> dict[Action, float]:
    """How far each action has gone: 0 at rest, 1 and more when it is done.

    Eyes and mouth of a face that is turned by more than 15° are not judged: 0.
    """
    yaw, pitch = now.yaw_deg - rest.yaw_deg, now.pitch_deg - rest.pitch_deg
    facing = max(abs(yaw), abs(pitch)) <= _FACING_DEG
    return {
        "blink": (1.0 - now.eyes / max(rest.eyes, 1e-6)) / _SHUT if facing else 0.0,
        # Yaw is the viewer's; a person's left is the viewer's right.
        "turn-left": yaw / _TURN_DEG,
        "turn-right": -yaw / _TURN_DEG,
        "nod": pitch / _NOD_DEG,
        "open-mouth": (now.mouth - rest.mouth) / _OPEN if facing else 0.0,
        "smile": (now.width / max(rest.width, 1e-6) - 1.0) / _WIDER if facing else 0.0,
    }


def _apart(points: NDArray[np.float64], pair: tuple[int, int]) -> float:
    return float(np.linalg.norm(points[pair[0]] - points[pair[1]]))


def _length(points: NDArray[np.float64], pair: tuple[int, int]) -> float:
    length = _apart(points, pair)
    if length < 1e-6:
        raise DegenerateLandmarksError("corners of an eye or of the mouth coincide")
    return length
