"""Follows faces through a video, and keeps of each the few pictures that tell most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import cos, isfinite, radians

import numpy as np

from vultus.assess.gate import GatePolicy, check, gate_policy
from vultus.errors import (
    DegenerateLandmarksError,
    InsufficientDataError,
    RangeError,
)
from vultus.pipeline import Recognizer
from vultus.sources.frames import VideoFrame
from vultus.track import (
    Observation,
    Tracks,
    TrackSettings,
    after_cut,
    associate,
    predicted,
    unclear,
)
from vultus.types import Box, Embedding, Face, Image, Quality
from vultus.watch.cuts import CUT, colours, difference

__all__ = ["FollowSettings", "Followed", "Follower", "Sample", "Sight"]

# Looks below the first rate's similarity are two people: of LFW's people 1 in 700 genuine pairs
# lies there. Looks above the second's are one: a face that comes back within two seconds is
# compared with few others.
_DIFFERENT_FMR, _SAME_FMR = 0.1, 1e-4
_PORTRAIT_MARGIN = 0.35  # of the box, on each side: hair and chin


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How much work each face is worth.

    Attributes:
        best: Most pictures per track that are embedded and kept, ≥ 1.
        look_s: Shortest time between two of them, ≥ 0: neighbouring frames tell the same.
        lost_s: How long a face out of sight is waited for.
        gate: What is asked of a face before it is embedded; a policy of `vultus.assess.gate`.

    Raises:
        RangeError: A value is out of its range.
    """

    best: int = 8
    look_s: float = 0.2
    lost_s: float = 2.0
    gate: GatePolicy = field(default_factory=lambda: gate_policy("low"))

    def __post_init__(self) -> None:
        if self.best < 1:
            raise RangeError(f"best must be at least 1, got {self.best}")
        for name in ("look_s", "lost_s"):
            value = getattr(self, name)
            if not (isfinite(value) and value >= 0.0):
                raise RangeError(f"{name} must be finite and at least 0, got {value}")


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a face was in one frame.

    Attributes:
        number: Of the frame.
        time_s: Of the frame.
        duration_s: How long the frame is shown.
        box: In pixels of the frame.
    """

    number: int
    time_s: float
    duration_s: float
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture of a face that was embedded.

    Attributes:
        embedding: Of the face.
        quality: Of the picture.
        weight: What it counts in the track's template, in (0, 1].
        time_s: When it was seen.
    """

    embedding: Embedding
    quality: Quality
    weight: float
    time_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """One face from its first to its last frame.

    Attributes:
        number: Of the track.
        sights: By rising time, at least one.
        samples: The best pictures, best first; empty when none passed the gate.
        portrait: (h, w, 3) uint8 RGB, the best picture with some margin.
    """

    number: int
    sights: tuple[Sight, ...]
    samples: tuple[Sample, ...]
    portrait: Image = field(repr=False)


class _Open:
    """A track that may still grow."""

    def __init__(self, number: int, face: Face) -> None:
        self.number = number
        self.sights: list[Sight] = []
        self.samples: list[Sample] = []
        self.looked_s = -1e9
        self.portrait, self.portrait_rank = _portrait(face), _rank(face, 0.0)

    def done(self) -> Followed:
        return Followed(self.number, tuple(self.sights), tuple(self.samples), self.portrait)


