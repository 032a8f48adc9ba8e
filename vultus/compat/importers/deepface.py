"""Databases that DeepFace keeps beside a folder of pictures, one pickle per model.

Source of the forms and of the files' names: DeepFace's ``find`` of versions 0.0.40 to 0.0.93
(``representations_MODEL.pkl``, a list of lists; ``ds_MODEL_DETECTOR_v2.pkl`` and
``ds_model_MODEL_detector_….pkl``, a list of mappings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, TypeAlias

from vultus.compat.importers.forms import Total, vector_of
from vultus.compat.importers.people import ForeignFace, ForeignPeople, Left, face_of, person_of
from vultus.errors import DataFileError, DtypeError, RangeError
from vultus.types import EmbeddingSpace

__all__ = ["PersonFrom", "is_database", "read_database"]

PersonFrom: TypeAlias = Literal["auto", "folder", "file"]
"""Where a person's name comes from: the picture's folder, its file, or whichever fits."""

_FILES = (
    re.compile(
        r"ds_model_(?P<model>.+?)_detector_(?P<detector>.+?)_(?P<aligned>aligned|unaligned)"
        r"_normalization_(?P<normalization>.+?)_expand_(?P<expand>\d+)(?P<rest>.*)"
    ),
    re.compile(r"ds_(?P<model>.+?)_(?P<detector>[^_]+)_v2"),
    re.compile(r"representations_(?P<model>.+)"),
)
_KEYS = {"identity", "embedding"}
_MOST_FACES = 500_000


class _Entry(NamedTuple):
    identity: Any
    value: Any
    where: str


def is_database(path: Path, content: Any) -> bool:
    """Whether a file's name or contents are those of a DeepFace database."""
    if any(pattern.fullmatch(path.stem.lower()) for pattern in _FILES):
        return True
    return (
        isinstance(content, (list, tuple))
        and bool(content)
        and all(
            isinstance(item, dict) and {"identity", "embedding"} <= set(item) for item in content
        )
    )


def read_database(content: Any, path: Path, person_from: PersonFrom = "auto") -> ForeignPeople:
    """The faces of a database, in a space of their own.

    The model is known by the file's name only, and its weights are not at hand: nothing that
    vultus embeds can be compared with these. They can be compared with one another.

    Args:
        content: From `contents`.
        path: The file; its name says the model.
        person_from: Where names come from. ``auto``: the folder below the database's own; the
            file for pictures that lie in that one.

    Raises:
        DataFileError: No such database, or embeddings of several lengths.
    """
    entries = list(_entries(content, str(path)))
    root = _root(path, [entry.identity for entry in entries])
    faces: list[ForeignFace] = []
    left: list[Left] = []
    space: EmbeddingSpace | None = None
    total = Total(str(path))
    for entry in entries:
        identity = str(entry.identity)
        vector = vector_of(entry.value)
        if vector is None:
            why = "no face was found in the picture" if entry.value is None else "no embedding"
            left.append(Left(entry.where, f"{identity[:200]}: {why}"))
            continue
        space = space or _space(path, len(vector))
        if len(vector) != space.dimension:
            raise DataFileError(
                f"{path} must hold embeddings of one model, got some of {space.dimension} and "
                f"some of {len(vector)} numbers",
                path=str(path),
            )
        try:
            total.add(vector)
            person = person_of(_person(identity, root, person_from))
            faces.append(face_of(person, vector, space, identity))
        except (RangeError, DtypeError) as error:
            left.append(Left(entry.where, f"{identity[:200]}: {error.message}"))
    return ForeignPeople(
        format="deepface",
        source=str(path),
        space=space,
        faces=tuple(faces),
        people=tuple(dict.fromkeys(face.person for face in faces)),
        left=tuple(left),
        notes=(
            f"{space.model} is a model that vultus does not have: these faces can be compared "
            "with one another, with nothing else; to name people in photos, import the folder "
            "of pictures instead",
        )
        if space
        else (),
    )


def _entries(content: Any, path: str) -> Iterator[_Entry]:
    if not isinstance(content, (list, tuple)):
        raise DataFileError(f"{path} must hold a list of faces, as DeepFace's do", path=path)
    for number, item in enumerate(content):
        where = f"{path}[{number}]"
        identity: Any = None
        if isinstance(item, dict):
            identity, value = item.get("identity"), item.get("embedding")
        elif isinstance(item, (list, tuple)) and len(item) >= 2:
            identity, value = item[0], item[1]
        if isinstance(identity, bytes):
            identity = identity.decode("utf-8", "backslashreplace")
        if not isinstance(identity, str) or number >= _MOST_FACES:
            raise DataFileError(
                f"{where} must be a picture's path and its embedding, as DeepFace stores them",
                path=path,
            )
        yield _Entry(identity, value, where)


def _space(path: Path, dimension: int) -> EmbeddingSpace:
    """A space named after the model as DeepFace's file is; its weights' digest is unknown."""
    name = path.stem.lower()
    found = next((m for pattern in _FILES if (m := pattern.fullmatch(name))), None)
    parts = found.groupdict() if found else {"model": "unknown"}
    model = re.sub(r"[^a-z0-9]+", "", parts["model"]) or "unknown"
    how = [parts.get(key) for key in ("detector", "aligned", "normalization")]
    how += [f"expand{parts['expand']}"] if parts.get("expand") else []
    said = "+".join(part for part in how if part) + (parts.get("rest") or "").replace("_", "+")
    return EmbeddingSpace(f"deepface-{model}", "", dimension, said or "unknown")


def _parts(identity: str) -> tuple[str, ...]:
    return PurePosixPath(identity.replace("\\", "/")).parts


def _root(path: Path, identities: Sequence[str]) -> int:
    """How many leading parts of the pictures' paths lead to the database's folder."""
    folders = [_parts(identity)[:-1] for identity in identities]
    if not folders:
        return 0
    common = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        common += 1
    own = path.absolute().parent.name
    if own in folders[0][:common]:  # it lies in the folder it is about
        return max(i for i, part in enumerate(folders[0][:common]) if part == own) + 1
    return common


def _person(identity: str, root: int, person_from: PersonFrom) -> str:
    parts = _parts(identity)
    stem = PurePosixPath(parts[-1]).stem if parts else identity
    if person_from == "file":
        return stem
    if person_from == "folder":
        return parts[-2] if len(parts) > 1 else stem
    return parts[root] if len(parts) > root + 1 else stem
