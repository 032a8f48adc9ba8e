"""``/v1/detect/batch`` and ``/v1/identify/batch``: many pictures in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import Response

from vultus.errors import InputError
from vultus.server.routes._body import Pictures, Received, Upload, accepting, described
from vultus.server.routes._call import Call, ReadCall
from vultus.server.routes._reply import errors, reply
from vultus.server.routes.detect import detected
from vultus.server.routes.identify import identified
from vultus.server.schemas.pictures import (
    MAX_BATCH,
    DetectBatchReply,
    DetectItem,
    DetectOptions,
    IdentifyBatchReply,
    IdentifyItem,
    IdentifyOptions,
    ItemError,
)

__all__ = ["router"]

M = TypeVar("M", bound=BaseModel)

router = APIRouter(prefix="/v1", tags=["pictures"])

_MANY = Pictures(least=1, most=MAX_BATCH)


@router.post(
    "/detect/batch",
    operation_id="detectFacesBatch",
    summary="Find the faces of several pictures",
    response_model=DetectBatchReply,
    responses=errors(pictures=True),
    openapi_extra=described(DetectOptions, _MANY),
)
async def detect_batch(
    call: ReadCall,
    asked: Annotated[Received[DetectOptions], Depends(accepting(DetectOptions, _MANY))],
) -> Response:
    """As for one picture, for each; a picture that cannot be read does not fail the others."""
    answers = await _each(
        call, asked.pictures, lambda picture: detected(call.service, picture, asked.options)
    )
    return reply(DetectBatchReply(items=[DetectItem(**item) for item in answers]))


@router.post(
    "/identify/batch",
    operation_id="identifyFacesBatch",
    summary="Name the faces of several pictures",
    response_model=IdentifyBatchReply,
    responses=errors(
        pictures=True,
        e404="`group-unknown`.",
        e409="`space-mismatch`: the gallery was made with another model.",
    ),
    openapi_extra=described(IdentifyOptions, _MANY, {"once": True}),
)
async def identify_batch(
    call: ReadCall,
    asked: Annotated[Received[IdentifyOptions], Depends(accepting(IdentifyOptions, _MANY))],
) -> Response:
    """As for one picture, for each; a picture that cannot be read does not fail the others.

    `once` holds within each picture.
    """
    answers = await _each(
        call, asked.pictures, lambda picture: identified(call, picture, asked.options)
    )
    return reply(IdentifyBatchReply(items=[IdentifyItem(**item) for item in answers]))


async def _each(
    call: Call, pictures: Sequence[Upload], answer: Callable[[Upload], M]
) -> list[dict[str, Any]]:
    """An item per picture. One request keeps no more threads busy than there are.

    Raises:
        VultusError: What is no fault of a single picture: the queue is full, a group unknown.
    """
    turns = asyncio.Semaphore(call.service.engine.threads)

    async def one(index: int, picture: Upload) -> dict[str, Any]:
        item: dict[str, Any] = {"index": index, "image": None, "faces": None, "error": None}
        async with turns:
            try:
                found = await call.pixels(lambda: answer(picture))
            except InputError as error:
                return item | {"error": ItemError(code=error.code, message=str(error))}
        return item | {name: getattr(found, name) for name in ("image", "faces")}

    try:
        async with asyncio.TaskGroup() as tasks:  # the others end when one fails for all
            jobs = [tasks.create_task(one(*part)) for part in enumerate(pictures)]
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return [job.result() for job in jobs]
