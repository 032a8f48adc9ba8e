"""What a gallery holds as the native API tells it, and what may be asked to change there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vultus.gallery import AuditEntry, GalleryInfo, Group, Membership, Person, Sample
from vultus.server.schemas.common import Id, Model, Name

__all__ = [
    "AuditOut",
    "EnrolOptions",
    "EnrolReply",
    "GalleryOut",
    "GroupChange",
    "GroupOut",
    "MembershipChange",
    "MembershipOut",
    "MergeReply",
    "MergeRequest",
    "MoveRequest",
    "NewGroup",
    "NewPerson",
    "PersonChange",
    "PersonOut",
    "RenameRequest",
    "SplitRequest",
    "StoredFace",
]

_MAX_SPLIT = 1000


def _addressable(value: str) -> str:
    """Clients and proxies take ``.`` and ``..`` in a path for steps, also when encoded."""
    if value.strip() in {".", ".."}:
        raise ValueError("must not be '.' or '..', which no URL can name")
    return value


NewId = Annotated[Id, AfterValidator(_addressable)]
Note = Annotated[str, Field(max_length=1024, examples=["Everybody with a key to the house"])]
Consent = Annotated[
    str,
    Field(
        max_length=256,
        description="Reference of your own to their consent; empty: none.",
        examples=["form 2026-17"],
    ),
]


# -- people ---------------------------------------------------------------------------------------


class PersonOut(Model):
    """Somebody known."""

    id: str = Field(examples=["ada"])
    name: str = Field(examples=["Ada Lovelace"])
    faces: int = Field(description="How many are stored.", examples=[2])
    groups: list[str] = Field(description="Those they belong to.", examples=[["staff"]])
    consent: str | None = Field(examples=["form 2026-17"])
    created_at: str = Field(examples=["2026-01-02T03:04:05.678Z"])
    updated_at: str = Field(examples=["2026-01-02T03:04:05.678Z"])

    @classmethod
    def of(cls, person: Person) -> PersonOut:
        """A person of a gallery."""
        return cls(
            id=person.id,
            name=person.name,
            faces=person.samples,
            groups=list(person.groups),
            consent=person.consent,
            created_at=person.created_at,
            updated_at=person.updated_at,
        )


class NewPerson(Model):
    """Somebody to make known."""

    id: NewId | None = Field(
        default=None, description="Unique in the gallery; a UUID is made when left out."
    )
    name: Name | None = None
    consent: Consent | None = None


class PersonChange(Model):
    """What to change about a person; what is left out, or null, stays."""

    name: Name | None = None
    consent: Consent | None = None


class RenameRequest(Model):
    """Another id for a person; a name that was the id follows."""

    id: NewId


class MergeRequest(Model):
    """Whom to merge into the person of the path."""

    other: Id = Field(
        description="Id of who is the same person; they vanish, their faces and memberships move.",
        examples=["ada-2"],
    )


class MergeReply(Model):
    """The person of two."""

    person: PersonOut
    faces_moved: int = Field(examples=[1])


class SplitRequest(Model):
    """Which faces belong to somebody else."""

    id: NewId = Field(examples=["guest-17"])
    faces: list[str] = Field(
        min_length=1, max_length=_MAX_SPLIT, description="Ids of faces of the person of the path."
    )


# -- groups ---------------------------------------------------------------------------------------


class GroupOut(Model):
    """A set of people, to list and to search within."""

    id: str = Field(description="Its name.", examples=["staff"])
    note: str = Field(examples=["Everybody with a key to the house"])
    people: int = Field(description="How many belong to it.", examples=[12])
    created_at: str = Field(examples=["2026-01-02T03:04:05.678Z"])

    @classmethod
    def of(cls, group: Group) -> GroupOut:
        """A group of a gallery."""
        return cls(id=group.name, note=group.note, people=group.people, created_at=group.created_at)


class NewGroup(Model):
    """A group to make."""

    id: NewId = Field(examples=["staff"])
    note: Note = ""


class GroupChange(Model):
    """What to change about a group; what is left out, or null, stays."""

    id: NewId | None = Field(default=None, description="Another name.", examples=["crew"])
    note: Note | None = None


class MembershipOut(Model):
    """That a person belongs to a group."""

    person: str = Field(examples=["ada"])
    group: str = Field(examples=["staff"])
    info: str = Field(description="What is noted with it.", examples=["badge 7"])

    @classmethod
    def of(cls, membership: Membership) -> MembershipOut:
        """A membership of a gallery."""
        return cls(**asdict(membership))


class MembershipChange(Model):
    """What to note with a membership."""

    info: str = Field(
        default="", max_length=256, description="At most 256 bytes.", examples=["badge 7"]
    )


# -- faces ----------------------------------------------------------------------------------------


class StoredFace(Model):
    """One face of the gallery, without its vector and its picture, which are never told."""

    id: str = Field(examples=["6b1f6d0c-3a52-4b6e-9d5e-0f4c2a7be1c3"])
    person: str = Field(description="Id of whose it is.", examples=["ada"])
    group: str | None = Field(
        description="It counts in this group only; null: in all of the person's."
    )
    source: str | None = Field(description="File name of the picture.", examples=["ada.jpg"])
    digest: str | None = Field(description="What tells the picture from others.")
    quality: dict[str, float] | None = Field(description="As measured when it was enrolled.")
    created_at: str = Field(examples=["2026-01-02T03:04:05.678Z"])

    @classmethod
    def of(cls, sample: Sample, face: str) -> StoredFace:
        """A sample of a gallery under its public id."""
        return cls(
            id=face,
            person=sample.person,
            group=sample.group,
            source=sample.source,
            digest=sample.source_digest,
            quality=sample.quality,
            created_at=sample.created_at,
        )


class EnrolOptions(Model):
    """How pictures of one person are enrolled: all of them, or none when one is refused."""

    group: Id | None = Field(
        default=None,
        description="The faces count in this group only, which is made, and joined, when needed.",
        examples=["staff"],
    )
    largest: bool = Field(
        default=False,
        description="Take the largest face of a picture that shows several, instead of refusing.",
    )
    gate: Literal["off", "low", "normal", "high"] | None = Field(
        default=None, description="What is asked of each face. The server's own when left out."
    )
    any_turn: bool = Field(default=False, description="Look at quarter turns as well.")
    allow_duplicates: bool = Field(
        default=False, description="Take a picture that the person already holds."
    )


class EnrolReply(Model):
    """Who was enrolled, with which faces."""

    person: PersonOut
    faces: list[StoredFace] = Field(description="The new ones, in the order of the pictures.")


class MoveRequest(Model):
    """Whose a face really is."""

    person: Id


# -- the whole ------------------------------------------------------------------------------------


class SpaceOut(Model):
    """An embedding space that the gallery keeps."""

    id: str = Field(examples=["dlib-resnet-v1/0123456789ab/128/dlib-10+mirror"])
    faces: int = Field(description="With an embedding there.", examples=[2])
    active: bool = Field(description="Whether it is the one that is searched.")


class SearchOut(Model):
    """How the gallery searches."""

    kind: Literal["exact", "approximate"]
    why: str
    faces_indexed: int
    recall: float | None = Field(description="As measured on this gallery; 1 when exact.")


class GalleryOut(Model):
    """The gallery at a glance."""

    people: int
    faces: int
    groups: int
    space: str | None = Field(description="Id of the active embedding space.")
    spaces: list[SpaceOut]
    search: SearchOut

    @classmethod
    def of(cls, info: GalleryInfo) -> GalleryOut:
        """What may be told of a gallery: not where it lies."""
        return cls(
            people=info.people,
            faces=info.samples,
            groups=info.groups,
            space=info.space,
            spaces=[
                SpaceOut(id=found.space.id, faces=found.samples, active=found.active)
                for found in info.spaces
            ],
            search=SearchOut(
                kind=info.search.kind,
                why=info.search.why,
                faces_indexed=info.search.samples_indexed,
                recall=info.search.recall,
            ),
        )


class AuditOut(Model):
    """One change, as the log remembers it; see docs/gallery.md."""

    number: int = Field(examples=[17])
    at: str = Field(examples=["2026-01-02T03:04:05.678Z"])
    actor: str = Field(examples=["app:10000001"])
    action: str = Field(examples=["sample.add"])
    subject: str | None = Field(description="Keyed hash of the person's id.")
    detail: dict[str, Any] = Field(examples=[{"count": 1}])
    hash: str = Field(description="Over this entry and the hash before.")

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        """An entry of the log."""
        return cls(**asdict(entry))
