"""Made-up faces for the gallery's benchmark: people as clusters of unit vectors, and who is asked.

Two samples of a person have a cosine of 0.5 to 0.7, as good pictures have with ArcFace-like models
(the default thresholds of such models lie at 0.3 to 0.4); strangers have about 0 ± 1/√d. Nothing
here is a face of anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAMPLES_PER_PERSON", "Faces", "anonymous_bytes", "make_faces", "read_faces"]

SAMPLES_PER_PERSON = 5
QUERIES = 512
SHARES = {"1 %": 0.01, "10 %": 0.1, "50 %": 0.5}
"""Groups, by the share of the people in them; drawn at random, each by itself."""

_SEED = 20260201
_GENUINE = (0.5, 0.7)
_ROWS_PER_STEP = 16_384
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Faces:
    """A set on disk, and its queries.

    Attributes:
        path: The vectors, (n, d) float32 one behind the other, a person's samples together.
        rows: n.
        dimension: d.
        queries: (q, d) float32, new samples of enrolled people.
        asked: (q,) whose they are.
        nearest: (q,) whose sample is nearest, by a plain product.
        groups: Name -> (people,) bool.
    """

    path: Path
    rows: int
    dimension: int
    queries: Vectors
    asked: NDArray[np.int64]
    nearest: NDArray[np.int64]
    groups: dict[str, NDArray[np.bool_]]

    @property
    def raw_bytes(self) -> int:
        """What the vectors alone take."""
        return self.rows * self.dimension * 4

    def parts(self, rows: int = _ROWS_PER_STEP) -> Iterator[tuple[int, Vectors]]:
        """The vectors with the number of their first row; read, not mapped: memory is measured."""
        with self.path.open("rb") as file:
            for start in range(0, self.rows, rows):
                count = min(rows, self.rows - start)
                read = np.fromfile(file, dtype=np.float32, count=count * self.dimension)
                yield start, read.reshape(count, self.dimension)

    def vectors(self) -> Vectors:
        """All of them."""
        every = np.empty((self.rows, self.dimension), dtype=np.float32)
        for start, part in self.parts():
            every[start : start + len(part)] = part
        return every

    def rows_of(self, group: str) -> NDArray[np.bool_]:
        """(n,) which rows belong to people of a group."""
        return np.repeat(self.groups[group], SAMPLES_PER_PERSON)[: self.rows]


def person_of(rows: NDArray[np.integer] | int) -> NDArray[np.int64]:
    """Whose rows these are."""
    return np.asarray(rows, dtype=np.int64) // SAMPLES_PER_PERSON


def make_faces(folder: Path, rows: int, dimension: int) -> Faces:
    """Write a set into a folder, and find the right answers."""
    draw = np.random.default_rng([_SEED, rows, dimension])
    people = -(-rows // SAMPLES_PER_PERSON)
    centres = _units(draw, people, dimension)
    asked = draw.integers(0, people, QUERIES)
    queries = _near(draw, centres[asked])
    best = np.full(QUERIES, -np.inf, dtype=np.float32)
    nearest = np.zeros(QUERIES, dtype=np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "vectors.f32").open("wb") as file:
        for start in range(0, rows, _ROWS_PER_STEP):
            numbers = np.arange(start, min(start + _ROWS_PER_STEP, rows))
            part = _near(draw, centres[person_of(numbers)])
            part.tofile(file)
            scores = queries @ part.T
            place = scores.argmax(axis=1)
            highest = scores[np.arange(QUERIES), place]
            better = highest > best
            best[better], nearest[better] = highest[better], person_of(numbers[place[better]])
    groups = {name: draw.random(people) < share for name, share in SHARES.items()}
    np.savez(
        folder / "faces.npz",
        rows=rows,
        dimension=dimension,
        queries=queries,
        asked=asked,
        nearest=nearest,
        **{f"group {name}": inside for name, inside in groups.items()},
    )
    return read_faces(folder)


def read_faces(folder: Path) -> Faces:
    """A set that `make_faces` wrote."""
    with np.load(folder / "faces.npz") as held:
        return Faces(
            folder / "vectors.f32",
            int(held["rows"]),
            int(held["dimension"]),
            held["queries"],
            held["asked"],
            held["nearest"],
            {name: held[f"group {name}"] for name in SHARES},
        )


def _units(draw: np.random.Generator, rows: int, dimension: int) -> Vectors:
    vectors = draw.standard_normal((rows, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _near(draw: np.random.Generator, centres: Vectors) -> Vectors:
    """Samples of people: the cosine of two is the geometric mean of two draws from `_GENUINE`."""
    likeness = draw.uniform(*_GENUINE, len(centres)).astype(np.float32)[:, None]
    noise = _units(draw, *centres.shape)
    samples = np.sqrt(likeness) * centres + np.sqrt(1 - likeness) * noise
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    return samples


def anonymous_bytes() -> int:
    """Memory of this process that is backed by no file: what it has allocated."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon in /proc/self/status")
