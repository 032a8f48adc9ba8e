"""The portable archive: everything comes back, and nothing that was tampered with gets in."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import DataFileError, GalleryError, OutputError
from vultus.gallery import MemoryGallery, NewSample, SqliteGallery
from vultus.gallery.archive import read_archive, write_archive
from vultus.types import Embedding, EmbeddingSpace

Unit = Callable[[int], Embedding]
OTHER = EmbeddingSpace("other", "1" * 64, 4, "none")


@pytest.fixture
def filled(unit: Unit) -> MemoryGallery:
    gallery = MemoryGallery()
    gallery.add_group("staff", "who works here")
    items = [
        NewSample("Ada", unit(1), "d1", "ada.jpg", quality={"score": 0.5}, crop=b"\x00sealed"),
        NewSample("Ada", unit(2), "d2", group="staff"),
        NewSample("Bea", unit(3)),
    ]
    numbers = gallery.add_many(items)
    gallery.put_person("Bea", name="Beatrice 贝", consent="form 7")
    gallery.join("Bea", "staff", "night shift")
    gallery.add_space(OTHER)
    gallery.put_embeddings(OTHER, [(numbers[0], Embedding(np.eye(4)[0], OTHER))])
    gallery.add("Gone", unit(9))
    gallery.remove("Gone")
    return gallery


@pytest.fixture
def archive(filled: MemoryGallery, tmp_path: Path) -> Path:
    path = tmp_path / "people.vultus.zip"
    write_archive(filled, path)
    return path


def _state(gallery: MemoryGallery | SqliteGallery) -> list[object]:
    return [
        (type(r).__name__, r.number, r.embedding.vector.tobytes(), r.embedding.space)
        if hasattr(r, "embedding")
        else r
        for r in gallery.dump()
    ]


def test_everything_comes_back(filled: MemoryGallery, archive: Path, tmp_path: Path):
    with SqliteGallery(tmp_path / "again.db") as again:
        counts = read_archive(archive, again)
        assert _state(again) == _state(filled)
        assert again.verify() == []
        assert again.search(filled.embedding(1)) == filled.search(filled.embedding(1))
    assert counts["PersonRecord"] == 2
    assert counts["SampleRecord"] == 3
    assert counts["EmbeddingRecord"] == 4


def test_an_archive_of_an_archive_is_the_same_file(archive: Path, tmp_path: Path):
    again = MemoryGallery()
    read_archive(archive, again)
    write_archive(again, tmp_path / "second.zip")
    assert (tmp_path / "second.zip").read_bytes() == archive.read_bytes()


def test_an_empty_gallery(tmp_path: Path):
    path = tmp_path / "empty.zip"
    write_archive(MemoryGallery(), path)
    again = MemoryGallery()
    read_archive(path, again)
    assert again.people() == []


def test_nothing_of_the_erased_is_inside(filled: MemoryGallery, archive: Path, unit: Unit):
    data = archive.read_bytes()
    assert b"Gone" not in data
    assert unit(9).vector.tobytes() not in data
    assert unit(3).vector.tobytes() in data


def test_only_the_owner_may_read_it_and_no_part_is_left(archive: Path):
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert [p.name for p in archive.parent.iterdir()] == [archive.name]


def test_a_gallery_that_is_not_empty_is_refused(archive: Path, unit: Unit):
    with MemoryGallery() as gallery:
        gallery.add("Cleo", unit(5))
        with pytest.raises(GalleryError, match="never held anything"):
            read_archive(archive, gallery)
        assert [p.id for p in gallery.people()] == ["Cleo"]


def _rewritten(archive: Path, changes: dict[str, bytes | None], extra: str = "") -> Path:
    """The archive with members replaced or left out, their digests in the manifest as they were."""
    path = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = changes.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
        if extra:
            new.writestr(extra, b"x")
    return path


def _resealed(archive: Path, name: str, data: bytes) -> Path:
    """The archive with a member replaced and its digest corrected: a forger's work."""
    import hashlib

    with zipfile.ZipFile(archive) as old:
        manifest = json.loads(old.read("manifest.json"))
    manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return _rewritten(archive, {name: data, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize("name", ["records.jsonl", "vectors.f32", "crops.bin"])
def test_a_changed_member_is_noticed_before_anything_is_written(name: str, archive: Path):
    with zipfile.ZipFile(archive) as old:
        data = bytearray(old.read(name))
    data[-2] ^= 1
    gallery = MemoryGallery()
    with pytest.raises(DataFileError, match=f"{name} was changed"):
        read_archive(_rewritten(archive, {name: bytes(data)}), gallery)
    assert gallery.people() == []


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({"crops.bin": None}, ""),
        ({}, "../evil"),
        ({"manifest.json": b"{"}, ""),
        ({"manifest.json": b"[]"}, ""),
        ({"manifest.json": b'{"format": "vultus-gallery/9"}'}, ""),
    ],
)
def test_another_make_is_refused(changes: dict[str, bytes | None], extra: str, archive: Path):
    with pytest.raises(DataFileError):
        read_archive(_rewritten(archive, changes, extra), MemoryGallery())


def test_a_compressed_member_is_refused(archive: Path):
    path = archive.with_name("bomb.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DataFileError, match="compressed"):
        read_archive(path, MemoryGallery())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("records.jsonl", lambda data: data + b'{"kind": "Evil"}\n'),
        ("records.jsonl", lambda data: data + b"not json\n"),
        ("records.jsonl", lambda data: data + b"[1]\n"),
        ("records.jsonl", lambda data: data + b"7" * 2_000_000),
        ("records.jsonl", lambda data: data.replace(b'"raw_norm": 1.0', b'"raw_norm": "x"', 1)),
        ("records.jsonl", lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
        ("vectors.f32", lambda data: data[:-4]),
        ("vectors.f32", lambda data: data + bytes(4)),
        ("vectors.f32", lambda data: b"\xff" * len(data)),
        ("crops.bin", lambda data: b""),
        ("crops.bin", lambda data: data + b"x"),
    ],
)
def test_a_forged_member_is_refused_and_nothing_is_written(
    name: str, change: Callable[[bytes], bytes], archive: Path, tmp_path: Path
):
    with zipfile.ZipFile(archive) as old:
        data = change(old.read(name))
    with SqliteGallery(tmp_path / "target.db") as gallery:
        with pytest.raises(DataFileError):
            read_archive(_resealed(archive, name, data), gallery)
        assert gallery.people() == []
        assert gallery.verify() == []


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100])
def test_no_archive(data: bytes, tmp_path: Path):
    path = tmp_path / "no.zip"
    path.write_bytes(data)
    with pytest.raises(DataFileError, match="no readable gallery archive"):
        read_archive(path, MemoryGallery())
    with pytest.raises(DataFileError):
        read_archive(tmp_path / "absent.zip", MemoryGallery())


def test_a_place_that_cannot_be_written(filled: MemoryGallery, tmp_path: Path):
    with pytest.raises(OutputError):
        write_archive(filled, tmp_path / "absent" / "a.zip")
