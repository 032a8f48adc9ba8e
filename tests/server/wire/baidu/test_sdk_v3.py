"""The unmodified `baidu-aip` 4.16.13 against a server in a process of its own."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLIENT = "baidu-aip-4"
MODES = pytest.mark.parametrize("signed", [False, True], ids=["token", "signed"])
NUMBER, NAME = "11010519491231002X", "张三"


@pytest.fixture
def key(server: Any, make_key: Callable[..., Any], request: Any) -> Any:
    name = "v3-" + request.node.name.replace("[", "-").replace("]", "")
    return make_key(server.gallery, name), name


@pytest.fixture
def run(sdk: Callable[..., list[Any]], server: Any, key: Any) -> Callable[..., list[Any]]:
    """`run(calls, …)` as a tenant of the test's own."""
    return lambda *calls, **options: sdk(CLIENT, server.url, key[0], list(calls), **options)


def shot(pictures: Any, name: str, **more: object) -> dict[str, object]:
    return {"image": pictures[name], "image_type": "BASE64", **more}


@MODES
def test_the_library(run: Callable[..., list[Any]], pictures: Any, signed: bool):
    b64 = "BASE64"
    controls = {"quality_control": "LOW", "liveness_control": "NONE", "face_sort_type": 0}
    told = run(
        ["groupAdd", "empty"],
        [
            "addUser", pictures["obama"], b64, "g1", "obama",
            {"user_info": "美国总统", "action_type": "APPEND", **controls},
        ],
        ["addUser", pictures["obama2"], b64, "g1", "obama"],
        ["addUser", pictures["biden"], b64, "g1", "biden", {"action_type": "REPLACE"}],
        ["getGroupList", {"start": 0, "length": 10}],
        ["getGroupList"],
        ["getGroupUsers", "g1", {"start": 0, "length": 10}],
        ["getUser", "obama", "g1"],
        ["getUser", "obama", "@ALL"],
        ["faceGetlist", "obama", "g1"],
        ["userCopy", "obama", {"src_group_id": "g1", "dst_group_id": "empty"}],
        [
            "search", pictures["obama3"], b64, "g1,empty",
            {"max_user_num": 5, "match_threshold": 0, **controls},
        ],
        ["search", pictures["obama3"], b64, "g1", {"user_id": "obama"}],
        [
            "multiSearch", pictures["pair"], b64, "g1",
            {
                "max_face_num": 2, "max_user_num": 2, "match_threshold": 80,
                "quality_control": "NONE", "liveness_control": "NONE",
            },
        ],
        [
            "updateUser", pictures["obama3"], b64, "g1", "obama",
            {"user_info": "新", "action_type": "UPDATE", **controls},
        ],
        ["updateUser", pictures["obama3"], b64, "g2", "obama", {"action_type": "REPLACE"}],
        ["search", pictures["biden"], b64, "empty", {"match_threshold": 80}],
        ["deleteUser", "g2", "obama"],
        ["groupDelete", "g1"],
        ["getUser", "biden", "@ALL"],
        ["groupDelete", "g1"],
        signed=signed,
    )  # fmt: skip
    envelope = {"error_code", "error_msg", "log_id", "timestamp", "cached", "result"}
    assert all(set(one) == envelope for one in told)
    codes = [one["error_code"] for one in told]
    assert codes == [0] * 16 + [222207] + [0] * 2 + [223103, 223100]
    assert all(one["error_msg"] == "SUCCESS" for one in told[:16])
    assert [told[i]["result"] for i in (0, 10, 16, 17, 18, 19)] == [None] * 6
    assert set(told[1]["result"]) == {"face_token", "location"}
    assert told[4]["result"] == told[5]["result"] == {"group_id_list": ["empty", "g1"]}
    assert told[6]["result"] == {"user_id_list": ["biden", "obama"]}
    assert told[7]["result"] == {"user_list": [{"user_info": "美国总统", "group_id": "g1"}]}
    assert len(told[9]["result"]["face_list"]) == 2
    users = told[11]["result"]["user_list"]
    assert [user["user_id"] for user in users] == ["obama", "biden"]
    assert users[0]["score"] > 80 > users[1]["score"]
    assert told[12]["result"]["user_list"][0]["user_info"] == "美国总统"
    found = told[13]["result"]["face_list"]
    assert [one["user_list"][0]["user_id"] for one in found] == ["obama", "biden"]


