"""Embeds the pictures of a data set, on all cores, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.faces import detector, face_of_crop, mirrored
from vultus.compat.facenet.model import FaceModel
from vultus.compat.facenet.talk import Talk, named
from vultus.errors import NoFaceError
from vultus.runtime import default_threads, ordered_map
from vultus.sources import load_frame

__all__ = ["detected_features", "features"]


class _One(NamedTuple):
    vector: NDArray[np.float32]
    found: bool


def features(
    model: FaceModel,
    paths: Sequence[Path],
    talk: Talk,
    *,
    flipped: bool = False,
    every: int = 0,
    tick: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Embed the face in the middle of each picture, or what a margin crop shows.

    Args:
        model: Loaded with one thread.
        paths: Of margin crops, or of whole pictures.
        talk: Hears of pictures in which no face was found.
        flipped: Put the embedding of the mirror image beside each: (n, 2d).
        every: Call `tick` after so many pictures, and after the last; 0: never.
        tick: Given how many pictures are done.

    Returns:
        (n, d) float64, as facenet keeps them; rows (halves of rows, if `flipped`) of unit length.

    Raises:
        ImageError: A picture cannot be read.
    """
    find = detector()

    def one(path: Path) -> _One:
        face, seen = face_of_crop(find, path)
        vectors = model.embed([face, mirrored(face)] if flipped else [face])
        return _One(vectors.reshape(-1), seen)

    found: list[_One] = []
    for result in ordered_map(one, paths, default_threads()):
        found.append(result)
        if tick and every and (len(found) % every == 0 or len(found) == len(paths)):
            tick(len(found))
    guessed = [path for path, result in zip(paths, found, strict=True) if not result.found]
    if guessed:
        talk.note(
            f"no face was found in {len(guessed)} of {len(paths)} pictures, which were taken for "
            f"crops with the face in the middle: {named(guessed)}"
        )
    return np.stack([result.vector for result in found]).astype(np.float64)


def detected_features(
    model: FaceModel,
    paths: Sequence[Path],
    *,
    every: int = 0,
    tick: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Embed the first face that is found in each picture; see `features`.

    Raises:
        NoFaceError: A picture shows none; all such pictures are named.
        ImageError: A picture cannot be read.
    """
    find = detector()

    def one(path: Path) -> NDArray[np.float32] | None:
        faces = find.detect(load_frame(path))
        return model.embed(faces[:1])[0] if faces else None

    found: list[NDArray[np.float32] | None] = []
    for result in ordered_map(one, paths, default_threads()):
        found.append(result)
        if tick and every and (len(found) % every == 0 or len(found) == len(paths)):
            tick(len(found))
    lacking = [path for path, vector in zip(paths, found, strict=True) if vector is None]
    if lacking:
        raise NoFaceError(
            f"every picture must show a face, {len(lacking)} of {len(paths)} do not: "
            f"{named(lacking)}",
            remedy="remove them, or align the folder first: `vultus facenet align`",
            paths=[str(path) for path in lacking],
        )
    return np.stack([vector for vector in found if vector is not None]).astype(np.float64)
