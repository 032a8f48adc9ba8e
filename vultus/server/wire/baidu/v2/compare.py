"""Face V2: compare pictures, and faces with the library."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from vultus.errors import ImageError
from vultus.server.wire.baidu.call import Call, Picture
from vultus.server.wire.baidu.errors import v2
from vultus.server.wire.baidu.v2._rows import faceliveness, one_picture, position, qualities
from vultus.types import Face, Match

__all__ = ["identify", "match", "multi_identify", "verify"]

_MATCH_MOST_PICTURES = 20
_MATCH_MOST_CHARACTERS = 20 * 1024 * 1024
_IDENTIFY_MOST_USERS = 5
_MULTI_MOST_FACES, _MULTI_MOST_USERS = 10, 20
_MOST_SCORES = 100


def match(call: Call) -> dict[str, Any]:
    """Compare the largest faces of several pictures, each with each."""
    pictures = _readable(call)
    asked = _liveness_asked(call, len(pictures))
    faces = [None if one is None else call.faces(one)[0] for one in pictures]
    there = [face for face in faces if face is not None]
    embeddings = iter(call.service.recognizer.embed(there))
    made = [None if face is None else next(embeddings) for face in faces]
    rows = [
        {"index_i": i, "index_j": j, "score": call.points(a.similarity(b))}
        for (i, a), (j, b) in itertools.combinations(enumerate(made), 2)
        if a is not None and b is not None
    ]
    told: dict[str, Any] = {"result_num": len(rows), "result": rows}
    extra: dict[str, str] = {}
    if asked:
        extra["faceliveness"] = _aligned_liveness(call, faces, asked)
    if "qualities" in call.fields.words("ext_fields"):
        looked = call.tools.looker.look(there, quality=True)
        found = iter(look.quality_object() for look in looked)
        extra["qualities"] = json.dumps([next(found) if face else None for face in faces])
    return told | ({"ext_info": extra} if extra else {})


def _readable(call: Call) -> list[Picture | None]:
    """The pictures of a match; ``None`` in place of those that cannot be read."""
    text = call.fields.text("images", "") or call.fields.text("image", "")
    given = [part for part in text.split(",") if part.strip()]
    if given and given[0].lstrip().startswith("data:"):  # a data URI has a comma of its own
        given = [p for p in given if not p.lstrip().startswith("data:")]
    if len(given) < 2:
        raise v2(216614)
    if len(given) > _MATCH_MOST_PICTURES:
        raise v2(216103)
    if len(text) > _MATCH_MOST_CHARACTERS:
        raise v2(216202)
    found: list[Picture | None] = []
    for part in given:
        try:
            found.append(call.picture(part, _MATCH_MOST_CHARACTERS))
        except ImageError:
            found.append(None)
    if sum(one is not None for one in found) < 2:
        raise v2(216615)
    return found


def _liveness_asked(call: Call, count: int) -> list[bool]:
    """For which pictures liveness is asked for; empty when for none.

    Raises:
        BaiduError: It is asked for and no model is installed.
    """
    parts = [part.strip() for part in call.fields.text("image_liveness", "").split(",")]
    asked = [i < len(parts) and parts[i] == "faceliveness" for i in range(count)]
    if not any(asked):
        return []
    call.liveness([])
    return asked


def _aligned_liveness(call: Call, faces: Sequence[Face | None], asked: Sequence[bool]) -> str:
    chosen = [face for face, wanted in zip(faces, asked, strict=True) if wanted and face]
    scores = iter(call.liveness(chosen))
    return ",".join(
        repr(round(next(scores), 6)) if wanted and face else "0"
        for face, wanted in zip(faces, asked, strict=True)
    )


def identify(call: Call) -> dict[str, Any]:
    """Whose is the largest face of a picture? Low scores are told, too."""
    groups = call.fields.groups()
    most = call.fields.whole("user_top_num", 1, high=_IDENTIFY_MOST_USERS)
    wanted = call.fields.words("ext_fields")
    picture = one_picture(call)
    known = _searchable(call, groups)
    if "faceliveness" in wanted:
        call.liveness([])
    face = _admitted(call, picture)
    embedding = call.service.recognizer.embed(face)
    found = call.library.gallery.search(embedding, most, groups=known)
    rows = [row for row in (_user_row(call, one, known) for one in found) if row]
    if not rows:
        raise v2(216618)
    return {"result_num": len(rows), "result": rows, **_extra(call, [face])}


def verify(call: Call) -> dict[str, Any]:
    """How like a user's faces is the largest face of a picture?"""
    user, groups = call.fields.user("uid"), call.fields.groups()
    most = call.fields.whole("top_num", 1, high=_MOST_SCORES)
    picture = one_picture(call)
    library = call.library
    member_of = [group for group in groups if library.membership(user, group)]
    enrolled = library.embeddings(user, member_of)
    if not enrolled:
        raise v2(216611)
    if "faceliveness" in call.fields.words("ext_fields"):
        call.liveness([])
    face = _admitted(call, picture)
    embedding = call.service.recognizer.embed(face)
    scores = sorted((call.points(embedding.similarity(one)) for one in enrolled), reverse=True)
    return {"result_num": len(scores[:most]), "result": scores[:most], **_extra(call, [face])}


def multi_identify(call: Call) -> dict[str, Any]:
    """Whose are the faces of a picture? One row for each face and user, face by face."""
    groups = call.fields.groups()
    most_faces = call.fields.whole("detect_top_num", 1, high=_MULTI_MOST_FACES)
    most_users = call.fields.whole("user_top_num", 1, high=_MULTI_MOST_USERS)
    picture = one_picture(call)
    known = _searchable(call, groups)
    if "faceliveness" in call.fields.words("ext_fields"):
        call.liveness([])
    faces = call.gated(call.faces(picture))[:most_faces]
    if not faces:
        raise v2(216615)
    embeddings = call.service.recognizer.embed(faces)
    found = call.library.gallery.search_many(embeddings, most_users, groups=known)
    rows: list[dict[str, Any]] = []
    for look, matches in zip(call.tools.looker.look(faces), found, strict=True):
        where = position(look)
        for one in matches:
            row = _user_row(call, one, known)
            if row:
                rows.append({**row, "position": where})
    if not rows:
        raise v2(216618)
    return {"result_num": len(rows), "result": rows, **_extra(call, faces)}


def _admitted(call: Call, picture: Picture) -> Face:
    """The largest face of a picture.

    Raises:
        NoFaceError: It shows none.
        BaiduError: The server's own gate refuses it.
    """
    passed = call.gated(call.faces(picture)[:1])
    if not passed:
        raise v2(216615)
    return passed[0]


def _searchable(call: Call, groups: Sequence[str]) -> list[str]:
    """Those of the groups that are there.

    Raises:
        BaiduError: None is.
    """
    known = call.library.existing(groups)
    if not known:
        raise v2(216618)
    return known


def _user_row(call: Call, found: Match, groups: Sequence[str]) -> dict[str, Any] | None:
    place = call.library.where(found.person, found.sample, groups)
    if place is None:
        return None
    return {
        "group_id": place.group,
        "uid": found.person,
        "user_info": place.info,
        "scores": [call.points(found.similarity)],
    }


def _extra(call: Call, faces: Sequence[Face]) -> dict[str, Any]:
    """`ext_info`, where it was asked for."""
    wanted = call.fields.words("ext_fields")
    extra: dict[str, str] = {}
    if "faceliveness" in wanted:
        extra["faceliveness"] = faceliveness(call, faces)
    if "qualities" in wanted:
        extra["qualities"] = qualities(call, faces)
    return {"ext_info": extra} if extra else {}
