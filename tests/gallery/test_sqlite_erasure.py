"""What is erased is gone from the raw files: looked for in a process of its own."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import GalleryFileError
from vultus.gallery import NewSample, SqliteGallery
from vultus.gallery.sqlite import residue as _residue
from vultus.types import Embedding, EmbeddingSpace

Unit = Callable[[int], Embedding]
Child = Callable[..., "subprocess.Popen[str]"]
SPACE = EmbeddingSpace("test", "0" * 64, 16, "none")

LOOK = """
import re, sys
from pathlib import Path
needles = re.compile(b"|".join(map(re.escape, sys.stdin.buffer.read().split(b"\\0\\0"))))
for file in sorted(Path(sys.argv[1]).parent.glob(Path(sys.argv[1]).name + "*")):
    for found in needles.finditer(file.read_bytes()):
        print(file.name, found.start() // 8192 + 1, found.group())
"""


def marked(who: int, dimension: int = 16) -> Embedding:
    """A face whose vector nobody else has: every number of it tells whose it is."""
    vector = np.random.default_rng(who).standard_normal(dimension)
    space = EmbeddingSpace("test", "0" * 64, dimension, "none")
    return Embedding(vector / np.linalg.norm(vector), space)


def marks(who: int) -> list[bytes]:
    """What identifies somebody of `enroll`, as it lies in the file."""
    name = f"MARK{who:05}"
    face = marked(who).vector.astype("<f4").tobytes()
    kinds = ("id-", "called-", "consent-", "digest-", "from-", "info-", "crop-")
    return [*((kind + name).encode() for kind in kinds), face[:12], face[40:52]]


def enroll(gallery: SqliteGallery, who: int) -> None:
    """Somebody with a mark in everything that is kept."""
    name = f"MARK{who:05}"
    sample = NewSample(
        f"id-{name}",
        marked(who),
        f"digest-{name}",
        f"/photos/{'x' * (who % 50)}/from-{name}",
        group="g",
        crop=f"crop-{name}".encode() * (1 + who % 400),
    )
    gallery.add_many([sample, NewSample(f"id-{name}", marked(who), f"digest-{name}-2")])
    gallery.put_person(f"id-{name}", name=f"called-{name}", consent=f"consent-{name}")
    gallery.set_info(f"id-{name}", "g", f"info-{name}")


def left_over(path: Path, people: list[int]) -> list[str]:
    """Marks of these people in the raw files, one line each."""
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, str(path)],
        input=b"\0\0".join(mark for who in people for mark in marks(who)),
        capture_output=True,
        check=True,
    )
    return ended.stdout.decode().splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def test_marks_are_found_while_they_are_there(path: Path) -> None:
    with SqliteGallery(path) as gallery:
        enroll(gallery, 1)
        text = "\n".join(left_over(path, [1]))
    for mark in marks(1):
        assert repr(mark) in text
    assert left_over(path, [2]) == []


@pytest.mark.parametrize("way", ["person", "samples", "leave", "group", "replace", "rename"])
def test_nothing_is_left_of_what_is_erased(path: Path, way: str) -> None:
    with SqliteGallery(path) as gallery:
        for who in range(60):
            enroll(gallery, who)
        gallery.search(marked(1))
        gone = marks(7)
        if way == "person":
            gallery.remove("id-MARK00007")
        elif way == "samples":
            gallery.remove_samples([s.number for s in gallery.samples(person="id-MARK00007")])
            gone = gone[3:5] + gone[6:]
        elif way == "leave":
            gallery.leave("id-MARK00007", "g")
            gone = [gone[4], gone[5], gone[6]]
        elif way == "group":
            gallery.remove_group("g", people="remove-orphans")
        elif way == "replace":
            gallery.replace("id-MARK00007", [])
            gone = gone[3:5] + gone[6:]
        elif way == "rename":
            gallery.rename("id-MARK00007", "somebody")
            gone = gone[:1]
        held = [line for line in left_over(path, [7]) if any(repr(g) in line for g in gone)]
        assert held == []
        assert left_over(path, [8]) != [] or way == "group"
    with SqliteGallery(path) as gallery:
        assert gallery.verify() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_what_a_long_life_leaves_is_found_and_wiped(path: Path, seed: int) -> None:
    """SQLite copies rows when it rearranges pages: whatever is left, `verify` knows of it."""
    rng = np.random.default_rng(seed)
    alive: list[int] = []
    erased: list[int] = []
    with SqliteGallery(path) as gallery:
        writer = gallery._file._writer
        assert writer is not None
        writer.execute("PRAGMA synchronous = OFF")  # the disk is not what is tested
        for who in range(200):
            enroll(gallery, who)
            alive.append(who)
            if who > 20 and rng.random() < 0.6:
                gone = alive.pop(int(rng.integers(len(alive))))
                gallery.remove(f"id-MARK{gone:05}")
                erased.append(gone)
        found = left_over(path, erased)
        assert not any("\\x" in line for line in found)  # never of a vector
        assert bool(gallery.verify()) or not found
        gallery.optimise()
        assert left_over(path, erased) == []
        assert gallery.verify() == []
        assert len(gallery.search(marked(alive[0]), 1000)) == len(alive)
        gallery.add("somebody", marked(1000))


def test_closing_wipes_what_is_left(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SqliteGallery(path) as gallery:
        for who in range(30):
            enroll(gallery, who)
    page = leave_bytes(path)
    with SqliteGallery(path) as gallery:
        gallery.add("somebody", marked(1000))  # nothing is erased, nothing looked for
    assert dirty(path, "sqlite_autoindex_person_1") == [page]
    with SqliteGallery(path) as gallery, SqliteGallery(path) as other:
        gallery.remove("id-MARK00007")
        with other._file.writing():
            gallery.close()
        assert "bytes of erased rows may be left" in caplog.text
    assert dirty(path, "sqlite_autoindex_person_1") == [page]
    with SqliteGallery(path) as gallery:
        gallery.remove("id-MARK00008")
    assert left_over(path, [7, 8, 99999]) == []
    assert dirty(path, "sqlite_autoindex_person_1") == []


def root_of(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        return int(connection.execute(sql, (name,)).fetchone()[0])


def leave_bytes(path: Path) -> int:
    """Write an id nobody has where nothing refers to; gives the page."""
    root = root_of(path, "sqlite_autoindex_person_1")
    with path.open("r+b") as file:
        file.seek(8192 * (root - 1) + 4000)
        file.write(b"id-MARK99999")
    return root


def dirty(path: Path, *names: str) -> object:
    """Pages with residue among the free ones and those of these tables and indexes."""
    return _residue.scan(path, [root_of(path, name) for name in names])["dirty"]


def test_bytes_left_by_hand_are_found(path: Path) -> None:
    with SqliteGallery(path) as gallery:
        for who in range(30):
            enroll(gallery, who)
        gallery.remove("id-MARK00007")
        assert gallery.verify() == []
    root = leave_bytes(path)
    with SqliteGallery(path) as gallery:
        (finding,) = gallery.verify()
        assert finding.code == "residue"
        assert f"(page {root} is the first); optimise the gallery" in finding.message
        gallery.optimise()
        assert gallery.verify() == []
    assert left_over(path, [7, 99999]) == []


def test_the_tail_of_a_crop_and_free_pages_are_looked_at(path: Path) -> None:
    with SqliteGallery(path) as gallery:
        # 1003 bytes of it stay in the table's page, the rest takes most of another one.
        gallery.add("a", marked(1), crop=b"c" * 8_495)
        gallery.add("b", marked(2), crop=b"d" * 90_000)
        gallery.remove("b")
    assert dirty(path, "crop") == []
    whole = path.read_bytes()
    last = whole.index(b"c" * 7000) // 8192
    free = next(n for n in range(len(whole) // 8192) if not any(whole[8192 * n : 8192 * (n + 1)]))
    for page in (last, free):
        broken = bytearray(whole)
        broken[8192 * page + 8100] = 7
        path.write_bytes(broken)
        assert dirty(path, "crop") == [page + 1]


def test_an_erasure_survives_a_crash(path: Path, child: Child) -> None:
    with SqliteGallery(path) as gallery:
        for who in range(30):
            enroll(gallery, who)
    killed = child(
        """
import os, signal
gallery = SqliteGallery(sys.argv[1])
gallery._erased = lambda: os.kill(os.getpid(), signal.SIGKILL)  # after the commit
gallery.remove("id-MARK00007")
""",
        path,
    )
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("people.db-wal").stat().st_size > 0
    assert left_over(path, [7]) != []  # the pages before, still in the file
    with SqliteGallery(path) as gallery:
        assert "id-MARK00007" not in gallery
        assert left_over(path, [7]) == []
        assert gallery.verify() == []


def test_another_connection_that_reads_keeps_the_log_and_is_named(
    path: Path, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vultus.gallery.sqlite.file._EMPTY_LOG_S", 0.1)
    with SqliteGallery(path) as gallery:
        for who in range(10):
            enroll(gallery, who)
        idle = child("gallery = SqliteGallery(sys.argv[1]); say(len(gallery)); input()", path)
        assert idle.stdout is not None
        assert idle.stdout.readline() == "20\n"
        gallery.remove("id-MARK00007")
        assert left_over(path, [7]) == []  # somebody who merely has it open is in nobody's way
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sample").fetchall()
            gallery.remove("id-MARK00008")
            (finding,) = gallery.verify()
            assert finding.code == "residue"
            assert (
                "another connection is reading; verify again when it has ended" in finding.message
            )
            reader.execute("ROLLBACK")
        assert gallery.verify() == []
        assert left_over(path, [8]) == []


def test_a_file_that_may_not_be_written_is_verified_as_well(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteGallery(path) as gallery:
        for who in range(30):
            enroll(gallery, who)
    page = leave_bytes(path)
    monkeypatch.setattr("vultus.gallery.sqlite.file.is_writable", lambda _: False)
    with SqliteGallery(path) as gallery:
        (finding,) = gallery.verify()
        assert f"(page {page} is the first)" in finding.message
        with pytest.raises(GalleryFileError, match="cannot be written"):
            gallery.optimise()
        monkeypatch.setattr("sys.executable", str(path.parent / "nowhere"))
        (finding,) = gallery.verify()
        assert finding.code == "residue"
        assert "unused bytes must be looked at and cannot: " in finding.message
