"""The index of one space: samples, people and groups as arrays, changed by one writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import RangeError
from vultus.gallery.search.filter import Table
from vultus.gallery.search.int8 import Screen
from vultus.gallery.search.people import People
from vultus.gallery.search.signs import Signs, read_plan
from vultus.gallery.search.snapshot import Snapshot
from vultus.types import EmbeddingSpace

__all__ = ["VectorIndex"]

_FIRST_CAPACITY = 64
_GROWTH = 1.5  # amortised constant cost per row with little memory idle
_HEADROOM = 1.1  # so that the next addition does not copy everything
_UNIT_TOLERANCE = 1e-3  # the one of vultus.types.Embedding
_FEW_ROWS = 4096  # so few are compacted at once: 8 MiB at 512 dimensions
_DEAD_SHARE = 0.25  # of the rows; more are compacted


class VectorIndex:
    """Vectors of one space, changed by one writer at a time, read by many threads.

    A reader takes `snapshot` and searches it. New rows are written behind those a snapshot
    covers, and whatever changes in place is copied first, so a snapshot never changes. Rows that
    are dropped are only marked until there are enough of them to make the arrays anew.

    Everything is named by whole numbers as in a database: samples, people and groups from 1.
    Each change makes a new snapshot; `changing` gathers several.

    Args:
        space: Where the vectors live.

    Attributes:
        space: The same.
        snapshot: The index now.
    """

    snapshot: Snapshot

    def __init__(self, space: EmbeddingSpace) -> None:
        self.space = space
        self._people = People()
        self._rows = self._dead_rows = self._last_sample = 0
        self._ascending = True
        self._vectors = np.empty((0, space.dimension), dtype=np.float32)
        self._slots = np.empty(0, dtype=np.int32)
        self._samples = np.empty(0, dtype=np.int64)
        self._scopes: NDArray[np.int64] | None = None
        self._dead = np.empty(0, dtype=np.bool_)
        self._own: set[str] = set()  # arrays that no snapshot holds yet
        self._screen = Screen(space.dimension)
        self._signs: Signs | None = None
        self._depth = 0
        self._publish()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make several changes with one new snapshot at their end.

        After an exception there is none, and the index must be thrown away.
        """
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._depth == 0:
            few = self._rows <= _FEW_ROWS and self._dead_rows > 0
            if few or self._dead_rows > _DEAD_SHARE * self._rows:
                self._compact()
            self._publish()

    def _publish(self) -> None:
        rows = slice(self._rows)
        table = Table(
            vectors=self._vectors[rows],
            slots=self._slots[rows],
            scopes=None if self._scopes is None else self._scopes[rows],
            samples=self._samples[rows],
            dead=self._dead[rows] if self._dead_rows else None,
            members=self._people.members,
            people=len(self._people),
        )
        self._people.share()
        self._own.clear()
        self.snapshot = Snapshot(
            table,
            self._people.ids,
            self._people.names,
            self._screen,
            self._signs,
            self._last_sample,
        )

    # -- rows -----------------------------------------------------------------------------------

    def reserve(self, rows: int) -> None:
        """Make room for `rows` rows in total, and a few more."""
        if rows > len(self._vectors):
            self._move(int(rows * _HEADROOM), np.arange(self._rows))

    def _move(self, capacity: int, rows: NDArray[np.intp]) -> None:
        """Copy some rows into arrays of another size."""
        count = len(rows)
        whole = count == self._rows
        for name in ("_vectors", "_slots", "_samples", "_scopes", "_dead"):
            old = getattr(self, name)
            if old is not None:
                new = np.empty((capacity, *old.shape[1:]), dtype=old.dtype)
                if whole:
                    new[:count] = old[:count]
                else:
                    # "clip" because "raise" makes NumPy fill a copy of `out` first.
                    np.take(old, rows, axis=0, out=new[:count], mode="clip")
                setattr(self, name, new)
        self._own.update(("_slots", "_scopes", "_dead"))
        self._rows = count

    def extend(
        self, samples: ArrayLike, people: ArrayLike, scopes: ArrayLike, vectors: ArrayLike
    ) -> None:
        """Append rows.

        Args:
            samples: (n,) sample numbers that the index does not hold.
            people: (n,) person keys.
            scopes: (n,) the group each row is limited to; 0: none.
            vectors: (n, d) float32, unit rows.

        Raises:
            RangeError: A vector is not finite or not of unit length; nothing was appended.
        """
        numbers = np.asarray(samples, dtype=np.int64)
        groups = np.asarray(scopes, dtype=np.int64)
        if len(numbers) == 0:
            return
        with self.changing():
            start, stop = self._rows, self._rows + len(numbers)
            if stop > len(self._vectors):
                self.reserve(max(stop, int(len(self._vectors) * _GROWTH), _FIRST_CAPACITY))
            room = self._vectors[start:stop]
            room[:] = vectors
            _check_units(room)
            if self._scopes is None and groups.any():
                self._scopes = np.zeros(len(self._vectors), dtype=np.int64)
            if self._scopes is not None:
                self._scopes[start:stop] = groups
            self._samples[start:stop] = numbers
            self._slots[start:stop] = self._people.slots(people)
            self._dead[start:stop] = False
            steps = np.diff(numbers, prepend=self._samples[start - 1] if start else 0)
            self._ascending = self._ascending and bool((steps > 0).all())
            self._last_sample = max(self._last_sample, int(numbers.max()))
            self._rows = stop

    def _find(self, samples: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the sample numbers that are there, and those numbers' places in `samples`."""
        wanted = np.asarray(samples, dtype=np.int64)
        held, rows = self._samples[: self._rows], None
        if not self._ascending:
            rows = np.flatnonzero(~self._dead[: self._rows])
            rows = rows[np.argsort(held[rows], kind="stable")]
            held = held[rows]
        places = np.minimum(np.searchsorted(held, wanted), max(len(held) - 1, 0))
        there = held[places] == wanted if len(held) else np.zeros(len(wanted), dtype=np.bool_)
        found = places[there] if rows is None else rows[places[there]]
        alive = ~self._dead[found]
        return found[alive], np.flatnonzero(there)[alive]

    def drop(self, samples: ArrayLike) -> None:
        """Remove rows; numbers that the index does not hold are ignored."""
        rows, _ = self._find(samples)
        self._drop_rows(np.unique(rows))

    def keep(self, samples: ArrayLike) -> None:
        """Remove all other rows."""
        held = self._samples[: self._rows]
        others = ~np.isin(held, np.asarray(samples, dtype=np.int64))
        self._drop_rows(np.flatnonzero(others & ~self._dead[: self._rows]))

    def _drop_rows(self, rows: NDArray[np.intp]) -> None:
        if len(rows):
            with self.changing():
                self._writable("_dead")[rows] = True
                self._dead_rows += len(rows)

    def assign(self, samples: ArrayLike, people: ArrayLike, scopes: ArrayLike) -> None:
        """Give rows to other people or groups; numbers the index does not hold are ignored."""
        rows, places = self._find(samples)
        if len(rows) == 0:
            return
        groups = np.asarray(scopes, dtype=np.int64)[places]
        with self.changing():
            self._writable("_slots")[rows] = self._people.slots(people)[places]
            if self._scopes is None and groups.any():
                self._scopes = np.zeros(len(self._vectors), dtype=np.int64)
            if self._scopes is not None:
                self._writable("_scopes")[rows] = groups

    def _writable(self, name: str) -> NDArray[np.generic]:
        """An array of the index that no snapshot holds."""
        array: NDArray[np.generic] = getattr(self, name)
        if name not in self._own:
            copy = np.empty_like(array)
            copy[: self._rows] = array[: self._rows]
            setattr(self, name, copy)
            self._own.add(name)
            array = copy
        return array

    def compact(self) -> None:
        """Let go of the memory of removed rows."""
        with self.changing():
            if self._dead_rows:
                self._compact()

    def _compact(self) -> None:
        alive = np.flatnonzero(~self._dead[: self._rows])
        self._move(int(len(alive) * _HEADROOM), alive)
        self._dead_rows = 0
        self._screen = self._screen.renewed()
        if self._signs is not None:
            self._signs = Signs(self.space.dimension, self._signs.plan)

    # -- people and groups ----------------------------------------------------------------------

    def set_people(self, people: Sequence[int], ids: Sequence[str], names: Sequence[str]) -> None:
        """Set people's ids and display names."""
        with self.changing():
            self._people.label(people, ids, names)

    def forget_people(self, people: Iterable[int]) -> None:
        """Let go of people: labels, memberships, and rows where any are left."""
        with self.changing():
            gone = self._people.forget(people)
            if len(gone):
                owned = np.isin(self._slots[: self._rows], gone)
                self._drop_rows(np.flatnonzero(owned & ~self._dead[: self._rows]))

    def set_members(self, people: ArrayLike, groups: ArrayLike) -> None:
        """Replace all memberships by these pairs."""
        with self.changing():
            self._people.set_members(people, groups)

    def set_group(self, group: int, people: ArrayLike) -> None:
        """Replace the members of one group; without any, the group is gone."""
        with self.changing():
            self._people.set_group(group, people)

    def join(self, person: int, group: int) -> None:
        """Add one membership; it may be there already."""
        with self.changing():
            self._people.join(person, group)

    def leave(self, person: int, group: int) -> None:
        """Take one membership away; it need not be there."""
        with self.changing():
            self._people.leave(person, group)

    # -- the approximate index ------------------------------------------------------------------

    def optimise(self) -> str | None:
        """Work out a plan of approximate search and use it; see `Snapshot.plan`."""
        text = self.snapshot.plan()
        self.use_plan(text)
        return text

    def use_plan(self, text: str | None) -> None:
        """Search as this plan says; exactly when it is ``None`` or no plan of this version."""
        plan = read_plan(text)
        with self.changing():
            if plan is None or not hasattr(np, "bitwise_count"):
                self._signs = None
            elif self._signs is None or self._signs.plan != plan:
                self._signs = Signs(self.space.dimension, plan)
                self._screen = self._screen.renewed()


def _check_units(vectors: NDArray[np.float32]) -> None:
    """Require finite rows of unit length: a NaN in the index would spoil answers silently."""
    with np.errstate(all="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors)
        sound = np.abs(np.sqrt(squares) - 1.0) <= _UNIT_TOLERANCE
    if not sound.all():
        raise RangeError("an indexed vector must be finite and of unit length")
