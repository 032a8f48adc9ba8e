"""Writes: made once per idempotency key, under the conditions the client names."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

from fastapi import Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from vultus.server.errors import RequestError
from vultus.server.routes._call import Call
from vultus.server.routes._reply import ChangedError, refused, tag_of_body

__all__ = ["Answer", "IdempotencyKey", "IfMatch", "once"]

Answer: TypeAlias = tuple[int, BaseModel | None]
"""Status and body of a write."""

_MAX_KEY = 255
_JSON = "application/json"

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
    digest: str = "",
    tagged: bool = False,
) -> Response:
    """Answer a write, or repeat the answer that its idempotency key brought before.

    Args:
        call: Who asks.
        write: Makes the change and says how it is answered.
        digest: Of the request's body.
        tagged: Whether the answer is a single thing with an ETag.

    Raises:
        IdempotencyError: The key was used for another request, or its request is still running.
    """
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return await _written(write, tagged)
    if not (key and len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise RequestError(
            f"Idempotency-Key must have 1 to {_MAX_KEY} printable ASCII characters",
            field="Idempotency-Key",
        )
    kept, app_id = call.service.idempotency, call.principal.app_id
    request = _fingerprint(call.request, digest)
    before = await call.service.db(lambda: kept.begin(app_id, key, request))
    if before is not None:
        return _answer(before.status, before.body, tagged, replayed=True)
    answer: Response | None = None
    try:
        answer = await _written(write, tagged)
    finally:
        if answer is None or answer.status_code >= 300:
            await call.service.db(lambda: kept.forget(app_id, key))
    if answer.status_code < 300:
        status, body = answer.status_code, bytes(answer.body)
        await call.service.db(lambda: kept.finish(app_id, key, status, _JSON, body))
    return answer


async def _written(write: Callable[[], Awaitable[Answer]], tagged: bool) -> Response:
    try:
        status, model = await write()
    except ChangedError as error:
        return refused(error)
    return _answer(status, b"" if model is None else model.model_dump_json().encode(), tagged)


def _answer(status: int, body: bytes, tagged: bool, *, replayed: bool = False) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    if not body:
        return Response(status_code=status, headers=headers)
    if tagged:
        headers["ETag"] = tag_of_body(body)
    return Response(body, status, headers=headers, media_type=_JSON)


def _fingerprint(request: Request, digest: str) -> str:
    """SHA-256 of what makes two requests the same: method, address and contents."""
    url = request.url
    whole = "\n".join((request.method, url.path, url.query, digest))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
