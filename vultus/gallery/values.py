"""The values a gallery takes and gives: people, groups, samples, and its records as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from vultus.gallery._rules import (
    check_crop,
    check_embedding,
    clean_digest,
    clean_name,
    clean_quality,
    clean_source,
)
from vultus.types import Embedding, EmbeddingSpace, Quality

__all__ = [
    "AuditEntry",
    "EmbeddingRecord",
    "Finding",
    "GalleryInfo",
    "GalleryRecord",
    "Group",
    "GroupRecord",
    "Membership",
    "NewSample",
    "Person",
    "PersonRecord",
    "QualityRecord",
    "Record",
    "Sample",
    "SampleRecord",
    "SearchInfo",
    "SpaceInfo",
    "SpaceRecord",
    "quality_record",
]

QualityRecord: TypeAlias = dict[str, float]
"""Measured numbers of a face by name: ``score``, ``blur``, ``pose.yaw_deg`` …"""


@dataclass(frozen=True, slots=True)
class Group:
    """A set of people, to list and to search within.

    Attributes:
        name: Unique in the gallery.
        note: What it is, for people to read; may be empty.
        people: Number of members.
        created_at: UTC, ISO 8601 with milliseconds and ``Z``.
    """

    name: str
    note: str
    people: int
    created_at: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody known.

    Attributes:
        id: Unique in the gallery.
        name: What they are called; several people may share a name.
        samples: Number of faces enrolled; may be 0.
        groups: Names of the groups they belong to, in the order of code points.
        consent: Reference to their consent, or ``None``.
        created_at: UTC, ISO 8601 with milliseconds and ``Z``.
        updated_at: When they, their samples or memberships last changed.
    """

    id: str
    name: str
    samples: int
    groups: tuple[str, ...]
    consent: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Membership:
    """That a person belongs to a group.

    Attributes:
        person: Their id.
        group: Its name.
        info: What is noted with it, at most 256 bytes of UTF-8; may be empty.
    """

    person: str
    group: str
    info: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One enrolled face, without its embeddings and its crop.

    Attributes:
        number: Counts from 1 and is never used again.
        person: Id of whose face it is.
        group: Scope: ``None`` counts in all of the person's groups; else the face counts only in
            searches that include this group, and in unfiltered ones.
        source_digest: What identifies the picture, or ``None``.
        source: Where the picture came from, or ``None``.
        quality: As measured when it was enrolled, or ``None``.
        has_crop: Whether a crop is kept with it.
        spaces: Ids of the spaces it has an embedding in, in the order of code points.
        created_at: UTC, ISO 8601 with milliseconds and ``Z``.
    """

    number: int
    person: str
    group: str | None
    source_digest: str | None
    source: str | None
    quality: QualityRecord | None
    has_crop: bool
    spaces: tuple[str, ...]
    created_at: str


@dataclass(frozen=True, slots=True, eq=False)
class NewSample:
    """One face on its way into a gallery.

    Attributes:
        person: Id of whose face it is; trimmed and brought to Unicode's composed form (NFC).
        embedding: The face.
        source_digest: What identifies the picture, usually its SHA-256. A person holds each
            digest once per scope. ``None``: unknown, never a duplicate.
        source: Where the picture came from, for people to read; never interpreted.
        group: Scope, see `Sample`.
        quality: What was measured, kept as a `QualityRecord`.
        crop: The face's picture as opaque bytes, encrypted by the caller; at most 8 MiB.

    Raises:
        RangeError: A text is empty, too long or holds forbidden characters, a number is not
            finite, or the crop is too large.
        DtypeError: An argument has the wrong type.
    """

    person: str
    embedding: Embedding
    source_digest: str | None = None
    source: str | None = None
    group: str | None = field(default=None, kw_only=True)
    quality: Quality | Mapping[str, float | None] | None = field(default=None, kw_only=True)
    crop: bytes | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "person", clean_name(self.person))
        check_embedding(self.embedding)
        clean_digest(self.source_digest)
        object.__setattr__(self, "source", clean_source(self.source))
        if self.group is not None:
            object.__setattr__(self, "group", clean_name(self.group, "a group's name"))
        object.__setattr__(self, "quality", quality_record(self.quality))
        check_crop(self.crop)


def quality_record(quality: Quality | Mapping[str, float | None] | None) -> QualityRecord | None:
    """A quality as a flat record of its numbers; parts of parts are named ``pose.yaw_deg``.

    Raises:
        RangeError: A number is not finite, a name is empty or too long, or there are too many.
        DtypeError: A value is no number.
    """
    if quality is None:
        return None
    if not isinstance(quality, Quality):
        return clean_quality(quality)
    flat: dict[str, float | None] = {}
    for name, value in asdict(quality).items():
        if isinstance(value, dict):
            parts = {f"{name}.{part}": number for part, number in value.items()}
            flat |= {part: number for part, number in parts.items() if not isinstance(number, str)}
        else:
            flat[name] = value
    return clean_quality(flat)


# -- what a gallery says of itself ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """An embedding space a gallery keeps.

    Attributes:
        space: The space.
        samples: Number of samples with an embedding there.
        active: Whether it is the one that is searched and that new samples must have.
    """

    space: EmbeddingSpace
    samples: int
    active: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change to one person, or to the gallery, as the log remembers it.

    Attributes:
        number: Counts from 1 without gaps.
        at: UTC, ISO 8601 with milliseconds and ``Z``.
        actor: Who did it, see `vultus.gallery.acting_as`.
        action: What was done: ``sample.add``, ``person.remove`` …
        subject: Salted HMAC-SHA256 of the person's id, 64 hexadecimal digits; ``None`` where
            the change is about nobody.
        detail: Counts, names of groups, sample numbers; never biometric data.
        hash: SHA-256 over all of this and the entry before, 64 hexadecimal digits.
    """

    number: int
    at: str
    actor: str
    action: str
    subject: str | None
    detail: dict[str, object]
    hash: str


