"""Bodies of every kind, above all bad ones."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import BaseModel

from vultus.server.errors import RequestError
from vultus.server.routes._body import Pictures, Received, Upload, described, validated

Failed = Callable[..., dict[str, Any]]


class Options(BaseModel):
    k: int = 5
    groups: list[str] | None = None


def test_broken_base64(api: TestClient, failed: Failed) -> None:
    for image in ("%%%", "abc", "/9j/4AAQ==x", "data:image/png,plain"):
        failed(api.post("/v1/detect", json={"image": image}), 415, "image-format")
    failed(api.post("/v1/detect", json={"image": ""}), 422, "image-empty")
    failed(api.post("/v1/detect", json={"image": "\u00e4\U0001f600"}), 415, "image-format")


def test_what_is_no_picture(api: TestClient, failed: Failed) -> None:
    for data in (b"GIF", b"<html>", b"\x00" * 100, b"%PDF-1.7"):
        answer = api.post("/v1/detect", files=[("file", ("a.jpg", data))])
        failed(answer, 415, "image-format")
    failed(api.post("/v1/detect", files=[("file", ("a.jpg", b""))]), 422, "image-empty")


def test_a_picture_cut_short(
    api: TestClient, photo: Callable[[str], bytes], failed: Failed
) -> None:
    half = photo("obama2.jpg")[:50_000]
    failed(api.post("/v1/detect", files=[("file", ("a.jpg", half))]), 422, "image-damaged")


def test_a_polyglot_is_the_picture_it_begins_as(
    api: TestClient, photo: Callable[[str], bytes]
) -> None:
    both = photo("obama2.jpg") + b"PK\x03\x04<script>alert(1)</script><?php system($_GET[0]); ?>"
    answer = api.post("/v1/detect", files=[("file", ("a.php", both))])
    assert answer.status_code == 200
    assert len(answer.json()["faces"]) == 1


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, a few hundred bytes long."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_decompression_bomb(api: TestClient, failed: Failed) -> None:
    bomb = png_of(50_000, 50_000)
    assert len(bomb) < 1000
    files = [("file", ("bomb.png", bomb))]
    failed(api.post("/v1/detect", files=files), 413, "image-too-large")
    encoded = base64.b64encode(bomb).decode()
    failed(api.post("/v1/detect", json={"image": encoded}), 413, "image-too-large")


def test_a_body_that_is_too_large(api: TestClient, failed: Failed) -> None:
    most = api.app.state.service.settings.max_body_bytes  # type: ignore[attr-defined]
    answer = api.post("/v1/detect", content=b"x" * (most + 1))
    assert failed(answer, 413, "body-too-large") == {"limit": most}


def test_twenty_megabytes_of_nothing(
    api: TestClient, photo: Callable[[str], bytes], failed: Failed
) -> None:
    padded = photo("obama2.jpg") + bytes(20_000_000)
    answer = api.post("/v1/detect", files=[("file", ("a.jpg", padded))])
    assert len(answer.json()["faces"]) == 1
    failed(api.post("/v1/detect", files=[("file", ("a", bytes(20_000_000)))]), 415, "image-format")
    body = b'{"image": "' + b"A" * 20_000_000 + b'"}'
    answer = api.post("/v1/detect", content=body, headers={"content-type": "application/json"})
    failed(answer, 415, "image-format")


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "image/jpeg", "multipart/mixed"])
def test_wrong_content_types(api: TestClient, failed: Failed, kind: str) -> None:
    answer = api.post("/v1/detect", content=b"{}", headers={"content-type": kind})
    details = failed(answer, 415, "media-type")
    assert details == {"expected": ["application/json", "multipart/form-data"], "actual": kind}
    answer = api.post("/v1/groups", files=[("file", ("a.jpg", b"x"))])
    assert failed(answer, 415, "media-type")["expected"] == ["application/json"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"image": NaN}',
        b'{"image": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_object(api: TestClient, failed: Failed, body: bytes) -> None:
    answer = api.post("/v1/detect", content=body, headers={"content-type": "application/json"})
    failed(answer, 422, "request-invalid")


NAMELESS = b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"


def test_broken_multipart(api: TestClient, failed: Failed) -> None:
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nnonsense"),
        (
            "multipart/form-data; boundary=b",
            NAMELESS,
        ),
        ("multipart/form-data; boundary=b", b""),
    ):
        answer = api.post("/v1/detect", content=body, headers={"content-type": kind})
        failed(answer, 422, "request-invalid")


def test_a_picture_in_the_wrong_part(
    api: TestClient, photo: Callable[[str], bytes], failed: Failed
) -> None:
    answer = api.post("/v1/detect", files=[("picture", ("a.jpg", photo("obama2.jpg")))])
    failed(answer, 422, "request-invalid")
    assert "'file', got one called 'picture'" in answer.json()["message"]
    answer = api.post("/v1/detect", data={"file": "text"}, files=[("x", ("a", b""))])
    failed(answer, 422, "request-invalid")


def test_too_many_and_too_few_pictures(
    api: TestClient, parts: Callable[..., Any], failed: Failed
) -> None:
    answer = api.post("/v1/detect", files=parts("rocket.jpg", "rocket.jpg"))
    assert failed(answer, 422, "request-invalid") == {"expected": [1, 1], "actual": 2}
    assert failed(api.post("/v1/detect", json={}), 422, "request-invalid")["actual"] == 0
    assert failed(api.post("/v1/detect"), 422, "request-invalid")["actual"] == 0
    answer = api.post("/v1/compare", files=parts("rocket.jpg"))
    assert failed(answer, 422, "request-invalid") == {"expected": [2, 2], "actual": 1}
    answer = api.post("/v1/detect/batch", json={"images": [""] * 33})
    assert failed(answer, 422, "request-invalid") == {"expected": [1, 32], "actual": 33}
    answer = api.post("/v1/detect", json={"image": ["a"]})
    failed(answer, 422, "request-invalid")


def test_unknown_and_impossible_options_are_named(
    api: TestClient, text: Callable[[str], str], failed: Failed
) -> None:
    body = {"image": text("rocket.jpg"), "largset": True, "max_faces": 0}
    answer = api.post("/v1/detect", json=body)
    fields = failed(answer, 422, "request-invalid")["fields"]
    assert {field["where"] for field in fields} == {"largset", "max_faces"}
    assert body["image"] not in answer.text


def test_an_error_does_not_repeat_what_was_sent(api: TestClient, failed: Failed) -> None:
    answer = api.post("/v1/people", json={"id": "secret" * 100, "name": 5})
    failed(answer, 422, "request-invalid")
    assert "secretsecret" not in answer.text


def test_fields_as_a_model() -> None:
    assert validated(Options, {"k": "3"}).k == 3
    with pytest.raises(RequestError, match=r"^k: Input should be a valid integer.*; groups\.0: "):
        validated(Options, {"k": "x", "groups": [1]})


def test_a_digest_tells_contents_apart_and_not_their_form() -> None:
    one = Received(Options(k=1), (Upload(b"abc", "a.jpg"),))
    assert one.digest == Received(Options(k=1), (Upload(b"abc", "a.jpg"),)).digest
    others = [
        Received(Options(k=2), (Upload(b"abc", "a.jpg"),)),
        Received(Options(k=1), (Upload(b"abd", "a.jpg"),)),
        Received(Options(k=1), (Upload(b"abc", "b.jpg"),)),
        Received(Options(k=1), (Upload(b"abc"),)),
        Received(Options(k=1)),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 6


def test_a_described_body_has_both_forms() -> None:
    body = described(Options, Pictures(1, 3), {"k": 2})["requestBody"]
    assert body["required"] is True
    plain, form = body["content"]["application/json"], body["content"]["multipart/form-data"]
    assert list(plain["schema"]["properties"]) == ["images", "k", "groups"]
    assert list(form["schema"]["properties"]) == ["file", "k", "groups"]
    assert plain["schema"]["required"] == ["images"]
    assert form["schema"]["properties"]["file"]["maxItems"] == 3
    assert plain["example"]["k"] == 2
    without = described(Options)["requestBody"]
    assert (without["required"], list(without["content"])) == (False, ["application/json"])


def test_lists_in_a_form(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    answer = api.post(
        "/v1/identify", files=parts("rocket.jpg"), data={"groups": ["no such group", "nor this"]}
    )
    failed(answer, 404, "group-unknown")


def test_a_large_json_body(api: TestClient) -> None:
    noise = Image.effect_noise((1400, 900), 90).convert("RGB")
    encoded = io.BytesIO()
    noise.save(encoded, "PNG")
    body = json.dumps({"image": base64.b64encode(encoded.getvalue()).decode()})
    assert len(body) > 3_000_000
    answer = api.post("/v1/detect", content=body, headers={"content-type": "application/json"})
    assert answer.json() == {"image": {"width": 1400, "height": 900}, "faces": []}
