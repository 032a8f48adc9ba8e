"""The quality of each picture's face, measured once and kept beside the embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.evaluate._cache import EmbeddingCache, Entry, code_digest, default_cache
from vultus.evaluate._one_picture import EmbedOptions, central_face, digest_of
from vultus.pipeline import Recognizer, largest_face, load
from vultus.runtime import default_threads, ordered_map
from vultus.sources import load_frame

__all__ = ["picture_quality"]

_NONE = Entry(0, 0.0, np.zeros(0, np.float32))


def picture_quality(
    options: EmbedOptions, jobs: int | None = None, cache_folder: Path | None = None
) -> Callable[[Sequence[Path]], NDArray[np.float64]]:
    """What measures the quality of pictures, of the face that `options` choose.

    Args:
        options: Detector and choice of the face.
        jobs: Pictures at a time; one per CPU when ``None``.
        cache_folder: As in `vultus.evaluate.embeddings.embed_pictures`.

    Returns:
        A function from pictures to (n,) `Quality.score`, NaN where there is no face.
    """
    return partial(_measured, options, jobs or default_threads(), cache_folder)


def _measured(
    options: EmbedOptions, jobs: int, cache_folder: Path | None, paths: Sequence[Path]
) -> NDArray[np.float64]:
    make = f"quality\n{code_digest()}\n{options.detector}\n{options.min_face_px}\n{options.face}"
    digests = list(ordered_map(digest_of, paths, jobs))
    first = {d: i for i, d in reversed(list(enumerate(digests))) if isinstance(d, bytes)}
    with EmbeddingCache(cache_folder or default_cache(), make) as kept:
        entries = dict(kept.find(list(first)))
        todo = {digest: i for digest, i in first.items() if digest not in entries}
        found = load(detector=options.detector, min_face_px=options.min_face_px, threads=1)
        work = partial(_one, found, options)
        fresh = dict(
            zip(todo, ordered_map(work, [paths[i] for i in todo.values()], jobs), strict=True)
        )
        kept.keep(fresh.items())
        entries.update(fresh)
    scores = [entries.get(d, _NONE) if isinstance(d, bytes) else _NONE for d in digests]
    return np.array([float(e.vector[0]) if len(e.vector) else np.nan for e in scores])


def _one(found: Recognizer, options: EmbedOptions, path: Path) -> Entry:
    try:
        faces = found.detect(load_frame(path))
        if not faces:
            return _NONE
        face = central_face(faces) if options.face == "center" else largest_face(faces)
        score = found.assess([face])[0].score
    except InputError:
        return _NONE
    return Entry(len(faces), 1.0, np.array([score], np.float32))
