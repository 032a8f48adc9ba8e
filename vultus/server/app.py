"""The application, put together: middlewares, routers, what errors become."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from vultus.errors import VultusError
from vultus.server.guard import Guard
from vultus.server.service import Service
from vultus.server.settings import Settings
from vultus.server.shapes import error_response

__all__ = ["ROUTES", "WIRES", "create_app"]

ROUTES = (
    "detect",
    "compare",
    "identify",
    "people",
    "groups",
    "faces",
    "batch",
    "jobs",
    "export",
)
"""Modules of `vultus.server.routes` that make up the native API."""

WIRES = ("baidu", "compreface")
"""Packages of `vultus.server.wire`: other services' interfaces."""


def create_app(settings: Settings) -> FastAPI:
    """The face service as an ASGI application.

    The model is loaded on a thread once the application starts; ``/health/ready`` tells when.

    Raises:
        SettingsError: It cannot start like this.
        StoreError: The access data cannot be used.
    """
    import vultus

    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start(failed=getattr(app.state, "failed", None))
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)

    app = FastAPI(
        title="vultus",
        version=vultus.__version__,
        description="Whose face is this, and how sure are we?",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.shapes = []
    _include(app)
    for kind in (VultusError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key", "idempotency-key"],
            expose_headers=["etag", "retry-after", "x-request-id", "location"],
            max_age=600,
        )
    app.add_middleware(Guard, settings=settings, metrics=service.metrics, owner=app)
    return app


def _include(app: FastAPI) -> None:
    from vultus.server.routes import ops

    app.include_router(ops.router, include_in_schema=False)
    for name in ROUTES:
        module = _module(f"vultus.server.routes.{name}")
        if module is not None:
            app.include_router(module.router)
    if importlib.util.find_spec("vultus.server.wire") is None:
        return
    for name in WIRES:
        module = _module(f"vultus.server.wire.{name}")
        if module is not None:
            app.include_router(module.router, include_in_schema=False)
            if hasattr(module, "owns"):
                app.state.shapes.append(module)


def _module(name: str) -> Any:
    """A module that need not be there; what breaks within it is not hidden."""
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


async def _handle(request: Request, error: Exception) -> Response:
    return error_response(request, error)
