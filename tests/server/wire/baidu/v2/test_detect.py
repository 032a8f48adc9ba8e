from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from PIL import Image

from vultus.types import Attributes, Face, Reading

ALWAYS = {"location", "face_probability", "rotation_angle", "yaw", "pitch", "roll"}
EVERY_FIELD = "age,beauty,expression,faceshape,gender,glasses,landmark,race,qualities"


class Alive:
    """A model that finds larger faces livelier."""

    def score(self, faces: Sequence[Face]) -> list[float]:
        return [round(min(face.visible_area_px / 1e5, 1.0), 3) for face in faces]


@pytest.fixture
def liveness(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> Alive:
    model = Alive()
    monkeypatch.setattr(tenant.service, "liveness", model)
    return model


def test_by_default_one_face_and_where_it_is(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("detect", image=pictures["pair"])
    assert set(told) == {"log_id", "result_num", "result"}
    assert told["result_num"] == 1
    (row,) = told["result"]
    assert set(row) == ALWAYS
    assert all(isinstance(value, int) and value >= 0 for value in row["location"].values())
    assert set(row["location"]) == {"left", "top", "width", "height"}
    assert 0.9 < row["face_probability"] <= 1
    assert isinstance(row["rotation_angle"], int)
    assert row["rotation_angle"] == pytest.approx(row["roll"], abs=6)


def test_largest_face_first(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("detect", image=pictures["pair"], max_face_num=5)
    assert told["result_num"] == 2
    first, second = (row["location"] for row in told["result"])
    assert first["width"] * first["height"] > second["width"] * second["height"]
    assert first["left"] < second["left"]


def test_fields_that_are_asked_for(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("detect", image=pictures["obama2"], face_fields=EVERY_FIELD)
    (row,) = told["result"]
    assert set(row) == ALWAYS | {"landmark", "landmark72", "qualities"}  # no model for the rest
    assert len(row["landmark"]) == 4
    assert len(row["landmark72"]) == 72
    left, right, nose, mouth = ((p["x"], p["y"]) for p in row["landmark"])
    assert left[0] < nose[0] < right[0]
    assert left[1] < nose[1] < mouth[1]
    box = row["location"]
    for point in row["landmark"]:
        assert box["left"] < point["x"] < box["left"] + box["width"]
        assert box["top"] < point["y"] < box["top"] + box["height"]
    assert row["landmark"][0] == row["landmark72"][21]
    assert row["landmark"][2] == row["landmark72"][57]
    mean = sum(p["x"] for p in row["landmark72"][58:]) / 14
    assert mouth[0] == pytest.approx(mean, abs=0.02)
    good = row["qualities"]
    assert set(good) == {"occlusion", "blur", "illumination", "completeness"}
    assert set(good["occlusion"]) == {
        "left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "chin",
    }  # fmt: skip
    assert all(0 <= value <= 1 for value in good["occlusion"].values())
    assert 0 <= good["blur"] <= 1
    assert 40 < good["illumination"] < 255
    assert good["completeness"] == 1


def test_a_turned_head(tenant: Any, pictures: Mapping[str, str], encode: Callable[..., str]):
    import base64
    import io

    upright = Image.open(io.BytesIO(base64.b64decode(pictures["obama"])))
    leaning = encode(upright.rotate(-20, expand=True, fillcolor="grey"))
    mirrored = encode(upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    plain = tenant.v2("detect", image=pictures["obama"])["result"][0]
    row = tenant.v2("detect", image=leaning)["result"][0]
    assert row["roll"] - plain["roll"] == pytest.approx(20, abs=4)
    assert row["rotation_angle"] - plain["rotation_angle"] == pytest.approx(20, abs=4)
    other = tenant.v2("detect", image=mirrored)["result"][0]
    assert other["yaw"] == pytest.approx(-plain["yaw"], abs=4)


def test_yaw_is_positive_to_the_persons_right(tenant: Any, pictures: Mapping[str, str]):
    (row,) = tenant.v2("detect", image=pictures["obama2"], face_fields="landmark")["result"]
    left, right, nose, _ = (point["x"] for point in row["landmark"])
    assert nose - left < right - nose  # turned to the viewer's left
    assert row["yaw"] > 8


def test_age_and_gender_where_a_model_is_installed(
    tenant: Any, pictures: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
):
    class Reader:
        def read(self, faces: Sequence[Face]) -> list[Attributes]:
            age, sex = Reading(41.234, None, "", "m"), Reading("male", 0.97, "", "m")
            return [Attributes(age=age, sex=sex) for _ in faces]

    monkeypatch.setitem(tenant.tools.looker.__dict__, "_reader", Reader())
    (row,) = tenant.v2("detect", image=pictures["obama"], face_fields="age,gender")["result"]
    assert set(row) == ALWAYS | {"age", "gender", "gender_probability"}
    assert (row["age"], row["gender"], row["gender_probability"]) == (41.23, "male", 0.97)
    (row,) = tenant.v2("detect", image=pictures["obama"], face_fields="age")["result"]
    assert set(row) == ALWAYS | {"age"}


def test_old_names_are_taken_or_ignored(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("detect", images=pictures["obama"], face_top_num=3)
    assert told["result_num"] == 1


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda p, e: "", 216200),
        (lambda p, e: "data:image/png;base64,", 216200),
        (lambda p, e: "!not base64!", 216200),
        (lambda p, e: p["obama"][: len(p["obama"]) // 8 * 4], 216201),
        (lambda p, e: "AAAA", 216201),
        (lambda p, e: e(Image.new("RGB", (50, 50)), "GIF"), 216201),
        (lambda p, e: e(Image.new("RGB", (50, 50)), "WEBP"), 216201),
        (lambda p, e: e(Image.new("RGB", (14, 50)), "PNG"), 216202),
        (lambda p, e: e(Image.new("RGB", (4097, 20)), "PNG"), 216202),
        (lambda p, e: "A" * (4 * 1024 * 1024 + 4), 216202),
        (lambda p, e: p["nobody"], 216402),
    ],
    ids=[
        "none",
        "empty",
        "base64",
        "cut",
        "no-picture",
        "gif",
        "webp",
        "tiny",
        "huge",
        "long",
        "nobody",
    ],
)
def test_pictures_that_cannot_be_used(
    tenant: Any,
    pictures: Mapping[str, str],
    encode: Callable[..., str],
    make: Callable[..., str],
    number: int,
):
    told = tenant.v2("detect", image=make(pictures, encode))
    assert told["error_code"] == number
    assert set(told) == {"error_code", "error_msg", "log_id"}


def test_no_face_is_told_as_clients_know_it(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("detect", image=pictures["nobody"])
    assert (told["error_code"], told["error_msg"]) == (216402, "face not found")
    assert tenant.v2("detect", image=pictures["obama"], max_face_num="x")["error_code"] == 216100


def test_png_and_bmp(tenant: Any, pictures: Mapping[str, str], encode: Callable[..., str]):
    import base64
    import io

    image = Image.open(io.BytesIO(base64.b64decode(pictures["obama"])))
    for kind in ("PNG", "BMP"):
        assert tenant.v2("detect", image=encode(image, kind))["result_num"] == 1


def test_faceverify_without_a_model(tenant: Any, pictures: Mapping[str, str]):
    told = tenant.v2("faceverify", image=pictures["pair"], max_face_num=2)
    assert told["result_num"] == 2
    assert set(told["result"][0]) == ALWAYS
    told = tenant.v2("faceverify", image=pictures["obama"], face_fields="qualities")
    assert set(told["result"][0]) == ALWAYS | {"qualities"}
    told = tenant.v2("faceverify", image=pictures["obama"], face_fields="qualities,faceliveness")
    assert (told["error_code"], told["error_msg"]) == (216102, "service not support")


def test_faceverify_with_one(tenant: Any, pictures: Mapping[str, str], liveness: Alive):
    told = tenant.v2(
        "faceverify", image=pictures["pair"], max_face_num=2, face_fields="faceliveness"
    )
    first, second = (row["faceliveness"] for row in told["result"])
    assert first > second > 0
    assert math.isfinite(first)
