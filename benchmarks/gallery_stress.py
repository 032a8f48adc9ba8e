"""Threads and processes search and write one gallery: no error, no lost change, no stale answer.

Every worker enrols people of its own, erases some, gives samples away and searches for what it has
just been told is done. It publishes its newest sample; others look for it and must find it. At the
end the gallery must hold exactly what the workers know of.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Options, Report, main

if TYPE_CHECKING:
    from vultus.gallery import Gallery
    from vultus.types import Embedding

DIMENSION = 64
PEOPLE = 6  # of each worker
SEEDS = 10**7  # of each worker


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument("--seconds", type=float, help="how long (60; 8 with --quick)")
    parser.add_argument("--processes", type=int, default=4, help="processes beside this one (4)")
    parser.add_argument("--threads", type=int, default=8, help="threads in this process (8)")
    parser.add_argument("--gallery", help="an empty gallery (a SQLite file in a temporary folder)")


def run(report: Report, options: Options) -> None:
    """Let all workers loose, then compare."""
    extra = options.extra
    seconds = extra.get("seconds") or (8.0 if options.quick else 60.0)
    processes, threads = extra.get("processes", 4), extra.get("threads", 8)
    with tempfile.TemporaryDirectory() as folder:
        url = extra.get("gallery") or str(Path(folder) / "stress.db")
        found = stress(url, seconds, processes, threads)
    report.settings.update(
        seconds=seconds, processes=processes, threads=threads, dimension=DIMENSION
    )
    report.results.update(found)
    for what, count in sorted(found["counts"].items()):
        report.row(f"{what}, all workers", f"{count / seconds:,.0f}/s")
    for what in ("errors", "stale answers", "lost changes", "findings"):
        report.row(what, f"{len(found[what])}", target="0", met=not found[what])
        for line in found[what][:5]:
            print(line)


def stress(url: str, seconds: float, processes: int, threads: int) -> dict[str, Any]:
    """What was done, and everything that went wrong."""
    from vultus.gallery import open_gallery

    context = multiprocessing.get_context("spawn")  # a gallery must not be carried across fork
    board = context.Array("q", 2 * (processes + threads))
    results: Any = context.Queue()
    ready = context.Barrier(processes + 1)
    with open_gallery(url) as gallery:
        children = [
            context.Process(target=child, args=(url, board, ready, results, threads + n, seconds))
            for n in range(processes)
        ]
        for one in children:
            one.start()
        ready.wait(timeout=120)
        workers = [Worker(gallery, board, number, seconds) for number in range(threads)]
        own = [threading.Thread(target=worker.work) for worker in workers]
        for thread in own:
            thread.start()
        logs = [results.get(timeout=seconds + 120) for _ in children]
        for waiting in (*own, *children):
            waiting.join()
        logs += [worker.log for worker in workers]
        return judged(gallery, logs)


def child(url: str, board: Any, ready: Any, results: Any, number: int, seconds: float) -> None:
    """One worker in a process of its own."""
    from vultus.gallery import open_gallery

    with open_gallery(url) as gallery:
        worker = Worker(gallery, board, number, seconds)
        ready.wait(timeout=120)
        worker.work()
    results.put(worker.log)


def judged(gallery: Gallery, logs: list[Log]) -> dict[str, Any]:
    """Everything the workers saw, and whether the gallery holds what they know of."""
    known = {number: person for log in logs for number, person in log.held.items()}
    held: dict[int, str] = {}
    while page := gallery.samples(after=max(held, default=0)):
        held.update((sample.number, sample.person) for sample in page)
    lost = [
        f"sample {number} must be of {known.get(number)}, is of {held.get(number)}"
        for number in sorted(known.keys() | held.keys())
        if known.get(number) != held.get(number)
    ]
    counts: Counter[str] = Counter()
    for log in logs:
        counts.update(log.counts)
    findings = [f for f in gallery.verify() if f.code != "residue"]
    return {
        "counts": dict(counts),
        "samples": len(held),
        "errors": [error for log in logs for error in log.errors],
        "stale answers": [answer for log in logs for answer in log.stale],
        "lost changes": lost,
        "findings": [finding.message for finding in findings],
    }


@dataclass
class Log:
    """What one worker did, was told, and found wrong."""

    held: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


class Worker:
    """One of many who use a gallery at once.

    Args:
        gallery: May be shared by workers of the same process.
        board: Two numbers for each worker: the seed of its newest sample, and that sample; 0
            before it is erased.
        number: Of this worker.
        seconds: How long to go on.
    """

    def __init__(self, gallery: Gallery, board: Any, number: int, seconds: float) -> None:
        self.log = Log()
        self._gallery, self._board, self._number = gallery, board, number
        self._seconds = seconds
        self._rng = np.random.default_rng(number)
        self._seed = SEEDS * (number + 1)

    def work(self) -> None:
        """Go on until the time is over; an error ends it."""
        until = time.monotonic() + self._seconds
        steps = (self._add, self._add, self._batch, self._erase, self._give_away)
        try:
            while time.monotonic() < until:
                steps[int(self._rng.integers(len(steps)))]()
                self._look_for_others()
        except BaseException:
            self.log.errors.append(traceback.format_exc())

    def _person(self) -> str:
        return f"w{self._number}-{self._rng.integers(PEOPLE)}"

    def _add(self) -> None:
        self._seed += 1
        person = self._person()
        group = "g" if self._rng.random() < 0.3 else None
        number = self._gallery.add(person, unit(self._seed), group=group)
        self.log.held[number] = person
        self.log.counts["added one"] += 1
        self._publish(self._seed, number)
        self._expect(self._seed, person, number, ["g"] if group else None)

    def _batch(self) -> None:
        from vultus.gallery import NewSample

        seeds = range(self._seed + 1, self._seed + 6)
        self._seed += 5
        items = [NewSample(self._person(), unit(seed)) for seed in seeds]
        numbers = self._gallery.add_many(items)
        self.log.held.update(zip(numbers, (item.person for item in items), strict=True))
        self.log.counts["added five"] += 1
        self._publish(self._seed, numbers[-1])
        self._expect(seeds[0], items[0].person, numbers[0])

    def _erase(self) -> None:
        person = self._person()
        own = {number for number, owner in self.log.held.items() if owner == person}
        if not own:
            return
        self._publish(0, 0)
        if self._rng.random() < 0.3:
            gone = own
            erased = self._gallery.remove(person)
        else:
            gone = set(self._rng.choice(sorted(own), min(3, len(own)), replace=False).tolist())
            erased = self._gallery.remove_samples(gone)
        if erased != len(gone):
            self.log.stale.append(f"{erased} samples of {person} were erased, not {len(gone)}")
        for number in gone:
            del self.log.held[number]
        self.log.counts["erased"] += 1
        found = {match.sample for match in self._gallery.search(unit(self._seed), 10**6)}
        if found & gone:
            self.log.stale.append(f"{sorted(found & gone)} were found after they were erased")

    def _give_away(self) -> None:
        if not self.log.held:
            return
        number = int(self._rng.choice(list(self.log.held)))
        person = self._person()
        if person not in self._gallery:
            return
        self._gallery.move_samples([number], person)
        self.log.held[number] = person
        self.log.counts["given away"] += 1
        if self._gallery.sample(number).person != person:
            self.log.stale.append(f"sample {number} must be of {person}")

    def _publish(self, seed: int, number: int) -> None:
        with self._board.get_lock():
            self._board[2 * self._number] = seed
            self._board[2 * self._number + 1] = number

    def _published(self, worker: int) -> tuple[int, int]:
        with self._board.get_lock():
            return self._board[2 * worker], self._board[2 * worker + 1]

    def _look_for_others(self) -> None:
        worker = int(self._rng.integers(len(self._board) // 2))
        before = self._published(worker)
        if before == (0, 0):
            return
        matches = self._gallery.search(unit(before[0]), 1)
        self.log.counts["searched for others"] += 1
        # Unless its owner has meanwhile moved on, what was published must be what is nearest.
        wrong = not matches or matches[0].sample != before[1]
        if wrong and self._published(worker) == before:
            self.log.stale.append(f"{before} was published, {matches} was found")

    def _expect(self, seed: int, person: str, number: int, groups: list[str] | None = None) -> None:
        (match,) = self._gallery.search(unit(seed), 1, groups=groups)
        self.log.counts["searched for the new"] += 1
        if (match.person, match.sample) != (person, number):
            self.log.stale.append(f"{person} with sample {number} is new, {match} was found")


def unit(seed: int) -> Embedding:
    """A direction of its own for every seed."""
    from vultus.types import Embedding, EmbeddingSpace

    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    space = EmbeddingSpace("stress", "0" * 64, DIMENSION, "none")
    return Embedding(vector / np.linalg.norm(vector), space)


if __name__ == "__main__":
    main("gallery_stress", "one gallery under many threads and processes", run, add_options)
