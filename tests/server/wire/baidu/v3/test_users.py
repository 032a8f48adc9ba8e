from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

NO_USER = (223103, "user is not exist")
NO_GROUP = (223100, "group is not exist")


def add(tenant: Any, image: str, user: str = "u", group: str = "g", **more: object) -> Any:
    fields = {"image": image, "image_type": "BASE64", "group_id": group, "user_id": user, **more}
    return tenant.v3("faceset/user/add", **fields)


def result(told: Any) -> Any:
    assert told["error_code"] == 0, told
    return told["result"]


def failed(told: Any) -> tuple[int, str]:
    assert told["result"] is None
    return told["error_code"], told["error_msg"]


def tokens(tenant: Any, user: str = "u", group: str = "g") -> list[str]:
    told = tenant.v3("faceset/face/getlist", user_id=user, group_id=group)
    return [row["face_token"] for row in result(told)["face_list"]]


# -- add and update -------------------------------------------------------------------------------


def test_add(tenant: Any, pictures: Mapping[str, str]):
    found = result(add(tenant, pictures["obama"], user_info="美国总统"))
    assert set(found) == {"face_token", "location"}
    assert set(found["location"]) == {"left", "top", "width", "height", "rotation"}
    assert result(tenant.v3("faceset/group/getlist")) == {"group_id_list": ["g"]}
    told = tenant.v3("faceset/user/get", user_id="u", group_id="g")
    assert result(told) == {"user_list": [{"user_info": "美国总统", "group_id": "g"}]}
    told = tenant.v3("faceset/face/getlist", user_id="u", group_id="g")
    (row,) = result(told)["face_list"]
    assert row["face_token"] == found["face_token"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row["ctime"])


def test_the_same_face_again(tenant: Any, pictures: Mapping[str, str]):
    token = result(add(tenant, pictures["obama"], user_info="first"))["face_token"]
    assert failed(add(tenant, pictures["obama"])) == (223105, "face is already exist")
    by_token = add(tenant, token, image_type="FACE_TOKEN")
    assert failed(by_token) == (223105, "face is already exist")
    assert result(add(tenant, pictures["obama"], group="h"))["face_token"] == token
    assert result(add(tenant, pictures["obama2"]))["face_token"] != token
    assert len(tokens(tenant)) == 2
    told = tenant.v3("faceset/user/get", user_id="u", group_id="g")
    assert result(told)["user_list"][0]["user_info"] == "first"


def test_the_same_face_at_once_is_enrolled_once(tenant: Any, pictures: Mapping[str, str]):
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: add(tenant, pictures["obama"]), range(6)))
    assert sorted(one["error_code"] for one in told) == [0] + [223105] * 5
    assert len(tokens(tenant)) == 1
    with ThreadPoolExecutor(6) as pool:
        made = pool.map(lambda _: tenant.v3("faceset/group/add", group_id="new"), range(6))
    assert sorted(one["error_code"] for one in made) == [0] + [223101] * 5


