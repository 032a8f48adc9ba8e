"""The command ``vultus import``: what it says, what it leaves, and that twice is once."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vultus.gallery import open_gallery
from vultus.pipeline import Recognizer, load


@pytest.fixture(scope="module")
def plain() -> Recognizer:
    return load(mirror=False)


@pytest.fixture(scope="module")
def encodings(plain: Recognizer, samples: Path) -> dict[str, np.ndarray]:
    """What face_recognition would store of the known people, as near as vultus gets."""
    found = {}
    for name in ("Barack Obama", "Joe Biden"):
        (face,) = plain.detect(samples / "known" / f"{name}.jpg")
        embedding = plain.embed(face)
        found[name] = embedding.vector.astype(np.float64) * embedding.raw_norm
    return found


@pytest.fixture
def stored(tmp_path: Path, encodings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("encodings.pickle")
    path.write_bytes(
        pickle.dumps({"encodings": list(encodings.values()), "names": list(encodings)})
    )
    return path


def test_encodings_of_face_recognition(vultus, stored: Path, samples: Path) -> None:
    done = vultus("import", stored, "--gallery", "people.db")
    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines()[0] == "encodings.pickle  face_recognition: 2 faces of 2 people"
    assert "space dlib-resnet-v1/fd107ddb6263/128/dlib-10\n" in done.out
    assert "0.6 corresponds to a cosine of" in done.out
    assert done.out.splitlines()[-1] == (
        "2 faces added, 0 known already, 2 new people; 2 people and 2 faces in people.db"
    )
    # They name faces on other pictures, without mirror images as face_recognition has none.
    photo = samples / "photos" / "obama3.jpg"
    named = vultus("identify", "people.db", photo, "--no-mirror", "--json")
    (face,) = json.loads(named.out)["faces"]
    assert face["name"] == "Barack Obama"


def test_twice_is_once(vultus, stored: Path) -> None:
    vultus("import", stored, "-g", "people.db")
    done = vultus("import", stored, "-g", "people.db")
    assert done.code == 0
    assert done.out.endswith(
        "0 faces added, 2 known already, 0 new people; 2 people and 2 faces in people.db\n"
    )
    assert vultus("gallery", "verify", "people.db").code == 0


def test_a_dry_run_makes_no_gallery(vultus, stored: Path) -> None:
    done = vultus("import", stored, "-g", "people.db", "--group", "staff", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines()[-1] == (
        "2 faces would be added, 0 known already, 2 new people, 2 would join the group; "
        "0 people and 0 faces in people.db"
    )
    assert not Path("people.db").exists()
    vultus("import", stored, "-g", "people.db")
    before = Path("people.db").read_bytes()
    done = vultus("import", stored, "-g", "people.db", "--dry-run", "--json")
    assert (done.code, json.loads(done.out)["known"]) == (0, 2)
    assert Path("people.db").read_bytes() == before


def test_json(vultus, stored: Path) -> None:
    stored.write_bytes(pickle.dumps({"Ann": [0.5] * 3, "Bob": [0.125] * 128}))
    done = vultus("import", stored, "-g", "a.db", "--group", "staff", "--json")
    assert done.code == 3
    assert json.loads(done.out) == {
        "source": "encodings.pickle",
        "format": "face_recognition",
        "space": "dlib-resnet-v1/fd107ddb6263/128/dlib-10",
        "gallery": "a.db",
        "dry_run": False,
        "faces": 1,
        "added": 1,
        "known": 0,
        "new_people": 1,
        "joined": 1,
        "people": 1,
        "samples": 1,
        "left": [
            {
                "where": "encodings.pickle",
                "reason": "an encoding of face_recognition has 128 numbers, this has 3",
                "person": "Ann",
            }
        ],
        "notes": json.loads(done.out)["notes"],
    }
    with open_gallery("a.db") as gallery:
        assert [m.person for m in gallery.memberships(group="staff")] == ["Bob"]


def test_what_is_left_is_named(vultus, stored: Path) -> None:
    stored.write_bytes(pickle.dumps({f"p{i}": [0.5] * 3 for i in range(25)}))
    done = vultus("import", stored, "-g", "a.db")
    assert done.code == 4
    warnings = done.err.splitlines()
    assert len(warnings) == 21
    assert warnings[0] == (
        "warning: left: encodings.pickle (p0): an encoding of face_recognition has 128 numbers, "
        "this has 3"
    )
    assert warnings[-1] == "warning: left: 5 more; --json lists them all"
    assert done.out.splitlines()[0] == "encodings.pickle  face_recognition: 0 faces of 0 people"
    assert not Path("a.db").exists()


def test_a_matrix_and_its_names(vultus, tmp_path: Path, monkeypatch, encodings) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("e.npy", np.stack(list(encodings.values())))
    Path("who.txt").write_text("Ann\nBob\n")
    assert vultus("import", "e.npy", "-g", "a.db", "--names", "who.txt").code == 0
    with open_gallery("a.db") as gallery:
        assert [p.id for p in gallery.people()] == ["Ann", "Bob"]


def test_a_database_of_deepface(vultus, tmp_path: Path, monkeypatch, stored: Path) -> None:
    path = Path("ds_model_arcface_detector_mtcnn_aligned_normalization_base_expand_0.pkl")
    entries = [
        {"identity": "db/Ann/1.jpg", "embedding": [1.0, 2.0]},
        {"identity": "db/Bob/2.jpg", "embedding": None},
    ]
    path.write_bytes(pickle.dumps(entries))
    done = vultus("import", path, "-g", "own.db", "--person-from", "file")
    assert done.code == 3
    assert "space deepface-arcface//2/mtcnn+aligned+base+expand0\n" in done.out
    assert "db/Bob/2.jpg: no face was found in the picture" in done.err
    with open_gallery("own.db") as gallery:
        assert [p.id for p in gallery.people()] == ["1"]
    vultus("import", stored, "-g", "people.db")
    mixed = vultus("import", path, "-g", "people.db")
    assert mixed.code == 4
    assert "error space-mismatch: this gallery holds embeddings of dlib-resnet-v1/" in mixed.err
    assert "these are of deepface-arcface//2/mtcnn+aligned+base+expand0" in mixed.err
    with open_gallery("people.db") as gallery:
        assert len(gallery) == 2


def test_a_classifier_of_facenet(vultus, tmp_path: Path, monkeypatch) -> None:
    svm = pytest.importorskip("sklearn.svm", reason="pip install 'vultus[evaluate]'")
    monkeypatch.chdir(tmp_path)
    model = svm.SVC(kernel="linear").fit(np.eye(2), [0, 1])
    Path("c.pkl").write_bytes(pickle.dumps((model, ["Ann Lee", "Bob"])))
    done = vultus("import", "c.pkl", "-g", "a.db", "--group", "class")
    assert done.code == 0
    assert done.err == (
        "warning: left: c.pkl: sklearn.svm._classes.SVC is no gallery, and vultus runs no pickled "
        "model\n"
    )
    assert done.out.endswith(
        "0 faces added, 0 known already, 2 new people, 2 joined the group; "
        "2 people and 0 faces in a.db\n"
    )


class _System:
    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_a_hostile_pickle_is_refused_before_a_gallery_is_made(
    vultus, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.pkl").write_bytes(pickle.dumps(_System()))
    done = vultus("import", "e.pkl", "-g", "a.db", "--json")
    assert done.code == 4
    assert "e.pkl is refused: a file of embeddings needs no posix.system" in done.err
    assert json.loads(done.out)["error"]["code"] == "data-file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.pkl"]


def test_a_folder_per_person(vultus, tmp_path: Path, monkeypatch, samples: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = vultus("import", samples / "known", "-g", "a.db", "--dry-run")
    assert (done.code, done.out) == (
        0,
        "Barack Obama  1 picture\nJoe Biden  1 picture\n"
        "2 pictures of 2 people would be looked at for a.db\n",
    )
    said = json.loads(vultus("import", samples / "known", "-g", "a.db", "--dry-run", "--json").out)
    assert (said["format"], said["pictures"]) == ("folder", 2)
    assert said["people"][0] == {"name": "Barack Obama", "pictures": 1}
    assert not Path("a.db").exists()
    for enrolled, known in ((2, 0), (0, 2)):
        done = vultus("import", samples / "known", "-g", "a.db", "--group", "g", "--no-mirror")
        assert done.code == 0
        assert done.out == (
            f"{enrolled} pictures enrolled, {known} known already, 0 failed; "
            f"2 people and 2 faces in {tmp_path / 'a.db'}\n"
        )
    with open_gallery("a.db") as gallery:
        assert gallery.space is not None
        assert gallery.space.preprocessing == "dlib-10"
        assert [m.person for m in gallery.memberships(group="g")] == ["Barack Obama", "Joe Biden"]


def test_encodings_and_a_folder_share_a_gallery(vultus, stored: Path, samples: Path) -> None:
    """The same pictures by two ways: two faces each, in one space."""
    vultus("import", stored, "-g", "people.db")
    assert vultus("import", samples / "known", "-g", "people.db", "--no-mirror").code == 0
    with open_gallery("people.db") as gallery:
        assert [(p.id, p.samples) for p in gallery.people()] == [
            ("Barack Obama", 2),
            ("Joe Biden", 2),
        ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.pkl"], "Missing option '--gallery'"),
        (["x.pkl", "-g", "a.db", "--format", "csv"], "--format must be auto, face_recognition"),
        (["x.pkl", "-g", "a.db", "--person-from", "me"], "--person-from must be auto, folder"),
        ([".", "-g", "a.db", "--names", "n.txt"], "--names and --person-from are for files"),
    ],
)
def test_wrong_usage(vultus, arguments: list[str], said: str) -> None:
    done = vultus("import", *arguments)
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())


def test_missing_files(vultus, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = vultus("import", "gone.pkl", "-g", "a.db")
    assert done.code == 4
    assert "error data-file: gone.pkl cannot be read: No such file or directory" in done.err
    assert list(tmp_path.iterdir()) == []