@MODES
def test_pictures_and_tokens(run: Callable[..., list[Any]], pictures: Any, signed: bool):
    every_field = (
        "age,beauty,expression,face_shape,gender,glasses,landmark,landmark72,landmark150,race,"
        "quality,eye_status,emotion,face_type,mask,spoofing"
    )
    options = {
        "face_field": every_field, "max_face_num": 2, "face_type": "LIVE",
        "liveness_control": "NONE", "face_sort_type": 0, "display_corp_image": 1,
    }  # fmt: skip
    told = run(
        ["detect", pictures["pair"], "BASE64", options],
        ["detect", pictures["obama"], "BASE64"],
        [
            "match",
            [
                shot(pictures, "obama", face_type="LIVE", quality_control="LOW"),
                shot(pictures, "obama3", face_type="IDCARD", liveness_control="NONE"),
            ],
        ],
        ["match", [shot(pictures, "obama")]],
        signed=signed,
    )  # fmt: skip
    assert [one["error_code"] for one in told] == [0, 0, 0, 222208]
    faces = told[0]["result"]["face_list"]
    assert told[0]["result"]["face_num"] == 2
    assert set(faces[0]) == {
        "face_token", "location", "face_probability", "angle", "landmark", "landmark72",
        "quality", "corp_image_base64",
    }  # fmt: skip
    assert told[2]["result"]["score"] > 80
    token = told[1]["result"]["face_list"][0]["face_token"]
    again = run(
        ["addUser", token, "FACE_TOKEN", "g", "u"],
        ["search", faces[1]["face_token"], "FACE_TOKEN", "g"],
        ["faceDelete", "u", "g", token],
        ["faceDelete", "u", "g", token],
        signed=signed,
    )
    assert [one["error_code"] for one in again] == [0, 0, 0, 223103]
    assert again[0]["result"]["face_token"] == token
    assert again[1]["result"]["user_list"][0]["score"] < 80


def test_what_takes_models_or_data_nobody_has(run: Callable[..., list[Any]], pictures: Any):
    one = pictures["obama"]
    told = run(
        ["faceverify", [shot(pictures, "obama", face_field="age", option="COMMON")]],
        ["videoSessioncode", {"appid": "1"}],
        ["facelivenessVerifyV1", "AAAA", {"session_id": "S"}],
        ["detect", one, "BASE64", {"liveness_control": "LOW"}],
        ["personVerify", one, "BASE64", NUMBER, NAME],
        ["facePersonIdmatchV3", NUMBER, NAME],
        ["faceMergeV1", {"image": one}, {"image": one}],
        ["faceSkinSmoothV1", one, "BASE64", "V"],
        ["faceLandmarkV1", one, "BASE64"],
        ["faceMingJingVerify", NUMBER, NAME, one],
        ["faceMingJingMatch", one, "BASE64", one, "BASE64"],
        ["onlinePictureLiveV4", "1"],
        ["faceSceneFacesetUserAdd", one, "BASE64", "g", "u", "S"],
        ["faceSceneFacesetUserUpdate", one, "BASE64", "g", "u", "S"],
        ["faceSceneFacesetGroupAdd", "g", "S"],
        ["faceCaptureSearch", one, "BASE64", "g"],
        ["faceIdmatchDateV4", NAME, NUMBER, "20200101", "20400101"],
        ["faceVerifyDateV4", NAME, NUMBER, "20200101", "20400101", one, "BASE64"],
    )
    assert [one["error_code"] for one in told] == [216102] * 4 + [6] * 14
    assert {one["error_msg"] for one in told[4:]} == {"No permission to access data"}
    assert (told[1]["err_no"], told[1]["error_code"]) == (216102, 216102)


def test_people_against_the_local_registry(
    run: Callable[..., list[Any]], server: Any, key: Any, pictures: Any, tmp_path: Path
):
    (tmp_path / "photo.jpg").write_bytes(pictures.bytes("obama"))
    with (tmp_path / "cards.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("id_card_number", "name", "picture"), (NUMBER, NAME, "photo.jpg")]
        )
    command = [sys.executable, "-m", "vultus", "idcards", "import", tmp_path / "cards.csv"]
    subprocess.run(
        [*command, "--gallery", server.gallery, "--tenant", key[1], "--json"],
        check=True,
        capture_output=True,
    )
    image = pictures["obama3"]
    told = run(
        ["personVerify", image, "BASE64", NUMBER, NAME, {"quality_control": "LOW"}],
        ["personVerify", image, "BASE64", NUMBER, "李四"],
        ["personVerify", pictures["biden"], "BASE64", NUMBER, NAME],
        ["facePersonIdmatchV3", NUMBER, NAME],
    )
    assert [one["error_code"] for one in told] == [0, 222351, 0, 0]
    assert told[0]["result"]["score"] > 80 > told[2]["result"]["score"]
    assert told[3]["result"] is None


def test_a_void_token_is_asked_for_again(run: Callable[..., list[Any]]):
    told = run(
        ["use_token", "24." + "0" * 32 + ".2592000.9999999999.12345678"],
        ["getGroupList"],
        ["token"],
    )
    assert told[1]["error_code"] == 0
    assert not told[2].endswith(".12345678")
