"""Changes to samples: enrol, give away, erase."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vultus.gallery._errors import duplicate_error
from vultus.gallery._rules import check_spaces
from vultus.gallery.audit import ranges
from vultus.gallery.records.change import Change, as_json, chunks, marks, read_space
from vultus.gallery.records.find import (
    SPACE_STRIDE,
    StoredSample,
    group_keys,
    person_key,
    person_keys,
    require_samples,
    stored_samples,
)
from vultus.gallery.values import NewSample
from vultus.types import EmbeddingSpace

__all__ = [
    "add_samples",
    "erase_samples",
    "held_digests",
    "join_missing",
    "move_samples",
    "remove_samples",
    "replace_samples",
    "touch",
    "use_space",
]

Held = set[tuple[int, int | None, str]]
"""Person, scope and digest of pictures that are held."""


class _People(NamedTuple):
    """Keys by id, and which of them are new."""

    keys: dict[str, int]
    new: set[str]


# -- enrol ----------------------------------------------------------------------------------------


def add_samples(
    change: Change, batch: Sequence[NewSample], *, allow_duplicates: bool = False
) -> list[int]:
    """Enrol a batch; see `Gallery.add_many`."""
    found = read_space(change.connection)
    check_spaces(None if found is None else found[1], (item.embedding for item in batch))
    if not batch:
        return []
    space, _ = found or use_space(change, batch[0].embedding.space)
    people = _people_of(change, dict.fromkeys(item.person for item in batch))
    scopes = _groups_of(change, dict.fromkeys(item.group for item in batch if item.group))
    if not allow_duplicates:
        _refuse_duplicates(change, batch, people, scopes)
    join_missing(change, {(people.keys[i.person], scopes[i.group]) for i in batch if i.group})
    numbers = change.next_samples(len(batch))
    _insert(change, batch, numbers, space, people, scopes)
    touch(change, (key for person, key in people.keys.items() if person not in people.new))
    _log_added(change, batch, numbers, people)
    return list(numbers)


def _insert(
    change: Change,
    batch: Sequence[NewSample],
    numbers: Sequence[int],
    space: int,
    people: _People,
    scopes: dict[str, int],
) -> None:
    connection, at, base = change.connection, change.at, space * SPACE_STRIDE
    connection.executemany(
        "INSERT INTO sample"
        " (number, person_key, scope_key, source_digest, source, quality, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                people.keys[item.person],
                scopes[item.group] if item.group else None,
                item.source_digest,
                item.source,
                as_json(item.quality),  # type: ignore[arg-type]  # a record by now
                at,
            )
            for number, item in zip(numbers, batch, strict=True)
        ],
    )
    connection.executemany(
        "INSERT INTO embedding (id, raw_norm, vector) VALUES (?, ?, ?)",
        (
            (
                base + number,
                float(item.embedding.raw_norm),
                connection.pack(item.embedding.vector),
            )
            for number, item in zip(numbers, batch, strict=True)
        ),
    )
    connection.execute("UPDATE space SET samples = samples + ? WHERE key = ?", (len(batch), space))
    crops = [(n, i.crop) for n, i in zip(numbers, batch, strict=True) if i.crop is not None]
    if crops:
        connection.executemany("INSERT INTO crop (number, data) VALUES (?, ?)", crops)


def use_space(change: Change, space: EmbeddingSpace) -> tuple[int, EmbeddingSpace]:
    """Keep embeddings of a new space; the gallery's first one becomes active."""
    key = change.next_space()
    change.connection.execute(
        "INSERT INTO space (key, model, digest, dimension, preprocessing) VALUES (?, ?, ?, ?, ?)",
        (key, space.model, space.digest, space.dimension, space.preprocessing),
    )
    change.log("space.add", space=space.id)
    if change.state.active_space is None:
        change.state.active_space = key
        change.tell("space", [key])
    return key, space


