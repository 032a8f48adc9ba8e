"""Bodies that are not what they say they are."""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

V2, V3 = "/rest/2.0/face/v2/", "/rest/2.0/face/v3/"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"image":' + b"[" * 100_000,
        b"\xff\xfe{}",
        b'{"image": NaN}',
    ],
    ids=["arrays", "objects", "both", "no UTF-8", "NaN"],
)
def test_json_that_is_none(one: Any, content: bytes) -> None:
    answers = one.post_everywhere(content, "application/json")
    assert answers["native"].native == (422, "request-invalid")
    assert answers["v2"].failed == (200, 216100)
    assert answers["v3"].failed == (200, 222200)
    assert answers["compreface"].failed == (400, 0)


def test_numbers_without_end(one: Any) -> None:
    content = b'{"image": "AA==", "max_faces": ' + b"9" * 100_000 + b"}"
    answers = one.post_everywhere(content, "application/json")
    assert answers["native"].native == (422, "request-invalid")
    assert all(answer.code is not None for answer in answers.values())


@pytest.mark.parametrize("kind", ["text/plain", "image/jpeg", "application/xml", "x", ";;;"])
def test_wrong_content_types(one: Any, obama: bytes, kind: str) -> None:
    text = base64.b64encode(obama).decode()
    content = json.dumps({"image": text, "image_type": "BASE64", "file": text}).encode()
    answers = one.post_everywhere(content, kind)
    assert answers["native"].native == (415, "media-type")
    assert answers["compreface"].failed == (415, 0)
    # Baidu's clients label bodies as they like: the first byte decides (transport, section 3).
    assert answers["v2"].failed == answers["v3"].failed == (200, None)


def test_multipart_that_is_none(one: Any) -> None:
    kind = "multipart/form-data; boundary=x"
    for content, expected in (
        (b"{}", 0),
        (b"--x\r\n", 34),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--x--', 34),
        (b"--x\r\n" + b"A: b\r\n" * 10_000 + b"\r\n--x--", 0),
        (b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n' * 5000 + b"--x--", 0),
    ):
        answers = one.post_everywhere(content, kind)
        assert answers["native"].native == (422, "request-invalid")
        assert answers["compreface"].failed == (400, expected)
        assert all(answer.code is not None for answer in answers.values())
    boundary = {"content-type": "multipart/form-data; boundary=" + "x" * 5000}
    assert one.native("POST", "detect", content=b"", headers=boundary).status in {415, 422}


KINDS = [
    "application/json",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "text/plain",
]
PARTS = (
    st.binary(max_size=60)
    | st.sampled_from([
        b"--x\r\n", b"--x--\r\n", b"\r\n\r\n",
        b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n',
        b'{"image":', b'"AAAA"', b'{"file":', b'"image_type":"BASE64"', b"[", b"]", b"}", b",",
        b'"embeddings":', b"1e999", b"null", b"image=AAAA", b"&", b"image_type=URL", b"%00", b"%ff",
    ])
)  # fmt: skip
PATHS = [
    "detect", "match", "search", "identify", "multi-search", "faceverify", "person/verify",
    "faceset/user/add", "faceset/user/get", "faceset/group/getusers", "faceset/face/delete", "",
]  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    st.lists(PARTS, max_size=8).map(b"".join),
    st.sampled_from(KINDS),
    st.sampled_from(PATHS),
    st.dictionaries(
        st.sampled_from(["limit", "page", "size", "status", "subject", "face_plugins", "start"]),
        st.text(max_size=12),
        max_size=3,
    ),
)
def test_whatever_comes_is_answered_in_the_right_shape(
    one: Any, content: bytes, kind: str, path: str, query: dict[str, str]
) -> None:
    options: dict[str, Any] = {"content": content, "headers": {"content-type": kind}}
    for base in (V2, V3):
        given = {**query, "access_token": one.token}
        answer = one.told("POST", base + path, params=given, **options)
        assert answer.status == 200
        assert isinstance(answer.body, dict)
        assert {"log_id", "error_code"} & set(answer.body)
    for address in (
        "recognition/recognize", "recognition/embeddings/recognize", "verification/verify",
        "recognition/faces/delete", f"recognition/{path}", "recognition/subjects",
    ):  # fmt: skip
        method = "PUT" if address == "recognition/subjects" else "POST"
        answer = one.compreface(method, address, params=query, **options)
        assert answer.body == [] or {"message", "code"} == set(answer.body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_that_are_none(one: Any, number: str) -> None:
    rows = f"[{','.join([number] + ['0'] * 127)}]"
    kind = {"content-type": "application/json"}
    for path, body in (
        ("recognition/embeddings/recognize", f'{{"embeddings": [{rows}]}}'),
        (f"recognition/embeddings/faces/{uuid.uuid4()}/verify", f'{{"embeddings": [{rows}]}}'),
        ("verification/embeddings/verify", f'{{"source": {rows}, "targets": [{rows}]}}'),
    ):
        answer = one.compreface("POST", path, content=body, headers=kind)
        assert answer.failed in {(400, 0), (400, 26)}
    body = f'{{"image": "AA==", "threshold": {number}}}'
    assert one.native("POST", "identify", content=body, headers=kind).native[0] == 422


def test_a_packed_body_is_not_unpacked(one: Any) -> None:
    packed = zlib.compress(b'{"image": "' + b"A" * 50_000_000 + b'"}', wbits=31)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    answer = one.native("POST", "detect", content=packed, headers=headers)
    assert answer.native == (422, "request-invalid")
    answer = one.compreface("POST", "detection/detect", content=packed, headers=headers)
    assert answer.failed == (400, 0)


def test_bodies_of_20_mb(one: Any, obama: bytes) -> None:
    answers = one.pictures(obama + bytes(14 * 1024 * 1024))  # 19 MB in base64
    for name in ("native multipart", "native JSON", "compreface", "compreface JSON"):
        assert answers[name].status == 200, name
    assert answers["v2"].failed == (200, 216202)
    assert answers["v3"].failed == (200, 222304)
    answers = one.post_everywhere(b"x" * 20_000_000, "application/json")
    assert answers["native"].native == (422, "request-invalid")
    assert answers["v2"].failed == (200, 216200)
    assert answers["v3"].failed == (200, 222001)
    assert answers["compreface"].failed == (400, 0)


def test_bodies_beyond_the_limit(one: Any, two: Any) -> None:
    large = bytes(26 * 1024 * 1024)
    for kind in ("application/json", "multipart/form-data; boundary=x"):
        answers = one.post_everywhere(large, kind)
        assert answers["native"].native == (413, "body-too-large")
        assert answers["v2"].failed == (200, 216202)
        assert answers["v3"].failed == (200, 222304)
        assert answers["compreface"].failed == (400, 0)
    # Without a stated length it is the bytes that are counted.
    pieces = (bytes(1024 * 1024) for _ in range(26))
    answer = two.native("POST", "detect", content=pieces, headers={"content-type": "image/png"})
    assert answer.native[0] in {413, 415}  # the content type is seen first
