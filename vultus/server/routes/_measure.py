"""What a detection tells of each face besides its box: more points, pose, quality, attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vultus.assess.attributes import DEFAULT_MODEL, AttributeReader
from vultus.assess.gate import check, gate_policy
from vultus.assess.landmarks import MeshLandmarker
from vultus.assess.pose import PoseSolver
from vultus.assess.quality import QualityAssessor
from vultus.assess.schemes import to_scheme
from vultus.errors import ModelMissingError
from vultus.models import Registry, Store
from vultus.runtime import SessionOptions
from vultus.server.schemas.pictures import DetectOptions
from vultus.server.schemas.seen import (
    AttributesOut,
    DenseOut,
    GateOut,
    PoseOut,
    QualityOut,
    SeenFace,
)
from vultus.server.service import Liveness
from vultus.types import DenseLandmarks, Face, LandmarkScheme, Quality

__all__ = ["lively", "measured"]

_OFF = "off"
_SCHEMES: dict[str, LandmarkScheme] = {"68": "ibug-68", "72": "vultus-72", "468": "mesh-468"}


def measured(
    faces: Sequence[Face], options: DetectOptions, liveness: Liveness | None = None
) -> list[SeenFace]:
    """Faces with what was asked of them; one mesh of each face serves all of it.

    Args:
        faces: Of one picture.
        options: What is wanted.
        liveness: The installed model, if any.

    Raises:
        DegenerateLandmarksError: The landmarks of a face coincide.
    """
    if not faces:
        return []
    gated = options.gate != _OFF
    told: list[dict[str, Any]] = [{} for _ in faces]
    meshes = _meshes(faces, options)
    scheme = _SCHEMES.get(options.landmarks)
    for one, mesh in zip(told, meshes, strict=True):
        if mesh is not None and scheme is not None:
            one["dense"] = DenseOut.of(to_scheme(mesh, scheme))
    poses = [_solver().of_landmarks(mesh) if mesh else None for mesh in meshes]
    if options.pose:
        for one, pose in zip(told, poses, strict=True):
            one["pose"] = PoseOut.of(pose) if pose else None
    if options.quality or gated:
        qualities = [
            replace(quality, pose=pose)
            for quality, pose in zip(QualityAssessor().assess(faces), poses, strict=True)
        ]
        _tell_quality(told, qualities, options.gate)
    if options.attributes and (reader := _reader()) is not None:
        for one, found in zip(told, reader.read(faces), strict=True):
            one["attributes"] = AttributesOut.of(found)
    scores = lively(faces, liveness) if options.liveness else [None] * len(faces)
    return [
        SeenFace.of(face, liveness=score, **one)
        for face, one, score in zip(faces, told, scores, strict=True)
    ]


def _meshes(faces: Sequence[Face], options: DetectOptions) -> Sequence[DenseLandmarks | None]:
    if options.landmarks in _SCHEMES or options.pose or options.gate != _OFF:
        return _mesh().locate(faces)
    return [None] * len(faces)


def lively(faces: Sequence[Face], liveness: Liveness | None) -> list[float | None]:
    """How alive each face looks, 0 to 1; ``None`` without a model that can tell."""
    if liveness is None or not faces:
        return [None] * len(faces)
    return [round(score, 4) for score in liveness.score(faces)]


def _tell_quality(told: list[dict[str, Any]], qualities: list[Quality], gate: str) -> None:
    for one, quality in zip(told, qualities, strict=True):
        one["quality"] = QualityOut.of(quality)
        if gate != _OFF:
            one["gate"] = GateOut.of(check(quality, gate_policy(gate)))


def _reader() -> AttributeReader | None:
    return _reader_in(Registry().home)


# One of each for the process, made when first asked for: all are safe to share.


@lru_cache(maxsize=1)
def _mesh() -> MeshLandmarker:
    return MeshLandmarker.from_card(Registry().get("facemesh"), Store(), SessionOptions(threads=1))


@lru_cache(maxsize=1)
def _solver() -> PoseSolver:
    return PoseSolver()


@lru_cache(maxsize=4)
def _reader_in(home: Path) -> AttributeReader | None:
    """The reader of an installed model; ``None``: none is."""
    try:
        card = Registry(home=home).get(DEFAULT_MODEL)
        return AttributeReader.from_card(card, Store(), SessionOptions(threads=1))
    except ModelMissingError:
        return None
