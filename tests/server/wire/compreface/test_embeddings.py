"""The embeddings that clients bring themselves."""

import uuid

import numpy as np
import pytest

ANYTHING = "Something went wrong, please try again"
JSON = {"content-type": "application/json"}


def failed(answer):
    body = answer.json()
    assert set(body) == {"message", "code"}
    return answer.status_code, body["code"], body["message"]


def told(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def embedding(api, picture):
    (face,) = told(api.send("detection/detect", picture, face_plugins="calculator"))["result"]
    return face["embedding"]


@pytest.fixture
def known(api, pictures):
    return {
        "obama": api.add("Barack Obama", pictures.obama),
        "biden": api.add("Joe Biden", pictures.biden),
    }


def test_whose_embeddings_are_these(api, known, pictures):
    mine = [embedding(api, pictures.obama2), embedding(api, pictures.biden)]
    path = "recognition/embeddings/recognize"
    body = told(api("POST", path, params={"prediction_count": 2}, json={"embeddings": mine}))
    assert set(body) == {"result"}
    assert [entry["embedding"] for entry in body["result"]] == mine
    names = [[s["subject"] for s in entry["similarities"]] for entry in body["result"]]
    assert names == [["Barack Obama", "Joe Biden"], ["Joe Biden", "Barack Obama"]]
    assert body["result"][1]["similarities"][0]["similarity"] > 0.999
    of_picture = told(api.send("recognition/recognize", pictures.obama2))["result"][0]["subjects"]
    one = told(api("POST", path, json={"embeddings": mine[:1]}))
    assert one["result"][0]["similarities"] == of_picture


def test_length_does_not_matter(api, known, pictures):
    mine = np.array(embedding(api, pictures.obama2))
    path = "recognition/embeddings/recognize"
    for factor in (1e-300, 3.0, 1e300):
        body = told(api("POST", path, json={"embeddings": [(mine * factor).tolist()]}))
        assert body["result"][0]["similarities"][0]["similarity"] > 0.9


def test_an_empty_collection(other, api, known, pictures):
    mine = embedding(api, pictures.obama2)
    body = told(other("POST", "recognition/embeddings/recognize", json={"embeddings": [mine]}))
    assert body["result"][0]["similarities"] == []


def test_against_a_stored_example_best_first(api, other, known, pictures):
    mine = [embedding(api, pictures.biden), embedding(api, pictures.obama2)]
    path = f"recognition/embeddings/faces/{known['obama']}/verify"
    body = told(api("POST", path, json={"embeddings": mine}))
    assert [entry["embedding"] for entry in body["result"]] == mine[::-1]
    similarities = [entry["similarity"] for entry in body["result"]]
    assert similarities[0] > 0.9
    assert similarities[1] < 0.1
    assert set(body["result"][0]) == {"embedding", "similarity"}
    unknown = f"recognition/embeddings/faces/{uuid.uuid4()}/verify"
    for caller, absent in ((api, unknown), (other, path)):
        body = told(caller("POST", absent, json={"embeddings": mine}))
        assert [entry["similarity"] for entry in body["result"]] == [0.0, 0.0]
    assert failed(api("POST", path.replace(known["obama"], "x"), json={}))[1] == 0


def test_embeddings_against_one_another(api, pictures):
    source, like, unlike = (
        embedding(api, picture) for picture in (pictures.obama, pictures.obama2, pictures.biden)
    )
    path = "verification/embeddings/verify"
    body = told(api("POST", path, json={"source": source, "targets": [unlike, like]}))
    assert [entry["embedding"] for entry in body["result"]] == [like, unlike]
    assert body["result"][0]["similarity"] > 0.9
    assert body["result"][1]["similarity"] < 0.1


@pytest.mark.parametrize("empty", [None, []])
def test_there_must_be_some(api, known, empty):
    for path in (
        "recognition/embeddings/recognize",
        f"recognition/embeddings/faces/{known['obama']}/verify",
    ):
        for body in ({}, {"embeddings": empty}):
            answer = api("POST", path, json=body)
            assert failed(answer) == (400, 5, "Field embeddings cannot be empty")
    path, vector = "verification/embeddings/verify", [1.0] * 128
    answer = api("POST", path, json={"source": empty, "targets": [vector]})
    assert failed(answer) == (400, 5, "Field source cannot be empty")
    answer = api("POST", path, json={"source": vector, "targets": empty})
    assert failed(answer) == (400, 5, "Field targets cannot be empty")


@pytest.mark.parametrize(
    "rows",
    ["x", 1, [1.0] * 128, [["1"] * 128], [[None] * 128], [[True] * 128], [[[1.0]] * 128], {"a": 1}],
)
def test_lists_of_numbers_are_wanted(api, rows):
    answer = api("POST", "recognition/embeddings/recognize", json={"embeddings": rows})
    assert failed(answer) == (400, 0, ANYTHING)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0] * 127, "Each embedding must have 128 numbers"),
        ([], "Each embedding must have 128 numbers"),
        ([0.0] * 128, "An embedding must hold finite numbers, and not zeros alone"),
        ([10**400] * 128, "An embedding must hold finite numbers"),
    ],
)
def test_directions_are_wanted(api, row, message):
    answer = api("POST", "recognition/embeddings/recognize", json={"embeddings": [row]})
    assert failed(answer) == (400, 26, message)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_are_finite(api, number):
    row = ",".join([number] + ["0"] * 127)
    body = f'{{"embeddings":[[{row}]]}}'.encode()
    path = "recognition/embeddings/recognize"
    status, code, _ = failed(api("POST", path, content=body, headers=JSON))
    assert status == 400
    assert code == (26 if number == "1e999" else 0)


def test_a_count_of_predictions(api):
    path, body = "recognition/embeddings/recognize", {"embeddings": [[1.0] * 128]}
    answer = api("POST", path, params={"prediction_count": -1}, json=body)
    assert failed(answer) == (400, 26, "prediction_count should be equal or greater than 1; ")


def test_too_many_at_once(api):
    rows = [[0] * 128] * 10_001
    answer = api("POST", "recognition/embeddings/recognize", json={"embeddings": rows})
    assert failed(answer) == (400, 26, "There must be at most 10000 embeddings")


def test_a_large_body_is_answered(api, known):
    rows = np.random.default_rng(1).standard_normal((1500, 128)).round(6).tolist()
    body = told(api("POST", "recognition/embeddings/recognize", json={"embeddings": rows}))
    assert len(body["result"]) == 1500
