"""Keeps Milvus in step with the records: what was committed there is done here, once or twice.

The records are the truth. Each change of theirs tells, in the same transaction, what those who
search must read again (the table `change`), and the table `mirror` says how far Milvus has got.
So whatever happens between the two, a crash included, is seen by whoever comes next and is done
again; doing it twice does no harm. Only who holds the records' writing lock touches Milvus, so
what is read there is still true when it is written here.
"""

# ruff: noqa: S608 - only placeholders, integers and words of our own are put together

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from vultus.gallery.milvus.engine import EVERYWHERE, MOST_GROUPS, MilvusEngine, Row
from vultus.gallery.records.change import Connection, State, chunks, marks, read_spaces, read_state
from vultus.gallery.records.find import SPACE_STRIDE, decode_vectors
from vultus.gallery.values import Finding
from vultus.types import EmbeddingSpace

__all__ = ["Mark", "MilvusMirror", "differences"]

_log = logging.getLogger(__name__)

_ROWS_PER_STEP = 1000  # so that others wait for the records for a second at most
_NEWS_PER_STEP = 200


class Mark(NamedTuple):
    """A state of the records that Milvus has reached.

    Attributes:
        revision: Of the records.
        collection: Where the vectors are.
        space_key: Of the active space.
        space: The active space.
    """

    revision: int
    collection: str
    space_key: int
    space: EmbeddingSpace


class _Active(NamedTuple):
    """The records as a step finds them.

    Attributes:
        connection: A writing one.
        state: The gallery's row.
        key: Of the active space.
        space: The active space.
    """

    connection: Connection
    state: State
    key: int
    space: EmbeddingSpace


class _Progress(NamedTuple):
    """A row of `mirror`.

    Attributes:
        token: Key of the space, and what tells one copy of it from another.
        seq: Changes up to this one are done.
        last_sample: Samples up to this one are there.
    """

    token: str
    seq: int
    last_sample: int

    def is_of(self, key: int) -> bool:
        """Whether this is a copy of the space of this key."""
        return self.token.partition("_")[0] == str(key)

    def is_at(self, state: State) -> bool:
        """Whether everything is done."""
        return (self.seq, self.last_sample) == (state.last_change, state.last_sample)


def _active(connection: Connection) -> _Active | None:
    state = read_state(connection)
    key = state.active_space
    return None if key is None else _Active(connection, state, key, read_spaces(connection)[key])


class MilvusMirror:
    """A copy of the active space's vectors in a collection of Milvus.

    Args:
        engine: Where the collection is.
        writing: Gives a connection to the records that no other writer shares.
    """

    def __init__(
        self, engine: MilvusEngine, writing: Callable[[], AbstractContextManager[Connection]]
    ) -> None:
        self._engine = engine
        self._writing = writing
        self._name = engine.place.location

    def mark(self, connection: Connection) -> Mark | None:
        """The state that `connection` sees, if Milvus has reached it; nothing is done."""
        now, progress = _active(connection), self._progress(connection)
        if now is None or progress is None:
            return None
        if not (progress.is_of(now.key) and progress.is_at(now.state)):
            return None
        return Mark(now.state.revision, self._collection(progress), now.key, now.space)

    def follow(self) -> None:
        """Do what is not done yet, a step at a time."""
        while True:
            with self._writing() as connection:
                if self.step(connection):
                    return

    def step(self, connection: Connection) -> bool:
        """Do some of what is not done yet; whether that was all.

        Args:
            connection: A writing one.
        """
        now, progress = _active(connection), self._progress(connection)
        if now is None:
            return True
        if progress is None or not progress.is_of(now.key):
            progress = self._begin(now)
        elif progress.seq < now.state.last_change:
            progress = self._catch_up(now, progress)
        elif progress.last_sample < now.state.last_sample:
            progress = self._copy(now, progress)
        else:
            return True
        self._save(connection, progress)
        return progress.is_at(now.state)

    def rebuild(self) -> None:
        """Make the copy anew, from the records."""
        with self._writing() as connection:
            now = _active(connection)
            if now is not None:
                self._save(connection, self._begin(now))
        self.follow()

    def is_complete(self, connection: Connection, mark: Mark) -> bool:
        """Whether Milvus has as many rows as the records, so far as counting can tell."""
        sql = "SELECT samples FROM space WHERE key = ?"
        (samples,) = connection.execute(sql, (mark.space_key,)).fetchone()
        engine = self._engine
        return engine.has(mark.collection) and engine.count(mark.collection) == samples

    # -- where it stands ------------------------------------------------------------------------

    def _progress(self, connection: Connection) -> _Progress | None:
        row = connection.execute(
            "SELECT token, seq, last_sample FROM mirror WHERE name = ?", (self._name,)
        ).fetchone()
        return None if row is None else _Progress(*row)

    def _save(self, connection: Connection, progress: _Progress) -> None:
        connection.execute(
            "INSERT INTO mirror (name, token, seq, last_sample) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET token = excluded.token, seq = excluded.seq,"
            " last_sample = excluded.last_sample",
            (self._name, *progress),
        )

    def _collection(self, progress: _Progress) -> str:
        return f"{self._engine.place.collection}_{progress.token}"

    # -- what is to be done ---------------------------------------------------------------------

    def _begin(self, now: _Active) -> _Progress:
        """Begin a new, empty copy of the active space; older ones of this gallery go."""
        note = f"vultus gallery {_identity(now.state)}"
        for name, other in self._engine.collections().items():
            if other == note:
                self._engine.drop(name)
        progress = _Progress(f"{now.key}_{secrets.token_hex(4)}", now.state.last_change, 0)
        self._engine.make(self._collection(progress), now.space.dimension, note)
        return progress

    def _catch_up(self, now: _Active, progress: _Progress) -> _Progress:
        """Do again the next changes of what is there; or begin anew when they are not known."""
        execute = now.connection.execute
        news = execute(
            "SELECT seq, kind, key FROM change WHERE seq > ? ORDER BY seq LIMIT ?",
            (progress.seq, _NEWS_PER_STEP),
        ).fetchall()
        gap = not news or news[0][0] != progress.seq + 1
        if gap or any(kind == "space" for _, kind, _ in news):
            _log.info("%s: copied anew from the records", self._name)
            return self._begin(now)
        wanted = {key for _, kind, key in news if kind in ("sample", "vector")}
        people = {key for _, kind, key in news if kind == "member"}
        for group in {key for _, kind, key in news if kind == "group"}:
            sql = "SELECT person_key FROM membership WHERE group_key = ?"
            people.update(key for (key,) in execute(sql, (group,)).fetchall())
            held = f"array_contains(groups, {group:d})"
            rows = self._engine.rows(self._collection(progress), held)
            wanted.update(row.number for row in rows)
        for part in chunks(sorted(people)):
            sql = f"SELECT number FROM sample WHERE person_key IN {marks(part)}"
            wanted.update(number for (number,) in execute(sql, part).fetchall())
        self._put_again(now, progress, sorted(wanted))
        return progress._replace(seq=news[-1][0])

    def _put_again(self, now: _Active, progress: _Progress, numbers: Sequence[int]) -> None:
        """Make the rows of these samples what the records say now; later ones are still to come."""
        collection = self._collection(progress)
        for part in chunks(number for number in numbers if number <= progress.last_sample):
            rows = _rows(now, f"s.number IN {marks(part)}", part)
            gone = sorted(set(part) - {row.number for row in rows})
            if gone:
                self._engine.delete(collection, gone)
            if rows:
                self._engine.upsert(collection, rows)

    def _copy(self, now: _Active, progress: _Progress) -> _Progress:
        """Put in the next new samples."""
        collection, last = self._collection(progress), progress.last_sample
        # Whoever was interrupted here before left rows behind that nobody has on record.
        self._engine.delete_after(collection, last)
        rows = _rows(now, "s.number > ?", [last], limit=_ROWS_PER_STEP)
        if rows:
            self._engine.insert(collection, rows)
        done = rows[-1].number if len(rows) == _ROWS_PER_STEP else now.state.last_sample
        return progress._replace(last_sample=done)


