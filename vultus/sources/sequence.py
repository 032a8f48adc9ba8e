"""Numbered pictures as a video: ``img_%02d.jpg``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from vultus.errors import ImageError, RangeError, VideoDamagedError, VideoNotFoundError
from vultus.sources._av import check_fps, check_size, shrunk
from vultus.sources.frames import Ending, Gap, VideoFrame, VideoInfo, VideoLimits
from vultus.sources.image import Limits, load_frame
from vultus.types import Frame, Image

__all__ = ["ImageSequence", "is_pattern"]

_SEQUENCE = re.compile(r"%(0?)(\d{0,2})d")
_DEFAULT_LIMITS = VideoLimits()


def is_pattern(name: str) -> bool:
    """Whether a path's last part holds a ``%d`` or ``%0Nd``."""
    return _SEQUENCE.search(Path(name).name) is not None


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
        limits: VideoLimits = _DEFAULT_LIMITS,
        fps: float = 25.0,
    ) -> None:
        check_fps(fps)
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
