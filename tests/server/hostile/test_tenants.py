"""Another tenant's things look like things that are not there."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest


def _same(theirs: Any, nobodys: Any, replaced: tuple[str, ...]) -> bool:
    """Whether two answers differ by nothing but the ids that were asked for."""

    def plain(answer: Any) -> tuple[int, str]:
        text = answer.raw.text
        for asked in replaced:
            text = text.replace(asked, "ID")
        text = re.sub(r'"(request_id|log_id|timestamp)":"?[0-9a-f]+"?', "", text)
        return answer.status, text

    return plain(theirs) == plain(nobodys)


@pytest.fixture(scope="module")
def hers(two: Any, obama: bytes) -> Iterator[dict[str, str]]:
    """What the second tenant has, by kind."""
    image = base64.b64encode(obama).decode()
    two.native("POST", "groups", json={"id": "hers"})
    two.native("POST", "people", json={"id": "Eve"})
    added = two.native("POST", "people/Eve/faces", files={"file": ("a.jpg", obama)})
    two.v3("faceset/user/add", image=image, image_type="BASE64", group_id="hers", user_id="eve2")
    seen = two.v3("detect", image=image, image_type="BASE64").body["result"]["face_list"][0]
    yield {
        "face": added.body["faces"][0]["id"],
        "token": seen["face_token"],
        "person": "Eve",
        "user": "eve2",
        "group": "hers",
    }
    for person in ("Eve", "eve2"):
        two.native("DELETE", f"people/{person}")
    two.native("DELETE", "groups/hers")


NOBODYS = {
    "face": "0b2f3a52-9a3c-4c5e-8f67-2f0a4a4f9a11",
    "token": "0" * 32,
    "person": "Nob",
    "user": "nob2",
    "group": "none",
}

Asked = Callable[[Any, str, str], Any]
# What is asked for, of which kind: by the tenant, an id, and a picture in base64.
ASKED: dict[str, tuple[str, Asked]] = {
    "see a face": ("face", lambda one, i, _: one.native("GET", f"faces/{i}")),
    "erase a face": ("face", lambda one, i, _: one.native("DELETE", f"faces/{i}")),
    "search by a face": (
        "face",
        lambda one, i, _: one.native("POST", f"faces/{i}/search", json={}),
    ),
    "take a face": (
        "face",
        lambda one, i, _: one.native("POST", f"faces/{i}/move", json={"person": "Joe Biden"}),
    ),
    "see a person": ("person", lambda one, i, _: one.native("GET", f"people/{i}")),
    "erase a person": ("person", lambda one, i, _: one.native("DELETE", f"people/{i}")),
    "a person's faces": ("person", lambda one, i, _: one.native("GET", f"faces?person={i}")),
    "a person's log": ("person", lambda one, i, _: one.native("GET", f"audit?person={i}")),
    "rename a person": (
        "person",
        lambda one, i, _: one.native("POST", f"people/{i}/rename", json={"id": "mine"}),
    ),
    "see a group": ("group", lambda one, i, _: one.native("GET", f"groups/{i}")),
    "a group's people": ("group", lambda one, i, _: one.native("GET", f"people?group={i}")),
    "identify in a group": (
        "group",
        lambda one, i, image: one.native("POST", "identify", json={"image": image, "groups": [i]}),
    ),
    "CompreFace: verify": (
        "face",
        lambda one, i, image: one.compreface(
            "POST", f"recognition/faces/{i}/verify", json={"file": image}
        ),
    ),
    "CompreFace: erase": (
        "face",
        lambda one, i, _: one.compreface("DELETE", f"recognition/faces/{i}"),
    ),
    "CompreFace: erase several": (
        "face",
        lambda one, i, _: one.compreface("POST", "recognition/faces/delete", json=[i]),
    ),
    "CompreFace: rename": (
        "person",
        lambda one, i, _: one.compreface(
            "PUT", f"recognition/subjects/{i}", json={"subject": "mine"}
        ),
    ),
    "CompreFace: examples": (
        "person",
        lambda one, i, _: one.compreface("GET", f"recognition/faces?subject={i}"),
    ),
    "V2: get": ("user", lambda one, i, _: one.v2("faceset/user/get", uid=i)),
    "V2: delete": ("user", lambda one, i, _: one.v2("faceset/user/delete", uid=i)),
    "V2: verify": (
        "user",
        lambda one, i, image: one.v2("verify", uid=i, group_id="hers", image=image),
    ),
    "V2: identify": ("group", lambda one, i, image: one.v2("identify", group_id=i, image=image)),
    "V2: users": ("group", lambda one, i, _: one.v2("faceset/group/getusers", group_id=i)),
    "V3: get": ("user", lambda one, i, _: one.v3("faceset/user/get", user_id=i, group_id="@ALL")),
    "V3: users": ("group", lambda one, i, _: one.v3("faceset/group/getusers", group_id=i)),
    "V3: search": (
        "group",
        lambda one, i, image: one.v3("search", image=image, image_type="BASE64", group_id_list=i),
    ),
    "V3: by token": (
        "token",
        lambda one, i, _: one.v3("detect", image=i, image_type="FACE_TOKEN"),
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_another_tenants_things_are_as_absent_as_absent_ones(
    one: Any, two: Any, hers: dict[str, str], obama: bytes, what: str
) -> None:
    kind, ask = ASKED[what]
    image = base64.b64encode(obama).decode()
    theirs, nobodys = (ask(one, ids[kind], image) for ids in (hers, NOBODYS))
    assert _same(theirs, nobodys, (hers[kind], NOBODYS[kind])), (theirs.body, nobodys.body)
    assert two.native("GET", f"faces/{hers['face']}").status == 200  # it did nothing


def test_another_tenants_jobs_and_replies(one: Any, two: Any) -> None:
    job = two.native("POST", "jobs", json={"kind": "verify"}).body["id"]
    none = str(uuid.uuid4())
    for method, path in (("GET", "jobs/{}"), ("POST", "jobs/{}/cancel")):
        theirs, nobodys = (one.native(method, path.format(i)) for i in (job, none))
        assert theirs.status == 404
        assert _same(theirs, nobodys, (job, none))
    assert job not in one.native("GET", "jobs").raw.text
    once = {"idempotency-key": str(uuid.uuid4())}
    made = [
        tenant.native("POST", "people", json={"id": "same"}, headers=once)
        for tenant in (two, one, one)
    ]
    assert [answer.status for answer in made] == [201, 201, 201]
    replayed = ["idempotency-replayed" in answer.raw.headers for answer in made]
    assert replayed == [False, False, True]  # a key of another's is nobody's
    for tenant in (one, two):
        tenant.native("DELETE", "people/same")


@pytest.mark.parametrize(
    "cursor",
    ["x", "' OR 1=1", "../..", "%00", "e30=", "eyJhIjogMX0", "9" * 400, "\u00ff", "=" * 99],
)
def test_forged_cursors(one: Any, cursor: str) -> None:
    for path in ("people", "groups", "faces", "memberships", "jobs", "audit"):
        answer = one.native("GET", path, params={"cursor": cursor})
        assert answer.status in {200, 404, 422}
        assert answer.native if answer.status != 200 else answer.body["items"] is not None


def test_an_image_of_another_tenant_is_empty(one: Any, hers: dict[str, str]) -> None:
    for image_id in (hers["face"], str(uuid.uuid4())):
        for path in (
            f"/api/v1/recognition/faces/{image_id}/img",
            f"/api/v1/static/{one.keys.api_key}/images/{image_id}",
        ):
            answer = one.http.get(path, headers={"x-api-key": one.keys.api_key})
            assert (answer.status_code, answer.content) == (200, b"")
