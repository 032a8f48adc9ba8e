"""What lies in the parts of a SQLite file that nothing refers to; a program of its own.

Run as ``python _residue.py FILE ROOT …``, with the root pages of the tables and indexes to look at,
it prints a JSON object: the pages there are, how many of them are free, and those whose unused
bytes hold something that is not there otherwise. When SQLite rearranges pages it may leave copies
of rows in the unused bytes between: they do no harm as long as the rows live, and turn up here
once a row is erased.

It is run in a process of its own because opening and closing the file within a process that has
it open drops SQLite's locks (POSIX; sqlite.org/howtocorrupt.html, section 2.2). Nobody may write
meanwhile.

Source of the layout: sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["main", "scan"]

_HEADER_BYTES = 100
_TABLE_LEAF, _TABLE_INNER, _INDEX_INNER = 13, 5, 2
_SHOWN = 20
_FREE_BLOCK_BYTES = 4  # its successor and its size; they stay behind
# What texts and vectors look like. The places of former cells, of two bytes each, stay behind as
# well: in a page of 8 KiB, which ours have, the first of both bytes is below 32. Row numbers have
# up to three bytes of any value, more from 16 million on.
_OF_ROWS = re.compile(rb"[\x20-\xff]{4,}|[\x20-\x7e]{3}")
_SHORTEST_COPY_BYTES = 6  # shorter pieces are found in any page by chance
_NEIGHBOURS = 16  # rows move to pages beside, which are later split in turn


class _Page(NamedTuple):
    """A page of a tree.

    Attributes:
        cells: Where its rows begin.
        live: Its bytes with the unused ones zero.
        pieces: Unused bytes that may be of rows.
    """

    cells: list[int]
    live: bytes
    pieces: list[bytes]


def scan(path: Path, roots: Iterable[int]) -> dict[str, object]:
    """The free pages of a SQLite file, and the pages with residue among these and of trees."""
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
        self._dirty: set[int] = set()

    def result(self, roots: Iterable[int]) -> dict[str, object]:
        """Look at every free page and every page of the trees."""
        free = sum(1 for _ in self._free_pages())
        for root in roots:
            self._look_at_tree(list(self._tree(root, 0)))
        return {
            "pages": self._pages,
            "free": free,
            "dirty": sorted(self._dirty)[:_SHOWN],
            "dirty_pages": len(self._dirty),
        }

    def _bytes(self, number: int) -> bytes:
        self._file.seek((number - 1) * self._page_bytes)
        return self._file.read(self._page_bytes)

    def _free_pages(self) -> Iterator[int]:
        """Every free page; leaves must be zero, trunks hold page numbers only."""
        trunk, seen = self._first_trunk, set[int]()
        while trunk and trunk not in seen and trunk <= self._pages:
            seen.add(trunk)
            page = self._bytes(trunk)
            words = [_int(page, at, 4) for at in range(0, self._usable_bytes, 4)]
            if any(word > self._pages for word in words):
                self._dirty.add(trunk)
            for leaf in words[2 : 2 + words[1]]:
                if any(self._bytes(leaf)):
                    self._dirty.add(leaf)
                yield leaf
            yield trunk
            trunk = words[0]

    def _tree(self, number: int, parent: int) -> Iterator[tuple[int, int]]:
        """Every page of a tree with the page above, neighbours beside one another."""
        page = self._bytes(number)
        yield number, parent
        if page[0] in (_TABLE_INNER, _INDEX_INNER):
            cells = [_int(page, 12 + 2 * index, 2) for index in range(_int(page, 3, 2))]
            for child in (*(_int(page, at, 4) for at in cells), _int(page, 8, 4)):
                yield from self._tree(child, number)

    def _look_at_tree(self, pages: list[tuple[int, int]]) -> None:
        for position, (number, parent) in enumerate(pages):
            raw = self._bytes(number)
            page = self._parsed(raw)
            if page.pieces:
                near = [n for n, _ in pages[max(0, position - _NEIGHBOURS) :][: 2 * _NEIGHBOURS]]
                live = b"".join(self._parsed(self._bytes(n)).live for n in (*near, parent) if n)
                if not all(_is_copied(piece, live) for piece in page.pieces):
                    self._dirty.add(number)
            if raw[0] != _TABLE_INNER:  # its cells are keys only
                for cell in page.cells:
                    self._follow(raw, cell)

    def _parsed(self, page: bytes) -> _Page:
        count, content = _int(page, 3, 2), _int(page, 5, 2) or 65536
        pointers = 12 if page[0] in (_TABLE_INNER, _INDEX_INNER) else 8
        cells = [_int(page, pointers + 2 * index, 2) for index in range(count)]
        unused = [(pointers + 2 * count, content), (self._usable_bytes, len(page))]
        block = _int(page, 1, 2)
        while block:
            following, size = _int(page, block, 2), _int(page, block + 2, 2)
            unused.append((block + _FREE_BLOCK_BYTES, block + size))
            block = following if following > block else 0
        unused = [(a, b) for a, b in unused if page.count(0, a, b) < b - a]
        if not unused:
            return _Page(cells, page, [])
        live, pieces = bytearray(page), list[bytes]()
        for first, last in unused:
            pieces += _OF_ROWS.findall(page, first, last)
            live[first:last] = bytes(last - first)
        return _Page(cells, bytes(live), pieces)

    def _follow(self, page: bytes, at: int) -> None:
        """Where a row goes on in other pages, look at what lies behind its end."""
        at += 4 if page[0] == _INDEX_INNER else 0
        payload, at = _varint(page, at)
        if page[0] == _TABLE_LEAF:
            _, at = _varint(page, at)
        usable = self._usable_bytes
        most = usable - 35 if page[0] == _TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if payload <= most:
            return
        least = (usable - 12) * 32 // 255 - 23
        local = least + (payload - least) % (usable - 4)
        local = local if local <= most else least
        left, number = payload - local, _int(page, at + local, 4)
        while left > usable - 4:
            left -= usable - 4
            number = _int(self._bytes(number), 0, 4)
        if any(self._bytes(number)[4 + left :]):
            self._dirty.add(number)


def _is_copied(piece: bytes, live: bytes) -> bool:
    """Whether bytes can be put together from pieces of others."""
    start = 0
    while start < len(piece):
        end = start + min(_SHORTEST_COPY_BYTES, len(piece) - start)
        if piece[start:end] not in live:
            return False
        while end < len(piece) and piece[start : end + 1] in live:
            end += 1
        start = end
    return True


def _int(page: bytes, at: int, size: int) -> int:
    return int.from_bytes(page[at : at + size], "big")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer of up to nine bytes, and where it ends."""
    value = 0
    for index in range(8):
        byte = page[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | page[at + 8], at + 9


def main() -> None:
    """Scan the file named on the command line."""
    found = scan(Path(sys.argv[1]), map(int, sys.argv[2:]))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
