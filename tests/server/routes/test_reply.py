from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import BaseModel
from starlette.requests import Request

from vultus.server.routes._reply import (
    ChangedError,
    check_match,
    conditional,
    errors,
    refused,
    tag_of,
)


class Thing(BaseModel):
    name: str


ADA = Thing(name="Ada")


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": pairs})


def test_a_tag_is_the_digest_of_the_json() -> None:
    digest = hashlib.sha256(b'{"name":"Ada"}').hexdigest()
    assert tag_of(ADA) == f'"{digest[:32]}"'
    assert tag_of(Thing(name="Eda")) != tag_of(ADA)


@pytest.mark.parametrize(
    ("wanted", "status"),
    [(None, 200), ("*", 304), ("{tag}", 304), ('W/{tag}, "x"', 304), ('"x"', 200), ("junk", 200)],
)
def test_a_get_with_a_tag(wanted: str | None, status: int) -> None:
    headers = {} if wanted is None else {"if_none_match": wanted.format(tag=tag_of(ADA))}
    answer = conditional(request(**headers), ADA)
    assert (answer.status_code, answer.headers["etag"]) == (status, tag_of(ADA))
    assert bytes(answer.body) == (b'{"name":"Ada"}' if status == 200 else b"")


@pytest.mark.parametrize(
    ("header", "value", "there", "holds"),
    [
        ("if_match", "{tag}", True, True),
        ("if_match", '"x", {tag}', True, True),
        ("if_match", "*", True, True),
        ("if_match", "*", False, False),
        ("if_match", '"x"', True, False),
        ("if_match", "W/{tag}", True, False),
        ("if_match", "", True, False),
        ("if_none_match", "*", True, False),
        ("if_none_match", "*", False, True),
        ("if_none_match", "{tag}", True, False),
        ("if_none_match", '"x"', True, True),
    ],
)
def test_conditions_of_a_change(header: str, value: str, there: bool, holds: bool) -> None:
    asked = request(**{header: value.format(tag=tag_of(ADA))})
    if holds:
        check_match(asked, ADA if there else None)
        return
    with pytest.raises(ChangedError) as caught:
        check_match(asked, ADA if there else None)
    answer = refused(caught.value)
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["code"]) == (412, "precondition-failed")
    assert body["details"] == {"actual": tag_of(ADA) if there else None}


def test_documented_failures_are_put_together() -> None:
    assert set(errors()) == {401, 403, 422, 429, 500, 503}
    told = errors(pictures=True, e404="`person-unknown`.", e422="`no-face`.")
    assert list(told) == [401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504]
    assert told[404]["description"] == "`person-unknown`."
    assert told[422]["description"].endswith("measured; `no-face`.")
