from __future__ import annotations

import pytest

from vultus.server.wire.baidu.bodies import BodyError, parse_body, parse_query


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", {}),
        (b" \r\n", {}),
        (
            b"uid=a&user_info=%E6%80%BB%E7%BB%9F&x=1+2",
            {"uid": "a", "user_info": "总统", "x": "1 2"},
        ),
        (b"image=%2F9j%2FAA%2B%3D", {"image": "/9j/AA+="}),
        (b"image=/9j/AA+=", {"image": "/9j/AA ="}),  # a plus that was not encoded arrives blank
        (b"a=&b=1&b=2\r\n", {"a": "", "b": "2"}),
        ("info=总统".encode(), {"info": "总统"}),
        (b'{"a": 1, "b": "x", "c": null}', {"a": 1, "b": "x", "c": None}),
        ('\ufeff {"n": "总统"}'.encode(), {"n": "总统"}),
        (b"nonsense", {"nonsense": ""}),
    ],
)
def test_forms_and_objects_are_told_apart_by_their_first_byte(
    data: bytes, fields: dict[str, object]
):
    body = parse_body(data)
    assert dict(body.fields) == fields
    assert body.items is None


def test_an_array_has_items_and_no_fields():
    body = parse_body(b'\n[{"image": "a"}, 2]')
    assert body.items == [{"image": "a"}, 2]
    assert dict(body.fields) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"info=%FF",
        b"\xff=1",
        b"&".join(b"f%d=1" % i for i in range(300)),
    ],
    ids=["cut", "nan", "bytes", "deep", "digits", "escape", "raw", "many"],
)
def test_what_is_neither_is_refused(data: bytes):
    with pytest.raises(BodyError):
        parse_body(data)


def test_a_query_is_a_form():
    assert parse_query("access_token=24.a&aipSdk=python") == {
        "access_token": "24.a",
        "aipSdk": "python",
    }