def test_replace(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"])
    add(tenant, pictures["obama2"])
    token = result(add(tenant, pictures["obama3"], action_type="REPLACE"))["face_token"]
    assert tokens(tenant) == [token]
    token = result(add(tenant, pictures["obama3"], action_type="replace"))["face_token"]
    assert tokens(tenant) == [token]


def test_add_by_token_of_a_detected_face(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v3("detect", image=pictures["pair"], image_type="BASE64", max_face_num=2)
    first, second = result(told)["face_list"]
    poor = add(tenant, second["face_token"], image_type="FACE_TOKEN", quality_control="LOW")
    assert failed(poor) == (223118, "quality control error")
    found = result(add(tenant, second["face_token"], image_type="FACE_TOKEN"))
    assert found == {"face_token": second["face_token"], "location": second["location"]}
    told = tenant.v3(
        "search",
        image=pictures["biden"],
        image_type="BASE64",
        group_id_list="g",
        match_threshold=80,
    )
    assert result(told)["user_list"][0]["user_id"] == "u"
    other = add(tenant, first["face_token"], user="v", image_type="FACE_TOKEN", face_sort_type=1)
    assert result(other)["face_token"] == first["face_token"]


def test_a_stored_token_outlives_the_hour(
    tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
):
    import time

    told = tenant.v3("detect", image=pictures["obama"], image_type="BASE64")
    token = result(told)["face_list"][0]["face_token"]
    assert result(add(tenant, token, image_type="FACE_TOKEN"))["location"]
    now = time.time()
    monkeypatch.setattr("vultus.server.store.faces.time.time", lambda: now + 7200)
    again = result(add(tenant, token, user="v", image_type="FACE_TOKEN"))
    assert again["face_token"] == token
    assert again["location"]["width"] > 0


def test_a_token_of_a_face_that_another_interface_erased(
    tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
):
    import time

    first = result(add(tenant, pictures["obama"]))["face_token"]
    second = result(add(tenant, pictures["biden"], user="v"))["face_token"]
    tenant.gallery.remove("u")
    (sample,) = tenant.gallery.samples()
    faces = tenant.tools.faces
    faces.enrolled(tenant.name, first, [sample.number], {})  # as if a gallery had been exchanged
    told = tenant.v3("search", image=first, image_type="FACE_TOKEN", group_id_list="g")
    assert failed(told) == (222209, "face token not exist")
    assert faces.find(tenant.name, first) is None  # what led nowhere is gone
    faces.enrolled(tenant.name, second, [sample.number], {})
    later = time.time() + 7200
    monkeypatch.setattr("vultus.server.store.faces.time.time", lambda: later)
    told = tenant.v3("search", image=second, image_type="FACE_TOKEN", group_id_list="g")
    assert result(told)["user_list"][0]["user_id"] == "v"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"user_id": None}, (222001, "param[user_id] is null")),
        ({"user_id": "a-b"}, (222018, "param[user_id] format error")),
        ({"group_id": ""}, (222001, "param[group_id] is null")),
        ({"group_id": "a,b"}, (222006, "group_id format error")),
        ({"user_info": "x" * 257}, (222010, "user_info format error")),
        ({"action_type": "ADD"}, (216100, "invalid param")),
        ({"quality_control": "X"}, (222019, "param[quality_control] format error")),
        ({"liveness_control": "LOW"}, (216102, "service not support")),
        ({"image": "0" * 32, "image_type": "FACE_TOKEN"}, (222209, "face token not exist")),
        ({"image": "AAAA"}, (222203, "image check fail")),
    ],
)
def test_add_refuses(
    tenant: Any, pictures: Mapping[str, str], change: dict[str, Any], told: tuple[int, str]
):
    assert failed(add(tenant, **{"image": pictures["obama"], **change})) == told
    assert result(tenant.v3("faceset/group/getlist")) == {"group_id_list": []}


def test_quality_control_of_an_enrolment(tenant: Any, pictures: Mapping[str, str]):
    number, message = failed(add(tenant, pictures["obama2"], quality_control="HIGH"))
    assert 223113 <= number <= 223129
    assert message
    assert result(add(tenant, pictures["obama2"], quality_control="LOW"))
    (sample,) = tenant.gallery.samples()
    assert sample.quality["face_px"] > 24


def test_update(tenant: Any, pictures: Mapping[str, str]):
    def update(image: str, **more: object) -> Any:
        fields = {"image": image, "image_type": "BASE64", "group_id": "g", "user_id": "u", **more}
        return tenant.v3("faceset/user/update", **fields)

    assert failed(update(pictures["obama"])) == NO_GROUP
    assert result(update(pictures["obama"], action_type="REPLACE", user_info="a"))["face_token"]
    assert failed(update(pictures["obama"], user_id="v")) == NO_USER
    add(tenant, pictures["obama2"])
    found = result(update(pictures["obama3"], user_info="b", quality_control="LOW"))
    assert tokens(tenant) == [found["face_token"]]
    told = tenant.v3("faceset/user/get", user_id="u", group_id="g")
    assert result(told)["user_list"] == [{"user_info": "b", "group_id": "g"}]
    assert failed(update(pictures["obama"], action_type="APPEND")) == (216100, "invalid param")


