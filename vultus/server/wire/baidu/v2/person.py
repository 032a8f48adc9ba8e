"""Face V2: compare somebody with the photo of their ID card, from the local registry."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from vultus.errors import RangeError
from vultus.server.wire.baidu.call import Call
from vultus.server.wire.baidu.errors import gateway, v2
from vultus.server.wire.baidu.looks import Look
from vultus.server.wire.baidu.v2._rows import faceliveness, one_picture, qualities

__all__ = ["person_verify"]

_FACELIVENESS = 0.834963
"""Default of `faceliveness_conf`. Source: Baidu's documentation of Face V2."""

# What is acceptable where `quality_conf` says nothing. Source: Baidu's documentation of Face
# V2, recommended limits of detect.
_QUALITY: Mapping[str, float] = MappingProxyType(
    {
        "left_eye": 0.6,
        "right_eye": 0.6,
        "nose": 0.7,
        "mouth": 0.7,
        "left_cheek": 0.8,
        "right_cheek": 0.8,
        "chin_contour": 0.6,
        "blur": 0.7,
        "illumination": 40.0,
    }
)


def person_verify(call: Call) -> dict[str, Any]:
    """How like the photo of an ID card is the largest face? First quality and liveness, if asked.

    Raises:
        BaiduError: There is no registry; or a step fails.
    """
    cards, tenant, fields = call.tools.cards, call.principal.tenant, call.fields
    number, name = fields.text("id_card_number"), fields.text("name")
    if cards.count(tenant) == 0:
        raise gateway(6)
    limits = _limits(call, "quality_conf", _QUALITY) if _uses(call, "quality") else None
    alive = {"faceliveness": _FACELIVENESS}
    least = _limits(call, "faceliveness_conf", alive) if _uses(call, "faceliveness") else None
    wanted = fields.words("ext_fields")
    if least is not None or "faceliveness" in wanted:
        call.liveness([])
    try:
        found = cards.find(tenant, number, name, call.service.recognizer.embedder.space)
    except RangeError as error:
        raise v2(216100) from error
    face = call.faces(one_picture(call))[0]
    if limits is not None:
        _check_quality(call.tools.looker.look([face], quality=True)[0], limits)
    if least is not None and call.liveness([face])[0] < least["faceliveness"]:
        raise v2(216615)
    if found is None or not found.name_fits or found.embedding is None:
        raise v2(216611)
    points = call.points(call.service.recognizer.embed(face).similarity(found.embedding))
    told: dict[str, Any] = {"result": round(points / 100, 6)}
    extra: dict[str, str] = {}
    if "faceliveness" in wanted:
        extra["faceliveness"] = faceliveness(call, [face])
    if "qualities" in wanted:
        extra["qualities"] = qualities(call, [face])
    return told | ({"ext_info": extra} if extra else {})


def _uses(call: Call, name: str) -> bool:
    return call.fields.text(name, "").strip().lower() == "use"


def _limits(call: Call, name: str, usual: Mapping[str, float]) -> dict[str, float]:
    """Limits as JSON text gives them, over the usual ones."""
    try:
        given = json.loads(call.fields.text(name, "{}"))
        told = {str(key): float(value) for key, value in given.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise v2(216100) from None
    if not all(math.isfinite(value) for value in told.values()):
        raise v2(216100)
    return {**usual, **told}


def _check_quality(look: Look, limits: Mapping[str, float]) -> None:
    told = look.quality_object()
    covered = dict(told.get("occlusion", {}))
    covered["chin_contour"] = covered.get("chin", 0.0)
    measured = {**covered, "blur": told["blur"]}
    over = any(measured.get(name, 0.0) > limit for name, limit in limits.items())
    if over or told["illumination"] < limits["illumination"]:
        raise v2(216615)
