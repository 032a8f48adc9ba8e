"""The files of IJB-B's and IJB-C's usual ``meta`` folder.

- ``ijbc_face_tid_mid.txt``: ``name template media`` per picture;
- ``ijbc_template_pair_label.txt``: ``template template label`` per pair;
- ``ijbc_name_5pts_score.txt``: ``name x1 y1 … x5 y5 score`` per picture, in the same order;
- ``ijbc_1N_gallery_G1.csv``, ``…_G2.csv``, ``ijbc_1N_probe_mixed.csv``:
  ``TEMPLATE_ID,SUBJECT_ID,…`` with a header, one line per picture (``S1``, ``S2`` in IJB-B).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError
from vultus.evaluate.protocols._text import read_lines, wrong_line

__all__ = [
    "IjbPictures",
    "Ints",
    "TemplatePairs",
    "read_gallery",
    "read_pictures",
    "read_points",
    "read_template_pairs",
]

Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class IjbPictures:
    """What picture belongs to what template and medium.

    Attributes:
        names: (n,) file names.
        template: (n,) template of each.
        media: (n,) medium of each.
    """

    names: tuple[str, ...] = field(repr=False)
    template: Ints = field(repr=False)
    media: Ints = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class TemplatePairs:
    """The official comparisons.

    Attributes:
        first: (m,) template.
        second: (m,) template.
        same: (m,) whether both show one person.
    """

    first: Ints = field(repr=False)
    second: Ints = field(repr=False)
    same: NDArray[np.bool_] = field(repr=False)


def read_pictures(path: Path) -> IjbPictures:
    """Read ``*_face_tid_mid.txt``.

    Raises:
        DataFileError: The file cannot be read, or a line is wrong.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        match line.split():
            case [name, template, media] if template.isdecimal() and media.lstrip("-").isdecimal():
                rows.append((name, int(template), int(media)))
            case []:
                continue
            case _:
                raise wrong_line(path, number, f"expected `name template media`, got {line!r}")
    if not rows:
        raise DataFileError(f"{path} names no pictures", path=str(path))
    return IjbPictures(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.int64),
    )


def read_points(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32], NDArray[np.float32]]:
    """Read ``*_name_5pts_score.txt``: names, (n, 5, 2) points, (n,) detector scores.

    Raises:
        DataFileError: The file cannot be read, or a line is wrong.
    """
    names, numbers = [], []
    for number, line in enumerate(read_lines(path), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            values = [float(part) for part in parts[1:]]
        except ValueError as error:
            raise wrong_line(path, number, f"points must be numbers, got {line!r}") from error
        if len(values) != 11 or not np.isfinite(values).all():
            raise wrong_line(path, number, f"expected a name and 11 numbers, got {line!r}")
        names.append(parts[0])
        numbers.append(values)
    if not names:
        raise DataFileError(f"{path} names no pictures", path=str(path))
    table = np.array(numbers, np.float32)
    return tuple(names), table[:, :10].reshape(-1, 5, 2), table[:, 10]


def read_template_pairs(path: Path) -> TemplatePairs:
    """Read ``*_template_pair_label.txt``; IJB-C's 15.7 million lines take some seconds.

    Raises:
        DataFileError: The file cannot be read, is empty, or holds something else than rows of
            two templates and 0 or 1.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty file
            table = np.loadtxt(path, dtype=np.int64, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} cannot be read: {error}", path=str(path)) from error
    if table.shape[1:] != (3,) or len(table) == 0 or not np.isin(table[:, 2], (0, 1)).all():
        raise DataFileError(
            f"{path} must hold rows of two templates and 0 or 1, got {table.shape[0]} rows of "
            f"{table.shape[1]} numbers",
            path=str(path),
        )
    return TemplatePairs(table[:, 0], table[:, 1], table[:, 2] == 1)


def read_gallery(path: Path) -> tuple[Ints, Ints]:
    """Read ``*_1N_gallery_*.csv`` or ``*_1N_probe_*.csv``: templates and their subjects, once each.

    Raises:
        DataFileError: The file cannot be read, a line is wrong, or a template has two subjects.
    """
    subjects: dict[int, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        cells = [cell.strip().strip('"') for cell in line.split(",", 2)]
        if number == 1 or not line.strip():
            continue  # the header
        if len(cells) < 2 or not (cells[0].isdecimal() and cells[1].isdecimal()):
            raise wrong_line(path, number, f"expected `TEMPLATE_ID,SUBJECT_ID,…`, got {line!r}")
        template, subject = int(cells[0]), int(cells[1])
        if subjects.setdefault(template, subject) != subject:
            raise wrong_line(path, number, f"template {template} has two subjects")
    if not subjects:
        raise DataFileError(f"{path} names no templates", path=str(path))
    return np.array(list(subjects), np.int64), np.array(list(subjects.values()), np.int64)
