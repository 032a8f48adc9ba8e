"""``/v1/gallery``, ``/v1/audit`` and ``/v1/export``: the gallery as a whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from vultus.gallery.archive import write_archive
from vultus.server.routes._call import AdminCall, ReadCall
from vultus.server.routes._pages import Cursor, Limit, after_number, page_of
from vultus.server.routes._reply import conditional, errors, reply
from vultus.server.schemas.common import Page
from vultus.server.schemas.gallery import AuditOut, GalleryOut

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["gallery"])

_BLOCK_BYTES = 256 * 1024
_ARCHIVE = "application/zip"


@router.get(
    "/gallery",
    operation_id="getGallery",
    summary="The gallery at a glance",
    response_model=GalleryOut,
    responses={304: {"description": "You have it already."}, **errors()},
)
async def get_gallery(call: ReadCall) -> Response:
    """How much it holds, in which embedding spaces, and how it searches."""
    return conditional(call.request, GalleryOut.of(await call.records(lambda g: g.info())))


@router.get(
    "/audit",
    operation_id="listAudit",
    summary="Read the log of changes",
    response_model=Page[AuditOut],
    responses=errors(),
)
async def list_audit(
    call: AdminCall,
    person: Annotated[
        str | None,
        Query(max_length=256, description="Only entries about them, also once they are erased."),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Who did what, oldest first, a page at a time; each entry's hash covers the one before."""
    after = after_number(cursor)
    rows = await call.records(lambda g: g.audit(person=person, after=after, limit=limit + 1))
    return reply(page_of(rows, limit, lambda entry: entry.number, AuditOut.of))


@router.get(
    "/export",
    operation_id="exportGallery",
    summary="Carry the whole gallery away",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "An archive for `vultus gallery import`.",
            "content": {_ARCHIVE: {"schema": {"type": "string", "format": "binary"}}},
        },
        **errors(),
    },
)
async def export_gallery(call: AdminCall) -> Response:
    """Everything it holds, as of one moment: vectors in the clear, crops as they are kept.

    The archive is written to a temporary file first, so it is complete when it starts to arrive.
    """
    folder = tempfile.TemporaryDirectory(prefix="vultus-export-", ignore_cleanup_errors=True)
    path = Path(folder.name) / "gallery.zip"
    try:
        await run_in_threadpool(lambda: write_archive(call.gallery(), path))
    except BaseException:
        folder.cleanup()
        raise
    return StreamingResponse(
        _blocks(folder, path),
        media_type=_ARCHIVE,
        headers={
            "Content-Disposition": 'attachment; filename="gallery.vultus.zip"',
            "Content-Length": str(path.stat().st_size),
        },
    )


def _blocks(folder: tempfile.TemporaryDirectory[str], path: Path) -> Iterator[bytes]:
    with folder, path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
