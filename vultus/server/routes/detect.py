"""``/v1/detect``: where are the faces of a picture, and what can be told of them?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from vultus.server.routes._body import ONE, Received, Upload, accepting, described
from vultus.server.routes._call import ReadCall
from vultus.server.routes._flow import Flow
from vultus.server.routes._measure import measured
from vultus.server.routes._reply import errors, reply
from vultus.server.schemas.pictures import DetectOptions, DetectReply
from vultus.server.schemas.seen import size_of
from vultus.server.service import Service

__all__ = ["detected", "router"]

router = APIRouter(prefix="/v1", tags=["pictures"])


@router.post(
    "/detect",
    operation_id="detectFaces",
    summary="Find the faces of a picture",
    response_model=DetectReply,
    responses=errors(pictures=True),
    openapi_extra=described(DetectOptions, ONE, {"quality": True}),
)
async def detect(
    call: ReadCall,
    asked: Annotated[Received[DetectOptions], Depends(accepting(DetectOptions, ONE))],
) -> Response:
    """Boxes, scores and five landmarks; more landmarks, pose and quality if asked.

    No face is an empty list. A gate refuses nothing here: it says what it would.
    """
    (picture,) = asked.pictures
    return reply(await call.pixels(lambda: detected(call.service, picture, asked.options)))


def detected(service: Service, picture: Upload, options: DetectOptions) -> DetectReply:
    """The answer for one picture; takes a worker's thread.

    Raises:
        ImageError: The picture cannot be read.
    """
    seen = Flow(service, any_turn=options.any_turn).see(picture, options.max_faces)
    return DetectReply(
        image=size_of(seen.frame), faces=measured(seen.faces, options, service.liveness)
    )
