from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import BaseModel

from vultus.server.errors import RequestError
from vultus.server.routes._pages import after_number, after_text, after_texts, page_of


class Row(BaseModel):
    value: Any


def page(rows: list[Any], limit: int) -> Any:
    return page_of(rows, limit, lambda row: row, lambda row: Row(value=row))


def test_a_cursor_stands_for_the_last_row_shown() -> None:
    found = page([1, 2, 3], 2)
    assert [row.value for row in found.items] == [1, 2]
    assert after_number(found.next) == 2
    assert after_text(page(["\u738b/", "b"], 1).next) == "\u738b/"
    assert after_texts(page([["a", "b"], ["c", "d"]], 1).next) == ("a", "b")


def test_the_last_page_has_none() -> None:
    assert page([1, 2], 2).next is None
    assert page([], 2).model_dump() == {"items": [], "next": None}
    assert (after_number(None), after_text(None), after_texts(None)) == (0, None, None)


def cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "forged",
    ["", "%", "\u00e4", "x", cursor(-1), cursor(2**63), cursor(True), cursor(1.5), cursor(None),
     cursor("a"), cursor(["a"]), cursor(["a", 1]), cursor({}), cursor([[]] * 50), cursor("\ud800")],
)  # fmt: skip
def test_forged_cursors(forged: str) -> None:
    with pytest.raises(RequestError, match="must be the `next` of another page"):
        after_number(forged)
    if forged != cursor("a"):
        with pytest.raises(RequestError, match="must be the `next` of another page"):
            after_text(forged)
    with pytest.raises(RequestError, match="must be the `next` of another page"):
        after_texts(forged)
