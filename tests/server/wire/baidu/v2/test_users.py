from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageFilter

MISSING = (216612, "user not exist")


def add(tenant: Any, picture: str, uid: str = "u", group: str = "g", **more: object) -> Any:
    fields = {"uid": uid, "group_id": group, "user_info": "info", "image": picture, **more}
    return tenant.v2("faceset/user/add", **fields)


def code(told: Mapping[str, Any]) -> tuple[int, str] | None:
    return (told["error_code"], told["error_msg"]) if "error_code" in told else None


def faces(tenant: Any, uid: str, group: str) -> int:
    return len(tenant.gallery.samples(person=uid, group=group))


# -- add ------------------------------------------------------------------------------------------


def test_add_makes_groups_and_user(tenant: Any, pictures: Mapping[str, str]):
    told = add(tenant, pictures["obama"], "obama", "a,b", user_info="美国总统 <b>'; DROP")
    assert set(told) == {"log_id"}
    assert tenant.v2("faceset/group/getlist")["result"] == ["a", "b"]
    told = tenant.v2("faceset/user/get", uid="obama")
    assert told["result_num"] == 2
    assert [(row["uid"], row["group_id"], row["user_info"]) for row in told["result"]] == [
        ("obama", "a", "美国总统 <b>'; DROP"),
        ("obama", "b", "美国总统 <b>'; DROP"),
    ]
    assert told["result"][0]["groups"] == ["a", "b"]
    scopes = [sample.group for sample in tenant.gallery.samples(person="obama")]
    assert scopes == ["a", "b"]


def test_append_adds_and_the_same_picture_exists(tenant: Any, pictures: Mapping[str, str]):
    assert code(add(tenant, pictures["obama"])) is None
    assert code(add(tenant, pictures["obama"])) == (216616, "image existed")
    assert code(add(tenant, pictures["obama"], group="g,h")) == (216616, "image existed")
    assert tenant.v2("faceset/group/getlist")["result"] == ["g"]  # all groups or none
    assert code(add(tenant, pictures["obama2"], action_type="append", user_info="")) is None
    assert faces(tenant, "u", "g") == 2
    assert tenant.v2("faceset/user/get", uid="u")["result"][0]["user_info"] == "info"
    assert code(add(tenant, pictures["obama"], uid="other")) is None  # another user may have it


def test_replace_drops_the_faces_of_these_groups(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"], group="g,h")
    add(tenant, pictures["obama2"], group="g,h")
    told = add(tenant, pictures["obama3"], group="g", action_type="replace", user_info="new")
    assert set(told) == {"log_id"}
    assert (faces(tenant, "u", "g"), faces(tenant, "u", "h")) == (1, 2)
    again = add(tenant, pictures["obama3"], group="g", action_type="replace")
    assert set(again) == {"log_id"}
    assert faces(tenant, "u", "g") == 1


def test_the_largest_face_is_enrolled(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["pair"])
    told = tenant.v2("verify", uid="u", group_id="g", image=pictures["obama"])
    assert told["result"][0] > 80


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"uid": ""}, 216101),
        ({"uid": "a/b"}, 216111),
        ({"uid": "x" * 129}, 216103),
        ({"group_id": ""}, 216101),
        ({"group_id": "a b"}, 216100),
        ({"group_id": "g" * 49}, 216103),
        ({"user_info": "x" * 257}, 216103),
        ({"user_info": "a\x00b"}, 216100),
        ({"image": ""}, 216200),
        ({"image": "AAAA"}, 216201),
        ({"action_type": "add"}, 216100),
    ],
)
def test_add_refuses(tenant: Any, pictures: Mapping[str, str], change: dict[str, str], number: int):
    fields = {"uid": "u", "group_id": "g", "image": pictures["obama"], **change}
    told = tenant.v2("faceset/user/add", **fields)
    assert told["error_code"] == number
    assert tenant.v2("faceset/group/getlist")["result"] == []


def test_nobody_is_enrolled_without_a_face(tenant: Any, pictures: Mapping[str, str]):
    assert code(add(tenant, pictures["nobody"])) == (216402, "face not found")


def test_add_takes_larger_pictures(tenant: Any):
    large = "A" * (4 * 1024 * 1024 + 4)
    fields = {"uid": "u", "group_id": "g", "image": large}
    assert tenant.v2("faceset/user/add", **fields)["error_code"] == 216201  # read, and no picture
    fields["image"] = "A" * (10 * 1024 * 1024 + 4)
    assert tenant.v2("faceset/user/add", **fields)["error_code"] == 216202


# -- update ---------------------------------------------------------------------------------------


