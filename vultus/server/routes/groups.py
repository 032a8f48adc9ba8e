"""``/v1/groups`` and ``/v1/memberships``: sets of people, and who is in which."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from vultus.errors import GroupExistsError, UnknownGroupError, UnknownPersonError
from vultus.gallery import Gallery, Group, Membership
from vultus.server.routes._body import Received, accepting, described
from vultus.server.routes._call import DeleteCall, EnrolCall, ReadCall
from vultus.server.routes._once import Answer, IdempotencyKey, IfMatch, once
from vultus.server.routes._pages import Cursor, Limit, after_text, after_texts, page_of
from vultus.server.routes._reply import check_match, conditional, errors, reply
from vultus.server.schemas.common import Page, Removed
from vultus.server.schemas.gallery import (
    GroupChange,
    GroupOut,
    MembershipChange,
    MembershipOut,
    NewGroup,
)

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["groups"])

GroupPath = Annotated[
    str, Path(description="Name of the group, percent-encoded.", examples=["staff"])
]
PersonQuery = Annotated[str, Query(max_length=256, description="Id of the person.")]
GroupQuery = Annotated[str, Query(max_length=256, description="Name of the group.")]
_UNKNOWN = "`group-unknown`."
_NOT_IN = "`person-unknown`: also somebody who is not in the group; `group-unknown`."
_EXISTS = "`group-exists`; `idempotency`: the key was used for another request."
_IDEMPOTENT = "`idempotency`: the key was used for another request."
_CHANGED = "`precondition-failed`: the tag does not fit."


@router.get(
    "/groups",
    operation_id="listGroups",
    summary="List groups",
    response_model=Page[GroupOut],
    responses=errors(),
)
async def list_groups(call: ReadCall, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """In the order of their names' code points, a page at a time."""
    after = after_text(cursor)
    rows = await call.records(lambda g: g.groups(after=after, limit=limit + 1))
    return reply(page_of(rows, limit, lambda group: group.name, GroupOut.of))


