"""Whatever a client sends, it is answered with a documented code, and nothing breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.server.wire.baidu.gateway import METHODS

FACE = "/rest/2.0/face/"
BROKEN = {1, 2, 216401, 216400, 216300, 222302}
NAMES = (
    "image", "images", "image_type", "uid", "user_id", "group_id", "group_id_list", "user_info",
    "src_group_id", "dst_group_id", "face_token", "start", "num", "end", "length", "max_face_num",
    "max_user_num", "user_top_num", "detect_top_num", "top_num", "face_field", "face_fields",
    "ext_fields", "image_liveness", "types", "action_type", "quality", "quality_conf",
    "faceliveness", "faceliveness_conf", "quality_control", "liveness_control", "face_type",
    "face_sort_type", "match_threshold", "display_corp_image", "id_card_number", "name", "option",
)  # fmt: skip
VALUES = (
    None, "", " ", ",", "\x00", "a" * 20_000, 0, -1, 2**70, 1e308, True, [], {}, [[]], {"a": 1},
    "😀", "\ud800", "\u202egpj", "../../etc/passwd", "' OR 1=1 --", "<script>", "NaN", "@ALL",
    "24.x", "data:image/png;base64,", "%00", "{", "BASE64", "FACE_TOKEN", "use",
)  # fmt: skip


def check(tenant: Any, path: str, content: bytes) -> dict[str, Any]:
    answer = tenant.client.post(path, params={"access_token": tenant.token}, content=content)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    assert isinstance(told, dict)
    assert told.get("error_code") not in BROKEN, (path, content[:200], told)
    if "/v2/" not in path:
        assert isinstance(told["error_code"], int)
    return told


@pytest.mark.parametrize("path", list(METHODS))
def test_nasty_values(tenant: Any, path: str):
    for value in VALUES:
        fields = dict.fromkeys(NAMES, value)
        check(tenant, path, json.dumps(fields).encode())
    check(tenant, path, json.dumps(VALUES).encode())


@pytest.mark.parametrize("path", [f"{FACE}v3/match", f"{FACE}v3/faceverify"])
def test_nasty_items(tenant: Any, path: str):
    for value in VALUES:
        fields = dict.fromkeys(NAMES, value)
        for body in ([fields, fields], [value, value], [value]):
            check(tenant, path, json.dumps(body).encode())


@pytest.mark.parametrize("path", ["v2/multi-identify", "v2/faceset/user/add", "v3/search"])
def test_nasty_values_one_by_one(tenant: Any, path: str):
    sound = {
        "image": "0" * 32,
        "image_type": "FACE_TOKEN",
        "group_id": "g",
        "group_id_list": "g",
        "user_id": "u",
        "uid": "u",
    }
    for i, name in enumerate(NAMES):
        for value in VALUES[i % 4 :: 4]:
            check(tenant, FACE + path, json.dumps({**sound, name: value}).encode())
    assert tenant.gallery.verify() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(list(METHODS)),
    body=st.dictionaries(st.sampled_from(NAMES), json_values) | st.lists(json_values, max_size=3),
)
def test_any_json(tenant: Any, path: str, body: object):
    check(tenant, path, json.dumps(body).encode())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=st.sampled_from(list(METHODS)), body=st.binary(max_size=200))
def test_any_bytes(tenant: Any, path: str, body: bytes):
    check(tenant, path, body)
