"""The functions against dlib and face_recognition 1.3.0 (scripts/face_recognition_golden.py).

Each row of docs/migrating's table of functions has its test here.
"""

from __future__ import annotations

import inspect
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageFile, UnidentifiedImageError

import vultus.compat.face_recognition as fr
from vultus.compat.face_recognition import api
from vultus.errors import DegenerateLandmarksError, RangeError

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))
PICTURES: dict[str, Any] = GOLDEN["pictures"]
OBAMA = "known/Barack Obama.jpg"
LARGE = [
    "chin", "left_eyebrow", "right_eyebrow", "nose_bridge", "nose_tip", "left_eye", "right_eye",
    "top_lip", "bottom_lip",
]  # fmt: skip


@pytest.fixture(scope="module")
def pictures(samples: Path) -> dict[str, np.ndarray]:
    return {name: fr.load_image_file(samples / name) for name in PICTURES}


@pytest.fixture(scope="module")
def obama(pictures) -> np.ndarray:
    return pictures[OBAMA]


def tuples(boxes) -> list[tuple[int, ...]]:
    return [tuple(box) for box in boxes]


def iou(a, b) -> float:
    top, right, bottom, left = max(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])
    shared = max(0, right - left) * max(0, bottom - top)
    area = [(box[1] - box[3]) * (box[2] - box[0]) for box in (a, b)]
    return shared / (sum(area) - shared)


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("load_image_file", "file, mode='RGB'"),
        ("face_locations", "img, number_of_times_to_upsample=1, model='hog'"),
        ("batch_face_locations", "images, number_of_times_to_upsample=1, batch_size=128"),
        ("face_landmarks", "face_image, face_locations=None, model='large'"),
        (
            "face_encodings",
            "face_image, known_face_locations=None, num_jitters=1, model='small'",
        ),
        (
            "compare_faces",
            "known_face_encodings, face_encoding_to_check, tolerance=0.6",
        ),
        ("face_distance", "face_encodings, face_to_compare"),
    ],
)
def test_names_and_defaults_are_the_originals(name, parameters):
    found = [
        value.name if value.default is value.empty else f"{value.name}={value.default!r}"
        for value in inspect.signature(getattr(fr, name)).parameters.values()
    ]
    assert ", ".join(found) == parameters
    assert getattr(api, name) is getattr(fr, name)


def test_version_is_what_the_original_calls_itself():
    assert fr.__version__ == "1.2.3"


