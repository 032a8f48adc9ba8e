"""Embeds a set of pictures once: on all cores, with a cache, and with a list of what failed."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus._arrays import check_shape
from vultus.errors import (
    ImageNotFoundError,
    InputError,
    InsufficientDataError,
    NoFaceError,
    RangeError,
    ShapeError,
)
from vultus.evaluate._cache import EmbeddingCache, Entry, code_digest, default_cache
from vultus.evaluate._one_picture import (
    EmbedOptions,
    Source,
    central_face,
    digest_of,
    embed_one,
    name_of,
)
from vultus.evaluate._plain import plain
from vultus.models import Registry
from vultus.pipeline import Recognizer, load
from vultus.runtime import default_threads, ordered_map
from vultus.types import EmbeddingSpace

__all__ = [
    "Embed",
    "EmbedOptions",
    "EmbeddedPictures",
    "Failure",
    "Progress",
    "Source",
    "central_face",
    "embed_pictures",
]

Vectors: TypeAlias = NDArray[np.float32]

_KEEP_EVERY = 200  # pictures; what a run that breaks off loses at most


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        done: Pictures embedded in this run.
        total: Pictures to embed in this run; those of the cache are not among them.
        per_s: Pictures a second so far.
        left_s: Seconds still to go at this rate.
    """

    done: int
    total: int
    per_s: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture without an embedding.

    Attributes:
        index: Its place in the list.
        path: Where it lies, or "picture N" where it came as bytes.
        code: ``no-face``, ``image-not-found``, or the code of what else went wrong.
        message: Why.
    """

    index: int
    path: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPictures:
    """What `embed_pictures` made.

    Attributes:
        vectors: (n, d) float32, unit rows; zeros where there is none.
        found: (n,) whether there is one.
        raw_norms: (n,) float32, length of the network's output: ``vectors * raw_norms[:, None]``
            are the raw outputs of an embedding without mirror image. 0 where there is none.
        faces: (n,) faces found in each picture; -1 where it could not be read.
        digests: (n,) SHA-256 of each file, hexadecimal; empty where it could not be read.
        failures: The pictures without an embedding, in order.
        space: Of the embeddings.
        cached: How many came from the cache.
        seconds: How long it took.
    """

    vectors: Vectors = field(repr=False)
    found: NDArray[np.bool_] = field(repr=False)
    raw_norms: NDArray[np.float32] = field(repr=False)
    faces: NDArray[np.intp] = field(repr=False)
    digests: tuple[str, ...] = field(repr=False)
    failures: tuple[Failure, ...]
    space: EmbeddingSpace
    cached: int
    seconds: float

    @classmethod
    def of(cls, vectors: NDArray[np.floating], space: str, found: ArrayLike | None = None) -> Self:
        """Embeddings that some other program made, for `Embed` functions of one's own.

        Args:
            vectors: (n, d); rows are scaled to unit length.
            space: What to call where they come from.
            found: (n,) whether a row is one; all when ``None``.

        Raises:
            RangeError: A row that is one is zero, NaN or infinite.
        """
        rows = np.asarray(vectors, np.float64)
        check_shape(rows, (None, None), "embeddings")
        kept = np.ones(len(rows), bool) if found is None else np.asarray(found, bool)
        check_shape(kept, (len(rows),), "`found`, one per embedding,")
        norms = np.where(kept, np.linalg.norm(rows, axis=1), 0.0)
        if not (np.isfinite(norms) & ((norms > 0) | ~kept)).all():
            raise RangeError("an embedding must be finite and of some length, one is not")
        unit = np.where(kept[:, None], rows, 0.0) / np.where(kept, norms, 1.0)[:, None]
        return cls(
            unit.astype(np.float32),
            kept,
            norms.astype(np.float32),
            kept.astype(np.intp),
            tuple(f"given {i}" for i in range(len(rows))),
            tuple(
                Failure(int(i), f"picture {i}", NoFaceError.code, f"picture {i} has no embedding")
                for i in np.flatnonzero(~kept)
            ),
            EmbeddingSpace(space, "", rows.shape[1], ""),
            0,
            0.0,
        )

    def take(self, rows: Sequence[int]) -> EmbeddedPictures:
        """Some of the pictures, in the order of `rows`."""
        at = np.asarray(rows, np.intp)
        told = {failure.index: failure for failure in self.failures}
        return dataclasses.replace(
            self,
            vectors=self.vectors[at],
            found=self.found[at],
            raw_norms=self.raw_norms[at],
            faces=self.faces[at],
            digests=tuple(self.digests[i] for i in at),
            failures=tuple(
                dataclasses.replace(told[i], index=place)
                for place, i in enumerate(at.tolist())
                if i in told
            ),
        )

    @property
    def exists(self) -> NDArray[np.bool_]:
        """(n,) whether each picture could be read from disk, whatever became of it."""
        return np.array([bool(digest) for digest in self.digests], bool)

    @property
    def missing(self) -> list[str]:
        """Pictures that do not exist."""
        return [f.path for f in self.failures if f.code == ImageNotFoundError.code]

    @property
    def no_face(self) -> list[str]:
        """Pictures that exist and gave no embedding: no face was found, or they are damaged."""
        return [f.path for f in self.failures if f.code != ImageNotFoundError.code]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the embeddings."""
        return {
            "pictures": len(self.found),
            "embedded": int(self.found.sum()),
            "several_faces": int((self.faces > 1).sum()),
            "failures": plain(self.failures),
            "space": self.space.id,
            "cached": self.cached,
            "seconds": self.seconds,
        }


