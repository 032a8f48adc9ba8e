"""What every source of moving pictures gives: frames with their time, number and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from types import TracebackType
from typing import Protocol, Self

from vultus.errors import RangeError
from vultus.types import Frame

__all__ = ["Ending", "FrameSource", "Gap", "VideoFrame", "VideoInfo", "VideoLimits"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that are missing before a frame, or at the end of a file.

    Attributes:
        reason: What happened: "2 frames could not be decoded".
        frames: How many are missing; ``None`` when nobody knows.
    """

    reason: str
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What a source turned out to be, once its last frame was read.

    Attributes:
        frames: How many frames there were, those passed over and those damaged included.
        duration_s: From the first frame to the end of the last, as measured.
        missing: What the source promised and did not give; ``None`` when nothing is missing.
    """

    frames: int
    duration_s: float
    missing: Gap | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One upright picture of a video, and when it was shown.

    Attributes:
        frame: The picture.
        time_s: Source time in seconds, rising from frame to frame; 0 at a file's first frame, or
            where a camera was first opened.
        number: Counts the source's frames from 0, those that were passed over included.
        duration_s: How long it is shown, as the source says, else one frame at the nominal rate.
        gap: Why frames before this one are missing; ``None`` when none are.

    Raises:
        RangeError: A time or number is negative or not finite.
    """

    frame: Frame = field(repr=False)
    time_s: float
    number: int
    duration_s: float = 0.0
    gap: Gap | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.time_s) and self.time_s >= 0.0):
            raise RangeError(f"a frame's time must be finite and at least 0 s, got {self.time_s}")
        if not (isfinite(self.duration_s) and self.duration_s >= 0.0):
            raise RangeError(f"a frame's duration must be at least 0 s, got {self.duration_s}")
        if self.number < 0:
            raise RangeError(f"a frame's number must be at least 0, got {self.number}")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a source says of itself; a header may lie, only the frames tell.

    Attributes:
        label: Path or address, passwords masked.
        width_px: Of the upright frames, as they are handed out.
        height_px: Likewise.
        fps: Nominal frames per second; ``None`` when the source does not say.
        frames: Declared number of frames; ``None`` when the source does not say.
        duration_s: Declared length; ``None`` likewise.
        live: Whether frames come as they happen, and are lost when nobody takes them.
        codec: Short name of the coding, ``h264`` say.
        start_s: When the first frame is shown, by a player's clock.
    """

    label: str
    width_px: int
    height_px: int
    fps: float | None = None
    frames: int | None = None
    duration_s: float | None = None
    live: bool = False
    codec: str = ""
    start_s: float = 0.0


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """How much one frame may ask of the machine, and how little is of use.

    Attributes:
        max_pixels: Most pixels of a frame that is taken as it is. 4096 × 2304 holds every form
            of 4K; 8K is above.
        max_side_px: Frames with a longer side are shrunk to it while they are read, ≥ 32; they
            may then have up to eight times `max_pixels`. ``None``: nothing is shrunk.
        min_side_px: Least width and height; no detector finds a face in less than 16 px.

    Raises:
        RangeError: A limit is out of its range.
    """

    max_pixels: int = 4096 * 2304
    max_side_px: int | None = None
    min_side_px: int = 16

    def __post_init__(self) -> None:
        if self.max_pixels < 1 or self.min_side_px < 1:
            raise RangeError("VideoLimits.max_pixels and min_side_px must be at least 1")
        if self.max_side_px is not None and self.max_side_px < 32:
            raise RangeError(f"VideoLimits.max_side_px must be at least 32, got {self.max_side_px}")

    @property
    def most_pixels(self) -> int:
        """Most pixels of a frame before it is shrunk."""
        return self.max_pixels if self.max_side_px is None else 8 * self.max_pixels


class FrameSource(Protocol):
    """A video file, an image sequence or a camera.

    One consumer at a time. A live source hands out the newest frame and drops what nobody took
    in time; any other hands out every frame.
    """

    @property
    def info(self) -> VideoInfo:
        """What the source says of itself."""
        ...

    @property
    def ending(self) -> Ending | None:
        """What the source turned out to be; ``None`` until the last frame was read."""
        ...

    def read(self, every: int = 1) -> Iterator[VideoFrame]:
        """The frames, from the beginning; of every `every` frames the first."""
        ...

    def close(self) -> None:
        """Let files, sockets and threads go; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
