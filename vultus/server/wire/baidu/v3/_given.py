"""How Face V3 hands in a face, and what it asks of it before anything is done with it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2

from vultus.errors import ImageFormatError
from vultus.server.wire.baidu.call import LIVENESS_THRESHOLDS, Call, Order, Picture, Shown
from vultus.server.wire.baidu.errors import v3
from vultus.server.wire.baidu.fields import Fields
from vultus.server.wire.baidu.looks import Look, box_of, quality_control_code
from vultus.types import Face

__all__ = [
    "FACE_TYPES",
    "Controls",
    "checked",
    "corp_image",
    "face_of",
    "image_type",
    "kept",
    "picture_of",
    "with_location",
]

FACE_TYPES = ("LIVE", "IDCARD", "WATERMARK", "CERT", "INFRARED")
_LEVELS = ("NONE", "LOW", "NORMAL", "HIGH")
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Controls:
    """What is asked of faces.

    Attributes:
        quality: Level of `quality_control`.
        liveness: Level of `liveness_control`.
        order: Which face counts first.
    """

    quality: str
    liveness: str
    order: Order

    @classmethod
    def of(cls, call: Call, *, gated: bool = True) -> Controls:
        """As a call states them.

        Args:
            call: The call, or one item of it.
            gated: Ask at least what the server's own gate asks.

        Raises:
            BaiduError: A value is none, or what it asks for takes a model that is not installed.
        """
        fields = call.fields
        quality = fields.choice("quality_control", "NONE", _LEVELS)
        if gated and call.service.settings.gate != "off":
            quality = max(quality, call.service.settings.gate.upper(), key=_LEVELS.index)
        liveness = fields.choice("liveness_control", "NONE", _LEVELS)
        fields.choice("face_type", "LIVE", FACE_TYPES)
        nearest = fields.choice("face_sort_type", "0", ("0", "1")) == "1"
        if fields.choice("spoofing_control", "NONE", _LEVELS) != "NONE":
            raise v3(216102)
        if liveness != "NONE":
            call.liveness([])
        order: Literal["largest", "nearest"] = "nearest" if nearest else "largest"
        return cls(quality, liveness, order)

    @property
    def any(self) -> bool:
        """Whether anything is asked."""
        return self.quality != "NONE" or self.liveness != "NONE"


def image_type(fields: Fields) -> str:
    """BASE64, URL or FACE_TOKEN; required.

    Raises:
        BaiduError: It is absent, or something else.
    """
    fields.text("image_type")
    return fields.choice("image_type", "", ("BASE64", "URL", "FACE_TOKEN"))


def picture_of(call: Call) -> Picture:
    """The picture of a call with BASE64 or URL.

    Raises:
        BaiduError: It is no base64, or an address that the server may not fetch.
        ImageError: It cannot be read, or exceeds a limit.
    """
    text = call.fields.text("image")
    if image_type(call.fields) == "URL":
        if text not in call.fetched:
            raise v3(222204)
        return call.decoded(call.fetched[text])
    try:
        return call.picture(text)
    except ImageFormatError as error:
        if error.fields.get("reason") == "base64":
            raise v3(222013) from error
        raise


def face_of(call: Call, controls: Controls, *, look: bool = False) -> Shown:
    """The face that counts of a call's picture, or the one its token stands for; not embedded.

    Args:
        call: The call, or one item of it.
        controls: What is asked of the face.
        look: Find out how the face is turned, too.

    Raises:
        BaiduError: There is none, or it is refused.
        NoFaceError: The picture shows none.
    """
    if image_type(call.fields) == "FACE_TOKEN":
        found = call.recalled(call.fields.token("image"))
        if found is None:
            raise v3(222209)
        if controls.liveness != "NONE":  # the picture is gone: nobody can tell any more
            raise v3(223120)
        call.check_quality(found.quality, controls.quality)
        return found
    picture = picture_of(call)
    face = call.faces(picture, controls.order)[0]
    looked = None
    if look or controls.quality != "NONE":
        (looked,) = call.tools.looker.look([face], quality=controls.quality != "NONE")
    shown = call.shown(picture, face, looked)
    call.check_quality(shown.quality, controls.quality)
    least = LIVENESS_THRESHOLDS.get(controls.liveness)
    if least is not None and call.liveness([face])[0] < least:
        raise v3(223120)
    return shown


def kept(call: Call, looks: Sequence[Look], controls: Controls) -> list[tuple[Look, float | None]]:
    """The faces that pass, with their liveness where it was asked for; others are left out."""
    passed = [
        look
        for look in looks
        if look.quality is None or quality_control_code(look.quality, controls.quality) is None
    ]
    if controls.liveness == "NONE":
        return [(look, None) for look in passed]
    scores = call.liveness([look.face for look in passed])
    least = LIVENESS_THRESHOLDS[controls.liveness]
    pairs = zip(passed, scores, strict=True)
    return [(look, score) for look, score in pairs if score >= least]


def checked(call: Call, controls: Controls) -> Shown:
    """`face_of`, embedded and kept, so that its token can be used again."""
    (shown,) = call.embedded([face_of(call, controls)])
    call.hold([shown])
    return shown


def corp_image(face: Face) -> str:
    """The face cut out of its picture, JPEG in base64."""
    box = box_of(face)
    left, top = int(box["left"]), int(box["top"])
    right, bottom = round(left + box["width"]), round(top + box["height"])
    part = face.frame.image[top : max(bottom, top + 1), left : max(right, left + 1)]
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(part, cv2.COLOR_RGB2BGR), options)
    return base64.b64encode(data.tobytes()).decode("ascii") if done else ""


def with_location(shown: Shown, **fields: Any) -> dict[str, Any]:
    """A face's token and, where it is known, its place."""
    told: dict[str, Any] = {"face_token": shown.token, **fields}
    if shown.location is not None:
        told["location"] = shown.location
    return told