class Embed(Protocol):
    """Turns pictures into embeddings: `embed_pictures` with its options, or one of your own."""

    def __call__(
        self, sources: Sequence[Source], *, points: NDArray[np.floating] | None = None
    ) -> EmbeddedPictures:
        """One row per picture.

        Args:
            sources: Paths, or encoded bytes.
            points: (n, 5, 2) landmarks where the data set states them.
        """
        ...


def embed_pictures(
    sources: Sequence[Source],
    options: EmbedOptions | None = None,
    *,
    points: NDArray[np.floating] | None = None,
    cache_folder: Path | None = None,
    use_cache: bool = True,
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> EmbeddedPictures:
    """Embed each picture's face; what fails is listed and the rest goes on.

    Args:
        sources: Paths or encoded bytes; equal pictures are embedded once.
        options: Model, detector, choice of the face.
        points: (n, 5, 2) landmarks where they are known; nothing is detected then.
        cache_folder: ``VULTUS_CACHE``, or the user's cache folder, when ``None``.
        use_cache: Whether to read and write the cache. Its key is the file's SHA-256 with the
            embedding space, the detector, `options`, vultus's own code and the libraries'
            versions, so a change of any of them makes new embeddings.
        jobs: Pictures at a time; one per CPU when ``None``.
        progress: Called after each picture, in this thread.

    Raises:
        InsufficientDataError: `sources` is empty.
        ShapeError: `points` does not fit.
        ModelError: The model or the detector cannot be used.
        InferenceError: A network failed.
    """
    began = time.perf_counter()
    options = options or EmbedOptions()
    if not len(sources):
        raise InsufficientDataError("there is no picture to embed", remedy="check the folder")
    if points is not None and np.shape(points) != (len(sources), 5, 2):
        raise ShapeError(
            f"points must be ({len(sources)}, 5, 2), five per picture, got {np.shape(points)}"
        )
    jobs = default_threads() if jobs is None else jobs
    recognizer = _recognizer(options)
    space = recognizer.embedder.space
    known = None if points is None else np.ascontiguousarray(points, np.float32)
    digests = list(ordered_map(digest_of, sources, jobs))
    keys = [_key(digest, known, i) for i, digest in enumerate(digests)]
    first = _first_of_each(keys)
    with _cache(cache_folder if use_cache else None, use_cache, options, space) as kept:
        entries: dict[bytes, Entry | InputError] = dict(kept.find(list(first))) if kept else {}
        cached = len(entries)
        todo = {key: index for key, index in first.items() if key not in entries}
        with _one_thread_per_picture(jobs):
            one = partial(embed_one, recognizer, options, sources, known)
            results = zip(todo, ordered_map(one, todo.values(), jobs), strict=True)
            entries.update(_collect(results, len(todo), kept, progress))
    return _gathered(
        [key if isinstance(key, InputError) else entries[key] for key in keys],
        [name_of(source, i) for i, source in enumerate(sources)],
        tuple(digest.hex() if isinstance(digest, bytes) else "" for digest in digests),
        space,
        cached,
        time.perf_counter() - began,
    )


# -- all of them --------------------------------------------------------------------------------


def _recognizer(options: EmbedOptions) -> Recognizer:
    return load(
        detector=options.detector,
        embedder=options.model,
        min_face_px=options.min_face_px,
        mirror=options.mirror,
        threads=1,  # the pictures are what runs in parallel
    )


def _key(
    digest: bytes | ImageNotFoundError, points: NDArray[np.float32] | None, index: int
) -> bytes | ImageNotFoundError:
    """What names a picture, with its points where they are given."""
    if points is None or isinstance(digest, ImageNotFoundError):
        return digest
    return hashlib.sha256(digest + points[index].tobytes()).digest()


def _first_of_each(keys: Sequence[bytes | ImageNotFoundError]) -> dict[bytes, int]:
    """Where each different readable picture first stands."""
    first: dict[bytes, int] = {}
    for index, key in enumerate(keys):
        if isinstance(key, bytes):
            first.setdefault(key, index)
    return first


def _collect(
    results: Iterator[tuple[bytes, Entry | InputError]],
    total: int,
    kept: EmbeddingCache | None,
    progress: Callable[[Progress], None] | None,
) -> dict[bytes, Entry | InputError]:
    """Everything the workers hand over; embeddings go to the cache as they come."""
    made: dict[bytes, Entry | InputError] = {}
    waiting: list[tuple[bytes, Entry]] = []
    began = time.perf_counter()
    try:
        for done, (key, result) in enumerate(results, 1):
            made[key] = result
            if isinstance(result, Entry):
                waiting.append((key, result))
            if kept and len(waiting) >= _KEEP_EVERY:
                kept.keep(waiting)
                waiting.clear()
            if progress:
                rate = done / max(1e-9, time.perf_counter() - began)
                progress(Progress(done, total, rate, (total - done) / rate))
    finally:  # what is interrupted is not lost
        if kept and waiting:
            kept.keep(waiting)
    return made


def _gathered(
    results: list[Entry | InputError],
    names: list[str],
    digests: tuple[str, ...],
    space: EmbeddingSpace,
    cached: int,
    seconds: float,
) -> EmbeddedPictures:
    vectors = np.zeros((len(results), space.dimension), np.float32)
    norms, faces = np.zeros(len(results), np.float32), np.full(len(results), -1, np.intp)
    failures = []
    for i, (result, name) in enumerate(zip(results, names, strict=True)):
        if isinstance(result, InputError):
            failures.append(Failure(i, name, result.code, result.message))
            continue
        faces[i], norms[i] = result.faces, result.raw_norm
        if len(result.vector):
            vectors[i] = result.vector
        else:
            failures.append(Failure(i, name, NoFaceError.code, f"no face was found in {name}"))
    return EmbeddedPictures(
        vectors, norms > 0, norms, faces, digests, tuple(failures), space, cached, seconds
    )


@contextmanager
def _one_thread_per_picture(jobs: int) -> Iterator[None]:
    """OpenCV's own threads would fight with ours over the cores."""
    import cv2

    before = cv2.getNumThreads()
    try:
        if jobs > 1:
            cv2.setNumThreads(1)
        yield
    finally:
        cv2.setNumThreads(before)


# -- the cache ----------------------------------------------------------------------------------


@contextmanager
def _cache(
    folder: Path | None, wanted: bool, options: EmbedOptions, space: EmbeddingSpace
) -> Iterator[EmbeddingCache | None]:
    if not wanted:
        yield None
        return
    with EmbeddingCache(folder or default_cache(), _make(options, space)) as opened:
        yield opened


def _make(options: EmbedOptions, space: EmbeddingSpace) -> str:
    """Everything besides the picture that decides its embedding."""
    parts = [space.id, space.digest, code_digest(), f"crops={options.crops}"]
    if options.crops == "detect":
        weights = Registry().get(options.detector).weights
        parts += [options.detector, *(weight.sha256 for weight in weights)]
        parts += [f"min_face_px={options.min_face_px}", f"face={options.face}"]
    return "\n".join(parts)
