from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Failed = Callable[..., dict[str, Any]]
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_enrolling(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    answer = api.post("/v1/people/enrol/faces", files=parts("obama2.jpg", "obama3.jpg"))
    assert answer.status_code == 201
    body = answer.json()
    assert (body["person"]["id"], body["person"]["faces"]) == ("enrol", 2)
    assert [face["source"] for face in body["faces"]] == ["obama2.jpg", "obama3.jpg"]
    for face in body["faces"]:
        assert re.fullmatch(UUID, face["id"])
        assert re.fullmatch(r"[0-9a-f]{64}", face["digest"])
        assert (face["person"], face["group"], face["quality"]) == ("enrol", None, None)
    details = failed(
        api.post("/v1/people/enrol/faces", files=parts("obama3.jpg")), 409, "sample-duplicate"
    )
    assert details["name"] == "enrol"
    again = api.post(
        "/v1/people/enrol/faces", files=parts("obama3.jpg"), data={"allow_duplicates": "true"}
    )
    assert again.json()["person"]["faces"] == 3


def test_all_pictures_or_none(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    answer = api.post("/v1/people/none/faces", files=parts("obama2.jpg", "rocket.jpg"))
    failed(answer, 422, "no-face")
    assert answer.json()["message"].startswith("picture 2 of 2 must show a face")
    failed(api.get("/v1/people/none"), 404, "person-unknown")


def test_several_faces_on_a_picture(
    api: TestClient, text: Callable[[str], str], failed: Failed
) -> None:
    body = {"images": [text("wall.jpg")]}
    details = failed(api.post("/v1/people/crowd/faces", json=body), 422, "several-faces")
    assert details["actual"] == 3
    answer = api.post("/v1/people/crowd/faces", json={**body, "largest": True})
    assert answer.status_code == 201
    assert answer.json()["faces"][0]["source"] is None


def test_the_gate_at_enrolment(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    kept = api.post("/v1/people/gated/faces", files=parts("obama2.jpg"), data={"gate": "high"})
    quality = kept.json()["faces"][0]["quality"]
    assert quality["score"] > 0.9
    assert abs(quality["pose.yaw_deg"]) < 20
    import io

    from PIL import Image

    name, data = parts("obama2.jpg")[0][1]
    small = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((125, 240)).save(small, "PNG")
    files = [("file", (name, small.getvalue()))]
    answer = api.post("/v1/people/gated/faces", files=files, data={"gate": "high"})
    assert "too-small" in failed(answer, 422, "face-refused")["reasons"]
    assert api.get("/v1/people/gated").json()["faces"] == 1


def test_the_servers_own_gate_holds_at_enrolment(
    api: TestClient,
    client_for: Callable[..., Any],
    gallery_path: Any,
    photo: Callable[[str], bytes],
    failed: Failed,
) -> None:
    import io

    from PIL import Image

    small = io.BytesIO()
    Image.open(io.BytesIO(photo("obama2.jpg"))).resize((125, 240)).save(small, "PNG")
    files = [("file", ("small.png", small.getvalue()))]
    with client_for(gallery_path, gate="high") as strict:
        answer = strict.post("/v1/people/x/faces", files=files, data={"gate": "off"})
        failed(answer, 422, "face-refused")
        body = strict.post("/v1/identify", files=files).json()
        assert body["faces"][0]["gate"]["accepted"] is False


def test_what_is_stored(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    files = parts("obama2.jpg", "obama3.jpg")
    body = api.post("/v1/people/stored/faces", files=files, data={"group": "vault"}).json()
    first, second = (face["id"] for face in body["faces"])
    found = api.get(f"/v1/faces/{first}")
    assert found.json() == body["faces"][0]
    assert (
        api.get(f"/v1/faces/{first}", headers={"if-none-match": found.headers["etag"]}).status_code
        == 304
    )
    page = api.get("/v1/faces", params={"person": "stored", "limit": 1}).json()
    assert [face["id"] for face in page["items"]] == [first]
    params = {"person": "stored", "limit": 1, "cursor": page["next"]}
    page = api.get("/v1/faces", params=params).json()
    assert ([face["id"] for face in page["items"]], page["next"]) == ([second], None)
    vault = api.get("/v1/faces", params={"group": "vault"}).json()["items"]
    assert [face["id"] for face in vault] == [first, second]
    failed(api.get("/v1/faces", params={"person": "nobody"}), 404, "person-unknown")
    answer = api.delete(f"/v1/faces/{first}", headers={"if-match": '"0"'})
    failed(answer, 412, "precondition-failed")
    assert api.delete(f"/v1/faces/{first}").json() == {"faces": 1}
    failed(api.get(f"/v1/faces/{first}"), 404, "sample-unknown")
    failed(api.delete(f"/v1/faces/{first}"), 404, "sample-unknown")


@pytest.mark.parametrize(
    "face",
    [
        "1",
        "00000000-0000-4000-8000-000000000000",
        "..",
        "x" * 64,
        "'; DROP TABLE sample;--",
        "6b1f6d0c3a524b6e9d5e0f4c2a7be1c3",
    ],
)
def test_ids_of_no_face(api: TestClient, failed: Failed, face: str) -> None:
    address = f"/v1/faces/{face.replace('..', '%2e%2e')}"
    for answer in (
        api.get(address),
        api.delete(address),
        api.post(f"{address}/move", json={"person": "Joe Biden"}),
        api.post(f"{address}/search", json={}),
    ):
        assert answer.status_code == 404
        assert answer.json()["code"] in {"sample-unknown", "not-found"}


def test_moving_a_face(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    body = api.post("/v1/people/from/faces", files=parts("obama2.jpg")).json()
    face = body["faces"][0]["id"]
    api.post("/v1/people", json={"id": "to"})
    moved = api.post(f"/v1/faces/{face}/move", json={"person": "to"})
    assert (moved.json()["id"], moved.json()["person"]) == (face, "to")
    assert api.get("/v1/people/from").json()["faces"] == 0
    failed(api.post(f"/v1/faces/{face}/move", json={"person": "x"}), 404, "person-unknown")


def test_who_looks_like_a_stored_face(
    api: TestClient, parts: Callable[..., Any], failed: Failed, key_for: Callable[..., Any]
) -> None:
    headers = key_for(tenant="twins")
    ids = {}
    for person, name in (("one", "obama2.jpg"), ("two", "obama3.jpg"), ("joe", "Joe Biden.jpg")):
        answer = api.post(f"/v1/people/{person}/faces", files=parts(name), headers=headers)
        ids[person] = answer.json()["faces"][0]["id"]
    address = f"/v1/faces/{ids['one']}/search"
    body = api.post(address, json={}, headers=headers).json()
    assert body["face"]["id"] == ids["one"]
    assert [match["person"] for match in body["matches"]] == ["two", "joe"]
    assert body["matches"][0]["face"] == body["decision"]["face"] == ids["two"]
    assert body["decision"]["same"] is True
    similar = [match["similarity"] for match in body["matches"]]
    assert body["decision"]["margin"] == pytest.approx(similar[0] - similar[1])
    own = api.post(address, json={"own": True, "k": 1}, headers=headers).json()
    assert own["matches"][0]["person"] == "one"
    assert own["matches"][0]["similarity"] == pytest.approx(1.0, abs=1e-6)
    near = api.post(address, json={"min_similarity": 0.9}, headers=headers).json()
    assert [match["person"] for match in near["matches"]] == ["two"]
    answer = api.post(address, json={"groups": ["nowhere"]}, headers=headers)
    failed(answer, 404, "group-unknown")
    failed(api.post(address, json={}), 404, "sample-unknown")
