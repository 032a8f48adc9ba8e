"""A gallery in this process's memory: the exact reference, gone when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np

from vultus.gallery._search import ExactIndex
from vultus.gallery.base import (
    Gallery,
    NewSample,
    Person,
    check_k,
    check_spaces,
    clean_name,
    closed_error,
    duplicate_error,
    name_or_none,
    unknown_person_error,
)
from vultus.types import Embedding, EmbeddingSpace, Match

__all__ = ["MemoryGallery"]


class MemoryGallery(Gallery):
    """Exact search over what this process has added.

    Args:
        space: The space of all embeddings; ``None``: that of the first sample.
    """

    def __init__(self, space: EmbeddingSpace | None = None) -> None:
        self._lock = threading.Lock()
        # The index carries the space, so that searching threads read both at once.
        self._index = None if space is None else ExactIndex(space)
        self._samples: dict[str, list[int]] = {}
        self._digests: set[tuple[str, str]] = set()
        self._next_sample = 1
        self._closed = False

    @property
    def space(self) -> EmbeddingSpace | None:
        """The one space all embeddings live in; ``None`` until the first sample fixes it."""
        self._check_open()
        index = self._index
        return None if index is None else index.space

    def add_many(self, items: Iterable[NewSample]) -> list[int]:
        """Enrol many faces in one change; see `Gallery.add_many`."""
        batch = list(items)
        with self._lock:
            self._check_open()
            index = self._index
            check_spaces(None if index is None else index.space, (i.embedding for i in batch))
            digests = self._new_digests(batch)
            if not batch:
                return []
            if index is None:
                index = ExactIndex(batch[0].embedding.space)
            numbers = list(range(self._next_sample, self._next_sample + len(batch)))
            vectors = np.stack([item.embedding.vector for item in batch])
            index.extend([item.name for item in batch], numbers, vectors)
            for item, number in zip(batch, numbers, strict=True):
                self._samples.setdefault(item.name, []).append(number)
            self._digests |= digests
            self._next_sample += len(batch)
            self._index = index
            return numbers

    def _new_digests(self, batch: Sequence[NewSample]) -> set[tuple[str, str]]:
        new: set[tuple[str, str]] = set()
        for position, item in enumerate(batch):
            if item.source_digest is None:
                continue
            key = (item.name, item.source_digest)
            if key in new or key in self._digests:
                raise duplicate_error(item, position)
            new.add(key)
        return new

    def people(self) -> list[Person]:
        """Everybody enrolled, in the order of their names' code points."""
        with self._lock:
            self._check_open()
            return [Person(name, len(own)) for name, own in sorted(self._samples.items())]

    def remove(self, name: str) -> int:
        """Erase a person and all their samples; see `Gallery.remove`."""
        name = clean_name(name)
        with self._lock:
            self._check_open()
            if name not in self._samples or self._index is None:
                raise unknown_person_error(name, self._samples)
            gone = self._samples.pop(name)
            self._digests = {key for key in self._digests if key[0] != name}
            self._index.keep([number for own in self._samples.values() for number in own])
            return len(gone)

    def search_many(self, embeddings: Sequence[Embedding], k: int = 5) -> list[list[Match]]:
        """Search for several faces at once; see `Gallery.search_many`."""
        check_k(k)
        self._check_open()
        index = self._index
        check_spaces(None if index is None else index.space, embeddings)
        if index is None or not embeddings:
            return [[] for _ in embeddings]
        return index.snapshot.search(np.stack([e.vector for e in embeddings]), k)

    def __len__(self) -> int:
        with self._lock:
            self._check_open()
            return sum(map(len, self._samples.values()))

    def __contains__(self, name: object) -> bool:
        with self._lock:
            self._check_open()
            return name_or_none(name) in self._samples

    def close(self) -> None:
        """Forget everybody; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._index = None
            self._samples.clear()
            self._digests.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise closed_error()