class Follower:
    """Takes the frames of one video, one after the other.

    A face is embedded only where that helps: when its place leaves open whose it is, and, for the
    track's template, when its quality passes the gate and some time has gone by. Not for several
    threads.

    Args:
        found: Detects, assesses and embeds.
        settings: How much work each face is worth.
    """

    def __init__(self, found: Recognizer, settings: FollowSettings | None = None) -> None:
        self._found = found
        self.settings = settings or FollowSettings()
        self._rules: TrackSettings | None = None
        self._tracks = Tracks()
        self._open: dict[int, _Open] = {}
        self._done: list[Followed] = []
        self._colours: np.ndarray | None = None
        self.frames = 0
        self.embedded = 0

    def see(self, shown: VideoFrame) -> list[tuple[int | None, Face]]:
        """Find the faces of the next frame, and say which track each belongs to.

        Args:
            shown: Later than the frame before.

        Returns:
            Number of the track, or ``None`` for a doubtful face that belongs to none, and the
            face; by falling detector score.

        Raises:
            RangeError: Time runs backwards.
        """
        rules = self._rules = self._rules or self._track_settings()
        self._notice_cut(shown.frame.image)
        faces = self._found.detect(shown.frame)
        tracks = predicted(self._tracks, shown.time_s)
        plain = [Observation(face.box, face.score) for face in faces]
        samples = self._embedded(faces, self._wanted(tracks, plain, rules, shown), shown)
        observations = [
            Observation(face.box, face.score, sample.embedding.vector if sample else None)
            for face, sample in zip(faces, samples, strict=True)
        ]
        step = associate(tracks, observations, shown.time_s, rules)
        self._tracks = step.tracks
        self.frames += 1
        for number, face, sample in zip(step.numbers, faces, samples, strict=True):
            if number is not None:
                self._note(number, face, sample, shown)
        for number in step.ended:
            self._done.append(self._open.pop(number).done())
        return list(zip(step.numbers, faces, strict=True))

    def finish(self) -> list[Followed]:
        """End all tracks.

        Returns:
            Every track of the video, by its number.
        """
        self._done += [track.done() for track in self._open.values()]
        self._open.clear()
        self._tracks = Tracks(next_number=self._tracks.next_number, time_s=self._tracks.time_s)
        return sorted(self._done, key=lambda track: track.number)

    def _track_settings(self) -> TrackSettings:
        """Limits on looks for this embedding space; none where it was not calibrated."""
        calibration = self._found.calibration
        same, different = None, -1.0
        if calibration is not None and calibration.space == self._found.embedder.space:
            try:
                different = calibration.threshold(_DIFFERENT_FMR).value
                same = calibration.threshold(_SAME_FMR).value
            except InsufficientDataError:
                same = None  # too small a calibration: looks find nobody again
        return TrackSettings(lost_s=self.settings.lost_s, same=same, different=different)

    def _notice_cut(self, image: Image) -> None:
        now, before = colours(image), self._colours
        self._colours = now
        if before is not None and difference(before, now) >= CUT:
            self._tracks = after_cut(self._tracks)

    def _wanted(
        self,
        tracks: Tracks,
        observations: Sequence[Observation],
        rules: TrackSettings,
        shown: VideoFrame,
    ) -> list[int]:
        """Which faces to look at: unclear ones, and those of tracks that are due."""
        wanted = set(unclear(tracks, observations, rules))
        likely = associate(tracks, observations, shown.time_s, rules).numbers
        for which, number in enumerate(likely):
            track = None if number is None else self._open.get(number)
            if track is None or shown.time_s - track.looked_s >= self.settings.look_s:
                wanted.add(which)
            if track is not None and which in wanted:
                track.looked_s = shown.time_s
        return sorted(wanted)

    def _embedded(
        self, faces: Sequence[Face], wanted: Sequence[int], shown: VideoFrame
    ) -> list[Sample | None]:
        """A sample of each wanted face that passes the gate."""
        found: list[Sample | None] = [None] * len(faces)
        passed: list[tuple[int, Quality]] = []
        for which in wanted:
            try:
                quality = self._found.assess([faces[which]])[0]
            except DegenerateLandmarksError:
                continue
            if check(quality, self.settings.gate).accepted:
                passed.append((which, quality))
        if not passed:
            return found
        embeddings = self._found.embed([faces[which] for which, _ in passed])
        self.embedded += len(embeddings)
        for (which, quality), embedding in zip(passed, embeddings, strict=True):
            found[which] = Sample(embedding, quality, weight_of(quality), shown.time_s)
        return found

    def _note(self, number: int, face: Face, sample: Sample | None, shown: VideoFrame) -> None:
        track = self._open.get(number)
        if track is None:
            track = self._open[number] = _Open(number, face)
            track.looked_s = shown.time_s
        track.sights.append(Sight(shown.number, shown.time_s, shown.duration_s, face.box))
        if sample is not None:
            track.samples = sorted([*track.samples, sample], key=lambda s: -s.weight)
            del track.samples[self.settings.best :]
        rank = _rank(face, sample.weight if sample else 0.0)
        if rank > track.portrait_rank:
            track.portrait, track.portrait_rank = _portrait(face), rank


def weight_of(quality: Quality) -> float:
    """What a picture counts: how well it will be recognised, less when the head is turned.

    The quality's score was fitted on heads within ±30° and says nothing about yaw; the cosine is
    the part of a face's width that is still seen.
    """
    yaw_deg = 0.0 if quality.pose is None else min(abs(quality.pose.yaw_deg), 85.0)
    return max(quality.score * cos(radians(yaw_deg)), 1e-6)


def _rank(face: Face, weight: float) -> tuple[float, float]:
    return weight, face.visible_area_px


def _portrait(face: Face) -> Image:
    """The face with some margin, copied, so that its frame can go."""
    box, image = face.box, face.frame.image
    margin = _PORTRAIT_MARGIN * max(box.width_px, box.height_px)
    high, wide = image.shape[:2]
    left, top = int(max(box.x1 - margin, 0)), int(max(box.y1 - margin, 0))
    right, bottom = int(min(box.x2 + margin, wide)), int(min(box.y2 + margin, high))
    left, top = min(left, wide - 1), min(top, high - 1)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)].copy()
