"""Pages of lists: an opaque cursor that says after which entry the next page begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import BaseModel

from vultus.server.errors import RequestError
from vultus.server.schemas.common import Page

__all__ = ["Cursor", "Limit", "after_number", "after_text", "after_texts", "page_of"]

R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)

MOST = 1000
_MAX_NUMBER = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many items.")]
Cursor = Annotated[
    str | None,
    Query(max_length=2048, description="`next` of the page before; the first page without."),
]


def page_of(
    rows: Sequence[R], limit: int, key: Callable[[R], object], show: Callable[[R], M]
) -> Page[M]:
    """A page of rows that were asked for with one more than `limit`.

    Args:
        rows: In order, at most ``limit + 1``.
        limit: How many of them are shown.
        key: What the next page begins after, of the last row shown.
        show: A row as it is told.
    """
    shown = rows[:limit]
    more = len(rows) > limit
    return Page[Any](
        items=[show(row) for row in shown], next=_packed(key(shown[-1])) if more else None
    )


def after_number(cursor: str | None) -> int:
    """The number a cursor stands for; 0: from the beginning.

    Raises:
        RequestError: This server did not make it.
    """
    if cursor is None:
        return 0
    value = _unpacked(cursor)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
        raise _not_ours()
    return value


def after_text(cursor: str | None) -> str | None:
    """The text a cursor stands for.

    Raises:
        RequestError: This server did not make it.
    """
    if cursor is None:
        return None
    value = _unpacked(cursor)
    if not isinstance(value, str):
        raise _not_ours()
    return value


def after_texts(cursor: str | None) -> tuple[str, str] | None:
    """The two texts a cursor stands for.

    Raises:
        RequestError: This server did not make it.
    """
    if cursor is None:
        return None
    value = _unpacked(cursor)
    if not isinstance(value, list) or [type(part) for part in value] != [str, str]:
        raise _not_ours()
    return value[0], value[1]


def _packed(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpacked(cursor: str) -> object:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        value: object = json.loads(text)
        if isinstance(value, str):
            value.encode()  # no lone surrogates, which no store keeps
    except (ValueError, binascii.Error, RecursionError):
        raise _not_ours() from None
    return value


def _not_ours() -> RequestError:
    return RequestError(
        "cursor must be the `next` of another page of this list",
        remedy="begin without a cursor",
        field="cursor",
    )
