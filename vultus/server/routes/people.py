"""``/v1/people``: who is known."""

from __future__ import annotations

import uuid
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from vultus.errors import PersonExistsError, RangeError
from vultus.gallery import Gallery
from vultus.server.routes._body import Received, accepting, described
from vultus.server.routes._call import Call, DeleteCall, EnrolCall, ReadCall, unknown_face
from vultus.server.routes._once import Answer, IdempotencyKey, IfMatch, once
from vultus.server.routes._pages import Cursor, Limit, after_text, page_of
from vultus.server.routes._reply import check_match, conditional, errors, reply
from vultus.server.schemas.common import Page, Removed
from vultus.server.schemas.gallery import (
    MergeReply,
    MergeRequest,
    NewPerson,
    PersonChange,
    PersonOut,
    RenameRequest,
    SplitRequest,
)

__all__ = ["NO_ADDRESS", "PersonPath", "router"]

router = APIRouter(prefix="/v1/people", tags=["people"])

PersonPath = Annotated[
    str, Path(description="Id of the person, percent-encoded.", examples=["ada"])
]
NO_ADDRESS = "`not-found`: nobody's id has a line break."
_UNKNOWN = "`person-unknown`."
_EXISTS = "`person-exists`; `idempotency`: the key was used for another request."
_IDEMPOTENT = "`idempotency`: the key was used for another request."
_CHANGED = "`precondition-failed`: the tag does not fit."


