"""Training sets from folders, lists and record files, with pictures made here."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import DataFileError, ImageError, InsufficientDataError
from vultus.train.data import read_folder, read_list, read_records
from vultus.train.records import Record, write_records


def _png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def _tree(root: Path, people: dict[str, int]) -> None:
    for i, (name, count) in enumerate(people.items()):
        (root / name).mkdir(parents=True)
        for j in range(count):
            (root / name / f"{j}.png").write_bytes(_png(10 * i + j))


def test_a_folder_per_identity(tmp_path: Path) -> None:
    _tree(tmp_path, {"bea": 1, "Al": 2, "cy 10": 1})
    (tmp_path / "readme.txt").write_text("not a class")
    (tmp_path / "stray.png").write_bytes(_png(1))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "bea" / "notes.txt").write_text("not a picture")
    found = read_folder(tmp_path)
    assert found.classes == ("Al", "bea", "cy 10")
    assert found.labels.tolist() == [0, 0, 1, 2]
    assert found.labels.dtype == np.int64
    assert [path.relative_to(tmp_path).as_posix() for path in found.paths] == [
        "Al/0.png", "Al/1.png", "bea/0.png", "cy 10/0.png",
    ]  # fmt: skip
    assert found.picture(1).tolist() == np.full((3, 4, 3), (11, 0, 0)).tolist()
    assert found.name(2) == str(tmp_path / "bea" / "0.png")
    assert len(found) == 4


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="none cannot be read"):
        read_folder(tmp_path / "none")
    with pytest.raises(InsufficientDataError, match=r"at least two identities, .* has 0"):
        read_folder(tmp_path)
    _tree(tmp_path, {"a": 2})
    with pytest.raises(InsufficientDataError, match="has 1"):
        read_folder(tmp_path)
    _tree(tmp_path, {"b": 1, "c": 0})
    with pytest.raises(DataFileError, match=r"1 of 3 identities .* have no picture, 'c' for one"):
        read_folder(tmp_path)


def test_an_unreadable_picture_is_an_error_of_its_own(tmp_path: Path) -> None:
    _tree(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "b" / "0.png").write_bytes(b"no picture")
    found = read_folder(tmp_path)
    with pytest.raises(ImageError):
        found.picture(1)


def test_lists(tmp_path: Path) -> None:
    _tree(tmp_path, {"a b": 2, "c": 1})
    path = tmp_path / "list.txt"
    path.write_text(
        "\ufeff# pictures\na b/0.png\tJo Ann\n\na b/1.png 10\nc/0.png\t9\n", encoding="utf-8"
    )
    found = read_list(path)
    assert found.classes == ("9", "10", "Jo Ann")
    assert found.labels.tolist() == [2, 1, 0]
    assert found.picture(0)[0, 0].tolist() == [0, 0, 0]
    path.write_text("0\t3.000000\t0.png\r\n1\t4.000000\t1.png\r\n")
    lst = read_list(path, tmp_path / "a b")
    assert (lst.classes, lst.labels.tolist()) == (("3", "4"), [0, 1])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"a/0.png\n", DataFileError, "line 1 .* is not 'picture<TAB>identity'"),
        (b"a/0.png\tx\n\na\tb\tc\td\n", DataFileError, "line 3"),
        (b"one\t2\ta/0.png\n", DataFileError, "line 1"),
        (b"\tx\n", DataFileError, "line 1"),
        (b"a/0.png\0\tx\n", DataFileError, "line 1"),
        (b"a/0.png\tx\na/9.png\ty\n", DataFileError, r"line 2 .*9\.png, which is no file"),
        (b"\xff\tx\n", DataFileError, "cannot be read"),
        (b"a/0.png\tx\na/1.png\tx\n", InsufficientDataError, "has 1"),
        (b"", InsufficientDataError, "has 0"),
    ],
)
def test_bad_lists_are_refused(
    tmp_path: Path, text: bytes, error: type[Exception], message: str
) -> None:
    _tree(tmp_path, {"a": 2})
    (tmp_path / "list.txt").write_bytes(text)
    with pytest.raises(error, match=message):
        read_list(tmp_path / "list.txt")


def _picture(label: float, shade: int) -> Record:
    return Record((label,), 0, 0, _png(shade))


def test_plain_records(tmp_path: Path) -> None:
    path = tmp_path / "set.rec"
    write_records(path, [_picture(40, 1), _picture(7, 2), Record((40.0, 5.0), 2, 0, _png(3))])
    found = read_records(path)
    assert found.classes == ("7", "40")
    assert found.labels.tolist() == [1, 0, 1]
    assert [found.picture(i)[0, 0, 0] for i in range(3)] == [1, 2, 3]
    assert found.name(2) == f"{path}, record 2"


def _table(
    *spans: tuple[float, float], pictures: int = 3, ends: tuple[float, ...] = ()
) -> list[Record]:
    """InsightFace's layout: the ends, the pictures (labels 5, 5, 2 …), the identities."""
    last = pictures + 1
    ends = ends or (float(last), float(last + len(spans)))
    return [
        Record(ends, len(ends), 0, b""),
        *(_picture([5, 5, 2][i], i) for i in range(pictures)),
        *(Record(span, 2, 0, b"") for span in spans),
    ]


def test_insightfaces_table(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    write_records(path, _table((1.0, 3.0), (3.0, 4.0)))
    found = read_records(path)
    assert found.keys.tolist() == [1, 2, 3]
    assert found.classes == ("2", "5")
    assert found.labels.tolist() == [1, 1, 0]
    assert found.picture(2)[0, 0, 0] == 2
    assert len(found) == 3


@pytest.mark.parametrize(
    ("records", "error", "message"),
    [
        ([], InsufficientDataError, "is empty"),
        ([_picture(1, 0), _picture(1, 0)], InsufficientDataError, "has 1"),
        ([_picture(1, 0), _picture(1.5, 0)], DataFileError, "no whole number"),
        ([_picture(1, 0), _picture(float("nan"), 0)], DataFileError, "no whole number"),
        ([_picture(1, 0), _picture(2.0**25, 0)], DataFileError, "no whole number"),
        (_table((1, 3), (3, 4), ends=(4.0,)), DataFileError, "record 0 claims"),
        (_table((1, 3), (3, 4), ends=(4.0, 1e30)), DataFileError, "record 0 claims"),
        (_table((1, 3), (3, 4), ends=(float("nan"), 6.0)), DataFileError, "record 0 claims"),
        (_table((1, 3), (3, 9)), DataFileError, "an identity claims"),
        (_table((1, 3), (2, 4)), DataFileError, "identities share pictures"),
        (_table((1, 4), (1, 4)), DataFileError, "identities share pictures"),
        (_table((1, 4)), InsufficientDataError, "has 1"),
        (_table(), InsufficientDataError, "has 0"),
    ],
)
def test_bad_record_files_are_refused(
    tmp_path: Path, records: list[Record], error: type[Exception], message: str
) -> None:
    path = tmp_path / "set.rec"
    write_records(path, records)
    with pytest.raises(error, match=message):
        read_records(path)
