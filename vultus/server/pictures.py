"""Pictures that a client names by an address: fetched from hosts on the allow-list only."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from vultus.server.errors import UrlRefusedError

__all__ = ["fetch_picture"]

_MOST_REDIRECTS = 3
_TIMEOUT_S = 10.0
_PIECE_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Resolve: TypeAlias = Callable[[str, int], list[str]]


def fetch_picture(
    url: str, allowed: tuple[str, ...], max_bytes: int, *, resolve: _Resolve | None = None
) -> bytes:
    """Fetch a picture from a host that the operator allows. Call it on `Service.db`.

    The name is resolved once and the connection made to that very address, which must be public:
    no name can lead to this machine or its network, not even one that changes meanwhile.
    Redirects are followed on the same host only.

    Args:
        url: ``https://`` or ``http://``.
        allowed: Host names, as in ``fetch_hosts``; each for itself, without its subdomains.
        max_bytes: Most bytes to read.
        resolve: Gives a host's addresses.

    Raises:
        UrlRefusedError: The address is not allowed, or does not answer with a picture's bytes.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    host = ""
    for _ in range(_MOST_REDIRECTS + 1):
        parts = _checked(url, allowed)
        if host and parts.hostname != host:
            raise UrlRefusedError("a picture's address must not lead to another host")
        host = parts.hostname or ""
        found = _asked(parts, max_bytes, deadline, resolve or _addresses)
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found)
    raise UrlRefusedError("a picture's address must not lead on more than three times")


def _checked(url: str, allowed: tuple[str, ...]) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefusedError("a picture's address must be a URL") from None
    names = {name.lower() for name in allowed}
    if parts.scheme not in _PORTS or (parts.hostname or "") not in names or parts.username:
        raise UrlRefusedError("pictures are fetched from allowed hosts only")
    if port not in {None, _PORTS[parts.scheme]}:
        raise UrlRefusedError("pictures are fetched from the usual ports only")
    return parts


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UrlRefusedError("the picture's host cannot be found") from None
    return [str(entry[4][0]) for entry in found]


def _within(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if address.version == 4:
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _public(addresses: list[str]) -> str:
    """The first address, when all of them are public."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        within = _within(address)
        if not address.is_global or not within.is_global or within.is_multicast:
            raise UrlRefusedError("a picture's host must have public addresses only")
    if not addresses:
        raise UrlRefusedError("the picture's host cannot be found")
    return addresses[0]


def _asked(parts: SplitResult, max_bytes: int, deadline: float, resolve: _Resolve) -> bytes | str:
    """The picture, or where it has gone."""
    host, port = parts.hostname or "", _PORTS[parts.scheme]
    address = _public(resolve(host, port))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(host, port, timeout=_left(deadline))
    try:
        plain = socket.create_connection((address, port), timeout=_left(deadline))
        if parts.scheme == "https":
            plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        connection.sock = plain
        connection.request("GET", path, headers={"User-Agent": "vultus", "Accept": "image/*"})
        answer = connection.getresponse()
        if answer.status in {301, 302, 303, 307, 308}:
            return answer.getheader("Location") or ""
        if answer.status != 200:
            raise UrlRefusedError(f"the picture's host answers with status {answer.status}")
        return _read(answer, plain, max_bytes, deadline)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise UrlRefusedError("the picture's host does not answer as it should") from error
    finally:
        connection.close()


def _read(
    answer: http.client.HTTPResponse, plain: socket.socket, max_bytes: int, deadline: float
) -> bytes:
    pieces: list[bytes] = []
    count = 0
    while True:
        plain.settimeout(_left(deadline))
        piece = answer.read1(_PIECE_BYTES)
        if not piece:
            return b"".join(pieces)
        count += len(piece)
        if count > max_bytes:
            raise UrlRefusedError(f"a fetched picture must have at most {max_bytes} bytes")
        pieces.append(piece)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
