"""Frames of video files, each upright and with its own time; the door for moving pictures."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vultus.errors import (
    NoVideoStreamError,
    RangeError,
    VideoDamagedError,
    VideoFormatError,
    VideoNotFoundError,
)
from vultus.sources._av import (
    Clock,
    check_fps,
    check_size,
    is_cover,
    need_av,
    picture_of,
    quarter_turns,
    reason_of,
    shrunk,
    usable_rate,
)
from vultus.sources.frames import Ending, FrameSource, Gap, VideoFrame, VideoInfo, VideoLimits
from vultus.sources.sequence import ImageSequence, is_pattern
from vultus.types import Frame

if TYPE_CHECKING:
    from av import VideoFrame as Decoded
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["VideoFile", "open_video"]

DEFAULT_LIMITS = VideoLimits()

# What a file may be: containers of pictures and sound, and bare streams. No playlists (hls, dash,
# concat …): they name other files and addresses, which a file from a stranger must not.
_CONTAINERS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegvideo",
    "mpegts", "flv", "ogg", "asf", "gif", "mjpeg", "m4v", "h264", "hevc", "ivf", "dv", "mxf",
    "nut", "rm", "wav", "mp3", "flac", "aac",
)  # fmt: skip
_MISSING_MOST = 10**6


def open_video(
    source: str | os.PathLike[str],
    *,
    limits: VideoLimits = DEFAULT_LIMITS,
    fps: float | None = None,
    threads: int | None = None,
) -> FrameSource:
    """Open a video file, or the pictures of a pattern such as ``img_%02d.jpg``.

    Args:
        source: Path of a file, or a pattern with one ``%d`` or ``%0Nd`` in the file's name.
        limits: Bounds on frames.
        fps: Of an image sequence (25 when ``None``), or of a file that does not say when its
            frames are shown.
        threads: For decoding; all the process may use when ``None``.

    Raises:
        VideoNotFoundError: No such file, or no picture fits the pattern.
        VideoFormatError: No video, or one whose frames have no times and no rate.
        NoVideoStreamError: Sound only.
        VideoTooLargeError: Frames beyond `limits`.
        VideoTooSmallError: Frames below them.
        RangeError: `fps` is not positive.
        MissingExtraError: The extra ``video`` is not installed.
    """
    name = os.fsdecode(source)
    if is_pattern(name) and not Path(name).exists():
        return ImageSequence(name, limits=limits, fps=25.0 if fps is None else fps)
    return VideoFile(name, limits=limits, fps=fps, threads=threads)


class VideoFile:
    """Every frame of a video file.

    Frames that cannot be decoded are left out, and the next one tells so. Times are the file's
    own, so that a variable frame rate is kept; where they are missing or run backwards, frames
    follow at the nominal rate. Pictures are turned upright as the file's display matrix says
    (quarter turns; mirrored ones are not turned back).

    Args:
        path: Of the file.
        limits: Bounds on frames.
        fps: For files that do not say when their frames are shown.
        threads: For decoding.

    Raises:
        VideoError: As for `open_video`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limits: VideoLimits = DEFAULT_LIMITS,
        fps: float | None = None,
        threads: int | None = None,
    ) -> None:
        if fps is not None:
            check_fps(fps)
        self._path, self._limits, self._fps = os.fsdecode(path), limits, fps
        self._threads = threads
        self._ending: Ending | None = None
        self._container: InputContainer | None = None
        _check_file(self._path)
        container, stream = self._open()
        try:
            self._info = self._describe(container, stream)
        finally:
            container.close()

    @property
    def info(self) -> VideoInfo:
        """What the file's header says."""
        return self._info

    @property
    def ending(self) -> Ending | None:
        """What was found, told after the last frame."""
        return self._ending

    def read(self, every: int = 1) -> Iterator[VideoFrame]:
        """The frames, from the beginning.

        Args:
            every: Of so many frames the first; the others are decoded, and not converted.

        Raises:
            RangeError: `every` is below 1.
            VideoDamagedError: Not one frame can be decoded.
            VideoTooLargeError: A frame is beyond the limits; also one in the midst of the file.
        """
        if every < 1:
            raise RangeError(f"every must be at least 1, got {every}")
        self.close()
        self._container, stream = self._open()
        self._ending = None
        return self._frames(self._container, stream, every)

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        av = need_av()
        options = {"protocol_whitelist": "file", "format_whitelist": ",".join(_CONTAINERS)}
        try:
            container = av.open(f"file:{self._path}", options=options)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise VideoFormatError(
                f"{self._path} must be a video file, it cannot be opened: {reason_of(error)}",
                remedy="check that it is complete, or convert it to MP4 (H.264)",
                path=self._path,
            ) from error
        stream = next((s for s in container.streams.video if not is_cover(s)), None)
        if not container.streams:
            container.close()
            raise VideoDamagedError(
                f"{self._path} must hold a video, nothing in it can be found; it may be cut short",
                path=self._path,
            )
        if stream is None or stream.codec_context is None:
            container.close()
            raise NoVideoStreamError(
                f"{self._path} must have a video stream, it has none", path=self._path
            )
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads or 0
        return container, stream

    def _describe(self, container: InputContainer, stream: VideoStream) -> VideoInfo:
        check_size(stream.width, stream.height, self._limits, self._path)
        turned = False
        first = _first_frame(container, stream)
        if first is not None:
            check_size(first.width, first.height, self._limits, self._path)
            turned = quarter_turns(first) % 2 == 1
        size_wh = shrunk(stream.width, stream.height, self._limits.max_side_px)
        fps = self._fps or usable_rate(stream)
        if fps is None and (first is None or first.pts is None):
            raise VideoFormatError(
                f"{self._path} says neither when its frames are shown nor how many a second",
                remedy="say how many frames it has a second (fps, --fps)",
                path=self._path,
            )
        duration_s = None
        if stream.duration is not None and stream.time_base is not None and stream.duration > 0:
            duration_s = float(stream.duration * stream.time_base)
        elif container.duration is not None and container.duration > 0:
            duration_s = container.duration / 1e6  # AV_TIME_BASE
        start_s = 0.0
        if first is not None and first.time is not None:
            start_s = first.time - (container.start_time or 0) / 1e6
        return VideoInfo(
            label=self._path,
            width_px=size_wh[1] if turned else size_wh[0],
            height_px=size_wh[0] if turned else size_wh[1],
            fps=fps,
            frames=stream.frames or None,
            duration_s=duration_s,
            codec=stream.codec_context.name,
            start_s=max(start_s, 0.0),
        )

    def _frames(
        self, container: InputContainer, stream: VideoStream, every: int
    ) -> Iterator[VideoFrame]:
        clock = Clock(self._info.fps)
        number, good, waiting = 0, 0, 0
        broken: str | None = None
        ready: VideoFrame | None = None  # held back until it is known how long it is shown
        for picture in _pictures(container, stream):
            if isinstance(picture, str):
                number, waiting, broken = number + 1, waiting + 1, picture
                continue
            time_s = clock.tell(picture)
            if ready is not None:
                yield replace(ready, duration_s=time_s - ready.time_s)
                ready = None
            if number % every == 0:
                image = picture_of(picture, self._limits, self._path)
                frame = Frame(image, f"{self._path}#{number}")
                ready = VideoFrame(frame, time_s, number, gap=_undecoded(waiting))
                waiting = 0
            number, good = number + 1, good + 1
        if ready is not None:
            yield replace(ready, duration_s=clock.end_s - ready.time_s)
        if good == 0:
            raise VideoDamagedError(
                f"not one frame of {self._path} can be decoded: {broken or 'it has none'}",
                path=self._path,
            )
        missing = _missing(self._info, number, clock.end_s, waiting, broken)
        self._ending = Ending(number, clock.end_s, missing)


