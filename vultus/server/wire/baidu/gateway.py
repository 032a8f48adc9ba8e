"""The way in: who asks, what they ask for, and every outcome in Baidu's words."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from vultus.errors import VultusError
from vultus.gallery import acting_as
from vultus.server.auth import admit
from vultus.server.errors import TokenInvalidError, UrlRefusedError
from vultus.server.pictures import fetch_picture
from vultus.server.service import Service
from vultus.server.store import Application
from vultus.server.store.faces import FaceTokens
from vultus.server.store.idcards import IdCards
from vultus.server.wire.baidu import v2, v3
from vultus.server.wire.baidu.bodies import Body, BodyError, parse_body, parse_query
from vultus.server.wire.baidu.call import Call, Method, Reply, Tools
from vultus.server.wire.baidu.errors import BaiduError, Dialect, gateway, translated
from vultus.server.wire.baidu.errors import v2 as v2_error
from vultus.server.wire.baidu.errors import v3 as v3_error
from vultus.server.wire.baidu.fields import Fields
from vultus.server.wire.baidu.looks import Looker
from vultus.server.wire.baidu.oauth import ANONYMOUS_ENDING, failure, token_reply
from vultus.server.wire.baidu.pictures import V3_LIMITS
from vultus.server.wire.baidu.replies import failed, json_response, succeeded
from vultus.server.wire.baidu.signature import (
    SeenSignatures,
    parse_authorization,
    signature_fits,
)

__all__ = ["METHODS", "owns", "respond", "router"]

_log = logging.getLogger(__name__)

_FACE = "/rest/2.0/face/"
_TOKEN = "/oauth/2.0/token"  # noqa: S105 - a path
_VIDEO = f"{_FACE}v1/faceliveness/"
_EVERY = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_LARGE_BYTES = 64 * 1024  # parsing more than this would hold up other requests
_PURGE_S = 60.0
_MOST_FETCHED = 8  # pictures of one call, as many as faceverify takes

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        **{f"{_FACE}v2/{path}": method for path, method in v2.METHODS.items()},
        **{f"{_FACE}{path}": method for path, method in v3.METHODS.items()},
    }
)
"""All methods by their path."""

_FORBIDDEN = frozenset(_FACE + path for path in v3.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the interface keeps for a process."""

    tools: Tools
    seen: SeenSignatures


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Erase faces whose time is over, also where nobody asks for anything."""
    service: Service = app.state.service
    desk = await service.db(lambda: _desk(app))

    async def purge() -> None:
        while True:
            try:
                await service.db(desk.tools.faces.erase_ended)
            except VultusError as error:
                _log.warning("faces whose time is over were not erased: %s", error.code)
            await asyncio.sleep(_PURGE_S)

    task = asyncio.create_task(purge())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


router = APIRouter(lifespan=_lifespan)


def owns(path: str) -> bool:
    """Whether errors on this path are told in Baidu's words."""
    return path.startswith(("/rest/", "/oauth/", "/rpc/"))


def respond(request: Request, error: VultusError) -> Response:
    """An error in Baidu's words."""
    path = request.url.path
    if path == _TOKEN:
        return json_response(failure("invalid_request", "the request cannot be answered"))
    if not path.startswith(_FACE) and not isinstance(error, BaiduError):
        error = gateway(3)
    dialect = _dialect(path)
    told = translated(error, dialect)
    request.state.error_code = f"baidu-{told.number}"
    return failed(told, dialect, both_sets=path.startswith(_VIDEO))


@router.api_route(_TOKEN, methods=["GET", "POST"])
async def token(request: Request) -> Response:
    """Give an access token for an application's keys."""
    service: Service = request.app.state.service
    try:
        fields = {**_query(request), **parse_body(await request.body()).fields}
    except BodyError:
        return json_response(failure("invalid_request", "the body must be a form"))
    told = await service.db(lambda: token_reply(service, fields))
    if "error" in told:
        request.state.error_code = str(told["error"])
        service.metrics.refused.labels("unauthorised").inc()
    return json_response(told)


async def _method(request: Request) -> Response:
    """Answer a call."""
    try:
        reply = await _answered(request)
    except BaiduError as error:
        return respond(request, error)
    return succeeded(_dialect(request.url.path), reply)


async def _unknown(request: Request) -> Response:
    """Refuse what no method answers; to whom may ask, with the reason."""
    path = request.url.path
    try:
        if path.startswith(_FACE):
            await _identified(request)
        if path in _FORBIDDEN:
            raise gateway(6)
        raise v2_error(216102) if path.startswith(f"{_FACE}v2/") else gateway(3)
    except BaiduError as error:
        return respond(request, error)


for _path in METHODS:
    router.add_api_route(_path, _method, methods=_EVERY, response_model=None)
router.add_api_route("/rest/{path:path}", _unknown, methods=_EVERY, response_model=None)
router.add_api_route("/oauth/{path:path}", _unknown, methods=_EVERY, response_model=None)
router.add_api_route("/rpc/{path:path}", _unknown, methods=_EVERY, response_model=None)


