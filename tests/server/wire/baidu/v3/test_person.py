from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vultus.server.store.idcards import IdCard

NUMBER, NAME = "11010519491231002X", "张三"
MISMATCH = (222351, "id number and name not match or id number not exist")


def ask(tenant: Any, image: str, **more: object) -> Any:
    fields = {"image": image, "image_type": "BASE64", "id_card_number": NUMBER, "name": NAME}
    return tenant.v3("person/verify", **{**fields, **more})


def code(told: Any) -> tuple[int, str]:
    return told["error_code"], told["error_msg"]


@pytest.fixture
def registered(tenant: Any, pictures: Any) -> Any:
    recognizer = tenant.service.recognizer
    face = recognizer.detect(pictures.bytes("obama"), largest=True)[0]
    tenant.tools.cards.put(tenant.name, [IdCard(NUMBER, NAME, recognizer.embed(face))])
    return tenant


def test_without_a_registry_nobody_may_ask(tenant: Any, pictures: Mapping[str, str]):
    refused = {"error_code": 6, "error_msg": "No permission to access data"}
    assert ask(tenant, pictures["obama"]) == refused
    assert tenant.v3("person/idmatch", id_card_number=NUMBER, name=NAME) == refused


def test_the_score_lies_between_0_and_100(registered: Any, pictures: Mapping[str, str]):
    told = ask(registered, pictures["obama3"], quality_control="LOW", liveness_control="NONE")
    assert told["error_code"] == 0
    assert 80 < told["result"]["score"] < 100
    assert ask(registered, pictures["obama"])["result"] == {"score": 100.0}
    assert ask(registered, pictures["biden"])["result"]["score"] < 80


def test_by_token(registered: Any, pictures: Mapping[str, str]):
    told = registered.v3("detect", image=pictures["obama"], image_type="BASE64")
    token = told["result"]["face_list"][0]["face_token"]
    assert ask(registered, token, image_type="FACE_TOKEN")["result"] == {"score": 100.0}


def test_number_and_name(registered: Any, pictures: Mapping[str, str]):
    told = registered.v3("person/idmatch", id_card_number=NUMBER.lower(), name=NAME)
    assert (told["error_code"], told["result"]) == (0, None)
    for more in ({"name": "李四"}, {"id_card_number": "110105194912310011"}):
        fields = {"id_card_number": NUMBER, "name": NAME, **more}
        assert code(registered.v3("person/idmatch", **fields)) == MISMATCH
        assert code(ask(registered, pictures["obama"], **more)) == MISMATCH


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"id_card_number": "12"}, (222353, "id number format error")),
        ({"id_card_number": None}, (222001, "param[id_card_number] is null")),
        ({"id_card_number": ["1"]}, (222022, "param[id_card_number] format error")),
        ({"name": "x" * 257}, (222352, "name format error")),
        ({"name": " "}, (222352, "name format error")),
        ({"name": {}}, (222023, "param[name] format error")),
        ({"liveness_control": "LOW"}, (216102, "service not support")),
        ({"quality_control": "x"}, (222019, "param[quality_control] format error")),
    ],
)
def test_parameters_that_are_none(
    registered: Any, pictures: Mapping[str, str], more: dict[str, Any], told: tuple[int, str]
):
    assert code(ask(registered, pictures["obama"], **more)) == told


def test_pictures(registered: Any, pictures: Mapping[str, str]):
    assert code(ask(registered, pictures["nobody"])) == (222202, "pic not has face")
    number, _ = code(ask(registered, pictures["obama2"], quality_control="HIGH"))
    assert 223113 <= number <= 223129


def test_a_photo_of_another_model(
    registered: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
):
    from vultus.server.store.idcards import FoundCard

    monkeypatch.setattr(type(registered.tools.cards), "find", lambda *_: FoundCard(True, None))
    told = ask(registered, pictures["obama"])
    assert code(told) == (222355, "police picture not exist")
