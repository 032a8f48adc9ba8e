"""The unmodified `baidu-aip` 2.2.2.0 against a server in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

CLIENT = "baidu-aip-2"
MODES = pytest.mark.parametrize("signed", [False, True], ids=["token", "signed"])


@pytest.fixture
def run(
    sdk: Callable[..., list[Any]], server: Any, make_key: Callable[..., Any], request: Any
) -> Callable[..., list[Any]]:
    """`run(calls, …)` as a tenant of the test's own."""
    name = "v2-" + request.node.name.replace("[", "-").replace("]", "")
    key = make_key(server.gallery, name)

    def made(*calls: list[Any], **options: Any) -> list[Any]:
        return sdk(CLIENT, server.url, options.pop("key", key), list(calls), **options)

    return made


@pytest.fixture(scope="session")
def shot(pictures: Any) -> Callable[[str], dict[str, str]]:
    """`shot(name)`: a picture as the client takes it, bytes."""
    return lambda name: {"bytes": pictures[name]}


@MODES
def test_all_fifteen_methods(run: Callable[..., list[Any]], shot: Callable[..., Any], signed: bool):
    every_field = "age,beauty,expression,faceshape,gender,glasses,landmark,race,qualities"
    told = run(
        ["addUser", "obama", "美国总统 Обама", "g1,g2", shot("obama")],
        ["addUser", "obama", "美国总统", "g1", shot("obama2"), {"action_type": "append"}],
        ["addUser", "biden", "", "g1", shot("biden"), {"action_type": "replace"}],
        ["addUser", "obama", "x", "g1", shot("obama")],
        ["getGroupList"],
        ["getGroupList", {"start": 1, "num": 10}],
        ["getGroupUsers", "g1"],
        ["getGroupUsers", "g1", {"start": 0, "num": 1}],
        ["getUser", "obama"],
        ["getUser", "obama", {"group_id": "g2"}],
        ["detect", shot("pair"), {"max_face_num": 2, "face_fields": every_field}],
        ["detect", shot("obama")],
        [
            "match",
            [shot("obama"), shot("obama3"), shot("biden")],
            {"types": "7,13,7", "ext_fields": "qualities"},
        ],
        ["identifyUser", "g1,g2", shot("obama3"), {"ext_fields": "qualities", "user_top_num": 5}],
        ["verifyUser", "obama", "g1", shot("obama3"), {"top_num": 5, "ext_fields": "qualities"}],
        [
            "multiIdentify",
            "g1",
            shot("pair"),
            {"ext_fields": "qualities", "detect_top_num": 2, "user_top_num": 2},
        ],
        ["updateUser", "obama", "新", "g1", shot("obama3")],
        ["updateUser", "new", "neu", "g3", shot("obama3"), {"action_type": "replace"}],
        ["addGroupUser", "g1", "g3", "obama"],
        ["deleteGroupUser", "g3", "obama"],
        [
            "personVerify",
            shot("obama"),
            "11010519491231002X",
            "张三",
            {"quality": "use", "quality_conf": "{}"},
        ],
        ["faceverify", shot("pair"), {"max_face_num": 2, "face_fields": "qualities"}],
        ["deleteUser", "obama", {"group_id": "g2"}],
        ["deleteUser", "obama"],
        ["getUser", "obama"],
        signed=signed,
    )  # fmt: skip
    good = [0, 1, 2, *range(4, 20), 21, 22, 23]
    assert not [told[i] for i in good if "error_code" in told[i] or "error_msg" in told[i]]
    assert all(0 <= told[i]["log_id"] < 2**64 for i in good)
    assert [set(told[i]) for i in (0, 1, 2, 16, 17, 18, 19, 22, 23)] == [{"log_id"}] * 9
    assert (told[3]["error_code"], told[3]["error_msg"]) == (216616, "image existed")
    assert told[4]["result"] == ["g1", "g2"]
    assert told[5]["result"] == ["g2"]
    assert told[6]["result"] == [
        {"uid": "biden", "user_info": ""},
        {"uid": "obama", "user_info": "美国总统"},
    ]
    assert told[7]["result_num"] == 1
    assert [row["user_info"] for row in told[8]["result"]] == ["美国总统", "美国总统 Обама"]
    assert told[9]["result"][0]["group_id"] == "g2"
    assert told[10]["result_num"] == 2
    assert len(told[10]["result"][0]["landmark72"]) == 72
    assert told[10]["result"][0]["qualities"]["completeness"] == 1
    assert set(told[11]["result"][0]) == {
        "location", "face_probability", "rotation_angle", "yaw", "pitch", "roll",
    }  # fmt: skip
    scores = [row["score"] for row in told[12]["result"]]
    assert scores[0] > 80 > max(scores[1:])
    assert len(json.loads(told[12]["ext_info"]["qualities"])) == 3
    assert told[13]["result"][0]["uid"] == "obama"
    assert told[13]["result"][0]["scores"][0] > 80
    assert len(told[14]["result"]) == 2
    assert told[14]["result"][0] > 80
    rows = told[15]["result"]
    assert [row["uid"] for row in rows] == ["obama", "biden", "biden", "obama"]
    assert rows[0]["position"] == rows[1]["position"]
    refused = {"error_code": 6, "error_msg": "No permission to access data"}
    assert told[20] == refused
    assert "faceliveness" not in told[21]["result"][0]
    assert (told[24]["error_code"], told[24]["error_msg"]) == (216612, "user not exist")


