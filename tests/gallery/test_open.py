"""Opening a gallery by name."""

from pathlib import Path

import pytest

from vultus.errors import DtypeError, GalleryFileError
from vultus.gallery import SUFFIXES, MemoryGallery, SqliteGallery, open_gallery


def test_memory() -> None:
    with open_gallery(":memory:") as gallery, open_gallery(":memory:") as other:
        assert isinstance(gallery, MemoryGallery)
        assert other is not gallery


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".DB"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"people{suffix}"
    for name in (path, str(path)):
        with open_gallery(name) as gallery:
            assert isinstance(gallery, SqliteGallery)
    assert path.is_file()


def test_a_new_file_needs_a_known_ending(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    with pytest.raises(GalleryFileError, match=r"end in \.db, \.sqlite, \.vultus") as caught:
        open_gallery(path)
    assert caught.value.fields["reason"] == "suffix"
    assert not path.exists()


def test_an_existing_gallery_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    open_gallery(path).close()
    renamed = path.rename(tmp_path / "people.backup")
    with open_gallery(renamed) as opened:
        assert opened.people() == []


def test_a_missing_file_is_not_made_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "people.db"
    with pytest.raises(GalleryFileError, match="does not exist") as caught:
        open_gallery(path, create=False)
    assert caught.value.fields == {"path": str(path), "reason": "missing"}
    assert not path.exists()


@pytest.mark.parametrize("source", [None, 3, b"people.db"])
def test_what_is_no_gallery(source: object) -> None:
    with pytest.raises(DtypeError, match="a gallery is a path"):
        open_gallery(source)  # type: ignore[arg-type]
