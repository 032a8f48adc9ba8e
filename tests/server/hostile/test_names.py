"""Names and ids that want to be something else."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

NASTY = [
    "'; DROP TABLE person; --",
    'Robert"); DELETE FROM sample; --',
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}${7*7}%s%n",
    "=cmd|' /C calc'!A0",
    "../../../etc/passwd",
    "..\\..\\windows\\system32",
    "%2e%2e%2f%00",
]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_data(one: Any, obama: bytes, name: str) -> None:
    made = one.native("POST", "people", json={"id": name, "name": name, "consent": name})
    assert made.status == 201, made.body
    path = f"people/{quote(name, safe='')}"
    assert one.native("GET", path).body["name"] == name
    assert name in one.compreface("GET", "recognition/subjects").body["subjects"]
    files = {"file": (name.replace("/", "") + ".jpg", obama)}
    added = one.compreface("POST", "recognition/faces", params={"subject": name}, files=files)
    assert added.body["subject"] == name
    found = one.native("POST", "identify", files={"file": ("a.jpg", obama)})
    assert found.body["faces"][0]["matches"][0]["person"] == name
    image = base64.b64encode(obama).decode()
    for answer in (
        one.v2("faceset/user/add", uid="nasty", user_info=name, group_id="nasty", image=image),
        one.v2("faceset/user/get", uid="nasty"),
    ):
        assert answer.status == 200
    row = one.v2("faceset/user/get", uid="nasty").body["result"][0]
    assert row["user_info"] == name
    one.v2("faceset/user/delete", uid="nasty")
    assert one.native("DELETE", path).status == 200
    assert one.native("GET", path).status == 404


def test_ids_that_are_paths(place: Any, one: Any) -> None:
    folder = Path(place.running.gallery).parent
    before = sorted(folder.rglob("*"))
    for path in ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e", "a%00b"):
        for address in (f"people/{path}", f"faces/{path}", f"groups/{path}", f"jobs/{path}"):
            answer = one.native("GET", address)
            assert answer.status in {404, 422}
            assert "root:" not in answer.raw.text
        answer = one.compreface("DELETE", f"recognition/faces/{path}")
        assert answer.failed in {(400, 0), (404, 0)}
        answer = one.compreface("DELETE", f"recognition/subjects/{path}")
        assert answer.code in {0, 42}
    for nasty in ("../../etc/passwd", "a/b", "a b", "<b>", "'", "a\0"):
        assert one.v2("faceset/user/get", uid=nasty).failed == (200, 216111)
        assert one.v3("faceset/user/get", user_id=nasty, group_id="g").failed == (200, 222018)
        assert one.v3("faceset/group/add", group_id=nasty).failed == (200, 222006)
        assert one.v2("faceset/group/getusers", group_id=nasty).code == 216100
    assert one.v2("faceset/user/get", uid="x" * 200).failed == (200, 216103)
    token = {"image": "../../etc/passwd", "image_type": "FACE_TOKEN"}
    assert one.v3("detect", **token).code in {222209, 222025}
    url = {"image": "file:///etc/passwd", "image_type": "URL"}
    assert one.v3("detect", **url).failed == (200, 222204)
    url = {"image": "http://169.254.169.254/latest/meta-data", "image_type": "URL"}
    assert one.v3("detect", **url).failed == (200, 222204)
    assert [p for p in sorted(folder.rglob("*")) if not p.name.endswith(("-wal", "-shm"))] == [
        p for p in before if not p.name.endswith(("-wal", "-shm"))
    ]


@pytest.mark.parametrize(
    "name", ["a\r\nSet-Cookie: a=b", "a\nb", "a\0b", "\x7f", "\u2028", "\u202e"]
)
def test_no_name_breaks_a_line_or_a_header(one: Any, name: str) -> None:
    assert one.native("POST", "people", json={"id": name}).native[0] == 422
    assert one.compreface("POST", "recognition/subjects", json={"subject": name}).code == 26
    assert one.v2("faceset/user/get", uid=name).failed == (200, 216111)
    answers = [
        one.native("GET", f"people/{quote(name, safe='')}"),
        one.native(
            "POST", "detect", headers={"idempotency-key": "x"}, files={"file": (name, b"x")}
        ),
        one.compreface("DELETE", f"recognition/subjects/{quote(name, safe='')}"),
    ]
    for answer in answers:
        assert "set-cookie" not in answer.raw.headers
        assert 400 <= answer.status < 500


def test_what_comes_back_in_a_header_is_harmless(one: Any) -> None:
    made = one.native("POST", "people", json={"id": 'x"; ä <>\\ 张'})
    try:
        location = made.raw.headers["location"]
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", location)
        assert (
            one.http.get(location, headers={"authorization": f"Bearer {one.keys.api_key}"}).json()[
                "id"
            ]
            == 'x"; ä <>\\ 张'
        )
    finally:
        one.native("DELETE", f"people/{quote(made.body['id'], safe='')}")
    for sent in ("<script>", "a b c d e f g", "x" * 500, "ok-but-é"):
        headers = {b"x-request-id": sent.encode("latin-1")}
        answer = one.http.get("/v1/people", headers=headers)
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