def _pictures(container: InputContainer, stream: VideoStream) -> Iterator[Decoded | str]:
    """Decoded frames; in place of one that cannot be decoded, why."""
    av = need_av()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError) as error:  # what comes behind cannot be found
            yield reason_of(error)
            return
        try:
            decoded = packet.decode()
        except av.FFmpegError as error:
            yield reason_of(error)
            continue
        for picture in decoded:
            # A corrupt one is what the decoder made up of the rest.
            yield "damaged" if picture.is_corrupt else picture


def _undecoded(count: int) -> Gap | None:
    return Gap(f"{count} frames could not be decoded", count) if count else None


def _first_frame(container: InputContainer, stream: VideoStream) -> Decoded | None:
    av = need_av()
    try:
        first: Decoded | None = next(container.decode(stream), None)
    except (av.FFmpegError, OSError):
        return None
    return first


def _missing(
    info: VideoInfo, frames: int, end_s: float, waiting: int, broken: str | None
) -> Gap | None:
    """What the header promised and the file did not hold; within one frame it did."""
    step_s = 1.0 / info.fps if info.fps else 0.1
    why = f" ({broken})" if broken else ""
    if info.frames is not None and frames - waiting < info.frames - 1:
        missing = min(info.frames - frames + waiting, _MISSING_MOST)
        return Gap(
            f"the file says it has {info.frames} frames, it ends after {frames - waiting}{why}",
            missing,
        )
    if info.frames is None and info.duration_s is not None:
        missing_s = info.duration_s - info.start_s - end_s
        if missing_s > max(2 * step_s, 0.5):  # sound may end a little after the picture
            return Gap(
                f"the file says it lasts {info.duration_s:.2f} s, "
                f"its picture ends after {end_s:.2f} s{why}"
            )
    return _undecoded(waiting)


def _check_file(path: str) -> None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib turns "" into "."
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoNotFoundError(f"{path} cannot be opened: {reason}", path=path) from error
    if not stat.S_ISREG(mode):
        raise VideoNotFoundError(
            f"{path} must be a regular file, it is a folder, pipe or device", path=path
        )
