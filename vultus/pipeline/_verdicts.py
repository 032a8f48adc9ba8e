"""From matches to answers: similarities normalised where asked, held against the threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vultus.decide import Calibration, Normaliser, decide
from vultus.gallery import Gallery
from vultus.pipeline._claims import claims
from vultus.types import (
    Decision,
    Embedding,
    Face,
    GateResult,
    Identification,
    Match,
    Quality,
    Threshold,
)

__all__ = ["Verdicts"]

_BEYOND_DOUBT = 1e-4  # FMR of a door, see vultus.decide.DEFAULT_POLICY


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What similarities are held against.

    Attributes:
        threshold: Gives the threshold.
        calibration: Gives what tells how often strangers reach a similarity, or ``None``.
        normaliser: Gives what holds similarities against those of strangers; ``None``: cosines
            are decided on as they are.
    """

    threshold: Callable[[], Threshold]
    calibration: Callable[[], Calibration | None]
    normaliser: Callable[[], Normaliser] | None

    def of_pair(self, one: Embedding, other: Embedding) -> Decision:
        """Whether two faces are the same person's."""
        similarity = self._similarity(one, other, one.similarity(other))
        return decide(similarity, self.threshold(), self.calibration())

    def of_claim(
        self, gallery: Gallery, probe: Embedding, match: Match, quality: Quality | None
    ) -> Decision:
        """Whether a face is the person it was matched with."""
        similarity = match.similarity
        if self.normaliser is not None:
            similarity = self._similarity(probe, gallery.embedding(match.sample), similarity)
        return self._decided(replace(match, similarity=similarity), quality)

    def ranked(
        self, gallery: Gallery, probes: Sequence[Embedding], every: list[list[Match]]
    ) -> list[list[Match]]:
        """The matches of each probe by what is decided on, best first."""
        if self.normaliser is None:
            return every
        return [
            self._normalised(gallery, probe, matches)
            for probe, matches in zip(probes, every, strict=True)
        ]

    def chosen(self, every: Sequence[Sequence[Match]], *, once: bool) -> list[int | None]:
        """By which of its matches each face is decided; with `once`, see `claims`."""
        if not once:
            return [0] * len(every)
        return claims(every, self.threshold().value, self._beyond_doubt)

    def answer(
        self,
        face: Face,
        matches: Sequence[Match],
        which: int | None,
        quality: Quality | None,
        gate: GateResult | None,
    ) -> Identification:
        """The answer for a face that is decided by one of its matches."""
        if which is None or which >= len(matches):
            return Identification(face, None, None, tuple(matches), None, quality, gate)
        match = matches[which]
        others = [other.similarity for i, other in enumerate(matches) if i != which]
        margin = match.similarity - max(others) if others else None
        decision = self._decided(match, quality, margin)
        name, person = (match.name, match.person) if decision.same else (None, None)
        return Identification(face, name, decision, tuple(matches), person, quality, gate)

    def _decided(
        self, match: Match, quality: Quality | None, margin: float | None = None
    ) -> Decision:
        return decide(
            match.similarity,
            self.threshold(),
            self.calibration(),
            margin=margin,
            sample=match.sample,
            quality=None if quality is None else quality.score,
        )

    def _normalised(
        self, gallery: Gallery, probe: Embedding, matches: Sequence[Match]
    ) -> list[Match]:
        found = []
        for match in matches:
            enrolled = gallery.embedding(match.sample)
            similarity = self._similarity(probe, enrolled, match.similarity)
            found.append(replace(match, similarity=similarity))
        return sorted(found, key=lambda match: (-match.similarity, match.person))

    def _similarity(self, probe: Embedding, enrolled: Embedding, cosine: float) -> float:
        """What is decided on: the cosine, or what normalisation makes of it."""
        if self.normaliser is None:
            return cosine
        found = self.normaliser().similarities(
            np.array([[cosine]]), probe.vector[None], enrolled.vector[None]
        )
        return float(found[0, 0])

    def _beyond_doubt(self, similarity: float) -> bool:
        calibration = self.calibration()
        return calibration is not None and calibration.fmr_at(similarity).high < _BEYOND_DOUBT
