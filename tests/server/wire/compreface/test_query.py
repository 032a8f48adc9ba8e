"""Query parameters."""

import pytest

from vultus.server.wire.compreface.errors import CompreFaceError
from vultus.server.wire.compreface.query import Options, Page, read_options, read_page, read_subject


def test_without_parameters_everything_is_as_compreface_has_it() -> None:
    assert read_options({}) == Options(0, 1, None, frozenset(), False, True)
    blank = dict.fromkeys(
        ("limit", "prediction_count", "det_prob_threshold", "face_plugins", "status"), ""
    )
    assert read_options(blank) == read_options({})


def test_all_parameters() -> None:
    query = {
        "limit": "2",
        "prediction_count": "+3",
        "det_prob_threshold": "0.8",
        "face_plugins": "age, gender,landmarks,,calculator,mask,pose,landmarks2d106",
        "status": "True",
        "detect_faces": "FALSE",
        "unknown": "x",
    }
    options = read_options(query)
    assert (options.limit, options.prediction_count, options.det_prob_threshold) == (2, 3, 0.8)
    assert options.plugins == {
        "age", "gender", "landmarks", "calculator", "mask", "pose", "landmarks2d106"
    }  # fmt: skip
    assert (options.status, options.detect_faces) == (True, False)


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes", "on", " true "])
def test_truth_in_any_case(text: str) -> None:
    assert read_options({"status": text}).status is True


@pytest.mark.parametrize("text", ["0", "1", "0.0", "1.0", ".5", "5e-1"])
def test_thresholds(text: str) -> None:
    assert read_options({"det_prob_threshold": text}).det_prob_threshold == float(text)


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({"limit": "-1"}, 26, "Limit should be equal or greater than 0; "),
        ({"prediction_count": "0"}, 26, "prediction_count should be equal or greater than 1; "),
        (
            {"limit": "-2", "prediction_count": "-2"},
            26,
            "Limit should be equal or greater than 0; "
            "prediction_count should be equal or greater than 1; ",
        ),
        ({"det_prob_threshold": "1.01"}, 28, "No face is found in the given image"),
        ({"det_prob_threshold": "-0.1"}, 28, "No face is found in the given image"),
        ({"det_prob_threshold": "1e999"}, 28, "No face is found in the given image"),
        ({"det_prob_threshold": "NaN"}, 28, "No face is found in the given image"),
        ({"face_plugins": "age,shoe_size"}, 28, "No face is found in the given image"),
        *(
            (query, 0, "Something went wrong, please try again")
            for query in (
                {"limit": "many"},
                {"limit": "1.5"},
                {"limit": "２"},
                {"limit": "9" * 400},
                {"limit": "2147483648"},
                {"prediction_count": "0x10"},
                {"det_prob_threshold": "high"},
                {"det_prob_threshold": "1_0"},
                {"status": "perhaps"},
                {"detect_faces": "2"},
            )
        ),
    ],
)
def test_what_is_refused(query: dict[str, str], code: int, message: str) -> None:
    with pytest.raises(CompreFaceError) as raised:
        read_options(query)
    assert (raised.value.status, raised.value.number, raised.value.message) == (400, code, message)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ({}, Page(0, 20)),
        ({"page": "3", "size": "7"}, Page(3, 7)),
        ({"page": "-1", "size": "0"}, Page(0, 20)),
        ({"size": "100000"}, Page(0, 2000)),
    ],
)
def test_pages(query: dict[str, str], page: Page) -> None:
    assert read_page(query) == page


def test_a_subject_must_be_told() -> None:
    assert read_subject({"subject": " a "}) == " a "
    for query, code, message in (
        ({}, 33, "Required parameter subject is missing"),
        ({"subject": " "}, 26, "Subject name is empty; "),
    ):
        with pytest.raises(CompreFaceError) as raised:
            read_subject(query)
        assert (raised.value.number, raised.value.message) == (code, message)
