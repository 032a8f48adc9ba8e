"""``/v1/jobs``: work that takes longer than a request should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from vultus.errors import DuplicateSampleError, InputError
from vultus.gallery import acting_as
from vultus.server.errors import ForbiddenError, RequestError
from vultus.server.routes._body import Pictures, Received, Upload, accepting, described
from vultus.server.routes._call import EnrolCall, Owner, ReadCall
from vultus.server.routes._flow import Flow
from vultus.server.routes._once import Answer, IdempotencyKey, once
from vultus.server.routes._pages import Cursor, Limit, after_text, page_of
from vultus.server.routes._reply import conditional, errors, reply
from vultus.server.routes._spool import Spool
from vultus.server.schemas.common import Page
from vultus.server.schemas.jobs import MAX_JOB_PICTURES, JobOut, NewJob
from vultus.server.store.jobs import JobHandle

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_SOME = Pictures(least=0, most=MAX_JOB_PICTURES)
_UNKNOWN = "`not-found`: there is no such job."
JobPath = Annotated[
    str,
    Path(
        max_length=64,
        description="Id of the job.",
        examples=["0b9d3c7e-5c1d-4a0e-8a53-0d0f5e3b8a11"],
    ),
]
Work = Callable[[JobHandle], Any]


@router.post(
    "",
    operation_id="startJob",
    summary="Start long work",
    status_code=202,
    response_model=JobOut,
    responses=errors(
        pictures=True,
        e403="`verify` and `optimise` take the scope `admin`.",
        e409="`idempotency`: the key was used for another request.",
    ),
    openapi_extra=described(NewJob, _SOME, {"kind": "enrol", "people": ["ada"]}),
)
async def start_job(
    call: EnrolCall,
    asked: Annotated[Received[NewJob], Depends(accepting(NewJob, _SOME))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Bulk enrolment, in which a refused picture does not fail the others; or care of the gallery.

    Jobs of a process run one after the other, at low priority. Follow one with `getJob`.
    """

    async def write() -> Answer:
        work = _work(call.owner, asked)
        who, kind = call.principal, asked.options.kind
        jobs = call.service.jobs
        started = await call.service.db(lambda: jobs.start(who.tenant, who.app_id, kind, work))
        return 202, JobOut.of(started)

    return await once(call, write, body=asked, at=lambda job: f"/v1/jobs/{job.id}")


@router.get(
    "",
    operation_id="listJobs",
    summary="List jobs",
    response_model=Page[JobOut],
    responses=errors(e404=_UNKNOWN),
)
async def list_jobs(call: ReadCall, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Newest first, a page at a time; kept for a week."""
    jobs, after = call.service.jobs, after_text(cursor)
    tenant = call.principal.tenant
    rows = await call.service.db(lambda: jobs.list(tenant, after=after, limit=limit + 1))
    return reply(page_of(rows, limit, lambda job: job.id, JobOut.of))


@router.get(
    "/{job}",
    operation_id="getJob",
    summary="Follow a job",
    response_model=JobOut,
    responses={304: {"description": "You have it already."}, **errors(e404=_UNKNOWN)},
)
async def get_job(call: ReadCall, job: JobPath) -> Response:
    """How far it is, and what came out of it."""
    jobs = call.service.jobs
    found = await call.service.db(lambda: jobs.get(call.principal.tenant, job))
    return conditional(call.request, JobOut.of(found))


@router.post(
    "/{job}/cancel",
    operation_id="cancelJob",
    summary="Cancel a job",
    response_model=JobOut,
    responses=errors(e404=_UNKNOWN, e409="`idempotency`: the key was used for another request."),
)
async def cancel_job(
    call: EnrolCall, job: JobPath, idempotency_key: IdempotencyKey = None
) -> Response:
    """It stops after the picture it is at; what is enrolled stays. One that has ended stays so."""

    async def write() -> Answer:
        jobs = call.service.jobs
        return 200, JobOut.of(
            await call.service.db(lambda: jobs.cancel(call.principal.tenant, job))
        )

    return await once(call, write)


# -- what is done ---------------------------------------------------------------------------------


def _work(owner: Owner, asked: Received[NewJob]) -> Work:
    options = asked.options
    if options.kind == "enrol":
        return _enrolment(owner, options, _with_people(asked))
    if asked.pictures:
        raise RequestError(f"a job of kind {options.kind!r} takes no pictures")
    if "admin" not in owner.principal.scopes:
        raise ForbiddenError(
            f"a job of kind {options.kind!r} takes a key with the scope 'admin'", expected="admin"
        )
    chosen: Work = _verification(owner) if options.kind == "verify" else _optimisation(owner)
    return chosen


def _with_people(asked: Received[NewJob]) -> list[tuple[str, Upload]]:
    pictures, people = asked.pictures, asked.options.people
    if not pictures:
        raise RequestError("a job of kind 'enrol' must carry pictures")
    if people is None:
        people = [_stem(picture.name) for picture in pictures]
        if not all(people):
            raise RequestError("people must say whose the pictures are, for one has no file name")
    elif len(people) == 1:
        people = people * len(pictures)
    elif len(people) != len(pictures):
        raise RequestError(
            f"people must name one person, or one for each of {len(pictures)} pictures,"
            f" got {len(people)}"
        )
    return list(zip(people, pictures, strict=True))


def _stem(name: str | None) -> str:
    return PurePosixPath((name or "").replace("\\", "/")).stem


def _enrolment(owner: Owner, options: NewJob, items: list[tuple[str, Upload]]) -> Work:
    flow = Flow(owner.service, gate=options.gate, any_turn=options.any_turn)
    people = [person for person, _ in items]
    spool = Spool(picture for _, picture in items)

    def enrol_one(person: str, picture: Upload) -> dict[str, Any]:
        sample = flow.sample(person, picture, largest=options.largest, group=options.group)
        gallery = owner.gallery()
        (number,) = gallery.add_many([sample], allow_duplicates=options.allow_duplicates)
        return {"person": sample.person, "face": owner.face_id(number), "error": None}

    def work(handle: JobHandle) -> dict[str, Any]:
        told: list[dict[str, Any]] = []
        with spool, acting_as(owner.principal.actor):
            for index, (person, picture) in enumerate(zip(people, spool, strict=True)):
                if handle.stop:
                    break
                try:
                    item = enrol_one(person, picture)
                except (InputError, DuplicateSampleError) as error:
                    why = {"code": error.code, "message": str(error)}
                    item = {"person": person, "face": None, "error": why}
                told.append({"index": index, **item})
                handle.progress(index + 1, len(people))
        return {"enrolled": sum(item["error"] is None for item in told), "items": told}

    return work


def _verification(owner: Owner) -> Work:
    def work(_: JobHandle) -> dict[str, Any]:
        findings = owner.gallery().verify()
        told = [{"code": one.code, "message": one.message} for one in findings]
        return {"sound": not told, "findings": told}

    return work


def _optimisation(owner: Owner) -> Work:
    def work(_: JobHandle) -> dict[str, Any]:
        gallery = owner.gallery()
        with acting_as(owner.principal.actor):
            gallery.optimise()
        search = gallery.info().search
        return {"kind": search.kind, "why": search.why, "recall": search.recall}

    return work
