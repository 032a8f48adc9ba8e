"""Recognition, verification and detection of pictures."""

import base64
import io
import uuid

import numpy as np
import pytest
from PIL import Image

from vultus.assess.attributes import AttributeReader
from vultus.server.wire.compreface import state as state_module
from vultus.server.wire.compreface.faces import rounded
from vultus.types import Attributes, Reading

NO_FACE = "No face is found in the given image"
BOX = {"probability", "x_max", "y_max", "x_min", "y_min"}


def failed(answer):
    body = answer.json()
    assert set(body) == {"message", "code"}
    return answer.status_code, body["code"], body["message"]


def told(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def area(face):
    box = face["box"]
    return (box["x_max"] - box["x_min"]) * (box["y_max"] - box["y_min"])


@pytest.fixture
def known(api, pictures):
    """Examples of two people."""
    return {
        "obama": api.add("Barack Obama", pictures.obama),
        "biden": api.add("Joe Biden", pictures.biden),
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.123455, 0.12346), (0.123454999, 0.12345), (1.0, 1.0), (0.000005, 0.00001), (-0.5, -0.5)],
)
def test_five_places_halves_up(value, expected):
    assert rounded(value) == expected


def test_whose_faces_are_these(api, known, pictures):
    body = told(api.send("recognition/recognize", pictures.wall))
    assert set(body) == {"result"}
    assert [set(face) for face in body["result"]] == [{"box", "subjects"}] * 3
    assert [area(face) for face in body["result"]] == sorted(map(area, body["result"]))[::-1]
    best = [face["subjects"] for face in body["result"]]
    assert all(len(subjects) == 1 for subjects in best)
    assert [subjects[0]["subject"] for subjects in best][:2] == ["Barack Obama", "Joe Biden"]
    similarities = [subjects[0]["similarity"] for subjects in best]
    assert min(similarities[:2]) > 0.9
    assert similarities[2] < 0.1
    for face in body["result"]:
        box = face["box"]
        assert set(box) == BOX
        assert all(type(box[side]) is int for side in BOX - {"probability"})
        assert 0.5 < box["probability"] <= 1.0
        assert box["probability"] == round(box["probability"], 5)


def test_the_same_of_base64(api, known, pictures):
    text = base64.b64encode(pictures.wall).decode()
    as_json = told(api("POST", "recognition/recognize", json={"file": text}))
    assert as_json == told(api.send("recognition/recognize", pictures.wall))


def test_one_entry_per_example_best_first(api, known, pictures):
    again = api.add("barack obama", pictures.obama2)
    body = told(api.send("recognition/recognize", pictures.wall, limit=1, prediction_count=5))
    (face,) = body["result"]
    subjects = [entry["subject"] for entry in face["subjects"]]
    assert subjects == ["Barack Obama", "Barack Obama", "Joe Biden"]
    similarities = [entry["similarity"] for entry in face["subjects"]]
    assert similarities == sorted(similarities, reverse=True)
    api("DELETE", f"recognition/faces/{again}")
    body = told(api.send("recognition/recognize", pictures.wall, limit=1, prediction_count=2))
    assert [entry["subject"] for entry in body["result"][0]["subjects"]] == [
        "Barack Obama",
        "Joe Biden",
    ]


def test_an_empty_collection_knows_nobody(api, other, known, pictures):
    body = told(other.send("recognition/recognize", pictures.wall, prediction_count=3))
    assert [face["subjects"] for face in body["result"]] == [[], [], []]


def test_the_largest_faces(api, pictures):
    every = told(api.send("detection/detect", pictures.wall, limit=0))["result"]
    assert len(every) == 3
    for limit in (1, 2, 9):
        some = told(api.send("detection/detect", pictures.wall, limit=limit))["result"]
        assert some == every[:limit]


def test_the_likely_faces(api, pictures):
    every = told(api.send("detection/detect", pictures.wall))["result"]
    scores = sorted(face["box"]["probability"] for face in every)
    between = (scores[0] + scores[1]) / 2
    some = told(api.send("detection/detect", pictures.wall, det_prob_threshold=between))
    assert len(some["result"]) == 2
    assert told(api.send("detection/detect", pictures.wall, det_prob_threshold=0)) == {
        "result": every
    }
    answer = api.send("detection/detect", pictures.wall, det_prob_threshold=1)
    assert failed(answer) == (400, 28, NO_FACE)


@pytest.mark.parametrize("path", ["recognition/recognize", "detection/detect"])
def test_no_face_is_an_error_not_an_empty_list(api, pictures, path):
    assert failed(api.send(path, pictures.nobody)) == (400, 28, NO_FACE)
    assert failed(api.send(path, b"no picture")) == (400, 28, NO_FACE)


