"""Face V3: find faces and tell about them; liveness."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from vultus.server.wire.baidu.call import Call, Shown
from vultus.server.wire.baidu.errors import v3
from vultus.server.wire.baidu.looks import Look, quality_from, quality_record
from vultus.server.wire.baidu.v3._given import (
    Controls,
    corp_image,
    face_of,
    image_type,
    kept,
    picture_of,
)

__all__ = ["detect", "faceverify", "unsupported"]

_MOST_FACES = 120
_READ = frozenset({"age", "gender"})
_VERIFY_COUNTS = (1, 3, 8)
# What the documentation tells clients to hold `face_liveness` against.
_THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {"frr_1e-4": 0.05, "frr_1e-3": 0.3, "frr_1e-2": 0.9}
)


def detect(call: Call) -> dict[str, Any]:
    """Find faces; those that fail a control are left out.

    Raises:
        BaiduError: No face is left.
        NoFaceError: There was none.
    """
    controls = Controls.of(call, gated=False)
    wanted = call.fields.words("face_field")
    most = call.fields.whole("max_face_num", 1, high=_MOST_FACES)
    cut = call.fields.choice("display_corp_image", "0", ("0", "1")) == "1"
    if image_type(call.fields) == "FACE_TOKEN":
        row = recalled_row(face_of(call, controls), wanted)
        return {"face_num": 1, "face_list": [row]}
    picture = picture_of(call)
    faces = call.faces(picture, controls.order)[: _MOST_FACES if controls.any else most]
    looks = call.tools.looker.look(faces, quality=True, attributes=bool(wanted & _READ))
    passed = kept(call, looks, controls)[:most]
    if not passed:
        raise v3(222202)
    shown = call.embedded([call.shown(picture, look.face, look) for look, _ in passed])
    call.hold(shown)
    rows = []
    for one, (look, alive) in zip(shown, passed, strict=True):
        row = face_row(one, look, wanted)
        if alive is not None:
            row["liveness"] = {"livemapscore": round(alive, 6)}
        if cut:
            row["corp_image_base64"] = corp_image(look.face)
        rows.append(row)
    return {"face_num": len(rows), "face_list": rows}


def face_row(shown: Shown, look: Look, wanted: Collection[str]) -> dict[str, Any]:
    """A face; what no installed model can tell is absent."""
    row: dict[str, Any] = {
        "face_token": shown.token,
        "location": shown.location,
        "face_probability": shown.about["probability"],
        "angle": shown.about["angle"],
    }
    if "landmark" in wanted or "landmark72" in wanted:
        row |= look.landmarks()
    if "quality" in wanted:
        row["quality"] = look.quality_object()
    read = look.attributes
    if read is not None and "age" in wanted and read.age is not None:
        row["age"] = round(float(read.age.value), 2)
    if read is not None and "gender" in wanted and read.sex is not None:
        probability = round(read.sex.confidence or 0.0, 6)
        row["gender"] = {"type": str(read.sex.value), "probability": probability}
    return row


def recalled_row(shown: Shown, wanted: Collection[str]) -> dict[str, Any]:
    """A face of which the picture is gone: what was noted of it."""
    about = shown.about
    names = {"location": "location", "probability": "face_probability", "angle": "angle"}
    row: dict[str, Any] = {"face_token": shown.token}
    row |= {told: about[name] for name, told in names.items() if name in about}
    if "quality" in wanted and about.get("quality"):
        row["quality"] = quality_record(quality_from(about["quality"]))
    return row


def faceverify(call: Call) -> dict[str, Any]:
    """Tell whether the faces of one, three or eight pictures of somebody are alive.

    Raises:
        BaiduError: No model is installed that could tell, or there are not so many pictures.
    """
    if not call.items or len(call.items) not in _VERIFY_COUNTS:
        raise v3(222208)
    call.liveness([])
    rows, best = [], 0.0
    for item in call.items:
        if not isinstance(item, dict):
            raise v3(222013)
        one = call.with_fields(item)
        one.fields.choice("option", "COMMON", ("COMMON", "GATE"))
        wanted = one.fields.words("face_field")
        picture = picture_of(one)
        face = one.faces(picture)[0]
        (look,) = one.tools.looker.look([face], quality=True, attributes=bool(wanted & _READ))
        (shown,) = one.embedded([one.shown(picture, face, look)])
        one.hold([shown])
        score = round(one.liveness([face])[0], 6)
        best = max(best, score)
        live = {"faceliveness": score, "livemapscore": score}
        rows.append({**face_row(shown, look, wanted), "liveness": live})
    return {"face_liveness": best, "thresholds": dict(_THRESHOLDS), "face_list": rows}


def unsupported(call: Call) -> dict[str, Any]:
    """Refuse what takes a model of speech and video.

    Raises:
        BaiduError: Always.
    """
    raise v3(216102)