@router.post(
    "/groups",
    operation_id="createGroup",
    summary="Make a group",
    status_code=201,
    response_model=GroupOut,
    responses=errors(body=True, e409=_EXISTS),
    openapi_extra=described(NewGroup, None, {"id": "staff", "note": "Everybody with a key"}),
)
async def create_group(
    call: EnrolCall,
    asked: Annotated[Received[NewGroup], Depends(accepting(NewGroup))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A group without members as yet. Do not put personal data into its name: the log has it."""

    def make(gallery: Gallery) -> Answer:
        return 201, GroupOut.of(gallery.add_group(asked.options.id, asked.options.note))

    return await once(
        call,
        lambda: call.records(make),
        body=asked,
        tagged=True,
        at=lambda group: f"/v1/groups/{quote(group.id, safe='')}",
    )


@router.get(
    "/groups/{group:path}",
    operation_id="getGroup",
    summary="Get a group",
    response_model=GroupOut,
    responses={304: {"description": "You have it already."}, **errors(e404=_UNKNOWN)},
)
async def get_group(call: ReadCall, group: GroupPath) -> Response:
    """A group by its name, with an ETag."""
    return conditional(call.request, GroupOut.of(await call.records(lambda g: g.group(group))))


@router.patch(
    "/groups/{group:path}",
    operation_id="patchGroup",
    summary="Rename a group, or change its note",
    response_model=GroupOut,
    responses=errors(body=True, e404=_UNKNOWN, e409=_EXISTS, e412=_CHANGED),
    openapi_extra=described(GroupChange, None, {"note": "Everybody with a key to the house"}),
)
async def patch_group(
    call: EnrolCall,
    group: GroupPath,
    asked: Annotated[Received[GroupChange], Depends(accepting(GroupChange))],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """What is left out stays. Members and the faces of its scope stay with it."""

    def patch(gallery: Gallery) -> Answer:
        found, change = gallery.group(group), asked.options
        check_match(call.request, GroupOut.of(found))
        renamed = change.id is not None and _another(gallery, change.id, found)
        if change.note is not None:
            found = gallery.update_group(found.name, note=change.note)
        if renamed and change.id is not None:
            found = gallery.rename_group(found.name, change.id)
        return 200, GroupOut.of(found)

    return await once(call, lambda: call.records(patch, alone=True), body=asked, tagged=True)


def _another(gallery: Gallery, name: str, group: Group) -> bool:
    """Whether a name is not the group's own; told before anything is changed.

    Raises:
        GroupExistsError: It is another group's.
        RangeError: It can be no group's.
    """
    try:
        owner = gallery.group(name)
    except UnknownGroupError:
        return True
    if owner.name != group.name:
        raise GroupExistsError(f"a group of this gallery is called {name!r}", name=owner.name)
    return False


@router.delete(
    "/groups/{group:path}",
    operation_id="deleteGroup",
    summary="Erase a group",
    response_model=Removed,
    responses=errors(e404=_UNKNOWN, e409=_IDEMPOTENT, e412=_CHANGED),
)
async def delete_group(
    call: DeleteCall,
    group: GroupPath,
    people: Annotated[
        Literal["keep", "remove-orphans"],
        Query(description="`remove-orphans` erases members who are in no other group as well."),
    ] = "keep",
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """With its memberships and the faces that count in it only."""

    def remove(gallery: Gallery) -> Answer:
        check_match(call.request, GroupOut.of(gallery.group(group)))
        return 200, Removed(faces=gallery.remove_group(group, people=people))

    return await once(call, lambda: call.records(remove))


# -- who is in which ------------------------------------------------------------------------------


@router.get(
    "/memberships",
    operation_id="listMemberships",
    summary="List who is in which group",
    response_model=Page[MembershipOut],
    responses=errors(e404="`person-unknown`, `group-unknown`."),
)
async def list_memberships(
    call: ReadCall,
    person: Annotated[str | None, Query(max_length=256, description="Only theirs.")] = None,
    group: Annotated[str | None, Query(max_length=256, description="Only of this group.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """By person and group, a page at a time."""
    after = after_texts(cursor)
    rows = await call.records(
        lambda g: g.memberships(person=person, group=group, after=after, limit=limit + 1)
    )
    return reply(page_of(rows, limit, lambda m: [m.person, m.group], MembershipOut.of))


@router.put(
    "/memberships",
    operation_id="putMembership",
    summary="Put a person into a group",
    response_model=MembershipOut,
    responses={
        201: {"model": MembershipOut, "description": "They were not in it before."},
        **errors(
            body=True, e404="`person-unknown`, `group-unknown`.", e409=_IDEMPOTENT, e412=_CHANGED
        ),
    },
    openapi_extra=described(MembershipChange, None, {"info": "badge 7"}),
)
async def put_membership(
    call: EnrolCall,
    person: PersonQuery,
    group: GroupQuery,
    asked: Annotated[Received[MembershipChange], Depends(accepting(MembershipChange))],
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Where they are in it already, what is noted is replaced."""

    def put(gallery: Gallery) -> Answer:
        known = _membership(gallery, person, group)
        check_match(call.request, None if known is None else MembershipOut.of(known))
        gallery.join(person, group, asked.options.info)
        made = _membership(gallery, person, group)
        if made is None:  # taken out again by somebody else in this very moment
            raise _not_in(person, group)
        return 200 if known else 201, MembershipOut.of(made)

    return await once(call, lambda: call.records(put, alone=True), body=asked, tagged=True)


@router.delete(
    "/memberships",
    operation_id="deleteMembership",
    summary="Take a person out of a group",
    response_model=Removed,
    responses=errors(e404=_NOT_IN, e409=_IDEMPOTENT, e412=_CHANGED),
)
async def delete_membership(
    call: DeleteCall,
    person: PersonQuery,
    group: GroupQuery,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Their faces that count in this group only are erased; takes the scope `delete`."""

    def leave(gallery: Gallery) -> Answer:
        known = _membership(gallery, person, group)
        if known is None:
            raise _not_in(person, group)
        check_match(call.request, MembershipOut.of(known))
        return 200, Removed(faces=gallery.leave(person, group))

    return await once(call, lambda: call.records(leave))


def _membership(gallery: Gallery, person: str, group: str) -> Membership | None:
    """The membership, or ``None``; both must exist."""
    found = gallery.memberships(person=gallery.person(person).id, group=gallery.group(group).name)
    return found[0] if found else None


def _not_in(person: str, group: str) -> UnknownPersonError:
    return UnknownPersonError(
        f"{person!r} is not in the group {group!r}", remedy="list the group's people first"
    )
