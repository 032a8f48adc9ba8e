"""Changes to embedding spaces: add, fill, switch over, drop."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from collections.abc import Iterable

from vultus.gallery._errors import active_space_error, missing_error
from vultus.gallery.audit import ranges
from vultus.gallery.records.change import Change, chunks, read_spaces
from vultus.gallery.records.find import SPACE_STRIDE, require_samples, space_key
from vultus.gallery.records.read import count
from vultus.gallery.records.samples import use_space
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["activate_space", "add_space", "drop_space", "put_embeddings", "set_plan"]

_PUT = (
    "INSERT INTO embedding (id, raw_norm, vector) VALUES (?, ?, ?) ON CONFLICT (id)"
    " DO UPDATE SET raw_norm = excluded.raw_norm, vector = excluded.vector"
)


def add_space(change: Change, space: EmbeddingSpace) -> None:
    """Keep embeddings of another space; see `Gallery.add_space`."""
    if space not in read_spaces(change.connection).values():
        use_space(change, space)


def put_embeddings(
    change: Change, space: EmbeddingSpace, items: Iterable[tuple[int, Embedding]]
) -> int:
    """Keep further embeddings of samples; see `Gallery.put_embeddings`."""
    connection = change.connection
    key = space_key(connection, space)
    new = dict(items)
    numbers = sorted(new)
    require_samples(connection, numbers)
    if not numbers:
        return 0
    base, held = key * SPACE_STRIDE, 0
    for part in chunks(numbers):
        ids = [base + number for number in part]
        sql = f"SELECT count(*) FROM embedding WHERE id IN ({', '.join('?' * len(ids))})"
        held += connection.execute(sql, ids).fetchone()[0]
    connection.executemany(
        _PUT,
        [
            (base + number, float(new[number].raw_norm), connection.pack(new[number].vector))
            for number in numbers
        ],
    )
    connection.execute(
        "UPDATE space SET samples = samples + ? WHERE key = ?", (len(numbers) - held, key)
    )
    if key == change.state.active_space:
        change.tell("vector", numbers)
    change.erased |= held > 0
    change.log("space.embed", space=space.id, count=len(numbers), samples=ranges(numbers))
    return len(numbers)


def activate_space(change: Change, space: EmbeddingSpace, *, allow_missing: bool) -> None:
    """Search in this space from now on; see `Gallery.activate`."""
    connection = change.connection
    key = space_key(connection, space)
    if key == change.state.active_space:
        return
    (held,) = connection.execute("SELECT samples FROM space WHERE key = ?", (key,)).fetchone()
    missing = count(connection, "sample") - held
    if missing and not allow_missing:
        raise missing_error(space, missing)
    change.state.active_space = key
    change.tell("space", [key])
    change.log("space.activate", space=space.id, missing=missing)


def set_plan(change: Change, space: EmbeddingSpace, plan: str | None) -> None:
    """Keep how the approximate index of a space is built."""
    key = space_key(change.connection, space)
    sql = "SELECT search_plan FROM space WHERE key = ?"
    if change.connection.execute(sql, (key,)).fetchone()[0] != plan:
        change.connection.execute("UPDATE space SET search_plan = ? WHERE key = ?", (plan, key))
        change.tell("plan", [key])


def drop_space(change: Change, space: EmbeddingSpace) -> int:
    """Erase a space that is not active; see `Gallery.drop_space`."""
    connection = change.connection
    key = space_key(connection, space)
    if key == change.state.active_space:
        raise active_space_error(space)
    base = key * SPACE_STRIDE
    gone = connection.execute(
        "DELETE FROM embedding WHERE id >= ? AND id < ?", (base, base + SPACE_STRIDE)
    )
    connection.execute("DELETE FROM space WHERE key = ?", (key,))
    change.log("space.drop", space=space.id, count=gone.rowcount)
    change.erased = True
    return int(gone.rowcount)
