"""A whole video: who is in it, and when; the same video with the names drawn in."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

from vultus.draw import UNKNOWN, Mark, annotate, contact_sheet, person_color
from vultus.errors import RangeError
from vultus.gallery import Gallery
from vultus.pipeline import Recognizer
from vultus.sources.frames import FrameSource, VideoFrame
from vultus.sources.recording import VideoWriter
from vultus.types import Image
from vultus.watch.appearances import Appearances, Person, boxes_between, gather
from vultus.watch.follow import Follower, FollowSettings, Sight
from vultus.watch.identity import name_tracks, same_person

__all__ = ["draw_video", "sheet_of", "watch_video"]

_SHEET_MOST = 60
_FALLBACK_FPS = 25.0


def watch_video(
    source: FrameSource,
    found: Recognizer,
    gallery: Gallery,
    *,
    every: int = 3,
    groups: Collection[str] | None = None,
    settings: FollowSettings | None = None,
    frames: Iterable[VideoFrame] | None = None,
) -> Appearances:
    """Who is in a video, and when?

    Args:
        source: A video file or image sequence.
        found: Detects, embeds and decides.
        gallery: Open.
        every: Look for faces in every so many frames, and follow them in between, ≥ 1.
        groups: Only members of any of these; ``None``: everybody.
        settings: How much work each face is worth.
        frames: What ``source.read(every)`` gives, when the caller counts along.

    Raises:
        VideoError: The video cannot be read.
        RangeError: `every` is below 1.
        SpaceMismatchError: The gallery was made with another model.
    """
    if every < 1:
        raise RangeError(f"every must be at least 1, got {every}")
    follower = Follower(found, settings)
    for shown in source.read(every) if frames is None else frames:
        follower.see(shown)
    tracks = follower.finish()
    # What is found once and not in the next frame is more often a pattern than a face.
    lasting = [t for t in tracks if follower.frames == 1 or _twice_running(t.sights, every)]
    answers = name_tracks(lasting, found, gallery, groups=groups)
    people = gather(answers, same=same_person(found), every=every)
    ending, info = source.ending, source.info
    if ending is None:  # the caller stopped early
        sights = [sight for track in tracks for sight in track.sights]
        count = max((sight.number + 1 for sight in sights), default=0)
        end_s = max((sight.time_s + sight.duration_s for sight in sights), default=0.0)
        missing = None
    else:
        count, end_s, missing = ending.frames, ending.duration_s, ending.missing
    fps = count / end_s if end_s > 0.0 else info.fps or 0.0
    return Appearances(count, fps, end_s, people, missing, follower.embedded, follower.frames)


def draw_video(
    frames: Iterable[VideoFrame],
    seen: Appearances,
    path: str | os.PathLike[str],
    *,
    every: int,
    threads: int | None = None,
) -> None:
    """Write a video with the people of `seen` drawn in, each under one name from start to end.

    Args:
        frames: All of the video's, ``source.read()``.
        seen: What `watch_video` found.
        path: Ends in ``.mp4``; replaced in one step.
        every: As for `watch_video`.
        threads: For encoding.

    Raises:
        OutputError: It cannot be written.
        VideoError: The video cannot be read.
    """
    marks = _marks(seen.people, every)
    with VideoWriter(path, fps=seen.fps or _FALLBACK_FPS, threads=threads) as writer:
        for shown in frames:
            image, own = shown.frame.image, marks.get(shown.number, [])
            writer.write(annotate(image, own) if own else image, shown.time_s)


def sheet_of(seen: Appearances) -> Image | None:
    """The people of a video on one picture; ``None`` when nobody was seen."""
    items = list(_portraits(seen.people[:_SHEET_MOST]))
    return contact_sheet(items, thumb_px=200) if items else None


def _twice_running(sights: Sequence[Sight], every: int) -> bool:
    return any(b.number - a.number <= every for a, b in pairwise(sights))


def _portraits(people: Sequence[Person]) -> Iterator[tuple[Image, str]]:
    for who, number in zip(people, _numbers(people), strict=True):
        best = max(
            who.answers, key=lambda answer: max((s.weight for s in answer.track.samples), default=0)
        )
        times = f"{who.seconds:.1f} s from {who.stretches[0].start_s:.1f} s"
        yield best.track.portrait, f"{_label(who, number)}\n{times}"


def _label(who: Person, number: int) -> str:
    return who.name if who.name is not None else f"unknown {number}"


def _numbers(people: Sequence[Person]) -> list[int]:
    """Counts the unknown ones from 1; known ones have 0."""
    numbers, count = [], 0
    for who in people:
        count += who.name is None
        numbers.append(count if who.name is None else 0)
    return numbers


def _marks(people: Sequence[Person], every: int) -> dict[int, list[Mark]]:
    """What to draw in each frame."""
    found: dict[int, list[Mark]] = {}
    for who, number in zip(people, _numbers(people), strict=True):
        label = _label(who, number)
        color = UNKNOWN if who.name is None else person_color(who.name)
        for answer in who.answers:
            for frame, box in boxes_between(answer.track.sights, every).items():
                found.setdefault(frame, []).append(Mark(box, label, color=color))
    return found
