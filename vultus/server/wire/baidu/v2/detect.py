"""Face V2: find faces and tell about them."""

from __future__ import annotations

from typing import Any

from vultus.server.wire.baidu.call import Call
from vultus.server.wire.baidu.v2._rows import face_row, one_picture

__all__ = ["detect", "faceverify"]

_MOST_FACES = 120
_READ = frozenset({"age", "gender"})


def detect(call: Call) -> dict[str, Any]:
    """Find faces, largest first."""
    wanted = call.fields.words("face_fields")
    most = call.fields.whole("max_face_num", 1, high=_MOST_FACES)
    faces = call.faces(one_picture(call))[:most]
    looks = call.tools.looker.look(
        faces, quality="qualities" in wanted, attributes=bool(wanted & _READ)
    )
    return {"result_num": len(looks), "result": [face_row(look, wanted) for look in looks]}


def faceverify(call: Call) -> dict[str, Any]:
    """Tell whether faces are alive, where a model can; and how good they are.

    Raises:
        BaiduError: Liveness is asked for and no model is installed.
    """
    wanted = call.fields.words("face_fields") & {"qualities", "faceliveness"}
    most = call.fields.whole("max_face_num", 1, high=_MOST_FACES)
    picture = one_picture(call)
    if "faceliveness" in wanted:
        call.liveness([])  # told before any work
    faces = call.faces(picture)[:most]
    looks = call.tools.looker.look(faces, quality="qualities" in wanted)
    rows = [face_row(look, wanted) for look in looks]
    if "faceliveness" in wanted:
        for row, score in zip(rows, call.liveness(faces), strict=True):
            row["faceliveness"] = round(score, 6)
    return {"result_num": len(rows), "result": rows}
