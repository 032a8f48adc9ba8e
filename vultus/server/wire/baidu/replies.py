"""Replies as Baidu's clients expect them: always HTTP 200 with a JSON object."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from vultus.server.wire.baidu.errors import BaiduError, Dialect

__all__ = ["failed", "json_response", "log_id", "succeeded"]

_LOG_ID_BITS = 63  # unsigned 64 bits by the documentation; clients in Java read signed ones


def log_id() -> int:
    """A random number for one reply."""
    return secrets.randbits(_LOG_ID_BITS)


def json_response(content: Mapping[str, Any]) -> Response:
    """A JSON object in UTF-8, status 200: clients ignore the status and parse every body."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def succeeded(dialect: Dialect, fields: Mapping[str, Any] | None) -> Response:
    """A method's reply: V2 without any error key, V3 in its envelope."""
    if dialect == "v2":
        return json_response({"log_id": log_id(), **(fields or {})})
    return json_response(_envelope(0, "SUCCESS", fields))


def failed(error: BaiduError, dialect: Dialect, *, both_sets: bool = False) -> Response:
    """An error's reply.

    Args:
        error: What is told.
        dialect: Whose envelope.
        both_sets: Tell it in the words of the video endpoints, too.
    """
    short = {"error_code": error.number, "error_msg": error.message}
    if error.short:
        return json_response(short)
    if dialect == "v2":
        return json_response({**short, "log_id": log_id()})
    told = _envelope(error.number, error.message, None)
    if both_sets:
        told |= {
            "err_no": told["error_code"],
            "err_msg": told["error_msg"],
            "serverlogid": told["log_id"],
        }
    return json_response(told)


def _envelope(number: int, message: str, result: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "error_code": number,
        "error_msg": message,
        "log_id": log_id(),
        "timestamp": int(time.time()),
        "cached": 0,
        "result": None if result is None else dict(result),
    }
