from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from vultus.server.errors import UrlRefusedError
from vultus.types import Attributes, Face, Reading

ALWAYS = {"face_token", "location", "face_probability", "angle"}
EVERY_FIELD = (
    "age,beauty,expression,face_shape,gender,glasses,landmark,landmark72,landmark150,race,quality,"
    "eye_status,emotion,face_type,mask,spoofing,faceshape,facetype"
)


class Alive:
    def score(self, faces: Sequence[Face]) -> list[float]:
        return [0.95 if face.box.x1 < 100 else 0.2 for face in faces]


@pytest.fixture
def liveness(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant.service, "liveness", Alive())


def detect(tenant: Any, image: str, **more: object) -> Any:
    return tenant.v3("detect", **{"image": image, "image_type": "BASE64", **more})


def result(told: Any) -> Any:
    assert told["error_code"] == 0, told
    return told["result"]


def test_by_default_one_face(tenant: Any, pictures: Mapping[str, str]):
    found = result(detect(tenant, pictures["pair"]))
    assert set(found) == {"face_num", "face_list"}
    assert found["face_num"] == 1
    (row,) = found["face_list"]
    assert set(row) == ALWAYS
    assert set(row["location"]) == {"left", "top", "width", "height", "rotation"}
    assert isinstance(row["location"]["rotation"], int)
    assert set(row["angle"]) == {"yaw", "pitch", "roll"}
    assert row["location"]["rotation"] == pytest.approx(row["angle"]["roll"], abs=6)
    assert len(row["face_token"]) == 32
    assert int(row["face_token"], 16)


def test_the_same_face_has_the_same_token(tenant: Any, pictures: Mapping[str, str]):
    first = result(detect(tenant, pictures["pair"], max_face_num=10))["face_list"]
    again = result(detect(tenant, pictures["pair"], max_face_num="1"))["face_list"]
    assert len(first) == 2
    assert first[0]["face_token"] == again[0]["face_token"] != first[1]["face_token"]


