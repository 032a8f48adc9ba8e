"""The SQLite gallery as a store: what it keeps, shares, erases, and how it survives."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import SpaceMismatchError
from vultus.gallery import NewSample, SqliteGallery
from vultus.types import Embedding, EmbeddingSpace

Unit = Callable[[int], Embedding]
Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def ask(path: Path, question: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(question, values).fetchall()


def counts(gallery: SqliteGallery) -> list[tuple[str, int]]:
    return [(person.id, person.samples) for person in gallery.people()]


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    return line(process)


# -- what it keeps --------------------------------------------------------------------------


def test_everything_is_there_after_opening_again(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1), source_digest="d1", source="a.jpg")
        before = gallery.search(unit(3))
    with SqliteGallery(path, create=False) as gallery:
        assert gallery.space == unit(1).space
        assert gallery.search(unit(3)) == before
        assert gallery.add("Ada", unit(2)) == 2
        assert counts(gallery) == [("Ada", 2)]


def test_what_lies_in_the_file(path: Path, unit: Unit) -> None:
    embedding = Embedding(unit(1).vector, unit(1).space, raw_norm=1.3)
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", embedding, source_digest="d1", source="a.jpg")
    stored = embedding.vector.astype("<f4").tobytes()
    assert ask(path, "SELECT * FROM embedding") == [(2**40 + 1, 1.3, stored)]
    ((*row, created),) = ask(path, "SELECT * FROM sample")
    assert row == [1, 1, None, "d1", "a.jpg", None]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(created))


def test_nothing_but_the_file_is_left_behind(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))
    assert list(path.parent.iterdir()) == [path]


def test_a_path_may_hold_anything(tmp_path: Path, unit: Unit) -> None:
    path = tmp_path / "ä #1?mode=memory&x=%20.db"
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))
    assert path.is_file()


def test_a_relative_path_survives_a_change_of_folder(
    tmp_path: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with SqliteGallery("people.db") as gallery:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        gallery.add("Ada", unit(1))
        assert gallery.search(unit(1))[0].name == "Ada"


def test_a_required_space(path: Path, unit: Unit, space: EmbeddingSpace) -> None:
    other = EmbeddingSpace("other", "1" * 64, 16, "none")
    SqliteGallery(path, space=space).close()
    with SqliteGallery(path) as gallery:
        assert gallery.space == space
    with pytest.raises(SpaceMismatchError) as caught:
        SqliteGallery(path, space=other)
    assert caught.value.fields == {"expected": space.id, "actual": other.id}


def test_erased_data_is_overwritten(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add("Bea", unit(2))
        gallery.add_many([NewSample("Adalbert", unit(i), f"digest{i}", "adal.jpg") for i in (3, 4)])
        gallery.search(unit(1))
        needles = [unit(3).vector.tobytes(), unit(4).vector.tobytes(), b"Adalbert", b"digest3"]
        needles += [b"adal.jpg"]
        files = [path, path.with_name(path.name + "-wal")]
        held = b"".join(file.read_bytes() for file in files)
        assert all(needle in held for needle in needles)
        gallery.remove("Adalbert")
        held = b"".join(file.read_bytes() for file in files)
        assert not any(needle in held for needle in needles)
        assert unit(2).vector.tobytes() in held


def test_erasure_while_somebody_reads_is_done_and_named(
    path: Path, unit: Unit, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vultus.gallery.sqlite.file._EMPTY_LOG_S", 0.1)
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM sample").fetchall()
            assert gallery.remove("Ada") == 1
            assert "erased data stays in the -wal file" in caplog.text
            reader.execute("ROLLBACK")
        assert gallery.search(unit(1)) == []
        gallery.add("Bea", unit(2))
        gallery.remove("Bea")  # the next chance
        assert path.with_name("people.db-wal").read_bytes() == b""


# -- what it shares -------------------------------------------------------------------------


def test_changes_of_another_connection_are_seen(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as one, SqliteGallery(path) as two:
        assert two.search(unit(1)) == []
        one.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
        assert [m.name for m in two.search(unit(1))] == ["Ada", "Bea"]
        two.add("Cleo", unit(3))
        assert one.search(unit(3), 1)[0].name == "Cleo"
        one.remove("Ada")
        one.add("Ada", unit(4))
        assert [m.sample for m in two.search(unit(4), 1)] == [4]
        one.remove("Ada")
        one.remove("Bea")
        one.remove("Cleo")
        assert two.search(unit(1)) == []
        one.add("Dan", unit(5))
        assert two.search(unit(5)) == one.search(unit(5))


def test_an_unchanged_file_is_read_once(
    path: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))
        first = gallery.search(unit(2))
        monkeypatch.setattr("vultus.gallery.records.index._load", None)
        monkeypatch.setattr("vultus.gallery.records.index._update", None)
        assert gallery.search(unit(2)) == first


def test_another_process_is_seen(path: Path, unit: Unit, child: Child) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))
        assert [m.name for m in gallery.search(unit(2))] == ["Ada"]
        other = child(
            """
