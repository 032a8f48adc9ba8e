"""Whether a stream of records, which may come from anywhere, makes a sound gallery."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from vultus.errors import GalleryError, InputError
from vultus.gallery._rules import (
    NOTE_MAX_BYTES,
    check_crop,
    check_embedding,
    clean_digest,
    clean_name,
    clean_quality,
    clean_source,
    clean_text,
)
from vultus.gallery.audit import CHAIN_START, verify_chain
from vultus.gallery.values import (
    AuditEntry,
    EmbeddingRecord,
    GalleryRecord,
    GroupRecord,
    Membership,
    PersonRecord,
    Record,
    SampleRecord,
    SpaceRecord,
)
from vultus.types import EmbeddingSpace

__all__ = ["checked", "not_empty_error"]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SALT_BYTES = 32
_LAST_SAMPLE = 2**40 - 1  # an embedding's key has 40 bits for it
_DIMENSION_MAX = 65_536
_HEX = re.compile(r"[0-9a-f]{64}")


def not_empty_error() -> GalleryError:
    """The error for records that are to go into a gallery in use."""
    return GalleryError(
        "records can only be restored into a gallery that never held anything",
        remedy="use a new gallery",
    )


def checked(records: Iterable[Record]) -> Iterator[Record]:
    """The records, each looked at before it is given on.

    Raises:
        GalleryError: One contradicts those before, or cannot be kept; also at the end, when
            something is missing.
    """
    check = _Check()
    for record in records:
        try:
            check(record)
        except InputError as error:
            raise _contradiction(error.message) from error
        yield record
    check.finish()


def _contradiction(what: str) -> GalleryError:
    return GalleryError(
        f"the records cannot be restored: {what}", remedy="dump the gallery once more"
    )


class _Check:
    """Remembers what the records so far have made."""

    def __init__(self) -> None:
        self._stage = -1
        self._last: Any = None
        self._last_sample = 0
        self._active: EmbeddingSpace | None = None
        self._spaces: list[EmbeddingSpace] = []
        self._groups: set[str] = set()
        self._people: set[str] = set()
        self._members: set[tuple[str, str]] = set()
        self._samples: set[int] = set()
        self._audit = CHAIN_START
        self._kinds: dict[type, Callable[[Any], object]] = {
            GalleryRecord: self._gallery,
            SpaceRecord: self._space,
            GroupRecord: self._group,
            PersonRecord: self._person,
            Membership: self._membership,
            SampleRecord: self._sample,
            EmbeddingRecord: self._embedding,
            AuditEntry: self._entry,
        }
        self._stages = list(self._kinds)

    def __call__(self, record: Record) -> None:
        """Look at the next record."""
        kind = type(record)
        if kind not in self._kinds:
            raise _contradiction(f"a {kind.__name__} is no record")
        stage = self._stages.index(kind)
        if stage < self._stage or (self._stage < 0 and stage > 0):
            raise _contradiction(f"a {kind.__name__} comes out of order")
        place = self._kinds[kind](record)
        if stage == self._stage and (stage == 0 or place <= self._last):
            raise _contradiction(f"a {kind.__name__} comes twice or out of order: {place!r}")
        self._stage, self._last = stage, place

    def finish(self) -> None:
        """Look at what can only be seen at the end."""
        if self._stage < 0:
            raise _contradiction("there are none")
        if self._spaces and self._active is None:
            raise _contradiction("no space is active")
        if self._samples and not self._spaces:
            raise _contradiction("there are samples and no space")

    # Each gives what must ascend within its kind.

    def _gallery(self, record: GalleryRecord) -> int:
        _time(record.created_at)
        _require(isinstance(record.salt, bytes) and len(record.salt) == _SALT_BYTES, "salt")
        _require(_whole(record.last_sample, 0, _LAST_SAMPLE), "last_sample")
        self._last_sample = record.last_sample
        return 0

    def _space(self, record: SpaceRecord) -> int:
        space = record.space
        _require(isinstance(space, EmbeddingSpace), "space")
        for text in (space.model, space.digest, space.preprocessing):
            _require(clean_text(text, "a space's name") == text, "space")
        _require(_whole(space.dimension, 1, _DIMENSION_MAX), "dimension")
        if space in self._spaces:
            raise _contradiction(f"the space {space} comes twice")
        if record.active and self._active is not None:
            raise _contradiction("two spaces are active")
        self._active = space if record.active else self._active
        self._spaces.append(space)
        return len(self._spaces)

    def _group(self, record: GroupRecord) -> str:
        _name(record.name)
        _require(clean_text(record.note, "a note", NOTE_MAX_BYTES) == record.note, "note")
        _time(record.created_at)
        self._groups.add(record.name)
        return record.name

    def _person(self, record: PersonRecord) -> str:
        _name(record.id)
        _name(record.name)
        if record.consent is not None:
            _name(record.consent)
        _time(record.created_at)
        _time(record.updated_at)
        self._people.add(record.id)
        return record.id

    def _membership(self, record: Membership) -> tuple[str, str]:
        self._known(record.person, self._people)
        self._known(record.group, self._groups)
        _require(clean_text(record.info, "an info") == record.info, "info")
        self._members.add((record.person, record.group))
        return record.person, record.group

    def _sample(self, record: SampleRecord) -> int:
        _require(_whole(record.number, 1, self._last_sample), "number")
        self._known(record.person, self._people)
        if record.group is not None:
            self._known((record.person, record.group), self._members)
        clean_digest(record.source_digest)
        _require(clean_source(record.source) == record.source, "source")
        if record.quality is not None:
            _require(clean_quality(record.quality) == record.quality, "quality")
        check_crop(record.crop)
        _time(record.created_at)
        self._samples.add(record.number)
        return record.number

    def _embedding(self, record: EmbeddingRecord) -> tuple[int, int]:
        check_embedding(record.embedding)
        self._known(record.embedding.space, self._spaces)
        self._known(record.number, self._samples)
        _require(math.isfinite(record.embedding.raw_norm), "raw_norm")
        return self._spaces.index(record.embedding.space), record.number

    def _entry(self, record: AuditEntry) -> int:
        _time(record.at)
        _name(record.actor)
        _name(record.action)
        _require(record.subject is None or bool(_HEX.fullmatch(record.subject)), "subject")
        broken = verify_chain([record], previous=self._audit)
        if broken:
            raise _contradiction(broken[0].message)
        self._audit = record.hash
        return record.number

    def _known(self, what: object, known: Any) -> None:
        if what not in known:
            raise _contradiction(f"a record names {what!r}, which no record before it made")


def _require(sound: bool, what: str) -> None:
    if not sound:
        raise _contradiction(f"a record's {what} is none")


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _name(text: str) -> None:
    if clean_name(text) != text:
        raise _contradiction(f"{text!r} is not in the form in which names are kept")


def _time(text: str) -> None:
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise _contradiction(f"{text!r} is no time")
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise _contradiction(f"{text!r} is no time") from error
