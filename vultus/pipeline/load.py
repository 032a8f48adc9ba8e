"""Putting a recogniser together from model cards and options."""

from __future__ import annotations

import os
from pathlib import Path

from vultus.assess.attributes import DEFAULT_MODEL, AttributeReader
from vultus.assess.gate import GatePolicy, gate_policy
from vultus.assess.landmarks import MeshLandmarker
from vultus.assess.pose import LandmarkPose
from vultus.assess.quality import QualityAssessor
from vultus.decide import (
    DEFAULT_POLICY,
    Calibration,
    Cohort,
    Normaliser,
    load_calibration,
    normalised_space,
    shipped_calibration,
    shipped_cohort,
    threshold_for,
)
from vultus.detect.base import Detector, DetectorOptions, Scales
from vultus.detect.make import detector_for
from vultus.detect.mtcnn import MtcnnOptions
from vultus.encode import face_embedder_for
from vultus.errors import CardError
from vultus.models import ModelCard, Registry, Store, space_in
from vultus.pipeline._once import Once
from vultus.pipeline.recognizer import Recognizer
from vultus.runtime import SessionOptions, default_threads
from vultus.sources import Limits
from vultus.types import EmbeddingSpace

__all__ = ["load"]


def load(
    *,
    detector: str = "mtcnn",
    embedder: str = "dlib-resnet-v1",
    min_face_px: float = 40.0,
    mirror: bool = True,
    threshold: str | float = DEFAULT_POLICY,
    threads: int | None = None,
    calibration: str | os.PathLike[str] | Calibration | None = None,
    gate: str | GatePolicy = "off",
    crop_key: bytes | None = None,
    limits: Limits | None = None,
    store: Store | None = None,
    scales: Scales | None = None,
    normalise: bool | Cohort = False,
) -> Recognizer:
    """Put a recogniser together; the default one ships with vultus and needs no network.

    Args:
        detector: Name of a detector's card, or ``auto``: the best one that is installed for each
            picture's size.
        embedder: Name of an embedder's card.
        min_face_px: Smallest face side to look for, in pixels, ≥ 12.
        mirror: Average each face with its mirror image: twice the embedding time, fewer errors.
        threshold: A false match rate (``fmr=1e-3``), a false positive rate for a gallery's size
            (``fpir=1e-2,people=500``), or a cosine of your own.
        threads: CPU threads within one call; all the process may use when ``None``. Use 1 when
            you call from several threads at once.
        calibration: Of your own data, or the file of one; the one that ships with vultus for
            these embeddings, if any, when ``None``.
        gate: What is asked of faces that are enrolled, identified or verified: ``off``, ``low``,
            ``normal``, ``high``, or a policy of your own.
        crop_key: Keeps an encrypted picture of each enrolled face, see `vultus.gallery.crops`.
        limits: Bounds on untrusted pictures.
        store: Where weights lie.
        scales: How often a single-shot detector looks at a picture: once (``one``); again at
            320 px for faces that fill it (``two``); or tile by tile for tiny ones as well
            (``tiled``). ``None``: ``two``, and ``one`` for networks that take one size only.
            MTCNN, MMOD and Haar search all scales themselves, and ``auto`` chooses.
        normalise: Hold each similarity against what both faces reach with strangers: those that
            ship with vultus for these embeddings, or a cohort of your own, which takes a
            calibration of your own. Fewer misses at the same false match rate.

    Raises:
        UnknownModelError: No card has this name.
        CardError: A card is of another kind, or no such threshold was measured.
        InsufficientDataError: The calibration rests on too few comparisons for the threshold.
        RangeError: A value is outside its range.
    """
    registry, store = Registry(), store or Store()
    embedder_card = card_of_kind(registry, embedder, "embedder")
    options = SessionOptions(threads=default_threads() if threads is None else threads)
    detector_card = None if detector == "auto" else card_of_kind(registry, detector, "detector")
    if scales is None:
        scales = "one" if detector_card and detector_card.input.size_wh else "two"
    asked = DetectorOptions(min_face_px=min_face_px, scales=scales)
    if detector_card and detector_card.detector and detector_card.detector.family == "mtcnn":
        MtcnnOptions.of(asked, detector_card.detector)  # told now, not at the first picture
    space = space_in(registry, embedder_card, mirror=mirror)
    normaliser = _normaliser(normalise, space)
    scored = space if normaliser is None else normalised_space(space)  # what is decided on
    own = _own_calibration(calibration, scored)
    if threshold != DEFAULT_POLICY:  # told now, not after the work; a model without needs none
        threshold_for(embedder_card, scored, threshold, own)

    def make_detector() -> Detector:
        if detector_card is None:
            from vultus.detect.auto import AutoDetector

            return AutoDetector(registry, store, options, asked)
        return detector_for(detector_card, store, options, asked)

    mesh = Once(lambda: MeshLandmarker.from_card(registry.get("facemesh"), store, options))
    return Recognizer(
        make_detector,
        lambda: face_embedder_for(embedder_card, registry, store, options, mirror=mirror),
        lambda: threshold_for(embedder_card, scored, threshold, own),
        limits,
        calibration=lambda: own or shipped_calibration(scored),
        landmarker=mesh,
        assessor=lambda: QualityAssessor(LandmarkPose(mesh())),
        attributes=lambda: AttributeReader.from_card(registry.get(DEFAULT_MODEL), store, options),
        gate=gate_policy(gate) if isinstance(gate, str) else gate,
        crop_key=crop_key,
        normaliser=None if normaliser is None else lambda: normaliser,
    )


def _normaliser(wanted: bool | Cohort, space: EmbeddingSpace) -> Normaliser | None:
    if wanted is False:
        return None
    cohort = shipped_cohort(space) if wanted is True else wanted
    if cohort is None:
        raise CardError(
            f"no strangers to normalise with ship for {space}",
            remedy="use the default embedder, or hand over a cohort of your own",
            actual=space.id,
        )
    return Normaliser(cohort)


def _own_calibration(
    given: str | os.PathLike[str] | Calibration | None, space: EmbeddingSpace
) -> Calibration | None:
    if given is None:
        return None
    if isinstance(given, Calibration):
        given.check_space(space)
        return given
    return load_calibration(Path(given), space)


def card_of_kind(registry: Registry, name: str, kind: str) -> ModelCard:
    """The card of a name, required to be of a kind.

    Raises:
        UnknownModelError: No card has this name.
        CardError: It is of another kind.
    """
    card = registry.get(name)
    if card.kind != kind:
        raise CardError(
            f"{name!r} must be a model of kind {kind}, it is of kind {card.kind}",
            remedy=f"`vultus models list --kind {kind}` shows the choice",
            expected=kind,
            actual=card.kind,
        )
    return card
