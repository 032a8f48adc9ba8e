"""Around PyAV: sizes, times and pixels of decoded frames."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.errors import MissingExtraError, RangeError, VideoTooLargeError, VideoTooSmallError
from vultus.sources.frames import VideoLimits
from vultus.types import Image

if TYPE_CHECKING:
    from av import VideoFrame as Decoded
    from av.video.stream import VideoStream

__all__ = [
    "Clock",
    "check_fps",
    "check_size",
    "is_cover",
    "need_av",
    "picture_of",
    "quarter_turns",
    "reason_of",
    "shrunk",
    "usable_rate",
]

# Rates outside this range are headers' inventions: 90,000 is the clock of MPEG, no frame rate.
_FPS_RANGE = (0.01, 1000.0)


class Clock:
    """Source times that rise from frame to frame, whatever the file says."""

    def __init__(self, fps: float | None) -> None:
        self._step_s = 1.0 / fps if fps else 0.0
        self._start_s: float | None = None
        self._last_s = -1.0
        self.end_s = 0.0

    def tell(self, picture: Decoded) -> float:
        """Time of the next frame, in seconds from the first."""
        told = picture.time
        if told is not None and self._start_s is None:
            self._start_s = told
        step_s = self._step_s or max(self.end_s - self._last_s, 1e-3)
        time_s = 0.0 if told is None or self._start_s is None else told - self._start_s
        if self._last_s >= 0.0 and (told is None or time_s <= self._last_s):
            time_s = self._last_s + step_s
        # A coder that sends pictures out of order mixes up their durations: a last one of more
        # than two usual ones is not believed.
        length_s = step_s
        if picture.duration and picture.time_base:
            told_s = float(picture.duration * picture.time_base)
            length_s = min(told_s, 2.0 * self._step_s) if self._step_s else told_s
        self._last_s, self.end_s = time_s, time_s + length_s
        return time_s


def need_av() -> Any:
    """PyAV.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            "videos and cameras need PyAV, which is not installed",
            remedy="pip install 'vultus[video]'",
        ) from error
    return av


def picture_of(picture: Decoded, limits: VideoLimits, label: str) -> Image:
    """The pixels of a decoded frame, upright.

    Args:
        picture: From PyAV.
        limits: Bounds on it.
        label: For messages.

    Returns:
        (h, w, 3) uint8, RGB.

    Raises:
        VideoTooLargeError: It is beyond the limits.
        VideoTooSmallError: It is below them.
    """
    check_size(picture.width, picture.height, limits, label)
    wide, high = shrunk(picture.width, picture.height, limits.max_side_px)
    image = picture.to_ndarray(format="rgb24", width=wide, height=high)
    turns = quarter_turns(picture)
    return np.ascontiguousarray(np.rot90(image, turns) if turns else image)


def check_size(width_px: int, height_px: int, limits: VideoLimits, label: str) -> None:
    """Require a frame's size to be within the limits.

    Raises:
        VideoTooLargeError: It is not.
        VideoTooSmallError: Likewise.
    """
    if width_px * height_px > limits.most_pixels:
        raise VideoTooLargeError(
            f"frames of {label} may have {limits.most_pixels:,} pixels, "
            f"they are {width_px} × {height_px}",
            path=label,
            expected=limits.most_pixels,
            actual=width_px * height_px,
        )
    if min(width_px, height_px) < limits.min_side_px:
        raise VideoTooSmallError(
            f"frames of {label} must be at least {limits.min_side_px} px wide and high, "
            f"they are {width_px} × {height_px}",
            path=label,
            expected=limits.min_side_px,
            actual=min(width_px, height_px),
        )


def shrunk(width_px: int, height_px: int, max_side_px: int | None) -> tuple[int, int]:
    """Width and height after shrinking the longer side to at most `max_side_px`."""
    longer = max(width_px, height_px)
    if max_side_px is None or longer <= max_side_px:
        return width_px, height_px
    ratio = max_side_px / longer
    return max(1, round(width_px * ratio)), max(1, round(height_px * ratio))


def quarter_turns(picture: Decoded) -> int:
    """Counter-clockwise quarter turns that make the picture upright."""
    return round(picture.rotation / 90.0) % 4


def is_cover(stream: VideoStream) -> bool:
    """Whether this is a cover picture in a file of music."""
    flags = stream.disposition
    return bool(flags & type(flags).attached_pic)


def usable_rate(stream: VideoStream) -> float | None:
    """Frames per second as the header says, where that can be true."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if isinstance(rate, Fraction) and _FPS_RANGE[0] <= rate <= _FPS_RANGE[1]:
            return float(rate)
    return None


def check_fps(fps: float) -> None:
    """Require a rate that frames can have.

    Raises:
        RangeError: It is not in range, or no number.
    """
    if not _FPS_RANGE[0] <= fps <= _FPS_RANGE[1]:
        raise RangeError(
            f"frames per second must lie in {_FPS_RANGE[0]:g}..{_FPS_RANGE[1]:g}, got {fps}"
        )


def reason_of(error: Exception) -> str:
    """What the system or FFmpeg says of an error."""
    return getattr(error, "strerror", None) or str(error)
