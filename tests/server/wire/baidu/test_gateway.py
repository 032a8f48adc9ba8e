from __future__ import annotations

import base64
import datetime
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from vultus.server.wire.baidu.gateway import METHODS, owns
from vultus.server.wire.baidu.signature import Signed, sign

FACE = "/rest/2.0/face/"
LISTING = f"{FACE}v2/faceset/group/getlist"
LISTING_V3 = f"{FACE}v3/faceset/group/getlist"
SHORT = {"error_code", "error_msg"}
ENVELOPE = {"error_code", "error_msg", "log_id", "timestamp", "cached", "result"}


def signed_headers(
    key: Any, path: str, query: str = "", *, at_s: float | None = None, method: str = "POST"
) -> dict[str, str]:
    """Headers as a V2 client signs them; the host as the test client sends it."""
    moment = datetime.datetime.fromtimestamp(at_s or time.time(), datetime.UTC)
    at = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {"host": "127.0.0.1", "x-bce-date": at}
    signed = Signed(key.ak, at, 1800, tuple(headers), "")
    signature = sign(key.sk, signed, method, path, query, headers)
    names = ";".join(headers)
    return {**headers, "authorization": f"bce-auth-v1/{key.ak}/{at}/1800/{names}/{signature}"}


# -- envelopes --------------------------------------------------------------------------------


def test_success_of_v2_has_a_log_id_and_no_error_keys(tenant: Any):
    told = tenant.v2("faceset/group/getlist")
    assert set(told) == {"log_id", "result_num", "result"}
    assert 0 <= told["log_id"] < 2**64
    assert told["log_id"] != tenant.v2("faceset/group/getlist")["log_id"]


def test_success_of_v3_is_wrapped(tenant: Any):
    told = tenant.v3("faceset/group/getlist")
    assert set(told) == ENVELOPE
    assert (told["error_code"], told["error_msg"], told["cached"]) == (0, "SUCCESS", 0)
    assert abs(told["timestamp"] - time.time()) < 5
    assert told["result"] == {"group_id_list": []}
    told = tenant.v3("faceset/group/add", group_id="g")
    assert set(told) == ENVELOPE
    assert told["result"] is None


def test_errors_of_methods(tenant: Any):
    told = tenant.v2("faceset/user/get", uid="nobody")
    assert set(told) == {"error_code", "error_msg", "log_id"}
    assert (told["error_code"], told["error_msg"]) == (216612, "user not exist")
    told = tenant.v3("faceset/group/delete", group_id="none")
    assert set(told) == ENVELOPE
    assert (told["error_code"], told["result"]) == (223100, None)


# -- who asks -----------------------------------------------------------------------------------


def test_without_credentials(tenant: Any):
    for path in ("v2/detect", "v3/detect", "v3/unknown", "v4/faceverify"):
        assert tenant.post(path, params={}) == {"error_code": 100, "error_msg": "Invalid parameter"}
    assert tenant.post("v3/detect", params={"access_token": ""})["error_code"] == 100


@pytest.mark.parametrize("text", ["x", "24.x", "24." + "0" * 32 + ".2592000.9999999999.12345678"])
def test_a_forged_token(tenant: Any, text: str):
    tenant.token = text
    told = tenant.v3("faceset/group/getlist")
    assert told == {"error_code": 110, "error_msg": "Access token invalid or no longer valid"}
    assert tenant.v2("faceset/group/getlist") == told


def test_a_token_with_another_end_or_application_is_forged(tenant: Any, make_tenant: Any):
    real = tenant.token.split(".")
    tenant.token = ".".join([*real[:3], str(int(real[3]) + 1), real[4]])
    assert tenant.v3("detect")["error_code"] == 110
    tenant.token = ".".join([*real[:4], make_tenant().key.app_id])
    assert tenant.v3("detect")["error_code"] == 110


def test_an_expired_token(tenant: Any):
    month = 2_592_000
    late = tenant.service.tokens.issue(tenant.application, now_s=time.time() - month - 1)
    tenant.token = late
    assert tenant.v3("detect") == {"error_code": 111, "error_msg": "Access token expired"}
    tenant.token = tenant.service.tokens.issue(tenant.application, now_s=time.time() - month + 60)
    assert tenant.v3("faceset/group/getlist")["error_code"] == 0


