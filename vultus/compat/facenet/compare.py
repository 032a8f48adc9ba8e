"""``compare``: the distance of every picture from every other, as ``compare.py`` lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.faces import check_crop, detector
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk, distance_matrix
from vultus.errors import NoFaceError
from vultus.runtime import default_threads
from vultus.sources import load_frame

__all__ = ["Compared", "compare"]


class Compared(NamedTuple):
    """What `compare` found.

    Attributes:
        paths: The pictures that show a face.
        distances: (n, n) Euclidean distances between their embeddings.
    """

    paths: list[Path]
    distances: NDArray[np.float64]


def compare(
    model: str,
    image_files: Sequence[Path],
    *,
    image_size: int = 160,
    margin: float = 44,
    talk: Talk,
) -> Compared:
    """Compare the first face of each picture with those of all others.

    Args:
        model: See `vultus.compat.facenet.model.find_model`.
        image_files: Pictures; those without a face are dropped, and named.
        image_size: Checked; the model's card decides how faces are cut.
        margin: Likewise.
        talk: Where words go.

    Raises:
        NoFaceError: No picture shows a face.
        ImageError: A picture cannot be read.
        ModelError: The model cannot be used.
    """
    check_crop(image_size, margin)
    loaded = load_model(model, default_threads())
    talk.line("Creating networks and loading parameters")
    find = detector(default_threads())
    kept: list[Path] = []
    vectors: list[NDArray[np.float32]] = []
    for path in image_files:
        faces = find.detect(load_frame(path))
        if faces:
            kept.append(path)
            vectors.append(loaded.embed(faces[:1])[0])
        else:
            talk.line(f"can't detect face, remove  {path}")
    if not kept:
        raise NoFaceError("at least one picture must show a face, none does")
    loaded.announce(talk)
    distances, text = distance_matrix(np.stack(vectors))
    talk.line("Images:")
    for i, path in enumerate(kept):
        talk.line(f"{i}: {path}")
    talk.line()
    talk.out(text)
    return Compared(kept, distances)
