"""What operators ask: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from vultus.server.auth import admit, authenticate
from vultus.server.metrics import CONTENT_TYPE
from vultus.server.service import CurrentService
from vultus.server.settings import is_loopback

__all__ = ["router"]

router = APIRouter()


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "live"}


@router.get("/health/ready")
async def ready(request: Request, service: CurrentService) -> Response:
    """Whether the model is warm and the databases can be reached."""
    reason = await service.db(service.not_ready)
    if reason is None:
        return JSONResponse({"status": "ready"})
    request.state.error_code = reason
    return JSONResponse(
        {"status": "not ready", "reason": reason}, 503, headers={"Retry-After": "1"}
    )


@router.get("/metrics")
async def metrics(request: Request, service: CurrentService) -> Response:
    """Counts and times; for this machine, for everybody where set so, else for ``admin``."""
    if not service.settings.metrics_public and not _is_local(request):
        await admit(service, request, await authenticate(service, request), "admin")
    page = await service.db(service.metrics.page)
    return Response(page, media_type=CONTENT_TYPE)


def _is_local(request: Request) -> bool:
    """Whether somebody on this machine asks, and not a proxy on it for somebody else."""
    client = request.client.host if request.client else ""
    passed_on = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "via"))
    return is_loopback(client) and not passed_on
