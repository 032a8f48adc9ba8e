"""MXNet's record files: bytes made by hand, what was written, and hostile ones."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.errors import DataFileError, RangeError
from vultus.train.records import Record, RecordFile, write_records

MAGIC = bytes.fromhex("0a23d7ce")


def _header(flag: int, label: float, number: int) -> bytes:
    return struct.pack("<IfQQ", flag, label, number, 0)


def _part(place: int, content: bytes) -> bytes:
    return (
        MAGIC + struct.pack("<I", place << 29 | len(content)) + content + bytes(-len(content) % 4)
    )


def _file(folder: Path, content: bytes, index: str | None = None) -> Path:
    path = folder / "set.rec"
    path.write_bytes(content)
    if index is not None:
        path.with_suffix(".idx").write_text(index)
    return path


# Three records by hand: one label; two labels; one that held the magic number and so was cut.
PLAIN = _part(0, _header(0, 7.0, 11) + b"jpeg!")
LABELS = _part(0, _header(2, 0.0, 12) + struct.pack("<2f", 3.0, 9.5) + b"x")
CUT = _part(1, _header(0, 1.0, 13) + b"abcd") + _part(2, b"") + _part(3, b"tail")
ALL = PLAIN + LABELS + CUT


def test_by_hand(tmp_path: Path) -> None:
    assert len(PLAIN) == 8 + 29 + 3
    index = f"5\t0\n9\t{len(PLAIN)}\n2\t{len(PLAIN + LABELS)}\n"
    file = RecordFile(_file(tmp_path, ALL, index))
    assert file.keys == (5, 9, 2)
    assert len(file) == 3
    assert 9 in file
    assert 0 not in file
    assert file.read(5) == Record((7.0,), 0, 11, b"jpeg!")
    assert file.read(9) == Record((3.0, 9.5), 2, 12, b"x")
    assert file.read(2) == Record((1.0,), 0, 13, b"abcd" + MAGIC + MAGIC + b"tail")
    heads = list(file.read_all([2, 9, 5], data=False))
    assert [head.labels for head in heads] == [(1.0,), (3.0, 9.5), (7.0,)]
    assert [head.data for head in heads] == [b"", b"", b""]
    with pytest.raises(RangeError, match="has no record 3"):
        file.read(3)


def test_without_an_index(tmp_path: Path) -> None:
    file = RecordFile(_file(tmp_path, ALL))
    assert file.keys == (0, 1, 2)
    assert file.read(2).data == b"abcd" + MAGIC + MAGIC + b"tail"
    assert len(RecordFile(_file(tmp_path, b""))) == 0


def test_goes_to_other_processes(tmp_path: Path) -> None:
    file = pickle.loads(pickle.dumps(RecordFile(_file(tmp_path, ALL))))  # noqa: S301
    assert file.read(0).data == b"jpeg!"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(width=32, allow_nan=False), max_size=3),
            st.lists(st.sampled_from([b"a", b"bc", MAGIC, MAGIC[:2], b"\0\0\0"]), max_size=8),
        ),
        max_size=5,
    )
)
def test_what_was_written_is_read(
    tmp_path: Path, entries: list[tuple[list[float], list[bytes]]]
) -> None:
    records = [
        Record(tuple(labels) or (4.0,), len(labels), i, b"".join(chunks))
        for i, (labels, chunks) in enumerate(entries)
    ]
    path = tmp_path / "own.rec"
    write_records(path, records)
    file = RecordFile(path)
    assert [file.read(key) for key in file.keys] == records
    path.with_suffix(".idx").unlink()
    assert [RecordFile(path).read(key) for key in range(len(records))] == records


HEADER = _header(0, 1.0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x01\x02\x03\x04" + PLAIN[4:], "begins with 0x04030201"),
        (PLAIN[:-8], "claims 29 bytes; there are 24"),
        (MAGIC + struct.pack("<I", (1 << 29) - 1) + HEADER, "claims 536870911 bytes; there are 24"),
        (_part(0, HEADER[:20]), "without a header: 20 bytes"),
        (_part(0, b""), "without a header: 0 bytes"),
        (_part(0, _header(3, 0.0, 0) + bytes(8)), "claims 3 labels"),
        (_part(0, _header(0xFFFFFFFF, 0.0, 0)), "claims 4294967295 labels"),
        (_part(1, HEADER) + _part(0, HEADER), "does not end"),
        (_part(1, HEADER), "has no record at 32: it has 32 bytes"),
        (_part(2, HEADER), "no record's beginning at 0"),
        (_part(5, HEADER), "no record's beginning at 0"),
        (MAGIC, "has no record at 0: it has 4 bytes"),
    ],
)
@pytest.mark.parametrize("data", [True, False])
def test_hostile_records_are_refused(
    tmp_path: Path, content: bytes, message: str, data: bool
) -> None:
    path = _file(tmp_path, content, "" if len(content) < 8 else "0\t0\n")
    if len(content) < 8:
        path.with_suffix(".idx").unlink()
    with pytest.raises(DataFileError, match=message):
        list(RecordFile(path).read_all([0], data=data))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN + b"garbage!", "has no record at 40"),
        (PLAIN + b"x", "has no record at 40"),
        (PLAIN + _part(3, b""), "parts out of order at 40"),
        (_part(1, HEADER) + PLAIN, "parts out of order at 32"),
        (_part(1, HEADER), "ends within a record"),
    ],
)
def test_hostile_chains_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataFileError, match=message):
        RecordFile(_file(tmp_path, content))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("0 0 0\n", "line 1 is not 'key<TAB>offset'"),
        ("zero\t0\n", "line 1 is not"),
        ("-1\t0\n", "line 1 is not"),
        ("1\t1e3\n", "line 1 is not"),
        ("0\t0\n0\t40\n", "line 2 repeats the key 0"),
        ("0\t999999\n", "line 1 points behind the end"),
        ("1" * 300 + "\t0\n", "line 1 is not"),
        ("".join(f"{i}\t0\n" for i in range(99)), "more lines than"),
    ],
)
def test_hostile_indices_are_refused(tmp_path: Path, index: str, message: str) -> None:
    with pytest.raises(DataFileError, match=message):
        RecordFile(_file(tmp_path, ALL, index))


def test_an_index_may_point_nowhere_sensible(tmp_path: Path) -> None:
    file = RecordFile(_file(tmp_path, ALL, "0\t4\n1\t2\n"))
    with pytest.raises(DataFileError, match="has no record at 4: it begins with"):
        file.read(0)
    with pytest.raises(DataFileError, match="has no record at 2"):
        file.read(1)


def test_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read"):
        RecordFile(tmp_path / "none.rec")
    with pytest.raises(DataFileError, match="cannot be read"):
        RecordFile(_file(tmp_path, ALL), tmp_path / "none.idx")
    file = RecordFile(_file(tmp_path, ALL))
    file.path.write_bytes(PLAIN[:20])
    with pytest.raises(DataFileError, match=r"cut short|claims"):
        file.read(2)
