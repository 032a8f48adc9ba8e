"""Killed at any moment, a gallery keeps every change it acknowledged, wholly, and no half one."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.gallery import (
    AuditEntry,
    EmbeddingRecord,
    Gallery,
    GalleryRecord,
    MemoryGallery,
    PersonRecord,
    SqliteGallery,
)
from vultus.types import Embedding

Unit = Callable[[int], Embedding]
Child = Callable[..., "subprocess.Popen[str]"]

# What the child runs, and this process too, to know what must be there.
CHANGES = '''
import random
from vultus.errors import VultusError
from vultus.gallery import NewSample

def change(gallery, number, unit):
    """One of many kinds of change; which one, its number says."""
    rng = random.Random(number)
    person, other = rng.sample([f"p{i}" for i in range(12)], 2)
    group, second = rng.sample(["g1", "g2", "g3"], 2)
    known = [sample.number for sample in gallery.samples(limit=10**6)]
    some = rng.sample(known, min(len(known), 3))
    one = lambda scope=None: NewSample(
        person, unit(rng.randrange(1000)), f"d{rng.randrange(50)}", "x.jpg", group=scope,
        crop=b"crop" * 2000 if number % 5 == 0 else None,
    )
    kinds = {
        "add": lambda: gallery.add_many([one() for _ in range(rng.randint(1, 4))]),
        "add scoped": lambda: gallery.add_many([one(group), one(second)]),
        "replace": lambda: gallery.replace(person, [one() for _ in range(2)]),
        "move": lambda: gallery.move_samples(some, other),
        "erase": lambda: gallery.remove_samples(some[:2]),
        "rename": lambda: gallery.rename(person, other),
        "put": lambda: gallery.put_person(person, name=f"N{number}"),
        "merge": lambda: gallery.merge(person, other),
        "split": lambda: gallery.split(person, some[:1], other),
        "remove": lambda: gallery.remove(person),
        "join": lambda: gallery.join(person, group, f"i{number}"),
        "leave": lambda: gallery.leave(person, group),
        "group": lambda: gallery.add_group(group),
        "ungroup": lambda: gallery.remove_group(group, people="remove-orphans"),
        "copy": lambda: gallery.copy_person(person, group, second),
        "over": lambda: gallery.move_person(person, group, second),
    }
    weights = [9, 5, 2, 3, 3, 1, 1, 1, 2, 1, 3, 2, 1, 0.3, 2, 2]
    (kind,) = rng.choices(list(kinds), weights)
    try:
        kinds[kind]()
    except VultusError:
        pass  # refused: also the reference refuses it
'''

WRITER = (
    CHANGES
    + """
gallery = SqliteGallery(sys.argv[1])
for number in range(int(sys.argv[2]), 10**6):
    change(gallery, number, unit)
    say("done", number)
"""
)


@pytest.fixture
def change() -> Callable[[Gallery, int, Unit], None]:
    """`change(gallery, number, unit)` of the child."""
    names: dict[str, Any] = {}
    exec(CHANGES, names)  # noqa: S102 - the text above
    found: Callable[[Gallery, int, Unit], None] = names["change"]
    return found


def held(gallery: Gallery) -> list[object]:
    """Everything but times, salt and what follows from them."""
    found: list[object] = []
    for record in gallery.dump():
        if isinstance(record, EmbeddingRecord):
            found.append((record.number, record.embedding.vector.tobytes()))
        elif isinstance(record, GalleryRecord):
            found.append(record.last_sample)
        elif isinstance(record, PersonRecord):
            found.append((record.id, record.name, record.consent))
        elif isinstance(record, AuditEntry):
            found.append((record.number, record.action, record.detail.get("samples")))
        else:
            fields = {name: getattr(record, name) for name in record.__dataclass_fields__}
            found.append(tuple(v for name, v in fields.items() if name != "created_at"))
    return found


def sound(gallery: Gallery) -> bool:
    """Whether nothing but bytes that wait to be wiped is found."""
    findings = gallery.verify()
    if {finding.code for finding in findings} == {"residue"}:
        gallery.optimise()
        findings = gallery.verify()
    return findings == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill-9", "ctrl-c"])
def test_acknowledged_changes_survive(
    tmp_path: Path, unit: Unit, child: Child, change: Callable[..., None], how: int
) -> None:
    total, rounds = (1000, 8) if how == signal.SIGKILL else (250, 3)
    path, rng, made = tmp_path / "people.db", np.random.default_rng(1), 0
    with MemoryGallery() as reference:
        while made < total:
            writer = child(WRITER, path, made)
            assert writer.stdout is not None
            acknowledged = made
            while acknowledged - made < total // rounds:
                word, number = writer.stdout.readline().split()
                assert (word, int(number)) == ("done", acknowledged)
                acknowledged += 1
            time.sleep(rng.random() * 0.01)
            writer.send_signal(how)
            # Ctrl-C within one of SQLite's callbacks becomes an error of that change.
            again = threading.Timer(5.0, writer.send_signal, [how])
            again.start()
            rest = writer.stdout.read().splitlines()  # `communicate` would skip what is buffered
            writer.wait()
            again.cancel()
            acknowledged += len(rest)
            assert rest == [f"done {n}" for n in range(acknowledged - len(rest), acknowledged)]
            for number in range(made, acknowledged):
                change(reference, number, unit)
            made = acknowledged
            with SqliteGallery(path) as gallery:
                if held(gallery) != held(reference):  # one more may have been made
                    change(reference, made, unit)
                    made += 1
                    assert held(gallery) == held(reference)
                assert sound(gallery)
                for seed in (0, 1):
                    assert gallery.search(unit(seed), 100) == reference.search(unit(seed), 100)


def test_a_change_that_is_stopped_half_way_leaves_nothing(
    tmp_path: Path, unit: Unit, change: Callable[..., None]
) -> None:
    """SQLite is stopped after ever more instructions, until the change is made."""
    with SqliteGallery(tmp_path / "people.db") as gallery, MemoryGallery() as reference:
        for number in range(40):
            change(gallery, number, unit)
            change(reference, number, unit)
        writer = gallery._file._writer
        assert writer is not None
        stopped = 0
        for number in range(1000, 1025):
            before = held(reference)
            change(reference, number, unit)
            for budget in range(0, 10**6, 40):
                left = iter(range(budget // 10))
                writer.set_progress_handler(lambda left=left: next(left, None) is None, 10)
                change(gallery, number, unit)
                writer.set_progress_handler(None, 0)
                now = held(gallery)
                if now == held(reference):
                    break
                assert now == before
                stopped += 1
        assert stopped > 100
        assert sound(gallery)
