"""The class list of a classifier that facenet's ``classifier.py TRAIN`` wrote."""

from __future__ import annotations

from typing import Any

from vultus.compat.importers.files import unwrapped
from vultus.compat.importers.people import ForeignPeople, Left, person_of, shown
from vultus.errors import DataFileError, DtypeError, RangeError
from vultus.sources.pickles import Opaque

__all__ = ["is_classifier", "read_classifier"]


def is_classifier(content: Any) -> bool:
    """Whether a file holds a model and a list of names, as facenet writes them."""
    parts = content if isinstance(content, (list, tuple)) else [content]
    return any(isinstance(part, Opaque) for part in parts)


def read_classifier(content: Any, path: str) -> ForeignPeople:
    """People without faces: a classifier knows where one class ends, not what a face is.

    Args:
        content: From `contents` with the vocabulary `MODEL_AND_NAMES`.
        path: For messages.

    Raises:
        DataFileError: No pair of a model and a list of names.
    """
    match content:
        case [Opaque() as model, names]:
            listed = unwrapped(names)
            listed = listed.tolist() if hasattr(listed, "tolist") else listed
        case Opaque() as model:
            raise DataFileError(
                f"{path} holds a model alone, {model.name}, and no names",
                remedy="enrol the pictures that it was trained on instead",
                path=path,
                refused=model.name,
            )
        case _:
            listed = None
    if not isinstance(listed, (list, tuple)) or not listed:
        raise DataFileError(
            f"{path} must hold a classifier and its list of class names, as facenet's do",
            path=path,
        )
    people: list[str] = []
    left = [Left(path, f"{model.name} is no gallery, and vultus runs no pickled model")]
    for number, name in enumerate(listed):
        try:
            people.append(person_of(name))
        except (RangeError, DtypeError) as error:
            left.append(Left(f"{path}[{number}]", error.message, shown(name)))
    return ForeignPeople(
        format="facenet",
        source=path,
        space=None,
        faces=(),
        people=tuple(dict.fromkeys(people)),
        left=tuple(left),
        notes=(
            "people are made without faces: enrol their pictures, or train anew with "
            "`vultus classify train`",
        ),
    )
