"""Examples: kept, listed, erased, shown."""

import base64
import io
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from vultus.gallery import NewSample
from vultus.types import Embedding

ANYTHING = "Something went wrong, please try again"
NO_FACE = "No face is found in the given image"


def failed(answer):
    body = answer.json()
    assert set(body) == {"message", "code"}
    return answer.status_code, body["code"], body["message"]


def fill(api, count, person="p{}", group=None):
    """Samples without pictures."""
    space = api.service.recognizer.embedder.space
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((count, space.dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return api.gallery.add_many(
        NewSample(person.format(i), Embedding(vector, space), group=group)
        for i, vector in enumerate(vectors)
    )


def test_kept_of_a_multipart_file(api, pictures):
    answer = api.send("recognition/faces", pictures.obama, subject=" Barack ")
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"image_id", "subject"}
    assert body["subject"] == " Barack "  # as it was sent
    assert uuid.UUID(body["image_id"]).version == 4
    assert [person.id for person in api.gallery.people()] == ["Barack"]


def test_kept_of_base64(api, pictures):
    text = base64.b64encode(pictures.obama).decode()
    for spelling in (text, text.rstrip("=")):
        body = {"file": spelling, "unknown": True}
        answer = api("POST", "recognition/faces", params={"subject": "Barack"}, json=body)
        assert answer.status_code == 201
    (one, two) = (api.gallery.embedding(sample.number) for sample in api.gallery.samples())
    assert one.similarity(two) == pytest.approx(1.0, abs=1e-6)


def test_the_same_picture_twice_is_two_examples_of_one_subject(api, pictures):
    ids = {api.add("Ann", pictures.obama), api.add("aNN", pictures.obama)}
    assert len(ids) == 2
    assert [(person.id, person.samples) for person in api.gallery.people()] == [("Ann", 2)]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({}, 33, "Required parameter subject is missing"),
        ({"subject": "  "}, 26, "Subject name is empty; "),
        ({"subject": "a\0b"}, 26, None),
        ({"subject": "x" * 257}, 26, None),
        ({"subject": "a", "det_prob_threshold": "2"}, 28, NO_FACE),
        ({"subject": "a", "det_prob_threshold": "x"}, 0, ANYTHING),
        ({"subject": "a", "det_prob_threshold": "1.0"}, 28, NO_FACE),
    ],
)
def test_parameters_that_are_refused(api, pictures, query, code, message):
    status, told, text = failed(api.send("recognition/faces", pictures.obama, **query))
    assert (status, told) == (400, code)
    assert message is None or text == message
    assert api.gallery.people() == []


def test_a_name_that_json_bodies_may_not_hold_is_fine_here(api, pictures):
    api.add("a/b;c\\" + "x" * 60, pictures.obama)
    assert api.gallery.people()[0].id == "a/b;c\\" + "x" * 60


def test_one_face_is_wanted(api, pictures):
    answer = api.send("recognition/faces", pictures.nobody, subject="a")
    assert failed(answer) == (400, 28, NO_FACE)
    answer = api.send("recognition/faces", pictures.wall, subject="a")
    assert failed(answer) == (400, 31, "More than one face in the source image")
    assert api.gallery.people() == []


@pytest.mark.parametrize("junk", [b"", b"no picture", b"\xff\xd8\xff" + b"\0" * 100, b"<svg/>"])
def test_what_is_no_picture_shows_no_face(api, junk):
    assert failed(api.send("recognition/faces", junk, subject="a")) == (400, 28, NO_FACE)


def test_a_bomb_shows_no_face(api):
    file = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(file, "PNG")  # 144 million pixels in 140 KB
    answer = api.send("recognition/faces", file.getvalue(), subject="a", name="bomb.png")
    assert failed(answer) == (400, 28, NO_FACE)


@pytest.mark.parametrize("name", ["a.pdf", "a", "jpg", ".", "a.jpg.exe", "张三.txt", "a.svg"])
def test_names_of_files_have_endings(api, pictures, name):
    answer = api.send("recognition/faces", pictures.obama, name=name, subject="a")
    assert failed(answer) == (400, 21, f"File [{name}] has an unavailable extension")


@pytest.mark.parametrize("name", ["a.JPG", "张三.jpeg", "a.ico", "../../a.png", "a.b.webp"])
def test_any_picture_may_have_any_of_the_endings(api, pictures, name):
    assert api.send("recognition/faces", pictures.obama, name=name, subject="a").status_code == 201


