"""Encodings of the face_recognition package: dlib's network, as raw vectors of 128 numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.compat.importers.files import unwrapped
from vultus.compat.importers.forms import Pair, Total, pairs, vector_of
from vultus.compat.importers.people import (
    ForeignFace,
    ForeignPeople,
    Left,
    face_of,
    length_of,
    person_of,
    shown,
)
from vultus.errors import DtypeError, InputError, RangeError
from vultus.models import Registry, space_of
from vultus.sources.pickles import Opaque
from vultus.types import EmbeddingSpace

__all__ = ["EQUIVALENT_COSINE", "encodings_space", "neighbours", "read_encodings"]

_LENGTH = 128
# Lengths of raw vectors: 1.24 to 1.65 over 811 encodings of face_recognition 1.3.0, 1.22 to 1.68
# over 3,443 of vultus (LFW View 1). Unit vectors of 128 numbers come from another network.
_NORMS = (1.05, 1.95)

EQUIVALENT_COSINE = 0.913
"""The cosine that lets as many strangers pass as a distance of 0.6 between raw encodings does.

0.9128 for face_recognition's own encodings of LFW's View 1 test people (655,882 comparisons of
strangers, FMR 0.0045), 0.9122 for vultus's plain ones of the training people (5,923,194, FMR
0.0056).
"""


def encodings_space() -> EmbeddingSpace:
    """Where encodings live once they have unit length: dlib's network, without mirror images."""
    return space_of(Registry().get("dlib-resnet-v1"), mirror=False)


def read_encodings(content: Any, path: str, names: Sequence[Any] | None) -> ForeignPeople:
    """Encodings and whose they are.

    Args:
        content: From `contents`.
        path: For messages.
        names: Of a bare list or matrix, row by row.

    Raises:
        DataFileError: The form is not known; see `pairs`.
    """
    found = pairs(content, path, names)
    space = encodings_space()
    faces: list[ForeignFace] = []
    left: list[Left] = []
    total = Total(path)
    for pair in found:
        try:
            person = person_of(pair.name)
            vector = vector_of(pair.value)
            reason = _unlike_an_encoding(vector)
            if vector is None or reason:
                left.append(Left(pair.where, reason, person))
                continue
            total.add(vector)
            faces.append(face_of(person, vector, space, pair.where))
        except (RangeError, DtypeError) as error:
            left.append(_refused(pair, error))
    return ForeignPeople(
        format="face_recognition",
        source=path,
        space=space if faces else None,
        faces=tuple(faces),
        people=tuple(dict.fromkeys(face.person for face in faces)),
        left=tuple(left),
        notes=(
            "encodings are scaled to unit length and compared by cosine; face_recognition's "
            f"distance of 0.6 corresponds to a cosine of {EQUIVALENT_COSINE}",
            "they were made without mirror images: use --no-mirror with this gallery",
        )
        if faces
        else (),
    )


def neighbours(model: object) -> dict[str, Any] | None:
    """The encodings that a nearest-neighbour classifier of scikit-learn keeps, with their names.

    So does the classifier of face_recognition's own example (``face_recognition_knn.py``), which
    is nothing but its training set. ``None`` for any other model.
    """
    if not isinstance(model, Opaque) or not model.name.startswith("sklearn.neighbors."):
        return None
    state = model.state if isinstance(model.state, dict) else {}
    rows, numbers, classes = (unwrapped(state.get(key)) for key in ("_fit_X", "_y", "classes_"))
    if not all(isinstance(part, np.ndarray) for part in (rows, numbers, classes)):
        return None
    numbers = numbers.reshape(-1)
    fits = numbers.dtype.kind in "iu" and classes.ndim == 1 and len(numbers) == len(rows)
    if not fits or not len(numbers) or not 0 <= numbers.min() <= numbers.max() < len(classes):
        return None
    return {"encodings": rows, "names": classes[numbers]}


def _refused(pair: Pair, error: InputError) -> Left:
    return Left(pair.where, error.message, shown(pair.name))


def _unlike_an_encoding(vector: NDArray[np.float64] | None) -> str:
    """Why this is none of face_recognition's; empty when it may be one."""
    if vector is None:
        return "it is no encoding: a list of numbers is"
    if len(vector) != _LENGTH:
        return f"an encoding of face_recognition has {_LENGTH} numbers, this has {len(vector)}"
    norm = length_of(vector)
    if not np.isfinite(norm):
        return "an encoding must be finite"
    if not _NORMS[0] <= norm <= _NORMS[1]:
        other = "; unit vectors come from another model" if abs(norm - 1) < 1e-3 else ""
        return (
            f"an encoding of face_recognition has a length of {_NORMS[0]} to {_NORMS[1]}, "
            f"this has {norm:.4g}{other}"
        )
    return ""
