"""``/v1/faces``: what people are recognised by; enrolled, listed, moved, erased, searched with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from vultus.gallery import Gallery, NewSample
from vultus.server.routes._body import Pictures, Received, accepting, described
from vultus.server.routes._call import Call, DeleteCall, EnrolCall, ReadCall
from vultus.server.routes._flow import Flow
from vultus.server.routes._once import Answer, IdempotencyKey, IfMatch, once
from vultus.server.routes._pages import Cursor, Limit, after_number, page_of
from vultus.server.routes._reply import check_match, conditional, errors, reply
from vultus.server.routes.identify import matches_told
from vultus.server.routes.people import NO_ADDRESS, PersonPath
from vultus.server.schemas.common import Page, Removed
from vultus.server.schemas.gallery import (
    EnrolOptions,
    EnrolReply,
    MoveRequest,
    PersonOut,
    StoredFace,
)
from vultus.server.schemas.pictures import MAX_BATCH, FaceSearchOptions, FaceSearchReply
from vultus.server.schemas.seen import DecisionOut
from vultus.types import Match

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["faces"])

FacePath = Annotated[
    str,
    Path(
        max_length=64,
        description="Id of the face.",
        examples=["6b1f6d0c-3a52-4b6e-9d5e-0f4c2a7be1c3"],
    ),
]
_MANY = Pictures(least=1, most=MAX_BATCH)
_UNKNOWN = "`sample-unknown`."
_IDEMPOTENT = "`idempotency`: the key was used for another request."
_CHANGED = "`precondition-failed`: the tag does not fit."


# -- enrolling ------------------------------------------------------------------------------------


@router.post(
    "/people/{person:path}/faces",
    operation_id="enrolFaces",
    summary="Enrol pictures of a person",
    status_code=201,
    response_model=EnrolReply,
    responses=errors(
        pictures=True,
        e404=NO_ADDRESS,
        e409="`sample-duplicate`: the person holds this picture; `space-mismatch`: the gallery was"
        " made with another model; " + _IDEMPOTENT,
        e422="`no-face`, `several-faces`, `face-refused`: see the message for which picture.",
    ),
    openapi_extra=described(EnrolOptions, _MANY, {"gate": "normal"}),
)
async def enrol_faces(
    call: EnrolCall,
    person: PersonPath,
    asked: Annotated[Received[EnrolOptions], Depends(accepting(EnrolOptions, _MANY))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """All of the pictures, or none when one is refused. Somebody new is made known.

    The pictures themselves are not kept (but for encrypted crops, where the server is set so).
    """

    async def write() -> Answer:
        samples = await call.pixels(lambda: _samples(call, person, asked))
        return 201, await call.records(lambda gallery: _enrolled(call, gallery, samples, asked))

    return await once(call, write, body=asked)


def _samples(call: Call, person: str, asked: Received[EnrolOptions]) -> list[NewSample]:
    options = asked.options
    flow = Flow(call.service, gate=options.gate, any_turn=options.any_turn)
    count = len(asked.pictures)
    return [
        flow.sample(
            person,
            picture,
            largest=options.largest,
            group=options.group,
            label=None if count == 1 else f"picture {number} of {count}",
        )
        for number, picture in enumerate(asked.pictures, start=1)
    ]


def _enrolled(
    call: Call, gallery: Gallery, samples: list[NewSample], asked: Received[EnrolOptions]
) -> EnrolReply:
    numbers = gallery.add_many(samples, allow_duplicates=asked.options.allow_duplicates)
    return EnrolReply(
        person=PersonOut.of(gallery.person(samples[0].person)),
        faces=call.stored([gallery.sample(number) for number in numbers]),
    )


# -- what is stored -------------------------------------------------------------------------------


@router.get(
    "/faces",
    operation_id="listFaces",
    summary="List faces",
    response_model=Page[StoredFace],
    responses=errors(e404="`person-unknown`, `group-unknown`."),
)
async def list_faces(
    call: ReadCall,
    person: Annotated[str | None, Query(max_length=256, description="Only theirs.")] = None,
    group: Annotated[
        str | None,
        Query(max_length=256, description="Only those that count in a search of this group."),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """In the order they were enrolled, a page at a time."""
    after = after_number(cursor)
    rows = await call.records(
        lambda g: g.samples(person=person, group=group, after=after, limit=limit + 1)
    )
    return reply(page_of(rows, limit, lambda sample: sample.number, call.stored_one))


@router.get(
    "/faces/{face}",
    operation_id="getFace",
    summary="Get a face",
    response_model=StoredFace,
    responses={304: {"description": "You have it already."}, **errors(e404=_UNKNOWN)},
)
async def get_face(call: ReadCall, face: FacePath) -> Response:
    """What is known of a stored face, with an ETag; not its vector, nor its picture."""
    sample = await call.records(lambda gallery: call.sample(gallery, face))
    return conditional(call.request, call.stored_one(sample))


@router.delete(
    "/faces/{face}",
    operation_id="deleteFace",
    summary="Erase a face",
    response_model=Removed,
    responses=errors(e404=_UNKNOWN, e409=_IDEMPOTENT, e412=_CHANGED),
)
async def delete_face(
    call: DeleteCall,
    face: FacePath,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The person stays, also without any."""

    def remove(gallery: Gallery) -> Answer:
        sample = call.sample(gallery, face)
        check_match(call.request, call.stored_one(sample))
        return 200, Removed(faces=gallery.remove_samples([sample.number]))

    return await once(call, lambda: call.records(remove))


