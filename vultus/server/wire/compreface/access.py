"""Who asks: the header x-api-key, in CompreFace's words."""

from __future__ import annotations

import re

from fastapi import Request

from vultus.server.auth import Principal, admit
from vultus.server.service import Service
from vultus.server.store import Scope
from vultus.server.wire.compreface.errors import CompreFaceError, bad_value, unknown_service

__all__ = ["authorised", "is_uuid", "of_key"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_HEADER = "x-api-key"


def is_uuid(text: str) -> bool:
    """Whether a text has the form of a UUID."""
    return _UUID.fullmatch(text) is not None


async def authorised(service: Service, request: Request, kind: str, scope: Scope) -> Principal:
    """Who asks, by the header ``x-api-key``.

    Args:
        service: The process's.
        request: Theirs.
        kind: What CompreFace calls the service they ask.
        scope: What is about to be done.

    Raises:
        CompreFaceError: The header is missing (20), no UUID (26), or nobody's key (10).
        ForbiddenError: The key lacks the scope.
        RateLimitError: Too many requests this second.
        QuotaError: Too many requests today.
    """
    key = request.headers.get(_HEADER)
    if key is None and service.settings.anonymous:
        return await admit(service, request, None, scope)
    if key is None:
        raise CompreFaceError(400, 20, f"Missing header: {_HEADER}")
    return await of_key(service, request, key, kind, scope)


async def of_key(
    service: Service, request: Request, key: str, kind: str, scope: Scope
) -> Principal:
    """Who asks, by a key; see `authorised`."""
    if not is_uuid(key):
        raise bad_value("Service API key should be UUID")
    found = service.keys.remembered(key) or await service.db(lambda: service.keys.by_api_key(key))
    if found is None:
        service.metrics.refused.labels("unauthorised").inc()
        raise unknown_service(kind, key)
    return await admit(service, request, found, scope)
