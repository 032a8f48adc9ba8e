"""Groups and memberships in the records."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from vultus.errors import RangeError
from vultus.gallery._errors import group_exists_error
from vultus.gallery.audit import ranges
from vultus.gallery.records.change import Change, Connection, chunks, marks
from vultus.gallery.records.find import (
    SPACE_STRIDE,
    StoredSample,
    group_key,
    group_keys,
    membership_info,
    person_key,
    stored_samples,
)
from vultus.gallery.records.people import erase_person
from vultus.gallery.records.samples import erase_samples, touch
from vultus.gallery.values import Group, Membership

__all__ = [
    "add_group",
    "copy_person",
    "join_group",
    "leave_group",
    "list_groups",
    "list_memberships",
    "move_person",
    "read_group",
    "remove_group",
    "rename_group",
    "set_info",
    "update_group",
]

_GROUP = (
    "SELECT g.name, g.note, (SELECT count(*) FROM membership m WHERE m.group_key = g.key),"
    " g.created_at FROM person_group g"
)
_SET_INFO = "UPDATE membership SET info = ? WHERE person_key = ? AND group_key = ?"
_JOIN = "INSERT INTO membership (person_key, group_key, info) VALUES (?, ?, ?)"


# -- groups ---------------------------------------------------------------------------------------


def read_group(connection: Connection, name: str) -> Group:
    """A group by its name; see `Gallery.group`."""
    key = group_key(connection, name)
    return Group(*connection.execute(f"{_GROUP} WHERE g.key = ?", (key,)).fetchone())


def list_groups(connection: Connection, after: str | None, limit: int | None) -> list[Group]:
    """Groups by name; see `Gallery.groups`."""
    sql, parameters = _GROUP, list[object]()
    if after is not None:
        sql += " WHERE g.name > ?"
        parameters.append(after)
    sql += " ORDER BY g.name"
    if limit is not None:
        sql += " LIMIT ?"
        parameters.append(limit)
    return [Group(*row) for row in connection.execute(sql, parameters).fetchall()]


def add_group(change: Change, name: str, note: str) -> Group:
    """Make a group; see `Gallery.add_group`."""
    if group_keys(change.connection, [name], missing=True):
        raise group_exists_error(name)
    change.connection.execute(
        "INSERT INTO person_group (key, name, note, created_at) VALUES (?, ?, ?, ?)",
        (change.next_group(), name, note, change.at),
    )
    change.log("group.add", group=name)
    return read_group(change.connection, name)


def update_group(change: Change, name: str, note: str) -> Group:
    """Change a group's note; see `Gallery.update_group`."""
    key = group_key(change.connection, name)
    change.connection.execute("UPDATE person_group SET note = ? WHERE key = ?", (note, key))
    change.log("group.update", group=name)
    return read_group(change.connection, name)


def rename_group(change: Change, name: str, new_name: str) -> Group:
    """Give a group another name; see `Gallery.rename_group`."""
    key = group_key(change.connection, name)
    if new_name != name:
        if group_keys(change.connection, [new_name], missing=True):
            raise group_exists_error(new_name)
        sql = "UPDATE person_group SET name = ? WHERE key = ?"
        change.connection.execute(sql, (new_name, key))
        change.log("group.rename", group=name, to=new_name)
    return read_group(change.connection, new_name)


def remove_group(change: Change, name: str, *, remove_orphans: bool) -> int:
    """Erase a group; see `Gallery.remove_group`."""
    connection = change.connection
    key = group_key(connection, name)
    people = connection.execute(
        "SELECT p.key, p.id FROM membership m JOIN person p ON p.key = m.person_key"
        " WHERE m.group_key = ? ORDER BY p.key",
        (key,),
    ).fetchall()
    scoped: dict[int, list[int]] = {}
    for sample in stored_samples(connection, "scope_key = ?", (key,)):
        scoped.setdefault(sample.person_key, []).append(sample.number)
    orphans = set(_orphans(connection, key)) if remove_orphans else set()
    gone = 0
    for person, id_ in people:
        if person in orphans:
            erased = erase_person(change, person)
            change.log("person.remove", id_, count=erased, group=name)
            gone += erased
        else:
            own = scoped.get(person, [])
            change.log("group.leave", id_, group=name, count=len(own), samples=ranges(own))
    left = [n for person, own in scoped.items() if person not in orphans for n in own]
    erase_samples(change, left)
    connection.execute("DELETE FROM membership WHERE group_key = ?", (key,))
    connection.execute("DELETE FROM person_group WHERE key = ?", (key,))
    change.tell("group", [key])
    touch(change, [person for person, _ in people if person not in orphans])
    change.log("group.remove", group=name, people=len(people), removed=len(orphans))
    change.erased = True
    return gone + len(left)


