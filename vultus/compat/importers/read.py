"""One door for all foreign files: which format a file is in, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from vultus.compat.importers.deepface import PersonFrom, is_database, read_database
from vultus.compat.importers.face_recognition import neighbours, read_encodings
from vultus.compat.importers.facenet import is_classifier, read_classifier
from vultus.compat.importers.files import contents, names_in, read_bytes
from vultus.compat.importers.forms import is_bare
from vultus.compat.importers.people import ForeignPeople
from vultus.errors import DataFileError, RangeError
from vultus.sources.pickles import MODEL_AND_NAMES

__all__ = ["FORMATS", "PERSON_FROM", "Format", "read_people"]

Format: TypeAlias = Literal["auto", "face_recognition", "deepface", "facenet"]
"""Formats of files; ``auto`` tells them apart by name and contents."""

FORMATS: tuple[str, ...] = get_args(Format)
PERSON_FROM: tuple[str, ...] = get_args(PersonFrom)

_BESIDE = ("names", "labels", "known_face_names", "known_names", "face_names", "{stem}_names")
_OF_MODELS = ("sklearn.", "copyreg._reconstructor", "copy_reg._reconstructor")
_SUFFIXES = (".txt", ".json", ".npy", ".pkl", ".pickle", ".csv")


def read_people(
    path: Path,
    kind: Format = "auto",
    *,
    names: Path | None = None,
    person_from: PersonFrom = "auto",
) -> ForeignPeople:
    """Read what another system stored about people; nothing in the file is run.

    Args:
        path: A file of face_recognition encodings (pickle, JSON, NPY, NPZ), a database of
            DeepFace, or a classifier of facenet.
        kind: Which of them, or ``auto``.
        names: For encodings without names: a file with one per row. A file beside them called
            ``names``, ``labels`` or the like is found without being named.
        person_from: For DeepFace, see `PersonFrom`.

    Raises:
        DataFileError: The file cannot be read, is in no form that is known, or is a pickle of
            anything but arrays and built-ins; the field ``refused`` says what it wanted.
        RangeError: An unknown choice.
    """
    for option, given, known in (
        ("kind", kind, FORMATS),
        ("person_from", person_from, PERSON_FROM),
    ):
        if given not in known:
            raise RangeError(f"{option} must be one of {', '.join(known)}, got {given!r}")
    data = read_bytes(path)
    content = _content(data, path, kind)
    if kind != "facenet":
        content = neighbours(content) or content
    if kind == "facenet" or (kind == "auto" and is_classifier(content)):
        return read_classifier(content, str(path))
    if kind == "deepface" or (kind == "auto" and is_database(path, content)):
        return read_database(content, path, person_from)
    beside = names or (_beside(path) if is_bare(content) else None)
    return read_encodings(content, str(path), None if beside is None else names_in(beside))


def _content(data: bytes, path: Path, kind: Format) -> Any:
    """The contents; where a model of scikit-learn is in the way, with that stepped over."""
    if kind == "facenet":
        return contents(data, str(path), MODEL_AND_NAMES)
    try:
        return contents(data, str(path))
    except DataFileError as error:
        if kind == "deepface" or not str(error.fields.get("refused")).startswith(_OF_MODELS):
            raise
    return contents(data, str(path), MODEL_AND_NAMES)


def _beside(path: Path) -> Path | None:
    """A file with names that lies beside one with encodings."""
    for name in _BESIDE:
        for suffix in _SUFFIXES:
            found = path.with_name(name.format(stem=path.stem) + suffix)
            if found != path and found.is_file():
                return found
    return None
