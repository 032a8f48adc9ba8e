"""CompreFace's paths: recognition, detection, verification, and what needs no key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from vultus.errors import VultusError
from vultus.server.store import Scope
from vultus.server.wire.compreface.access import is_uuid, of_key
from vultus.server.wire.compreface.answers import crop_picture
from vultus.server.wire.compreface.body import embeddings, read_json, read_pictures
from vultus.server.wire.compreface.errors import (
    CompreFaceError,
    bad_values,
    malformed,
    missing_variable,
    told,
)
from vultus.server.wire.compreface.names import check_new_name, storable_name
from vultus.server.wire.compreface.query import (
    ADD,
    DETECT,
    read_count,
    read_options,
    read_page,
    read_subject,
)
from vultus.server.wire.compreface.state import Call, opened_call, state_of

__all__ = ["owns", "respond", "router"]

PREFIX = "/api/v1"
_RECOGNITION, _DETECTION, _VERIFICATION = "Recognition", "Detection", "Verification"
# A crop never changes: CompreFace 1.2.0 sends the same.
_FOREVER = {"Cache-Control": "public, max-age=31536000"}
Reply: TypeAlias = Response | dict[str, Any] | list[Any]
Handler: TypeAlias = Callable[[Call], Awaitable[Reply]]


class _Route(APIRoute):
    """A route whose failures are told in CompreFace's words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which catches what its endpoint throws on purpose."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except CompreFaceError as error:
                return _failure(request, error)

        return handled


router = APIRouter(prefix=PREFIX, route_class=_Route, include_in_schema=False)


def owns(path: str) -> bool:
    """Whether a path is one of CompreFace's."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def respond(request: Request, error: VultusError) -> Response:
    """An error in CompreFace's words."""
    return _failure(request, told(error))


def _failure(request: Request, error: CompreFaceError) -> Response:
    request.state.error_code = f"compreface-{error.number}"
    body = {"message": error.message, "code": error.number}
    return JSONResponse(body, error.status, headers=error.headers)


