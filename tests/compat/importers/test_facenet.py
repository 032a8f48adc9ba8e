"""The class list of facenet's classifiers."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.importers import read_people
from vultus.errors import DataFileError


@pytest.fixture
def model() -> object:
    svm = pytest.importorskip("sklearn.svm", reason="pip install 'vultus[evaluate]'")
    return svm.SVC(kernel="linear").fit(np.eye(4), [0, 0, 1, 1])


def stored(folder: Path, value: object, protocol: int = 3) -> Path:
    path = folder / "classifier.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("kind", ["auto", "facenet"])
@pytest.mark.parametrize("protocol", range(6))
def test_a_classifier(tmp_path: Path, model, protocol: int, kind) -> None:
    path = stored(tmp_path, (model, ["Ann Lee", "Béa"]), protocol)
    found = read_people(path, kind)
    assert (found.format, found.people, found.faces) == ("facenet", ("Ann Lee", "Béa"), ())
    assert found.space is None
    (left,) = found.left
    assert left.reason == "sklearn.svm._classes.SVC is no gallery, and vultus runs no pickled model"
    assert "people are made without faces" in found.notes[0]


def test_names_nobody_can_have(tmp_path: Path, model) -> None:
    found = read_people(stored(tmp_path, [model, ["Ann", "a\nb", None, "Ann"]]))
    assert found.people == ("Ann",)
    assert [left.where.rpartition("[")[2] for left in found.left[1:]] == ["1]", "2]"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda model: model, "holds a model alone, sklearn.svm._classes.SVC, and no names"),
        (lambda model: (model, []), "must hold a classifier and its list of class names"),
        (lambda model: (model, "Ann"), "must hold a classifier and its list"),
        (lambda model: (model, ["Ann"], 3), "must hold a classifier and its list"),
        (lambda _: (["Ann"], ["Ann"]), "must hold a classifier and its list"),
    ],
)
def test_what_is_no_classifier(tmp_path: Path, model, value, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        read_people(stored(tmp_path, value(model)), "facenet")