@router.get(
    "",
    operation_id="listPeople",
    summary="List people",
    response_model=Page[PersonOut],
    responses=errors(e404="`group-unknown`."),
)
async def list_people(
    call: ReadCall,
    group: Annotated[str | None, Query(max_length=256, description="Only its members.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """In the order of their ids' code points, a page at a time."""
    after = after_text(cursor)
    rows = await call.records(lambda g: g.people(group=group, after=after, limit=limit + 1))
    return reply(page_of(rows, limit, lambda person: person.id, PersonOut.of))


@router.post(
    "",
    operation_id="createPerson",
    summary="Make somebody known",
    status_code=201,
    response_model=PersonOut,
    responses=errors(body=True, e409=_EXISTS),
    openapi_extra=described(NewPerson, None, {"id": "ada", "name": "Ada Lovelace"}),
)
async def create_person(
    call: EnrolCall,
    asked: Annotated[Received[NewPerson], Depends(accepting(NewPerson))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Somebody new, without a face as yet. Enrol pictures with `enrolFaces`."""
    new = asked.options
    person = str(uuid.uuid4()) if new.id is None else new.id

    def make(gallery: Gallery) -> PersonOut:
        if person in gallery:
            raise PersonExistsError(f"somebody in this gallery has the id {person!r}", name=person)
        return PersonOut.of(gallery.put_person(person, name=new.name, consent=new.consent))

    async def write() -> Answer:
        return 201, await call.records(make, alone=True)

    return await once(call, write, body=asked, tagged=True, at=_address)


@router.get(
    "/{person:path}",
    operation_id="getPerson",
    summary="Get a person",
    response_model=PersonOut,
    responses={304: {"description": "You have it already."}, **errors(e404=_UNKNOWN)},
)
async def get_person(call: ReadCall, person: PersonPath) -> Response:
    """Somebody by their id, with an ETag."""
    return conditional(call.request, PersonOut.of(await call.records(lambda g: g.person(person))))


@router.put(
    "/{person:path}",
    operation_id="putPerson",
    summary="Make somebody known, or change what is known",
    response_model=PersonOut,
    responses={
        201: {"model": PersonOut, "description": "They are new."},
        **errors(body=True, e404=NO_ADDRESS, e409=_IDEMPOTENT, e412=_CHANGED),
    },
    openapi_extra=described(PersonChange, None, {"name": "Ada Lovelace"}),
)
async def put_person(
    call: EnrolCall,
    person: PersonPath,
    asked: Annotated[Received[PersonChange], Depends(accepting(PersonChange))],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Somebody of this id will be known after it, whether they were before or not.

    With `If-None-Match: *` only if they were not.
    """
    if person.strip() in {".", ".."}:
        raise RangeError("an id must not be '.' or '..', which no URL can name")

    def put(gallery: Gallery) -> Answer:
        known = person in gallery
        check_match(call.request, PersonOut.of(gallery.person(person)) if known else None)
        change = asked.options
        made = gallery.put_person(person, name=change.name, consent=change.consent)
        return 200 if known else 201, PersonOut.of(made)

    return await once(
        call, lambda: call.records(put, alone=True), body=asked, tagged=True, at=_address
    )


@router.patch(
    "/{person:path}",
    operation_id="patchPerson",
    summary="Change a person's name or consent",
    response_model=PersonOut,
    responses=errors(body=True, e404=_UNKNOWN, e409=_IDEMPOTENT, e412=_CHANGED),
    openapi_extra=described(PersonChange, None, {"consent": "form 2026-17"}),
)
async def patch_person(
    call: EnrolCall,
    person: PersonPath,
    asked: Annotated[Received[PersonChange], Depends(accepting(PersonChange))],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """What is left out stays; an empty text takes a name or a consent back."""

    def patch(gallery: Gallery) -> Answer:
        known = gallery.person(person)
        check_match(call.request, PersonOut.of(known))
        change = asked.options
        made = gallery.put_person(known.id, name=change.name, consent=change.consent)
        return 200, PersonOut.of(made)

    return await once(call, lambda: call.records(patch), body=asked, tagged=True)


@router.delete(
    "/{person:path}",
    operation_id="deletePerson",
    summary="Erase a person",
    response_model=Removed,
    responses=errors(e404=_UNKNOWN, e409=_IDEMPOTENT, e412=_CHANGED),
)
async def delete_person(
    call: DeleteCall,
    person: PersonPath,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """With their faces, memberships and everything else that is kept of them."""

    def remove(gallery: Gallery) -> Answer:
        check_match(call.request, PersonOut.of(gallery.person(person)))
        return 200, Removed(faces=gallery.remove(person))

    return await once(call, lambda: call.records(remove))


# -- one into two, two into one -------------------------------------------------------------------


@router.post(
    "/{person:path}/rename",
    operation_id="renamePerson",
    summary="Give a person another id",
    response_model=PersonOut,
    responses=errors(body=True, e404=_UNKNOWN, e409=_EXISTS),
    openapi_extra=described(RenameRequest, None, {"id": "ada-lovelace"}),
)
async def rename_person(
    call: EnrolCall,
    person: PersonPath,
    asked: Annotated[Received[RenameRequest], Depends(accepting(RenameRequest))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A name that was the id follows; faces and groups stay."""

    def rename(gallery: Gallery) -> Answer:
        return 200, PersonOut.of(gallery.rename(person, asked.options.id))

    return await once(call, lambda: call.records(rename), body=asked, tagged=True)


@router.post(
    "/{person:path}/merge",
    operation_id="mergePeople",
    summary="Make two people one",
    response_model=MergeReply,
    responses=errors(body=True, e404=_UNKNOWN, e409=_IDEMPOTENT),
    openapi_extra=described(MergeRequest, None, {"other": "ada-2"}),
)
async def merge_people(
    call: DeleteCall,
    person: PersonPath,
    asked: Annotated[Received[MergeRequest], Depends(accepting(MergeRequest))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Faces and memberships of the other move here, and the other vanishes.

    Pictures that both hold are kept once. Takes the scope `delete`.
    """

    def merge(gallery: Gallery) -> Answer:
        moved = gallery.merge(person, asked.options.other)
        return 200, MergeReply(person=PersonOut.of(gallery.person(person)), faces_moved=moved)

    return await once(call, lambda: call.records(merge), body=asked)


@router.post(
    "/{person:path}/split",
    operation_id="splitPerson",
    summary="Make a new person of some faces of another",
    status_code=201,
    response_model=PersonOut,
    responses=errors(
        body=True, e404="`person-unknown`; `sample-unknown`: a face is not theirs.", e409=_EXISTS
    ),
    openapi_extra=described(
        SplitRequest, None, {"id": "guest-17", "faces": ["6b1f6d0c-3a52-4b6e-9d5e-0f4c2a7be1c3"]}
    ),
)
async def split_person(
    call: EnrolCall,
    person: PersonPath,
    asked: Annotated[Received[SplitRequest], Depends(accepting(SplitRequest))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The new person is in the same groups."""

    def split(gallery: Gallery) -> Answer:
        return _split(call, gallery, person, asked.options)

    return await once(call, lambda: call.records(split), body=asked, tagged=True, at=_address)


def _address(person: PersonOut) -> str:
    return f"/v1/people/{quote(person.id, safe='')}"


def _split(call: Call, gallery: Gallery, person: str, asked: SplitRequest) -> Answer:
    owner = gallery.person(person)
    samples = [call.sample(gallery, face) for face in asked.faces]
    for face, sample in zip(asked.faces, samples, strict=True):
        if sample.person != owner.id:
            raise unknown_face(face)
    numbers = [sample.number for sample in samples]
    return 201, PersonOut.of(gallery.split(owner.id, numbers, asked.id))
