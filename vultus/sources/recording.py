"""Videos written frame by frame: H.264 or MPEG-4 in an MP4 file, without sound."""

from __future__ import annotations

import os
import secrets
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

import numpy as np

from vultus._arrays import check_image
from vultus.errors import OutputError, RangeError, ShapeError
from vultus.sources._av import need_av
from vultus.types import Image

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

__all__ = ["VideoWriter"]

# MPEG's own clock: every usual frame rate, and a variable one, is a whole number of its ticks to
# within 6 µs.
_TICKS = 90_000
# H.264 where the build of FFmpeg has it, else MPEG-4 part 2, which every build has. CRF 20 and
# quantiser 3 are visually close to the source.
_CODECS = (("libx264", {"crf": "20", "preset": "veryfast"}), ("mpeg4", {"qmin": "3", "qmax": "5"}))
# Shortest distance of two frames, so that times that agree to the tick still rise.
_ONE_TICK = 1


class VideoWriter:
    """Writes one video; the file appears under its name when it is complete.

    Frames are shown from their own time on, so that a variable frame rate is kept. A side with
    an odd number of pixels gets one more, since the coding stores colour for pairs of pixels.

    Args:
        path: Ends in ``.mp4``; folders are made, a file of this name is replaced.
        fps: Nominal rate, for players that ask, > 0.
        threads: For encoding; all the process may use when ``None``.

    Raises:
        OutputError: Another ending, or the file cannot be written.
        RangeError: `fps` is not positive.
        MissingExtraError: The extra ``video`` is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, fps: float, threads: int | None = None
    ) -> None:
        self._path = Path(path)
        if not 0.0 < fps <= 1000.0:
            raise RangeError(f"frames per second must lie in 0..1000, got {fps}")
        if self._path.suffix.lower() != ".mp4":
            raise OutputError(
                f"a video's file must end in .mp4, got {str(self._path)!r}", path=str(self._path)
            )
        self._fps = Fraction(fps).limit_denominator(100_000)
        self._threads = threads or 0
        self._size_wh: tuple[int, int] | None = None
        self._last = -_ONE_TICK
        self._stream: VideoStream | None = None
        self._container: OutputContainer | None = None
        self._part = self._path.with_name(f".vultus-{secrets.token_hex(8)}.mp4")
        av = need_av()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._part), "w", format="mp4")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def write(self, image: Image, time_s: float) -> None:
        """Add a frame.

        Args:
            image: (h, w, 3) uint8, RGB; all of one size.
            time_s: When it is shown, ≥ 0; a frame no later than the one before follows one tick
                of 1/90000 s after it.

        Raises:
            ShapeError: It has another size than the first.
            OutputError: It cannot be written: a full disk, say, or the writer is closed.
        """
        check_image(image)
        size_wh = (image.shape[1], image.shape[0])
        if self._container is None:
            raise OutputError(f"{self._path} is closed already", path=str(self._path))
        av = need_av()
        try:
            if self._stream is None:
                self._size_wh = size_wh
                self._stream = self._begun(self._container, size_wh)
            if size_wh != self._size_wh:
                raise ShapeError(
                    f"frames of {self._path} must be {self._size_wh}, got {size_wh}",
                    expected=self._size_wh,
                    actual=size_wh,
                )
            odd = [(0, size % 2) for size in image.shape[:2]]
            padded = np.pad(image, [*odd, (0, 0)], mode="edge") if any(b for _, b in odd) else image
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
            self._last = max(round(time_s * _TICKS), self._last + _ONE_TICK)
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Finish the file and give it its name; without one frame there is none.

        Raises:
            OutputError: It cannot be written.
        """
        container, self._container = self._container, None
        if container is None:
            return
        av = need_av()
        try:
            if self._stream is not None:
                container.mux(self._stream.encode(None))
            container.close()
            if self._stream is not None:
                self._part.replace(self._path)
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        finally:
            self._part.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind; what had the name before stays."""
        container, self._container = self._container, None
        if container is not None:
            av = need_av()
            try:
                container.close()
            except (av.FFmpegError, OSError, ValueError):
                pass  # it is thrown away
            finally:
                self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _begun(self, container: OutputContainer, size_wh: tuple[int, int]) -> VideoStream:
        av = need_av()
        name, options = next(
            (name, options) for name, options in _CODECS if name in av.codecs_available
        )
        stream = cast("VideoStream", container.add_stream(name, rate=self._fps, options=options))
        stream.width, stream.height = (size + size % 2 for size in size_wh)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        stream.codec_context.thread_count = self._threads
        return stream

    def _failed(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(f"{self._path} cannot be written: {reason}", path=str(self._path))
