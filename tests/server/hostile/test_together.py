"""Many writes at once, and what the server is like after all of it."""

from __future__ import annotations

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vultus.gallery import open_gallery


def test_writes_at_once_over_all_interfaces(place: Any, one: Any, obama: bytes) -> None:
    image = base64.b64encode(obama).decode()
    one.native("POST", "groups", json={"id": "crowd"})

    def write(i: int) -> Any:
        kind, who = i % 6, f"crowd{i % 3}"
        if kind == 0:
            return one.compreface(
                "POST", "recognition/faces", params={"subject": who.upper()},
                files={"file": ("a.jpg", obama)},
            )  # fmt: skip
        if kind == 1:
            return one.v2(
                "faceset/user/add", uid=who, user_info=str(i), group_id="crowd", image=image
            )
        if kind == 2:
            fields = {"image": image, "image_type": "BASE64", "group_id": "crowd", "user_id": who}
            return one.v3("faceset/user/add", **fields, action_type="REPLACE")
        if kind == 3:
            return one.native("PUT", f"people/{who}", json={"name": f"n{i}"})
        if kind == 4:
            return one.native("POST", f"people/{who}/faces", files={"file": ("a.jpg", obama)})
        return one.native("DELETE", f"people/{who}")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(36)))
    assert {answer.status for answer in answers} <= {200, 201, 404, 409}
    for person in one.native("GET", "people", params={"limit": 1000}).body["items"]:
        if person["id"].lower().startswith("crowd"):
            one.native("DELETE", f"people/{person['id']}")
    one.native("DELETE", "groups/crowd")
    with open_gallery(place.running.gallery) as gallery:
        assert gallery.verify() == []
        assert len(gallery) == 2


def test_one_name_made_at_once_is_made_once(one: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(one.native, "POST", "people", json={"id": "once"}) for _ in range(8)]
        codes = sorted(future.result().status for future in made)
    assert codes == [201] + [409] * 7
    with ThreadPoolExecutor(8) as pool:
        path = "recognition/subjects/ONCE"
        gone = [pool.submit(one.compreface, "DELETE", path) for _ in range(8)]
        codes = sorted(future.result().status for future in gone)
    assert codes == [200] + [404] * 7


def test_the_log_tells_nothing(place: Any, one: Any, obama: bytes) -> None:
    one.native("POST", "people", json={"id": "Secret Person"})
    one.compreface("POST", "recognition/subjects", json={"subject": "Secret Subject"})
    one.http.get(f"/api/v1/static/{one.keys.api_key}/images/{uuid.uuid4()}")
    one.native("GET", "people/Secret%20Person")
    one.native("DELETE", "people/Secret%20Person")
    one.compreface("DELETE", "recognition/subjects/Secret%20Subject")
    one.v3("faceset/group/getlist")
    log = place.running.log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert len(lines) > 5
    for secret in (
        one.keys.api_key, one.keys.sk, one.token, "Secret", "DROP TABLE", "<script>",
        base64.b64encode(obama).decode()[:40],
    ):  # fmt: skip
        assert secret not in log
    assert not [line for line in lines if line["level"] in {"error", "critical"}]
    assert not [line for line in lines if "Traceback" in line["message"]]


def test_after_all_this_the_server_is_well(place: Any, one: Any) -> None:
    assert place.running.process.poll() is None
    assert place.running.request("/health/ready")[0] == 200
    people = one.native("GET", "people").body["items"]
    assert [person["id"] for person in people] == ["Barack Obama", "Joe Biden"]
