"""People in the records: list, make known, rename, join into one, split, erase."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from collections.abc import Sequence

from vultus.errors import RangeError
from vultus.gallery._errors import person_exists_error, unknown_sample_error
from vultus.gallery.audit import ranges
from vultus.gallery.records.change import Change, Connection, chunks, marks
from vultus.gallery.records.find import (
    StoredSample,
    group_key,
    person_key,
    person_keys,
    require_samples,
    stored_samples,
)
from vultus.gallery.records.samples import assign, erase_samples, touch
from vultus.gallery.values import Person

__all__ = [
    "erase_person",
    "list_people",
    "merge_people",
    "put_person",
    "read_person",
    "remove_person",
    "rename_person",
    "split_person",
]

_PERSON = (
    "SELECT p.key, p.id, p.name, (SELECT count(*) FROM sample s WHERE s.person_key = p.key),"
    " p.consent, p.created_at, p.updated_at FROM person p"
)


def read_person(connection: Connection, person: str) -> Person:
    """Somebody by their id; see `Gallery.person`."""
    key = person_key(connection, person)
    rows = connection.execute(f"{_PERSON} WHERE p.key = ?", (key,)).fetchall()
    return _people(connection, rows)[0]


def list_people(
    connection: Connection, group: str | None, after: str | None, limit: int | None
) -> list[Person]:
    """People by id; see `Gallery.people`."""
    conditions: list[str] = []
    parameters: list[object] = []
    if group is not None:
        conditions.append(
            "EXISTS (SELECT 1 FROM membership m WHERE m.group_key = ? AND m.person_key = p.key)"
        )
        parameters.append(group_key(connection, group))
    if after is not None:
        conditions.append("p.id > ?")
        parameters.append(after)
    sql = _PERSON
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    sql += " ORDER BY p.id"
    if limit is not None:
        sql += " LIMIT ?"
        parameters.append(limit)
    return _people(connection, connection.execute(sql, parameters).fetchall())


def _people(connection: Connection, rows: Sequence[tuple[object, ...]]) -> list[Person]:
    groups: dict[object, list[str]] = {}
    for part in chunks([row[0] for row in rows]):
        joined = connection.execute(
            "SELECT m.person_key, g.name FROM membership m"
            " JOIN person_group g ON g.key = m.group_key"
            f" WHERE m.person_key IN {marks(part)} ORDER BY g.name",
            part,
        )
        for key, name in joined.fetchall():
            groups.setdefault(key, []).append(name)
    return [
        Person(id_, name, samples, tuple(groups.get(key, ())), *rest)  # type: ignore[arg-type]
        for key, id_, name, samples, *rest in rows
    ]


def put_person(change: Change, person: str, name: str | None, consent: str | None) -> Person:
    """Make somebody known, or change what is known; see `Gallery.put_person`."""
    key = person_keys(change.connection, [person]).get(person)
    if key is None:
        key = _insert(change, person, name or person, consent or None)
        change.log("person.add", person)
        return read_person(change.connection, person)
    old = read_person(change.connection, person)
    new_name = old.name if name is None else name or person
    new_consent = old.consent if consent is None else consent or None
    changed = [
        what
        for what, before, after in (
            ("name", old.name, new_name),
            ("consent", old.consent, new_consent),
        )
        if before != after
    ]
    if not changed:
        return old
    change.connection.execute(
        "UPDATE person SET name = ?, consent = ? WHERE key = ?", (new_name, new_consent, key)
    )
    change.tell("person", [key])
    change.log("person.update", person, changed=changed)
    touch(change, [key])
    change.erased = True  # the former name
    return read_person(change.connection, person)


def _insert(change: Change, person: str, name: str, consent: str | None) -> int:
    (key,) = change.next_people(1)
    change.connection.execute(
        "INSERT INTO person (key, id, name, consent, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (key, person, name, consent, change.at, change.at),
    )
    return key


def rename_person(change: Change, person: str, new_id: str) -> Person:
    """Give a person another id; see `Gallery.rename`."""
    key = person_key(change.connection, person)
    if new_id == person:
        return read_person(change.connection, person)
    if person_keys(change.connection, [new_id]):
        raise person_exists_error(new_id)
    change.connection.execute(
        "UPDATE person SET name = ? WHERE key = ? AND name = ?", (new_id, key, person)
    )
    change.connection.execute("UPDATE person SET id = ? WHERE key = ?", (new_id, key))
    change.tell("person", [key])
    touch(change, [key])
    change.log("person.rename", person, to=change.subject(new_id))
    change.erased = True  # the former id
    return read_person(change.connection, new_id)


def merge_people(change: Change, into: str, other: str) -> int:
    """Make two people one; see `Gallery.merge`."""
    connection = change.connection
    target, source = person_key(connection, into), person_key(connection, other)
    if target == source:
        raise RangeError("a person cannot be merged with themselves", actual=into)
    held = {
        (s.scope_key, s.source_digest)
        for s in stored_samples(
            connection, "person_key = ? AND source_digest IS NOT NULL", (target,)
        )
    }
    moved: list[int] = []
    dropped: list[int] = []
    for sample in stored_samples(connection, "person_key = ?", (source,)):
        known = (sample.scope_key, sample.source_digest) in held
        (dropped if known else moved).append(sample.number)
    assign(change, moved, target)
    erase_samples(change, dropped)
    _merge_memberships(change, target, source)
    connection.execute(
        "UPDATE person SET consent = (SELECT consent FROM person WHERE key = ?)"
        " WHERE key = ? AND consent IS NULL",
        (source, target),
    )
    erase_person(change, source)
    touch(change, [target])
    detail = {"moved": ranges(moved), "dropped": ranges(dropped)}
    change.log("person.merge", into, other=change.subject(other), **detail)
    change.log("person.merge", other, into=change.subject(into), **detail)
    return len(moved)


def _merge_memberships(change: Change, target: int, source: int) -> None:
    execute = change.connection.execute
    sql = "SELECT group_key, info FROM membership WHERE person_key = ?"
    held = dict(execute(sql, (target,)).fetchall())
    for group, info in execute(f"{sql} ORDER BY group_key", (source,)).fetchall():
        if group not in held:
            execute(
                "INSERT INTO membership (person_key, group_key, info) VALUES (?, ?, ?)",
                (target, group, info),
            )
            change.tell("member", [target], group)
        elif info and not held[group]:
            execute(
                "UPDATE membership SET info = ? WHERE person_key = ? AND group_key = ?",
                (info, target, group),
            )


def split_person(change: Change, person: str, numbers: Sequence[int], new_id: str) -> Person:
    """Make a new person of some samples of another; see `Gallery.split`."""
    connection = change.connection
    source = person_key(connection, person)
    if person_keys(connection, [new_id]):
        raise person_exists_error(new_id)
    taken: list[StoredSample] = require_samples(connection, numbers)
    for sample in taken:
        if sample.person_key != source:
            raise unknown_sample_error(sample.number, person)
    target = _insert(change, new_id, new_id, None)
    sql = "SELECT group_key FROM membership WHERE person_key = ? ORDER BY group_key"
    for (group,) in connection.execute(sql, (source,)).fetchall():
        connection.execute(
            "INSERT INTO membership (person_key, group_key, info) VALUES (?, ?, '')",
            (target, group),
        )
        change.tell("member", [target], group)
    assign(change, numbers, target)
    touch(change, [source])
    change.log("person.split", person, samples=ranges(numbers), to=change.subject(new_id))
    change.log("person.split", new_id, samples=ranges(numbers), of=change.subject(person))
    return read_person(connection, new_id)


def remove_person(change: Change, person: str) -> int:
    """Erase a person with everything that is kept of them; see `Gallery.remove`."""
    key = person_key(change.connection, person)
    gone = erase_person(change, key)
    change.log("person.remove", person, count=gone)
    return gone


def erase_person(change: Change, key: int) -> int:
    """Erase a person; the caller logs it. Gives the number of samples that went with them."""
    gone = [s.number for s in stored_samples(change.connection, "person_key = ?", (key,))]
    erase_samples(change, gone)
    change.connection.execute("DELETE FROM membership WHERE person_key = ?", (key,))
    change.connection.execute("DELETE FROM person WHERE key = ?", (key,))
    change.tell("person", [key])
    change.erased = True
    return len(gone)