def test_a_token_may_come_in_the_body(tenant: Any):
    form = {"access_token": tenant.token}
    assert tenant.client.post(LISTING, data=form).json()["result"] == []
    assert tenant.client.post(LISTING_V3, json=form).json()["error_code"] == 0
    assert tenant.client.post(LISTING, data={"access_token": "x"}).json()["error_code"] == 110


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("v2/faceset/user/add", "enrol"),
        ("v2/faceset/user/update", "enrol"),
        ("v2/faceset/group/adduser", "enrol"),
        ("v2/faceset/user/delete", "delete"),
        ("v2/faceset/group/deleteuser", "delete"),
        ("v3/faceset/user/add", "enrol"),
        ("v3/faceset/user/update", "enrol"),
        ("v3/faceset/user/copy", "enrol"),
        ("v3/faceset/group/add", "enrol"),
        ("v3/faceset/user/delete", "delete"),
        ("v3/faceset/face/delete", "delete"),
        ("v3/faceset/group/delete", "delete"),
    ],
)
def test_a_key_without_the_scope(make_tenant: Callable[..., Any], path: str, scope: str):
    others = ",".join({"read", "enrol", "delete"} - {scope})
    made = make_tenant(others)
    assert made.post(path) == {"error_code": 6, "error_msg": "No permission to access data"}
    allowed = make_tenant(scope)
    assert allowed.post(path)["error_code"] not in {6, 100, 110}


def test_reading_takes_the_scope_read(make_tenant: Callable[..., Any]):
    made = make_tenant("enrol,delete")
    assert made.v2("faceset/group/getlist")["error_code"] == 6
    assert made.v3("search")["error_code"] == 6


def test_quotas(make_tenant: Callable[..., Any]):
    slow = make_tenant(rate_per_s=0.5)
    assert slow.v2("faceset/group/getlist")["result"] == []
    told = slow.v2("faceset/group/getlist")
    assert told == {"error_code": 18, "error_msg": "Open api qps request limit reached"}
    daily = make_tenant(daily=2)
    assert [daily.v3("faceset/group/getlist")["error_code"] for _ in range(3)] == [0, 0, 17]
    assert daily.v3("detect")["error_msg"] == "Open api daily request limit reached"


def test_another_tenants_data_look_absent(shared: Any, tenant: Any, pictures: Mapping[str, str]):
    token = shared.v3("detect", image=pictures["obama3"], image_type="BASE64")
    theirs = token["result"]["face_list"][0]["face_token"]
    own = tenant.v3("detect", image=pictures["obama3"], image_type="BASE64")
    assert own["result"]["face_list"][0]["face_token"] != theirs
    for group in ("g1", "nothing"):
        query = {"image": pictures["obama"], "image_type": "BASE64", "group_id_list": group}
        assert tenant.v3("search", **query)["error_code"] == 223100
        assert (
            tenant.v2("identify", image=pictures["obama"], group_id=group)["error_code"] == 216618
        )
        assert tenant.v3("faceset/group/getusers", group_id=group)["error_code"] == 223100
    for user in ("obama", "nothing"):
        assert tenant.v3("faceset/user/get", user_id=user, group_id="@ALL")["error_code"] == 223103
        assert tenant.v2("faceset/user/get", uid=user)["error_code"] == 216612
        assert tenant.v2("faceset/user/delete", uid=user)["error_code"] == 216612
    for text in (theirs, "0" * 32):
        told = tenant.v3("search", image=text, image_type="FACE_TOKEN", group_id_list="g1")
        assert told["error_code"] == 223100
        told = tenant.v3("detect", image=text, image_type="FACE_TOKEN")
        assert told["error_code"] == 222209
    assert shared.v2("faceset/user/get", uid="obama")["result_num"] == 2


# -- signatures -----------------------------------------------------------------------------------


def test_a_signed_request(tenant: Any):
    query = "aipSdk=python&aipVersion=2_2_2"
    headers = signed_headers(tenant.key, LISTING, query)
    answer = tenant.client.post(f"{LISTING}?{query}", headers=headers)
    assert answer.json()["result"] == []
    again = tenant.client.post(f"{LISTING}?{query}", headers=headers)
    assert again.json()["result"] == []  # within the same second


REFUSED = {"error_code": 14, "error_msg": "IAM Certification failed"}


def test_a_signature_of_another_request(tenant: Any):
    headers = signed_headers(tenant.key, LISTING)
    elsewhere = f"{FACE}v2/faceset/user/delete"
    assert tenant.client.post(elsewhere, headers=headers).json() == REFUSED
    assert tenant.client.post(f"{LISTING}?start=1", headers=headers).json() == REFUSED
    assert tenant.client.get(LISTING, headers=headers).json() == REFUSED
    other = {**headers, "host": "localhost"}
    assert tenant.client.post(LISTING, headers=other).json() == REFUSED


