"""One change to the records, in SQL that SQLite and PostgreSQL both speak: numbers, log, news.

Tables and columns are those of ``migrations/``. Placeholders are ``?``. Whoever writes holds the
one row of `gallery` for the whole transaction, so changes follow one another: numbers are given
out without gaps, and what was looked up stays true until the commit.
"""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.audit import actor, canonical, entry_hash, now, subject_of
from vultus.types import EmbeddingSpace

__all__ = [
    "CHANGES_KEPT",
    "Change",
    "Connection",
    "Cursor",
    "Damage",
    "State",
    "as_json",
    "chunks",
    "from_json",
    "marks",
    "read_space",
    "read_spaces",
    "read_state",
]

T = TypeVar("T")

CHANGES_KEPT = 20_000  # about 0.5 MB; a reader further behind reads everything anew
_VALUES_PER_STATEMENT = 500  # SQLite before 3.32 takes 999 parameters


class Damage(Exception):  # noqa: N818 - never leaves the gallery
    """Stored data contradicts itself; each backend makes its own error of it.

    Args:
        what: Goes on from "the gallery …".
        fields: The facts.
    """

    def __init__(self, what: str, **fields: object) -> None:
        super().__init__(what)
        self.what = what
        self.fields = fields


class Cursor(Protocol):
    """What is needed of a cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the last INSERT, UPDATE or DELETE touched."""
        ...

    def fetchone(self) -> Any:
        """The next row, or ``None``."""
        ...

    def fetchmany(self, size: int) -> list[Any]:
        """The next rows, at most `size`."""
        ...

    def fetchall(self) -> list[Any]:
        """All remaining rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What is needed of a connection."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement with ``?`` placeholders."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement once per row; `rowcount` is the sum."""
        ...

    def pack(self, vector: NDArray[np.float32], /) -> object:
        """A vector of (d,) float32 as the column `embedding.vector` takes it."""
        ...

    def unpack(self, values: Sequence[Any], /) -> Sequence[Any]:
        """Values of that column as bytes, float32 little-endian."""
        ...


@dataclass(slots=True)
class State:
    """The one row of the table `gallery`: what the next change counts on from.

    Attributes:
        created_at: When the gallery was made.
        salt: Keys the subjects of the audit log.
        active_space: Key of the active space, or ``None``.
        revision: Counts changes.
        last_space: Highest key of a space ever given out; likewise the others.
        audit_head: Hash of the newest entry of the log.
    """

    created_at: str
    salt: bytes
    active_space: int | None
    revision: int
    last_space: int
    last_group: int
    last_person: int
    last_sample: int
    last_change: int
    last_audit: int
    audit_head: str


_STATE = (
    "SELECT created_at, salt, active_space, revision, last_space, last_group, last_person,"
    " last_sample, last_change, last_audit, audit_head FROM gallery WHERE id = 1"
)
_SETTLE = (
    "UPDATE gallery SET active_space = ?, revision = ?, last_space = ?, last_group = ?,"
    " last_person = ?, last_sample = ?, last_change = ?, last_audit = ?, audit_head = ?"
    " WHERE id = 1"
)
_SPACE = "SELECT key, model, digest, dimension, preprocessing FROM space"


def chunks(values: Iterable[T], size: int = _VALUES_PER_STATEMENT) -> Iterator[list[T]]:
    """`values` in lists short enough for the parameters of one statement."""
    rest = iter(values)
    while part := list(itertools.islice(rest, size)):
        yield part


def marks(values: Sequence[object]) -> str:
    """Placeholders for an ``IN``: ``(?, ?, ?)``."""
    return f"({', '.join('?' * len(values))})"


def read_state(connection: Connection) -> State:
    """The gallery's own row.

    Raises:
        Damage: There is none.
    """
    row = connection.execute(_STATE).fetchone()
    if row is None:
        raise Damage("lacks its own record")
    return State(row[0], bytes(row[1]), *row[2:])


def read_spaces(connection: Connection) -> dict[int, EmbeddingSpace]:
    """Every space by its key, in the order they were added."""
    rows = connection.execute(f"{_SPACE} ORDER BY key").fetchall()
    return {row[0]: EmbeddingSpace(*row[1:]) for row in rows}


