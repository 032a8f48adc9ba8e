"""Who a track is: one template, one decision, and a name that does not flicker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from vultus.decide import decide
from vultus.errors import InsufficientDataError, RangeError
from vultus.gallery import Gallery
from vultus.pipeline import Recognizer
from vultus.types import Decision, Embedding, Match
from vultus.watch.follow import Followed, Sample

__all__ = ["Held", "TrackAnswer", "held", "name_tracks", "same_person", "template_of"]

_NEAREST = 5  # people reported per track


@dataclass(frozen=True, slots=True, eq=False)
class TrackAnswer:
    """What the gallery says about one track.

    Attributes:
        track: The track in question.
        name: What the person is called, or ``None``: nobody enrolled is similar enough, or no
            picture of the track could be judged.
        person: Their id, or ``None`` likewise.
        decision: The template against the best match; ``None`` without a template or a gallery
            with somebody in it. Its `fmr` was measured on single pictures.
        matches: The nearest people, best first.
        template: The track's best pictures as one; ``None`` when none passed the gate.
    """

    track: Followed
    name: str | None
    person: str | None
    decision: Decision | None
    matches: tuple[Match, ...] = ()
    template: Embedding | None = None


def template_of(samples: Sequence[Sample]) -> Embedding | None:
    """One embedding for a track: the normalised mean of its pictures, weighted by quality.

    Returns:
        ``None`` for no samples, or samples that cancel each other out.

    Raises:
        SpaceMismatchError: The samples are of several spaces.
    """
    if not samples:
        return None
    space = samples[0].embedding.space
    for sample in samples[1:]:
        samples[0].embedding.similarity(sample.embedding)  # raises for another space
    vectors = np.stack([sample.embedding.vector for sample in samples]).astype(np.float64)
    mean = np.array([sample.weight for sample in samples]) @ vectors
    length = float(np.linalg.norm(mean))
    if length < 1e-9:
        return None
    return Embedding((mean / length).astype(np.float32), space)


def name_tracks(
    tracks: Sequence[Followed],
    found: Recognizer,
    gallery: Gallery,
    *,
    groups: Collection[str] | None = None,
) -> list[TrackAnswer]:
    """Decide once for each track.

    Nobody is in two places at once: of two tracks that share a frame and claim one person, the
    more similar one keeps the name, the other gets its next best match that reaches the
    threshold, or none.

    Args:
        tracks: Of one video.
        found: Threshold and calibration.
        gallery: Open.
        groups: Only members of any of these; ``None``: everybody.

    Returns:
        One answer per track, in order.

    Raises:
        SpaceMismatchError: The gallery was made with another model.
        UnknownGroupError: There is no such group.
    """
    templates = [template_of(track.samples) for track in tracks]
    asked = [template for template in templates if template is not None]
    searched = iter(gallery.search_many(asked, k=_NEAREST, groups=groups) if asked else [])
    every = [next(searched) if template is not None else [] for template in templates]
    chosen = _claims(tracks, every, found.threshold.value)
    answers = []
    for track, matches, which, template in zip(tracks, every, chosen, templates, strict=True):
        if which is None:
            answers.append(TrackAnswer(track, None, None, None, tuple(matches), template))
            continue
        match = matches[which]
        others = [other.similarity for i, other in enumerate(matches) if i != which]
        decision = decide(
            match.similarity,
            found.threshold,
            found.calibration,
            margin=match.similarity - max(others) if others else None,
            sample=match.sample,
        )
        name, person = (match.name, match.person) if decision.same else (None, None)
        answers.append(TrackAnswer(track, name, person, decision, tuple(matches), template))
    return answers


def _claims(
    tracks: Sequence[Followed], every: Sequence[Sequence[Match]], limit: float
) -> list[int | None]:
    """For each track the position of the match it is decided by; the most similar claim first."""
    frames = [{sight.number for sight in track.sights} for track in tracks]
    wishes = sorted(
        (-match.similarity, which, rank)
        for which, matches in enumerate(every)
        for rank, match in enumerate(matches)
        if match.similarity >= limit
    )
    chosen: dict[int, int] = {}
    for _, which, rank in wishes:
        person = every[which][rank].person
        rivals = (i for i, r in chosen.items() if every[i][r].person == person)
        if which not in chosen and not any(frames[which] & frames[i] for i in rivals):
            chosen[which] = rank
    below = [
        next((rank for rank, match in enumerate(matches) if match.similarity < limit), None)
        for matches in every
    ]
    return [chosen.get(which, below[which]) for which in range(len(every))]


def same_person(found: Recognizer, fmr: float = 1e-4) -> float | None:
    """The similarity from which two unknown tracks are taken for one person.

    Args:
        found: Whose calibration counts.
        fmr: How often strangers may reach it.

    Returns:
        A cosine; ``None`` where nothing was measured for this embedding space.
    """
    calibration = found.calibration
    if calibration is None or calibration.space != found.embedder.space:
        return None
    try:
        return calibration.threshold(fmr).value
    except InsufficientDataError:
        return None


@dataclass(frozen=True, slots=True)
class Held:
    """A name that a track bears while it is still being followed.

    Attributes:
        person: Their id; ``None``: unknown.
        name: What they are called.
        similarity: Of the judgement that last agreed.
        against: Judgements in a row that said otherwise.
    """

    person: str | None = None
    name: str | None = None
    similarity: float = -1.0
    against: int = 0


def held(before: Held, match: Match | None, threshold: float, *, patience: int = 3) -> Held:
    """Take in one more judgement, without flicker.

    A nameless track takes the first name that reaches the threshold. Once it has one, it changes,
    or is lost, only after `patience` judgements in a row that say otherwise.

    Args:
        before: What was held.
        match: The nearest person now; ``None``: nobody to compare with.
        threshold: Cosine from which it is them.
        patience: ≥ 1.

    Raises:
        RangeError: `patience` is below 1.
    """
    if patience < 1:
        raise RangeError(f"patience must be at least 1, got {patience}")
    says = match if match is not None and match.similarity >= threshold else None
    if says is not None and before.person in {None, says.person}:
        return Held(says.person, says.name, says.similarity)
    if before.person is None:
        return Held()
    if before.against + 1 < patience:
        return Held(before.person, before.name, before.similarity, before.against + 1)
    return Held() if says is None else Held(says.person, says.name, says.similarity)
