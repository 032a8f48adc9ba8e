from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.pipeline import Recognizer
from vultus.types import Face


def test_faces_of_a_picture(api: TestClient, parts: Callable[..., Any]) -> None:
    answer = api.post("/v1/detect", files=parts("wall.jpg"))
    assert answer.status_code == 200
    body = answer.json()
    assert body["image"] == {"width": 1500, "height": 980}
    boxes = sorted(face["box"] for face in body["faces"])
    # Left, top, right, bottom, seen on the picture itself.
    expected = [[218, 241, 347, 411], [752, 143, 834, 245], [1172, 266, 1316, 477]]
    for box, truth in zip(boxes, expected, strict=True):
        assert box == pytest.approx(truth, abs=5)
    scores = [face["score"] for face in body["faces"]]
    assert scores == sorted(scores, reverse=True)
    face = body["faces"][0]
    assert len(face["landmarks"]) == 5
    unasked = ("dense", "pose", "quality", "gate", "attributes", "liveness")
    assert [face[name] for name in unasked] == [None] * 6


def test_no_face_is_an_empty_list(api: TestClient, parts: Callable[..., Any]) -> None:
    answer = api.post("/v1/detect", files=parts("rocket.jpg"))
    assert answer.json() == {"image": {"width": 640, "height": 427}, "faces": []}


def test_both_forms_of_a_body_bring_the_same_answer(
    api: TestClient, parts: Callable[..., Any], text: Callable[[str], str]
) -> None:
    form = api.post("/v1/detect", files=parts("obama2.jpg"), data={"landmarks": "68"})
    plain = api.post("/v1/detect", json={"image": text("obama2.jpg"), "landmarks": 68})
    uri = "data:image/jpeg;base64," + text("obama2.jpg")
    marked = api.post("/v1/detect", json={"image": uri, "landmarks": "68"})
    assert form.status_code == 200
    assert form.json() == plain.json() == marked.json()
    (face,) = form.json()["faces"]
    assert face["dense"]["scheme"] == "ibug-68"
    assert len(face["dense"]["points"]) == 68
    assert face["dense"]["presence"] > 0.9


@pytest.mark.parametrize(("asked", "scheme"), [("72", "vultus-72"), ("468", "mesh-468")])
def test_more_landmarks(
    api: TestClient, parts: Callable[..., Any], asked: str, scheme: str
) -> None:
    answer = api.post("/v1/detect", files=parts("obama2.jpg"), data={"landmarks": asked})
    (face,) = answer.json()["faces"]
    assert face["dense"]["scheme"] == scheme
    assert len(face["dense"]["points"]) == int(asked)
    x1, y1, x2, y2 = face["box"]
    inside = [x1 - 40 < x < x2 + 40 and y1 - 40 < y < y2 + 40 for x, y in face["dense"]["points"]]
    assert all(inside)


def test_pose_quality_and_gate(
    api: TestClient,
    parts: Callable[..., Any],
    photo: Callable[[str], bytes],
    recognizer: Recognizer,
) -> None:
    asked = {"pose": "true", "quality": "true", "gate": "high"}
    answer = api.post("/v1/detect", files=parts("obama2.jpg"), data=asked)
    (face,) = answer.json()["faces"]
    (known,) = recognizer.assess(recognizer.detect(photo("obama2.jpg")))
    assert known.pose is not None
    assert face["pose"]["yaw"] == pytest.approx(known.pose.yaw_deg, abs=0.1)
    assert face["pose"]["method"] == "mesh"
    assert face["quality"]["score"] == pytest.approx(known.score, abs=1e-3)
    assert face["quality"]["face_px"] == pytest.approx(known.face_px, abs=0.1)
    assert set(face["quality"]["occlusion"]) >= {"left_eye", "nose", "mouth", "chin"}
    assert face["gate"] == {"policy": "high", "accepted": True, "reasons": []}


def test_a_gate_says_why_and_refuses_nothing_here(
    api: TestClient, parts: Callable[..., Any]
) -> None:
    answer = api.post("/v1/detect", files=parts("wall.jpg"), data={"gate": "high"})
    small = min(answer.json()["faces"], key=lambda face: face["box"][2] - face["box"][0])
    assert small["gate"]["accepted"] is False
    reasons = {reason["code"]: reason for reason in small["gate"]["reasons"]}
    assert reasons["too-small"]["limit"] == 100
    assert reasons["too-small"]["value"] == pytest.approx(82, abs=4)
    assert small["quality"]["face_px"] == pytest.approx(82, abs=4)


def test_only_the_largest_faces(api: TestClient, parts: Callable[..., Any]) -> None:
    answer = api.post("/v1/detect", files=parts("wall.jpg"), data={"max_faces": "2"})
    lefts = [round(face["box"][0], -1) for face in answer.json()["faces"]]
    assert lefts == [1170, 220]


def test_a_turned_picture(api: TestClient, photo: Callable[[str], bytes]) -> None:
    import io

    from PIL import Image

    turned = io.BytesIO()
    picture = Image.open(io.BytesIO(photo("obama2.jpg"))).rotate(90, expand=True)
    picture.save(turned, "PNG")
    files = [("file", ("turned.png", turned.getvalue()))]
    answer = api.post("/v1/detect", files=files, data={"any_turn": "true"})
    assert len(answer.json()["faces"]) == 1


def test_attributes_are_absent_without_a_model_for_them(
    api: TestClient, parts: Callable[..., Any]
) -> None:
    answer = api.post("/v1/detect", files=parts("obama2.jpg"), data={"attributes": "true"})
    assert answer.status_code == 200
    assert answer.json()["faces"][0]["attributes"] is None


class Lively:
    """Finds the larger face the livelier one."""

    def score(self, faces: list[Face]) -> list[float]:
        return [face.box.width_px / 1000 for face in faces]


def test_liveness_of_an_installed_model(
    api: TestClient, parts: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = api.app.state.service  # type: ignore[attr-defined]
    asked = {"liveness": "true"}
    monkeypatch.setattr(service, "liveness", None)
    (face,) = api.post("/v1/detect", files=parts("obama2.jpg"), data=asked).json()["faces"]
    assert face["liveness"] is None
    monkeypatch.setattr(service, "liveness", Lively())
    for path in ("/v1/detect", "/v1/identify"):
        faces = api.post(path, files=parts("wall.jpg"), data=asked).json()["faces"]
        for face in faces:
            width = face["box"][2] - face["box"][0]
            assert face["liveness"] == pytest.approx(width / 1000, abs=1e-4)
        (face,) = api.post(path, files=parts("obama2.jpg")).json()["faces"]
        assert face["liveness"] is None
        assert api.post(path, files=parts("rocket.jpg"), data=asked).json()["faces"] == []
    claim = {**asked, "person": "Joe Biden"}
    face = api.post("/v1/verify", files=parts("obama2.jpg"), data=claim).json()["face"]
    assert 0.1 < face["liveness"] < 0.6
