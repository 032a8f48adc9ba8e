from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

Failed = Callable[..., dict[str, Any]]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def path(person: str) -> str:
    return f"/v1/people/{quote(person, safe='')}"


def test_somebody_new(api: TestClient, failed: Failed) -> None:
    new = {"id": "ada", "name": "Ada Lovelace", "consent": "form 1"}
    answer = api.post("/v1/people", json=new)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/people/ada"
    body = answer.json()
    assert re.fullmatch(TIME, body.pop("created_at"))
    assert re.fullmatch(TIME, body.pop("updated_at"))
    assert body == {**new, "faces": 0, "groups": []}
    found = api.get("/v1/people/ada")
    assert found.json() == answer.json()
    assert found.headers["etag"] == answer.headers["etag"]
    assert failed(api.post("/v1/people", json=new), 409, "person-exists") == {"name": "ada"}


def test_an_id_is_made_when_none_is_given(api: TestClient) -> None:
    made = api.post("/v1/people", json={"name": "Nobody"}).json()
    assert re.fullmatch(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", made["id"])
    assert api.get(path(made["id"])).json()["name"] == "Nobody"


NAMES = [
    "\u738b\u5c0f\u660e",
    "\U0001f600 Zo\u00eb",
    "Robert'); DROP TABLE person;--",
    "<script>alert('x')</script>",
    "../../etc/passwd",
    "a/b/c",
    "/v1/people",
    "ada/rename",
    "?q=1#x&y",
    "\\\\server\\share",
    "${jndi:ldap://x}",
    "x" * 256,
    "\u05d0\u05d1\u05d2",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_id_and_name_is_kept_as_it_is(api: TestClient, name: str) -> None:
    made = api.post("/v1/people", json={"id": name, "name": name})
    assert made.status_code == 201
    assert (made.json()["id"], made.json()["name"]) == (name, name)
    assert made.headers["content-type"] == "application/json"
    assert made.headers["x-content-type-options"] == "nosniff"
    address = made.headers["location"]
    assert address == path(name)
    assert api.get(address).json()["name"] == name
    assert api.patch(address, json={"name": "other"}).json()["name"] == "other"
    renamed = api.post(f"{address}/rename", json={"id": f"renamed {name[:200]}"})
    assert renamed.json()["id"] == f"renamed {name[:200]}"
    assert api.get(address).status_code == 404
    assert api.delete(path(renamed.json()["id"])).json() == {"faces": 0}


@pytest.mark.parametrize("name", ["", " ", "\x00", "a\nb", "a\u202eb", "x" * 257, "\u738b" * 90])
def test_ids_nobody_can_have(api: TestClient, failed: Failed, name: str) -> None:
    answer = api.post("/v1/people", json={"id": name})
    assert answer.status_code == 422
    assert answer.json()["code"] in {"request-invalid", "value-range"}
    assert api.get(path(name)).status_code in {404, 422}


@pytest.mark.parametrize("name", [".", "..", " .. "])
def test_ids_no_address_can_name(api: TestClient, failed: Failed, name: str) -> None:
    failed(api.post("/v1/people", json={"id": name}), 422, "request-invalid")
    failed(api.post("/v1/people/ada/rename", json={"id": name}), 422, "request-invalid")


def test_path_like_addresses_lead_nowhere(api: TestClient) -> None:
    for raw in ("/v1/people/..%2f..%2f..%2fetc%2fpasswd", "/v1/people/%2e%2e/%2e%2e/metrics"):
        answer = api.get(raw)
        assert answer.status_code == 404
        assert "root:" not in answer.text
    assert api.get("/v1/people/%ff").json()["code"] in {"person-unknown", "value-range"}


@pytest.mark.parametrize(
    "name", ["50%25 off %2F", "../../x", "a/b", "\u738b/\U0001f600", "%", "//"]
)
def test_any_id_over_the_wire(server: Any, name: str) -> None:
    """httpx's client for tests decodes addresses twice; real servers do not."""
    headers = {**bearer(server), "content-type": "application/json"}
    new = json.dumps({"id": name}).encode()
    status, told, _ = server.request("/v1/people", new, headers)
    assert (status, told["location"]) == (201, path(name))
    status, _, body = server.request(path(name), headers=headers)
    assert (status, json.loads(body)["id"]) == (200, name)
    status, _, body = server.request(path(name), headers=headers, method="DELETE")
    assert (status, json.loads(body)) == (200, {"faces": 0})


def bearer(server: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {server.key.api_key}"}


def test_put_makes_and_changes(api: TestClient, failed: Failed) -> None:
    made = api.put("/v1/people/put", json={"name": "One"}, headers={"if-none-match": "*"})
    assert (made.status_code, made.json()["name"]) == (201, "One")
    again = api.put("/v1/people/put", json={"consent": "form 2"})
    assert (again.status_code, again.json()["name"], again.json()["consent"]) == (
        200,
        "One",
        "form 2",
    )
    answer = api.put("/v1/people/put", json={}, headers={"if-none-match": "*"})
    failed(answer, 412, "precondition-failed")
    answer = api.put("/v1/people/put-2", json={}, headers={"if-match": "*"})
    failed(answer, 412, "precondition-failed")
    assert api.get("/v1/people/put-2").status_code == 404


def test_patch_changes_only_what_is_said(api: TestClient, failed: Failed) -> None:
    api.post("/v1/people", json={"id": "patch", "name": "P", "consent": "c"})
    assert api.patch("/v1/people/patch", json={"name": "Q"}).json()["consent"] == "c"
    taken = api.patch("/v1/people/patch", json={"name": "", "consent": ""}).json()
    assert (taken["name"], taken["consent"]) == ("patch", None)
    details = failed(api.patch("/v1/people/patch-2", json={"name": "Q"}), 404, "person-unknown")
    assert details["name"] == "patch-2"


def test_a_tag_guards_a_change(api: TestClient, failed: Failed) -> None:
    api.post("/v1/people", json={"id": "tag"})
    first = api.get("/v1/people/tag").headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', first)
    unchanged = api.get("/v1/people/tag", headers={"if-none-match": f'"x", W/{first}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == first
    changed = api.patch("/v1/people/tag", json={"name": "T"}, headers={"if-match": first})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first
    for answer in (
        api.patch("/v1/people/tag", json={"name": "U"}, headers={"if-match": first}),
        api.delete("/v1/people/tag", headers={"if-match": f"W/{changed.headers['etag']}"}),
    ):
        assert failed(answer, 412, "precondition-failed")["actual"] == changed.headers["etag"]
    assert api.get("/v1/people/tag", headers={"if-none-match": first}).json()["name"] == "T"
    gone = api.delete("/v1/people/tag", headers={"if-match": changed.headers["etag"]})
    assert gone.json() == {"faces": 0}


def test_of_many_who_saw_the_same_one_may_change_it(api: TestClient) -> None:
    tag = api.post("/v1/people", json={"id": "race"}).headers["etag"]
    codes: list[int] = []

    def change(name: str) -> None:
        answer = api.patch("/v1/people/race", json={"name": name}, headers={"if-match": tag})
        codes.append(answer.status_code)

    threads = [threading.Thread(target=change, args=[f"name {n}"]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] + [412] * 7


def test_pages(api: TestClient, key_for: Callable[..., dict[str, str]], failed: Failed) -> None:
    headers = key_for(tenant="pages")
    names = sorted(["b", "a", "\u00e9", "z", "\U0001f600", "\u738b", "Z"])
    for name in names:
        api.post("/v1/people", json={"id": name}, headers=headers)
    seen, cursor, pages = [], None, 0
    while True:
        params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = api.get("/v1/people", params=params, headers=headers).json()
        seen += [person["id"] for person in page["items"]]
        cursor, pages = page["next"], pages + 1
        if cursor is None:
            break
    assert (seen, pages) == (names, 3)
    whole = api.get("/v1/people", params={"limit": 7}, headers=headers).json()
    assert (len(whole["items"]), whole["next"]) == (7, None)
    for wrong in ("%", "e30", "MQ", "bnVsbA", "x" * 30):
        answer = api.get("/v1/people", params={"cursor": wrong}, headers=headers)
        failed(answer, 422, "request-invalid")
    for limit in (0, 1001, "x"):
        failed(api.get("/v1/people", params={"limit": limit}), 422, "request-invalid")


def test_people_of_a_group(api: TestClient, failed: Failed) -> None:
    api.post("/v1/groups", json={"id": "list-of"})
    api.put("/v1/memberships", params={"person": "Joe Biden", "group": "list-of"}, json={})
    found = api.get("/v1/people", params={"group": "list-of"}).json()["items"]
    assert [(person["id"], person["faces"]) for person in found] == [("Joe Biden", 1)]
    failed(api.get("/v1/people", params={"group": "nowhere"}), 404, "group-unknown")


def test_two_into_one_and_one_into_two(
    api: TestClient, parts: Callable[..., Any], failed: Failed
) -> None:
    first = api.post("/v1/people/m1/faces", files=parts("obama2.jpg")).json()["faces"][0]["id"]
    second = api.post("/v1/people/m2/faces", files=parts("obama3.jpg")).json()["faces"][0]["id"]
    merged = api.post("/v1/people/m1/merge", json={"other": "m2"}).json()
    assert (merged["faces_moved"], merged["person"]["faces"]) == (1, 2)
    failed(api.get("/v1/people/m2"), 404, "person-unknown")
    answer = api.post("/v1/people/m1/split", json={"id": "m3", "faces": [second]})
    assert (answer.status_code, answer.json()["faces"]) == (201, 1)
    assert answer.headers["location"] == "/v1/people/m3"
    assert api.get(f"/v1/faces/{second}").json()["person"] == "m3"
    answer = api.post("/v1/people/m1/split", json={"id": "m4", "faces": [second]})
    failed(answer, 404, "sample-unknown")
    answer = api.post("/v1/people/m1/split", json={"id": "m3", "faces": [first]})
    failed(answer, 409, "person-exists")
    failed(api.post("/v1/people/m1/merge", json={"other": "nobody"}), 404, "person-unknown")
    failed(api.post("/v1/people/m1/rename", json={"id": "m3"}), 409, "person-exists")
    failed(api.post("/v1/people/m1/merge", json={}), 422, "request-invalid")
    for person, faces in (("m1", 1), ("m3", 1)):
        assert api.delete(f"/v1/people/{person}").json() == {"faces": faces}
