"""Writes: made once per idempotency key, under the conditions the client names."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias

from fastapi import Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from vultus.server.routes._body import Received
from vultus.server.routes._call import Call
from vultus.server.routes._reply import ChangedError, refused, reply, tag_of
from vultus.server.store.idempotency import Kept

__all__ = ["Answer", "IdempotencyKey", "IfMatch", "once"]

Answer: TypeAlias = tuple[int, BaseModel]
"""Status and body of a write."""

_MAX_KEY = 200
_JSON = "application/json"
_KEPT = ("etag", "location")
_MADE = (201, 202)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=_MAX_KEY,
        description="Of your own making, a UUID say. Sent again with the same request within 24 h,"
        " it brings the same reply and changes nothing.",
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=1024,
        description="Change it only if it still has one of these tags; else 412.",
    ),
]


async def once(
    call: Call,
    write: Callable[[], Awaitable[Answer]],
    *,
    body: Received[Any] | None = None,
    tagged: bool = False,
    at: Callable[[Any], str] | None = None,
) -> Response:
    """Answer a write, or repeat the answer that its idempotency key brought before.

    Args:
        call: Who asks.
        write: Makes the change and says how it is answered.
        body: What the request carried.
        tagged: Whether the answer is a single thing with an ETag.
        at: The address of what was made, for the header ``Location``.

    Raises:
        IdempotencyError: The key was used for another request, or its request is still running.
    """
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return await _written(write, tagged, at)
    kept, app_id = call.service.idempotency, call.principal.app_id
    before = await call.service.db(
        lambda: kept.begin(app_id, key, _fingerprint(call.request, body))
    )
    if before is not None:
        headers = {**before.headers, "Idempotency-Replayed": "true"}
        return Response(before.body, before.status, headers, before.media_type)
    answer: Response | None = None
    try:
        answer = await _written(write, tagged, at)
    finally:
        if answer is None or answer.status_code >= 300:
            await call.service.db(lambda: kept.forget(app_id, key))
    if answer.status_code < 300:
        told = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        record = Kept(answer.status_code, _JSON, bytes(answer.body), told)
        await call.service.db(lambda: kept.keep(app_id, key, record))
    return answer


async def _written(
    write: Callable[[], Awaitable[Answer]], tagged: bool, at: Callable[[Any], str] | None
) -> Response:
    try:
        status, model = await write()
    except ChangedError as error:
        return refused(error)
    headers = {"ETag": tag_of(model)} if tagged else {}
    if at is not None and status in _MADE:
        headers["Location"] = at(model)
    return reply(model, status, headers)


def _fingerprint(request: Request, body: Received[Any] | None) -> str:
    """SHA-256 of what makes two requests the same: method, address and contents."""
    url, digest = request.url, "" if body is None else body.digest
    whole = "\n".join((request.method, url.path, url.query, digest))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
