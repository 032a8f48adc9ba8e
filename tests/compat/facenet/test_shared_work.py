from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from vultus.compat.facenet.shared_work import SharedWork
from vultus.errors import OutputError

OTHER = """
import sys
from pathlib import Path
from vultus.compat.facenet.shared_work import SharedWork
with SharedWork(Path(sys.argv[1])) as work:
    for line in sys.stdin:
        verb, name = line.split()
        print(getattr(work, verb)(name), flush=True)
"""


class Other:
    """A second process at the same work."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, verb: str, name: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{verb} {name}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def other(tmp_path: Path):
    made = Other(tmp_path)
    yield made
    made.kill()


def test_a_piece_belongs_to_one(tmp_path: Path, other: Other):
    assert other.ask("claim", "a/1.png") == "True"
    with SharedWork(tmp_path) as work:
        assert not work.claim("a/1.png")
        assert work.claim("a/2.png")
        assert not work.claim("a/2.png")  # this very process has it
        assert other.ask("claim", "a/2.png") == "False"
        work.release("a/2.png")
        assert other.ask("claim", "a/2.png") == "True"
        other.ask("release", "a/1.png")
        work.wait_for("a/1.png")
        assert other.ask("claim", "a/1.png") == "False"


def test_the_dead_hold_nothing(tmp_path: Path, other: Other):
    assert other.ask("claim", "x") == "True"
    with SharedWork(tmp_path) as work:
        assert not work.claim("x")
        other.kill()
        deadline = time.monotonic() + 10
        while not work.claim("x"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_what_is_finished_is_known_to_all_while_they_overlap(tmp_path: Path, other: Other):
    other.ask("finish", "a/rocket.jpg")
    with SharedWork(tmp_path) as work:
        assert work.is_finished("a/rocket.jpg")
        assert not work.is_finished("a/other.jpg")
        work.finish("a/other.jpg")
        assert work.is_finished("a/other.jpg")
        assert other.ask("is_finished", "a/other.jpg") == "True"
    other.kill()
    with SharedWork(tmp_path) as work:  # the first of a new day
        assert not work.is_finished("a/rocket.jpg")


def test_names_that_are_no_text(tmp_path: Path):
    name = "a/\udcff\n.jpg"  # bytes that are no UTF-8, and a line feed
    with SharedWork(tmp_path) as work:
        assert work.claim(name)
        work.finish(name)
        assert work.is_finished(name)
    with SharedWork(tmp_path) as work:
        assert not work.is_finished(name)


def test_a_folder_that_is_none(tmp_path: Path):
    with pytest.raises(OutputError, match="cannot be shared"):
        SharedWork(tmp_path / "no")