def _orphans(connection: Connection, group: int) -> list[int]:
    """Members of a group who are in no other."""
    rows = connection.execute(
        "SELECT m.person_key FROM membership m WHERE m.group_key = ? AND NOT EXISTS"
        " (SELECT 1 FROM membership o WHERE o.person_key = m.person_key AND o.group_key <> ?)",
        (group, group),
    ).fetchall()
    return [key for (key,) in rows]


# -- memberships ----------------------------------------------------------------------------------


def list_memberships(
    connection: Connection,
    person: str | None,
    group: str | None,
    after: tuple[str, str] | None,
    limit: int | None,
) -> list[Membership]:
    """Memberships by person and group; see `Gallery.memberships`."""
    conditions: list[str] = []
    parameters: list[object] = []
    if person is not None:
        conditions.append("m.person_key = ?")
        parameters.append(person_key(connection, person))
    if group is not None:
        conditions.append("m.group_key = ?")
        parameters.append(group_key(connection, group))
    if after is not None:
        conditions.append("(p.id > ? OR (p.id = ? AND g.name > ?))")
        parameters += [after[0], *after]
    sql = (
        "SELECT p.id, g.name, m.info FROM membership m JOIN person p ON p.key = m.person_key"
        " JOIN person_group g ON g.key = m.group_key"
    )
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    sql += " ORDER BY p.id, g.name"
    if limit is not None:
        sql += " LIMIT ?"
        parameters.append(limit)
    return [Membership(*row) for row in connection.execute(sql, parameters).fetchall()]


def join_group(change: Change, person: str, group: str, info: str) -> None:
    """Put a person into a group; see `Gallery.join`."""
    connection = change.connection
    keys = (person_key(connection, person), group_key(connection, group))
    row = connection.execute(
        "SELECT info FROM membership WHERE person_key = ? AND group_key = ?", keys
    ).fetchone()
    if row is not None:
        _write_info(change, person, group, keys, row[0], info)
        return
    connection.execute(_JOIN, (*keys, info))
    change.tell("member", [keys[0]], keys[1])
    change.log("group.join", person, group=group)
    touch(change, [keys[0]])


def set_info(change: Change, person: str, group: str, info: str) -> None:
    """Replace what is noted with a membership; see `Gallery.set_info`."""
    connection = change.connection
    keys = (person_key(connection, person), group_key(connection, group))
    old = membership_info(connection, person, keys[0], group, keys[1])
    _write_info(change, person, group, keys, old, info)


def _write_info(
    change: Change, person: str, group: str, keys: tuple[int, int], old: str, info: str
) -> None:
    if info == old:
        return
    change.connection.execute(_SET_INFO, (info, *keys))
    change.log("group.info", person, group=group)
    touch(change, [keys[0]])
    change.erased |= bool(old)


def leave_group(change: Change, person: str, group: str) -> int:
    """Take a person out of a group; see `Gallery.leave`."""
    connection = change.connection
    keys = (person_key(connection, person), group_key(connection, group))
    membership_info(connection, person, keys[0], group, keys[1])
    own = [s.number for s in _scoped(connection, keys)]
    erase_samples(change, own)
    _end(change, keys)
    change.log("group.leave", person, group=group, count=len(own), samples=ranges(own))
    touch(change, [keys[0]])
    return len(own)


