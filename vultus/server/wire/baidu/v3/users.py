"""Face V3: users, faces and groups of the library."""

from __future__ import annotations

from typing import Any

from vultus.server.wire.baidu.call import Call
from vultus.server.wire.baidu.errors import v3
from vultus.server.wire.baidu.v3._given import Controls, face_of, with_location

__all__ = [
    "face_delete",
    "face_list",
    "group_add",
    "group_delete",
    "group_list",
    "group_users",
    "user_add",
    "user_copy",
    "user_delete",
    "user_get",
    "user_update",
]

_EVERY_GROUP = "@ALL"
_MOST_LISTED = 1000
_FAR = 10_000_000


def user_add(call: Call) -> dict[str, Any]:
    """Enrol a face for a user in a group, which is made when absent."""
    action = call.fields.choice("action_type", "APPEND", ("APPEND", "REPLACE"))
    return _enrol(call, replacing=action == "REPLACE")


def user_update(call: Call) -> dict[str, Any]:
    """Put a face in place of those of a user in a group."""
    action = call.fields.choice("action_type", "UPDATE", ("UPDATE", "REPLACE"))
    group, user = call.fields.group(), call.fields.user("user_id")
    if action == "UPDATE":
        _require_user(call, group, user)
    return _enrol(call, replacing=True)


def _enrol(call: Call, *, replacing: bool) -> dict[str, Any]:
    group, user, info = call.fields.group(), call.fields.user("user_id"), call.fields.info()
    if not replacing:
        info = info or None  # a further face without a note leaves the note
    shown = face_of(call, Controls.of(call), look=True)
    sample = call.sample(user, shown)
    call.library.add(
        sample, shown.token, [group], info=info, replacing=replacing, about=shown.about
    )
    return with_location(shown)


def _require_user(call: Call, group: str, user: str) -> None:
    if call.library.membership(user, group) is None:
        raise v3(223103 if call.library.has_group(group) else 223100)


def face_delete(call: Call) -> None:
    """Erase a face of a user; with their last one they leave the group."""
    group, user = call.fields.group(), call.fields.user("user_id")
    token = call.fields.token()
    _require_user(call, group, user)
    if not call.library.remove_face(user, group, token):
        raise v3(223106)


def user_get(call: Call) -> dict[str, Any]:
    """What is noted with a user in a group, or with ``@ALL`` in each of theirs."""
    user = call.fields.user("user_id")
    if call.fields.text("group_id") == _EVERY_GROUP:
        held = call.library.memberships(user)
    else:
        group = call.fields.group()
        _require_user(call, group, user)
        held = [m for m in call.library.memberships(user) if m.group == group]
    if not held:
        raise v3(223103)
    return {"user_list": [{"user_info": m.info, "group_id": m.group} for m in held]}


def face_list(call: Call) -> dict[str, Any]:
    """A user's faces in a group."""
    group, user = call.fields.group(), call.fields.user("user_id")
    _require_user(call, group, user)
    rows = []
    for face in call.library.faces(user, group):
        call.tools.faces.enrolled_if_unknown(call.principal.tenant, face.token, face.sample.number)
        made = face.sample.created_at
        rows.append({"face_token": face.token, "ctime": f"{made[:10]} {made[11:19]}"})
    return {"face_list": rows}


def group_users(call: Call) -> dict[str, Any]:
    """Ids of a group's users."""
    group = call.fields.group()
    found = call.library.members(group, *_page(call))
    return {"user_id_list": [membership.person for membership in found]}


def user_copy(call: Call) -> None:
    """Put a user of a group into another one, too, with copies of their faces."""
    user = call.fields.user("user_id")
    source, target = call.fields.group("src_group_id"), call.fields.group("dst_group_id")
    _require_user(call, source, user)
    if not call.library.has_group(target):
        raise v3(223111)
    if call.library.membership(user, target) is not None:
        raise v3(216100, "already add")
    call.library.copy(user, source, target)


def user_delete(call: Call) -> None:
    """Take a user out of a group, with their faces there; who is in none is erased."""
    group, user = call.fields.group(), call.fields.user("user_id")
    _require_user(call, group, user)
    call.library.leave(user, group)


def group_add(call: Call) -> None:
    """Make a group."""
    call.library.gallery.add_group(call.fields.group())


def group_delete(call: Call) -> None:
    """Erase a group with its faces, and the users that are in no other."""
    call.library.remove_group(call.fields.group())


def group_list(call: Call) -> dict[str, Any]:
    """Names of groups."""
    return {"group_id_list": call.library.group_names(*_page(call))}


def _page(call: Call) -> tuple[int, int]:
    start = call.fields.whole("start", 0, low=0, high=_FAR)
    return start, call.fields.whole("length", 100, low=0, high=_MOST_LISTED)
