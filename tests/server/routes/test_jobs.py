from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Failed = Callable[..., dict[str, Any]]
ENDED = {"done", "failed", "cancelled", "interrupted"}


def ended(api: TestClient, answer: Any) -> dict[str, Any]:
    """A started job, once it has come to its end."""
    assert answer.status_code == 202, answer.text
    address = answer.headers["location"]
    assert address == f"/v1/jobs/{answer.json()['id']}"
    deadline = time.monotonic() + 30
    while (job := api.get(address).json())["state"] not in ENDED:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    told: dict[str, Any] = job
    return told


def test_bulk_enrolment(api: TestClient, parts: Callable[..., Any]) -> None:
    files = parts("obama2.jpg", "rocket.jpg", "Joe Biden.jpg", "wall.jpg", "obama2.jpg")
    people = ["job-1", "job-1", "job-2", "job-2", "job-1"]
    asked = {"kind": "enrol", "people": people, "group": "job-group"}
    job = ended(api, api.post("/v1/jobs", files=files, data=asked))
    assert (job["kind"], job["state"], job["error"]) == ("enrol", "done", None)
    assert job["progress"] == {"done": 5, "total": 5}
    items = job["result"]["items"]
    assert job["result"]["enrolled"] == 2
    assert [item["error"] and item["error"]["code"] for item in items] == [
        None,
        "no-face",
        None,
        "several-faces",
        "sample-duplicate",
    ]
    assert [item["person"] for item in items] == people
    stored = api.get(f"/v1/faces/{items[0]['face']}").json()
    assert (stored["person"], stored["group"], stored["source"]) == (
        "job-1",
        "job-group",
        "obama2.jpg",
    )
    found = api.post("/v1/identify", files=parts("obama3.jpg"), data={"groups": ["job-group"]})
    assert found.json()["faces"][0]["person"] == "job-1"
    entries = api.get("/v1/audit", params={"person": "job-1"}).json()["items"]
    assert entries[-1]["actor"].startswith("app:")


def test_people_are_named_after_their_files(api: TestClient, photo: Callable[[str], bytes]) -> None:
    files = [("file", ("C:\\photos\\file-\u738b.x.jpg", photo("obama2.jpg")))]
    job = ended(api, api.post("/v1/jobs", files=files, data={"kind": "enrol"}))
    assert [item["person"] for item in job["result"]["items"]] == ["file-\u738b.x"]


def test_one_person_for_all_pictures(api: TestClient, text: Callable[[str], str]) -> None:
    images = [text("obama2.jpg"), "%", text("obama3.jpg")]
    body = {"kind": "enrol", "people": ["job-all"], "images": images}
    job = ended(api, api.post("/v1/jobs", json=body))
    errors = [item["error"] and item["error"]["code"] for item in job["result"]["items"]]
    assert errors == [None, "image-format", None]
    assert api.get("/v1/people/job-all").json()["faces"] == 2


def test_care_of_the_gallery(api: TestClient) -> None:
    job = ended(api, api.post("/v1/jobs", json={"kind": "optimise"}))
    assert job["result"]["kind"] == "exact"
    job = ended(api, api.post("/v1/jobs", json={"kind": "verify"}))
    assert job["result"] == {"sound": True, "findings": []}
    found = api.get(f"/v1/jobs/{job['id']}")
    unchanged = {"if-none-match": found.headers["etag"]}
    assert api.get(f"/v1/jobs/{job['id']}", headers=unchanged).status_code == 304


def test_what_is_no_job(
    api: TestClient, text: Callable[[str], str], failed: Failed, key_for: Callable[..., Any]
) -> None:
    one = [text("rocket.jpg")]
    for body in (
        {},
        {"kind": "nothing"},
        {"kind": "enrol"},
        {"kind": "enrol", "images": one},
        {"kind": "enrol", "images": one * 3, "people": ["a", "b"]},
        {"kind": "enrol", "images": one, "people": []},
        {"kind": "verify", "images": one},
    ):
        failed(api.post("/v1/jobs", json=body), 422, "request-invalid")
    answer = api.post("/v1/jobs", json={"kind": "verify"}, headers=key_for("enrol"))
    failed(answer, 403, "forbidden")
    failed(api.get("/v1/jobs/nonsense"), 404, "not-found")
    failed(api.post("/v1/jobs/nonsense/cancel"), 404, "not-found")


def test_cancelling(
    api: TestClient, parts: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = parts(*["rocket.jpg"] * 200)
    started = api.post("/v1/jobs", files=files, data={"kind": "enrol", "people": ["x"]})
    waits = api.post("/v1/jobs", json={"kind": "verify"})
    for answer in (waits, started):
        assert api.post(f"{answer.headers['location']}/cancel").status_code == 200
    job = ended(api, started)
    assert job["state"] == "cancelled"
    assert job["result"] is None or len(job["result"]["items"]) < 200
    assert ended(api, waits)["state"] == "cancelled"
    again = api.post(f"{started.headers['location']}/cancel").json()
    assert again["state"] == "cancelled"


def test_a_list_of_jobs_newest_first(api: TestClient, key_for: Callable[..., Any]) -> None:
    headers = key_for(tenant="jobs")
    ids = [
        api.post("/v1/jobs", json={"kind": "verify"}, headers=headers).json()["id"]
        for _ in range(3)
    ]
    page = api.get("/v1/jobs", params={"limit": 2}, headers=headers).json()
    rest = {"limit": 2, "cursor": page["next"]}
    page["items"] += api.get("/v1/jobs", params=rest, headers=headers).json()["items"]
    assert {job["id"] for job in page["items"]} == set(ids)
    created = [job["created_at"] for job in page["items"]]
    assert created == sorted(created, reverse=True)


def test_a_job_is_started_once_per_key(api: TestClient) -> None:
    key = {"idempotency-key": "job-once"}
    first = api.post("/v1/jobs", json={"kind": "verify"}, headers=key)
    second = api.post("/v1/jobs", json={"kind": "verify"}, headers=key)
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["idempotency-replayed"] == "true"
