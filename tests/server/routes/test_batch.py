from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient


def test_faces_of_several_pictures(
    api: TestClient, parts: Callable[..., Any], text: Callable[[str], str]
) -> None:
    names = ("wall.jpg", "rocket.jpg", "obama2.jpg")
    items = api.post("/v1/detect/batch", files=parts(*names), data={"max_faces": "2"}).json()[
        "items"
    ]
    assert [item["index"] for item in items] == [0, 1, 2]
    assert [len(item["faces"]) for item in items] == [2, 0, 1]
    assert [item["image"]["width"] for item in items] == [1500, 640, 626]
    single = api.post("/v1/detect", files=parts("wall.jpg"), data={"max_faces": "2"}).json()
    assert items[0]["faces"] == single["faces"]
    plain = {"images": [text(name) for name in names], "max_faces": 2}
    assert api.post("/v1/detect/batch", json=plain).json()["items"] == items


def test_a_bad_picture_does_not_fail_the_others(
    api: TestClient, text: Callable[[str], str]
) -> None:
    images = [text("obama2.jpg"), "bm8gcGljdHVyZQ==", "%", text("wall.jpg")]
    items = api.post("/v1/identify/batch", json={"images": images}).json()["items"]
    assert [item["error"] and item["error"]["code"] for item in items] == [
        None,
        "image-format",
        "image-format",
        None,
    ]
    assert (items[1]["image"], items[1]["faces"]) == (None, None)
    names = [sorted(str(face["name"]) for face in items[n]["faces"]) for n in (0, 3)]
    assert names == [["Barack Obama"], ["Barack Obama", "Joe Biden", "None"]]


def test_an_unknown_group_fails_the_whole(
    api: TestClient, parts: Callable[..., Any], failed: Callable[..., dict[str, Any]]
) -> None:
    files = parts("obama2.jpg", "wall.jpg")
    answer = api.post("/v1/identify/batch", files=files, data={"groups": ["nowhere"]})
    failed(answer, 404, "group-unknown")


def test_more_pictures_than_the_queue_holds(api: TestClient, parts: Callable[..., Any]) -> None:
    names = ["rocket.jpg"] * 32
    answer = api.post("/v1/detect/batch", files=parts(*names))
    assert answer.status_code == 200
    assert [item["faces"] for item in answer.json()["items"]] == [[]] * 32
