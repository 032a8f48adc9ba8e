"""Training pictures and whom they show: from folders, list files and record files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError, InsufficientDataError
from vultus.sources import load_image, walk_images
from vultus.train.records import RecordFile
from vultus.types import Image

__all__ = ["Examples", "FileExamples", "RecordExamples", "read_folder", "read_list", "read_records"]

_MOST_LINE = 1 << 16


class Examples(Protocol):
    """Pictures of known identities."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) the number of each picture's class, from 0 on without gaps."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The identities' names."""
        ...

    def picture(self, index: int) -> Image:
        """Decode one picture, (h, w, 3) uint8 RGB.

        Raises:
            ImageError: It cannot be read.
        """
        ...

    def name(self, index: int) -> str:
        """What to call a picture in a message."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FileExamples:
    """Pictures in files.

    Attributes:
        paths: The files.
        labels: (n,) the number of each one's class.
        classes: The identities' names.
    """

    paths: tuple[Path, ...] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> Image:
        """Decode one picture."""
        return load_image(self.paths[index])

    def name(self, index: int) -> str:
        """Its path."""
        return str(self.paths[index])


@dataclass(frozen=True, slots=True, eq=False)
class RecordExamples:
    """Pictures in a record file.

    Attributes:
        file: Where they lie.
        keys: (n,) the record of each.
        labels: (n,) the number of each one's class.
        classes: The identities' labels, as text.
    """

    file: RecordFile = field(repr=False)
    keys: NDArray[np.int64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def picture(self, index: int) -> Image:
        """Decode one picture."""
        return load_image(self.file.read(int(self.keys[index])).data)

    def name(self, index: int) -> str:
        """The file and the record's key."""
        return f"{self.file.path}, record {int(self.keys[index])}"


def read_folder(root: Path) -> FileExamples:
    """Read a folder with one folder of pictures per identity.

    Classes come in the order of their names, as in facenet; files that lie beside the folders
    are ignored, as there. Within a folder every picture below it counts.

    Args:
        root: The folder.

    Raises:
        DataFileError: It cannot be read, or an identity's folder has no picture.
        InsufficientDataError: Fewer than two identities.
    """
    try:
        folders = sorted(
            (entry for entry in Path(root).iterdir() if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )
        folders = [entry for entry in folders if entry.is_dir()]
    except OSError as error:
        raise DataFileError(
            f"the folder {root} cannot be read: {error}", remedy="check the path", path=str(root)
        ) from error
    found = [(folder, list(walk_images(folder))) for folder in folders]
    empty = [folder.name for folder, pictures in found if not pictures]
    if empty:
        raise DataFileError(
            f"{len(empty)} of {len(found)} identities of {root} have no picture, "
            f"{empty[0]!r} for one",
            remedy="remove the empty folders",
            path=str(root),
        )
    _check_identities(len(found), str(root))
    counts = [len(pictures) for _, pictures in found]
    return FileExamples(
        tuple(path for _, pictures in found for path in pictures),
        np.repeat(np.arange(len(found), dtype=np.int64), counts),
        tuple(folder.name for folder in folders),
    )


def read_list(path: Path, root: Path | None = None) -> FileExamples:
    """Read a list of pictures.

    Lines are ``picture<TAB>identity``, the same with spaces where the identity has none, or
    ``number<TAB>identity<TAB>picture`` as MXNet's ``.lst`` files. Empty lines and lines that
    begin with ``#`` are passed over. Classes come in the order of their names, numbers by value.

    Args:
        path: The list, UTF-8.
        root: What relative paths begin at; the list's folder when left out.

    Raises:
        DataFileError: The list cannot be read, a line is of no such form, or a picture is absent.
        InsufficientDataError: Fewer than two identities.
    """
    base = Path(path).parent if root is None else Path(root)
    files, names = [], []
    for number, line in _lines(Path(path)):
        entry = _entry(line)
        if entry is None:
            raise _bad_line(path, number, "is not 'picture<TAB>identity'")
        file = base / entry[0]
        if not file.is_file():
            raise _bad_line(path, number, f"names {file}, which is no file")
        files.append(file)
        names.append(entry[1])
    classes = sorted(set(names), key=_by_value)
    _check_identities(len(classes), str(path))
    numbers = {name: i for i, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in names], np.int64)
    return FileExamples(tuple(files), labels, tuple(classes))