def test_wrong_signatures(tenant: Any, make_tenant: Callable[..., Any]):
    wrong = signed_headers(tenant.key, LISTING)
    wrong["authorization"] = wrong["authorization"][:-4] + "0000"
    assert tenant.client.post(LISTING, headers=wrong).json() == REFUSED
    unknown = signed_headers(tenant.key, LISTING)
    unknown["authorization"] = unknown["authorization"].replace(tenant.key.ak, "f" * 32)
    assert tenant.client.post(LISTING, headers=unknown).json() == REFUSED
    broken = {"authorization": "bce-auth-v1/nothing"}
    assert tenant.client.post(LISTING, headers=broken).json() == REFUSED
    old = signed_headers(tenant.key, LISTING, at_s=time.time() - 1810)
    assert tenant.client.post(LISTING, headers=old).json() == REFUSED
    revoked = make_tenant()
    headers = signed_headers(revoked.key, LISTING)
    revoked.service.keys.revoke(revoked.key.app_id)
    assert revoked.client.post(LISTING, headers=headers).json() == REFUSED


def test_a_replayed_signature(tenant: Any, monkeypatch: pytest.MonkeyPatch):
    headers = signed_headers(tenant.key, LISTING)
    assert tenant.client.post(LISTING, headers=headers).json()["result"] == []
    now = time.time()
    monkeypatch.setattr("vultus.server.wire.baidu.gateway.time.time", lambda: now + 11)
    assert tenant.client.post(LISTING, headers=headers).json() == REFUSED
    fresh = signed_headers(tenant.key, LISTING, at_s=now + 11)
    assert tenant.client.post(LISTING, headers=fresh).json()["result"] == []


# -- bodies -----------------------------------------------------------------------------------


def forms(picture: str) -> dict[str, dict[str, Any]]:
    plain = f"image={picture}&max_face_num=1&image_type=BASE64"
    urlencoded = plain.replace("/", "%2F").replace("+", "%2B")
    as_json = {"content-type": "application/json"}
    broken = "\r\n".join(picture[i : i + 76] for i in range(0, len(picture), 76))
    fields = {"image": picture, "image_type": "BASE64", "max_face_num": "1"}
    return {
        "form": {"content": urlencoded},
        "form-as-json": {"content": urlencoded, "headers": as_json},
        "lost-plus": {"content": plain},
        "json": {"content": json.dumps(fields), "headers": as_json},
        "json-as-form": {
            "content": json.dumps(fields),
            "headers": {"content-type": "application/x-www-form-urlencoded"},
        },
        "lines": {"data": {**fields, "image": broken}},
        "data-uri": {"json": {**fields, "image": f"data:image/jpeg;base64,{picture}"}},
        "no-padding": {"json": {**fields, "image": picture.rstrip("=")}},
        "number": {"json": {**fields, "max_face_num": 1}},
    }


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("form", list(forms("")))
def test_bodies_in_every_form(tenant: Any, pictures: Mapping[str, str], version: str, form: str):
    assert "+" in pictures["obama"]
    told = tenant.post(f"{version}/detect", **forms(pictures["obama"])[form])
    found = told["result_num"] if version == "v2" else told["result"]["face_num"]
    assert found == 1


def test_an_empty_body_without_a_content_type(tenant: Any):
    answer = tenant.client.build_request("POST", f"{LISTING}?access_token={tenant.token}")
    assert answer.headers.get("content-length") == "0"
    assert "content-type" not in answer.headers
    assert tenant.client.send(answer).json()["result"] == []


def test_bodies_that_are_none(tenant: Any):
    told = tenant.post("v3/detect", content=b"{")
    assert (told["error_code"], told["error_msg"]) == (222200, "request body should be json format")
    assert tenant.post("v2/detect", content=b"{")["error_code"] == 216100
    assert tenant.post("v3/detect", content=b"image=%ff")["error_code"] == 222200
    assert tenant.post("v3/detect", content=b"null")["error_code"] == 222001
    assert tenant.post("v3/detect", content=b"[]")["error_code"] == 222001


def test_listings_may_be_got(tenant: Any, pictures: Mapping[str, str]):
    tenant.enrol("g", "u", pictures["obama"], "总统")
    own = {"access_token": tenant.token}
    got = tenant.client.get(LISTING, params=own).json()
    assert got["result"] == ["g"]
    path = f"{FACE}v2/faceset/group/getusers"
    got = tenant.client.get(path, params={**own, "group_id": "g"}).json()
    assert got["result"] == [{"uid": "u", "user_info": "总统"}]
    path = f"{FACE}v2/faceset/user/get"
    assert tenant.client.get(path, params={**own, "uid": "u"}).json()["result_num"] == 1


# -- what there is not ----------------------------------------------------------------------------

UNSUPPORTED = {"error_code": 3, "error_msg": "Unsupported openapi method"}


