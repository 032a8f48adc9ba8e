from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from vultus.types import Face


class Alive:
    def score(self, faces: Sequence[Face]) -> list[float]:
        return [0.95 if face.box.x1 < 100 else 0.2 for face in faces]


@pytest.fixture
def liveness(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.service, "liveness", Alive())


def item(image: str, kind: str = "BASE64", **more: object) -> dict[str, object]:
    return {"image": image, "image_type": kind, **more}


def search(tenant: Any, image: str, groups: str = "g1", **more: object) -> Any:
    return tenant.v3("search", **{**item(image), "group_id_list": groups, **more})


def multi(tenant: Any, image: str, groups: str = "g1", **more: object) -> Any:
    return tenant.v3("multi-search", **{**item(image), "group_id_list": groups, **more})


def result(told: Any) -> Any:
    assert told["error_code"] == 0, told
    return told["result"]


def failed(told: Any) -> tuple[int, str]:
    assert told["result"] is None
    return told["error_code"], told["error_msg"]


STRANGER = (222207, "match user is not found")
NO_GROUP = (223100, "group is not exist")


# -- match ----------------------------------------------------------------------------------------


def test_match(shared: Any, pictures: Mapping[str, str]):
    found = result(shared.v3("match", [item(pictures["obama"]), item(pictures["obama3"])]))
    assert set(found) == {"score", "face_list"}
    assert 80 < found["score"] <= 100
    first, second = (row["face_token"] for row in found["face_list"])
    by_token = [item(second, "FACE_TOKEN"), item(pictures["obama"])]
    again = result(shared.v3("match", by_token))
    assert again["score"] == pytest.approx(found["score"], abs=0.001)
    assert [row["face_token"] for row in again["face_list"]] == [second, first]


def test_match_with_all_options(shared: Any, pictures: Mapping[str, str]):
    more = {
        "face_type": "INFRARED",
        "quality_control": "LOW",
        "liveness_control": "NONE",
        "spoofing_control": "NONE",
        "face_sort_type": 1,
    }
    found = result(shared.v3("match", [item(pictures["obama"], **more), item(pictures["biden"])]))
    assert found["score"] < 80


def test_match_takes_two_pictures(shared: Any, pictures: Mapping[str, str]):
    one = item(pictures["obama"])
    for body in ([one], [one] * 3, [], one):
        told = failed(shared.v3("match", body))
        assert told == (222208, "the number of image is incorrect")
    assert shared.v3("match", [one, "x"])["error_code"] == 222013
    assert shared.v3("match", [one, {}])["error_code"] == 222001
    assert failed(shared.v3("match", [one, item(pictures["nobody"])]))[0] == 222202
    assert failed(shared.v3("match", [one, item("0" * 32, "FACE_TOKEN")]))[0] == 222209


def test_a_poor_face_fails_a_match(shared: Any, pictures: Mapping[str, str]):
    poor = item(pictures["obama2"], quality_control="HIGH")
    number, _ = failed(shared.v3("match", [item(pictures["obama"]), poor]))
    assert 223113 <= number <= 223129


# -- search ---------------------------------------------------------------------------------------


def test_search(shared: Any, pictures: Mapping[str, str]):
    found = result(search(shared, pictures["obama"]))
    assert set(found) == {"face_token", "user_list"}
    assert found["user_list"] == [
        {"group_id": "g1", "user_id": "obama", "user_info": "总统", "score": 100.0}
    ]


def test_search_tells_users_by_score(shared: Any, pictures: Mapping[str, str]):
    users = result(search(shared, pictures["biden"], "none,g2,g1", max_user_num="5"))["user_list"]
    assert [user["user_id"] for user in users] == ["biden", "obama"]
    assert users[0]["score"] > 80 > users[1]["score"]
    users = result(search(shared, pictures["biden"], "g1,g2", max_user_num=5, match_threshold=80))
    assert [user["user_id"] for user in users["user_list"]] == ["biden"]


def test_a_stranger(shared: Any, pictures: Mapping[str, str]):
    assert failed(search(shared, pictures["biden"], "g2", match_threshold="80")) == STRANGER
    assert failed(search(shared, pictures["biden"], "empty")) == STRANGER
    assert result(search(shared, pictures["biden"], "g2"))["user_list"][0]["score"] < 80


def test_search_for_one_user(shared: Any, pictures: Mapping[str, str]):
    found = result(search(shared, pictures["biden"], "g1,g2", user_id="obama"))["user_list"]
    (row,) = found
    assert (row["user_id"], row["score"] < 80) == ("obama", True)
    row = result(search(shared, pictures["obama"], "g2,g1", user_id="obama"))["user_list"][0]
    assert (row["group_id"], row["user_info"], row["score"]) == ("g2", "in g2", 100.0)
    told = search(shared, pictures["obama"], "g1", user_id="obama", match_threshold=100)
    assert result(told)["user_list"][0]["score"] == 100.0
    told = search(shared, pictures["biden"], "g1", user_id="obama", match_threshold=80)
    assert failed(told) == STRANGER
    for user, groups in (("nobody", "g1"), ("biden", "g2")):
        told = search(shared, pictures["obama"], groups, user_id=user)
        assert failed(told) == (223103, "user is not exist")


