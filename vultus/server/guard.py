"""What every request passes: its id, limits on its body, headers of the answer, log and counts."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vultus.errors import VultusError
from vultus.server.errors import (
    BodyTooLargeError,
    BusyError,
    ForbiddenError,
    RequestError,
    UploadTimeoutError,
)
from vultus.server.logs import accepted_id, request_id
from vultus.server.metrics import Metrics
from vultus.server.settings import Settings
from vultus.server.shapes import error_response

__all__ = ["Guard"]

_log = logging.getLogger("vultus.server.access")

# OWASP, "HTTP Security Response Headers Cheat Sheet", for an API that serves no pages.
_SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_HSTS = ("strict-transport-security", "max-age=31536000")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_MOST_DISCARDED = 2  # times the limit on a body
_DISCARD_S = 5.0
_DISCARDED = (BodyTooLargeError, BusyError)  # the client is sending, and not slowly
_QUIET = ("/health/", "/metrics")  # asked every few seconds


class Guard:
    """The outermost layer.

    Args:
        app: What lies within.
        settings: The operator's.
        metrics: Told of every request.
        owner: The application whose state holds the service, for error answers.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, owner: Any) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._owner = owner
        self._held = _Held(settings.max_held_bytes)
        self._hosts = settings.allowed_hosts or (_LOOPBACK_NAMES if settings.anonymous else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        name = accepted_id(headers.get("x-request-id"))
        token = request_id.set(name)
        scope.setdefault("state", {})
        scope["app"] = self._owner
        body = scope["state"]["body"] = _Body(receive, self._settings, self._held)
        answer = _Answer(send, name, body, tls=self._settings.tls_cert is not None)
        began = time.perf_counter()
        try:
            await self._answered(scope, headers, body, answer)
        finally:
            body.release()
            self._note(scope, answer, time.perf_counter() - began)
            request_id.reset(token)

    async def _answered(self, scope: Scope, headers: Headers, body: _Body, answer: _Answer) -> None:
        try:
            self._check_host(headers)
            body.check_declared(headers)
            await self._app(scope, body, answer)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:  # a request's boundary
            if answer.begun:
                raise
            response = error_response(Request(scope), error)
            await response(scope, body, answer)

    def _check_host(self, headers: Headers) -> None:
        """Keep web pages of strangers out: by names that lead here, and by requests across sites.

        Raises:
            ForbiddenError: The host is not one of ours, or a page of another site asks.
        """
        host = _host_name(headers.get("host", ""))
        if self._hosts and host not in self._hosts:
            raise ForbiddenError(
                "the server does not answer to this host name",
                remedy="add it to allowed_hosts, or use 127.0.0.1",
            )
        origin = headers.get("origin")
        if not self._settings.anonymous or not origin or origin in self._settings.cors_origins:
            return
        if _host_name(urlsplit(origin).netloc) != host:
            raise ForbiddenError(
                "pages of other sites may not use a server that needs no key",
                remedy="add the page's origin to cors_origins",
            )

    def _note(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        status = answer.status or 499  # nginx's number for a client that went away
        self._metrics.outcome.labels(route, _method(scope), str(status)).inc()
        self._metrics.request.labels(route).observe(seconds)
        quiet = route.startswith(_QUIET) and status < 400
        state = scope["state"]
        _log.log(
            logging.DEBUG if quiet else logging.INFO,
            "answered",
            extra={
                "method": _method(scope),
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
                "app_id": state.get("app_id", "-"),
                "code": state.get("error_code", "-"),
            },
        )


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    method: str = scope["method"]
    return method if method in known else "OTHER"


def _host_name(netloc: str) -> str:
    """A host without its port."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].lower()


class _Held:
    """How much the bodies of all requests of a process hold."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0


class _Body:
    """Receives, counting bytes and time."""

    def __init__(self, receive: Receive, settings: Settings, held: _Held) -> None:
        self._receive = receive
        self._most = settings.max_body_bytes
        self._timeout_s = settings.body_timeout_s
        self._held = held
        self._deadline: float | None = None
        self._count = 0
        self._ended = False
        self.error: VultusError | None = None

    def check_declared(self, headers: Headers) -> None:
        """Refuse by the stated length, before anything is read.

        Raises:
            BodyTooLargeError: It is too large.
            RequestError: The length is stated in two ways, so that a proxy may see another
                request than this server (RFC 9112, section 6.1).
        """
        length, chunked = headers.get("content-length"), "transfer-encoding" in headers
        self._ended = not chunked and length in {None, "0"}
        if chunked and length is not None:
            self.error = RequestError("a request must state its length in one way")
            raise self.error
        if length is not None and length.isdecimal() and int(length) > self._most:
            raise self._too_large()

    def _too_large(self) -> VultusError:
        self.error = BodyTooLargeError(
            f"a request's body must have at most {self._most} bytes", limit=self._most
        )
        return self.error

    async def __call__(self) -> Message:
        if self._ended:
            return await self._receive()  # waits for the client to go away
        message = await self._next()
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        self._count += size
        self._held.count += size
        self._ended = not message.get("more_body", False)
        if self._count > self._most:
            raise self._too_large()
        if self._held.count > self._held.most:
            self.error = BusyError("too many large requests are being received", retry_after_s=2)
            raise self.error
        return message

    async def _next(self) -> Message:
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            self.error = UploadTimeoutError(
                f"a request's body must arrive within {self._timeout_s:g} s",
                limit_s=self._timeout_s,
            )
            raise self.error from None

    async def discard(self) -> bool:
        """Let the rest of a body that nobody reads come and go, within bounds.

        A connection that is closed while the client still sends takes the answer with it.

        Returns:
            Whether all of it came.
        """
        if self._ended or not (self.error is None or isinstance(self.error, _DISCARDED)):
            return self._ended
        self.release()
        left = _MOST_DISCARDED * self._most
        with suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_S):
                while not self._ended and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self._ended = not message.get("more_body", False)
        return self._ended

    def release(self) -> None:
        """The body is held no more."""
        self._held.count -= self._count
        self._count = 0


class _Answer:
    """Sends, and sees the status; adds the id and the security headers."""

    def __init__(self, send: Send, name: str, body: _Body, *, tls: bool) -> None:
        self._send = send
        self._name = name
        self._body = body
        self._tls = tls
        self.status = 0
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._name
            for header, value in _SECURITY.items():
                headers.setdefault(header, value)
            if self._tls:
                headers.setdefault(*_HSTS)
            if not await self._body.discard() or self._body.error is not None:
                headers["connection"] = "close"  # what is left of the body is not read
        await self._send(message)