def test_importing_loads_no_model_and_no_runtime():
    code = (
        "import sys, vultus.compat.face_recognition as fr;"
        "print(sorted({'onnxruntime', 'cv2', 'PIL', 'click', 'typer'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


# -- load_image_file ----------------------------------------------------------------------------


def test_load_image_file(samples: Path, obama):
    assert (obama.shape, obama.dtype, obama.flags.writeable) == ((1137, 910, 3), np.uint8, True)
    with (samples / OBAMA).open("rb") as file:
        assert np.array_equal(fr.load_image_file(file), obama)
    grey = fr.load_image_file(str(samples / OBAMA), mode="L")
    assert (grey.shape, grey.dtype) == ((1137, 910), np.uint8)


def test_load_image_file_keeps_the_mode_and_drops_transparency(tmp_path: Path):
    PilImage.new("RGBA", (3, 2), (10, 20, 30, 40)).save(tmp_path / "a.png")
    assert fr.load_image_file(tmp_path / "a.png").tolist() == [[[10, 20, 30]] * 3] * 2
    assert fr.load_image_file(tmp_path / "a.png", None).shape == (2, 3, 4)


def test_load_image_file_does_not_turn_pictures(tmp_path: Path):
    exif = PilImage.Exif()
    exif[0x0112] = 6
    PilImage.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert fr.load_image_file(tmp_path / "a.jpg").shape == (20, 30, 3)


def test_load_image_file_reads_what_there_is_of_a_picture(samples: Path):
    data = (samples / OBAMA).read_bytes()
    whole, half = (fr.load_image_file(io.BytesIO(d)) for d in (data, data[: len(data) // 2]))
    assert half.shape == whole.shape
    assert np.array_equal(half[:300], whole[:300])
    assert not np.array_equal(half[-300:], whole[-300:])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_load_image_file_errors(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        fr.load_image_file(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UnidentifiedImageError, match="cannot identify"):
        fr.load_image_file(tmp_path / "text.jpg")
    PilImage.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="mode"):
        fr.load_image_file(tmp_path / "a.png", "XYZ")


# -- face_locations -----------------------------------------------------------------------------


@pytest.mark.parametrize("upsample", [1, 0])
def test_hog_boxes_are_dlibs(pictures, upsample):
    overlaps = []
    for name, expected in PICTURES.items():
        found = fr.face_locations(pictures[name], upsample)
        assert all(type(edge) is int for box in found for edge in box)
        for box in tuples(expected[f"hog_{upsample}"]):
            overlaps.append(max((iou(box, other) for other in found), default=0.0))
    # Missing on purpose: dlib also sees a face in the astronaut's suit, with a confidence of 0.12.
    assert sorted(overlaps)[1:] == pytest.approx([1.0] * (len(overlaps) - 1), abs=0.25)
    assert np.median(overlaps) == 1.0


def test_hog_boxes_of_the_original_test_suite(obama, pictures):
    assert fr.face_locations(obama) == [(142, 617, 409, 349)]
    assert fr.face_locations(pictures["photos/obama2.jpg"], 0) == [(302, 474, 611, 164)]
    # Its two partial faces are these cuts, stored once more.
    assert fr.face_locations(obama[:, 419:]) == [(142, 191, 365, 0)]
    (box,) = fr.face_locations(obama[:, :551])
    assert box[1] == 551
    assert iou(box, (142, 551, 409, 349)) > 0.7


def test_any_other_model_is_hog(obama):
    assert fr.face_locations(obama, model="nonsense") == fr.face_locations(obama)


def test_faces_come_by_falling_confidence_of_dlib(pictures):
    expected = PICTURES["photos/wall.jpg"]["hog_1"]
    assert fr.face_locations(pictures["photos/wall.jpg"]) == tuples(expected)


def test_cnn_boxes_are_mmods(pictures):
    compared = 0
    for name, expected in PICTURES.items():
        if "cnn_0" in expected:
            found = fr.face_locations(pictures[name], 0, "cnn")
            assert np.abs(np.subtract(found, expected["cnn_0"])).max(initial=0) <= 1
            assert len(found) == len(expected["cnn_0"])
            compared += len(found)
    assert compared >= 2


def test_no_face_is_an_empty_list():
    black = np.zeros((60, 80, 3), np.uint8)
    assert fr.face_locations(black) == fr.face_locations(black, model="cnn") == []
    assert fr.face_landmarks(black) == fr.face_encodings(black) == []
    assert fr.face_locations(np.zeros((0, 0, 3), np.uint8)) == []


def test_grey_pictures_and_views(obama):
    small = obama[100:450, 300:700]
    grey = np.asarray(PilImage.fromarray(small).convert("L"))
    boxes = fr.face_locations(np.ascontiguousarray(small))
    assert fr.face_locations(small) == boxes  # no copy needed, unlike in dlib's encoder
    assert fr.face_locations(grey) == boxes
    assert fr.face_locations(grey[..., None]) == boxes
    assert np.array_equal(
        fr.face_encodings(small[:, :, ::-1], boxes)[0],
        fr.face_encodings(np.ascontiguousarray(small[:, :, ::-1]), boxes)[0],
    )


@pytest.mark.parametrize(
    ("img", "error", "message"),
    [
        (None, TypeError, "a picture must be a NumPy array, got NoneType"),
        ([[1]], TypeError, "a picture must be a NumPy array, got list"),
        (np.zeros((9, 9, 4), np.uint8), RuntimeError, r"must be 8bit gray or RGB.*\(9, 9, 4\)"),
        (np.zeros((9, 9, 3)), RuntimeError, "must be 8bit gray or RGB image. Got float64"),
    ],
)
def test_what_is_no_picture(img, error, message):
    for call in (fr.face_locations, fr.face_landmarks, fr.face_encodings):
        with pytest.raises(error, match=message):
            call(img)


@pytest.mark.parametrize("value", [-1, 1.0, "1", None])
def test_upsampling_must_be_a_whole_number(value):
    with pytest.raises(TypeError, match="number_of_times_to_upsample must be"):
        fr.face_locations(np.zeros((9, 9, 3), np.uint8), value)


def test_upsampling_has_limits():
    image = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(RangeError, match="at most 8, got 9"):
        fr.face_locations(image, 9)
    with pytest.raises(RangeError, match=r"must lie in 0\.\.4, got 5"):
        fr.face_locations(image, 5, "cnn")


def test_more_upsampling_finds_smaller_faces(obama):
    small = np.asarray(PilImage.fromarray(obama).resize((100, 125)))
    assert [len(fr.face_locations(small, n)) for n in (0, 2)] == [0, 1]
    for upsample in (2, 3):
        (box,) = fr.face_locations(small, upsample)
        assert iou(box, np.array([142, 617, 409, 349]) * 0.11) > 0.7


def test_batch_face_locations(pictures):
    image = pictures["photos/astronaut.png"]
    alone = fr.face_locations(image, 0, "cnn")
    other = np.ascontiguousarray(image[:, ::-1])
    found = fr.batch_face_locations([image, other], 0, batch_size=2)
    assert found == [alone, fr.face_locations(other, 0, "cnn")]
    assert fr.batch_face_locations([]) == []
    assert fr.batch_face_locations([image, image[:300]], number_of_times_to_upsample=0)[0] == alone


# -- face_landmarks -----------------------------------------------------------------------------


def test_small_landmarks_are_dlibs_to_the_pixel(pictures):
    for name, expected in PICTURES.items():
        found = fr.face_landmarks(pictures[name], tuples(expected["hog_1"]), "small")
        assert [list(face) for face in found] == [["nose_tip", "left_eye", "right_eye"]] * len(
            found
        )
        for mine, its in zip(found, expected["small"], strict=True):
            assert {key: tuples(its[key]) for key in its} == mine


def test_large_landmarks_are_near_dlibs(pictures):
    errors = []
    for name, expected in PICTURES.items():
        found = fr.face_landmarks(pictures[name], tuples(expected["hog_1"]))
        for mine, its in zip(found, expected["large"], strict=True):
            assert list(mine) == LARGE == list(its)
            assert {key: len(mine[key]) for key in mine} == {key: len(its[key]) for key in its}
            assert type(mine["chin"][0]) is tuple
            assert type(mine["chin"][0][0]) is int
            a, b = (np.concatenate([face[key] for key in LARGE]) for face in (mine, its))
            eyes = [np.mean(its[key], axis=0) for key in ("left_eye", "right_eye")]
            errors.append(np.linalg.norm(a - b, axis=1).mean() / np.linalg.norm(eyes[1] - eyes[0]))
    assert np.median(errors) < 0.08


def test_lips_are_closed_over_the_corners_of_the_mouth(obama):
    (face,) = fr.face_landmarks(obama)
    assert face["top_lip"][0] == face["bottom_lip"][6]
    assert face["top_lip"][6] == face["bottom_lip"][0]
    assert face["left_eye"][0][0] < face["right_eye"][0][0]  # left is the picture's left


@pytest.mark.parametrize("size", [50, 1])
def test_landmark_models(obama, size):
    message = r"Invalid landmarks model type. Supported models are \['small', 'large'\]."
    for image in (np.zeros((size, size, 3), np.uint8), obama):
        with pytest.raises(ValueError, match=message):
            fr.face_landmarks(image, model="huge")


# -- face_encodings -----------------------------------------------------------------------------


def test_encodings_at_given_locations_are_dlibs(pictures):
    away = []
    for name, expected in PICTURES.items():
        found = fr.face_encodings(pictures[name], tuples(expected["hog_1"]))
        for mine, its in zip(found, expected["encodings"], strict=True):
            assert (mine.shape, mine.dtype) == ((128,), np.float64)
            away.append(float(np.linalg.norm(mine - its)))
    assert len(away) == 9
    assert max(away) <= 0.03


def test_encodings_with_the_large_model_are_near_dlibs(pictures):
    away = []
    for name, expected in PICTURES.items():
        found = fr.face_encodings(pictures[name], tuples(expected["hog_1"]), model="large")
        away += [
            float(np.linalg.norm(mine - its))
            for mine, its in zip(found, expected["encodings_large"], strict=True)
        ]
    assert np.median(away) < 0.15


def test_every_verdict_agrees_from_the_bare_pictures(pictures):
    mine, its = [], []
    for name, expected in PICTURES.items():
        boxes = fr.face_locations(pictures[name])
        found = fr.face_encodings(pictures[name])
        assert len(found) == len(boxes)
        for box, encoding in zip(tuples(expected["hog_1"]), expected["encodings"], strict=True):
            overlaps = [iou(box, other) for other in boxes]
            if max(overlaps, default=0.0) > 0.4:
                mine.append(found[int(np.argmax(overlaps))])
                its.append(np.array(encoding))
    assert len(mine) == 8
    for a, b in zip(mine, its, strict=True):
        assert fr.compare_faces(mine, a) == fr.compare_faces(its, b)
        assert np.abs(fr.face_distance(mine, a) - fr.face_distance(its, b)).max() < 0.05
        assert np.abs(fr.face_distance(mine, b) - fr.face_distance(its, b)).max() < 0.05


def test_encodings_come_in_the_order_of_the_locations(pictures):
    image = pictures["photos/wall.jpg"]
    boxes = fr.face_locations(image)
    turned = fr.face_encodings(image, boxes[::-1])
    for a, b in zip(fr.face_encodings(image), turned[::-1], strict=True):
        assert np.linalg.norm(a - b) < 1e-5


def test_encodings_are_not_of_unit_length(obama):
    (encoding,) = fr.face_encodings(obama)
    assert np.linalg.norm(encoding) == pytest.approx(1.387, abs=0.01)


def test_jitters_average_random_distortions(obama):
    (plain,) = fr.face_encodings(obama)
    first, second = (fr.face_encodings(obama, num_jitters=5)[0] for _ in range(2))
    assert (first.shape, first.dtype) == ((128,), np.float64)
    assert 0 < np.linalg.norm(first - second) < 0.3
    assert 0 < np.linalg.norm(first - plain) < 0.4
    for jitters in (0, -1):
        assert np.array_equal(fr.face_encodings(obama, num_jitters=jitters)[0], plain)
    with pytest.raises(TypeError, match=r"num_jitters must be a whole number, got 1\.5"):
        fr.face_encodings(obama, num_jitters=1.5)


def test_encodings_need_colour(obama):
    grey = np.asarray(PilImage.fromarray(obama).convert("L"))
    with pytest.raises(TypeError, match="needs a colour picture"):
        fr.face_encodings(grey)
    assert fr.face_encodings(np.zeros((50, 50), np.uint8)) == []


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ((42, 317, 309), IndexError),
        ((42.0, 317, 309, 49), TypeError),
        (42, TypeError),
        ("abcd", TypeError),
    ],
)
def test_what_is_no_location(obama, location, error):
    with pytest.raises(error, match="a location must be four"):
        fr.face_encodings(obama, [location])


def test_odd_locations(obama):
    assert fr.face_encodings(obama, []) == []
    assert fr.face_landmarks(obama, []) == []
    by_array = fr.face_encodings(obama, np.array([(142, 617, 409, 349)]))[0]
    assert np.array_equal(by_array, fr.face_encodings(obama, [(142, 617, 409, 349)])[0])
    outside = fr.face_encodings(obama, [(5000, 5200, 5200, 5000)])
    assert np.isfinite(outside[0]).all()
    with pytest.raises(DegenerateLandmarksError):
        fr.face_encodings(obama, [(10, 10, 10, 10)])
    with pytest.raises(RuntimeError, match="without pixels"):
        fr.face_encodings(np.zeros((0, 0, 3), np.uint8), [(0, 9, 9, 0)])


# -- comparing ----------------------------------------------------------------------------------


def test_face_distance():
    known = [np.zeros(2), np.array([3.0, 4.0])]
    found = fr.face_distance(known, np.zeros(2))
    assert (found.tolist(), found.dtype) == ([0.0, 5.0], np.float64)
    assert fr.face_distance(np.array(known), [3, 4]).tolist() == [5.0, 0.0]
    for none in ([], np.array([])):
        assert fr.face_distance(none, np.zeros(2)).shape == (0,)
    with pytest.raises(ValueError, match=r"shapes \(1,3\) \(2,\)"):
        fr.face_distance([np.zeros(3)], np.zeros(2))
    with pytest.raises(TypeError):
        fr.face_distance(None, np.zeros(2))


def test_compare_faces():
    known = [np.array([0.6]), np.array([0.61])]
    found = fr.compare_faces(known, np.array([0.0]))
    assert type(found) is list
    assert [type(value) for value in found] == [np.bool_] * 2
    assert found == [True, False]  # 0.6 itself is within
    assert fr.compare_faces(known, np.array([0.0]), tolerance=0.7) == [True, True]
    assert fr.compare_faces([], np.zeros(1)) == fr.compare_faces(np.array([]), np.zeros(1)) == []


# -- what programs reach for behind the functions -----------------------------------------------


def test_raw_values(obama):
    (rect,) = api._raw_face_locations(obama)
    assert (rect.top(), rect.right(), rect.bottom(), rect.left()) == (142, 617, 409, 349)
    assert api._rect_to_css(rect) == (142, 617, 409, 349)
    assert api._css_to_rect((142, 617, 409, 349)) == rect
    assert api._trim_css_to_bounds((-3, 50, 70, -1), (60, 40, 3)) == (0, 40, 60, 0)
    (shape,) = api._raw_face_landmarks(obama)
    assert (shape.num_parts, shape.rect, len(shape.parts())) == (68, rect, 68)
    assert shape.part(10) == shape.parts()[10]
    (five,) = api._raw_face_landmarks(obama, model="small")
    assert (five.part(4).x, five.part(4).y) == (496, 295)


def test_boxes_over_the_edge_are_cut_at_it(obama):
    part = obama[:, 419:]
    raw = api._raw_face_locations(part)[0]
    assert raw.left() == -56
    assert fr.face_locations(part)[0] == (142, 191, 365, 0)
    # Without locations the whole box counts, as in face_recognition.
    by_raw, by_cut = fr.face_encodings(part)[0], fr.face_encodings(part, [(142, 191, 365, 0)])[0]
    assert np.linalg.norm(by_raw - by_cut) > 0.01


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="the system has no fork")
def test_a_forked_process_loads_its_own_models(samples: Path):
    code = f"""
import multiprocessing, sys
import vultus.compat.face_recognition as fr
image = fr.load_image_file({str(samples / "photos" / "astronaut.png")!r})
def boxes(_):
    return fr.face_locations(image)
if __name__ == "__main__":
    here = boxes(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(boxes, range(3)) == [here] * 3)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ended.stdout.strip() == "True"
