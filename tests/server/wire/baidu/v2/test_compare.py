from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from PIL import Image

from vultus.types import Face


class Alive:
    def score(self, faces: Sequence[Face]) -> list[float]:
        return [0.9999 if face.box.x1 < 100 else 4.06e-5 for face in faces]


@pytest.fixture
def liveness(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.service, "liveness", Alive())


def joined(pictures: Mapping[str, str], *names: str) -> str:
    return ",".join(pictures[name] for name in names)


# -- match ----------------------------------------------------------------------------------------


def test_match_compares_each_with_each(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("match", images=joined(pictures, "obama", "obama2", "biden"))
    assert set(told) == {"log_id", "result_num", "result"}
    rows = told["result"]
    assert told["result_num"] == 3
    assert [(row["index_i"], row["index_j"]) for row in rows] == [(0, 1), (0, 2), (1, 2)]
    assert rows[0]["score"] > 80 > rows[1]["score"]
    assert rows[2]["score"] < 80
    assert all(0 <= row["score"] <= 100 for row in rows)


def test_the_same_picture_has_a_hundred_points(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("match", images=joined(pictures, "obama", "obama") + ",", types="7,13")
    assert told["result"] == [{"index_i": 0, "index_j": 1, "score": 100.0}]


def test_a_picture_that_cannot_be_read_is_left_out(shared: Any, pictures: Mapping[str, str]):
    images = ",".join([pictures["obama"], "AAAA", pictures["biden"]])
    told = shared.v2("match", images=images)
    assert [(row["index_i"], row["index_j"]) for row in told["result"]] == [(0, 2)]
    assert told["result_num"] == 1


def test_match_needs_two_pictures(shared: Any, pictures: Mapping[str, str]):
    assert shared.v2("match", images=pictures["obama"])["error_code"] == 216614
    assert shared.v2("match", images=pictures["obama"] + ",")["error_msg"] == "not enough images"
    assert shared.v2("match")["error_code"] == 216614
    assert shared.v2("match", images=pictures["obama"] + ",AAAA")["error_code"] == 216615
    assert shared.v2("match", images=",".join(["AAAA"] * 21))["error_code"] == 216103
    nobody = joined(pictures, "obama", "nobody")
    assert shared.v2("match", images=nobody)["error_code"] == 216402
    heavy = ",".join(["A" * (7 * 1024 * 1024)] * 3)
    assert shared.v2("match", images=heavy)["error_code"] == 216202


def test_qualities_of_a_match(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("match", images=joined(pictures, "obama", "biden"), ext_fields="qualities")
    found = json.loads(told["ext_info"]["qualities"])
    assert [set(one) for one in found] == [
        {"occlusion", "blur", "illumination", "completeness"}
    ] * 2


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("faceliveness,faceliveness", "0.9999,0.9999"),
        (",faceliveness", "0,0.9999"),
        ("faceliveness,", "0.9999,0"),
    ],
)
@pytest.mark.usefixtures("liveness")
def test_liveness_of_a_match(shared: Any, pictures: Mapping[str, str], asked: str, expected: str):
    told = shared.v2("match", images=joined(pictures, "obama", "biden"), image_liveness=asked)
    assert told["ext_info"]["faceliveness"] == expected
    assert told["result_num"] == 1


def test_liveness_without_a_model(shared: Any, pictures: Mapping[str, str]):
    unsupported = (216102, "service not support")
    both = joined(pictures, "obama", "biden")
    for path, fields in (
        ("match", {"images": both, "image_liveness": "faceliveness,"}),
        ("identify", {"group_id": "g1", "image": pictures["obama"]}),
        ("verify", {"group_id": "g1", "uid": "obama", "image": pictures["obama"]}),
        ("multi-identify", {"group_id": "g1", "image": pictures["obama"]}),
    ):
        told = shared.v2(path, ext_fields="faceliveness", **fields)
        assert (told["error_code"], told["error_msg"]) == unsupported


# -- identify -----------------------------------------------------------------------------------


def test_identify(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("identify", group_id="g1", image=pictures["obama3"])
    assert set(told) == {"log_id", "result_num", "result"}
    (row,) = told["result"]
    assert set(row) == {"group_id", "uid", "user_info", "scores"}
    assert (row["group_id"], row["uid"], row["user_info"]) == ("g1", "obama", "总统")
    assert len(row["scores"]) == 1
    assert row["scores"][0] > 80


def test_low_scores_are_told_too(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("identify", group_id="g2,g1,none", image=pictures["biden"], user_top_num="5")
    assert [(row["uid"], row["group_id"]) for row in told["result"]] == [
        ("biden", "g1"),
        ("obama", "g2"),
    ] or [row["uid"] for row in told["result"]] == ["biden", "obama"]
    assert told["result_num"] == 2
    assert told["result"][0]["scores"] == [100.0]
    assert told["result"][1]["scores"][0] < 80


def test_a_face_counts_in_its_group(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("identify", group_id="g2", image=pictures["biden"], user_top_num=5)
    (row,) = told["result"]
    assert (row["uid"], row["group_id"], row["user_info"]) == ("obama", "g2", "in g2")
    exact = shared.v2("identify", group_id="g2", image=pictures["obama2"])["result"][0]["scores"]
    assert exact != [100.0]  # obama2 is enrolled in g1 only


def test_the_largest_face_is_identified(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("identify", group_id="g1", image=pictures["pair"])
    assert told["result"][0]["uid"] == "obama"


def test_identify_among_nobody(shared: Any, pictures: Mapping[str, str]):
    for group in ("empty", "none", "empty,none"):
        told = shared.v2("identify", group_id=group, image=pictures["obama"])
        assert (told["error_code"], told["error_msg"]) == (216618, "no user in group")
    told = shared.v2("identify", group_id="g1", image=pictures["nobody"])
    assert told["error_code"] == 216402
    assert shared.v2("identify", image=pictures["obama"])["error_code"] == 216101
    assert shared.v2("identify", group_id="g1")["error_code"] == 216200
    assert shared.v2("identify", group_id="../g1", image="x")["error_code"] == 216100


@pytest.mark.usefixtures("liveness")
def test_liveness_of_an_identification(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2(
        "identify", group_id="g1", image=pictures["obama"], ext_fields="faceliveness,qualities"
    )
    assert float(told["ext_info"]["faceliveness"]) == 0.9999
    assert json.loads(told["ext_info"]["qualities"])["completeness"] == 1


# -- verify ---------------------------------------------------------------------------------------


def test_verify(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("verify", uid="obama", group_id="g1", image=pictures["obama"])
    assert set(told) == {"log_id", "result_num", "result"}
    assert told["result"] == [100.0]
    told = shared.v2("verify", uid="obama", group_id="g1", image=pictures["obama"], top_num=9)
    assert told["result_num"] == 2
    assert told["result"] == sorted(told["result"], reverse=True)
    told = shared.v2("verify", uid="obama", group_id="g1,g2", image=pictures["biden"], top_num=9)
    assert told["result_num"] == 3
    assert max(told["result"]) < 80


def test_verify_of_nobody(shared: Any, pictures: Mapping[str, str]):
    for uid, group in (("nobody", "g1"), ("biden", "g2"), ("obama", "none"), ("obama", "empty")):
        told = shared.v2("verify", uid=uid, group_id=group, image=pictures["obama"])
        assert (told["error_code"], told["error_msg"]) == (216611, "user not exist")
    assert shared.v2("verify", uid="a b", group_id="g1", image="x")["error_code"] == 216111
    told = shared.v2("verify", uid="obama", group_id="g1", image=pictures["nobody"])
    assert told["error_code"] == 216402


@pytest.mark.usefixtures("liveness")
def test_liveness_of_a_verification(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2(
        "verify", uid="obama", group_id="g1", image=pictures["obama"], ext_fields="faceliveness"
    )
    assert told["ext_info"] == {"faceliveness": "0.9999"}


# -- multi-identify -------------------------------------------------------------------------------


def test_multi_identify_is_flat(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2(
        "multi-identify",
        group_id="g1",
        image=pictures["pair"],
        detect_top_num=2,
        user_top_num=2,
    )
    rows = told["result"]
    assert told["result_num"] == len(rows) == 4
    assert [row["uid"] for row in rows] == ["obama", "biden", "biden", "obama"]
    assert rows[0]["position"] == rows[1]["position"] != rows[2]["position"] == rows[3]["position"]
    for first, second in (rows[:2], rows[2:]):
        assert len(first["scores"]) == len(second["scores"]) == 1
        assert first["scores"][0] > 80 > second["scores"][0]
    place = rows[0]["position"]
    assert {name: type(value) for name, value in place.items()} == {
        "left": float, "top": float, "width": int, "height": int, "degree": int, "prob": float,
    }  # fmt: skip
    assert place["width"] * place["height"] > (
        rows[2]["position"]["width"] * rows[2]["position"]["height"]
    )
    assert rows[0]["user_info"] == "总统"


def test_multi_identify_by_default_one_face_and_user(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2("multi-identify", group_id="g1", image=pictures["pair"])
    assert [row["uid"] for row in told["result"]] == ["obama"]
    told = shared.v2("multi-identify", group_id="g1", image=pictures["nobody"])
    assert told["error_code"] == 216402
    told = shared.v2("multi-identify", group_id="empty", image=pictures["pair"])
    assert told["error_code"] == 216618


@pytest.mark.usefixtures("liveness")
def test_liveness_of_several_faces_is_one_text(shared: Any, pictures: Mapping[str, str]):
    told = shared.v2(
        "multi-identify",
        group_id="g1",
        image=pictures["pair"],
        detect_top_num=2,
        ext_fields="faceliveness",
    )
    assert told["ext_info"]["faceliveness"] == "0.9999,4.1e-05"
    assert [float(part) for part in told["ext_info"]["faceliveness"].split(",")][1] > 0


def test_unreadable_pictures(shared: Any, encode: Callable[..., str]):
    gif = encode(Image.new("RGB", (50, 50)), "GIF")
    for path in ("identify", "multi-identify"):
        assert shared.v2(path, group_id="g1", image=gif)["error_code"] == 216201
