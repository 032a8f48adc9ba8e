"""What is asked about pictures, and what is answered: detect, compare, verify, identify, search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from vultus.server.schemas.common import Id, Model
from vultus.server.schemas.gallery import StoredFace
from vultus.server.schemas.seen import DecisionOut, ImageSize, MatchOut, SeenFace

__all__ = [
    "MAX_BATCH",
    "BatchItem",
    "CompareOptions",
    "CompareReply",
    "DetectBatchReply",
    "DetectItem",
    "DetectOptions",
    "DetectReply",
    "FaceSearchOptions",
    "FaceSearchReply",
    "IdentifiedFace",
    "IdentifyBatchReply",
    "IdentifyItem",
    "IdentifyOptions",
    "IdentifyReply",
    "ItemError",
    "Landmarks",
    "VerifyOptions",
    "VerifyReply",
]

MAX_BATCH = 32
"""Pictures in one request: bounds how long a client waits, and what one request can occupy."""

_MAX_FACES = 1000
_MAX_K = 100
_MAX_GROUPS = 1000


def _number_if_one(value: object) -> object:
    """A form's fields are texts: "0.93" means the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Landmarks = Literal["5", "68", "72", "468"]
Gate = Annotated[
    Literal["off", "low", "normal", "high"] | None,
    Field(
        description="What is asked of each face, see docs/quality.md. The server's own when left"
        " out."
    ),
]
Policy = Annotated[
    Annotated[float, Field(ge=-1, le=1)] | Annotated[str, Field(max_length=64)] | None,
    BeforeValidator(_number_if_one),
    Field(
        description="A false match rate (`fmr=1e-4`), a false positive rate for a gallery's size"
        " (`fpir=1e-2,people=500`), or a cosine. The default of the model when left out.",
        examples=["fmr=1e-4"],
    ),
]
AnyTurn = Annotated[
    bool,
    Field(description="Look at quarter turns as well, unless an upright face is beyond doubt."),
]
Lively = Annotated[
    bool,
    Field(
        description="Tell how much each face looks alive rather than shown on paper or a screen;"
        " nothing where no model for it is installed."
    ),
]
MaxFaces = Annotated[
    int | None,
    Field(ge=1, le=_MAX_FACES, description="Only so many, the largest; all when left out."),
]
Groups = Annotated[
    list[Id] | None,
    Field(
        min_length=1,
        max_length=_MAX_GROUPS,
        description="Only members of any of these groups; everybody when left out.",
        examples=[["staff"]],
    ),
]
Nearest = Annotated[
    int, Field(ge=1, le=_MAX_K, description="How many of the nearest people to list.")
]
LeastSimilar = Annotated[
    float | None,
    Field(ge=-1, le=1, description="List only people at least so similar (cosine)."),
]


# -- detect ---------------------------------------------------------------------------------------


class DetectOptions(Model):
    """What to tell of the faces of a picture."""

    max_faces: MaxFaces = None
    landmarks: Annotated[
        Landmarks,
        BeforeValidator(lambda value: str(value) if type(value) is int else value),
        Field(description="How many points of each face; more than 5 are in `dense`."),
    ] = "5"
    pose: bool = Field(default=False, description="Tell yaw, pitch and roll.")
    quality: bool = Field(default=False, description="Tell sharpness, light, size and so on.")
    attributes: bool = Field(
        default=False,
        description="Tell how old and of which sex a face looks to the installed model; nothing"
        " where none is installed.",
    )
    liveness: Lively = False
    any_turn: AnyTurn = False
    gate: Literal["off", "low", "normal", "high"] = Field(
        default="off",
        description="Tell what this gate says of each face, see docs/quality.md; nothing is"
        " refused here.",
    )


class DetectReply(Model):
    """The faces of a picture."""

    image: ImageSize
    faces: list[SeenFace] = Field(
        description="By falling score; with `max_faces`, the largest first. Empty: no face."
    )


# -- compare and verify ---------------------------------------------------------------------------


class CompareOptions(Model):
    """How two pictures are compared; the largest face of each counts."""

    threshold: Policy = None
    gate: Gate = None
    any_turn: AnyTurn = False


class CompareReply(Model):
    """Whether two pictures show the same person."""

    decision: DecisionOut
    faces: list[SeenFace] = Field(description="The two faces that were compared.")


class VerifyOptions(Model):
    """Who somebody says they are; the largest face of the picture counts."""

    person: Id
    groups: Groups = None
    threshold: Policy = None
    gate: Gate = None
    liveness: Lively = False
    any_turn: AnyTurn = False


class VerifyReply(Model):
    """Whether somebody is who they say."""

    person: str = Field(examples=["ada"])
    name: str = Field(examples=["Ada Lovelace"])
    decision: DecisionOut | None = Field(
        description="For the person's best face; null: none of their faces counts here."
    )
    face: SeenFace


# -- identify -------------------------------------------------------------------------------------


class IdentifyOptions(Model):
    """Among whom to look for the faces of a picture, and what to tell."""

    faces: Literal["all", "largest"] = Field(
        default="all", description="Every face of the picture (M:N), or the largest one (1:N)."
    )
    max_faces: MaxFaces = None
    groups: Groups = None
    k: Nearest = 5
    min_similarity: LeastSimilar = None
    threshold: Policy = None
    once: bool = Field(
        default=False,
        description="Nobody is on one picture twice: of two faces that claim one person, the"
        " more similar keeps the name.",
    )
    gate: Gate = None
    liveness: Lively = False
    any_turn: AnyTurn = False


class IdentifiedFace(SeenFace):
    """A face and whose it is."""

    person: str | None = Field(
        description="Id of who it is; null: nobody known, or refused by the gate.",
        examples=["ada"],
    )
    name: str | None = Field(examples=["Ada Lovelace"])
    decision: DecisionOut | None = Field(
        description="The best match held against the threshold; null: nobody to compare with, or"
        " refused by the gate."
    )
    matches: list[MatchOut] = Field(description="The nearest people, best first, accepted or not.")


class IdentifyReply(Model):
    """Whose faces are in a picture."""

    image: ImageSize
    faces: list[IdentifiedFace] = Field(description="As in a detection's reply.")


# -- batches --------------------------------------------------------------------------------------


class ItemError(Model):
    """Why one picture of several could not be answered."""

    code: str = Field(examples=["image-damaged"])
    message: str


class BatchItem(Model):
    """The answer to one picture: faces or an error."""

    index: int = Field(description="Which picture, from 0.", examples=[0])
    image: ImageSize | None
    error: ItemError | None


class DetectItem(BatchItem):
    """The faces of one picture."""

    faces: list[SeenFace] | None


class IdentifyItem(BatchItem):
    """Whose faces are in one picture."""

    faces: list[IdentifiedFace] | None


class DetectBatchReply(Model):
    """One answer per picture, in order."""

    items: list[DetectItem]


class IdentifyBatchReply(Model):
    """One answer per picture, in order."""

    items: list[IdentifyItem]


# -- search by a stored face ----------------------------------------------------------------------


class FaceSearchOptions(Model):
    """Who looks like a stored face."""

    groups: Groups = None
    k: Nearest = 5
    min_similarity: LeastSimilar = None
    threshold: Policy = None
    own: bool = Field(default=False, description="List the face's own person as well.")


class FaceSearchReply(Model):
    """Who looks like a stored face."""

    face: StoredFace
    decision: DecisionOut | None = Field(
        description="The best match held against the threshold; null: nobody to compare with."
    )
    matches: list[MatchOut] = Field(description="The nearest people, best first.")
