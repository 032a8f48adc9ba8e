"""``/v1/compare`` and ``/v1/verify``: are these the same person, is this who they say they are?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from vultus.server.routes._body import ONE, Pictures, Received, accepting, described
from vultus.server.routes._call import Call, ReadCall
from vultus.server.routes._flow import Flow
from vultus.server.routes._measure import lively
from vultus.server.routes._reply import errors, reply
from vultus.server.schemas.pictures import (
    CompareOptions,
    CompareReply,
    VerifyOptions,
    VerifyReply,
)
from vultus.server.schemas.seen import DecisionOut, GateOut, QualityOut, SeenFace
from vultus.types import Face, GateResult, Quality

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["pictures"])

_TWO = Pictures(least=2, most=2)
_FACELESS = "`no-face`: a picture shows none; `face-refused`: the gate lets one not through."


@router.post(
    "/compare",
    operation_id="compareFaces",
    summary="Compare the faces of two pictures",
    response_model=CompareReply,
    responses=errors(pictures=True, e422=_FACELESS),
    openapi_extra=described(CompareOptions, _TWO, {"threshold": "fmr=1e-3"}),
)
async def compare(
    call: ReadCall,
    asked: Annotated[Received[CompareOptions], Depends(accepting(CompareOptions, _TWO))],
) -> Response:
    """Whether the largest faces of two pictures are the same person's, and how sure that is.

    With the similarity come the threshold it was held against and how often a stranger would look
    as similar, with its interval.
    """
    return reply(await call.pixels(lambda: _compared(call, asked)))


def _compared(call: Call, asked: Received[CompareOptions]) -> CompareReply:
    options = asked.options
    flow = Flow(
        call.service, gate=options.gate, threshold=options.threshold, any_turn=options.any_turn
    )
    faces = [
        flow.one(picture, label=f"picture {number} of 2")
        for number, picture in enumerate(asked.pictures, start=1)
    ]
    shown = [_shown(face, *flow.admit(face)) for face in faces]
    decision = flow.compare(*faces)
    return CompareReply(decision=DecisionOut.of(decision), faces=shown)


@router.post(
    "/verify",
    operation_id="verifyPerson",
    summary="Verify a claimed person",
    response_model=VerifyReply,
    responses=errors(
        pictures=True,
        e404="`person-unknown`, `group-unknown`.",
        e409="`space-mismatch`: the gallery was made with another model.",
        e422=_FACELESS,
    ),
    openapi_extra=described(VerifyOptions, ONE, {"person": "ada"}),
)
async def verify(
    call: ReadCall,
    asked: Annotated[Received[VerifyOptions], Depends(accepting(VerifyOptions, ONE))],
) -> Response:
    """Whether the largest face of a picture is the person somebody claims to be.

    Only this person's faces are compared, so the answer takes as long in a large gallery.
    """
    return reply(await call.pixels(lambda: _verified(call, asked)))


def _verified(call: Call, asked: Received[VerifyOptions]) -> VerifyReply:
    options, gallery = asked.options, call.gallery()
    person = gallery.person(options.person)
    for group in options.groups or ():
        gallery.group(group)
    flow = Flow(
        call.service, gate=options.gate, threshold=options.threshold, any_turn=options.any_turn
    )
    face = flow.one(asked.pictures[0])
    quality, gate = flow.admit(face)
    decision = flow.verify(gallery, person, face, options.groups, quality)
    told = None
    if decision is not None and decision.sample is not None:
        told = DecisionOut.of(decision, call.face_id(decision.sample), person.name)
    (score,) = lively([face], call.service.liveness) if options.liveness else [None]
    shown = _shown(face, quality, gate, score)
    return VerifyReply(person=person.id, name=person.name, decision=told, face=shown)


def _shown(
    face: Face, quality: Quality | None, gate: GateResult | None, liveness: float | None = None
) -> SeenFace:
    return SeenFace.of(
        face,
        liveness=liveness,
        quality=None if quality is None else QualityOut.of(quality),
        gate=None if gate is None else GateOut.of(gate),
    )
