from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

Failed = Callable[..., dict[str, Any]]


def test_a_group_from_beginning_to_end(api: TestClient, failed: Failed) -> None:
    made = api.post("/v1/groups", json={"id": "g", "note": "of tests"})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/groups/g"
    body = made.json()
    assert (body["id"], body["note"], body["people"]) == ("g", "of tests", 0)
    failed(api.post("/v1/groups", json={"id": "g"}), 409, "group-exists")
    tag = api.get("/v1/groups/g").headers["etag"]
    assert tag == made.headers["etag"]
    assert api.get("/v1/groups/g", headers={"if-none-match": tag}).status_code == 304
    changed = api.patch("/v1/groups/g", json={"id": "h", "note": ""}, headers={"if-match": tag})
    assert (changed.json()["id"], changed.json()["note"]) == ("h", "")
    failed(api.patch("/v1/groups/g", json={"note": "x"}), 404, "group-unknown")
    answer = api.patch("/v1/groups/h", json={"note": "x"}, headers={"if-match": tag})
    failed(answer, 412, "precondition-failed")
    failed(api.delete("/v1/groups/h", headers={"if-match": tag}), 412, "precondition-failed")
    assert api.delete("/v1/groups/h").json() == {"faces": 0}
    failed(api.delete("/v1/groups/h"), 404, "group-unknown")


@pytest.mark.parametrize("name", ["\u5458\u5de5", "a/b/../c", "<b>", "'; DROP TABLE person;--"])
def test_any_name(api: TestClient, name: str) -> None:
    address = api.post("/v1/groups", json={"id": name}).headers["location"]
    assert address == f"/v1/groups/{quote(name, safe='')}"
    assert api.get(address).json()["id"] == name
    assert name in [group["id"] for group in api.get("/v1/groups").json()["items"]]
    assert api.delete(address).status_code == 200


def test_a_note_has_its_limit(api: TestClient, failed: Failed) -> None:
    failed(api.post("/v1/groups", json={"id": "n", "note": "x" * 1025}), 422, "request-invalid")
    failed(api.post("/v1/groups", json={"id": "n", "note": "\u738b" * 400}), 422, "value-range")
    failed(api.get("/v1/groups/n"), 404, "group-unknown")


def test_orphans_go_with_their_group_where_asked(api: TestClient) -> None:
    for group in ("o1", "o2"):
        api.post("/v1/groups", json={"id": group})
    for person, groups in (("in-one", ["o1"]), ("in-both", ["o1", "o2"])):
        api.post("/v1/people", json={"id": person})
        for group in groups:
            api.put("/v1/memberships", params={"person": person, "group": group}, json={})
    answer = api.delete("/v1/groups/o1", params={"people": "remove-orphans"})
    assert answer.json() == {"faces": 0}
    assert api.get("/v1/people/in-one").status_code == 404
    assert api.get("/v1/people/in-both").json()["groups"] == ["o2"]
    assert api.delete("/v1/groups/o2", params={"people": "keep"}).status_code == 200
    assert api.get("/v1/people/in-both").json()["groups"] == []


def test_who_is_in_which(api: TestClient, failed: Failed) -> None:
    api.post("/v1/groups", json={"id": "members"})
    for person in ("mem-1", "mem-2"):
        api.post("/v1/people", json={"id": person})
    of = {"person": "mem-1", "group": "members"}
    made = api.put("/v1/memberships", params=of, json={"info": "badge 7"})
    assert (made.status_code, made.json()) == (201, {**of, "info": "badge 7"})
    noted = api.put(
        "/v1/memberships",
        params=of,
        json={"info": "badge 8"},
        headers={"if-match": made.headers["etag"]},
    )
    assert (noted.status_code, noted.json()["info"]) == (200, "badge 8")
    answer = api.put("/v1/memberships", params=of, json={}, headers={"if-none-match": "*"})
    failed(answer, 412, "precondition-failed")
    api.put("/v1/memberships", params={"person": "mem-2", "group": "members"}, json={})
    page = api.get("/v1/memberships", params={"group": "members", "limit": 1}).json()
    assert page["items"] == [{**of, "info": "badge 8"}]
    rest = {"group": "members", "limit": 1, "cursor": page["next"]}
    page = api.get("/v1/memberships", params=rest).json()
    assert (page["items"][0]["person"], page["next"]) == ("mem-2", None)
    assert api.get("/v1/groups/members").json()["people"] == 2
    assert api.delete("/v1/memberships", params=of).json() == {"faces": 0}
    failed(api.delete("/v1/memberships", params=of), 404, "person-unknown")
    assert api.get("/v1/memberships", params={"person": "mem-1"}).json()["items"] == []
    for wrong, code in (
        ({"person": "nobody", "group": "members"}, "person-unknown"),
        ({"person": "mem-1", "group": "nowhere"}, "group-unknown"),
    ):
        failed(api.put("/v1/memberships", params=wrong, json={}), 404, code)
        failed(api.delete("/v1/memberships", params=wrong), 404, code)
    failed(api.put("/v1/memberships", params=of, json={"info": "x" * 257}), 422, "request-invalid")
    failed(api.put("/v1/memberships", json={}), 422, "request-invalid")


def test_leaving_erases_the_faces_of_that_scope(api: TestClient, parts: Callable[..., Any]) -> None:
    answer = api.post(
        "/v1/people/scoped/faces", files=parts("astronaut.png"), data={"group": "scope"}
    )
    assert answer.status_code == 201
    (face,) = answer.json()["faces"]
    assert (face["group"], answer.json()["person"]["groups"]) == ("scope", ["scope"])
    left = api.delete("/v1/memberships", params={"person": "scoped", "group": "scope"})
    assert left.json() == {"faces": 1}
    assert api.get(f"/v1/faces/{face['id']}").status_code == 404
    assert api.get("/v1/people/scoped").json()["faces"] == 0


def test_a_change_is_made_wholly_or_not_at_all(api: TestClient, failed: Failed) -> None:
    for name in ("whole", "taken"):
        api.post("/v1/groups", json={"id": name, "note": "before"})
    answer = api.patch("/v1/groups/whole", json={"id": "taken", "note": "after"})
    failed(answer, 409, "group-exists")
    too_long = "\u738b" * 400
    answer = api.patch("/v1/groups/whole", json={"id": "new", "note": too_long})
    failed(answer, 422, "value-range")
    answer = api.patch("/v1/groups/whole", json={"id": "\x00", "note": "after"})
    failed(answer, 422, "value-range")
    assert api.get("/v1/groups/whole").json()["note"] == "before"
    assert api.get("/v1/groups/new").status_code == 404
    same = api.patch("/v1/groups/whole", json={"id": " whole "})
    assert same.json()["id"] == "whole"