def _identity(state: State) -> str:
    """What tells this gallery from others, without giving its salt away."""
    return hashlib.sha256(b"milvus" + state.salt).hexdigest()[:16]


def _rows(
    now: _Active, where: str, parameters: Sequence[object], limit: int | None = None
) -> list[Row]:
    """Samples of the active space as Milvus keeps them, by number."""
    found = now.connection.execute(
        "SELECT s.number, s.person_key, s.scope_key, e.vector FROM sample s"
        f" JOIN embedding e ON e.id = s.number + {now.key * SPACE_STRIDE} WHERE {where}"
        f" ORDER BY s.number{'' if limit is None else f' LIMIT {limit:d}'}",
        parameters,
    ).fetchall()
    if not found:
        return []
    numbers, people, scopes, values = zip(*found, strict=True)
    vectors = decode_vectors(numbers, now.connection.unpack(values), now.space.dimension)
    groups = _groups_of(now.connection, people)
    return [
        Row(number, groups.get(person, []) if scope is None else [scope], vector)
        for number, person, scope, vector in zip(numbers, people, scopes, vectors, strict=True)
    ]


def differences(connection: Connection, engine: MilvusEngine, mark: Mark) -> Iterator[Finding]:
    """Where Milvus does not hold what the records hold."""
    now = _active(connection)
    if now is None:
        return
    after = 0
    while rows := _rows(now, "s.number > ?", [after], limit=_ROWS_PER_STEP):
        last = rows[-1].number
        held = engine.rows(mark.collection, f"number > {after:d} and number <= {last:d}")
        yield from _compare(rows, held)
        after = last
    yield from _compare([], engine.rows(mark.collection, f"number > {after:d}"))


def _compare(rows: Sequence[Row], held: Iterable[Row]) -> Iterator[Finding]:
    found = {row.number: row for row in held}
    for row in rows:
        other = found.pop(row.number, None)
        if other is None:
            yield Finding("index", f"Milvus must hold sample {row.number}, it does not")
        elif row.vector.tobytes() != other.vector.tobytes() or row.groups != other.groups:
            yield Finding("index", f"Milvus must hold sample {row.number} as it is stored")
    for number in sorted(found):
        yield Finding("residue", f"Milvus holds sample {number}, which is not stored")


def _groups_of(connection: Connection, people: Sequence[int]) -> dict[int, list[int]]:
    """The keys of the groups that people are in; of very many groups, `EVERYWHERE`."""
    groups: dict[int, list[int]] = {}
    for part in chunks(dict.fromkeys(people)):
        rows = connection.execute(
            f"SELECT person_key, group_key FROM membership WHERE person_key IN {marks(part)}"
            " ORDER BY person_key, group_key",
            part,
        ).fetchall()
        for person, group in rows:
            groups.setdefault(person, []).append(group)
    return {
        person: keys if len(keys) <= MOST_GROUPS else [EVERYWHERE]
        for person, keys in groups.items()
    }