def test_plugins(api, known, pictures):
    asked = "landmarks,pose,calculator,mask,age,gender,landmarks2d106"
    query = {"face_plugins": asked}
    for path in ("recognition/recognize", "detection/detect"):
        (face,) = told(api.send(path, pictures.obama2, **query))["result"]
        # No model of masks, of 106 points, of age and sex is installed.
        assert set(face) - {"subjects"} == {"box", "landmarks", "pose", "embedding"}
    (left_eye, right_eye, nose, left_mouth, right_mouth) = face["landmarks"]
    assert all(type(value) is int for point in face["landmarks"] for value in point)
    assert left_eye[0] < nose[0] < right_eye[0]  # as the viewer sees them
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert set(face["pose"]) == {"pitch", "roll", "yaw"}
    assert -25 < face["pose"]["yaw"] < -5  # turned to the viewer's left
    assert len(face["embedding"]) == 128
    assert np.linalg.norm(face["embedding"]) == pytest.approx(1.0, abs=1e-5)


def test_the_embedding_is_told_only_when_asked_for(api, known, pictures):
    (face,) = told(api.send("recognition/recognize", pictures.obama2))["result"]
    assert set(face) == {"box", "subjects"}


def test_status(api, known, pictures):
    query = {"status": "True", "face_plugins": "pose"}  # as the SDK spells it
    body = told(api.send("recognition/recognize", pictures.wall, **query))
    assert body["plugins_versions"] == {
        "detector": "mtcnn",
        "calculator": "dlib-resnet-v1",
        "pose": "mesh",
    }
    for face in body["result"]:
        assert set(face["execution_time"]) == {"detector", "calculator", "pose"}
        assert all(0 < taken < 60_000 for taken in face["execution_time"].values())
    body = told(api.send("detection/detect", pictures.wall, status="TRUE"))
    assert body["plugins_versions"] == {"detector": "mtcnn"}
    assert "plugins_versions" not in told(api.send("detection/detect", pictures.wall, status="0"))


def test_age_and_gender_where_a_model_is_installed(api, known, pictures, monkeypatch):
    class Reader(AttributeReader):
        def __init__(self):
            self.name = "faceres-deep"

        def read(self, faces):
            age = Reading(47.5, None, "a test", self.name)
            return [Attributes(age, Reading("male", 0.987654, "", self.name)) for _ in faces]

    monkeypatch.setattr(state_module, "_attribute_reader", Reader)
    monkeypatch.delattr(api.client.app.state, "compreface", raising=False)
    query = {"face_plugins": "age,gender", "status": "true"}
    body = told(api.send("recognition/recognize", pictures.obama2, **query))
    (face,) = body["result"]
    assert face["age"] == {"high": 53, "low": 42}
    assert face["gender"] == {"probability": 0.98765, "value": "male"}
    assert body["plugins_versions"]["age"] == body["plugins_versions"]["gender"] == "faceres-deep"
    (face,) = told(api.send("detection/detect", pictures.obama2, face_plugins="age"))["result"]
    assert set(face) == {"box", "age"}
    monkeypatch.delattr(api.client.app.state, "compreface")


def test_a_picture_that_is_a_face(api, known, pictures):
    recognizer = api.service.recognizer
    (face,) = recognizer.detect(pictures.obama2)
    crop = recognizer.embedder.aligner.align([face])[0]
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "PNG")
    query = {"detect_faces": "false", "face_plugins": "calculator,landmarks", "status": "1"}
    body = told(api.send("recognition/recognize", file.getvalue(), **query))
    (found,) = body["result"]
    size = crop.shape[0]
    assert found["box"] == {
        "probability": 1.0, "x_max": size, "y_max": size, "x_min": 0, "y_min": 0
    }  # fmt: skip
    assert found["subjects"][0]["subject"] == "Barack Obama"
    assert found["subjects"][0]["similarity"] > 0.9
    assert found["embedding"] == pytest.approx(recognizer.embed(face).vector.tolist(), abs=1e-6)
    assert "landmarks" not in found
    assert body["plugins_versions"] == {"calculator": "dlib-resnet-v1"}
    # Any picture is taken for a face then, whatever it shows and however large it is.
    body = told(api.send("recognition/recognize", pictures.nobody, detect_faces="FALSE"))
    assert body["result"][0]["subjects"][0]["similarity"] < 0.1


def test_only_recognition_knows_pictures_that_are_faces(api, pictures):
    answer = api.send("detection/detect", pictures.nobody, detect_faces="false")
    assert failed(answer) == (400, 28, NO_FACE)


@pytest.mark.parametrize("path", ["recognition/recognize", "detection/detect"])
def test_parameters_that_are_refused(api, pictures, path):
    answer = api.send(path, pictures.obama, limit=-1)
    assert failed(answer) == (400, 26, "Limit should be equal or greater than 0; ")
    assert failed(api.send(path, pictures.obama, face_plugins="horoscope")) == (400, 28, NO_FACE)
    assert failed(api.send(path, pictures.obama, det_prob_threshold=7)) == (400, 28, NO_FACE)
    assert failed(api.send(path, pictures.obama, limit="x"))[1] == 0


