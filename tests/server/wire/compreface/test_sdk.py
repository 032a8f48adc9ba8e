"""The unmodified compreface-sdk 0.6.0 against a running server: every method, every option."""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

ALL_PLUGINS = "age,gender,landmarks,calculator,mask"  # what the SDK lets through
EVERY = {"limit": 0, "det_prob_threshold": 0.8, "face_plugins": ALL_PLUGINS, "status": True}


@pytest.fixture
def sdk(clients, server, samples):
    """`sdk((service, constructor's options, method, *arguments, **keywords), …)`."""
    folder = clients / "compreface"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; run scripts/test_clients {clients}")
    host, _, port = server.url.rpartition(":")

    def call(*calls):
        told = {"url": host, "port": port, "key": server.key.api_key, "calls": calls}
        ended = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("sdk.py"))],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(folder)},
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        given = json.loads(ended.stdout)
        return given[0] if len(calls) == 1 else given

    before = server.json("/api/v1/recognition/faces", headers=header(server))["faces"]
    yield call
    clean_up(server, before)


def clean_up(server, before):
    """The other tests of this server see what they saw before."""
    known = {face["image_id"] for face in before}
    faces = server.json("/api/v1/recognition/faces?size=2000", headers=header(server))["faces"]
    for face in faces:
        if face["image_id"] not in known:
            path = f"/api/v1/recognition/faces/{face['image_id']}"
            server.request(path, headers=header(server), method="DELETE")
    subjects = server.json("/api/v1/recognition/subjects", headers=header(server))["subjects"]
    for name in set(subjects) - {face["subject"] for face in before}:
        path = f"/api/v1/recognition/subjects/{quote(name)}"
        server.request(path, headers=header(server), method="DELETE")


def header(server):
    return {"x-api-key": server.key.api_key}


def call(service, method, *arguments, options=None, **keywords):
    return (service, options or {}, method, arguments, keywords)


def in_bytes(path):
    return {"bytes": base64.b64encode(path.read_bytes()).decode()}


@pytest.fixture
def known(samples):
    return {name: samples / "known" / f"{name}.jpg" for name in ("Barack Obama", "Joe Biden")}


def test_subjects(sdk):
    given = sdk(
        call("subjects", "add", "Ann Lee"),
        call("subjects", "add", "张三"),
        call("subjects", "add", "ann lee"),
        call("subjects", "list"),
        call("subjects", "update", "Ann Lee", "Kim"),
        call("subjects", "update", "Kim", "Kim"),
        call("subjects", "update", "Nobody", "Kim"),
        call("subjects", "update", "张三", "kim"),
        call("subjects", "delete", "KIM"),
        call("subjects", "delete", "Kim"),
        call("subjects", "add", ""),
    )
    assert given[:3] == [
        {"subject": "Ann Lee"},
        {"subject": "张三"},
        {"message": "Subject already exists", "code": 43},
    ]
    assert {"Ann Lee", "张三", "Barack Obama", "Joe Biden"} <= set(given[3]["subjects"])
    assert given[4:] == [
        {"updated": True},
        {"updated": False},
        {"message": "Subject Nobody not found", "code": 42},
        {"updated": True},
        {"subject": "KIM"},
        {"message": "Subject Kim not found", "code": 42},
        {"message": "Subject name cannot be empty", "code": 26},
    ]


def test_delete_all(clients, serving, gallery_path, sdk, known):
    with serving(gallery_path) as running:
        told = {
            "url": running.url.rpartition(":")[0],
            "port": running.url.rpartition(":")[2],
            "key": running.key.api_key,
            "calls": [
                call("collection", "add", str(known["Joe Biden"]), "a"),
                call("subjects", "add", "b"),
                call("collection", "delete_all", ""),
                call("subjects", "delete_all"),
                call("subjects", "list"),
                call("collection", "list"),
            ],
        }
        ended = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("sdk.py"))],
            input=json.dumps(told), capture_output=True, text=True, timeout=120, check=True,
            env={**os.environ, "PYTHONPATH": str(clients / "compreface")},
        )  # fmt: skip
    given = json.loads(ended.stdout)
    assert given[2:5] == [
        {"message": "Subject name is empty; ", "code": 26},
        {"deleted": 2},
        {"subjects": []},
    ]
    assert given[5]["total_elements"] == 0


def test_examples(sdk, known, samples):
    photo = samples / "photos" / "obama2.jpg"
    given = sdk(
        call("collection", "add", str(photo), "Ann Lee"),
        call("collection", "add", in_bytes(photo), "张三", options={"limit": 1}),
        call("collection", "add", str(photo), "Ann Lee", {"det_prob_threshold": 0.5}),
        call("collection", "add", str(photo), "Ann Lee", {"det_prob_threshold": 1.0}),
        call("collection", "add", str(samples / "photos" / "wall.jpg"), "Ann Lee"),
        call("collection", "list"),
        call("collection", "delete_all", "ann lee"),
        call("collection", "delete_all", "Nobody"),
    )
    assert [set(reply) for reply in given[:3]] == [{"image_id", "subject"}] * 3
    assert [reply["subject"] for reply in given[:3]] == ["Ann Lee", "张三", "Ann Lee"]
    assert [reply["code"] for reply in given[3:5]] == [28, 31]
    assert given[5]["total_elements"] == 5
    assert given[5]["page_size"] == 20
    assert given[6:] == [{"deleted": 2}, {"deleted": 0}]
    image_id = given[1]["image_id"]
    given = sdk(
        call("collection", "delete", image_id),
        call("collection", "delete", image_id),
        call("collection", "delete", "no uuid"),
    )
    assert given == [
        {"image_id": image_id, "subject": "张三"},
        {"message": f"Image {image_id} not found", "code": 44},
        {"message": "Something went wrong, please try again", "code": 0},
    ]


