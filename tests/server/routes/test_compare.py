from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.pipeline import Recognizer

Failed = Callable[..., dict[str, Any]]


def test_the_same_person(
    api: TestClient,
    parts: Callable[..., Any],
    photo: Callable[[str], bytes],
    recognizer: Recognizer,
) -> None:
    answer = api.post("/v1/compare", files=parts("Barack Obama.jpg", "obama2.jpg"))
    assert answer.status_code == 200
    body = answer.json()
    known = recognizer.verify(photo("Barack Obama.jpg"), photo("obama2.jpg"))
    decision = body["decision"]
    assert decision["same"] is True
    assert decision["similarity"] == pytest.approx(known.similarity, abs=1e-5)
    assert decision["threshold"]["value"] == known.threshold.value
    assert decision["threshold"]["policy"] == "fmr=5e-3"
    assert known.fmr is not None
    assert decision["fmr"]["high"] == pytest.approx(known.fmr.high, rel=1e-3)
    assert decision["fmr"]["confidence"] == 0.95
    assert decision["words"].startswith("the same person, 0.96")
    assert (decision["margin"], decision["face"]) == (None, None)
    assert len(body["faces"]) == 2


def test_two_people(api: TestClient, text: Callable[[str], str]) -> None:
    images = [text("Barack Obama.jpg"), text("Joe Biden.jpg")]
    decision = api.post("/v1/compare", json={"images": images}).json()["decision"]
    assert decision["same"] is False
    assert decision["similarity"] == pytest.approx(0.81, abs=0.02)
    assert decision["fmr"]["value"] > 0.05
    assert decision["words"].startswith("different people, 0.8")


@pytest.mark.parametrize(
    ("asked", "policy", "value"),
    [("fmr=1e-4", "fmr=1e-4", 0.944), ("0.99", "user", 0.99), ("fpir=1e-2,people=5", None, 0.92)],
)
def test_thresholds(
    api: TestClient, parts: Callable[..., Any], asked: str, policy: str | None, value: float
) -> None:
    files = parts("Barack Obama.jpg", "obama2.jpg")
    decision = api.post("/v1/compare", files=files, data={"threshold": asked}).json()["decision"]
    assert decision["threshold"]["policy"] in {policy, "fpir=0.01,people=5"}
    assert decision["threshold"]["value"] == pytest.approx(value, abs=0.01)
    assert decision["same"] is (decision["similarity"] >= decision["threshold"]["value"])


def test_a_threshold_nobody_measured(
    api: TestClient, parts: Callable[..., Any], failed: Failed
) -> None:
    files = parts("Barack Obama.jpg", "obama2.jpg")
    for asked, code in (
        ("no-such-policy", "request-invalid"),
        ("fmr=1e-12", "insufficient-data"),
        ("fmr=2", "value-range"),
        ("1.5", "request-invalid"),
        ("nan", "request-invalid"),
    ):
        failed(api.post("/v1/compare", files=files, data={"threshold": asked}), 422, code)


def test_a_picture_without_a_face_is_named(
    api: TestClient, parts: Callable[..., Any], failed: Failed
) -> None:
    answer = api.post("/v1/compare", files=parts("obama2.jpg", "rocket.jpg"))
    failed(answer, 422, "no-face")
    assert answer.json()["message"].startswith("picture 2 of 2 must show a face, none was found")


def test_the_gate_holds(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    files = parts("obama2.jpg", "astronaut.png")
    answer = api.post("/v1/compare", files=files, data={"gate": "low"})
    shown = answer.json()["faces"]
    assert [face["gate"]["accepted"] for face in shown] == [True, True]
    assert all(face["quality"]["score"] > 0.5 for face in shown)
    files = parts("obama2.jpg", "rocket.jpg")
    failed(api.post("/v1/compare", files=files, data={"gate": "sometimes"}), 422, "request-invalid")


def test_who_they_say_they_are(
    api: TestClient, parts: Callable[..., Any], photo: Callable[[str], bytes]
) -> None:
    claim = {"person": " Barack Obama "}
    body = api.post("/v1/verify", files=parts("obama2.jpg"), data=claim).json()
    assert (body["person"], body["name"]) == ("Barack Obama", "Barack Obama")
    assert body["decision"]["same"] is True
    assert body["decision"]["similarity"] == pytest.approx(0.967, abs=0.005)
    stored = api.get("/v1/faces", params={"person": "Barack Obama"}).json()["items"]
    assert body["decision"]["face"] in {face["id"] for face in stored}
    assert body["face"]["box"] == pytest.approx([180, 211, 490, 660], abs=40)
    found = api.post("/v1/identify", files=parts("obama2.jpg")).json()["faces"][0]["decision"]
    assert body["decision"]["similarity"] == found["similarity"]


def test_who_they_are_not(api: TestClient, parts: Callable[..., Any]) -> None:
    body = api.post("/v1/verify", files=parts("obama2.jpg"), data={"person": "Joe Biden"}).json()
    assert body["decision"]["same"] is False
    assert body["decision"]["words"].startswith("unknown (nearest: Joe Biden), 0.8")


def test_a_claim_within_groups(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    api.post("/v1/groups", json={"id": "verify-in"})
    api.post("/v1/groups", json={"id": "verify-out"})
    member = {"person": "Barack Obama", "group": "verify-in"}
    assert api.put("/v1/memberships", params=member, json={}).status_code == 201

    def decided(*groups: str) -> Any:
        claim = {"person": "Barack Obama", "groups": list(groups)}
        answer = api.post("/v1/verify", files=parts("obama2.jpg"), data=claim)
        assert answer.status_code == 200
        return answer.json()["decision"]

    assert decided("verify-in")["same"] is True
    assert decided("verify-out", "verify-in")["same"] is True
    assert decided("verify-out") is None
    claim = {"person": "Barack Obama", "groups": ["verify-nowhere"]}
    answer = api.post("/v1/verify", files=parts("obama2.jpg"), data=claim)
    failed(answer, 404, "group-unknown")


def test_a_claim_to_be_nobody(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    answer = api.post("/v1/verify", files=parts("obama2.jpg"), data={"person": "Barack Obamo"})
    details = failed(answer, 404, "person-unknown")
    assert details["close"] == ["Barack Obama"]
    answer = api.post("/v1/verify", files=parts("obama2.jpg"), data={"person": "\x00"})
    failed(answer, 422, "value-range")
    api.post("/v1/people", json={"id": "faceless"})
    body = api.post("/v1/verify", files=parts("obama2.jpg"), data={"person": "faceless"}).json()
    assert (body["person"], body["decision"]) == ("faceless", None)