def test_a_prediction_at_least(api, pictures):
    answer = api.send("recognition/recognize", pictures.obama, prediction_count=0)
    assert failed(answer) == (400, 26, "prediction_count should be equal or greater than 1; ")


def test_against_a_stored_example(api, known, pictures):
    path = f"recognition/faces/{known['biden']}/verify"
    body = told(api.send(path, pictures.wall, status="true", face_plugins="landmarks"))
    assert set(body) == {"result", "plugins_versions"}
    assert [set(face) for face in body["result"]] == [
        {"box", "landmarks", "execution_time", "subject", "similarity"}
    ] * 3
    assert {face["subject"] for face in body["result"]} == {"Joe Biden"}
    similarities = [face["similarity"] for face in body["result"]]
    assert similarities[1] > 0.9
    assert max(similarities[0], similarities[2]) < 0.1
    assert len(told(api.send(path, pictures.wall, limit=1))["result"]) == 1
    assert failed(api.send(path, pictures.nobody)) == (400, 28, NO_FACE)


def test_an_example_that_is_not_there_is_like_nobody(api, other, known, pictures):
    for caller, image_id in ((api, str(uuid.uuid4())), (other, known["biden"])):
        body = told(caller.send(f"recognition/faces/{image_id}/verify", pictures.biden))
        (face,) = body["result"]
        assert (face["subject"], face["similarity"]) == ("", 0.0)


def two(api, source, target, **query):
    parts = {"source_image": ("a.jpg", source), "target_image": ("b.jpg", target)}
    return api("POST", "verification/verify", params=query, files=parts)


def test_two_pictures(api, pictures):
    query = {"face_plugins": "landmarks", "status": "True"}
    body = told(two(api, pictures.obama, pictures.wall, **query))
    assert set(body) == {"result"}
    (result,) = body["result"]
    assert set(result) == {"source_image_face", "face_matches", "plugins_versions"}
    assert set(result["source_image_face"]) == {"box", "landmarks", "execution_time"}
    similarities = [match["similarity"] for match in result["face_matches"]]
    assert similarities[0] > 0.9
    assert max(similarities[1:]) < 0.1
    plain = told(two(api, pictures.obama, pictures.wall))["result"][0]
    assert set(plain) == {"source_image_face", "face_matches"}
    assert [set(match) for match in plain["face_matches"]] == [{"box", "similarity"}] * 3


def test_two_pictures_in_base64(api, pictures):
    body = {
        "source_image": base64.b64encode(pictures.obama).decode(),
        "target_image": base64.b64encode(pictures.obama2).decode(),
    }
    (result,) = told(api("POST", "verification/verify", json=body))["result"]
    assert result["face_matches"][0]["similarity"] > 0.9
    for name in body:
        answer = api("POST", "verification/verify", json={**body, name: None})
        assert failed(answer) == (400, 5, f"Field {name} cannot be empty")
    answer = api("POST", "verification/verify", json={**body, "target_image": "?"})
    assert failed(answer) == (400, 21, "Provided value is not Base64")


def test_two_pictures_of_which_one_will_not_do(api, pictures):
    answer = two(api, pictures.wall, pictures.obama)
    assert failed(answer) == (400, 31, "More than one face in the source image")
    (result,) = told(two(api, pictures.wall, pictures.obama, limit=1))["result"]
    assert len(result["face_matches"]) == 1
    for source, target in (
        (pictures.nobody, pictures.obama),
        (pictures.obama, pictures.nobody),
        (b"junk", pictures.obama),
    ):
        assert failed(two(api, source, target)) == (400, 28, NO_FACE)
    for name in ("source_image", "target_image"):
        parts = {"source_image": ("a.jpg", b"x"), "target_image": ("b.jpg", b"x")}
        del parts[name]
        answer = api("POST", "verification/verify", files=parts)
        assert failed(answer) == (400, 34, f"Required part {name} is missing")


def test_a_gate_names_nobody_it_refuses(client_for, make_key, gallery_path, pictures, api):
    key = make_key(gallery_path)
    with client_for(gallery_path, key, gate="high") as client:
        strict = type(api)(client, key.api_key, "acme")
        strict.add("Barack Obama", pictures.obama)
        body = told(strict.send("recognition/recognize", pictures.wall))
        named = [bool(face["subjects"]) for face in body["result"]]
        assert not all(named)
        small = Image.open(io.BytesIO(pictures.obama2))
        small.thumbnail((160, 160))
        file = io.BytesIO()
        small.save(file, "JPEG")
        status, code, message = failed(
            strict.send("recognition/faces", file.getvalue(), subject="Kim")
        )
        assert (status, code) == (400, 28)
        assert "must pass the gate 'high'" in message
        assert "Kim" not in strict.gallery