def read_space(connection: Connection) -> tuple[int, EmbeddingSpace] | None:
    """The active space and its key, or ``None`` before the first sample."""
    row = connection.execute(
        f"{_SPACE} WHERE key = (SELECT active_space FROM gallery WHERE id = 1)"
    ).fetchone()
    return None if row is None else (row[0], EmbeddingSpace(*row[1:]))


class Change:
    """A change being made: gives out numbers, gathers log and news, and settles at the end.

    Attributes:
        connection: Within a transaction that only one writer can have.
        state: The gallery's row as it will be written.
        at: The moment of the change.
        actor: Who makes it.
        erased: Whether data was erased, so that the store should be swept.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.state = read_state(connection)
        self.at = now()
        self.actor = actor()
        self.erased = False
        self._entries: list[tuple[object, ...]] = []
        self._news: dict[tuple[str, int, int], None] = {}

    @property
    def changed(self) -> bool:
        """Whether there is anything to settle: each change leaves an entry in the log or news."""
        return bool(self._entries or self._news)

    def next_space(self) -> int:
        """A key for a new space."""
        self.state.last_space += 1
        return self.state.last_space

    def next_group(self) -> int:
        """A key for a new group."""
        self.state.last_group += 1
        return self.state.last_group

    def next_people(self, count: int) -> range:
        """Keys for new people."""
        first = self.state.last_person + 1
        self.state.last_person += count
        return range(first, first + count)

    def next_samples(self, count: int) -> range:
        """Numbers for new samples."""
        first = self.state.last_sample + 1
        self.state.last_sample += count
        return range(first, first + count)

    def log(self, action: str, person: str | None = None, /, **detail: object) -> None:
        """Write an entry of the audit log about `person`, or about the gallery."""
        subject = None if person is None else subject_of(self.state.salt, person)
        number = self.state.last_audit + 1
        found = entry_hash(
            self.state.audit_head, number, self.at, self.actor, action, subject, detail
        )
        self._entries.append(
            (number, self.at, self.actor, action, subject, canonical(detail), found)
        )
        self.state.last_audit, self.state.audit_head = number, found

    def subject(self, person: str) -> str:
        """What stands for `person` in the log."""
        return subject_of(self.state.salt, person)

    def tell(self, kind: str, keys: Iterable[int], other: int = 0) -> None:
        """Tell those who search what to read again; new samples and people need no telling.

        Args:
            kind: ``sample``: gone, or of another person or scope. ``vector``: a sample has
                another embedding in the active space. ``person``: gone, or of another label.
                ``member``: whether the person is in the group `other`. ``group``: all its
                members. ``space``: everything. ``plan``: how the approximate index is built.
            keys: Sample numbers, or keys of people, groups or spaces.
            other: Key of a group, for ``member``.
        """
        self._news.update(dict.fromkeys((kind, key, other) for key in keys))

    def settle(self) -> None:
        """Write log, news and the gallery's own row; the last thing before the commit."""
        execute = self.connection.execute
        if self._entries:
            self.connection.executemany(
                "INSERT INTO audit (number, made_at, actor, action, subject, detail, hash)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                self._entries,
            )
        state = self.state
        if self._news:
            first = state.last_change + 1
            state.last_change += len(self._news)
            # A reader that far behind reads everything anew: the rest need not be told.
            kept = list(enumerate(self._news, first))[-CHANGES_KEPT:]
            self.connection.executemany(
                "INSERT INTO change (seq, kind, key, other) VALUES (?, ?, ?, ?)",
                [(seq, *news) for seq, news in kept],
            )
            execute("DELETE FROM change WHERE seq <= ?", (state.last_change - CHANGES_KEPT,))
        execute(
            _SETTLE,
            (
                state.active_space,
                state.revision + 1,
                state.last_space,
                state.last_group,
                state.last_person,
                state.last_sample,
                state.last_change,
                state.last_audit,
                state.audit_head,
            ),
        )


def as_json(values: Mapping[str, object] | None) -> str | None:
    """A record of numbers as it is stored."""
    return None if values is None else canonical(values)


def from_json(text: str | None) -> Any:
    """What `as_json` wrote."""
    return None if text is None else json.loads(text)
