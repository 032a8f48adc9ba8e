"""``/v1/identify``: whose faces are these, among everybody or within groups?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from vultus.server.routes._body import ONE, Received, Upload, accepting, described
from vultus.server.routes._call import Call, ReadCall
from vultus.server.routes._flow import Flow
from vultus.server.routes._measure import lively
from vultus.server.routes._reply import errors, reply
from vultus.server.schemas.pictures import IdentifiedFace, IdentifyOptions, IdentifyReply
from vultus.server.schemas.seen import DecisionOut, GateOut, MatchOut, QualityOut, size_of
from vultus.types import Identification, Match

__all__ = ["identified", "matches_told", "router"]

router = APIRouter(prefix="/v1", tags=["pictures"])


@router.post(
    "/identify",
    operation_id="identifyFaces",
    summary="Name the faces of a picture",
    response_model=IdentifyReply,
    responses=errors(
        pictures=True,
        e404="`group-unknown`.",
        e409="`space-mismatch`: the gallery was made with another model.",
    ),
    openapi_extra=described(IdentifyOptions, ONE, {"groups": ["staff"], "k": 3}),
)
async def identify(
    call: ReadCall,
    asked: Annotated[Received[IdentifyOptions], Depends(accepting(IdentifyOptions, ONE))],
) -> Response:
    """Who is on a picture: its largest face (1:N) or all of them (M:N).

    A face nobody matches well enough has no person; its nearest people are listed all the same.
    """
    (picture,) = asked.pictures
    return reply(await call.pixels(lambda: identified(call, picture, asked.options)))


def identified(call: Call, picture: Upload, options: IdentifyOptions) -> IdentifyReply:
    """The answer for one picture; takes a worker's thread.

    Raises:
        ImageError: The picture cannot be read.
        UnknownGroupError: There is no such group.
        SpaceMismatchError: The gallery was made with another model.
    """
    gallery = call.gallery()
    for group in options.groups or ():  # also where the picture shows no face
        gallery.group(group)
    flow = Flow(
        call.service, gate=options.gate, threshold=options.threshold, any_turn=options.any_turn
    )
    seen = flow.see(picture, 1 if options.faces == "largest" else options.max_faces)
    found = flow.identify(
        gallery,
        seen.faces,
        k=max(options.k, 2),  # the margin takes a second one
        groups=options.groups,
        once=options.once,
    )
    wanted = call.service.liveness if options.liveness else None
    scores = lively(seen.faces, wanted)
    faces = [_told(call, *pair, options) for pair in zip(found, scores, strict=True)]
    return IdentifyReply(image=size_of(seen.frame), faces=faces)


def _told(
    call: Call, found: Identification, liveness: float | None, options: IdentifyOptions
) -> IdentifiedFace:
    decision = None
    if found.decision is not None and found.decision.sample is not None:
        sample = found.decision.sample
        who = next(match.name for match in found.matches if match.sample == sample)
        decision = DecisionOut.of(found.decision, call.face_id(sample), who)
    return IdentifiedFace.of(
        found.face,
        person=found.person,
        name=found.name,
        decision=decision,
        matches=matches_told(call, found.matches[: options.k], options.min_similarity),
        quality=None if found.quality is None else QualityOut.of(found.quality),
        gate=None if found.gate is None else GateOut.of(found.gate),
        liveness=liveness,
    )


def matches_told(
    call: Call, matches: tuple[Match, ...] | list[Match], least: float | None
) -> list[MatchOut]:
    """Matches with the ids of their faces; those below `least` are left out."""
    return [
        MatchOut.of(match, call.face_id(match.sample))
        for match in matches
        if least is None or match.similarity >= least
    ]
