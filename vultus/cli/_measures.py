"""What ``vultus detect`` tells of a face: landmarks, pose, quality, the gate, age and sex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from vultus.types import (
        Attributes,
        DenseLandmarks,
        Face,
        GateResult,
        LandmarkScheme,
        Pose,
        Quality,
        Reading,
    )

__all__ = ["Asked", "Measured", "Measures", "Points", "measured_object", "readings"]


class Points(StrEnum):
    """How many landmarks are asked for."""

    IBUG = "68"
    VULTUS = "72"
    MESH = "468"
    IRISES = "478"

    @property
    def scheme(self) -> LandmarkScheme:
        """What these points mean."""
        schemes: dict[str, LandmarkScheme] = {
            "68": "ibug-68",
            "72": "vultus-72",
            "468": "mesh-468",
            "478": "mesh-478",
        }
        return schemes[self.value]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks of each face.

    Attributes:
        points: How many landmarks; ``None``: the five of the detector are enough.
        pose: Whether to measure it.
        quality: Whether to measure it.
        gate: Name of the gate's policy; ``off`` asks nothing.
        attributes: Whether to read age and sex.
    """

    points: Points | None = None
    pose: bool = False
    quality: bool = False
    gate: str = "off"
    attributes: bool = False

    @property
    def gated(self) -> bool:
        """Whether a gate is asked."""
        return self.gate != "off"

    @property
    def mesh(self) -> bool:
        """Whether any of this takes a mesh."""
        return self.points is not None or self.pose or self.gated


class Measured(NamedTuple):
    """What was measured of one face; ``None`` where it was not asked for."""

    dense: DenseLandmarks | None = None
    pose: Pose | None = None
    quality: Quality | None = None
    gate: GateResult | None = None
    attributes: Attributes | None = None


class Measures:
    """Measures what is asked for and nothing else; thread-safe. One mesh serves all of it.

    Args:
        asked: What is wanted.
        threads: CPU threads within one call of a network.

    Raises:
        RangeError: There is no such gate.
        ModelMissingError: The mesh, or what reads attributes, is not on this machine.
    """

    def __init__(self, asked: Asked, threads: int) -> None:
        from vultus.assess.attributes import DEFAULT_MODEL, AttributeReader
        from vultus.assess.gate import gate_policy
        from vultus.assess.landmarks import MeshLandmarker
        from vultus.assess.pose import PoseSolver
        from vultus.assess.quality import QualityAssessor
        from vultus.models import Registry, Store
        from vultus.runtime import SessionOptions

        self._asked = asked
        self._policy = gate_policy(asked.gate)
        self._mesh = self._solver = self._assessor = self._reader = None
        registry, store, options = Registry(), Store(), SessionOptions(threads=threads)
        if asked.attributes:
            card = registry.get(DEFAULT_MODEL)
            self._reader = AttributeReader.from_card(card, store, options)
        if asked.mesh:
            name = "facemesh-attention" if asked.points is Points.IRISES else "facemesh"
            self._mesh = MeshLandmarker.from_card(registry.get(name), store, options)
        if asked.pose or asked.gated:
            self._solver = PoseSolver()
        if asked.quality or asked.gated:
            self._assessor = QualityAssessor()

    def of(self, faces: Sequence[Face]) -> list[Measured]:
        """Measure the faces of a picture.

        Raises:
            DegenerateLandmarksError: The landmarks of a face coincide.
        """
        if not faces:
            return []
        meshes = self._mesh.locate(faces) if self._mesh else [None] * len(faces)
        qualities = self._assessor.assess(faces) if self._assessor else [None] * len(faces)
        read = self._reader.read(faces) if self._reader else [None] * len(faces)
        return [self._one(*each) for each in zip(meshes, qualities, read, strict=True)]

    def _one(
        self, mesh: DenseLandmarks | None, quality: Quality | None, read: Attributes | None
    ) -> Measured:
        from dataclasses import replace

        from vultus.assess.gate import check
        from vultus.assess.schemes import to_scheme

        asked, dense, pose, gate = self._asked, None, None, None
        if mesh is not None and asked.points is not None:
            dense = to_scheme(mesh, asked.points.scheme)
        if mesh is not None and self._solver is not None:
            pose = self._solver.of_landmarks(mesh)
        if quality is not None:
            quality = replace(quality, pose=pose)
            gate = check(quality, self._policy) if asked.gated else None
        return Measured(
            dense, pose if asked.pose else None, quality if asked.quality else None, gate, read
        )


def measured_object(asked: Asked, found: Measured) -> dict[str, Any]:
    """What was asked for as the JSON output states it."""
    from vultus.cli._output import gate_object

    told: dict[str, Any] = {}
    if found.dense is not None:
        told["landmarks_dense"] = {
            "scheme": found.dense.scheme,
            "points": [[round(x, 2), round(y, 2)] for x, y in found.dense.points.tolist()],
            "presence": None if found.dense.presence is None else round(found.dense.presence, 4),
        }
    if found.pose is not None:
        told["pose"] = {
            "yaw": round(found.pose.yaw_deg, 2),
            "pitch": round(found.pose.pitch_deg, 2),
            "roll": round(found.pose.roll_deg, 2),
            "method": found.pose.method,
        }
    if found.quality is not None:
        told["quality"] = _quality_object(found.quality)
    if asked.gated:
        told["gate"] = gate_object(found.gate)
    if found.attributes is not None:
        told["attributes"] = {
            name: _reading_object(reading) for name, reading in readings(found.attributes).items()
        }
    return told


def readings(found: Attributes) -> dict[str, Reading]:
    """What a model read, by name; what none read is left out."""
    every = {
        "age": found.age,
        "sex": found.sex,
        "expression": found.expression,
        "glasses": found.glasses,
    }
    return {name: reading for name, reading in every.items() if reading is not None}


def _reading_object(reading: Reading) -> dict[str, Any]:
    """With what it is worth: neither is to be told without the other."""
    value, sure = reading.value, reading.confidence
    return {
        "value": round(value, 1) if isinstance(value, float) else value,
        "confidence": None if sure is None else round(sure, 4),
        "quality": reading.quality,
        "model": reading.model,
    }


def _quality_object(quality: Quality) -> dict[str, Any]:
    """Every measure but the pose, which has a place of its own."""
    told = asdict(quality)
    del told["pose"]
    if told["real"] is None:  # no model for it is in use
        del told["real"]
    return {name: _rounded(value) for name, value in told.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
