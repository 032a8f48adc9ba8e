"""DeepFace's databases: every form, whose faces they are, and a space of their own."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.importers import read_people
from vultus.errors import DataFileError

NAME = "ds_model_facenet512_detector_opencv_aligned_normalization_base_expand_0.pkl"


def entry(identity: str, embedding: object) -> dict[str, object]:
    box = {"target_x": 1, "target_y": 2, "target_w": 3, "target_h": 4}
    return {"identity": identity, "hash": "0f", "embedding": embedding, **box}


def stored(folder: Path, value: object, name: str = NAME) -> Path:
    path = folder / "my_db" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(value))
    return path


def test_a_database(tmp_path: Path, encoding) -> None:
    one, two = encoding(1, 12.0, 512), encoding(2, 9.0, 512)
    path = stored(
        tmp_path,
        [
            entry("my_db/Ann/1.jpg", one.tolist()),
            entry("my_db\\Béa\\x\\2.jpg", two.tolist()),
            entry("my_db/Cid.jpg", two),
            entry("my_db/nobody.jpg", None),
        ],
    )
    found = read_people(path)
    assert found.format == "deepface"
    assert found.people == ("Ann", "Béa", "Cid")
    assert found.space is not None
    assert found.space.id == "deepface-facenet512//512/opencv+aligned+base+expand0"
    first = found.faces[0]
    assert first.embedding.vector == pytest.approx(one / 12.0, abs=1e-6)
    assert first.embedding.raw_norm == pytest.approx(12.0)
    assert first.source == "my_db/Ann/1.jpg"
    (left,) = found.left
    assert left.where.endswith(f"{NAME}[3]")
    assert left.reason == "my_db/nobody.jpg: no face was found in the picture"
    assert "deepface-facenet512 is a model that vultus does not have" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "space"),
    [
        (NAME, "deepface-facenet512//4/opencv+aligned+base+expand0"),
        (
            "ds_model_vggface_detector_retinaface_unaligned_normalization_vggface2_expand_10.pkl",
            "deepface-vggface//4/retinaface+unaligned+vggface2+expand10",
        ),
        ("ds_vggface_opencv_v2.pkl", "deepface-vggface//4/opencv"),
        ("representations_vgg_face.pkl", "deepface-vggface//4/unknown"),
        ("anything.pkl", "deepface-unknown//4/unknown"),
    ],
)
def test_the_model_is_in_the_files_name(tmp_path: Path, name: str, space: str) -> None:
    found = read_people(stored(tmp_path, [entry("my_db/Ann/1.jpg", [1.0, 2.0, 3.0, 4.0])], name))
    assert found.space is not None
    assert (found.format, found.space.id) == ("deepface", space)


def test_lists_of_older_versions(tmp_path: Path) -> None:
    rows = [["my_db/Ann/1.jpg", [3.0, 4.0]], ("my_db/Bob/1.jpg", np.array([0.0, 2.0]), 1, 2, 3, 4)]
    found = read_people(stored(tmp_path, rows, "representations_arcface.pkl"))
    assert [face.person for face in found.faces] == ["Ann", "Bob"]
    assert found.faces[0].embedding.vector.tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    ("identities", "person_from", "people"),
    [
        (["my_db/Ann/1.jpg", "my_db/Ann/2.jpg"], "auto", ["Ann", "Ann"]),
        (["my_db/Ann.jpg", "my_db/Bob.jpg"], "auto", ["Ann", "Bob"]),
        (["/data/my_db/Ann/a/1.jpg", "/data/my_db/Ann/b/2.jpg"], "auto", ["Ann", "Ann"]),
        (["/data/my_db/Ann/a/1.jpg"], "folder", ["a"]),
        (["/data/my_db/Ann/a/1.jpg"], "file", ["1"]),
        (["C:\\faces\\Ann\\1.jpg", "C:\\faces\\Bob\\1.jpg"], "auto", ["Ann", "Bob"]),
        (["Ann.jpg"], "auto", ["Ann"]),
        (["Ann.jpg"], "folder", ["Ann"]),
    ],
)
def test_whose_a_face_is(
    tmp_path: Path, identities: list[str], person_from, people: list[str]
) -> None:
    path = stored(tmp_path, [entry(identity, [1.0, 0.0]) for identity in identities])
    found = read_people(path, person_from=person_from)
    assert [face.person for face in found.faces] == people


def test_what_cannot_be_taken_is_left(tmp_path: Path) -> None:
    rows = [
        entry("my_db/Ann/1.jpg", [1.0, 0.0]),
        entry("my_db/Bob/1.jpg", [0.0, 0.0]),
        entry("my_db/Cid/1.jpg", "text"),
        entry("my_db/" + "x" * 300 + "/1.jpg", [1.0, 0.0]),
    ]
    found = read_people(stored(tmp_path, rows))
    assert found.people == ("Ann",)
    zero, text, long = (left.reason for left in found.left)
    assert zero == "my_db/Bob/1.jpg: an embedding must be finite and of some length"
    assert text == "my_db/Cid/1.jpg: no embedding"
    assert "a name must have 1 to 256 bytes" in long


def test_an_empty_database(tmp_path: Path) -> None:
    found = read_people(stored(tmp_path, []))
    assert (found.faces, found.left, found.space, found.notes) == ((), (), None, ())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"identity": 1}, "must hold a list of faces"),
        ([["my_db/a.jpg"]], r"\[0\] must be a picture's path and its embedding"),
        ([{"hash": 1}], r"\[0\] must be a picture's path"),
        ([[1.0, [1.0, 2.0]]], r"\[0\] must be a picture's path"),
        (
            [entry("a/1.jpg", [1.0, 0.0]), entry("b/1.jpg", [1.0, 0.0, 0.0])],
            "embeddings of one model, got some of 2 and some of 3 numbers",
        ),
    ],
)
def test_what_is_no_database(tmp_path: Path, value: object, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        read_people(stored(tmp_path, value))