def _people_of(change: Change, people: Iterable[str]) -> _People:
    """Keys of people, made where there are none."""
    wanted = list(people)
    keys = person_keys(change.connection, wanted)
    new = [person for person in wanted if person not in keys]
    if new:
        made = list(zip(new, change.next_people(len(new)), strict=True))
        change.connection.executemany(
            "INSERT INTO person (key, id, name, consent, created_at, updated_at)"
            " VALUES (?, ?, ?, NULL, ?, ?)",
            [(key, person, person, change.at, change.at) for person, key in made],
        )
        keys.update(made)
    return _People(keys, set(new))


def _groups_of(change: Change, groups: Iterable[str]) -> dict[str, int]:
    """Keys of groups, made where there are none."""
    wanted = list(groups)
    keys = group_keys(change.connection, wanted, missing=True)
    for group in wanted:
        if group not in keys:
            keys[group] = change.next_group()
            change.connection.execute(
                "INSERT INTO person_group (key, name, note, created_at) VALUES (?, ?, '', ?)",
                (keys[group], group, change.at),
            )
            change.log("group.add", group=group)
    return keys


def join_missing(change: Change, pairs: set[tuple[int, int]]) -> None:
    """Make each (person, group) a membership that is none yet."""
    for part in chunks(sorted(pairs), 200):
        pair_marks = ", ".join(["(?, ?)"] * len(part))
        held = change.connection.execute(
            "SELECT person_key, group_key FROM membership"
            f" WHERE (person_key, group_key) IN (VALUES {pair_marks})",
            [key for pair in part for key in pair],
        ).fetchall()
        new = sorted(set(part) - set(map(tuple, held)))
        change.connection.executemany(
            "INSERT INTO membership (person_key, group_key, info) VALUES (?, ?, '')", new
        )
        for person, group in new:
            change.tell("member", [person], group)


def held_digests(change: Change, pairs: Iterable[tuple[int, str]]) -> Held:
    """Which of these (person, digest) pairs are held, with the scopes they are held in."""
    held: Held = set()
    for part in chunks(pairs, 200):
        pair_marks = ", ".join(["(?, ?)"] * len(part))
        rows = change.connection.execute(
            "SELECT person_key, scope_key, source_digest FROM sample"
            f" WHERE (person_key, source_digest) IN (VALUES {pair_marks})",
            [value for pair in part for value in pair],
        ).fetchall()
        held.update(map(tuple, rows))
    return held


def _refuse_duplicates(
    change: Change, batch: Sequence[NewSample], people: _People, scopes: dict[str, int]
) -> None:
    keys = people.keys
    held = held_digests(
        change,
        dict.fromkeys(
            (keys[item.person], item.source_digest)
            for item in batch
            if item.source_digest is not None and item.person not in people.new
        ),
    )
    for position, item in enumerate(batch):
        if item.source_digest is None:
            continue
        scope = scopes[item.group] if item.group else None
        entry = (keys[item.person], scope, item.source_digest)
        if entry in held:
            raise duplicate_error(item.person, item.source_digest, position)
        held.add(entry)


def _log_added(
    change: Change, batch: Sequence[NewSample], numbers: Sequence[int], people: _People
) -> None:
    own: dict[str, list[int]] = {}
    groups: dict[str, set[str]] = {}
    for number, item in zip(numbers, batch, strict=True):
        own.setdefault(item.person, []).append(number)
        if item.group:
            groups.setdefault(item.person, set()).add(item.group)
    for person, added in own.items():
        detail: dict[str, object] = {"count": len(added), "samples": ranges(added)}
        if person in people.new:
            detail["new"] = True
        if person in groups:
            detail["groups"] = sorted(groups[person])
        change.log("sample.add", person, **detail)


# -- give away and erase --------------------------------------------------------------------------


def replace_samples(
    change: Change,
    person: str,
    batch: Sequence[NewSample],
    group: str | None,
    *,
    allow_duplicates: bool,
) -> list[int]:
    """Erase samples and enrol others; see `Gallery.replace`."""
    known = person_keys(change.connection, [person]).get(person)
    scope = None
    if known is None and not batch:
        person_key(change.connection, person)  # says who is meant
    if group is not None:
        scope = group_keys(change.connection, [group], missing=bool(batch)).get(group)
    if known is not None and (group is None or scope is not None):
        where, parameters = "person_key = ?", [known]
        if scope is not None:
            where, parameters = "person_key = ? AND scope_key = ?", [known, scope]
        old = stored_samples(change.connection, where, parameters)
        if old:
            erase_samples(change, [sample.number for sample in old])
            touch(change, [known])
            numbers = [sample.number for sample in old]
            change.log("sample.remove", person, count=len(old), samples=ranges(numbers))
    return add_samples(change, batch, allow_duplicates=allow_duplicates)