def test_a_picture_must_come(api):
    subject = {"subject": "a"}
    answer = api("POST", "recognition/faces", params=subject, files={"other": ("a.jpg", b"x")})
    assert failed(answer) == (400, 34, "Required part file is missing")
    answer = api("POST", "recognition/faces", params=subject, files={"file": (None, b"x")})
    assert failed(answer) == (400, 34, "Required part file is missing")
    for body in ({}, {"file": None}, {"file": ""}):
        answer = api("POST", "recognition/faces", params=subject, json=body)
        assert failed(answer) == (400, 5, "Field file cannot be empty")
    for text in ("no base64!", "aGk=\n", "data:image/png;base64,aGk=", "ähnlich", 17, ["aGk="]):
        answer = api("POST", "recognition/faces", params=subject, json={"file": text})
        assert failed(answer) == (400, 21, "Provided value is not Base64")
    answer = api("POST", "recognition/faces", params=subject, content=b"raw")
    assert failed(answer) == (415, 0, "Content type '' not supported")
    for content in (b"", b"--x\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"):
        kind = {"content-type": "multipart/form-data; boundary=x"}
        answer = api("POST", "recognition/faces", params=subject, content=content, headers=kind)
        assert answer.status_code == 400
        assert answer.json()["code"] in {0, 34}
    no_boundary = {"content-type": "multipart/form-data"}
    answer = api("POST", "recognition/faces", params=subject, content=b"x", headers=no_boundary)
    assert failed(answer) == (400, 0, ANYTHING)


def test_listed_page_by_page(api, other):
    fill(api, 45)
    ids = [api.service.ids("one").to_uuid(s.number) for s in api.gallery.samples()]
    first = api("GET", "recognition/faces").json()
    assert first == {
        "faces": [{"image_id": ids[i], "subject": f"p{i}"} for i in range(20)],
        "page_number": 0,
        "page_size": 20,
        "total_pages": 3,
        "total_elements": 45,
    }
    seen = []
    for page in range(4):
        answer = api("GET", "recognition/faces", params={"page": page, "size": 13}).json()
        assert (answer["page_number"], answer["page_size"]) == (page, 13)
        assert answer["total_pages"] == 4
        seen += [face["image_id"] for face in answer["faces"]]
    assert seen == ids
    beyond = api("GET", "recognition/faces", params={"page": 2**31 - 1}).json()
    assert (beyond["faces"], beyond["page_number"]) == ([], 2**31 - 1)
    empty = other("GET", "recognition/faces").json()
    assert (empty["faces"], empty["total_pages"], empty["total_elements"]) == ([], 0, 0)
    answer = api("GET", "recognition/faces", params={"page": "x"})
    assert failed(answer) == (400, 0, ANYTHING)


def test_those_of_a_subject(api):
    fill(api, 3)
    fill(api, 25, person="Ann")
    answer = api("GET", "recognition/faces", params={"subject": "ANN", "size": 10, "page": 2})
    body = answer.json()
    assert [face["subject"] for face in body["faces"]] == ["Ann"] * 5
    assert (body["total_pages"], body["total_elements"]) == (3, 25)
    nobody = api("GET", "recognition/faces", params={"subject": "Kim"}).json()
    assert (nobody["faces"], nobody["total_elements"]) == ([], 0)


def test_pages_far_behind_are_found(api, monkeypatch):
    monkeypatch.setattr("vultus.server.wire.compreface.collection._PAGE", 4)
    fill(api, 23)
    body = api("GET", "recognition/faces", params={"page": 2, "size": 7}).json()
    assert [face["subject"] for face in body["faces"]] == [f"p{i}" for i in range(14, 21)]


def test_faces_in_groups_are_examples_as_well(api):
    fill(api, 2, person="Ann", group="night shift")
    assert api("GET", "recognition/faces").json()["total_elements"] == 2


def test_one_is_erased(api, pictures):
    image_id = api.add("Ann", pictures.obama)
    answer = api("DELETE", f"recognition/faces/{image_id.upper()}")
    assert (answer.status_code, answer.json()) == (200, {"image_id": image_id, "subject": "Ann"})
    assert [(person.id, person.samples) for person in api.gallery.people()] == [("Ann", 0)]
    answer = api("DELETE", f"recognition/faces/{image_id}")
    assert failed(answer) == (404, 44, f"Image {image_id} not found")