def test_liveness_is_not_invented(run: Callable[..., list[Any]], shot: Callable[..., Any]):
    told = run(
        ["addUser", "u", "", "g", shot("obama")],
        ["faceverify", shot("obama"), {"face_fields": "faceliveness"}],
        ["identifyUser", "g", shot("obama"), {"ext_fields": "faceliveness"}],
        ["match", [shot("obama"), shot("biden")], {"image_liveness": ",faceliveness"}],
    )
    assert [one["error_code"] for one in told[1:]] == [216102] * 3
    assert told[1]["error_msg"] == "service not support"


@MODES
def test_errors_come_as_objects(
    run: Callable[..., list[Any]], shot: Callable[..., Any], signed: bool
):
    told = run(
        ["detect", shot("nobody")],
        ["detect", {"bytes": "R0lGODlhAQABAAAAACw="}],
        ["identifyUser", "none", shot("obama")],
        ["verifyUser", "none", "none", shot("obama")],
        ["match", [shot("obama")]],
        ["addUser", "a/b", "", "g", shot("obama")],
        ["deleteUser", "none"],
        signed=signed,
    )
    assert [one["error_code"] for one in told] == [
        216402, 216201, 216618, 216611, 216614, 216111, 216612,
    ]  # fmt: skip


def test_a_void_token_is_asked_for_again(run: Callable[..., list[Any]], shot: Callable[..., Any]):
    told = run(
        ["use_token", "24." + "0" * 32 + ".2592000.9999999999.12345678"],
        ["detect", shot("obama")],
        ["token"],
        ["getGroupList"],
    )
    assert told[1]["result_num"] == 1  # 110, a new token, and the same call again
    assert not told[2].endswith(".12345678")
    assert told[3]["result"] == []


def test_wrong_keys_end_as_a_wrong_signature(
    run: Callable[..., list[Any]], server: Any, make_key: Callable[..., Any]
):
    from dataclasses import replace

    key = make_key(server.gallery, "v2-wrong")
    refused = {"error_code": 14, "error_msg": "IAM Certification failed"}
    assert run(["getGroupList"], key=replace(key, sk="0" * 32)) == [refused]
    assert run(["getGroupList"], key=replace(key, ak="0" * 32)) == [refused]


def test_what_the_server_has_not(run: Callable[..., list[Any]]):
    assert run(["report", "feedback"]) == [
        {"error_code": 3, "error_msg": "Unsupported openapi method"}
    ]