def test_update_replaces_faces_and_info(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"])
    add(tenant, pictures["obama2"])
    told = tenant.v2(
        "faceset/user/update", uid="u", group_id="g", user_info="neu", image=pictures["obama3"]
    )
    assert set(told) == {"log_id"}
    assert faces(tenant, "u", "g") == 1
    assert tenant.v2("faceset/user/get", uid="u")["result"][0]["user_info"] == "neu"
    told = tenant.v2("verify", uid="u", group_id="g", image=pictures["obama3"])
    assert told["result"] == [100.0]


def test_update_of_nobody(tenant: Any, pictures: Mapping[str, str]):
    fields = {"uid": "u", "group_id": "g", "user_info": "i", "image": pictures["obama"]}
    assert code(tenant.v2("faceset/user/update", **fields)) == MISSING
    assert tenant.v2("faceset/group/getlist")["result"] == []
    assert code(tenant.v2("faceset/user/update", action_type="replace", **fields)) is None
    assert tenant.v2("faceset/user/get", uid="u")["result_num"] == 1
    fields["group_id"] = "other"
    assert code(tenant.v2("faceset/user/update", **fields)) == MISSING


# -- delete ---------------------------------------------------------------------------------------


def test_delete_of_some_groups_and_of_all(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"], group="a,b,c")
    assert set(tenant.v2("faceset/user/delete", uid="u", group_id="a,none")) == {"log_id"}
    assert [row["group_id"] for row in tenant.v2("faceset/user/get", uid="u")["result"]] == [
        "b",
        "c",
    ]
    assert code(tenant.v2("faceset/user/delete", uid="u", group_id="a")) == MISSING
    assert set(tenant.v2("faceset/user/delete", uid="u")) == {"log_id"}
    assert code(tenant.v2("faceset/user/get", uid="u")) == MISSING
    assert code(tenant.v2("faceset/user/delete", uid="u")) == MISSING
    assert "u" not in tenant.gallery
    assert len(tenant.gallery) == 0


def test_who_is_in_no_group_any_more_is_erased(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"])
    assert set(tenant.v2("faceset/user/delete", uid="u", group_id="g")) == {"log_id"}
    assert "u" not in tenant.gallery
    assert tenant.v2("faceset/group/getlist")["result"] == ["g"]


def test_people_of_other_interfaces_stay(tenant: Any, pictures: Any):
    recognizer, gallery = tenant.service.recognizer, tenant.gallery
    gallery.add_many([recognizer.sample("anna", pictures.bytes("obama"), largest=True)])
    assert code(tenant.v2("faceset/user/get", uid="anna")) == MISSING
    assert code(tenant.v2("faceset/user/delete", uid="anna")) == MISSING
    gallery.add_group("g")
    gallery.join("anna", "g", "staff")
    row = tenant.v2("identify", group_id="g", image=pictures["obama2"])["result"][0]
    assert (row["uid"], row["group_id"], row["user_info"]) == ("anna", "g", "staff")
    assert set(tenant.v2("faceset/user/delete", uid="anna", group_id="g")) == {"log_id"}
    assert gallery.person("anna").samples == 1  # her face counts elsewhere


# -- get, lists -----------------------------------------------------------------------------------


def test_get_of_one_group(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"], group="a,b")
    told = tenant.v2("faceset/user/get", uid="u", group_id="b,none")
    assert [row["group_id"] for row in told["result"]] == ["b"]
    assert code(tenant.v2("faceset/user/get", uid="u", group_id="none")) == MISSING
    assert tenant.v2("faceset/user/get", uid="a b")["error_code"] == 216111
    assert tenant.v2("faceset/user/get")["error_code"] == 216101


def test_pages(tenant: Any):
    gallery = tenant.gallery
    for i in range(5):
        gallery.add_group(f"g{i}")
        gallery.put_person(f"u{i}")
        gallery.join(f"u{i}", "g0", f"info {i}")
    groups = [f"g{i}" for i in range(5)]
    assert tenant.v2("faceset/group/getlist")["result"] == groups
    assert tenant.v2("faceset/group/getlist", start=1, num=2)["result"] == groups[1:3]
    assert tenant.v2("faceset/group/getlist", start="3", end="9")["result"] == groups[3:]
    told = tenant.v2("faceset/group/getlist", start=99)
    assert (told["result_num"], told["result"]) == (0, [])
    assert tenant.v2("faceset/group/getlist", num=0)["result"] == []
    assert tenant.v2("faceset/group/getlist", start=-1)["error_code"] == 216100
    users = tenant.v2("faceset/group/getusers", group_id="g0", start=1, num=2)
    assert users["result"] == [
        {"uid": "u1", "user_info": "info 1"},
        {"uid": "u2", "user_info": "info 2"},
    ]
    assert users["result_num"] == 2
    assert tenant.v2("faceset/group/getusers", group_id="g1")["result"] == []
    told = tenant.v2("faceset/group/getusers", group_id="none")
    assert code(told) == (216618, "no user in group")
    assert tenant.v2("faceset/group/getusers", group_id="none", num=0)["error_code"] == 216618


# -- from group to group --------------------------------------------------------------------------


def test_adduser_copies(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"], group="a", user_info="总统")
    add(tenant, pictures["obama2"], group="a", user_info="总统")
    told = tenant.v2("faceset/group/adduser", src_group_id="a", group_id="b,c", uid="u")
    assert set(told) == {"log_id"}
    rows = tenant.v2("faceset/user/get", uid="u")["result"]
    assert [(row["group_id"], row["user_info"]) for row in rows] == [
        ("a", "总统"), ("b", "总统"), ("c", "总统"),
    ]  # fmt: skip
    assert faces(tenant, "u", "c") == 2
    for group in ("b", "a", "d,b"):
        told = tenant.v2("faceset/group/adduser", src_group_id="a", group_id=group, uid="u")
        assert code(told) == (216100, "already add")
    assert tenant.v2("faceset/group/getlist")["result"] == ["a", "b", "c"]
    for source, user in (("a", "nobody"), ("none", "u")):
        told = tenant.v2("faceset/group/adduser", src_group_id=source, group_id="e", uid=user)
        assert code(told) == MISSING
    assert tenant.v2("faceset/group/adduser", group_id="b", uid="u")["error_code"] == 216101


def test_deleteuser_keeps_the_last_group(tenant: Any, pictures: Mapping[str, str]):
    add(tenant, pictures["obama"], group="a,b")
    assert set(tenant.v2("faceset/group/deleteuser", group_id="a", uid="u")) == {"log_id"}
    told = tenant.v2("faceset/group/deleteuser", group_id="b", uid="u")
    assert code(told) == (216619, "user must be in one group at least")
    assert code(tenant.v2("faceset/group/deleteuser", group_id="a", uid="u")) == MISSING
    assert code(tenant.v2("faceset/group/deleteuser", group_id="b", uid="none")) == MISSING
    assert faces(tenant, "u", "b") == 1


# -- the server's own gate ------------------------------------------------------------------------


def test_the_servers_gate_and_crops(
    client_for: Callable[..., AbstractContextManager[TestClient]],
    gallery_path: Path,
    pictures: Any,
    encode: Callable[..., str],
):
    with Image.open(io.BytesIO(pictures.bytes("obama"))) as image:
        poor_picture = encode(image.filter(ImageFilter.GaussianBlur(6)))
    path = "/rest/2.0/face/"
    fields = {"uid": "u", "group_id": "g", "image": pictures["obama"]}
    with client_for(gallery_path, gate="high", keep_crops=True) as client:
        told = client.post(
            f"{path}v2/faceset/user/add", data={**fields, "image": pictures["obama2"]}
        )
        assert told.json()["error_code"] == 216615
        body = {
            "user_id": "u", "group_id": "g", "image": pictures["obama2"], "image_type": "BASE64",
        }  # fmt: skip
        told = client.post(f"{path}v3/faceset/user/add", json=body)
        assert 223113 <= told.json()["error_code"] <= 223129
    with client_for(gallery_path, gate="low", keep_crops=True) as client:
        told = client.post(f"{path}v2/faceset/user/add", data=fields)
        assert set(told.json()) == {"log_id"}
        poor = {"group_id": "g", "image": poor_picture, "uid": "u"}
        for method in ("identify", "verify", "multi-identify"):
            assert client.post(f"{path}v2/{method}", data=poor).json()["error_code"] == 216615
        asked = {"image": poor_picture, "image_type": "BASE64", "group_id_list": "g"}
        told = client.post(f"{path}v3/search", json=asked).json()
        assert 223113 <= told["error_code"] <= 223129
        assert client.post(f"{path}v3/multi-search", json=asked).json()["error_code"] == 222202
        seen = client.post(f"{path}v3/detect", json=asked).json()["result"]["face_list"]
        by_token = {"user_id": "v", "group_id": "g", "image_type": "FACE_TOKEN"}
        body = {**by_token, "image": seen[0]["face_token"]}
        told = client.post(f"{path}v3/faceset/user/add", json=body).json()
        assert 223113 <= told["error_code"] <= 223129
        good = {**poor, "image": pictures["obama3"]}
        assert client.post(f"{path}v2/identify", data=good).json()["result_num"] == 1
        (sample,) = client.app.state.service.main_gallery().samples()  # type: ignore[attr-defined]
        assert sample.has_crop
        assert sample.quality is not None