def _end(change: Change, keys: tuple[int, int]) -> None:
    sql = "DELETE FROM membership WHERE person_key = ? AND group_key = ?"
    change.connection.execute(sql, keys)
    change.tell("member", [keys[0]], keys[1])
    change.erased = True


def _scoped(connection: Connection, keys: tuple[int, int]) -> list[StoredSample]:
    return stored_samples(connection, "person_key = ? AND scope_key = ?", keys)


# -- from group to group --------------------------------------------------------------------------


def copy_person(change: Change, person: str, source: str, target: str) -> int:
    """Put a member of a group into another too; see `Gallery.copy_person`."""
    old, new = _take_over(change, person, source, target)
    wanted, _ = _without_held(change, old, new)
    numbers = list(change.next_samples(len(wanted)))
    for original, number in zip(wanted, numbers, strict=True):
        _copy_sample(change, original.number, number, new[1])
    change.log(
        "group.copy",
        person,
        source=source,
        target=target,
        count=len(numbers),
        samples=ranges(numbers),
    )
    touch(change, [old[0]])
    return len(numbers)


def move_person(change: Change, person: str, source: str, target: str) -> int:
    """Take a member of a group to another; see `Gallery.move_person`."""
    old, new = _take_over(change, person, source, target)
    wanted, held = _without_held(change, old, new)
    numbers = [sample.number for sample in wanted]
    for part in chunks(numbers):
        change.connection.execute(
            f"UPDATE sample SET scope_key = ? WHERE number IN {marks(part)}", [new[1], *part]
        )
    change.tell("sample", numbers)
    erase_samples(change, [sample.number for sample in held])
    _end(change, old)
    change.log(
        "group.move",
        person,
        source=source,
        target=target,
        count=len(numbers),
        samples=ranges(numbers),
        dropped=ranges(sample.number for sample in held),
    )
    touch(change, [old[0]])
    return len(numbers)


def _take_over(
    change: Change, person: str, source: str, target: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Carry what is noted over to the other group; gives the keys of both memberships."""
    connection = change.connection
    key = person_key(connection, person)
    old, new = (key, group_key(connection, source)), (key, group_key(connection, target))
    if old == new:
        raise RangeError(f"source and target must be two groups, got {source!r} twice")
    info = membership_info(connection, person, *old[:1], source, old[1])
    held = connection.execute(
        "SELECT info FROM membership WHERE person_key = ? AND group_key = ?", new
    ).fetchone()
    if held is None:
        connection.execute(_JOIN, (*new, info))
        change.tell("member", [key], new[1])
    elif held[0] != info:
        connection.execute(_SET_INFO, (info, *new))
        change.erased |= bool(held[0])
    return old, new


def _without_held(
    change: Change, old: tuple[int, int], new: tuple[int, int]
) -> tuple[list[StoredSample], list[StoredSample]]:
    """Samples of the one scope: those the other does not hold, and those it does."""
    digests = {s.source_digest for s in _scoped(change.connection, new)} - {None}
    samples = _scoped(change.connection, old)
    return (
        [s for s in samples if s.source_digest not in digests],
        [s for s in samples if s.source_digest in digests],
    )


def _copy_sample(change: Change, original: int, number: int, scope: int) -> None:
    execute = change.connection.execute
    execute(
        "INSERT INTO sample (number, person_key, scope_key, source_digest, source, quality,"
        " created_at) SELECT ?, person_key, ?, source_digest, source, quality, ?"
        " FROM sample WHERE number = ?",
        (number, scope, change.at, original),
    )
    for (space,) in execute("SELECT key FROM space").fetchall():
        base = space * SPACE_STRIDE
        made = execute(
            "INSERT INTO embedding (id, raw_norm, vector)"
            " SELECT ?, raw_norm, vector FROM embedding WHERE id = ?",
            (base + number, base + original),
        )
        execute("UPDATE space SET samples = samples + ? WHERE key = ?", (made.rowcount, space))
    execute(
        "INSERT INTO crop (number, data) SELECT ?, data FROM crop WHERE number = ?",
        (number, original),
    )