def test_unknown_paths(tenant: Any):
    assert tenant.v3("unknown") == UNSUPPORTED
    assert tenant.post("v9/detect") == UNSUPPORTED
    told = tenant.v2("unknown")
    assert (told["error_code"], told["error_msg"]) == (216102, "service not support")
    assert tenant.client.post("/rest/2.0/ocr/v1/general").json() == UNSUPPORTED
    assert tenant.client.post("/rpc/2.0/feedback/v1/report").json() == UNSUPPORTED
    assert tenant.client.get("/rest/").json() == UNSUPPORTED
    assert tenant.client.get("/oauth/2.0/other").json() == UNSUPPORTED


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_http_methods(tenant: Any, method: str):
    own = {"access_token": tenant.token}
    answer = tenant.client.request(method, f"{FACE}v3/detect", params=own)
    assert (answer.status_code, answer.json()) == (200, UNSUPPORTED)


def test_methods_nobody_may_use(tenant: Any):
    for path in ("v4/mingjing/verify", "v1/merge", "capture/search", "scene/faceset/group/add"):
        told = tenant.post(path)
        assert told == {"error_code": 6, "error_msg": "No permission to access data"}


@pytest.mark.parametrize("path", ["v1/faceliveness/sessioncode", "v1/faceliveness/verify"])
def test_video_liveness_is_told_in_both_sets_of_words(tenant: Any, path: str):
    told = tenant.post(path, data={"video_base64": "AAAA"})
    assert (told["error_code"], told["error_msg"]) == (216102, "service not support")
    assert (told["err_no"], told["err_msg"]) == (216102, "service not support")
    assert told["serverlogid"] == told["log_id"]


def test_every_method_is_there():
    assert len([path for path in METHODS if path.startswith(f"{FACE}v2/")]) == 15
    assert len([path for path in METHODS if path.startswith(f"{FACE}v3/")]) == 18
    assert owns(LISTING)
    assert owns("/oauth/2.0/token")
    assert not owns("/v1/detect")
    assert not owns("/api/v1/recognition")


# -- hostile bodies -------------------------------------------------------------------------------


def test_a_body_beyond_the_limit(tenant: Any):
    body = b"image=" + b"A" * (25 * 1024 * 1024)
    told = tenant.post("v2/detect", content=body)
    assert (told["error_code"], told["error_msg"]) == (216202, "image size error")
    told = tenant.post("v3/detect", content=body)
    assert (told["error_code"], told["error_msg"]) == (222304, "image size is too large")
    declared = tenant.post("v3/detect", content=b"x", headers={"content-length": str(2**40)})
    assert declared["error_code"] == 222304


def test_a_body_of_twenty_megabytes(tenant: Any):
    picture = base64.b64encode(b"\xff\xd8\xff" + b"\0" * 15_000_000).decode()
    told = tenant.post("v2/detect", data={"image": picture})
    assert told["error_code"] == 216202
    assert tenant.v3("detect", image=picture, image_type="BASE64")["error_code"] == 222304


def test_what_breaks_within_is_an_internal_error(
    tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("a secret path: /etc/passwd")

    monkeypatch.setattr(type(tenant.service.recognizer), "detect", broken)
    told = tenant.v2("detect", image=pictures["obama"])
    assert (told["error_code"], told["error_msg"]) == (216401, "internal error")
    told = tenant.v3("detect", image=pictures["obama"], image_type="BASE64")
    assert (told["error_code"], told["error_msg"]) == (222302, "system error")
    assert "passwd" not in json.dumps(told)


def test_a_full_queue(tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch):
    engine = tenant.service.engine
    monkeypatch.setattr(engine, "queue_length", -100)
    told = tenant.v3("detect", image=pictures["obama"], image_type="BASE64")
    assert told == {"error_code": 2, "error_msg": "Service temporarily unavailable"}
    assert tenant.v3("faceset/group/getlist")["error_code"] == 0


@pytest.fixture
def no_model(tenant: Any) -> Iterator[None]:
    kept, tenant.service._recognizer = tenant.service._recognizer, None
    yield
    tenant.service._recognizer = kept


@pytest.mark.usefixtures("no_model")
def test_while_the_model_is_loaded(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("detect", image=pictures["obama"])
    assert told == {"error_code": 2, "error_msg": "Service temporarily unavailable"}


def test_changes_are_signed_in_the_audit_log(tenant: Any):
    tenant.v3("faceset/group/add", group_id="g")
    entry = tenant.gallery.audit()[-1]
    assert (entry.action, entry.actor) == ("group.add", f"app:{tenant.key.app_id}")


def test_log_ids_fit_a_signed_long(tenant: Any):
    ids = [tenant.v2("faceset/group/getlist")["log_id"] for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"\d+", str(one)) and one < 2**63 for one in ids)