gallery = SqliteGallery(sys.argv[1], create=False)
for line in sys.stdin:
    word, name, seed = line.split()
    if word == "add":
        say(gallery.add(name, unit(int(seed))))
    elif word == "remove":
        say(gallery.remove(name))
    else:
        say(*(match.name for match in gallery.search(unit(int(seed)))))
""",
            path,
        )
        assert tell(other, "add Bea 2") == "2"
        assert [m.name for m in gallery.search(unit(2))] == ["Bea", "Ada"]
        assert tell(other, "remove Ada 0") == "1"
        assert [m.name for m in gallery.search(unit(2))] == ["Bea"]
        gallery.add("Cleo", unit(3))
        assert tell(other, "search - 3") == "Cleo Bea"
        gallery.remove("Bea")
        assert tell(other, "search - 3") == "Cleo"


def test_opening_twice_in_a_process_keeps_the_locks(path: Path, unit: Unit, child: Child) -> None:
    # Merely opening and closing the file would drop them (POSIX), and the child, believing itself
    # alone, would delete the write-ahead log under the first gallery: writes would be lost.
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))
        SqliteGallery(path).close()
        script = """
with SqliteGallery(sys.argv[1]) as gallery:
    say(gallery.add(sys.argv[2], unit(2)))
"""
        assert child(script, path, "Bea").communicate()[0] == "2\n"
        assert path.with_name("people.db-wal").exists()
        gallery.add("Cleo", unit(3))
        assert child(script, path, "Dan").communicate()[0] == "4\n"
        assert len(gallery.search(unit(1))) == 4


def test_processes_lose_no_update_and_may_race_to_make_the_file(
    path: Path, unit: Unit, child: Child
) -> None:
    script = """
who = sys.argv[2]
say("ready")
sys.stdin.readline()
with SqliteGallery(sys.argv[1]) as gallery:
    numbers = [gallery.add(f"{who}{i % 7}", unit(i)) for i in range(60)]
    found = {match.name for match in gallery.search(unit(0), 1000)}
    assert found >= {f"{who}{i}" for i in range(7)}
say(*numbers)
"""
    writers = [child(script, path, who) for who in "abc"]
    assert [line(writer) for writer in writers] == ["ready"] * 3
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    outputs = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    numbers = sorted(int(n) for output in outputs for n in output.split())
    assert numbers == list(range(1, 181))
    with SqliteGallery(path) as gallery:
        assert sum(samples for _, samples in counts(gallery)) == 180


# -- how it survives ------------------------------------------------------------------------


def test_every_change_is_on_disk_when_the_call_returns(path: Path) -> None:
    with SqliteGallery(path) as gallery, gallery._file.writing() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_interrupt_within_a_change_undoes_it(
    path: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add("Ada", unit(1))

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("vultus.gallery.records.samples._log_added", interrupt)
            with pytest.raises(KeyboardInterrupt):
                gallery.add("Bea", unit(2))
        assert counts(gallery) == [("Ada", 1)]
        assert gallery.add("Bea", unit(2)) == 2


def test_a_failed_read_leaves_no_half_index(
    path: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(10)])
        gallery.search(unit(0))
        gallery.add_many([NewSample(f"q{i}", unit(100 + i)) for i in range(10)])
        monkeypatch.setattr("vultus.gallery.records.index._BYTES_PER_FETCH", 4 * 64)
        calls = []

        def failing(*arguments: object) -> np.ndarray:
            calls.append(arguments)
            if len(calls) == 2:
                raise MemoryError
            return decode(*arguments)

        module = sys.modules["vultus.gallery.records.index"]
        decode = module.decode_vectors
        with monkeypatch.context() as patch:
            patch.setattr(module, "decode_vectors", failing)
            with pytest.raises(MemoryError):
                gallery.search(unit(0))
        found = [m.name for m in gallery.search(unit(0), 100)]
        assert sorted(found) == sorted([f"{k}{i}" for k in "pq" for i in range(10)])
