"""Face V2: users and groups of the library."""

from __future__ import annotations

from typing import Any

from vultus.server.wire.baidu.call import Call
from vultus.server.wire.baidu.errors import v2
from vultus.server.wire.baidu.v2._rows import one_picture

__all__ = [
    "copy_to_groups",
    "delete_from_group",
    "group_list",
    "group_users",
    "user_add",
    "user_delete",
    "user_get",
    "user_update",
]

_ADD_MAX_CHARACTERS = 10 * 1024 * 1024
_MOST_LISTED = 1000
_FAR = 10_000_000


def user_add(call: Call) -> dict[str, Any]:
    """Enrol the largest face of a picture for a user, in each of the groups."""
    user, groups = call.fields.user("uid"), call.fields.groups()
    action = call.fields.choice("action_type", "append", ("append", "replace"))
    return _enrol(call, user, groups, replacing=action == "replace")


def user_update(call: Call) -> dict[str, Any]:
    """Put the face of a picture in place of a user's faces in a group."""
    user, groups = call.fields.user("uid"), call.fields.groups()
    action = call.fields.choice("action_type", "", ("", "replace", "append", "update"))
    if action != "replace" and not all(call.library.membership(user, g) for g in groups):
        raise v2(216612)
    return _enrol(call, user, groups, replacing=True)


def _enrol(call: Call, user: str, groups: list[str], *, replacing: bool) -> dict[str, Any]:
    info = call.fields.info()
    if not replacing:
        info = info or None  # a further face without a note leaves the note
    picture = one_picture(call, _ADD_MAX_CHARACTERS)
    (shown,) = [call.shown(picture, face) for face in call.faces(picture)[:1]]
    sample = call.sample(user, shown)
    call.library.add(sample, shown.token, groups, info=info, replacing=replacing, about=shown.about)
    return {}


def user_delete(call: Call) -> dict[str, Any]:
    """Erase a user, or take them out of groups; who is in none is erased."""
    user, library = call.fields.user("uid"), call.library
    if "group_id" not in call.fields:
        if not library.memberships(user):
            raise v2(216612)
        library.remove(user)
        return {}
    groups = [g for g in call.fields.groups() if library.membership(user, g)]
    if not groups:
        raise v2(216612)
    for group in groups:
        library.leave(user, group)
    return {}


def user_get(call: Call) -> dict[str, Any]:
    """The groups a user is in, and what is noted there."""
    user = call.fields.user("uid")
    wanted = set(call.fields.groups()) if "group_id" in call.fields else None
    held = call.library.memberships(user)
    groups = [m.group for m in held]
    rows = [
        {"uid": user, "user_info": m.info, "group_id": m.group, "groups": groups}
        for m in held
        if wanted is None or m.group in wanted
    ]
    if not rows:
        raise v2(216612)
    return {"result_num": len(rows), "result": rows}


def group_list(call: Call) -> dict[str, Any]:
    """Names of groups."""
    names = call.library.group_names(*_page(call))
    return {"result_num": len(names), "result": names}


def group_users(call: Call) -> dict[str, Any]:
    """Users of a group."""
    group = call.fields.group()
    start, count = _page(call)
    rows = [
        {"uid": m.person, "user_info": m.info} for m in call.library.members(group, start, count)
    ]
    return {"result_num": len(rows), "result": rows}


def _page(call: Call) -> tuple[int, int]:
    """Where a listing begins and how much of it is wanted; HTTP documentation says `end`."""
    start = call.fields.whole("start", 0, low=0, high=_FAR)
    count = "num" if "num" in call.fields else "end"
    return start, call.fields.whole(count, 100, low=0, high=_MOST_LISTED)


def copy_to_groups(call: Call) -> dict[str, Any]:
    """Put a user into further groups, with copies of their faces."""
    user, source = call.fields.user("uid"), call.fields.group("src_group_id")
    groups, library = call.fields.groups(), call.library
    if library.membership(user, source) is None:
        raise v2(216612)
    if any(group == source or library.membership(user, group) for group in groups):
        raise v2(216100, "already add")
    for group in groups:
        if not library.has_group(group):
            library.gallery.add_group(group)
        library.copy(user, source, group)
    return {}


def delete_from_group(call: Call) -> dict[str, Any]:
    """Take a user out of groups, but not out of their last one."""
    user, library = call.fields.user("uid"), call.library
    held = {m.group for m in library.memberships(user)}
    leaving = [group for group in call.fields.groups() if group in held]
    if not leaving:
        raise v2(216612)
    if len(leaving) == len(held):
        raise v2(216619)
    for group in leaving:
        library.leave(user, group)
    return {}
