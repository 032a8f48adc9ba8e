"""Keys, paths that are not there, what needs no key, and how other failures are told."""

import uuid

import pytest

from vultus.errors import InferenceError
from vultus.server.errors import BusyError, InternalError, JobTimeoutError, NotReadyError

ANYTHING = "Something went wrong, please try again"


def failed(answer):
    body = answer.json()
    assert set(body) == {"message", "code"}
    return answer.status_code, body["code"], body["message"]


SERVICES = {
    "recognition/subjects": ("GET", "Recognition"),
    "recognition/recognize": ("POST", "Recognition"),
    "detection/detect": ("POST", "Detection"),
    "verification/verify": ("POST", "Verification"),
    "verification/embeddings/verify": ("POST", "Verification"),
}


@pytest.mark.parametrize("path", SERVICES)
def test_a_key_is_needed(api, path):
    method, kind = SERVICES[path]
    answer = api.client.request(method, f"/api/v1/{path}")
    assert failed(answer) == (400, 20, "Missing header: x-api-key")
    for key in ("", "secret", api.key + "0", "{" + api.key + "}", "'; DROP TABLE application; --"):
        answer = api(method, path, headers={"x-api-key": key})
        assert failed(answer) == (400, 26, "Service API key should be UUID")
    key = str(uuid.uuid4())
    answer = api(method, path, headers={"x-api-key": key})
    assert failed(answer) == (404, 10, f"{kind} service with API Key {key} not found")


def test_one_key_for_all_three_services(api, pictures):
    for path in ("recognition/recognize", "detection/detect"):
        assert api.send(path, pictures.obama).status_code == 200
    assert api("GET", "recognition/subjects").status_code == 200


def test_a_bearer_is_not_what_compreface_knows(api):
    bearer = {"authorization": f"Bearer {api.key}"}
    answer = api.client.get("/api/v1/recognition/subjects", headers=bearer)
    assert failed(answer) == (400, 20, "Missing header: x-api-key")


def test_scopes(api, client_for, make_key, gallery_path, pictures):
    admin = make_key(gallery_path)
    keys = {
        scope: make_key(gallery_path, scopes=scope).api_key for scope in ("read", "enrol", "delete")
    }
    with client_for(gallery_path, admin) as client:
        callers = {scope: type(api)(client, key, "acme") for scope, key in keys.items()}
        calls = {
            "read": ("GET", "recognition/subjects", {}),
            "enrol": ("POST", "recognition/subjects", {"json": {"subject": "a"}}),
            "delete": ("DELETE", "recognition/subjects/a", {}),
        }
        for needed, (method, path, options) in calls.items():
            for scope, caller in callers.items():
                answer = caller(method, path, **options)
                if scope == needed:
                    assert answer.status_code in {200, 201}
                else:
                    status, code, message = failed(answer)
                    assert (status, code) == (403, 0)
                    assert message.startswith(f"the key must have the scope '{needed}'")


def test_rates_and_quotas(api, client_for, make_key, gallery_path):
    fast = make_key(gallery_path, rate_per_s=1.0)
    few = make_key(gallery_path, daily=1)
    with client_for(gallery_path, fast) as client:
        for key in (fast, few):
            caller = type(api)(client, key.api_key, "acme")
            assert caller("GET", "recognition/subjects").status_code == 200
            answer = caller("GET", "recognition/subjects")
            assert failed(answer)[:2] == (429, 0)
            assert int(answer.headers["retry-after"]) >= 1


def test_a_revoked_key_is_nobodys(api, client_for, make_key, gallery_path):
    key = make_key(gallery_path)
    with client_for(gallery_path, key) as client:
        caller = type(api)(client, key.api_key, "acme")
        assert caller("GET", "recognition/subjects").status_code == 200
        client.app.state.service.keys.revoke(key.app_id)
        assert failed(caller("GET", "recognition/subjects"))[:2] == (404, 10)


def test_without_keys_where_the_operator_allows_it(client_for, gallery_path):
    with client_for(gallery_path) as client:
        assert client.get("/api/v1/recognition/subjects").json() == {"subjects": []}
        answer = client.get(
            "/api/v1/recognition/subjects", headers={"x-api-key": str(uuid.uuid4())}
        )
        assert failed(answer)[:2] == (404, 10)


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/recognition", "/recognition/faces/a/b/c"])
def test_paths_that_are_not_there(api, path):
    answer = api.client.get(f"/api/v1{path}")
    assert failed(answer) == (404, 0, "there is nothing at this address")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "recognition/recognize"),
        ("PATCH", "recognition/subjects"),
        ("PUT", "recognition/faces"),
        ("GET", "recognition/subjects/Ann"),
        ("POST", "config"),
        ("DELETE", "detection/detect"),
        ("OPTIONS", "detection/detect"),
        ("PROPFIND", "detection/detect"),
    ],
)
def test_methods_that_a_path_does_not_have(api, method, path):
    answer = api(method, path)
    status, code, message = failed(answer)
    assert (status, code) == (404, 0)
    if method != "PROPFIND":
        assert message == f"Request method '{method}' not supported"


def test_what_lies_beside_is_not_ours(api):
    assert set(api.client.get("/api/v2/x").json()) != {"message", "code"}
    assert set(api.client.get("/api/v11").json()) != {"message", "code"}


def test_what_needs_no_key(api):
    most = api.service.settings.max_body_bytes
    assert api.client.get("/api/v1/config").json() == {
        "clientMaxFileSize": most,
        "clientMaxBodySize": most,
    }
    assert api.client.get("/api/v1/consistence/status").json() == {
        "demoFaceCollectionIsInconsistent": False,
        "dbIsInconsistent": False,
        "saveImagesToDB": True,
        "status": "OK",
    }


def test_a_body_that_is_too_large(api, client_for, make_key, gallery_path):
    key = make_key(gallery_path)
    with client_for(gallery_path, key, max_body_bytes=10_000) as client:
        small = type(api)(client, key.api_key, "acme")
        answer = small.send("detection/detect", b"x" * 10_001)
        assert failed(answer) == (400, 0, ANYTHING)
        pieces = (b"x" * 1000 for _ in range(11))  # without a stated length
        answer = small(
            "POST", "detection/detect", content=pieces,
            headers={"content-type": "multipart/form-data; boundary=x"},
        )  # fmt: skip
        assert failed(answer) == (400, 0, ANYTHING)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (BusyError("at most 8 requests may wait", retry_after_s=3.2), 503, None),
        (NotReadyError("the model is still being loaded"), 503, None),
        (JobTimeoutError("the work must be done within 30 s"), 504, None),
        (InternalError("x"), 500, ANYTHING),
        (InferenceError("/home/me/secret.onnx broke"), 500, ANYTHING),
        (ZeroDivisionError("a secret"), 500, ANYTHING),
    ],
)
def test_failures_of_the_server(api, pictures, monkeypatch, error, status, message):
    async def fails(job):
        raise error

    monkeypatch.setattr(api.service, "run", fails)
    answer = api.send("detection/detect", pictures.obama)
    told = failed(answer)
    assert told[:2] == (status, 0)
    assert message in {None, told[2]}
    assert "secret" not in answer.text
    if isinstance(error, BusyError):
        assert answer.headers["retry-after"] == "4"


def test_too_many_large_bodies_at_once(api, client_for, make_key, gallery_path):
    key = make_key(gallery_path)
    with client_for(gallery_path, key, max_held_bytes=4096) as client:
        small = type(api)(client, key.api_key, "acme")
        answer = small.send("detection/detect", b"x" * 5000)
        assert failed(answer)[:2] == (503, 0)
        assert answer.headers["retry-after"] == "2"
