"""Frames of video files and image sequences, each upright and with its own time."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vultus.errors import ImageError, MissingExtraError, RangeError
from vultus.sources._video_errors import (
    NoVideoStreamError,
    VideoDamagedError,
    VideoFormatError,
    VideoNotFoundError,
    VideoTooLargeError,
    VideoTooSmallError,
)
from vultus.sources.frames import Ending, FrameSource, Gap, VideoFrame, VideoInfo, VideoLimits
from vultus.sources.image import Limits, load_frame
from vultus.types import Frame, Image

if TYPE_CHECKING:
    from av import VideoFrame as Decoded
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["ImageSequence", "VideoFile", "need_av", "open_video", "picture_of"]

DEFAULT_LIMITS = VideoLimits()

# What a file may be: containers of pictures and sound, and bare streams. No playlists (hls, dash,
# concat …): they name other files and addresses, which a file from a stranger must not.
_CONTAINERS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpeg", "mpegvideo",
    "mpegts", "flv", "ogg", "asf", "gif", "mjpeg", "m4v", "h264", "hevc", "ivf", "dv", "mxf",
    "nut", "rm", "wav", "mp3", "flac", "aac",
)  # fmt: skip
# Rates outside this range are headers' inventions: 90,000 is the clock of MPEG, no frame rate.
_FPS_RANGE = (0.01, 1000.0)
_SEQUENCE = re.compile(r"%(0?)(\d*)d")
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
    if _SEQUENCE.search(Path(name).name) and not Path(name).exists():
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
            _check_fps(fps)
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
                f"{self._path} must be a video file, it cannot be opened: {_reason(error)}",
                remedy="check that it is complete, or convert it to MP4 (H.264)",
                path=self._path,
            ) from error
        stream = next((s for s in container.streams.video if not _is_cover(s)), None)
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
            turned = _quarter_turns(first) % 2 == 1
        size_wh = shrunk(stream.width, stream.height, self._limits.max_side_px)
        fps = self._fps or _usable_rate(stream)
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
        av = need_av()
        clock = _Clock(self._info.fps)
        number, good, waiting = 0, 0, 0
        broken: str | None = None
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.FFmpegError, OSError) as error:
                broken = _reason(error)
                break
            try:
                decoded = packet.decode()
            except av.FFmpegError as error:
                number, waiting, broken = number + 1, waiting + 1, _reason(error)
                continue
            for picture in decoded:
                if picture.is_corrupt:  # what the decoder made up of the rest
                    number, waiting, broken = number + 1, waiting + 1, "damaged"
                    continue
                time_s, duration_s = clock.tell(picture)
                if number % every == 0:
                    gap = (
                        Gap(f"{waiting} frames could not be decoded", waiting) if waiting else None
                    )
                    waiting = 0
                    image = picture_of(picture, self._limits, self._path)
                    label = f"{self._path}#{number}"
                    yield VideoFrame(Frame(image, label), time_s, number, duration_s, gap)
                number, good = number + 1, good + 1
        if good == 0:
            raise VideoDamagedError(
                f"not one frame of {self._path} can be decoded: {broken or 'it has none'}",
                path=self._path,
            )
        missing = _missing(self._info, number, clock.end_s, waiting, broken)
        self._ending = Ending(number, clock.end_s, missing)


class ImageSequence:
    """Numbered pictures as a video.

    Args:
        pattern: Path with one ``%d`` or ``%0Nd`` in the file's name.
        limits: Bounds on frames.
        fps: Pictures per second, > 0.

    Raises:
        VideoNotFoundError: No picture fits the pattern.
        RangeError: `fps` is not positive.
    """

    def __init__(
        self,
        pattern: str | os.PathLike[str],
        *,
        limits: VideoLimits = DEFAULT_LIMITS,
        fps: float = 25.0,
    ) -> None:
        _check_fps(fps)
        self._pattern, self._limits, self._fps = os.fsdecode(pattern), limits, fps
        self._ending: Ending | None = None
        self._files = _numbered(Path(self._pattern))
        height_px, width_px = self._load(self._files[0][1]).shape[:2]
        count = self._files[-1][0] - self._files[0][0] + 1
        self._info = VideoInfo(
            label=self._pattern,
            width_px=width_px,
            height_px=height_px,
            fps=fps,
            frames=count,
            duration_s=count / fps,
            codec="pictures",
        )

    @property
    def info(self) -> VideoInfo:
        """Size of the first picture, the rate, and how many numbers there are."""
        return self._info

    @property
    def ending(self) -> Ending | None:
        """What was found, told after the last frame."""
        return self._ending

    def read(self, every: int = 1) -> Iterator[VideoFrame]:
        """The pictures by rising number; a number that is missing leaves its time empty.

        A picture that cannot be read is left out, and the next one tells so.

        Args:
            every: Of so many pictures the first.

        Raises:
            RangeError: `every` is below 1.
            VideoDamagedError: Not one can be read.
        """
        if every < 1:
            raise RangeError(f"every must be at least 1, got {every}")
        self._ending = None
        return self._frames(every)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _frames(self, every: int) -> Iterator[VideoFrame]:
        first = self._files[0][0]
        expected, good = 0, 0
        bad: ImageError | None = None
        for counter, path in self._files:
            number = counter - first
            if number % every:
                continue
            try:
                image = self._load(path)
            except ImageError as error:
                bad = error
                continue
            absent = sum(1 for n in range(expected, number) if n % every == 0)
            gap = Gap(f"{absent} pictures are missing or cannot be read", absent)
            yield VideoFrame(
                Frame(image, str(path)),
                number / self._fps,
                number,
                1.0 / self._fps,
                gap if absent else None,
            )
            expected, good = number + 1, good + 1
        if good == 0:
            raise VideoDamagedError(
                f"not one picture of {self._pattern} can be read: {bad}", path=self._pattern
            ) from bad
        last = self._files[-1][0] - first
        lost = sum(1 for n in range(expected, last + 1) if n % every == 0)
        missing = Gap(f"the last {lost} pictures cannot be read", lost) if lost else None
        self._ending = Ending(last + 1, (last + 1) / self._fps, missing)

    def _load(self, path: Path) -> Image:
        image = load_frame(path, limits=Limits(max_pixels=self._limits.most_pixels)).image
        height_px, width_px = image.shape[:2]
        check_size(width_px, height_px, self._limits, str(path))
        size_wh = shrunk(width_px, height_px, self._limits.max_side_px)
        if size_wh == (width_px, height_px):
            return image
        import cv2

        return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


class _Clock:
    """Source times that rise from frame to frame, whatever the file says."""

    def __init__(self, fps: float | None) -> None:
        self._step_s = 1.0 / fps if fps else 0.0
        self._start_s: float | None = None
        self._last_s = -1.0
        self.end_s = 0.0

    def tell(self, picture: Decoded) -> tuple[float, float]:
        """Time and duration of the next frame, in seconds."""
        told = picture.time
        if told is not None and self._start_s is None:
            self._start_s = told
        step_s = self._step_s or max(self.end_s - self._last_s, 1e-3)
        time_s = 0.0 if told is None or self._start_s is None else told - self._start_s
        if self._last_s >= 0.0 and (told is None or time_s <= self._last_s):
            time_s = self._last_s + step_s
        length_s = step_s
        if picture.duration and picture.time_base:
            length_s = float(picture.duration * picture.time_base)
        self._last_s, self.end_s = time_s, time_s + length_s
        return time_s, length_s


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
    turns = _quarter_turns(picture)
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


def _quarter_turns(picture: Decoded) -> int:
    """Counter-clockwise quarter turns that make the picture upright."""
    return round(picture.rotation / 90.0) % 4


def _is_cover(stream: VideoStream) -> bool:
    """Whether this is a cover picture in a file of music."""
    flags = stream.disposition
    return bool(flags & type(flags).attached_pic)


def _undecoded(count: int) -> Gap | None:
    return Gap(f"{count} frames could not be decoded", count) if count else None


def _first_frame(container: InputContainer, stream: VideoStream) -> Decoded | None:
    av = need_av()
    try:
        first: Decoded | None = next(container.decode(stream), None)
    except (av.FFmpegError, OSError):
        return None
    return first


def _usable_rate(stream: VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if isinstance(rate, Fraction) and _FPS_RANGE[0] <= rate <= _FPS_RANGE[1]:
            return float(rate)
    return None


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


def _check_fps(fps: float) -> None:
    if not _FPS_RANGE[0] <= fps <= _FPS_RANGE[1]:
        raise RangeError(
            f"frames per second must lie in {_FPS_RANGE[0]:g}..{_FPS_RANGE[1]:g}, got {fps}"
        )


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


def _numbered(pattern: Path) -> list[tuple[int, Path]]:
    """The files that a pattern stands for, by rising number."""
    marks = list(_SEQUENCE.finditer(pattern.name))
    if len(marks) != 1 or "%" in str(pattern.parent):
        raise VideoNotFoundError(
            f"{pattern} must have one %d or %0Nd, in the file's name", path=str(pattern)
        )
    head, tail = pattern.name[: marks[0].start()], pattern.name[marks[0].end() :]
    padded, width = marks[0].group(1) == "0", int(marks[0].group(2) or 1)
    found = []
    try:
        for path in pattern.parent.iterdir():
            name = path.name
            if not (name.startswith(head) and name.endswith(tail)):
                continue
            digits = name[len(head) : len(name) - len(tail)]
            if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
                continue
            if digits == (f"{int(digits):0{width}d}" if padded else str(int(digits))):
                found.append((int(digits), path))
    except OSError as error:
        raise VideoNotFoundError(
            f"{pattern.parent} cannot be read: {error.strerror}", path=str(pattern)
        ) from error
    if not found:
        raise VideoNotFoundError(f"no picture fits {pattern}", path=str(pattern))
    return sorted(found)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
