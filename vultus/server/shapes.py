"""In whose words an error is told: the native API's, or those of the path's own interface."""

from __future__ import annotations

import logging
from typing import Protocol

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from vultus.errors import VultusError
from vultus.server.errors import (
    BodyTooLargeError,
    ForbiddenError,
    InternalError,
    MediaTypeError,
    MethodError,
    NotFoundError,
    RequestError,
    UnauthorisedError,
    headers_of,
    native_body,
    status_of,
)
from vultus.server.logs import request_id

__all__ = ["Shape", "error_response", "translated"]

_log = logging.getLogger(__name__)
_MOST_TOLD = 10


class Shape(Protocol):
    """What a module of an interface (``vultus.server.wire.NAME``) offers besides its ``router``."""

    def owns(self, path: str) -> bool:
        """Whether errors on this path are told in its words."""
        ...

    def respond(self, request: Request, error: VultusError) -> Response:
        """An error in its words."""
        ...


def translated(error: Exception) -> VultusError:
    """Any error of a request as one of ours; what is unforeseen becomes `InternalError`."""
    if isinstance(error, VultusError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _http(error)
    return InternalError("something broke on the server")


def _invalid(error: RequestValidationError) -> VultusError:
    """What is wrong with which fields; what came is not repeated."""
    told = [
        {
            "where": ".".join(map(str, part.get("loc", ()))),
            "what": str(part.get("msg", "")).removeprefix("Value error, "),
        }
        for part in error.errors()[:_MOST_TOLD]
    ]
    return RequestError(
        "; ".join(f"{part['where']}: {part['what']}" for part in told) or "the request is invalid",
        remedy="see the API's documentation",
        fields=told,
    )


def _http(error: HTTPException) -> VultusError:
    kinds: dict[int, type[VultusError]] = {
        401: UnauthorisedError,
        403: ForbiddenError,
        404: NotFoundError,
        405: MethodError,
        413: BodyTooLargeError,
        415: MediaTypeError,
    }
    if error.status_code >= 500:
        return InternalError("something broke on the server")
    kind = kinds.get(error.status_code, RequestError)
    message = {404: "there is nothing at this address", 405: "this address has no such method"}
    return kind(message.get(error.status_code, str(error.detail)))


def error_response(request: Request, error: Exception) -> Response:
    """An error as the owner of the request's path tells it."""
    body = request.scope.get("state", {}).get("body")
    # What was wrong with the body counts, whatever its reader made of it.
    told = translated(getattr(body, "error", None) or error)
    if status_of(told) == 500:
        _log.error("unforeseen: %s", type(error).__name__, exc_info=error)
    request.state.error_code = told.code
    for shape in request.app.state.shapes:
        if shape.owns(request.url.path):
            response: Response = shape.respond(request, told)
            return response
    return JSONResponse(
        native_body(told, request_id.get()), status_of(told), headers=headers_of(told)
    )
