"""Imported people in a gallery: once, in their space, in a group; a dry run changes nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from vultus.compat.importers import ForeignPeople, Outcome, add_people, read_people
from vultus.compat.importers.face_recognition import encodings_space
from vultus.errors import SpaceMismatchError
from vultus.gallery import MemoryGallery, open_gallery


@pytest.fixture
def found(tmp_path: Path, encoding) -> ForeignPeople:
    """Two faces of Ann, one of them twice, and one of Bob."""
    path = tmp_path / "encodings.pickle"
    ann = [encoding(1), encoding(2), encoding(1)]
    path.write_bytes(pickle.dumps({"Ann": ann, "Bob": encoding(3)}))
    return read_people(path)


def test_twice_adds_nothing_twice(tmp_path: Path, found: ForeignPeople) -> None:
    with open_gallery(tmp_path / "a.db") as gallery:
        assert add_people(gallery, found) == Outcome(3, 1, 2, 0)
        assert gallery.space == encodings_space()
        assert [(p.id, p.samples) for p in gallery.people()] == [("Ann", 2), ("Bob", 1)]
        (sample,) = gallery.samples(person="Bob")
        assert sample.source is not None
        assert sample.source.endswith("encodings.pickle")
        assert sample.source_digest == found.faces[3].digest
        kept = gallery.embedding(sample.number)
        assert (kept.vector == found.faces[3].embedding.vector).all()
        assert kept.raw_norm == found.faces[3].embedding.raw_norm
        entries = len(gallery.audit())
        assert add_people(gallery, found) == Outcome(0, 4, 0, 0)
        assert len(gallery.audit()) == entries
        assert gallery.verify() == []


def test_a_dry_run(tmp_path: Path, found: ForeignPeople) -> None:
    assert add_people(None, found, group="staff", dry_run=True) == Outcome(3, 1, 2, 2)
    with MemoryGallery() as gallery:
        assert add_people(gallery, found, group="staff", dry_run=True) == Outcome(3, 1, 2, 2)
        assert (len(gallery), gallery.people(), gallery.groups()) == (0, [], [])
        add_people(gallery, found)
        assert add_people(gallery, found, group="staff", dry_run=True) == Outcome(0, 4, 0, 2)
        assert gallery.groups() == []


def test_a_group(found: ForeignPeople) -> None:
    with MemoryGallery() as gallery:
        gallery.put_person("Bob")
        gallery.set_info("Bob", "staff", "night") if gallery.groups() else None
        assert add_people(gallery, found, group="staff") == Outcome(3, 1, 1, 2)
        assert [m.person for m in gallery.memberships(group="staff")] == ["Ann", "Bob"]
        assert add_people(gallery, found, group="staff") == Outcome(0, 4, 0, 0)
        assert gallery.samples(group="staff")[0].group is None


def test_people_without_faces() -> None:
    named = ForeignPeople("facenet", "c.pkl", None, (), ("Ann", "Bob"))
    with MemoryGallery() as gallery:
        gallery.put_person("Bob", name="Robert")
        assert add_people(gallery, named) == Outcome(0, 0, 1, 0)
        assert [(p.id, p.name, p.samples) for p in gallery.people()] == [
            ("Ann", "Ann", 0),
            ("Bob", "Robert", 0),
        ]
        assert gallery.space is None


def test_spaces_are_not_mixed(tmp_path: Path, found: ForeignPeople) -> None:
    path = tmp_path / "ds_vggface_opencv_v2.pkl"
    path.write_bytes(pickle.dumps([{"identity": "db/Ann/1.jpg", "embedding": [1.0, 2.0]}]))
    other = read_people(path)
    with MemoryGallery() as gallery:
        add_people(gallery, found)
        with pytest.raises(SpaceMismatchError) as told:
            add_people(gallery, other, dry_run=True)
        assert "dlib-resnet-v1/fd107ddb6263/128/dlib-10" in told.value.message
        assert "deepface-vggface//2/opencv" in told.value.message
        assert told.value.remedy == "import into a gallery of its own"
        assert len(gallery) == 3
    with MemoryGallery() as own:
        assert add_people(own, other) == Outcome(1, 0, 1, 0)
        assert own.search(other.faces[0].embedding)[0].similarity == pytest.approx(1.0)