def test_order(tenant: Any, pictures: Mapping[str, str], encode: Callable[..., str]):
    big = Image.open(io.BytesIO(base64.b64decode(pictures["obama"])))
    small = big.resize((big.width * 2 // 3, big.height * 2 // 3))
    sheet = Image.new("RGB", (big.width + small.width + 300, 260), "grey")
    sheet.paste(big, (0, 0))
    sheet.paste(small, (sheet.width // 2 - small.width // 2, 40))
    text = encode(sheet)
    by_size = result(detect(tenant, text, max_face_num=2))["face_list"]
    by_place = result(detect(tenant, text, max_face_num=2, face_sort_type=1))["face_list"]
    assert len(by_size) == 2
    assert by_size[0]["location"]["width"] > by_size[1]["location"]["width"]
    assert [row["face_token"] for row in by_place] == [
        row["face_token"] for row in reversed(by_size)
    ]


def test_every_field(tenant: Any, pictures: Mapping[str, str]):
    (row,) = result(detect(tenant, pictures["obama2"], face_field=EVERY_FIELD))["face_list"]
    assert set(row) == ALWAYS | {"landmark", "landmark72", "quality"}  # no model for the rest
    assert (len(row["landmark"]), len(row["landmark72"])) == (4, 72)
    assert set(row["quality"]) == {"occlusion", "blur", "illumination", "completeness"}


def test_age_and_gender(tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch):
    class Reader:
        def read(self, faces: Sequence[Face]) -> list[Attributes]:
            age, sex = Reading(41.0, None, "", "m"), Reading("male", 0.97, "", "m")
            return [Attributes(age=age, sex=sex) for _ in faces]

    monkeypatch.setitem(tenant.tools.looker.__dict__, "_reader", Reader())
    (row,) = result(detect(tenant, pictures["obama"], face_field="age,gender"))["face_list"]
    assert (row["age"], row["gender"]) == (41.0, {"type": "male", "probability": 0.97})


def test_the_face_cut_out(tenant: Any, pictures: Mapping[str, str]):
    (row,) = result(detect(tenant, pictures["obama"], display_corp_image=1))["face_list"]
    cut = Image.open(io.BytesIO(base64.b64decode(row["corp_image_base64"])))
    assert abs(cut.width - row["location"]["width"]) <= 1.5
    assert abs(cut.height - row["location"]["height"]) <= 1.5


def test_no_face(tenant: Any, pictures: Mapping[str, str]):
    told = detect(tenant, pictures["nobody"])
    assert (told["error_code"], told["error_msg"]) == (222202, "pic not has face")
    assert told["result"] is None


@pytest.mark.parametrize(
    ("make", "number", "message"),
    [
        (lambda p, e: "!", 222013, "param[image] format error"),
        (lambda p, e: "", 222001, "param[image] is null"),
        (lambda p, e: "AAAA", 222203, "image check fail"),
        (lambda p, e: e(Image.new("RGB", (50, 50)), "GIF"), 222203, "image check fail"),
        (lambda p, e: p["obama"][:800], 222203, "image check fail"),
        (lambda p, e: "A" * (2 * 1024 * 1024 + 4), 222304, "image size is too large"),
        (lambda p, e: e(Image.new("RGB", (6001, 9)), "PNG"), 222304, "image size is too large"),
        (lambda p, e: e(Image.new("RGB", (1, 1)), "PNG"), 222202, "pic not has face"),
        (lambda p, e: e(Image.new("RGB", (6000, 4)), "PNG"), 222202, "pic not has face"),
    ],
)
def test_pictures_that_cannot_be_used(
    tenant: Any,
    pictures: Mapping[str, str],
    encode: Callable[..., str],
    make: Callable[..., str],
    number: int,
    message: str,
):
    told = detect(tenant, make(pictures, encode))
    assert (told["error_code"], told["error_msg"]) == (number, message)


@pytest.mark.parametrize(
    ("change", "number", "message"),
    [
        ({"image_type": None}, 222001, "param[image_type] is null"),
        ({"image_type": "PATH"}, 222015, "param[image_type] format error"),
        ({"image": ["x"]}, 222013, "param[image] format error"),
        ({"image_type": "URL", "image": "http://127.0.0.1/x"}, 222204, "image_url_download_fail"),
        ({"image_type": "URL", "image": "file:///etc/passwd"}, 222204, "image_url_download_fail"),
        ({"max_face_num": 0}, 222016, "param[max_face_num] format error"),
        ({"face_field": ["age"]}, 222017, "param[face_field] format error"),
        ({"quality_control": "MAX"}, 222019, "param[quality_control] format error"),
        ({"liveness_control": "MAX"}, 222020, "param[liveness_control] format error"),
        ({"face_type": "DOG"}, 222024, "param[face_type] format error"),
        ({"face_sort_type": 2}, 222039, "param[face_sort_type] format error"),
        ({"spoofing_control": "MAX"}, 223130, "param[spoofing_control] format error"),
        ({"spoofing_control": "LOW"}, 216102, "service not support"),
        ({"liveness_control": "LOW"}, 216102, "service not support"),
        ({"display_corp_image": 7}, 216100, "invalid param"),
    ],
)
def test_parameters_that_are_none(
    tenant: Any, pictures: Mapping[str, str], change: dict[str, Any], number: int, message: str
):
    told = detect(tenant, **{"image": pictures["obama"], **change})
    assert (told["error_code"], told["error_msg"]) == (number, message)


def test_poor_faces_are_filtered(tenant: Any, pictures: Mapping[str, str]):
    both = result(detect(tenant, pictures["pair"], max_face_num=2))["face_list"]
    found = result(detect(tenant, pictures["pair"], max_face_num=2, quality_control="LOW"))
    assert found["face_list"] == both[:1]  # the second is too small
    told = detect(tenant, pictures["obama2"], max_face_num=2, quality_control="HIGH")
    assert told["error_code"] == 222202  # turned and small: none is left


@pytest.mark.usefixtures("liveness")
def test_faces_that_are_not_alive_are_filtered(tenant: Any, pictures: Mapping[str, str]):
    found = result(detect(tenant, pictures["pair"], max_face_num=5, liveness_control="NORMAL"))
    (row,) = found["face_list"]
    assert row["liveness"] == {"livemapscore": 0.95}
    found = result(detect(tenant, pictures["pair"], max_face_num=5, liveness_control="LOW"))
    assert found["face_num"] == 2
    assert "liveness" not in result(detect(tenant, pictures["pair"]))["face_list"][0]


def test_a_token_stands_for_the_face(tenant: Any, pictures: Mapping[str, str]):
    (seen,) = result(detect(tenant, pictures["obama"], face_field="quality"))["face_list"]
    token = seen["face_token"]
    told = detect(tenant, token, image_type="FACE_TOKEN", face_field="quality,landmark")
    assert result(told) == {"face_num": 1, "face_list": [seen]}
    told = detect(tenant, "0" * 32, image_type="FACE_TOKEN")
    assert (told["error_code"], told["error_msg"]) == (222209, "face token not exist")
    assert detect(tenant, "../x", image_type="FACE_TOKEN")["error_code"] == 222209
    assert detect(tenant, "0" * 65, image_type="FACE_TOKEN")["error_code"] == 222013


def test_after_an_hour_it_stands_for_nothing(
    tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
):
    import time

    (seen,) = result(detect(tenant, pictures["obama"]))["face_list"]
    now = time.time()
    monkeypatch.setattr("vultus.server.store.faces.time.time", lambda: now + 3601)
    told = detect(tenant, seen["face_token"], image_type="FACE_TOKEN")
    assert told["error_code"] == 222209
    assert tenant.tools.faces.erase_ended() >= 1


def test_a_token_of_another_model_stands_for_nothing(tenant: Any, pictures: Mapping[str, str]):
    from dataclasses import replace

    (seen,) = result(detect(tenant, pictures["obama"]))["face_list"]
    found = tenant.tools.faces.find(tenant.name, seen["face_token"])
    tenant.tools.faces.hold(tenant.name, [replace(found.held, space="other")])
    told = detect(tenant, seen["face_token"], image_type="FACE_TOKEN")
    assert told["error_code"] == 222209


@pytest.mark.usefixtures("liveness")
def test_of_a_token_nobody_can_tell_whether_it_is_alive(tenant: Any, pictures: Mapping[str, str]):
    (seen,) = result(detect(tenant, pictures["obama"]))["face_list"]
    told = detect(tenant, seen["face_token"], image_type="FACE_TOKEN", liveness_control="LOW")
    assert (told["error_code"], told["error_msg"]) == (223120, "liveness check fail")


# -- faceverify -----------------------------------------------------------------------------------


def test_faceverify_without_a_model(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v3("faceverify", [{"image": pictures["obama"], "image_type": "BASE64"}])
    assert (told["error_code"], told["error_msg"]) == (216102, "service not support")


@pytest.mark.usefixtures("liveness")
def test_faceverify_with_one(tenant: Any, pictures: Mapping[str, str]):
    one = {"image": pictures["obama"], "image_type": "BASE64", "face_field": "quality"}
    told = result(tenant.v3("faceverify", [one, {**one, "option": "GATE"}, one]))
    assert told["face_liveness"] == 0.95
    assert told["thresholds"] == {"frr_1e-4": 0.05, "frr_1e-3": 0.3, "frr_1e-2": 0.9}
    assert len(told["face_list"]) == 3
    assert set(told["face_list"][0]) == ALWAYS | {"liveness", "quality"}
    assert told["face_list"][0]["liveness"] == {"faceliveness": 0.95, "livemapscore": 0.95}


@pytest.mark.usefixtures("liveness")
def test_faceverify_takes_one_three_or_eight(tenant: Any, pictures: Mapping[str, str]):
    one = {"image": pictures["obama"], "image_type": "BASE64"}
    for body in ([], [one, one], [one] * 9, {"image": "x"}):
        told = tenant.v3("faceverify", body)
        assert (told["error_code"], told["error_msg"]) == (
            222208,
            "the number of image is incorrect",
        )
    assert tenant.v3("faceverify", ["x"])["error_code"] == 222013
    assert tenant.v3("faceverify", [{**one, "option": "DOOR"}])["error_code"] == 216100
    assert tenant.v3("faceverify", [{**one, "image": pictures["nobody"]}])["error_code"] == 222202


# -- addresses ------------------------------------------------------------------------------------


def test_an_address_is_fetched_where_the_operator_allows(
    client_for: Callable[..., AbstractContextManager[TestClient]],
    gallery_path: Path,
    pictures: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    asked = []

    def fetch(url: str, allowed: tuple[str, ...], max_bytes: int) -> bytes:
        asked.append((url, allowed))
        if "refused" in url:
            raise UrlRefusedError("no")
        assert max_bytes == 2 * 1024 * 1024
        return bytes(pictures.bytes("obama"))

    monkeypatch.setattr("vultus.server.wire.baidu.gateway.fetch_picture", fetch)
    path = "/rest/2.0/face/v3/"
    one = {"image": "https://img.example.org/a.jpg", "image_type": "URL"}
    with client_for(gallery_path, fetch_hosts=("img.example.org",)) as client:
        told = client.post(f"{path}detect", json=one).json()
        assert told["result"]["face_num"] == 1
        told = client.post(f"{path}match", json=[one, one]).json()
        assert told["result"]["score"] == 100.0
        told = client.post(f"{path}detect", json={**one, "image": "https://refused/"}).json()
        assert told["error_code"] == 222204
    assert asked[0] == ("https://img.example.org/a.jpg", ("img.example.org",))
