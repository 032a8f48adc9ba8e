"""Stored encodings of face_recognition, in the forms that scripts store them in."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.importers import read_people
from vultus.compat.importers.face_recognition import encodings_space
from vultus.errors import DataFileError, RangeError

PEOPLE = ["Ann Lee", "Béa 王", "Ann Lee"]


@pytest.fixture
def rows(encoding) -> list[np.ndarray]:
    return [encoding(seed) for seed in range(3)]


def stored(folder: Path, value: object, protocol: int = 4) -> Path:
    path = folder / "encodings.pickle"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def check(path: Path, rows: list[np.ndarray], people: list[str] = PEOPLE, **options) -> None:
    found = read_people(path, **options)
    assert found.format == "face_recognition"
    assert found.left == ()
    assert [face.person for face in found.faces] == people
    assert found.people == tuple(dict.fromkeys(people))
    for face, row in zip(found.faces, rows, strict=True):
        raw = face.embedding.vector.astype(np.float64) * face.embedding.raw_norm
        assert raw == pytest.approx(row, abs=1e-6)
        assert face.embedding.raw_norm == pytest.approx(np.linalg.norm(row))
    assert found.space == encodings_space()
    assert found.space is not None
    assert found.space.id == "dlib-resnet-v1/fd107ddb6263/128/dlib-10"


# -- pickles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_lists_in_a_dictionary(tmp_path: Path, rows, protocol: int) -> None:
    check(stored(tmp_path, {"encodings": rows, "names": PEOPLE}, protocol), rows)


@pytest.mark.parametrize("keys", [("encodings", "name"), ("known_face_encodings", "Labels")])
def test_other_keys(tmp_path: Path, rows, keys: tuple[str, str]) -> None:
    check(stored(tmp_path, {keys[1]: PEOPLE, keys[0]: rows}), rows)


def test_each_form(tmp_path: Path, rows) -> None:
    ann, bea = [rows[0], rows[2]], rows[1]
    by_person, order = ["Ann Lee", "Ann Lee", "Béa 王"], [rows[0], rows[2], rows[1]]
    check(stored(tmp_path, {"Ann Lee": ann, "Béa 王": bea}), order, by_person)
    check(stored(tmp_path, {"Ann Lee": np.stack(ann), "Béa 王": [bea]}), order, by_person)
    nested = {"Ann Lee": {"encodings": ann}, "Béa 王": {"encoding": bea}}
    check(stored(tmp_path, nested), order, by_person)
    check(stored(tmp_path, (PEOPLE, rows)), rows)
    check(stored(tmp_path, [rows, PEOPLE]), rows)
    check(stored(tmp_path, (np.stack(rows), np.array(PEOPLE))), rows)
    check(stored(tmp_path, list(zip(PEOPLE, rows, strict=True))), rows)
    check(stored(tmp_path, list(zip(rows, PEOPLE, strict=True))), rows)
    items = [{"name": n, "encoding": r} for n, r in zip(PEOPLE, rows, strict=True)]
    check(stored(tmp_path, items), rows)
    check(stored(tmp_path, {"encodings": [[row] for row in rows], "names": PEOPLE}), rows)
    check(stored(tmp_path, {"encodings": [r.tolist() for r in rows], "names": PEOPLE}), rows)
    check(stored(tmp_path, {"Ann": rows[0]}), rows[:1], ["Ann"])
    check(stored(tmp_path, {7: rows[0], 12: rows[1]}), rows[:2], ["7", "12"])


def test_two_lists_of_two(tmp_path: Path, rows) -> None:
    check(stored(tmp_path, (PEOPLE[:2], rows[:2])), rows[:2], PEOPLE[:2])
    check(stored(tmp_path, (rows[:2], PEOPLE[:2])), rows[:2], PEOPLE[:2])
    pairs = [("Ann", rows[0]), ("Bob", rows[1])]
    check(stored(tmp_path, pairs), rows[:2], ["Ann", "Bob"])
    check(stored(tmp_path, ([3, 4], rows[:2])), rows[:2], ["3", "4"])


def test_two_pickles_in_one_file(tmp_path: Path, rows) -> None:
    path = tmp_path / "faces.dat"
    path.write_bytes(pickle.dumps(rows) + pickle.dumps(PEOPLE))
    check(path, rows)


def test_names_of_python_2(tmp_path: Path, rows) -> None:
    path = stored(tmp_path, {"encodings": rows[:1], "names": ["Béa".encode()]}, 2)
    check(path, rows[:1], ["Béa"])


def test_the_classifier_of_its_example(tmp_path: Path, rows) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="pip install 'vultus[evaluate]'")
    for algorithm in ("ball_tree", "brute"):
        model = neighbors.KNeighborsClassifier(1, algorithm=algorithm).fit(rows, PEOPLE)
        path = stored(tmp_path, model)
        check(path, rows)
        check(path, rows, kind="face_recognition")


# -- other files --------------------------------------------------------------------------------


def test_json(tmp_path: Path, rows) -> None:
    path = tmp_path / "a.json"
    for value in (
        {"encodings": [r.tolist() for r in rows], "names": PEOPLE},
        [{"name": n, "encoding": r.tolist()} for n, r in zip(PEOPLE, rows, strict=True)],
    ):
        path.write_text(json.dumps(value), encoding="utf-8-sig")
        check(path, rows)


@pytest.mark.parametrize("suffix", ["txt", "json", "npy", "pkl"])
def test_a_matrix_with_names_beside_it(tmp_path: Path, rows, suffix: str) -> None:
    path, names = tmp_path / "encodings.npy", tmp_path / f"names.{suffix}"
    np.save(path, np.stack(rows))
    if suffix == "txt":
        names.write_text("\n".join(PEOPLE) + "\n", encoding="utf-8")
    elif suffix == "json":
        names.write_text(json.dumps(PEOPLE))
    elif suffix == "npy":
        np.save(names, np.array(PEOPLE))
    else:
        names.write_bytes(pickle.dumps(PEOPLE))
    check(path, rows)
    elsewhere = names.rename(tmp_path / f"other.{suffix}")
    check(path, rows, names=elsewhere)
    with pytest.raises(DataFileError, match="names may lie beside: --names FILE"):
        read_people(path)


def test_archives_of_numpy(tmp_path: Path, rows) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, encodings=np.stack(rows), names=np.array(PEOPLE))
    check(path, rows)
    np.savez(path, **{"Ann": rows[0], "Béa 王": np.stack(rows[1:])})
    check(path, rows, ["Ann", "Béa 王", "Béa 王"])
    np.savez(path, np.stack(rows))
    (tmp_path / "labels.txt").write_text("\n".join(PEOPLE), encoding="utf-8")
    check(path, rows)
    np.save(tmp_path / "b.npy", np.asfortranarray(np.stack(rows).astype(np.float32)))
    check(tmp_path / "b.npy", rows)


# -- what is left -------------------------------------------------------------------------------


def test_what_is_no_encoding_is_named_and_left(tmp_path: Path, rows, encoding) -> None:
    broken = rows[0].copy()
    broken[3] = np.nan
    strange = {
        "unit": (encoding(1, norm=1.0), "has a length of 1.05 to 1.95, this has 1; unit vectors"),
        "long": (encoding(1, norm=9.0), "this has 9"),
        "zero": (np.zeros(128), "this has 0"),
        "few": (encoding(1, length=64), "has 128 numbers, this has 64"),
        "nan": (broken, "must be finite"),
        "huge": (np.full(128, 1e300), "must be finite"),
        "nobody": ([], "it is no encoding"),
        "none": (None, "it is no encoding"),
        "text": ("abc", "it is no encoding"),
        "x" * 300: (rows[0], "a name must have 1 to 256 bytes of UTF-8, got 300"),
        "a\tb": (rows[0], "must hold no control characters"),
        "": (rows[0], "a name must have 1 to 256 bytes"),
    }
    value = {"Ann": rows[0], **{name: held for name, (held, _) in strange.items()}}
    found = read_people(stored(tmp_path, value))
    assert found.people == ("Ann",)
    assert len(found.left) == len(strange)
    for left, (name, (_, reason)) in zip(found.left, strange.items(), strict=True):
        assert left.person == name[:80]
        assert reason in left.reason
        assert left.where.startswith(str(tmp_path / "encodings.pickle"))


def test_people_without_names_are_left(tmp_path: Path, rows) -> None:
    value = {"encodings": rows, "names": [None, 1.5, "Ann"]}
    found = read_people(stored(tmp_path, value))
    assert found.people == ("Ann",)
    assert [left.reason for left in found.left] == [
        "a name must be text or a whole number, got NoneType",
        "a name must be text or a whole number, got float",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"encodings": [], "names": []}, None),
        ({}, None),
        ({"encodings": [[0.5] * 128], "names": ["a", "b"]}, "got 2 names and 1 encodings"),
        ([], "must hold names and encodings in a form that is known"),
        (["Ann", "Bob"], "in a form that is known"),
        ([1.5], "in a form that is known"),
        ("Ann", "in a form that is known"),
        (12, "in a form that is known"),
        ({"encodings": [[0.5] * 128]}, "in a form that is known"),
        ([[0.5] * 128], "in a form that is known"),
    ],
)
def test_contents_in_no_known_form(tmp_path: Path, value: object, said: str | None) -> None:
    path = stored(tmp_path, value)
    if said is None:
        found = read_people(path)
        assert (found.faces, found.people, found.left, found.space) == ((), (), (), None)
        return
    with pytest.raises(DataFileError, match=said):
        read_people(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read: No such file"):
        read_people(tmp_path / "gone.pkl")
    with pytest.raises(DataFileError, match="cannot be read: Is a directory"):
        read_people(tmp_path)
    (tmp_path / "empty.pkl").touch()
    with pytest.raises(DataFileError, match=r"empty\.pkl is empty"):
        read_people(tmp_path / "empty.pkl")
    with pytest.raises(RangeError, match="kind must be one of auto, face_recognition"):
        read_people(tmp_path / "empty.pkl", "csv")  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="person_from must be one of auto, folder, file"):
        read_people(tmp_path / "empty.pkl", person_from="me")  # type: ignore[arg-type]


def test_the_notes_say_what_changes(tmp_path: Path, rows) -> None:
    first, second = read_people(stored(tmp_path, {"Ann": rows[0]})).notes
    assert "0.6 corresponds to a cosine of" in first
    assert "--no-mirror" in second