def read_records(path: Path, index: Path | None = None) -> RecordExamples:
    """Read a record file of MXNet, with InsightFace's table of identities where it has one.

    InsightFace's files have in record 0 the keys at which pictures and identities end; each
    identity's record has the keys of its first picture and of the one behind its last. In other
    files every record is a picture with its identity's number as its first label.

    Source: InsightFace ``src/data/face2rec2.py`` and ``recognition/arcface_torch/dataset.py``.

    Args:
        path: The ``.rec`` file.
        index: The ``.idx`` file; the one of the same name when left out.

    Raises:
        DataFileError: A file is damaged, a label is no whole number, or the table contradicts
            the file.
        InsufficientDataError: Fewer than two identities.
    """
    file = RecordFile(path, index)
    if not len(file):
        raise InsufficientDataError(f"the record file {path} is empty", actual=0)
    first = next(file.read_all([0], data=False)) if 0 in file else None
    if first is not None and first.flag > 0:
        keys, values = _by_table(file, first.labels)
    else:
        keys = np.array(file.keys, np.int64)
        found = (record.labels[0] for record in file.read_all(file.keys, data=False))
        values = _whole(found, len(keys), file)
    known, labels = np.unique(values, return_inverse=True)
    _check_identities(len(known), str(path))
    classes = tuple(str(int(value)) for value in known)
    return RecordExamples(file, keys, labels.astype(np.int64), classes)


def _by_table(
    file: RecordFile, ends: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of the pictures and their identities' labels, from InsightFace's table."""
    if len(ends) < 2 or not 1 <= ends[0] <= ends[1] <= max(file.keys) + 1:
        raise _bad_table(file, f"record 0 claims pictures and identities up to {ends}")
    identities = range(int(ends[0]), int(ends[1]))
    if any(key not in file for key in identities):
        raise _bad_table(file, f"identities {identities} are not all there")
    spans = []
    for record in file.read_all(identities, data=False):
        if len(record.labels) < 2 or not 1 <= record.labels[0] <= record.labels[1] <= ends[0]:
            raise _bad_table(file, f"an identity claims the pictures {record.labels[:2]}")
        if record.labels[0] < record.labels[1]:
            spans.append((int(record.labels[0]), int(record.labels[1])))
    counts = [stop - start for start, stop in spans]
    if sum(counts) > len(file):
        raise _bad_table(file, "identities share pictures")
    none = np.zeros(0, np.int64)
    keys = np.concatenate([none, *(np.arange(*span, dtype=np.int64) for span in spans)])
    if len(np.unique(keys)) != len(keys) or any(key not in file for key in keys.tolist()):
        raise _bad_table(file, "identities share pictures, or name some that are absent")
    firsts = file.read_all([start for start, _ in spans], data=False)
    values = _whole((record.labels[0] for record in firsts), len(spans), file)
    return keys, np.repeat(values, counts)


def _whole(labels: Iterable[float], count: int, file: RecordFile) -> NDArray[np.int64]:
    values = np.fromiter(labels, np.float64, count)
    # Beyond 2^24 float32 skips whole numbers: two identities would become one.
    if not ((values >= 0) & (values <= 1 << 24) & (values == np.floor(values))).all():
        raise _bad_table(file, "a label is no whole number from 0 to 2^24")
    return values.astype(np.int64)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines that say something."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE):
                number += 1
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text and not text.startswith("#"):
                    yield number, text
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"the list {path} cannot be read: {error}", path=str(path)) from error


def _entry(line: str) -> tuple[str, str] | None:
    """Picture and identity of a line; ``None`` where it has no such form."""
    words = [word.strip() for word in line.split("\t")]
    match words:
        case [number, identity, picture] if re.fullmatch(r"[0-9]+", number):
            pair = (picture, identity.removesuffix(".000000"))  # MXNet writes labels as floats
        case [picture, identity]:
            pair = (picture, identity)
        case [text] if len(text.split()) >= 2:
            picture, identity = text.rsplit(None, 1)
            pair = (picture, identity)
        case _:
            return None
    return pair if all(pair) and "\0" not in line else None


def _by_value(name: str) -> tuple[int, int, str]:
    number = name.isascii() and name.isdigit() and len(name) < 19
    return (0, int(name), name) if number else (1, 0, name)


def _check_identities(count: int, where: str) -> None:
    if count < 2:
        raise InsufficientDataError(
            f"training takes at least two identities, {where} has {count}",
            expected=2,
            actual=count,
        )


def _bad_line(path: Path, number: int, what: str) -> DataFileError:
    return DataFileError(f"line {number} of the list {path} {what}", path=str(path))


def _bad_table(file: RecordFile, what: str) -> DataFileError:
    return DataFileError(
        f"the labels of the record file {file.path} are unusable: {what}", path=str(file.path)
    )