@router.post(
    "/faces/{face}/move",
    operation_id="moveFace",
    summary="Give a face to another person",
    response_model=StoredFace,
    responses=errors(
        body=True,
        e404="`sample-unknown`, `person-unknown`.",
        e409="`sample-duplicate`: they hold this picture already; " + _IDEMPOTENT,
    ),
    openapi_extra=described(MoveRequest, None, {"person": "ada"}),
)
async def move_face(
    call: EnrolCall,
    face: FacePath,
    asked: Annotated[Received[MoveRequest], Depends(accepting(MoveRequest))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A face that was enrolled for the wrong person; it keeps its id."""

    def move(gallery: Gallery) -> Answer:
        sample = call.sample(gallery, face)
        gallery.move_samples([sample.number], gallery.person(asked.options.person).id)
        return 200, call.stored_one(call.sample(gallery, face))

    return await once(call, lambda: call.records(move), body=asked, tagged=True)


# -- searching with one ---------------------------------------------------------------------------


@router.post(
    "/faces/{face}/search",
    operation_id="searchByFace",
    summary="Find who looks like a stored face",
    response_model=FaceSearchReply,
    responses=errors(
        body=True,
        e404="`sample-unknown`, `group-unknown`.",
        e409="`space-mismatch`: the gallery was made with another model.",
    ),
    openapi_extra=described(FaceSearchOptions, None, {"k": 3}),
)
async def search_by_face(
    call: ReadCall,
    face: FacePath,
    asked: Annotated[Received[FaceSearchOptions], Depends(accepting(FaceSearchOptions))],
) -> Response:
    """People other than the face's own: somebody enrolled twice under two ids, say."""
    return reply(await call.pixels(lambda: _searched(call, face, asked.options)))


def _searched(call: Call, face: str, options: FaceSearchOptions) -> FaceSearchReply:
    gallery = call.gallery()
    sample = call.sample(gallery, face)
    flow = Flow(call.service, threshold=options.threshold)
    own = 0 if options.own else 1  # one more is asked for, as the person themselves comes first
    found: list[Match] = gallery.search(
        gallery.embedding(sample.number, flow.space), options.k + own, groups=options.groups
    )
    if not options.own:
        found = [match for match in found if match.person != sample.person][: options.k]
    decision = flow.judge(found)
    return FaceSearchReply(
        face=call.stored_one(sample),
        decision=None
        if decision is None
        else DecisionOut.of(decision, call.face_id(found[0].sample), found[0].name),
        matches=matches_told(call, found, options.min_similarity),
    )
