"""How a route answers: a model as JSON, its tag, and what a client's conditions make of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vultus.server.errors import ServerError
from vultus.server.logs import request_id
from vultus.server.schemas.common import ErrorReply

__all__ = [
    "PRECONDITION",
    "ChangedError",
    "check_match",
    "conditional",
    "errors",
    "refused",
    "reply",
    "tag_of",
]

_JSON = "application/json"
_TAG_DIGITS = 32
_TAGS = re.compile(r'(?:W/)?"[^"]*"')
PRECONDITION = 412


class ChangedError(ServerError):
    """What was to be changed is not what the client last saw."""

    code = "precondition-failed"
    remedy = "read it again, and decide anew"


def reply(
    model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A model as JSON."""
    return Response(model.model_dump_json(), status, headers=headers, media_type=_JSON)


def tag_of(model: BaseModel) -> str:
    """A strong entity tag (RFC 9110, section 8.8.3): a digest of what is told."""
    digest = hashlib.sha256(model.model_dump_json().encode()).hexdigest()
    return f'"{digest[:_TAG_DIGITS]}"'


def conditional(request: Request, model: BaseModel) -> Response:
    """The answer to a GET: with its tag, and without its body when the client has it already."""
    tag = tag_of(model)
    if _lists(request.headers.get("if-none-match"), tag, weak=True):
        return Response(status_code=304, headers={"ETag": tag})
    return reply(model, headers={"ETag": tag})


def check_match(request: Request, current: BaseModel | None) -> None:
    """Hold what is there against the client's conditions, right before it is changed.

    Args:
        request: With ``If-Match`` or ``If-None-Match``, or neither.
        current: What is there; ``None``: nothing.

    Raises:
        ChangedError: A condition does not hold.
    """
    wanted = request.headers.get("if-match")
    tag = None if current is None else tag_of(current)
    if wanted is not None and not _lists(wanted, tag, weak=False):
        raise ChangedError("If-Match must name what is there now", actual=tag)
    unwanted = request.headers.get("if-none-match")
    if unwanted is not None and _lists(unwanted, tag, weak=True):
        raise ChangedError("If-None-Match must not name what is there now", actual=tag)


def _lists(header: str | None, tag: str | None, *, weak: bool) -> bool:
    """Whether a header's list of tags holds this one (RFC 9110, sections 8.8.3.2 and 13.1)."""
    if header is None or tag is None:
        return False
    if header.strip() == "*":
        return True
    given = _TAGS.findall(header)
    return tag in (item.removeprefix("W/") if weak else item for item in given)


def refused(error: ChangedError) -> Response:
    """The answer when a condition does not hold."""
    body = ErrorReply(
        code=error.code, message=str(error), details=dict(error.fields), request_id=request_id.get()
    )
    return JSONResponse(body.model_dump(), PRECONDITION)


# -- for the OpenAPI document ---------------------------------------------------------------------

_ALWAYS = {
    401: "`unauthorised`: no key, or one nobody has.",
    403: "`forbidden`: the key lacks the scope.",
    422: "`request-invalid`: a field is missing, unknown or out of range; `value-range`,"
    " `array-dtype`: a value no gallery takes.",
    429: "`rate-limited`, `quota-exceeded`: see Retry-After.",
    500: "`internal`: something broke; the log has the rest under the request's id.",
    503: "`busy`, `not-ready`, `gallery-file`, `gallery-server`, `store`: see Retry-After.",
}
_BODY = {
    408: "`upload-timeout`: the body arrived too slowly.",
    413: "`body-too-large`.",
    415: "`media-type`: neither of the documented content types.",
}
_PICTURES = {
    413: "`body-too-large`; `image-too-large`: more pixels than the server decodes.",
    415: "`media-type`: neither of the documented content types; `image-format`: no picture of a"
    " kind that is read.",
    422: _ALWAYS[422][:-1] + "; `image-empty`, `image-damaged`; `landmarks-degenerate`;"
    " `insufficient-data`: no such error rate was measured.",
    504: "`timeout`: the work took too long.",
}


def errors(
    *, body: bool = False, pictures: bool = False, **told: str
) -> dict[int | str, dict[str, Any]]:
    """A route's documented failures.

    Args:
        body: It takes a body.
        pictures: It takes pictures.
        **told: More of a status, ``e404="`person-unknown`."``; appended to what is told anyway.
    """
    found = dict(_ALWAYS)
    if body or pictures:
        found |= _BODY
    if pictures:
        found |= _PICTURES
    for name, text in told.items():
        status = int(name.removeprefix("e"))
        found[status] = f"{found[status][:-1]}; {text}" if status in found else text
    return {
        status: {"model": ErrorReply, "description": text} for status, text in sorted(found.items())
    }
