"""Long work as the native API takes and tells it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import Field

from vultus.server.schemas.common import Id, Model
from vultus.server.schemas.gallery import EnrolOptions
from vultus.server.store.jobs import Job

__all__ = ["MAX_JOB_PICTURES", "JobOut", "NewJob"]

MAX_JOB_PICTURES = 1000
"""Pictures of one job; the limit on a request's bytes usually comes first."""

State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]


class NewJob(EnrolOptions):
    """Long work to be done."""

    kind: Literal["enrol", "verify", "optimise"] = Field(
        description="`enrol` pictures; `verify` that everything stored is sound; `optimise` the"
        " search, where the gallery is large enough for an index."
    )
    people: Annotated[
        list[Id] | None,
        Field(
            max_length=MAX_JOB_PICTURES,
            description="Of `enrol`: whose each picture is, in order; one for all; or left out,"
            " and each picture's file name without its ending is the person's id.",
        ),
    ] = None


class ProgressOut(Model):
    """How far a job is."""

    done: int = Field(examples=[12])
    total: int | None = Field(description="null: not known.", examples=[40])


class JobErrorOut(Model):
    """Why a job failed."""

    code: str
    message: str


class JobOut(Model):
    """One piece of long work."""

    id: str = Field(examples=["0b9d3c7e-5c1d-4a0e-8a53-0d0f5e3b8a11"])
    kind: str = Field(examples=["enrol"])
    state: State = Field(description="`interrupted`: the server ended meanwhile; start it again.")
    progress: ProgressOut
    result: Any = Field(
        description="Of `enrol`: `enrolled`, and `items` with an `index`, a `person` and a `face`"
        " or an `error` per picture; of `verify`: `sound` and `findings`; of `optimise`: `kind`,"
        " `why`."
    )
    error: JobErrorOut | None
    created_at: str = Field(examples=["2026-01-02T03:04:05.678Z"])
    updated_at: str = Field(examples=["2026-01-02T03:04:05.678Z"])

    @classmethod
    def of(cls, job: Job) -> JobOut:
        """A job of the store."""
        return cls(
            id=job.id,
            kind=job.kind,
            state=cast("State", job.state),
            progress=ProgressOut(done=job.done, total=job.total),
            result=job.result,
            error=None if job.error is None else JobErrorOut(**job.error),
            created_at=job.created_at,
            updated_at=job.updated_at,
        )