def test_recognize(sdk, samples):
    wall = samples / "photos" / "wall.jpg"
    given = sdk(
        call("recognition", "recognize", str(wall)),
        call("recognition", "recognize", in_bytes(wall)),
        call("recognition", "recognize", str(wall), {**EVERY, "prediction_count": 2}),
        call("recognition", "recognize", str(wall), options={"limit": 1, "prediction_count": 2}),
        call("recognition", "recognize", str(wall), {"limit": 2}, options={"limit": 1}),
        call("recognition", "recognize", str(samples / "photos" / "rocket.jpg")),
        call("recognition", "recognize", str(wall), {"prediction_count": 0}),
    )
    plain, of_bytes, every, built, passed, nobody, none = given
    assert plain == of_bytes
    assert [face["subjects"][0]["subject"] for face in plain["result"][:2]] == [
        "Barack Obama",
        "Joe Biden",
    ]
    assert [len(face["subjects"]) for face in every["result"]] == [2, 2, 2]
    for face in every["result"]:
        assert {"box", "subjects", "landmarks", "embedding", "execution_time"} <= set(face)
    assert set(every["plugins_versions"]) >= {"detector", "calculator"}
    assert [len(built["result"]), len(built["result"][0]["subjects"])] == [1, 2]
    assert len(passed["result"]) == 2
    assert nobody == {"message": "No face is found in the given image", "code": 28}
    assert none["code"] == 26


def test_a_picture_by_its_address_which_the_client_fetches(sdk, samples):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(samples / "photos"))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{files.server_port}/obama2.jpg"
        given = sdk(call("recognition", "recognize", url))
        files.shutdown()
        thread.join()
    assert given["result"][0]["subjects"][0]["subject"] == "Barack Obama"


def test_verify_against_an_example(sdk, known, samples):
    (added,) = [sdk(call("collection", "add", str(known["Joe Biden"]), "Ann"))]
    image_id, wall = added["image_id"], str(samples / "photos" / "wall.jpg")
    given = sdk(
        call("collection", "verify", wall, image_id),
        call("collection", "verify", wall, image_id, EVERY),
        call("collection", "verify", wall, image_id, {"limit": 1}),
        call("collection", "verify", wall, "00000000-0000-0000-0000-000000000000"),
    )
    plain, every, one, unknown = given
    assert [set(face) for face in plain["result"]] == [{"box", "subject", "similarity"}] * 3
    assert plain["result"][1]["similarity"] > 0.9
    assert {"landmarks", "embedding", "execution_time"} <= set(every["result"][0])
    assert "plugins_versions" in every
    assert len(one["result"]) == 1
    assert {(face["subject"], face["similarity"]) for face in unknown["result"]} == {("", 0.0)}


def test_detect(sdk, samples):
    wall = samples / "photos" / "wall.jpg"
    plain, every, built = sdk(
        call("detection", "detect", str(wall)),
        call("detection", "detect", in_bytes(wall), EVERY),
        call("detection", "detect", str(wall), options={**EVERY, "prediction_count": 3}),
    )
    assert [set(face) for face in plain["result"]] == [{"box"}] * 3
    assert set(every["result"][0]) == {"box", "landmarks", "embedding", "execution_time"}
    assert [face["box"] for face in built["result"]] == [face["box"] for face in plain["result"]]
    assert set(built["plugins_versions"]) == {"detector", "calculator"}


def test_verify_two_pictures(sdk, known, samples):
    one, wall = known["Barack Obama"], samples / "photos" / "wall.jpg"
    plain, every, several = sdk(
        call("verification", "verify", str(one), str(wall)),
        call("verification", "verify", in_bytes(one), in_bytes(wall), EVERY),
        call("verification", "verify", str(wall), str(one), options={"limit": 0}),
    )
    (result,) = plain["result"]
    assert set(result) == {"source_image_face", "face_matches"}
    assert [match["similarity"] > 0.9 for match in result["face_matches"]] == [True, False, False]
    (result,) = every["result"]
    assert set(result) == {"source_image_face", "face_matches", "plugins_versions"}
    assert {"landmarks", "embedding"} <= set(result["face_matches"][0])
    assert several == {"message": "More than one face in the source image", "code": 31}


def test_options_that_the_client_refuses_itself(sdk, samples):
    wall = str(samples / "photos" / "wall.jpg")
    refused = [
        {"limit": -1},
        {"prediction_count": -1},
        {"det_prob_threshold": 1.5},
        {"face_plugins": "pose"},
    ]
    given = sdk(*(call("recognition", "recognize", wall, options) for options in refused))
    assert given == [{"raised": "IncorrectFieldException"}] * 4


def test_a_wrong_key(server, clients, samples):
    told = {
        "url": server.url.rpartition(":")[0],
        "port": server.url.rpartition(":")[2],
        "calls": [call("subjects", "list")],
    }
    codes = []
    for key in ("no uuid", "00000000-0000-0000-0000-000000000002"):
        ended = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("sdk.py"))],
            input=json.dumps({**told, "key": key}), capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(clients / "compreface")}, check=True,
        )  # fmt: skip
        codes.append(json.loads(ended.stdout)[0]["code"])
    assert codes == [26, 10]