def move_samples(change: Change, numbers: Sequence[int], person: str) -> int:
    """Give samples to another person; see `Gallery.move_samples`."""
    target = person_key(change.connection, person)
    moved = [s for s in require_samples(change.connection, numbers) if s.person_key != target]
    if not moved:
        return 0
    digests = [(target, s.source_digest) for s in moved if s.source_digest is not None]
    held = held_digests(change, dict.fromkeys(digests))
    for sample in moved:
        entry = (target, sample.scope_key, sample.source_digest)
        if sample.source_digest is not None and entry in held:
            raise duplicate_error(person, sample.source_digest, sample=sample.number)
        held.add(entry)  # type: ignore[arg-type]  # without a digest it is never looked for
    join_missing(change, {(target, s.scope_key) for s in moved if s.scope_key is not None})
    assign(change, [sample.number for sample in moved], target)
    givers = _by_person(change, moved)
    for giver, own in givers.items():
        change.log(
            "sample.give", giver, count=len(own), samples=ranges(own), to=change.subject(person)
        )
    taken = [sample.number for sample in moved]
    change.log("sample.take", person, count=len(taken), samples=ranges(taken))
    touch(change, {target, *(sample.person_key for sample in moved)})
    return len(moved)


def assign(change: Change, numbers: Sequence[int], person_key: int) -> None:
    """Make samples those of a person."""
    for part in chunks(numbers):
        change.connection.execute(
            f"UPDATE sample SET person_key = ? WHERE number IN {marks(part)}", [person_key, *part]
        )
    change.tell("sample", numbers)


def remove_samples(change: Change, numbers: Sequence[int]) -> int:
    """Erase samples; see `Gallery.remove_samples`."""
    gone = require_samples(change.connection, numbers)
    erase_samples(change, numbers)
    for person, own in _by_person(change, gone).items():
        change.log("sample.remove", person, count=len(own), samples=ranges(own))
    touch(change, {sample.person_key for sample in gone})
    return len(gone)


def erase_samples(change: Change, numbers: Sequence[int]) -> None:
    """Erase samples with their embeddings and crops; the caller logs it."""
    connection = change.connection
    spaces = [row[0] for row in connection.execute("SELECT key FROM space").fetchall()]
    for part in chunks(numbers):
        for space in spaces:
            ids = [space * SPACE_STRIDE + number for number in part]
            gone = connection.execute(f"DELETE FROM embedding WHERE id IN {marks(ids)}", ids)
            connection.execute(
                "UPDATE space SET samples = samples - ? WHERE key = ?", (gone.rowcount, space)
            )
        connection.execute(f"DELETE FROM crop WHERE number IN {marks(part)}", part)
        connection.execute(f"DELETE FROM sample WHERE number IN {marks(part)}", part)
    change.tell("sample", numbers)
    change.erased |= bool(numbers)


def touch(change: Change, people: Iterable[int]) -> None:
    """Note that these people changed."""
    for part in chunks(people):
        change.connection.execute(
            f"UPDATE person SET updated_at = ? WHERE key IN {marks(part)}", [change.at, *part]
        )


def _by_person(change: Change, samples: Sequence[StoredSample]) -> dict[str, list[int]]:
    """Sample numbers by their person's id, people in the order of keys."""
    own: dict[int, list[int]] = {}
    for sample in samples:
        own.setdefault(sample.person_key, []).append(sample.number)
    names: dict[int, str] = {}
    for part in chunks(own):
        sql = f"SELECT key, id FROM person WHERE key IN {marks(part)}"
        names.update(change.connection.execute(sql, part).fetchall())
    return {names[key]: own[key] for key in sorted(own)}
