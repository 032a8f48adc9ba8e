"""Live cameras: RTSP, MJPEG over HTTP, webcams. The newest frame, and back after every failure."""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from vultus.errors import CameraError, CameraLostError, RangeError, VideoError
from vultus.sources._av import need_av, picture_of, reason_of, shrunk, usable_rate
from vultus.sources.frames import Ending, Gap, VideoFrame, VideoInfo, VideoLimits
from vultus.sources.urls import masked
from vultus.types import Frame, Image

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Camera", "Reconnect"]

_log = logging.getLogger(__name__)
_DEFAULT_LIMITS = VideoLimits()
_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://")
# Of what FFmpeg may speak on the way to a camera; no files.
_PROTOCOLS = "rtsp,rtsps,rtp,srtp,tcp,udp,tls,http,https,httpproxy,crypto"
_WEBCAMS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How a camera that has gone is tried again.

    The wait doubles from try to try; each is cut short by a random part of up to half, so that
    many cameras behind one switch do not come back at once.

    Attributes:
        first_s: Longest wait before the first try, > 0.
        most_s: Longest wait of all.
        limit_s: Give up when the camera has been away for so long; ``None``: never.

    Raises:
        RangeError: A value is out of its range.
    """

    first_s: float = 0.5
    most_s: float = 4.0
    limit_s: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.first_s <= self.most_s:
            raise RangeError(
                f"waits need 0 < first_s <= most_s, got {self.first_s} and {self.most_s}"
            )
        if self.limit_s is not None and not self.limit_s >= 0.0:
            raise RangeError(f"limit_s must be at least 0, got {self.limit_s}")

    def wait_s(self, tries: int, part: float) -> float:
        """How long to wait before a try.

        Args:
            tries: How many have failed since the camera went.
            part: Random number in [0, 1).
        """
        longest = min(self.first_s * 2.0 ** min(tries, 30), self.most_s)
        return longest * (1.0 - 0.5 * part)


class Camera:
    """The newest frame of a camera, as often as the caller asks.

    A thread decodes; whoever reads gets the newest frame and never lags behind, and the frame
    tells how many were passed over. When the camera goes, or sends nothing for a while, it is
    opened again; the first frame afterwards tells how long it was away. Times are those at which
    frames were decoded, in seconds since the camera was opened, because a camera's own clock
    starts anew with each connection. One consumer at a time.

    Args:
        address: ``rtsp://``, ``rtsps://``, ``http://`` or ``https://``, or the number of a webcam.
        transport: Of RTSP: ``tcp`` loses nothing, ``udp`` is some milliseconds earlier.
        stall_s: Open the camera again when it sent nothing for so long, > 0.
        reconnect: How it is tried again; ``None``: not at all.
        limits: Bounds on frames.

    Raises:
        CameraError: The camera cannot be reached, refuses user and password, or sends no video.
        RangeError: An address of another kind, or a value out of its range.
        MissingExtraError: The extra ``video`` is not installed.
    """

    def __init__(
        self,
        address: str | int,
        *,
        transport: Literal["tcp", "udp"] = "tcp",
        stall_s: float = 5.0,
        reconnect: Reconnect | None = Reconnect(),
        limits: VideoLimits = _DEFAULT_LIMITS,
    ) -> None:
        webcam = isinstance(address, int)
        if not webcam and not str(address).lower().startswith(_SCHEMES):
            raise RangeError(
                f"a camera is a number or an address that begins with {', '.join(_SCHEMES)}, "
                f"got {masked(str(address))!r}"
            )
        if not stall_s > 0.0 or transport not in {"tcp", "udp"}:
            raise RangeError(
                f"stall_s must be above 0 and transport tcp or udp, got {stall_s} and {transport!r}"
            )
        self._address, self._transport = address, transport
        self._stall_s, self._reconnect, self._limits = stall_s, reconnect, limits
        self._label = f"webcam {address}" if webcam else masked(str(address))
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._newest: VideoFrame | None = None
        self._passed = 0
        self._error: CameraError | None = None
        self._started_s = time.monotonic()
        self._number = 0
        first = self._open()
        self._info = self._describe(first)
        self._thread = threading.Thread(
            target=self._run, args=(first,), name=f"camera {self._label}", daemon=True
        )
        self._thread.start()

    @property
    def info(self) -> VideoInfo:
        """What the camera said when it was opened."""
        return self._info

    @property
    def ending(self) -> Ending | None:
        """``None``: a camera has no end."""
        return None

    def read(self, every: int = 1) -> Iterator[VideoFrame]:
        """The newest frame, again and again, until the camera is closed.

        Args:
            every: Wait until so many frames have come since the last.

        Raises:
            CameraLostError: The camera stayed away longer than `Reconnect.limit_s`.
            VideoTooLargeError: Its frames are beyond the limits.
            RangeError: `every` is below 1.
        """
        if every < 1:
            raise RangeError(f"every must be at least 1, got {every}")
        return self._frames(every)

    def close(self) -> None:
        """End the thread and let the connection go; a second call does nothing."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(self._stall_s + 5.0)

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
        due = 0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._ready, due))
                shown, self._newest, passed, self._passed = self._newest, None, self._passed, 0
                if self._stop.is_set():
                    return
                if shown is None:
                    if self._error is not None:
                        raise self._error
                    return
            if shown.gap is None and passed:
                reason = f"{passed} frames came while nobody asked"
                shown = replace(shown, gap=Gap(reason, passed))
            due = shown.number + every
            yield shown

    def _ready(self, due: int) -> bool:
        if self._stop.is_set() or self._error is not None:
            return True
        return self._newest is not None and self._newest.number >= due

    # -- the thread ---------------------------------------------------------------------------

    def _run(self, container: InputContainer | None) -> None:
        gap: Gap | None = None
        while container is not None and not self._stop.is_set():
            try:
                reason = self._decode(container, gap)
            except VideoError as error:  # frames beyond the limits will stay so
                told = CameraError(f"{self._label}: {error.message}", remedy=error.remedy)
                self._give_up(told)
                return
            finally:
                container.close()
            if self._stop.is_set():
                return
            _log.warning("%s: %s", self._label, reason)
            away_s = time.monotonic()
            container = self._opened_again(reason, away_s)
            gap = Gap(f"{reason}; back after {time.monotonic() - away_s:.1f} s")

    def _decode(self, container: InputContainer, gap: Gap | None) -> str:
        """Hand out frames until the connection fails, and say why it did."""
        av = need_av()
        damaged = 0
        packets = container.demux(video=0)
        while not self._stop.is_set():
            try:
                packet = next(packets)
            except StopIteration:
                return "the camera ended the stream"
            except (av.FFmpegError, OSError) as error:
                return f"connection lost: {masked(reason_of(error))}"
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                damaged += 1
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    damaged += 1
                    continue
                if damaged and gap is None:
                    gap = Gap(f"{damaged} frames could not be decoded", damaged)
                image = picture_of(picture, self._limits, self._label)
                self._put(image, gap)
                damaged, gap = 0, None
        return "closed"

    def _put(self, image: Image, gap: Gap | None) -> None:
        time_s = time.monotonic() - self._started_s
        step_s = 1.0 / self._info.fps if self._info.fps else 0.0
        shown = VideoFrame(Frame(image, self._label), time_s, self._number, step_s, gap)
        with self._changed:
            before = self._newest
            if before is not None:
                self._passed += 1
                if gap is None and before.gap is not None:  # it must not get lost
                    shown = replace(shown, gap=before.gap)
            self._newest, self._number = shown, self._number + 1
            self._changed.notify_all()

    def _opened_again(self, reason: str, away_s: float) -> InputContainer | None:
        rule = self._reconnect
        tries = 0
        while rule is not None and not self._stop.is_set():
            # Jitter, no secret.
            wait_s = rule.wait_s(tries, random.random())  # noqa: S311
            gone_s = time.monotonic() - away_s
            if rule.limit_s is not None and gone_s + wait_s > rule.limit_s:
                break
            if self._stop.wait(wait_s):
                return None
            try:
                return self._open()
            except CameraError as error:
                reason, tries = error.message, tries + 1
        if not self._stop.is_set():
            gone_s = time.monotonic() - away_s
            self._give_up(
                CameraLostError(f"{self._label} has been away for {gone_s:.1f} s: {reason}")
            )
        return None

    def _give_up(self, error: CameraError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _open(self) -> InputContainer:
        av = need_av()
        options = {"protocol_whitelist": _PROTOCOLS, "fflags": "nobuffer", "flags": "low_delay"}
        name, form = str(self._address), None
        if isinstance(self._address, int):
            form = _WEBCAMS.get(sys.platform, "v4l2")
            name = f"/dev/video{self._address}" if form == "v4l2" else str(self._address)
            options = {}
        elif name.lower().startswith("rtsp"):
            options["rtsp_transport"] = self._transport
        try:
            container = av.open(
                name, format=form, options=options, timeout=(self._stall_s, self._stall_s)
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise CameraError(
                f"{self._label} cannot be opened: {masked(reason_of(error))}", path=self._label
            ) from None  # the original message holds the password
        if not container.streams.video:
            container.close()
            raise CameraError(f"{self._label} sends no video", path=self._label)
        found: InputContainer = container
        return found

    def _describe(self, container: InputContainer) -> VideoInfo:
        stream = container.streams.video[0]
        size_wh = shrunk(stream.width, stream.height, self._limits.max_side_px)
        return VideoInfo(
            label=self._label,
            width_px=size_wh[0],
            height_px=size_wh[1],
            fps=usable_rate(stream),
            live=True,
            codec=stream.codec_context.name,
        )