@dataclass(frozen=True, slots=True)
class SearchInfo:
    """How a gallery searches.

    Attributes:
        kind: Exact, or through an approximate index.
        why: The reason for that kind.
        samples_indexed: Number of samples that are searched.
        recall: Part of the true best matches that this index found when it was measured; ``None``
            where it was not measured. An exact search has 1.
        parameters: Of the index.
        memory_bytes: What it takes in this process.
    """

    kind: Literal["exact", "approximate"]
    why: str
    samples_indexed: int
    recall: float | None
    parameters: dict[str, object]
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """A gallery at a glance.

    Attributes:
        backend: ``memory``, ``sqlite`` …
        location: Path or address, without credentials.
        schema: Number of the schema.
        space: Id of the active space, or ``None``.
        spaces: Every space kept.
        groups: Number of groups.
        people: Number of people.
        samples: Number of samples.
        search: How it searches.
    """

    backend: str
    location: str
    schema: int
    space: str | None
    spaces: tuple[SpaceInfo, ...]
    groups: int
    people: int
    samples: int
    search: SearchInfo


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        code: Stable, for programs: ``vector``, ``audit``, ``residue`` …
        message: What must hold and what was found.
    """

    code: str
    message: str


# -- the whole gallery as a stream of records ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GalleryRecord:
    """The first record of a stream.

    Attributes:
        created_at: When the gallery was made.
        salt: 32 bytes; keys the subjects of the audit log.
        last_sample: The highest sample number ever given out.
    """

    created_at: str
    salt: bytes = field(repr=False)
    last_sample: int


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """A space; exactly one is active where there is any."""

    space: EmbeddingSpace
    active: bool


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A group without its members."""

    name: str
    note: str
    created_at: str


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person without samples and memberships."""

    id: str
    name: str
    consent: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A sample with its crop, without its embeddings."""

    number: int
    person: str
    group: str | None
    source_digest: str | None
    source: str | None
    quality: QualityRecord | None
    crop: bytes | None = field(repr=False)
    created_at: str


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingRecord:
    """The embedding of a sample in one of the spaces."""

    number: int
    embedding: Embedding


Record: TypeAlias = (
    GalleryRecord
    | SpaceRecord
    | GroupRecord
    | PersonRecord
    | Membership
    | SampleRecord
    | EmbeddingRecord
    | AuditEntry
)
"""What `Gallery.dump` gives, kind after kind in this order, each kind in ascending order."""