def test_a_slash_without_an_example_is_none_not_all(api):
    fill(api, 2)
    answer = api("DELETE", "recognition/faces/")
    assert failed(answer) == (400, 35, "Required path variable image_id is missing")
    assert len(api.gallery) == 2


def test_several_are_erased_and_unknown_ones_passed_over(api, other):
    numbers = fill(api, 4)
    ids = [api.service.ids("one").to_uuid(number) for number in numbers]
    theirs = other.service.ids("two").to_uuid(fill(other, 1)[0])
    wanted = [ids[2], str(uuid.uuid4()), ids[0], ids[2], theirs]
    answer = api("POST", "recognition/faces/delete", json=wanted)
    assert answer.status_code == 200
    assert answer.json() == [
        {"image_id": ids[2], "subject": "p2"},
        {"image_id": ids[0], "subject": "p0"},
    ]
    assert [sample.number for sample in api.gallery.samples()] == [numbers[1], numbers[3]]
    assert len(other.gallery) == 1
    assert api("POST", "recognition/faces/delete", json=[]).json() == []


@pytest.mark.parametrize("body", [{}, ["x"], [1], "x", [["a"]], [None], ["../../etc/passwd"]])
def test_a_list_of_uuids_is_wanted(api, body):
    answer = api("POST", "recognition/faces/delete", json=body)
    assert failed(answer) == (400, 0, ANYTHING)


def test_all_of_a_subject_are_erased_and_the_subject(api):
    fill(api, 3, person="Ann")
    fill(api, 1, person="Kim")
    answer = api("DELETE", "recognition/faces", params={"subject": "ann"})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 3})
    assert [person.id for person in api.gallery.people()] == ["Kim"]
    assert api("DELETE", "recognition/faces", params={"subject": "ann"}).json() == {"deleted": 0}


def test_a_blank_subject_is_refused_and_none_is_everybody(api, other):
    fill(api, 3)
    fill(other, 1)
    for blank in ("", " "):
        answer = api("DELETE", "recognition/faces", params={"subject": blank})
        assert failed(answer) == (400, 26, "Subject name is empty; ")
    assert api("DELETE", "recognition/faces").json() == {"deleted": 3}
    assert api.gallery.people() == []
    assert len(other.gallery) == 1


@pytest.mark.parametrize("image_id", ["x", "1", "00000000-0000-0000-0000-00000000000g", "%00"])
@pytest.mark.parametrize(("method", "end"), [("DELETE", ""), ("GET", "/img"), ("POST", "/verify")])
def test_what_is_no_uuid_is_refused(api, method, end, image_id):
    answer = api(method, f"recognition/faces/{image_id}{end}")
    assert failed(answer) == (400, 0, ANYTHING)


def test_the_picture_kept_with_an_example(api, pictures):
    image_id = api.add("Barack", pictures.obama)
    for answer in (
        api("GET", f"recognition/faces/{image_id}/img"),
        api.client.get(f"/api/v1/static/{api.key}/images/{image_id}"),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "public, max-age=31536000"
        picture = Image.open(io.BytesIO(answer.content))
        assert picture.format == "PNG"
        assert min(picture.size) > 100


def test_no_picture_is_an_empty_body(api, other, pictures):
    (without,) = fill(api, 1)
    image_id = api.add("Barack", pictures.obama)
    for path in (
        f"recognition/faces/{api.service.ids('one').to_uuid(without)}/img",
        f"recognition/faces/{uuid.uuid4()}/img",
        f"static/{api.key}/images/{uuid.uuid4()}",
        f"static/{other.key}/images/{image_id}",
    ):
        answer = api("GET", path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
    assert other("GET", f"recognition/faces/{image_id}/img").content == b""
    answer = api("GET", f"static/{uuid.uuid4()}/images/{image_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, 10)
    answer = api("GET", f"static/secret/images/{image_id}")
    assert failed(answer) == (400, 26, "Service API key should be UUID")


def test_names_that_come_at_once_in_several_spellings_are_one_subject(api, pictures):
    spellings = ["ann", "Ann", "ANN", "aNn", "anN", "AnN"]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: api.add(name, pictures.obama), spellings))
    assert [person.samples for person in api.gallery.people()] == [6]
