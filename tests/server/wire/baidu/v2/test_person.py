from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from vultus.server.store.idcards import IdCard

NUMBER, NAME = "11010519491231002X", "张三"


def ask(tenant: Any, picture: str, **more: object) -> Any:
    fields = {"image": picture, "id_card_number": NUMBER, "name": NAME, **more}
    return tenant.v2("person/verify", **fields)


@pytest.fixture
def registered(tenant: Any, pictures: Any) -> Any:
    """A tenant with one ID card: that of the picture `obama`."""
    recognizer = tenant.service.recognizer
    face = recognizer.detect(pictures.bytes("obama"), largest=True)[0]
    tenant.tools.cards.put(tenant.name, [IdCard(NUMBER, NAME, recognizer.embed(face))])
    return tenant


def test_without_a_registry_nobody_may_ask(tenant: Any, pictures: Mapping[str, str]):
    told = ask(tenant, pictures["obama"])
    assert told == {"error_code": 6, "error_msg": "No permission to access data"}


def test_the_score_lies_between_0_and_1(registered: Any, pictures: Mapping[str, str]):
    told = ask(registered, pictures["obama3"])
    assert set(told) == {"log_id", "result"}
    assert 0.8 < told["result"] < 1
    assert ask(registered, pictures["obama"])["result"] == 1.0
    assert ask(registered, pictures["biden"])["result"] < 0.8


def test_with_all_options(registered: Any, pictures: Mapping[str, str]):
    told = ask(
        registered,
        pictures["obama"],
        quality="use",
        quality_conf=json.dumps({"left_eye": 0.9, "right_eye": 0.9, "blur": 0.9, "chin": 0.9}),
        ext_fields="qualities",
    )
    assert told["result"] == 1.0
    assert json.loads(told["ext_info"]["qualities"])["completeness"] == 1


def test_quality_that_falls_short(registered: Any, pictures: Mapping[str, str]):
    told = ask(registered, pictures["obama"], quality="use", quality_conf='{"illumination": 254}')
    assert (told["error_code"], told["error_msg"]) == (216615, "fail to process images")
    strict = '{"blur": -1}'
    told = ask(registered, pictures["obama"], quality="use", quality_conf=strict)
    assert told["error_code"] == 216615
    assert ask(registered, pictures["obama"], quality_conf=strict)["result"] == 1.0  # not asked for


@pytest.mark.parametrize("conf", ["{", "[]", '{"blur": "x"}', '{"blur": NaN}', "1"])
def test_limits_that_are_none(registered: Any, pictures: Mapping[str, str], conf: str):
    told = ask(registered, pictures["obama"], quality="use", quality_conf=conf)
    assert (told["error_code"], told["error_msg"]) == (216100, "invalid param")


def test_liveness(registered: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch):
    for more in ({"faceliveness": "use"}, {"ext_fields": "faceliveness"}):
        assert ask(registered, pictures["obama"], **more)["error_code"] == 216102

    class Alive:
        def score(self, faces: object) -> list[float]:
            return [0.9] * len(list(faces))  # type: ignore[call-overload]

    monkeypatch.setattr(registered.service, "liveness", Alive())
    told = ask(registered, pictures["obama"], faceliveness="use", ext_fields="faceliveness")
    assert told["ext_info"] == {"faceliveness": "0.9"}
    conf = '{"faceliveness": 0.95}'
    told = ask(registered, pictures["obama"], faceliveness="use", faceliveness_conf=conf)
    assert told["error_code"] == 216615


def test_who_is_not_in_it(registered: Any, pictures: Mapping[str, str]):
    for more in ({"name": "李四"}, {"id_card_number": "110105194912310011"}):
        told = ask(registered, pictures["obama"], **more)
        assert (told["error_code"], told["error_msg"]) == (216611, "user not exist")
    assert ask(registered, pictures["obama"], id_card_number="12")["error_code"] == 216100
    assert ask(registered, pictures["obama"], name="")["error_code"] == 216101
    assert ask(registered, pictures["nobody"])["error_code"] == 216402
    assert ask(registered, "")["error_code"] == 216200
