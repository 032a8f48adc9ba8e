from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.samples import EXPECTED

Failed = Callable[..., dict[str, Any]]


def named(body: dict[str, Any]) -> list[str | None]:
    """Names from left to right."""
    return [face["name"] for face in sorted(body["faces"], key=lambda face: face["box"][0])]


@pytest.mark.parametrize("name", list(EXPECTED))
def test_everybody_on_a_photo(api: TestClient, parts: Callable[..., Any], name: str) -> None:
    answer = api.post("/v1/identify", files=parts(name))
    assert answer.status_code == 200
    assert named(answer.json()) == list(EXPECTED[name])


def test_what_is_told_of_somebody_known(api: TestClient, parts: Callable[..., Any]) -> None:
    (face,) = api.post("/v1/identify", files=parts("obama2.jpg")).json()["faces"]
    assert (face["person"], face["name"]) == ("Barack Obama", "Barack Obama")
    first, second = face["matches"]
    assert (first["person"], second["person"]) == ("Barack Obama", "Joe Biden")
    decision = face["decision"]
    assert decision["same"] is True
    assert decision["similarity"] == first["similarity"] == pytest.approx(0.967, abs=0.005)
    assert decision["margin"] == pytest.approx(first["similarity"] - second["similarity"])
    assert decision["face"] == first["face"]
    assert decision["words"].startswith("Barack Obama, 0.96")
    stored = api.get(f"/v1/faces/{first['face']}").json()
    assert stored["person"] == "Barack Obama"


def test_somebody_unknown_has_nearest_people_all_the_same(
    api: TestClient, parts: Callable[..., Any]
) -> None:
    (face,) = api.post("/v1/identify", files=parts("astronaut.png")).json()["faces"]
    assert (face["person"], face["name"]) == (None, None)
    assert face["decision"]["same"] is False
    assert len(face["matches"]) == 2


def test_options(api: TestClient, parts: Callable[..., Any]) -> None:
    def faces(name: str, **asked: Any) -> Any:
        answer = api.post("/v1/identify", files=parts(name), data=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()["faces"]

    (largest,) = faces("wall.jpg", faces="largest")
    assert largest["person"] == "Barack Obama"
    assert len(faces("wall.jpg", max_faces="2")) == 2
    (one,) = faces("obama2.jpg", k="1")
    assert [match["person"] for match in one["matches"]] == ["Barack Obama"]
    assert one["decision"]["margin"] > 0.1
    (near,) = faces("obama2.jpg", min_similarity="0.9")
    assert [match["person"] for match in near["matches"]] == ["Barack Obama"]
    (strict,) = faces("obama2.jpg", threshold="0.999")
    assert strict["person"] is None
    assert strict["decision"]["threshold"]["policy"] == "user"


def test_nobody_is_on_a_picture_twice(api: TestClient, photo: Callable[[str], bytes]) -> None:
    import io

    from PIL import Image

    # One face beside its own blurred copy.
    face = Image.open(io.BytesIO(photo("obama2.jpg"))).convert("RGB").resize((313, 600))
    both = Image.new("RGB", (626, 600))
    both.paste(face, (0, 0))
    both.paste(face.resize((78, 150)).resize((313, 600)), (313, 0))
    encoded = io.BytesIO()
    both.save(encoded, "PNG")
    files = [("file", ("both.png", encoded.getvalue()))]
    strict = {"threshold": "0.9"}
    twice = api.post("/v1/identify", files=files, data=strict).json()
    once = api.post("/v1/identify", files=files, data={**strict, "once": "true"}).json()
    assert len(twice["faces"]) == len(once["faces"]) == 2
    people = [face["person"] for face in twice["faces"]]
    assert people.count("Barack Obama") == 2
    doubtful = [face["decision"]["fmr"]["high"] >= 1e-4 for face in twice["faces"]]
    expected = 1 if any(doubtful) else 2
    assert [face["person"] for face in once["faces"]].count("Barack Obama") == expected


def test_groups(api: TestClient, parts: Callable[..., Any], failed: Failed) -> None:
    api.post("/v1/groups", json={"id": "identify \u5458\u5de5"})
    api.post("/v1/groups", json={"id": "identify-empty"})
    member = {"person": "Joe Biden", "group": "identify \u5458\u5de5"}
    api.put("/v1/memberships", params=member, json={})

    def asked(*groups: str) -> Any:
        return api.post("/v1/identify", files=parts("wall.jpg"), data={"groups": list(groups)})

    assert named(asked("identify \u5458\u5de5").json()) == ["Joe Biden", None, None]
    empty = asked("identify-empty").json()["faces"]
    assert [(face["decision"], face["matches"]) for face in empty] == [(None, [])] * 3
    assert failed(asked("identify-nowhere"), 404, "group-unknown")["name"] == "identify-nowhere"
    answer = api.post("/v1/identify", json={"image": "", "groups": []})
    failed(answer, 422, "request-invalid")


def test_an_unknown_group_is_told_even_without_faces(
    api: TestClient, parts: Callable[..., Any], failed: Failed
) -> None:
    answer = api.post("/v1/identify", files=parts("rocket.jpg"), data={"groups": ["nowhere"]})
    failed(answer, 404, "group-unknown")


def test_a_refused_face_has_no_name(api: TestClient, parts: Callable[..., Any]) -> None:
    body = api.post("/v1/identify", files=parts("wall.jpg"), data={"gate": "high"}).json()
    small = min(body["faces"], key=lambda face: face["box"][2] - face["box"][0])
    assert small["gate"]["accepted"] is False
    assert (small["person"], small["decision"], small["matches"]) == (None, None, [])


def test_an_empty_gallery(
    api: TestClient, parts: Callable[..., Any], key_for: Callable[..., dict[str, str]]
) -> None:
    headers = key_for(tenant="newcomer")
    (face,) = api.post("/v1/identify", files=parts("obama2.jpg"), headers=headers).json()["faces"]
    assert (face["person"], face["decision"], face["matches"]) == (None, None, [])
