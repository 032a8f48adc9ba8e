"""What every part of the native API shares: the base of its models, names, pages, errors."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ErrorReply", "Id", "Model", "Name", "Page", "Removed"]

T = TypeVar("T")


class Model(BaseModel):
    """Frozen; a field it does not know is refused, so that no misspelt option passes for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Id = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        description="At most 256 bytes of UTF-8, no control characters; trimmed, composed (NFC).",
        examples=["ada"],
    ),
]
"""What identifies a person or a group."""

Name = Annotated[
    str,
    Field(
        max_length=256,
        description="What they are called: at most 256 bytes of UTF-8. Empty: the id.",
        examples=["Ada Lovelace"],
    ),
]


class ErrorReply(Model):
    """What every failed request is answered with."""

    code: str = Field(
        description="Stable, for programs; docs/api.md lists them all.",
        examples=["person-unknown"],
    )
    message: str = Field(
        description="What must hold and what came instead; for people, may change.",
        examples=["nobody in this gallery is called 'ada'; list the people first"],
    )
    details: dict[str, Any] = Field(
        description="The facts behind the message.", examples=[{"name": "ada"}]
    )
    request_id: str = Field(
        description="The request's number in the server's log; also the header X-Request-ID.",
        examples=["3f1c6a52e4b04a4b9d8f2f4c7c9d0e11"],
    )


class Page(Model, Generic[T]):
    """Part of a list."""

    items: list[T] = Field(description="In a fixed order, so that pages stay right under writes.")
    next: str | None = Field(
        description="Give it as `cursor` for what follows; null: this was the last page."
    )


class Removed(Model):
    """What an erasure took with it."""

    faces: int = Field(description="Faces that were erased.", examples=[2])
