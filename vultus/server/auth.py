"""Who asks, and whether they may: keys, scopes, rates and quotas of each request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from vultus.server.errors import ForbiddenError, UnauthorisedError
from vultus.server.limits import check_daily
from vultus.server.service import CurrentService, Service
from vultus.server.store import Application, Scope
from vultus.server.store.keys import SCOPES

__all__ = ["ANONYMOUS", "Principal", "admit", "api_key_of", "authenticate", "need"]

ANONYMOUS = "anonymous"
"""What stands for the application of somebody who needs no key."""

_LONGEST_KEY = 128
_bearer = HTTPBearer(auto_error=False, description="A key made by `vultus keys create`.")
_header = APIKeyHeader(name="x-api-key", auto_error=False, description="The same key.")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        tenant: Whose gallery is used.
        app_id: The application, or `ANONYMOUS`.
        scopes: What it may do.
    """

    tenant: str
    app_id: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """How the audit log names them; for `vultus.gallery.acting_as`."""
        return f"app:{self.app_id}"


def api_key_of(request: Request) -> str | None:
    """The key that came as ``Authorization: Bearer`` or ``x-api-key``."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key")


async def authenticate(service: Service, request: Request) -> Application | None:
    """Whose key came with a request; ``None`` where none is needed and none came.

    Raises:
        UnauthorisedError: None came, or nobody's.
    """
    key = api_key_of(request)
    if key is None:
        if service.settings.anonymous:
            return None
        raise UnauthorisedError("a key is needed")
    found = None
    if len(key) <= _LONGEST_KEY:
        found = service.keys.remembered(key) or await service.db(
            lambda: service.keys.by_api_key(key)
        )
    if found is None:
        service.metrics.refused.labels("unauthorised").inc()
        raise UnauthorisedError("the key must be one that is known and was not revoked")
    return found


async def admit(
    service: Service, request: Request, application: Application | None, scope: Scope
) -> Principal:
    """Let an application in: scope, rate and quota. However it was told apart.

    Args:
        service: The process's.
        request: Is marked with the application for the log.
        application: ``None``: anonymous, which the caller has made sure is allowed.
        scope: What is about to be done.

    Raises:
        ForbiddenError: It lacks the scope.
        RateLimitError: Too many requests this second.
        QuotaError: Too many requests today.
    """
    if application is None:
        request.state.app_id = ANONYMOUS
        await _count(service, ANONYMOUS, service.settings.rate_per_s, service.settings.daily)
        return Principal(await service.main_tenant(), ANONYMOUS, frozenset(SCOPES))
    request.state.app_id = application.app_id
    if scope not in application.scopes:
        service.metrics.refused.labels("forbidden").inc()
        raise ForbiddenError(
            f"the key must have the scope {scope!r}, it has"
            f" {', '.join(sorted(application.scopes))}",
            expected=scope,
            actual=sorted(application.scopes),
        )
    rate = application.rate_per_s or service.settings.rate_per_s
    await _count(service, application.app_id, rate, application.daily or service.settings.daily)
    return Principal(application.tenant, application.app_id, application.scopes)


async def _count(service: Service, app_id: str, rate: float | None, daily: int | None) -> None:
    if rate is not None:
        service.rates.take(app_id, rate / service.settings.workers)
    if daily is not None and not service.quotas.take_held(app_id):
        allowed = await service.db(lambda: service.quotas.take(app_id, daily))
        check_daily(allowed, daily, service.quotas.seconds_left())


def need(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A dependency of native routes: somebody who may do this.

    Example: ``principal: Annotated[Principal, Depends(need("read"))]``.
    """

    async def principal(
        request: Request,
        service: CurrentService,
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None,
        _header: Annotated[str | None, Depends(_header)] = None,
    ) -> Principal:
        return await admit(service, request, await authenticate(service, request), scope)

    return principal