# -- one call ---------------------------------------------------------------------------------


async def _answered(request: Request) -> Reply:
    service: Service = request.app.state.service
    path, app = request.url.path, request.app
    method, dialect = METHODS[path], _dialect(path)
    if request.method != "POST" and not (request.method == "GET" and method.get):
        raise gateway(3)
    body, application = await _identified(request)
    principal = await admit(service, request, application, method.scope)
    values = {**_query(request), **body.fields}
    fetched = await _fetched(service, [values, *(body.items or [])]) if dialect == "v3" else {}

    def job() -> Reply:
        fields, tools = Fields(values, dialect), _desk(app).tools
        call = Call(service, principal, tools, fields, body.items, fetched)
        return method.run(call)

    with acting_as(principal.actor):
        return await (service.run(job) if method.pixels else service.db(job))


async def _fetched(service: Service, asked: Sequence[object]) -> dict[str, bytes]:
    """The pictures that are named by addresses, as far as the operator lets them be fetched."""
    found: dict[str, bytes] = {}
    if not service.settings.fetch_hosts:
        return found
    for one in asked[: _MOST_FETCHED + 1]:
        if not isinstance(one, dict) or str(one.get("image_type", "")).upper() != "URL":
            continue
        url = str(one.get("image", ""))
        with suppress(UrlRefusedError):  # told where the picture is needed
            found[url] = await service.db(
                lambda url=url: fetch_picture(  # type: ignore[misc]
                    url, service.settings.fetch_hosts, V3_LIMITS.max_characters
                )
            )
    return found


async def _identified(request: Request) -> tuple[Body, Application | None]:
    """What came, and whose application sent it; ``None``: nobody needs a key.

    The header and the query are looked at first, so that nobody's large body is parsed.

    Raises:
        BaiduError: Nobody's, or the body cannot be read.
        UnauthorisedError: The token is void.
    """
    service: Service = request.app.state.service
    query = _query(request)
    header = request.headers.get("authorization", "")
    if header.startswith("bce-auth-"):
        application: Application | None = await _signer(request, header)
        return await _body(request), application
    if query.get("access_token"):
        application = await _holder(service, str(query["access_token"]))
        return await _body(request), application
    body = await _body(request)
    given = body.fields.get("access_token")
    if given:
        return body, await _holder(service, str(given))
    if service.settings.anonymous:
        return body, None
    service.metrics.refused.labels("unauthorised").inc()
    raise gateway(100)


async def _holder(service: Service, text: str) -> Application | None:
    """Whose token this is.

    Raises:
        UnauthorisedError: Nobody's.
    """
    try:
        return await service.db(lambda: service.tokens.application(text))
    except TokenInvalidError:
        if service.settings.anonymous and text.endswith(ANONYMOUS_ENDING):
            return None
        service.metrics.refused.labels("unauthorised").inc()
        raise


async def _signer(request: Request, header: str) -> Application:
    """Whose signature this is.

    Raises:
        BaiduError: Nobody's, one of another request, or one that was used too long ago.
    """
    service: Service = request.app.state.service
    signed = parse_authorization(header)
    known = None
    if signed is not None:
        known = await service.db(lambda: service.keys.by_ak(signed.ak))
    now_s = time.time()
    if (
        signed is None
        or known is None
        or not signature_fits(
            service.keys.sk_of(known),
            signed,
            request.method,
            request.scope["path"],
            request.scope["query_string"].decode("latin-1"),
            request.headers,
            now_s,
        )
    ):
        service.metrics.refused.labels("unauthorised").inc()
        raise gateway(14)
    seen = _desk(request.app).seen
    if not await service.db(lambda: seen.admit(signed.signature, now_s)):
        service.metrics.refused.labels("unauthorised").inc()
        raise gateway(14)
    return known


def _query(request: Request) -> dict[str, object]:
    try:
        return parse_query(request.scope["query_string"])
    except BodyError as error:
        raise gateway(100) from error


async def _body(request: Request) -> Body:
    service: Service = request.app.state.service
    data = await request.body()
    parse: Callable[[], Body] = lambda: parse_body(data)  # noqa: E731
    try:
        return parse() if len(data) <= _LARGE_BYTES else await service.db(parse)
    except BodyError as error:
        dialect = _dialect(request.url.path)
        raise (v2_error(216100) if dialect == "v2" else v3_error(222200)) from error


def _dialect(path: str) -> Dialect:
    return "v2" if path.startswith(f"{_FACE}v2/") else "v3"


def _desk(app: FastAPI) -> _Desk:
    """Made when first needed; made twice by two threads at once, one is dropped."""
    found: _Desk | None = getattr(app.state, "baidu", None)
    if found is None:
        service: Service = app.state.service
        faces = FaceTokens(service.store, service.secrets)
        cards = IdCards(service.store, service.secrets)
        app.state.baidu = found = _Desk(
            Tools(Looker(), faces, cards), SeenSignatures(service.store)
        )
    return found
