"""Fetching one weight over HTTPS: resumed, bounded, and verified before anybody sees it."""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from vultus.errors import DownloadError, WeightDamagedError
from vultus.models._files import output_error, stream_digest
from vultus.models.card import WeightFile

if TYPE_CHECKING:
    from vultus.models.store import Progress

__all__ = ["Limits", "claim", "download"]

_CHUNK_BYTES = 1 << 18
# Server trouble that often passes: RFC 9110 (408, 5xx), RFC 6585 (429), RFC 8470 (425).
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a download is.

    Attributes:
        timeout_s: Longest silence of the server.
        attempts: Requests per address when the connection breaks.
        wait_s: Pause before the second request; it doubles each time.
        max_bytes: Largest file accepted when the card states no size.
    """

    timeout_s: float = 30.0
    attempts: int = 4
    wait_s: float = 1.0
    max_bytes: int = 1 << 30


class _AddressError(Exception):
    """This address will not do; the next may."""

    wrong_content = False


class _WrongContentError(_AddressError):
    wrong_content = True


class _BrokenError(Exception):
    """The connection broke; the same address may go on."""


def download(
    weight: WeightFile,
    urls: Sequence[str],
    part: BinaryIO,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> None:
    """Complete `part` from the first address that has the file.

    Args:
        weight: What is wanted; its digest decides.
        urls: Addresses, in order.
        part: What is here already, open for reading and writing; never more than one writer.
        progress: Told about every chunk.
        limits: How patient to be.

    Raises:
        DownloadError: No address has the file; what arrived stays in `part`.
        WeightDamagedError: All addresses answered, with other content.
        OutputError: `part` cannot be written.
    """
    limits = limits or Limits()
    if _size(part) >= (weight.bytes or 1):
        if _digest(part) == weight.sha256:
            return
        if weight.bytes is not None:
            _empty(part)
    failures: list[str] = []
    wrong: list[bool] = []
    for url in urls:
        try:
            _from_address(url, weight, part, progress, limits)
            return
        except _AddressError as error:
            failures.append(f"{url}: {error}")
            wrong.append(error.wrong_content)
    if all(wrong):
        raise WeightDamagedError(
            f"{weight.file} must have SHA-256 {weight.sha256}, got other content from "
            + "; ".join(failures),
            remedy="set VULTUS_MIRROR to a place that has it, or `vultus models add` the right one",
            expected=weight.sha256,
            attempts=failures,
        )
    raise DownloadError(
        f"{weight.file} could not be fetched ({'; '.join(failures)})",
        remedy="run the command again, it goes on where it stopped; or bring the file with "
        "`vultus models add FILE`",
        file=weight.file,
        attempts=failures,
    )


def _from_address(
    url: str, weight: WeightFile, part: BinaryIO, progress: Progress | None, limits: Limits
) -> None:
    breaks = 0
    while True:
        before = _size(part)
        try:
            continued = _transfer(url, weight, part, progress, limits)
        except _BrokenError as error:
            breaks = 1 if _size(part) - before >= _CHUNK_BYTES else breaks + 1
            if breaks >= limits.attempts:
                raise _AddressError(str(error)) from error
            time.sleep(limits.wait_s * 2 ** (breaks - 1))
            continue
        actual = _digest(part)
        if actual == weight.sha256:
            return
        _empty(part)
        if not continued:
            raise _WrongContentError(f"SHA-256 {actual}")
        # What was here came from another version of the file: once more from the start.


def _transfer(
    url: str, weight: WeightFile, part: BinaryIO, progress: Progress | None, limits: Limits
) -> bool:
    """One request: appends to `part` (then true), or fills it anew when the server starts at 0."""
    offset = _size(part)
    headers = {"User-Agent": "vultus", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with _open(url, headers, part, limits.timeout_s) as response:
        continued = offset > 0 and response.status == 206
        done = offset if continued else 0
        if continued and not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            _empty(part)
            raise _BrokenError("the server resumed at another place")
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        limit = limits.max_bytes if weight.bytes is None else weight.bytes
        if total is not None and (total > limit or (weight.bytes or total) != total):
            raise _WrongContentError(f"{total} bytes, {limit} expected")
        if not continued:
            _empty(part)
        while chunk := _read(response, done, total):
            done += len(chunk)
            if done > limit:
                _empty(part)
                raise _WrongContentError(f"more than {limit} bytes")
            _append(part, chunk)
            if progress is not None:
                progress(weight, done, total)
    if total is not None and done < total:
        raise _BrokenError(f"the connection ended after {done} of {total} bytes")
    return continued


def _read(response: http.client.HTTPResponse, done: int, total: int | None) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        of = "" if total is None else f" of {total}"
        raise _BrokenError(f"the connection broke after {done}{of} bytes: {error}") from error


def _open(
    url: str, headers: dict[str, str], part: BinaryIO, timeout_s: float
) -> http.client.HTTPResponse:
    host = urllib.parse.urlsplit(url).hostname or ""
    opener = urllib.request.OpenerDirector()
    for handler in (
        # A proxy cannot reach this machine's own loopback.
        urllib.request.ProxyHandler({} if _is_loopback(host) else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _HttpsOnly(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) handlers only
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is here is longer than what the server has
            _empty(part)
            raise _BrokenError("the server has less than what was fetched before") from error
        text = f"HTTP {error.code} {error.reason}"
        raise (_BrokenError if error.code in _TRANSIENT else _AddressError)(text) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _translated(error) from error
    return response


def _translated(error: Exception) -> Exception:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _AddressError(
            f"its certificate is not trusted ({reason}); name your authorities in SSL_CERT_FILE"
        )
    lasting = isinstance(reason, ConnectionRefusedError) or not isinstance(
        reason, (TimeoutError, ConnectionError, http.client.HTTPException, ssl.SSLError)
    )
    text = str(reason) or type(reason).__name__
    return _AddressError(text) if lasting else _BrokenError(text)


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https alone."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            fp.close()
            raise _AddressError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(part: BinaryIO) -> str:
    part.seek(0)
    return stream_digest(part)


def _size(part: BinaryIO) -> int:
    return part.seek(0, os.SEEK_END)


def _empty(part: BinaryIO) -> None:
    try:
        part.seek(0)
        part.truncate()
    except OSError as error:
        raise output_error(error, part.name) from error


def _append(part: BinaryIO, chunk: bytes) -> None:
    try:
        part.seek(0, os.SEEK_END)
        rest = memoryview(chunk)
        while rest:  # an unbuffered write may take less than it is given
            rest = rest[part.write(rest) :]
    except OSError as error:
        raise output_error(error, part.name) from error


@contextmanager
def claim(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for reading and writing, alone: waits while another process has it.

    An empty file is deleted again at the end; one with content stays, for the next attempt.
    """
    while True:
        try:
            # Unbuffered: what was written is in the file whenever the process ends.
            file: Any = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        except OSError as error:
            raise output_error(error, path) from error
        if _lock(file) and _is_still(file, path):
            break
        file.close()
        time.sleep(0.05)
    try:
        yield file
    finally:
        if not file.closed and _is_still(file, path) and _size(file) == 0:
            if os.name == "nt":  # Windows deletes closed files only
                file.close()
            path.unlink(missing_ok=True)
        file.close()


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Whether `path` names this very file: its last owner may have renamed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _lock(file: BinaryIO) -> bool:
    """Try to lock; true as well where the file system knows no locks."""
    if sys.platform == "win32":
        import msvcrt

        try:
            # One byte far behind the content: Windows locks are mandatory for the bytes they cover.
            file.seek(1 << 40)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system: the digest still decides
        return True
    return True
