"""Links faces between the frames of a video: a motion model, boxes that overlap, and looks.

Values in, values out: nothing here reads a clock, draws a random number or keeps a state of its
own. One frame takes three calls, of which the second is for whoever wants to embed few faces::

    tracks = predicted(tracks, time_s)
    which = unclear(tracks, observations, settings)  # position alone does not decide these
    step = associate(tracks, observations, time_s, settings)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.errors import MissingExtraError, RangeError
from vultus.types import Box

__all__ = [
    "Observation",
    "Step",
    "Track",
    "TrackSettings",
    "Tracks",
    "after_cut",
    "associate",
    "predicted",
    "unclear",
]

_Floats: TypeAlias = NDArray[np.float64]

# Noise of Wojke et al. 2017 ("Simple online and realtime tracking with a deep association
# metric"; github.com/nwojke/deep_sort, kalman_filter.py): deviations as parts of the box's height,
# 1/20 for positions and 1/160 for velocities, per frame; here per second, at the 30 frames per
# second of the videos it was made on.
_POSITION, _VELOCITY, _RATE = 1.0 / 20.0, 1.0 / 160.0, 30.0
_LEAST_SIDE_PX = 1.0
# How much of a track's look stays when a new one comes: 0.9, Zhang et al. 2021 (FairMOT), as in
# BoT-SORT.
_STAYS = 0.9
_NEVER = 1e6  # the cost of what may not be joined


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """When two boxes are one face.

    The overlaps are those of ByteTrack (Zhang et al. 2022, "ByteTrack: multi-object tracking by
    associating every detection box"; its distance limits 0.8, 0.5 and 0.7 are 1 − IoU).

    Attributes:
        high_score: Detections from this score on may begin a track.
        first_iou: Least overlap of a detection with a high score.
        second_iou: Least overlap of one with a low score.
        new_iou: Least overlap with a track that was seen once.
        sure_iou: From this overlap on, position alone decides where there is no second choice.
        lost_s: How long a face that is out of sight is waited for.
        same: Cosine from which two looks are one person; ``None``: looks are not compared.
        different: Cosine below which they are not, whatever their boxes say.

    Raises:
        RangeError: A value is out of its range.
    """

    high_score: float = 0.6
    first_iou: float = 0.2
    second_iou: float = 0.5
    new_iou: float = 0.3
    sure_iou: float = 0.5
    lost_s: float = 2.0
    same: float | None = None
    different: float = -1.0

    def __post_init__(self) -> None:
        for name in ("high_score", "first_iou", "second_iou", "new_iou", "sure_iou"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise RangeError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if not (isfinite(self.lost_s) and self.lost_s >= 0.0):
            raise RangeError(f"lost_s must be finite and at least 0, got {self.lost_s}")
        if not -1.0 <= self.different <= 1.0 or not -1.0 <= (self.same or 0.0) <= 1.0:
            raise RangeError("same and different must be cosines in [-1, 1]")
        if self.same is not None and self.same < self.different:
            raise RangeError(
                f"same must be at least different, got {self.same} and {self.different}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A face that was found in a frame.

    Attributes:
        box: Where.
        score: The detector's, in [0, 1].
        look: (d,) unit vector of its embedding; ``None`` when it was not embedded.
    """

    box: Box
    score: float
    look: NDArray[np.floating] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face, followed.

    Attributes:
        number: Counts up from 1; never used again.
        state: (4, 2) position and velocity per second of centre x, centre y, width and height,
            in pixels.
        spread: (4, 3) variance of each position, its covariance with the velocity, and the
            variance of the velocity.
        hits: How often it was found.
        first_s: When it was first found.
        seen_s: When it was last found.
        lost: Whether the latest frame did not show it.
        displaced: Whether its place says nothing any more, after a cut.
        look: (d,) unit vector, the running mean of its looks; ``None`` before the first.
    """

    number: int
    state: _Floats = field(repr=False)
    spread: _Floats = field(repr=False)
    hits: int
    first_s: float
    seen_s: float
    lost: bool = False
    displaced: bool = False
    look: NDArray[np.floating] | None = field(default=None, repr=False)

    @property
    def box(self) -> Box:
        """Where it is, or is believed to be."""
        x, y, wide, high = self.state[:, 0]
        return Box(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


@dataclass(frozen=True, slots=True)
class Tracks:
    """Everybody who is followed at one moment.

    Attributes:
        alive: By rising number.
        next_number: That of the next new track.
        time_s: Of the latest frame; ``None`` before the first.
    """

    alive: tuple[Track, ...] = ()
    next_number: int = 1
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a frame changed.

    Attributes:
        tracks: Afterwards.
        numbers: For each observation the number of its track; ``None`` for a low score that
            belongs to nobody.
        begun: Numbers of new tracks.
        ended: Numbers of those that were given up.
    """

    tracks: Tracks
    numbers: tuple[int | None, ...]
    begun: tuple[int, ...]
    ended: tuple[int, ...]


def predicted(tracks: Tracks, time_s: float) -> Tracks:
    """Move every track to where it should be by now, at constant velocity.

    Args:
        tracks: As of an earlier frame.
        time_s: Of the next one, any time later; frames need not come at a fixed rate.

    Raises:
        RangeError: The time is not finite, or runs backwards.
    """
    past = time_s if tracks.time_s is None else tracks.time_s
    if not isfinite(time_s) or time_s < past:
        raise RangeError(f"a frame's time must not run backwards, got {time_s} s after {past} s")
    moved = tuple(_moved(track, time_s - past) for track in tracks.alive)
    return Tracks(moved, tracks.next_number, time_s)


def after_cut(tracks: Tracks) -> Tracks:
    """The picture has changed altogether: only a look can say that somebody is still there."""
    return replace(tracks, alive=tuple(replace(t, lost=True, displaced=True) for t in tracks.alive))


def unclear(
    tracks: Tracks, observations: Sequence[Observation], settings: TrackSettings
) -> tuple[int, ...]:
    """Which observations need a look, because their place leaves a choice or fits nobody.

    Args:
        tracks: From `predicted`, for this frame.
        observations: Of this frame.
        settings: As for `associate`.

    Returns:
        Positions in `observations`, rising.
    """
    here = [track for track in tracks.alive if not track.displaced]
    overlap = _overlap([track.box for track in here], [seen.box for seen in observations])
    rivals = overlap >= settings.first_iou
    found = []
    for which in range(len(observations)):
        mine = np.flatnonzero(rivals[:, which])
        if len(mine) == 1 and rivals[mine[0]].sum() == 1:
            track = here[int(mine[0])]
            if overlap[mine[0], which] >= settings.sure_iou and not track.lost:
                continue
        found.append(which)
    return tuple(found)


def associate(
    tracks: Tracks,
    observations: Sequence[Observation],
    time_s: float,
    settings: TrackSettings | None = None,
) -> Step:
    """Give every observation its track.

    First those with a high score are joined to the tracks that they overlap, or look like; then
    those with a low score to tracks still in sight that nobody claimed (ByteTrack's two stages);
    then what is left of the high ones to tracks seen only once; whoever then remains begins a
    track. A look below `TrackSettings.different` keeps two boxes apart however they overlap, so
    that one face's track does not pass to another; a look of `same` and more finds somebody again
    who was out of sight, wherever they reappear.

    Args:
        tracks: Of the frame before, or from `predicted`.
        observations: In any order.
        time_s: Of this frame.
        settings: When two boxes are one face.

    Raises:
        RangeError: The time runs backwards.
        MissingExtraError: SciPy is not installed.
    """
    settings = settings or TrackSettings()
    tracks = predicted(tracks, time_s)
    gone = [t.number for t in tracks.alive if time_s - t.seen_s > settings.lost_s]
    alive = [t for t in tracks.alive if t.number not in gone]
    pairs = _pairs(alive, observations, settings)
    numbers: list[int | None] = [None] * len(observations)
    kept: list[Track] = []
    for index, track in enumerate(alive):
        which = pairs.get(index)
        if which is not None:
            numbers[which] = track.number
            kept.append(_updated(track, observations[which], time_s))
        else:
            kept.append(replace(track, lost=True))
    begun = []
    number = tracks.next_number
    for which, seen in enumerate(observations):
        if numbers[which] is None and seen.score >= settings.high_score:
            numbers[which] = number
            begun.append(number)
            kept.append(_begun(number, seen, time_s))
            number += 1
    return Step(Tracks(tuple(kept), number, time_s), tuple(numbers), tuple(begun), tuple(gone))


def _pairs(
    alive: Sequence[Track], observations: Sequence[Observation], settings: TrackSettings
) -> dict[int, int]:
    """Which track (position) gets which observation (position)."""
    overlap = _overlap([t.box for t in alive], [o.box for o in observations])
    overlap[[t.displaced for t in alive], :] = 0.0
    alike = _alike(alive, observations)
    with np.errstate(invalid="ignore"):  # where one has no look, nothing is said
        apart = alike < settings.different
        known = np.zeros_like(apart) if settings.same is None else alike >= settings.same
    gain = np.where(known, np.maximum(overlap, np.nan_to_num(alike)), overlap)
    high = np.array([o.score >= settings.high_score for o in observations], bool)
    old = np.array([t.hits > 1 for t in alive], bool)
    sight = np.array([not t.lost for t in alive], bool)
    stages = (
        (old, high, (overlap >= settings.first_iou) | known),
        (old & sight, ~high, overlap >= settings.second_iou),
        (~old, high, (overlap >= settings.new_iou) | known),
    )
    found: dict[int, int] = {}
    for rows, columns, fits in stages:
        free_rows = [i for i in np.flatnonzero(rows).tolist() if i not in found]
        taken = set(found.values())
        free_columns = [j for j in np.flatnonzero(columns).tolist() if j not in taken]
        if free_rows and free_columns:
            corner = np.ix_(free_rows, free_columns)
            cost = np.where(fits[corner] & ~apart[corner], 1.0 - gain[corner], _NEVER)
            for i, j in _assigned(cost):
                found[free_rows[i]] = free_columns[j]
    return found


def _assigned(cost: _Floats) -> list[tuple[int, int]]:
    """The cheapest assignment, without what may not be joined."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise MissingExtraError(
            "following faces needs SciPy, which is not installed",
            remedy="pip install 'vultus[video]'",
        ) from error
    rows, columns = linear_sum_assignment(cost)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, j) for i, j in pairs if cost[i, j] < _NEVER / 2]


def _overlap(first: Sequence[Box], second: Sequence[Box]) -> _Floats:
    """(n, m) intersection over union."""
    a = np.array([box.xyxy for box in first], np.float64).reshape(-1, 1, 4)
    b = np.array([box.xyxy for box in second], np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (a, b)]
    result: _Floats = shared / (areas[0] + areas[1] - shared)
    return result


def _alike(alive: Sequence[Track], observations: Sequence[Observation]) -> _Floats:
    """(n, m) cosines of looks; NaN where one is not known."""
    cosines = np.full((len(alive), len(observations)), np.nan)
    rows = [i for i, t in enumerate(alive) if t.look is not None]
    columns = [j for j, o in enumerate(observations) if o.look is not None]
    if rows and columns:
        own = np.stack([np.asarray(alive[i].look, np.float64) for i in rows])
        new = np.stack([np.asarray(observations[j].look, np.float64) for j in columns])
        cosines[np.ix_(rows, columns)] = np.clip(own @ new.T, -1.0, 1.0)
    return cosines


def _measured(box: Box) -> _Floats:
    return np.array([*box.center_xy, box.width_px, box.height_px])


def _begun(number: int, seen: Observation, time_s: float) -> Track:
    state = np.stack([_measured(seen.box), np.zeros(4)], axis=1)
    # DeepSORT begins with twice the position's deviation and ten times the velocity's.
    high = seen.box.height_px
    row = [(2 * _POSITION * high) ** 2, 0.0, (10 * _VELOCITY * high * _RATE) ** 2]
    return Track(number, state, np.tile(row, (4, 1)), 1, time_s, time_s, look=seen.look)


def _moved(track: Track, step_s: float) -> Track:
    """Constant velocity: each coordinate has a Kalman filter of its own, as in DeepSORT."""
    if step_s == 0.0:
        return track
    state, spread = track.state.copy(), track.spread.copy()
    state[:, 0] += step_s * state[:, 1]
    state[2:, 0] = np.maximum(state[2:, 0], _LEAST_SIDE_PX)
    frames = step_s * _RATE
    high = state[3, 0]
    spread[:, 0] += 2 * step_s * track.spread[:, 1] + step_s**2 * track.spread[:, 2]
    spread[:, 0] += frames * (_POSITION * high) ** 2
    spread[:, 1] += step_s * track.spread[:, 2]
    spread[:, 2] += frames * (_VELOCITY * high * _RATE) ** 2
    return replace(track, state=state, spread=spread)


def _updated(track: Track, seen: Observation, time_s: float) -> Track:
    look = track.look if seen.look is None else seen.look
    if track.look is not None and seen.look is not None:
        mixed = _STAYS * track.look + (1.0 - _STAYS) * seen.look
        length = float(np.linalg.norm(mixed))
        look = mixed / length if length > 0.0 else track.look
    if track.displaced:  # found again elsewhere: where it was says nothing
        fresh = _begun(track.number, seen, time_s)
        return replace(fresh, hits=track.hits + 1, first_s=track.first_s, look=look)
    measured = _measured(seen.box)
    noise = (_POSITION * seen.box.height_px) ** 2
    inner = track.spread[:, 0] + noise
    gain = track.spread[:, :2] / inner[:, None]
    state = track.state + gain * (measured - track.state[:, 0])[:, None]
    state[2:, 0] = np.maximum(state[2:, 0], _LEAST_SIDE_PX)
    spread = np.stack(
        [
            track.spread[:, 0] * (1.0 - gain[:, 0]),
            track.spread[:, 1] * (1.0 - gain[:, 0]),
            track.spread[:, 2] - gain[:, 1] * track.spread[:, 1],
        ],
        axis=1,
    )
    return Track(track.number, state, spread, track.hits + 1, track.first_s, time_s, look=look)