def _call(
    method: str, path: str, kind: str, scope: Scope, *, status: int = 200, slash: bool = True
) -> Callable[[Handler], Handler]:
    """Make a function the answer to calls of a path.

    Args:
        method: Of HTTP.
        path: After the prefix.
        kind: What CompreFace calls the service.
        scope: What a key must be allowed to do.
        status: Of the answer.
        slash: Whether the path may end in a slash as well.
    """

    def register(handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            reply = await handler(await opened_call(request, kind, scope))
            return reply if isinstance(reply, Response) else JSONResponse(reply, status)

        for spelling in (path, f"{path}/") if slash else (path,):
            router.add_api_route(spelling, endpoint, methods=[method], name=handler.__name__)
        return handler

    return register


def _image_id(call: Call) -> str:
    """The example that a path names.

    Raises:
        CompreFaceError: It is no UUID (0).
    """
    image_id: str = call.request.path_params["image_id"]
    if not is_uuid(image_id):
        raise malformed()
    return image_id.lower()


# -- subjects -------------------------------------------------------------------------------------


@_call("POST", "/recognition/subjects", _RECOGNITION, "enrol", status=201)
async def add_subject(call: Call) -> Reply:
    """Make a subject without examples."""
    given = (await _object(call)).get("subject")
    name = check_new_name(given)
    await call.on_db(lambda: call.collection().add_subject(name))
    return {"subject": given}


@_call("GET", "/recognition/subjects", _RECOGNITION, "read")
async def list_subjects(call: Call) -> Reply:
    """Every subject's name."""
    return {"subjects": await call.on_db(lambda: call.collection().subjects())}


@_call("PUT", "/recognition/subjects/{name:path}", _RECOGNITION, "enrol", slash=False)
async def rename_subject(call: Call) -> Reply:
    """Call a subject otherwise, or make two of them one."""
    name = _subject_of_path(call)
    given = (await _object(call)).get("subject")
    if given is None or given == "":
        return {"updated": False}
    new_name = check_new_name(given)
    return {"updated": await call.on_db(lambda: call.collection().rename(name, new_name))}


@_call("DELETE", "/recognition/subjects/{name:path}", _RECOGNITION, "delete", slash=False)
async def remove_subject(call: Call) -> Reply:
    """Erase a subject with all examples."""
    name = _subject_of_path(call)
    await call.on_db(lambda: call.collection().remove_subject(name))
    return {"subject": name}


def _subject_of_path(call: Call) -> str:
    name: str = call.request.path_params["name"]
    if not name.strip():
        raise missing_variable("subject")
    return name


# No slash at its end: a client that left out the name does not mean everybody.
@_call("DELETE", "/recognition/subjects", _RECOGNITION, "delete", slash=False)
async def remove_subjects(call: Call) -> Reply:
    """Erase every subject."""
    people, _ = await call.on_db(lambda: call.collection().remove_everybody())
    return {"deleted": people}


# -- examples -------------------------------------------------------------------------------------


@_call("POST", "/recognition/faces", _RECOGNITION, "enrol", status=201)
async def add_example(call: Call) -> Reply:
    """Keep the only face of a picture as an example of a subject."""
    query = call.request.query_params
    subject = read_subject(query)
    name, options = storable_name(subject), read_options(query, ADD)
    (picture,) = await read_pictures(call.request, "file")
    answers = call.answers
    image_id = await call.on_engine(lambda: answers.add(call.collection(), picture, name, options))
    return {"image_id": image_id, "subject": subject}


@_call("GET", "/recognition/faces", _RECOGNITION, "read")
async def list_examples(call: Call) -> Reply:
    """A page of examples, of a subject or of all."""
    query = call.request.query_params
    page, subject = read_page(query), query.get("subject") or None
    return await call.on_db(lambda: call.collection().examples(page, subject))


@_call("DELETE", "/recognition/faces", _RECOGNITION, "delete", slash=False)
async def remove_examples(call: Call) -> Reply:
    """Erase a subject's examples and the subject; without a name, everything."""
    subject = call.request.query_params.get("subject")
    if subject is None:
        _, examples = await call.on_db(lambda: call.collection().remove_everybody())
        return {"deleted": examples}
    if not subject.strip():
        raise bad_values(["Subject name is empty"])
    return {"deleted": await call.on_db(lambda: call.collection().remove_examples_of(subject))}


@_call("DELETE", "/recognition/faces/", _RECOGNITION, "delete", slash=False)
async def remove_nothing(_: Call) -> Reply:
    """A client that left out the example does not mean all of them."""
    raise missing_variable("image_id")


@_call("POST", "/recognition/faces/delete", _RECOGNITION, "delete")
async def remove_listed_examples(call: Call) -> Reply:
    """Erase examples; which ones there were."""
    given = await read_json(call.request)
    if not isinstance(given, list) or not all(isinstance(i, str) and is_uuid(i) for i in given):
        raise malformed()
    return await call.on_db(lambda: call.collection().remove_examples(given))


@_call("DELETE", "/recognition/faces/{image_id}", _RECOGNITION, "delete")
async def remove_example(call: Call) -> Reply:
    """Erase an example."""
    image_id = _image_id(call)
    gone = await call.on_db(lambda: call.collection().remove_examples([image_id]))
    if not gone:
        raise CompreFaceError(404, 44, f"Image {image_id} not found")
    return gone[0]


@_call("GET", "/recognition/faces/{image_id}/img", _RECOGNITION, "read")
async def example_picture(call: Call) -> Reply:
    """The picture kept with an example; nothing where none is."""
    return await _picture(call)


@_call("POST", "/recognition/faces/{image_id}/verify", _RECOGNITION, "read")
async def verify_example(call: Call) -> Reply:
    """Every face of a picture against a stored example."""
    image_id = _image_id(call)
    options = read_options(call.request.query_params, DETECT)
    (picture,) = await read_pictures(call.request, "file")
    answers = call.answers
    return await call.on_engine(
        lambda: answers.verify_example(call.collection(), picture, image_id, options)
    )


# -- pictures -------------------------------------------------------------------------------------


@_call("POST", "/recognition/recognize", _RECOGNITION, "read")
async def recognize(call: Call) -> Reply:
    """Every face of a picture and the examples most like it."""
    options = read_options(call.request.query_params)
    (picture,) = await read_pictures(call.request, "file")
    answers = call.answers
    return await call.on_engine(
        lambda: answers.recognize(call.collection().gallery, picture, options)
    )


@_call("POST", "/detection/detect", _DETECTION, "read")
async def detect(call: Call) -> Reply:
    """Every face of a picture."""
    options = read_options(call.request.query_params, DETECT)
    (picture,) = await read_pictures(call.request, "file")
    answers = call.answers
    return await call.on_engine(lambda: answers.detect(picture, options))


@_call("POST", "/verification/verify", _VERIFICATION, "read")
async def verify(call: Call) -> Reply:
    """Every face of a picture against the only face of another."""
    options = read_options(call.request.query_params, DETECT)
    source, target = await read_pictures(call.request, "source_image", "target_image")
    answers = call.answers
    return await call.on_engine(lambda: answers.verify(source, target, options))


# -- embeddings -----------------------------------------------------------------------------------


@_call("POST", "/recognition/embeddings/recognize", _RECOGNITION, "read")
async def recognize_embeddings(call: Call) -> Reply:
    """Embeddings and the examples most like each."""
    count = read_count(call.request.query_params)
    given: Any = (await _object(call)).get("embeddings")
    answers = call.answers

    def job() -> Reply:
        vectors = embeddings(given, "embeddings", answers.dimension)
        return answers.recognize_embeddings(call.collection().gallery, given, vectors, count)

    return await call.on_engine(job)


@_call("POST", "/recognition/embeddings/faces/{image_id}/verify", _RECOGNITION, "read")
async def verify_embeddings_example(call: Call) -> Reply:
    """Embeddings against a stored example."""
    image_id = _image_id(call)
    given: Any = (await _object(call)).get("embeddings")
    answers = call.answers

    def job() -> Reply:
        vectors = embeddings(given, "embeddings", answers.dimension)
        return answers.verify_embeddings_example(call.collection(), image_id, given, vectors)

    return await call.on_engine(job)


@_call("POST", "/verification/embeddings/verify", _VERIFICATION, "read")
async def verify_embeddings(call: Call) -> Reply:
    """Embeddings against another one."""
    body = await _object(call)
    source: Any = body.get("source")
    targets: Any = body.get("targets")
    answers = call.answers

    def job() -> Reply:
        first = embeddings([source] if source else None, "source", answers.dimension)
        others = embeddings(targets, "targets", answers.dimension)
        return answers.verify_embeddings(first[0], targets, others)

    return await call.on_engine(job)


# -- without a header -----------------------------------------------------------------------------


@router.get("/static/{api_key}/images/{image_id}")
async def static_picture(request: Request) -> Response:
    """The picture kept with an example, by a key in the path."""
    state = state_of(request)
    key: str = request.path_params["api_key"]
    principal = await of_key(state.service, request, key, _RECOGNITION, "read")
    return await _picture(Call(request, state, principal))


async def _picture(call: Call) -> Response:
    image_id = _image_id(call)
    service = call.state.service
    data = b""
    if service.settings.keep_crops:
        key = service.crop_key
        data = await call.on_engine(lambda: crop_picture(call.collection(), image_id, key))
    headers = _FOREVER if data else {}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/config")
async def config(request: Request) -> Response:
    """How large uploads may be."""
    most = state_of(request).service.settings.max_body_bytes
    return JSONResponse({"clientMaxFileSize": most, "clientMaxBodySize": most})


@router.get("/consistence/status")
async def consistence(request: Request) -> Response:
    """That the stored embeddings are all of one kind, which a gallery always sees to."""
    return JSONResponse(
        {
            "demoFaceCollectionIsInconsistent": False,
            "dbIsInconsistent": False,
            "saveImagesToDB": state_of(request).service.settings.keep_crops,
            "status": "OK",
        }
    )


# -- everything else ------------------------------------------------------------------------------


async def _object(call: Call) -> dict[str, Any]:
    body = await read_json(call.request)
    if not isinstance(body, dict):
        raise malformed()
    return body


@router.api_route(
    "/{rest:path}",
    methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"],
)
async def nothing(request: Request) -> Response:
    """What is not there: a path, or a method of a path that is."""
    known = any(route.matches(request.scope)[0] is Match.PARTIAL for route in router.routes)
    if known:
        raise CompreFaceError(404, 0, f"Request method '{request.method}' not supported")
    raise CompreFaceError(404, 0, "there is nothing at this address")
