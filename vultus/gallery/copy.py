"""A whole gallery into another one, of the same or another backend, and proof that it arrived."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from vultus.errors import GalleryError
from vultus.gallery.base import Gallery
from vultus.gallery.values import EmbeddingRecord, Record

__all__ = ["copy_gallery"]


def copy_gallery(
    source: Gallery, target: Gallery, progress: Callable[[int], None] | None = None
) -> Counter[str]:
    """Copy everything: numbers, times, spaces, crops and the audit log included.

    The source is read in one consistent state, the target filled in one change. Then the target
    is read back, and its records are compared with those that were sent, bit by bit, by a digest.

    Args:
        source: Stays as it is.
        target: Must never have held anything.
        progress: Called with the number of records copied so far.

    Returns:
        How many records of each kind were copied.

    Raises:
        GalleryError: The target is not empty, or what it holds afterwards is not what was sent.
    """
    sent, held = _Digest(), _Digest()
    target.restore(sent.of(_told(source.dump(), progress)))
    for _ in held.of(target.dump()):
        pass
    if (sent.counts, sent.value) != (held.counts, held.value):
        kinds = {**sent.counts, **held.counts}
        differing = sorted(kind for kind in kinds if sent.counts[kind] != held.counts[kind])
        found = ", ".join(f"{held.counts[k]} of {sent.counts[k]} {k}" for k in differing)
        raise GalleryError(
            f"the copy must hold what its source holds, it differs ({found or 'in content'})",
            remedy="discard the copy and examine both galleries with verify",
            expected=dict(sent.counts),
            actual=dict(held.counts),
        )
    return sent.counts


def _told(records: Iterable[Record], progress: Callable[[int], None] | None) -> Iterator[Record]:
    for count, record in enumerate(records, 1):
        yield record
        if progress is not None:
            progress(count)


class _Digest:
    """Counts and digests the records that pass through.

    Attributes:
        counts: Records by the name of their kind.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._sha256 = hashlib.sha256()

    @property
    def value(self) -> str:
        """SHA-256 of all records so far, 64 hexadecimal digits."""
        return self._sha256.hexdigest()

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records, each digested before it is given on."""
        for record in records:
            kind = type(record).__name__
            self.counts[kind] += 1
            self._sha256.update(f"{kind}\n".encode())
            for part in _parts(record):
                self._sha256.update(len(part).to_bytes(8, "big") + part)
            yield record


def _parts(record: Record) -> Iterator[bytes]:
    """All a record says, as bytes that are the same for equal records only."""
    if isinstance(record, EmbeddingRecord):
        embedding = record.embedding
        yield f"{record.number} {embedding.space!r} {embedding.raw_norm!r}".encode()
        yield embedding.vector.astype("<f4", copy=False).tobytes()
        return
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, dict):
            yield json.dumps(value, sort_keys=True).encode()
        else:
            yield repr(value).encode()
