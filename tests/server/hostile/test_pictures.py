"""Pictures that are none, or too much of one."""

from __future__ import annotations

import re
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

SOON_S = 10.0
"""However hostile, an answer comes within this time, also on a busy machine."""


@pytest.mark.parametrize(
    "text", ["!!!", "AAA\0", "ÿÿ", "data:image/png;base64,@@", "../../etc/passwd"]
)
def test_malformed_base64(one: Any, text: str) -> None:
    assert one.native("POST", "detect", json={"image": text}).native == (415, "image-format")
    # Contract, Face V2 section 3: "missing picture or base64 undecodable".
    assert one.v2("detect", image=text).failed == (200, 216200)
    assert one.v3("detect", image=text, image_type="BASE64").failed == (200, 222013)
    answer = one.compreface("POST", "detection/detect", json={"file": text})
    assert answer.failed == (400, 21)


@pytest.mark.parametrize(
    "junk",
    [
        b"<html><script>alert(1)</script>",
        b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        b"GIF89a/*<script>*/=1;alert(1)//",
        b"%PDF-1.7\n1 0 obj",
        b"\x89PNG\r\n\x1a\n<?php system($_GET[0]); ?>",
        b"\xff\xd8\xff\xe0<script>alert(1)</script>",
        b"PK\x03\x04evil.zip",
        b"\x80\x04\x95(cposix\nsystem\n",
        b"BM" + b"\xff" * 60,
        b"II*\0" + b"\xff" * 60,
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 40,
        b"\0\0\1\0\1\0" + b"\xff" * 40,
    ],
    ids=lambda junk: repr(junk[:8]),
)
def test_what_only_looks_like_a_picture(one: Any, junk: bytes) -> None:
    answers = one.pictures(junk)
    for name in ("native multipart", "native JSON"):
        assert answers[name].native[0] in {413, 415, 422}
        assert str(answers[name].code).startswith("image-")
    assert answers["v2"].code in {216201, 216202}
    assert answers["v3"].code in {222203, 222304}
    assert answers["compreface"].failed == answers["compreface JSON"].failed == (400, 28)
    for answer in answers.values():
        assert "script" not in answer.raw.text
        assert "passwd" not in answer.raw.text


@pytest.mark.parametrize(
    "tail", [b"<script>alert(1)</script>", b"PK\x03\x04\x14\0", b"\n<?php eval($_GET[0]); ?>"]
)
def test_a_polyglot_is_the_picture_it_is_and_nothing_else(
    one: Any, obama: bytes, tail: bytes
) -> None:
    plain, mixed = one.pictures(obama), one.pictures(obama + tail, "a.php.jpg")
    assert {answer.status for answer in mixed.values()} == {200}
    for name in ("native multipart", "compreface"):
        assert mixed[name].body == plain[name].body
    with_text = one.pictures(_with_comment(obama, b"<script>alert(1)</script>"))
    assert with_text["native multipart"].body == plain["native multipart"].body
    for answer in (*mixed.values(), *with_text.values()):
        assert "<" not in answer.raw.text


def _with_comment(jpeg: bytes, text: bytes) -> bytes:
    """A JPEG with a comment segment."""
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


def _png_bomb(side: int) -> bytes:
    """A black PNG of one bit a pixel, a few KB or MB of zeros that were packed twice as tight."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    packed = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _bombs() -> dict[str, bytes]:
    giant = struct.pack("<I", 200_000)
    bmp = b"BM" + giant + b"\0\0\0\0" + struct.pack("<I", 54) + struct.pack("<I", 40)
    bmp += giant + giant + struct.pack("<HHIIIIII", 1, 24, 0, 0, 0, 0, 0, 0)
    return {
        "png": _png_bomb(30_000),
        "gif": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\x80\0\0" + b"\0" * 6
        + b"," + struct.pack("<HHHH", 0, 0, 65_535, 65_535) + b"\0\x02\x02L\x01\0;",
        "bmp": bmp,
    }  # fmt: skip


def _memory_bytes(place: Any) -> int:
    """The server's resident memory; Linux alone tells."""
    status = Path(f"/proc/{place.running.process.pid}/status")
    if not status.exists():
        return 0
    return int(re.search(r"VmRSS:\s+(\d+) kB", status.read_text())[1]) * 1024  # type: ignore[index]


@pytest.mark.parametrize("kind", ["png", "gif", "bmp"])
def test_decompression_bombs(place: Any, one: Any, kind: str) -> None:
    bomb = _bombs()[kind]
    assert len(bomb) < 200_000
    before, began = _memory_bytes(place), time.monotonic()
    answers = one.pictures(bomb, f"a.{kind}")
    assert time.monotonic() - began < SOON_S
    assert _memory_bytes(place) - before < 200e6
    too_large = (413, "image-too-large")
    assert answers["native multipart"].native == answers["native JSON"].native == too_large
    assert answers["v2"].code == (216201 if kind == "gif" else 216202)
    assert answers["v3"].code == (222203 if kind == "gif" else 222304)
    assert answers["compreface"].failed == answers["compreface JSON"].failed == (400, 28)
