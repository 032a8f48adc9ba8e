"""What lies in the parts of a SQLite file that nothing refers to; a program of its own.

Run as ``python _residue.py FILE [ROOT …]``, it prints a JSON object: the pages there are, how many
of them are free, and those whose unused bytes hold more than what the page itself holds as well.
(When SQLite rearranges a page it may leave copies of rows in the unused bytes between. They do no
harm as long as the rows live, and turn up here once a row is erased, or moved to another page.)
Tables and indexes whose root pages are given are left out: those that hold nothing of anybody.

It is run in a process of its own because opening and closing the file within a process that has
it open drops SQLite's locks (POSIX; sqlite.org/howtocorrupt.html, section 2.2). Nobody may write
meanwhile.

Source of the layout: sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["main", "scan"]

_HEADER_BYTES = 100
_TABLE_LEAF, _INDEX_LEAF, _TABLE_INNER, _INDEX_INNER = 13, 10, 5, 2
_TREE_KINDS = (_TABLE_LEAF, _INDEX_LEAF, _TABLE_INNER, _INDEX_INNER)
_SHOWN = 20
# Of former bookkeeping, two bytes for a cell's place or four for a free block, nothing can be told.
_BOOKKEEPING_BYTES = 4
_SHORTEST_COPY_BYTES = 6  # shorter pieces are found in any page by chance


def scan(path: Path, roots: Iterable[int] = ()) -> dict[str, object]:
    """The pages of a SQLite file and those with residue, trees with these roots left out."""
    with path.open("rb") as file:
        return _Scan(file).result(roots)


class _Scan:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        header = file.read(_HEADER_BYTES)
        size = int.from_bytes(header[16:18], "big")
        self._page_bytes = 65536 if size == 1 else size
        self._usable_bytes = self._page_bytes - header[20]
        self._pages = file.seek(0, 2) // self._page_bytes
        self._first_trunk = int.from_bytes(header[32:36], "big")
        self._lock_page = 2**30 // self._page_bytes + 1  # never used
        self._dirty: set[int] = set()

    def result(self, roots: Iterable[int]) -> dict[str, object]:
        """Look at every page once."""
        free = set(self._free_pages())
        left_out = {self._lock_page, *free, *self._tree_pages(roots)}
        tails: dict[int, int] = {}
        for number in range(1, self._pages + 1):
            if number in left_out:
                continue
            page = self._page(number)
            start = _HEADER_BYTES if number == 1 else 0
            if page[start] in _TREE_KINDS:
                self._look_at_tree_page(number, page, start, tails)
        for number, used in tails.items():
            if any(self._page(number)[used:]):
                self._dirty.add(number)
        return {
            "pages": self._pages,
            "free": len(free),
            "dirty": sorted(self._dirty)[:_SHOWN],
            "dirty_pages": len(self._dirty),
        }

    def _page(self, number: int) -> bytes:
        self._file.seek((number - 1) * self._page_bytes)
        return self._file.read(self._page_bytes)

    def _free_pages(self) -> Iterator[int]:
        """Every free page; leaves must be zero, trunks hold page numbers only."""
        trunk, seen = self._first_trunk, set[int]()
        while trunk and trunk not in seen and trunk <= self._pages:
            seen.add(trunk)
            page = self._page(trunk)
            words = [_int(page, at, 4) for at in range(0, self._usable_bytes, 4)]
            if any(word > self._pages for word in words):
                self._dirty.add(trunk)
            for leaf in words[2 : 2 + words[1]]:
                if any(self._page(leaf)):
                    self._dirty.add(leaf)
                yield leaf
            yield trunk
            trunk = words[0]

    def _tree_pages(self, roots: Iterable[int]) -> Iterator[int]:
        """Every page of trees, without those that long rows go on in."""
        waiting = list(roots)
        while waiting:
            number = waiting.pop()
            yield number
            page = self._page(number)
            if page[0] in (_TABLE_INNER, _INDEX_INNER):
                cells = [_int(page, 12 + 2 * n, 2) for n in range(_int(page, 3, 2))]
                waiting += [_int(page, 8, 4), *(_int(page, at, 4) for at in cells)]

    def _look_at_tree_page(
        self, number: int, page: bytes, start: int, tails: dict[int, int]
    ) -> None:
        kind = page[start]
        cells = _int(page, start + 3, 2)
        content = _int(page, start + 5, 2) or 65536
        pointers = start + (12 if kind in (_TABLE_INNER, _INDEX_INNER) else 8)
        unused = [(pointers + 2 * cells, content, 2), (self._usable_bytes, len(page), 1)]
        block = _int(page, start + 1, 2)
        while block:
            following, size = _int(page, block, 2), _int(page, block + 2, 2)
            unused.append((block + _BOOKKEEPING_BYTES, block + size, 1))
            block = following if following > block else 0
        unused = [part for part in unused if page.count(0, *part[:2]) < part[1] - part[0]]
        live = bytearray(page)
        for first, last, _ in unused:
            live[first:last] = bytes(last - first)
        if any(_holds_more(page[first:last], live, step) for first, last, step in unused):
            self._dirty.add(number)
        if kind != _TABLE_INNER:  # its cells are keys only
            for index in range(cells):
                self._follow(page, kind, _int(page, pointers + 2 * index, 2), tails)

    def _follow(self, page: bytes, kind: int, at: int, tails: dict[int, int]) -> None:
        """Where the payload of a cell goes on elsewhere, note where the last page of it ends."""
        at += 4 if kind == _INDEX_INNER else 0
        payload, at = _varint(page, at)
        if kind == _TABLE_LEAF:
            _, at = _varint(page, at)
        usable = self._usable_bytes
        most = usable - 35 if kind == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if payload <= most:
            return
        least = (usable - 12) * 32 // 255 - 23
        local = least + (payload - least) % (usable - 4)
        local = local if local <= most else least
        left, following = payload - local, _int(page, at + local, 4)
        while following and left > usable - 4:
            left -= usable - 4
            following = _int(self._page(following), 0, 4)
        tails[following] = 4 + left


def _holds_more(unused: bytes, live: bytes | bytearray, step: int) -> bool:
    """Whether unused bytes hold something that is no former bookkeeping and no copy.

    Args:
        unused: The bytes.
        live: The page without its unused bytes.
        step: 2 when the bytes begin where places of cells once stood, two bytes each.
    """
    start = 0
    while step == 2 and start < len(unused) and _int(unused, start, 2) < len(live):
        start += 2
    islands = unused[start:].split(b"\0")
    return any(
        len(island) > _BOOKKEEPING_BYTES and not _is_copied(island, live) for island in islands
    )


def _is_copied(island: bytes, live: bytes | bytearray) -> bool:
    """Whether bytes can be put together from pieces of others."""
    start = 0
    while start < len(island):
        end = start + min(_SHORTEST_COPY_BYTES, len(island) - start)
        if island[start:end] not in live:
            return False
        while end < len(island) and island[start : end + 1] in live:
            end += 1
        start = end
    return True


def _int(page: bytes, at: int, size: int) -> int:
    return int.from_bytes(page[at : at + size], "big")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer of up to nine bytes, and where it ends."""
    value = 0
    for index in range(9):
        byte = page[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at + index + 1


def main() -> None:
    """Scan the file named on the command line."""
    found = scan(Path(sys.argv[1]), map(int, sys.argv[2:]))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
