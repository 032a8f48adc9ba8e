"""Keeps the index that is searched in step with the records, reading only what has changed."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from vultus.gallery.records.change import Connection, State, chunks, marks, read_space, read_state
from vultus.gallery.records.find import SPACE_STRIDE, decode_vectors
from vultus.gallery.search.index import VectorIndex
from vultus.types import EmbeddingSpace

__all__ = ["IndexCache"]

_BYTES_PER_FETCH = 8 * 2**20
_NEWS = "SELECT kind, key, other FROM change WHERE seq > ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class _Seen:
    """How far the index has followed the records."""

    revision: int
    change: int
    person: int
    space: int


class IndexCache:
    """The index of the active space, brought up to date before each search.

    Callers take turns. After an error the next call reads everything anew.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Read everything anew next time."""
        self._index: VectorIndex | None = None
        self._seen: _Seen | None = None

    def current(
        self, connection: Connection, streaming: Callable[[], AbstractContextManager[Connection]]
    ) -> VectorIndex | None:
        """The index as of `connection`'s transaction or later; ``None`` before the first sample.

        Args:
            connection: Sees one state of the records.
            streaming: Gives a connection to read everything with, where that is needed.
        """
        state = read_state(connection)
        if self._seen is not None and self._seen.revision == state.revision:
            return self._index
        index, seen = self._index, self._seen
        self.forget()  # so that an error half way leaves no half-updated index behind
        if index is not None and seen is not None and seen.space == state.active_space:
            news = _news(connection, seen.change, state.last_change)
            if news is not None:
                with index.changing():
                    _update(connection, index, seen.space, seen.person, news)
                return self._keep(index, state)
        with streaming() as whole:
            state = read_state(whole)
            found = read_space(whole)
            return self._keep(None if found is None else _load(whole, *found), state)

    def _keep(self, index: VectorIndex | None, state: State) -> VectorIndex | None:
        self._index = index
        self._seen = _Seen(
            state.revision, state.last_change, state.last_person, state.active_space or 0
        )
        return index


def _news(
    connection: Connection, seen: int, last: int
) -> dict[str, dict[tuple[int, int], None]] | None:
    """What changed since, by kind; ``None`` when that cannot be told any more."""
    rows = connection.execute(_NEWS, (seen,)).fetchall()
    if len(rows) != last - seen:
        return None
    news: dict[str, dict[tuple[int, int], None]] = {}
    for kind, key, other in rows:
        news.setdefault(kind, {})[key, other] = None
    return None if "space" in news else news


def _load(connection: Connection, space_key: int, space: EmbeddingSpace) -> VectorIndex:
    """A new index of everything."""
    index = VectorIndex(space)
    sql = "SELECT samples, search_plan FROM space WHERE key = ?"
    rows, plan = connection.execute(sql, (space_key,)).fetchone()
    with index.changing():
        index.reserve(rows)
        _extend(connection, index, space_key, 0)
        _label(connection, index, "key > ?", [0])
        pairs = connection.execute("SELECT person_key, group_key FROM membership").fetchall()
        index.set_members([person for person, _ in pairs], [group for _, group in pairs])
        del pairs
        index.use_plan(plan)
    return index


def _update(
    connection: Connection,
    index: VectorIndex,
    space_key: int,
    last_person: int,
    news: dict[str, dict[tuple[int, int], None]],
) -> None:
    """Read again what changed, and what is new."""
    last = index.snapshot.last_sample
    _label(connection, index, "key > ?", [last_person])
    vectors = [key for key, _ in news.get("vector", ()) if key <= last]
    index.drop(vectors)
    for part in chunks(vectors):
        ids = [space_key * SPACE_STRIDE + number for number in part]
        _extend_where(connection, index, space_key, f"e.id IN {marks(ids)}", ids)
    for part in chunks([key for key, _ in news.get("sample", ()) if key <= last]):
        sql = f"SELECT number, person_key, scope_key FROM sample WHERE number IN {marks(part)}"
        rows = connection.execute(sql, part).fetchall()
        index.drop(sorted(set(part) - {row[0] for row in rows}))
        index.assign([r[0] for r in rows], [r[1] for r in rows], [r[2] or 0 for r in rows])
    for part in chunks([key for key, _ in news.get("person", ())]):
        known = _label(connection, index, f"key IN {marks(part)}", part)
        index.forget_people(sorted(set(part) - known))
    _extend(connection, index, space_key, last)
    for (group,) in {(key,) for key, _ in news.get("group", ())}:
        sql = "SELECT person_key FROM membership WHERE group_key = ?"
        index.set_group(group, [key for (key,) in connection.execute(sql, (group,)).fetchall()])
    for pairs in chunks(news.get("member", ()), 200):
        _update_members(connection, index, pairs)
    if "plan" in news:
        sql = "SELECT search_plan FROM space WHERE key = ?"
        index.use_plan(connection.execute(sql, (space_key,)).fetchone()[0])


def _update_members(
    connection: Connection, index: VectorIndex, pairs: Sequence[tuple[int, int]]
) -> None:
    pair_marks = ", ".join(["(?, ?)"] * len(pairs))
    rows = connection.execute(
        "SELECT person_key, group_key FROM membership"
        f" WHERE (person_key, group_key) IN (VALUES {pair_marks})",
        [key for pair in pairs for key in pair],
    ).fetchall()
    held = set(map(tuple, rows))
    for person, group in pairs:
        if (person, group) in held:
            index.join(person, group)
        else:
            index.leave(person, group)


def _label(
    connection: Connection, index: VectorIndex, where: str, parameters: Sequence[object]
) -> set[int]:
    """Read ids and names of people; gives the keys of those there are."""
    sql = f"SELECT key, id, name FROM person WHERE {where} ORDER BY key"
    rows = connection.execute(sql, parameters).fetchall()
    if rows:
        keys, ids, names = zip(*rows, strict=True)
        index.set_people(keys, ids, names)
        return set(keys)
    return set()


def _extend(connection: Connection, index: VectorIndex, space_key: int, last: int) -> None:
    """Read the samples after `last`."""
    base = space_key * SPACE_STRIDE
    _extend_where(
        connection, index, space_key, "e.id > ? AND e.id < ?", [base + last, base + SPACE_STRIDE]
    )


def _extend_where(
    connection: Connection,
    index: VectorIndex,
    space_key: int,
    where: str,
    parameters: Sequence[object],
) -> None:
    base, dimension = space_key * SPACE_STRIDE, index.space.dimension
    rows_per_fetch = max(1, _BYTES_PER_FETCH // (4 * dimension))
    cursor = connection.execute(
        "SELECT s.number, s.person_key, coalesce(s.scope_key, 0), e.vector FROM embedding e"
        f" JOIN sample s ON s.number = e.id - ? WHERE {where} ORDER BY e.id",
        [base, *parameters],
    )
    while rows := cursor.fetchmany(rows_per_fetch):
        samples, people, scopes, values = zip(*rows, strict=True)
        del rows
        vectors = decode_vectors(samples, connection.unpack(values), dimension)
        index.extend(samples, people, scopes, vectors)
