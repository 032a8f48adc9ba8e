"""Face V3: compare two faces, and faces with the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vultus.server.wire.baidu.call import Call
from vultus.server.wire.baidu.errors import v3
from vultus.server.wire.baidu.v3._given import (
    Controls,
    checked,
    face_of,
    image_type,
    kept,
    picture_of,
    with_location,
)
from vultus.types import Embedding, Match

__all__ = ["match", "multi_search", "search"]

_MOST_GROUPS = 10
_SEARCH_MOST_USERS = 50
_MULTI_MOST_FACES, _MULTI_MOST_USERS = 10, 20
_MULTI_THRESHOLD = 80.0


def match(call: Call) -> dict[str, Any]:
    """Compare two faces.

    Raises:
        BaiduError: There are not two pictures, or one is refused.
    """
    if call.items is None or len(call.items) != 2:
        raise v3(222208)
    shown = []
    for item in call.items:
        if not isinstance(item, dict):
            raise v3(222013)
        one = call.with_fields(item)
        shown.append(face_of(one, Controls.of(one)))
    shown = call.embedded(shown)
    call.hold(shown)
    first, second = (one.embedding for one in shown)
    assert first is not None and second is not None  # noqa: S101, PT018 - embedded above
    return {
        "score": call.points(first.similarity(second)),
        "face_list": [{"face_token": one.token} for one in shown],
    }


def search(call: Call) -> dict[str, Any]:
    """Whose face is this? With `user_id`, how like that user is it?

    Raises:
        BaiduError: Nobody reaches the threshold, or there is no such group or user.
    """
    fields, controls = call.fields, Controls.of(call)
    groups = _groups(call)
    most = fields.whole("max_user_num", 1, high=_SEARCH_MOST_USERS)
    threshold = fields.number("match_threshold", 0.0, low=0.0, high=100.0)
    user = fields.user("user_id") if fields.text("user_id", "") else None
    known = _known(call, groups)
    if user is not None and not any(call.library.membership(user, group) for group in known):
        raise v3(223103)
    shown = checked(call, controls)
    assert shown.embedding is not None  # noqa: S101 - embedded above
    if user is None:
        found = call.library.gallery.search(shown.embedding, most, groups=known)
        users = _users(call, found, known, threshold)
    else:
        users = _one_user(call, shown.embedding, user, known, threshold)
    if not users:
        raise v3(222207)
    return {"face_token": shown.token, "user_list": users}


def multi_search(call: Call) -> dict[str, Any]:
    """Whose are the faces of a picture? Those that fail a control are left out.

    Raises:
        BaiduError: No face is left, nobody reaches the threshold, or there is no such group.
    """
    fields, controls = call.fields, Controls.of(call)
    groups = _groups(call)
    most_faces = fields.whole("max_face_num", 1, high=_MULTI_MOST_FACES)
    most_users = fields.whole("max_user_num", 1, high=_MULTI_MOST_USERS)
    threshold = fields.number("match_threshold", _MULTI_THRESHOLD, low=0.0, high=100.0)
    known = _known(call, groups)
    if image_type(fields) == "FACE_TOKEN":
        shown = [face_of(call, controls)]
    else:
        picture = picture_of(call)
        faces = call.faces(picture, controls.order)
        faces = faces if controls.any else faces[:most_faces]
        looks = call.tools.looker.look(faces, quality=controls.quality != "NONE")
        passed = kept(call, looks, controls)[:most_faces]
        shown = [call.shown(picture, look.face, look) for look, _ in passed]
    if not shown:
        raise v3(222202)
    shown = call.embedded(shown)
    call.hold(shown)
    embeddings = [one.embedding for one in shown if one.embedding is not None]
    found = call.library.gallery.search_many(embeddings, most_users, groups=known)
    rows = [
        with_location(one, user_list=_users(call, matches, known, threshold))
        for one, matches in zip(shown, found, strict=True)
    ]
    if not any(row["user_list"] for row in rows):
        raise v3(222207)
    return {"face_num": len(rows), "face_list": rows}


def _groups(call: Call) -> list[str]:
    groups = call.fields.groups("group_id_list")
    if len(groups) > _MOST_GROUPS:
        raise v3(223104)
    return groups


def _known(call: Call, groups: Sequence[str]) -> list[str]:
    """Those of the groups that are there.

    Raises:
        BaiduError: None is.
    """
    known = call.library.existing(groups)
    if not known:
        raise v3(223100)
    return known


def _users(
    call: Call, found: Sequence[Match], groups: Sequence[str], threshold: float
) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        score = call.points(one.similarity)
        place = call.library.where(one.person, one.sample, groups) if score >= threshold else None
        if place is not None:
            rows.append(
                {
                    "group_id": place.group,
                    "user_id": one.person,
                    "user_info": place.info,
                    "score": score,
                }
            )
    return rows


def _one_user(
    call: Call, embedding: Embedding, user: str, groups: Sequence[str], threshold: float
) -> list[dict[str, Any]]:
    """A user's best score, in the first of the groups they are in that has it."""
    rows = []
    for group in groups:
        place = call.library.membership(user, group)
        own = call.library.embeddings(user, [group]) if place else []
        if place is None or not own:
            continue
        score = max(call.points(embedding.similarity(one)) for one in own)
        row = {"group_id": group, "user_id": user, "user_info": place.info, "score": score}
        if score >= threshold:
            rows.append(row)
    return sorted(rows, key=lambda row: -float(str(row["score"])))[:1]
