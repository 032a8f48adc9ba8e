"""Addresses of cameras: built and taken apart, and never shown with their password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from vultus.errors import RangeError

__all__ = ["CameraAddress", "dahua_url", "hikvision_url", "masked", "parse_camera_url"]

_RTSP_PORT = 554  # IANA
# Greedy on purpose: a password may hold / : and @ as they are, and hiding too much does no harm.
_CREDENTIALS = re.compile(r"([a-z][a-z0-9+.-]*://)([^\s/?#:@]*):(\S*)@", re.IGNORECASE)
_SECRET = re.compile(
    r"([?&;](?:password|passwd|pass|pwd|token|key|auth|secret)=)[^&;#\s'\"]*", re.IGNORECASE
)
_HIKVISION = re.compile(r"/(h264|h265|mpeg4|mjpeg)/ch(\d+)/(main|sub)/av_stream", re.IGNORECASE)
_HIKVISION_NEW = re.compile(r"/Streaming/Channels/(\d+)(0[1-9])", re.IGNORECASE)
_DAHUA = "/cam/realmonitor"


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """What an address of a known make says.

    Attributes:
        make: ``hikvision`` or ``dahua``.
        host: Name or IP address.
        port: TCP port.
        user: ``None`` without one.
        password: Kept out of every printed form.
        channel: Of a recorder; 1 for a camera of its own.
        subtype: 0 the main stream, 1 the smaller one.
        codec: Named in Hikvision's older form; ``None`` otherwise.
    """

    make: Literal["hikvision", "dahua"]
    host: str
    port: int = _RTSP_PORT
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    channel: int = 1
    subtype: int = 0
    codec: str | None = None


def hikvision_url(
    host: str,
    user: str,
    password: str,
    *,
    port: int = _RTSP_PORT,
    codec: str = "h264",
    channel: int = 1,
    subtype: int = 0,
) -> str:
    """``rtsp://user:password@host:port/h264/ch1/main/av_stream``, as Hikvision's cameras take it.

    Args:
        host: Name or IP address.
        user: Any characters; they are percent-encoded.
        password: Likewise.
        port: 1..65535.
        codec: ``h264``, ``h265``, ``mpeg4`` or ``mjpeg``.
        channel: ≥ 1.
        subtype: 0 the main stream, 1 the smaller one.

    Raises:
        RangeError: A value is out of its range.
    """
    if codec not in {"h264", "h265", "mpeg4", "mjpeg"}:
        raise RangeError(f"codec must be h264, h265, mpeg4 or mjpeg, got {codec!r}")
    _check(port, channel, subtype, most_subtype=1)
    stream = ("main", "sub")[subtype]
    return f"{_start(host, user, password, port)}/{codec}/ch{channel}/{stream}/av_stream"


def dahua_url(
    host: str,
    user: str,
    password: str,
    *,
    port: int = _RTSP_PORT,
    channel: int = 1,
    subtype: int = 0,
) -> str:
    """``rtsp://user:password@host:port/cam/realmonitor?channel=1&subtype=0``, as Dahua takes it.

    Args:
        host: Name or IP address.
        user: Any characters; they are percent-encoded.
        password: Likewise.
        port: 1..65535.
        channel: ≥ 1.
        subtype: 0 the main stream, 1 and 2 smaller ones.

    Raises:
        RangeError: A value is out of its range.
    """
    _check(port, channel, subtype, most_subtype=2)
    return f"{_start(host, user, password, port)}{_DAHUA}?channel={channel}&subtype={subtype}"


def parse_camera_url(url: str) -> CameraAddress | None:
    """Take an address of Hikvision or Dahua apart.

    Returns:
        ``None`` for one of another make; such addresses work as well.

    Raises:
        RangeError: The port is no number in 1..65535.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RangeError(f"{masked(url)} is no address: {masked(str(error))}") from None
    if parts.scheme.lower() != "rtsp" or not parts.hostname:
        return None
    common = {
        "host": parts.hostname,
        "port": _RTSP_PORT if port is None else port,
        "user": None if parts.username is None else unquote(parts.username),
        "password": None if parts.password is None else unquote(parts.password),
    }
    old = _HIKVISION.fullmatch(parts.path.rstrip("/"))
    new = _HIKVISION_NEW.fullmatch(parts.path.rstrip("/"))
    if old:
        return CameraAddress(
            "hikvision",
            **common,  # type: ignore[arg-type]
            channel=int(old[2]),
            subtype=int(old[3].lower() == "sub"),
            codec=old[1].lower(),
        )
    if new:
        return CameraAddress(
            "hikvision",
            **common,  # type: ignore[arg-type]
            channel=int(new[1]),
            subtype=int(new[2]) - 1,
        )
    if parts.path.rstrip("/") == _DAHUA:
        query = parse_qs(parts.query)
        channel, subtype = (query.get(name, [""])[0] for name in ("channel", "subtype"))
        return CameraAddress(
            "dahua",
            **common,  # type: ignore[arg-type]
            channel=int(channel) if channel.isdecimal() else 1,
            subtype=int(subtype) if subtype.isdecimal() else 0,
        )
    return None


def masked(text: str) -> str:
    """The text without the passwords of addresses in it: ``rtsp://user:***@host/``."""
    return _SECRET.sub(r"\1***", _CREDENTIALS.sub(r"\1\2:***@", text))


def _start(host: str, user: str, password: str, port: int) -> str:
    if not host or re.search(r"[\s/?#@]", host):
        raise RangeError("a camera's host must be a name or an IP address")
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@{shown}:{port}"


def _check(port: int, channel: int, subtype: int, *, most_subtype: int) -> None:
    if not 1 <= port <= 65535:
        raise RangeError(f"a port must lie in 1..65535, got {port}")
    if channel < 1:
        raise RangeError(f"channel must be at least 1, got {channel}")
    if not 0 <= subtype <= most_subtype:
        raise RangeError(f"subtype must lie in 0..{most_subtype}, got {subtype}")
