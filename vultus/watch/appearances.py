"""When each person of a video is to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vultus.sources.frames import Gap
from vultus.types import Box
from vultus.watch.follow import Sight
from vultus.watch.identity import TrackAnswer

__all__ = ["Appearances", "Person", "Stretch", "boxes_between", "gather"]

# A face that is back within this time was turned away or covered, not gone.
_BRIDGE_S = 0.5
_DIGITS = 3  # of times: a millisecond


@dataclass(frozen=True, slots=True)
class Stretch:
    """Somebody is to be seen without a break.

    Attributes:
        start_s: When their first frame is shown.
        end_s: When their last frame ends.
        frames: From the first to the last, those between detections included.
    """

    start_s: float
    end_s: float
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of a video.

    Attributes:
        name: ``None``: nobody the gallery knows.
        person: Their id in the gallery; ``None`` likewise.
        seconds: How long they are to be seen in all.
        stretches: By rising time.
        answers: The tracks behind it.
    """

    name: str | None
    person: str | None
    seconds: float
    stretches: tuple[Stretch, ...]
    answers: tuple[TrackAnswer, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Appearances:
    """What was seen in a video.

    Attributes:
        frames: Of the video.
        fps: Frames per second, as measured over the whole.
        duration_s: As measured.
        people: Known ones first, each kind by falling time on screen.
        missing: What the file promised and did not give; ``None`` when nothing is missing.
        embedded: How many faces were embedded.
        detected: In how many frames faces were looked for.
    """

    frames: int
    fps: float
    duration_s: float
    people: tuple[Person, ...]
    missing: Gap | None = None
    embedded: int = 0
    detected: int = 0

    def to_object(self) -> dict[str, object]:
        """The form of ``appearances.json``."""
        return {
            "frames": self.frames,
            "fps": round(self.fps, _DIGITS),
            "duration_s": round(self.duration_s, _DIGITS),
            "people": [
                {
                    "name": person.name,
                    "seconds": round(person.seconds, _DIGITS),
                    "tracks": [
                        {
                            "start_s": round(stretch.start_s, _DIGITS),
                            "end_s": round(stretch.end_s, _DIGITS),
                            "frames": stretch.frames,
                        }
                        for stretch in person.stretches
                    ],
                }
                for person in self.people
            ],
        }


def gather(
    answers: Sequence[TrackAnswer], *, same: float | None, every: int = 1
) -> tuple[Person, ...]:
    """Put tracks together to people.

    Known ones by who they are; unknown ones when their templates are alike and they share no
    frame, the most alike first. Tracks that could not be judged stay alone.

    Args:
        answers: Of one video.
        same: Cosine from which two unknown tracks are one person; ``None``: each stays alone.
        every: In every so many frames faces were looked for; what is closer is no break.
    """
    known: dict[str, list[TrackAnswer]] = {}
    unknown: list[list[TrackAnswer]] = []
    for answer in answers:
        if answer.person is None:
            unknown.append([answer])
        else:
            known.setdefault(answer.person, []).append(answer)
    if same is not None:
        unknown = _merged(unknown, same)
    people = [_person(group, every) for group in [*known.values(), *unknown]]
    return tuple(
        sorted(people, key=lambda p: (p.person is None, -p.seconds, p.stretches[0].start_s))
    )


def boxes_between(sights: Sequence[Sight], every: int) -> dict[int, Box]:
    """Where a face is in every frame of its stretches; between detections on a straight line.

    Args:
        sights: Of one track, by rising time.
        every: As for `gather`.

    Returns:
        The box by the frame's number.
    """
    found = {sight.number: sight.box for sight in sights}
    for first, second in pairwise(sights):
        if _one_stretch(first, second, every):
            span = second.number - first.number
            for number in range(first.number + 1, second.number):
                part = (number - first.number) / span
                pairs = zip(first.box.xyxy, second.box.xyxy, strict=True)
                found[number] = Box(*(a + part * (b - a) for a, b in pairs))
    return found


def _one_stretch(first: Sight, second: Sight, every: int) -> bool:
    near = second.number - first.number <= 2 * every
    return near or second.time_s - first.time_s <= _BRIDGE_S


def _stretches(sights: Sequence[Sight], every: int) -> list[Stretch]:
    parts: list[list[Sight]] = []
    for sight in sights:
        if parts and _one_stretch(parts[-1][-1], sight, every):
            parts[-1].append(sight)
        else:
            parts.append([sight])
    return [
        Stretch(
            part[0].time_s,
            part[-1].time_s + part[-1].duration_s,
            part[-1].number - part[0].number + 1,
        )
        for part in parts
    ]


def _person(group: Sequence[TrackAnswer], every: int) -> Person:
    stretches = [s for answer in group for s in _stretches(answer.track.sights, every)]
    stretches.sort(key=lambda s: (s.start_s, s.end_s))
    return Person(
        group[0].name,
        group[0].person,
        _covered_s((s.start_s, s.end_s) for s in stretches),
        tuple(stretches),
        tuple(group),
    )


def _covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans that come by rising start."""
    total, reached = 0.0, 0.0
    for start_s, end_s in spans:
        total += max(end_s - max(start_s, reached), 0.0)
        reached = max(reached, end_s)
    return total


def _merged(groups: list[list[TrackAnswer]], same: float) -> list[list[TrackAnswer]]:
    """Complete linkage: every track of a group is like every other, and never beside it."""
    pairs = sorted(
        (-first.template.similarity(second.template), i, j)
        for i, (first,) in enumerate(groups)
        for j, (second,) in enumerate(groups[:i])
        if first.template is not None and second.template is not None
    )
    allowed = {frozenset((i, j)) for negative, i, j in pairs if -negative >= same}
    frames = [{sight.number for sight in group[0].track.sights} for group in groups]
    allowed = {pair for pair in allowed if not set.intersection(*(frames[i] for i in pair))}
    home = {i: [i] for i in range(len(groups))}
    for _, i, j in pairs:
        first, second = home[i], home[j]
        if first is not second and all(frozenset((a, b)) in allowed for a in first for b in second):
            first.extend(second)
            for member in second:
                home[member] = first
    distinct = {id(members): members for members in home.values()}
    return [[groups[i][0] for i in sorted(members)] for members in distinct.values()]