def test_search_by_token(shared: Any, pictures: Mapping[str, str]):
    token = result(search(shared, pictures["obama3"]))["face_token"]
    by_picture = result(search(shared, pictures["obama3"]))["user_list"]
    by_token = search(shared, token, image_type="FACE_TOKEN", quality_control="HIGH")
    assert result(by_token) == {"face_token": token, "user_list": by_picture}
    enrolled = shared.v3("faceset/face/getlist", user_id="biden", group_id="g1")
    stored = enrolled["result"]["face_list"][0]["face_token"]
    found = result(search(shared, stored, image_type="FACE_TOKEN"))["user_list"]
    assert (found[0]["user_id"], found[0]["score"]) == ("biden", 100.0)


def test_a_poor_face_fails_a_search(shared: Any, pictures: Mapping[str, str]):
    number, _ = failed(search(shared, pictures["obama2"], quality_control="HIGH"))
    assert 223113 <= number <= 223129
    told = shared.v3("detect", **item(pictures["obama2"]))
    token = result(told)["face_list"][0]["face_token"]
    by_token = search(shared, token, image_type="FACE_TOKEN", quality_control="HIGH")
    assert failed(by_token)[0] == number


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"group_id_list": None}, (222001, "param[group_id_list] is null")),
        ({"group_id_list": "a b"}, (222005, "param[group_id_list] format error")),
        ({"group_id_list": ["g1"]}, (222005, "param[group_id_list] format error")),
        (
            {"group_id_list": ",".join(f"g{i}" for i in range(11))},
            (223104, "group_list is too large"),
        ),
        ({"group_id_list": "none"}, NO_GROUP),
        ({"group_id_list": "none,nothing"}, NO_GROUP),
        ({"user_id": "a b"}, (222018, "param[user_id] format error")),
        ({"max_user_num": "x"}, (222021, "param[max_user_num] format error")),
        ({"match_threshold": 101}, (222030, "param[match_threshold] format error")),
        ({"liveness_control": "HIGH"}, (216102, "service not support")),
        ({"image_type": "FACE_TOKEN", "image": "0" * 32}, (222209, "face token not exist")),
    ],
)
def test_parameters_that_are_none(
    shared: Any, pictures: Mapping[str, str], change: dict[str, Any], told: tuple[int, str]
):
    assert failed(search(shared, **{"image": pictures["obama"], "groups": "g1", **change})) == told


def test_search_without_a_face(shared: Any, pictures: Mapping[str, str]):
    assert failed(search(shared, pictures["nobody"])) == (222202, "pic not has face")


@pytest.mark.usefixtures("liveness")
def test_search_of_the_living(shared: Any, pictures: Mapping[str, str]):
    assert result(search(shared, pictures["obama"], liveness_control="HIGH"))["user_list"]
    Alive.score, kept = (lambda self, faces: [0.1] * len(faces)), Alive.score  # type: ignore[method-assign]
    try:
        told = search(shared, pictures["obama"], liveness_control="NORMAL")
    finally:
        Alive.score = kept  # type: ignore[method-assign]
    assert failed(told) == (223120, "liveness check fail")


# -- multi-search ---------------------------------------------------------------------------------


def test_multi_search(shared: Any, pictures: Mapping[str, str]):
    found = result(multi(shared, pictures["pair"], max_face_num=5, max_user_num=3))
    assert found["face_num"] == len(found["face_list"]) == 2
    first, second = found["face_list"]
    assert set(first) == {"face_token", "location", "user_list"}
    assert set(first["location"]) == {"left", "top", "width", "height", "rotation"}
    assert [user["user_id"] for user in first["user_list"]] == ["obama"]  # from 80 on
    assert [user["user_id"] for user in second["user_list"]] == ["biden"]
    low = result(multi(shared, pictures["pair"], max_user_num=3, match_threshold=0))
    assert [user["user_id"] for user in low["face_list"][0]["user_list"]] == ["obama", "biden"]


def test_a_face_nobody_matches_keeps_an_empty_list(shared: Any, pictures: Mapping[str, str]):
    found = result(multi(shared, pictures["pair"], "g2", max_face_num=2))
    assert [len(row["user_list"]) for row in found["face_list"]] == [1, 0]
    assert failed(multi(shared, pictures["biden"], "g2", max_face_num=2)) == STRANGER
    assert failed(multi(shared, pictures["pair"], "empty")) == STRANGER
    assert failed(multi(shared, pictures["pair"], "none")) == NO_GROUP
    assert failed(multi(shared, pictures["nobody"]))[0] == 222202


def test_poor_faces_are_filtered(shared: Any, pictures: Mapping[str, str]):
    assert failed(multi(shared, pictures["obama2"], quality_control="HIGH"))[0] == 222202
    found = result(multi(shared, pictures["pair"], max_face_num=2, quality_control="LOW"))
    assert [row["user_list"][0]["user_id"] for row in found["face_list"]] == ["obama"]


@pytest.mark.usefixtures("liveness")
def test_faces_that_are_not_alive_are_filtered(shared: Any, pictures: Mapping[str, str]):
    found = result(multi(shared, pictures["pair"], max_face_num=2, liveness_control="NORMAL"))
    assert [row["user_list"][0]["user_id"] for row in found["face_list"]] == ["obama"]


def test_multi_search_by_token(shared: Any, pictures: Mapping[str, str]):
    seen = result(multi(shared, pictures["pair"]))["face_list"][0]
    again = result(multi(shared, seen["face_token"], image_type="FACE_TOKEN"))["face_list"]
    assert again == [seen]


def test_multi_search_without_a_model_for_liveness(shared: Any, pictures: Mapping[str, str]):
    told = failed(multi(shared, pictures["pair"], liveness_control="LOW"))
    assert told == (216102, "service not support")
