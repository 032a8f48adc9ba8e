"""How Face V2 states a face."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from vultus.errors import ImageFormatError
from vultus.server.wire.baidu.call import Call, Picture
from vultus.server.wire.baidu.errors import v2
from vultus.server.wire.baidu.looks import Look, box_of
from vultus.types import Face

__all__ = ["face_row", "faceliveness", "one_picture", "position", "qualities"]


def one_picture(call: Call, max_characters: int | None = None) -> Picture:
    """The picture of a call: `image`, or `images` as old documentation calls it.

    Raises:
        BaiduError: There is none, or it is no base64.
        ImageError: It cannot be read, or exceeds a limit.
    """
    fields = call.fields
    text = fields.text("image", "") or fields.text("images", "")
    if not text:
        raise v2(216200)
    try:
        return call.picture(text, max_characters)
    except ImageFormatError as error:
        if error.fields.get("reason") == "base64":
            raise v2(216200) from error
        raise


def face_row(look: Look, fields: Collection[str]) -> dict[str, Any]:
    """A face of detect and faceverify; what no installed model can tell is absent."""
    row: dict[str, Any] = {
        "location": {name: round(value) for name, value in box_of(look.face).items()},
        "face_probability": round(look.face.score, 6),
        "rotation_angle": look.rotation,
        **{name: round(value, 4) for name, value in look.angles.items()},
    }
    if "landmark" in fields:
        row |= look.landmarks()
    if "qualities" in fields:
        row["qualities"] = look.quality_object()
    read = look.attributes
    if read is not None and "age" in fields and read.age is not None:
        row["age"] = round(float(read.age.value), 2)
    if read is not None and "gender" in fields and read.sex is not None:
        row["gender"] = str(read.sex.value)
        row["gender_probability"] = round(read.sex.confidence or 0.0, 6)
    return row


def position(look: Look) -> dict[str, Any]:
    """Where a face is, in multi-identify's words."""
    box = box_of(look.face)
    return {
        "left": float(box["left"]),
        "top": float(box["top"]),
        "width": round(box["width"]),
        "height": round(box["height"]),
        "degree": look.rotation,
        "prob": round(look.face.score, 6),
    }


def faceliveness(call: Call, faces: Sequence[Face]) -> str:
    """Liveness scores as clients split and read them.

    Raises:
        BaiduError: No model is installed that could tell.
    """
    return ",".join(repr(round(score, 6)) for score in call.liveness(faces))


def qualities(call: Call, faces: Sequence[Face]) -> str:
    """Qualities of faces as JSON text: one object, or a list of several.

    Their own inner form is not documented.
    """
    found = [look.quality_object() for look in call.tools.looker.look(faces, quality=True)]
    return json.dumps(found[0] if len(found) == 1 else found)