# -- erase ----------------------------------------------------------------------------------------


def test_face_delete(tenant: Any, pictures: Mapping[str, str]):
    first = result(add(tenant, pictures["obama"]))["face_token"]
    second = result(add(tenant, pictures["obama2"]))["face_token"]

    def erase(token: str, user: str = "u", group: str = "g") -> Any:
        return tenant.v3("faceset/face/delete", user_id=user, group_id=group, face_token=token)

    assert failed(erase("0" * 32)) == (223106, "face is not exist")
    assert failed(erase("x" * 65)) == (222025, "param[face_token] format error")
    assert failed(erase(first, user="v")) == NO_USER
    assert failed(erase(first, group="none")) == NO_GROUP
    assert result(erase(first)) is None
    assert tokens(tenant) == [second]
    assert failed(erase(first)) == (223106, "face is not exist")
    told = tenant.v3("detect", image=first, image_type="FACE_TOKEN")
    assert told["error_code"] == 222209  # nothing of it is left
    assert result(erase(second)) is None
    assert failed(tenant.v3("faceset/user/get", user_id="u", group_id="g")) == NO_USER
    assert "u" not in tenant.gallery


def test_user_delete(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"])
    add(tenant, pictures["obama"], group="h")

    def erase(user: str, group: str) -> Any:
        return tenant.v3("faceset/user/delete", group_id=group, user_id=user)

    assert failed(erase("v", "g")) == NO_USER
    assert failed(erase("u", "none")) == NO_GROUP
    assert result(erase("u", "g")) is None
    assert failed(erase("u", "g")) == NO_USER
    told = tenant.v3("faceset/user/get", user_id="u", group_id="@ALL")
    assert result(told)["user_list"] == [{"user_info": "", "group_id": "h"}]
    assert result(erase("u", "h")) is None
    assert "u" not in tenant.gallery
    assert result(tenant.v3("faceset/group/getlist"))["group_id_list"] == ["g", "h"]


# -- read -----------------------------------------------------------------------------------------


def test_get_of_nobody(tenant: Any):
    tenant.v3("faceset/group/add", group_id="g")
    for group, told in (("g", NO_USER), ("@ALL", NO_USER), ("none", NO_GROUP)):
        assert failed(tenant.v3("faceset/user/get", user_id="u", group_id=group)) == told
    assert failed(tenant.v3("faceset/face/getlist", user_id="u", group_id="g")) == NO_USER
    assert failed(tenant.v3("faceset/face/getlist", user_id="u", group_id="none")) == NO_GROUP
    told = tenant.v3("faceset/user/get", user_id="u")
    assert failed(told) == (222001, "param[group_id] is null")


def test_faces_of_other_interfaces_have_tokens_too(tenant: Any, pictures: Any):
    gallery = tenant.gallery
    made = tenant.service.recognizer.sample("anna", pictures.bytes("obama"), largest=True)
    gallery.add_many([made])
    gallery.add_group("g")
    gallery.join("anna", "g")
    (token,) = tokens(tenant, "anna")
    assert len(token) == 32
    told = tenant.v3("search", image=token, image_type="FACE_TOKEN", group_id_list="g")
    assert result(told)["user_list"][0]["score"] == 100.0
    added = add(tenant, token, user="u", image_type="FACE_TOKEN")
    assert result(added) == {"face_token": token}  # nobody noted where it was
    told = tenant.v3("faceset/face/delete", user_id="anna", group_id="g", face_token=token)
    assert result(told) is None
    assert "anna" not in gallery


def test_lists(tenant: Any):
    gallery = tenant.gallery
    for i in range(5):
        gallery.add_group(f"g{i}")
        gallery.put_person(f"u{i}")
        gallery.join(f"u{i}", "g0")
    told = tenant.v3("faceset/group/getlist", start="1", length="2")
    assert result(told) == {"group_id_list": ["g1", "g2"]}
    told = tenant.v3("faceset/group/getusers", group_id="g0", start=3)
    assert result(told) == {"user_id_list": ["u3", "u4"]}
    told = tenant.v3("faceset/group/getusers", group_id="g1")
    assert result(told) == {"user_id_list": []}
    assert failed(tenant.v3("faceset/group/getusers", group_id="none")) == NO_GROUP
    told = tenant.v3("faceset/group/getusers", group_id="g0", start="x")
    assert failed(told) == (222002, "param[start] format error")
    told = tenant.v3("faceset/group/getlist", length=-1)
    assert failed(told) == (222003, "param[length] format error")
    assert failed(tenant.v3("faceset/group/getusers")) == (222001, "param[group_id] is null")


# -- groups ---------------------------------------------------------------------------------------


def test_groups(tenant: Any, pictures: Mapping[str, str]):
    assert result(tenant.v3("faceset/group/add", group_id=201)) is None
    told = tenant.v3("faceset/group/add", group_id="201")
    assert failed(told) == (223101, "group is already exist")
    told = tenant.v3("faceset/group/add", group_id="a/b")
    assert failed(told) == (222006, "group_id format error")
    add(tenant, pictures["obama"], user="both", group="201")
    add(tenant, pictures["obama"], user="both", group="h")
    token = result(add(tenant, pictures["obama2"], user="only", group="201"))["face_token"]
    assert result(tenant.v3("faceset/group/delete", group_id="201")) is None
    assert failed(tenant.v3("faceset/group/delete", group_id="201")) == NO_GROUP
    gallery = tenant.gallery
    assert "only" not in gallery
    assert gallery.person("both").groups == ("h",)
    assert gallery.person("both").samples == 1
    told = tenant.v3("detect", image=token, image_type="FACE_TOKEN")
    assert told["error_code"] == 222209


def test_deleting_a_group_leaves_people_of_other_interfaces(tenant: Any, pictures: Any):
    gallery = tenant.gallery
    made = tenant.service.recognizer.sample("anna", pictures.bytes("obama"), largest=True)
    gallery.add_many([made])
    add(tenant, pictures["obama"], user="both")
    add(tenant, pictures["obama"], user="both", group="h")
    add(tenant, pictures["obama2"], user="only")
    gallery.join("anna", "g")
    assert result(tenant.v3("faceset/group/delete", group_id="g")) is None
    assert [person.id for person in gallery.people()] == ["anna", "both"]
    assert gallery.person("anna").samples == 1
    assert gallery.person("both").groups == ("h",)


def test_copy(tenant: Any, pictures: Mapping[str, str]):
    token = result(add(tenant, pictures["obama"], user_info="info"))["face_token"]

    def copy(user: str = "u", source: str = "g", target: str = "h") -> Any:
        fields = {"user_id": user, "src_group_id": source, "dst_group_id": target}
        return tenant.v3("faceset/user/copy", **fields)

    assert failed(copy()) == (223111, "dst group is not exist")
    tenant.v3("faceset/group/add", group_id="h")
    assert failed(copy(user="v")) == NO_USER
    assert failed(copy(source="none")) == NO_GROUP
    assert result(copy()) is None
    assert failed(copy()) == (216100, "already add")
    assert failed(copy(target="g")) == (216100, "already add")
    told = tenant.v3("faceset/user/copy", user_id="u", dst_group_id="h")
    assert failed(told) == (222001, "param[src_group_id] is null")
    told = tenant.v3("faceset/user/get", user_id="u", group_id="h")
    assert result(told)["user_list"] == [{"user_info": "info", "group_id": "h"}]
    assert tokens(tenant, "u", "h") == [token]
    tenant.v3("faceset/user/delete", group_id="g", user_id="u")
    told = tenant.v3("search", image=token, image_type="FACE_TOKEN", group_id_list="h")
    assert result(told)["user_list"][0]["score"] == 100.0
