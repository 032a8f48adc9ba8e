"""Files that are no gallery, cannot be used or are damaged: named, and nothing harmed."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import GalleryError, GalleryFileError
from vultus.gallery import NewSample, SqliteGallery
from vultus.types import Embedding

Unit = Callable[[int], Embedding]
AsUser = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def path(tmp_path: Path, unit: Unit) -> Path:
    """A gallery with Ada (1), Bea (2) and Ada again (3)."""
    file = tmp_path / "people.db"
    with SqliteGallery(file) as gallery:
        gallery.add_many([NewSample(n, unit(i)) for i, n in enumerate(("Ada", "Bea", "Ada"))])
    return file


def reason(caught: pytest.ExceptionInfo[GalleryFileError]) -> object:
    return caught.value.fields["reason"]


def counts(gallery: SqliteGallery) -> list[tuple[str, int]]:
    return [(person.id, person.samples) for person in gallery.people()]


def execute(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


# -- places ---------------------------------------------------------------------------------


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(GalleryFileError, match="is a folder") as caught:
        SqliteGallery(tmp_path)
    assert reason(caught) == "directory"


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(GalleryFileError, match="has no folder") as caught:
        SqliteGallery(tmp_path / "none" / "people.db")
    assert reason(caught) == "folder-missing"


def test_a_file_as_folder(path: Path) -> None:
    with pytest.raises(GalleryFileError, match="Not a directory") as caught:
        SqliteGallery(path / "people.db")
    assert reason(caught) == "unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "people.db")
    with pytest.raises(GalleryFileError, match="no regular file"):
        SqliteGallery(tmp_path / "people.db")


@pytest.mark.parametrize(
    "contents", [b"x" * 5000, b"x" * 511, b"x", b"SQLite format 3\0", b"SQLite format 3\0" * 99]
)
def test_no_database(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "people.db"
    path.write_bytes(contents)
    with pytest.raises(GalleryFileError, match="is no gallery") as caught:
        SqliteGallery(path)
    assert reason(caught) == "not-a-database"
    assert path.read_bytes() == contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "setup",
    ["CREATE TABLE person (id)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"],
)
def test_a_database_of_another_program(tmp_path: Path, setup: str) -> None:
    path = tmp_path / "people.db"
    execute(path, setup)
    before = path.read_bytes()
    with pytest.raises(GalleryFileError, match="another program") as caught:
        SqliteGallery(path)
    assert reason(caught) == "foreign"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_is_made_a_gallery_on_demand_only(tmp_path: Path, unit: Unit) -> None:
    path = tmp_path / "people.db"
    path.touch()
    with pytest.raises(GalleryFileError, match="empty file") as caught:
        SqliteGallery(path, create=False)
    assert reason(caught) == "empty"
    assert path.read_bytes() == b""
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))


# -- permissions ----------------------------------------------------------------------------


@pytest.mark.parametrize("modes", [(0o444, 0o755), (0o666, 0o555), (0o444, 0o555)])
def test_what_may_not_be_written_can_be_searched(
    open_folder: Path, path: Path, unit: Unit, as_user: AsUser, modes: tuple[int, int]
) -> None:
    copy = open_folder / "people.db"
    copy.write_bytes(path.read_bytes())
    copy.chmod(modes[0])
    open_folder.chmod(modes[1])
    with as_user(), SqliteGallery(copy) as gallery:
        assert gallery.search(unit(1), 1)[0].name == "Bea"
        assert counts(gallery) == [("Ada", 2), ("Bea", 1)]
        for change in (lambda: gallery.add("X", unit(5)), lambda: gallery.remove("Ada")):
            with pytest.raises(GalleryFileError, match="cannot be written") as caught:
                change()
            assert reason(caught) == "read-only"
        with SqliteGallery(copy, space=unit(1).space) as again:
            assert len(again) == 3
    assert copy.read_bytes() == path.read_bytes()
    assert list(open_folder.iterdir()) == [copy]


def test_a_reader_without_rights_sees_a_writers_changes(
    open_folder: Path, unit: Unit, as_user: AsUser
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    path = open_folder / "people.db"
    with SqliteGallery(path) as writer:
        writer.add("Ada", unit(1))
    with as_user():
        reader = SqliteGallery(path)
        assert len(reader.search(unit(1))) == 1  # nobody writes: read without locks
    with SqliteGallery(path) as writer:
        writer.add("Bea", unit(2))
        with as_user():
            assert len(reader.search(unit(1))) == 2
        writer.add("Cleo", unit(3))
        with as_user():
            assert len(reader.search(unit(1))) == 3
    with as_user():
        assert reader.search(unit(3), 1)[0].name == "Cleo"
        reader.close()


def test_a_new_file_in_a_folder_that_may_not_be_written(open_folder: Path, as_user: AsUser) -> None:
    open_folder.chmod(0o555)
    with as_user(), pytest.raises(GalleryFileError, match="may not be written") as caught:
        SqliteGallery(open_folder / "people.db")
    assert reason(caught) == "read-only"


def test_a_file_that_may_not_be_read(open_folder: Path, path: Path, as_user: AsUser) -> None:
    secret = open_folder / "people.db"
    secret.write_bytes(path.read_bytes())
    secret.chmod(0o000)
    with as_user(), pytest.raises(GalleryFileError, match="may not be read") as caught:
        SqliteGallery(secret)
    assert reason(caught) == "unreadable"


# -- while in use ---------------------------------------------------------------------------


def test_a_locked_file_waits_and_then_says_so(path: Path, unit: Unit) -> None:
    with (
        SqliteGallery(path, busy_timeout_s=0.1) as gallery,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryFileError, match="being changed by another process") as caught:
            gallery.add("X", unit(5))
        assert reason(caught) == "locked"
        assert len(gallery.search(unit(1))) == 2  # readers do not wait
        other.execute("ROLLBACK")
        assert gallery.add("X", unit(5)) == 4


def test_a_full_disk(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        writer = gallery._file._writer
        assert writer is not None
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(GalleryFileError, match="disk full") as caught:
            gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(500)])
        assert reason(caught) == "disk-full"
        assert counts(gallery) == [("Ada", 2), ("Bea", 1)]
        writer.execute("PRAGMA max_page_count = 100000")
        assert gallery.add("X", unit(5)) == 4


@pytest.mark.parametrize("gone", [True, False], ids=["removed", "replaced"])
def test_a_file_taken_away_while_open(path: Path, unit: Unit, gone: bool) -> None:
    with SqliteGallery(path) as gallery:
        gallery.search(unit(1))
        path.unlink()
        if not gone:
            SqliteGallery(path).close()
        for use in (lambda: gallery.add("X", unit(5)), lambda: gallery.search(unit(1))):
            with pytest.raises(GalleryFileError, match="while open") as caught:
                use()
            assert reason(caught) == "replaced"


def test_a_gallery_is_not_carried_across_a_fork(
    path: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteGallery(path) as gallery:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            for use in (lambda: gallery.add("X", unit(5)), lambda: gallery.search(unit(1))):
                with pytest.raises(GalleryError, match="before the process forked"):
                    use()
        assert len(gallery) == 3


# -- damage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", "16 float32 numbers"),
        (b"\0" * 63, "16 float32 numbers"),
        (b"\0" * 64, "unit length"),
        (np.full(16, np.nan, "<f4").tobytes(), "unit length"),
        (np.full(16, np.inf, "<f4").tobytes(), "unit length"),
        (np.full(16, 3e38, "<f4").tobytes(), "unit length"),
    ],
)
def test_a_damaged_vector_is_named(path: Path, unit: Unit, blob: bytes, message: str) -> None:
    execute(path, "UPDATE embedding SET vector = ? WHERE id = 1099511627776 + 2", blob)
    with SqliteGallery(path) as gallery:
        for _ in range(2):
            with pytest.raises(GalleryFileError, match=f"sample 2 must hold .*{message}") as caught:
                gallery.search(unit(1))
        assert reason(caught) == "damaged"
        assert caught.value.fields["sample"] == 2
        (finding,) = gallery.verify()
        assert finding.code == "vector"
        assert finding.message.startswith("sample 2 must hold ")
        gallery.remove_samples([2])  # what the message advises
        assert [m.name for m in gallery.search(unit(1))] == ["Ada"]


def test_text_that_is_none(path: Path, unit: Unit) -> None:
    execute(path, "UPDATE person SET id = CAST(x'ff41' AS TEXT) WHERE id = 'Bea'")
    with SqliteGallery(path) as gallery, pytest.raises(GalleryFileError) as caught:
        gallery.search(unit(1))
    assert reason(caught) == "damaged"


def test_a_missing_record(path: Path, unit: Unit) -> None:
    execute(path, "DELETE FROM gallery")
    with SqliteGallery(path) as gallery, pytest.raises(GalleryFileError, match="lacks") as caught:
        gallery.search(unit(1))
    assert reason(caught) == "damaged"


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_file(path: Path, unit: Unit, keep: float) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(300)])
    cut = path.read_bytes()
    cut = cut[: int(len(cut) * keep)]
    path.write_bytes(cut)
    with pytest.raises(GalleryFileError, match="is damaged; restore") as caught:
        SqliteGallery(path)
    assert reason(caught) == "damaged"
    assert path.read_bytes() == cut


def test_overwritten_pages(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(300)])
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[8192 * 2 :] = b"\xff" * (len(whole) - 8192 * 2)
    path.write_bytes(broken)
    with pytest.raises(GalleryFileError) as caught, SqliteGallery(path) as gallery:
        gallery.search(unit(1))
    assert reason(caught) == "damaged"
    path.write_bytes(whole)  # what the message advises
    with SqliteGallery(path) as gallery:
        assert len(gallery.search(unit(1), 1000)) == 302
