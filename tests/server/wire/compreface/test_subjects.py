"""Subjects: made, listed, renamed, merged, erased."""

import pytest

ANYTHING = "Something went wrong, please try again"


def failed(answer):
    body = answer.json()
    assert set(body) == {"message", "code"}
    return answer.status_code, body["code"], body["message"]


def names(api):
    answer = api("GET", "recognition/subjects")
    assert answer.status_code == 200
    assert set(answer.json()) == {"subjects"}
    return answer.json()["subjects"]


def test_made_and_listed(api):
    assert names(api) == []
    answer = api("POST", "recognition/subjects", json={"subject": "张三", "more": 1})
    assert (answer.status_code, answer.json()) == (201, {"subject": "张三"})
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    assert names(api) == ["Ann", "张三"]
    assert api("GET", "recognition/subjects/").json() == {"subjects": ["Ann", "张三"]}


def test_one_subject_whatever_the_case(api):
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    for name in ("Ann", "ANN", " ann "):
        answer = api("POST", "recognition/subjects", json={"subject": name})
        assert failed(answer) == (400, 43, "Subject already exists")
    assert names(api) == ["Ann"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("  ", 26, "Subject name cannot be empty"),
        ("x" * 51, 26, "Subject name size must be between 1 and 50"),
        (
            "a/b",
            36,
            "The name cannot contain the following special characters: ';', '/', '\\'",
        ),
    ],
)
def test_names_have_rules(api, method, name, code, message):
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    path = "recognition/subjects" + ("/Ann" if method == "PUT" else "")
    assert failed(api(method, path, json={"subject": name})) == (400, code, message)
    assert names(api) == ["Ann"]


@pytest.mark.parametrize("body", [{}, {"subject": None}, {"subject": ""}])
def test_a_missing_name(api, body):
    answer = api("POST", "recognition/subjects", json=body)
    assert failed(answer) == (400, 26, "Subject name cannot be empty")
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    answer = api("PUT", "recognition/subjects/Ann", json=body)
    assert (answer.status_code, answer.json()) == (200, {"updated": False})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000, b"NaN"])
def test_what_is_no_object_is_refused(api, content):
    json = {"content-type": "application/json"}
    answer = api("POST", "recognition/subjects", content=content, headers=json)
    assert failed(answer) == (400, 0, ANYTHING)


def test_what_does_not_say_it_is_json_is_refused(api):
    answer = api("POST", "recognition/subjects", content=b'{"subject": "a"}')
    assert failed(answer) == (415, 0, "Content type '' not supported")
    answer = api("POST", "recognition/subjects", data={"subject": "a"})
    kind = "application/x-www-form-urlencoded"
    assert failed(answer) == (415, 0, f"Content type '{kind}' not supported")
    assert names(api) == []


def test_renamed(api):
    api("POST", "recognition/subjects", json={"subject": "Ann Lee"})
    body = {"subject": "Kim", "api_endpoint": "Ann Lee"}  # as the SDK sends it
    answer = api("PUT", "recognition/subjects/ann%20lee", json=body)
    assert (answer.status_code, answer.json()) == (200, {"updated": True})
    assert names(api) == ["Kim"]
    assert api("PUT", "recognition/subjects/Kim", json={"subject": "Kim"}).json() == {
        "updated": False
    }
    assert api("PUT", "recognition/subjects/kim", json={"subject": "KIM"}).json() == {
        "updated": True
    }
    assert names(api) == ["KIM"]
    answer = api("PUT", "recognition/subjects/Ann Lee", json={"subject": "x"})
    assert failed(answer) == (404, 42, "Subject Ann Lee not found")


def test_renamed_to_a_name_that_is_taken_they_become_one(api, pictures):
    ids = [api.add("Ann", pictures.obama), api.add("Kim", pictures.obama2)]
    assert api("PUT", "recognition/subjects/ann", json={"subject": "KIM"}).json() == {
        "updated": True
    }
    assert names(api) == ["Kim"]
    faces = api("GET", "recognition/faces").json()["faces"]
    assert faces == [{"image_id": image_id, "subject": "Kim"} for image_id in ids]


def test_erased(api, pictures):
    for name in ("Ann", "Kim", "Lee"):
        api("POST", "recognition/subjects", json={"subject": name})
    api.add("Ann", pictures.obama)
    answer = api("DELETE", "recognition/subjects/ANN")
    assert (answer.status_code, answer.json()) == (200, {"subject": "ANN"})
    assert names(api) == ["Kim", "Lee"]
    assert len(api.gallery) == 0
    answer = api("DELETE", "recognition/subjects/Ann")
    assert failed(answer) == (404, 42, "Subject Ann not found")
    answer = api("DELETE", "recognition/subjects")
    assert (answer.status_code, answer.json()) == (200, {"deleted": 2})
    assert names(api) == []
    assert api("DELETE", "recognition/subjects").json() == {"deleted": 0}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_slash_without_a_name_is_nobody_not_everybody(api, method):
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    answer = api(method, "recognition/subjects/", json={"subject": "Kim"})
    assert failed(answer) == (400, 35, "Required path variable subject is missing")
    assert names(api) == ["Ann"]


def test_a_name_with_a_slash_that_came_another_way(api):
    api.gallery.put_person("a/b;c")
    assert api("DELETE", "recognition/subjects/a%2Fb%3Bc").json() == {"subject": "a/b;c"}
    assert names(api) == []


def test_people_made_elsewhere_are_subjects_and_the_other_way_round(api):
    api.gallery.put_person("guest-17", name="Kim")
    assert names(api) == ["guest-17"]
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    assert "Ann" in api.gallery


def test_another_tenant_has_other_subjects(api, other):
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    assert names(other) == []
    answer = other("DELETE", "recognition/subjects/Ann")
    assert failed(answer) == (404, 42, "Subject Ann not found")
    assert other("DELETE", "recognition/subjects").json() == {"deleted": 0}
    assert names(api) == ["Ann"]


def test_changes_are_on_record_with_the_application(api):
    api("POST", "recognition/subjects", json={"subject": "Ann"})
    last = api.gallery.audit(limit=100_000)[-1]
    app_id = api.service.keys.by_api_key(api.key).app_id
    assert (last.actor, last.action) == (f"app:{app_id}", "person.add")
