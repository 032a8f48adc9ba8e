"""One authorised request: the service, whose gallery it is about, and under whose name."""

# Annotations are evaluated here: `_calling` needs its argument in one.
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from vultus.errors import UnknownSampleError
from vultus.gallery import Gallery, Sample, acting_as
from vultus.server.auth import Principal, need
from vultus.server.ids import SampleIds
from vultus.server.schemas.gallery import StoredFace
from vultus.server.service import CurrentService, Service
from vultus.server.store import Scope

__all__ = ["AdminCall", "Call", "DeleteCall", "EnrolCall", "Owner", "ReadCall", "unknown_face"]

T = TypeVar("T")

# Of two clients of this process that change the same thing if it still is what they saw, one must
# come after the other.
_TURN = threading.Lock()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose gallery is worked on; outlives the request, and holds nothing of it.

    Attributes:
        service: The process's.
        principal: Who asks.
        ids: The tenant's face ids.
    """

    service: Service
    principal: Principal
    ids: SampleIds

    def gallery(self) -> Gallery:
        """The tenant's gallery; may have to be opened, so ask within a job."""
        return self.service.gallery(self.principal.tenant)

    def face_id(self, number: int) -> str:
        """What a sample is called outside."""
        return self.ids.to_uuid(number)

    def number(self, face: str) -> int:
        """The sample of a face's id.

        Raises:
            UnknownSampleError: Nobody's, or another tenant's.
        """
        found = self.ids.number(face)
        if found is None:
            raise unknown_face(face)
        return found

    def sample(self, gallery: Gallery, face: str) -> Sample:
        """A stored face.

        Raises:
            UnknownSampleError: There is none, in words that do not tell a forged id from an old
                one.
        """
        try:
            return gallery.sample(self.number(face))
        except UnknownSampleError:
            raise unknown_face(face) from None

    def stored_one(self, sample: Sample) -> StoredFace:
        """A sample as it is told."""
        return StoredFace.of(sample, self.face_id(sample.number))

    def stored(self, samples: Iterable[Sample]) -> list[StoredFace]:
        """Samples as they are told."""
        return [self.stored_one(sample) for sample in samples]


@dataclass(frozen=True, slots=True)
class Call(Owner):
    """What a route works with.

    Attributes:
        request: The request.
    """

    request: Request

    @property
    def owner(self) -> Owner:
        """The same without the request, whose body may be large."""
        return Owner(self.service, self.principal, self.ids)

    async def pixels(self, job: Callable[[], T]) -> T:
        """Do work on pictures, on the engine."""
        return await self.service.run(job)

    async def records(self, job: Callable[[Gallery], T], *, alone: bool = False) -> T:
        """Do something short with the gallery, on a thread, under the principal's name.

        Args:
            job: What to do.
            alone: It looks before it changes something; a write with conditions does anyway.
        """
        headers = self.request.headers
        if self.request.method != "GET":
            alone = alone or "if-match" in headers or "if-none-match" in headers

        def signed() -> T:
            with acting_as(self.principal.actor), _TURN if alone else nullcontext():
                return job(self.gallery())

        return await self.service.db(signed)


def unknown_face(face: str) -> UnknownSampleError:
    """The error for an id of no face."""
    return UnknownSampleError(
        f"no face of this gallery has the id {face[:64]!r}", remedy="list the faces first"
    )


def _calling(scope: Scope) -> Callable[..., Awaitable[Call]]:
    async def call(
        request: Request,
        service: CurrentService,
        principal: Annotated[Principal, Depends(need(scope))],
    ) -> Call:
        return Call(service, principal, service.ids(principal.tenant), request)

    return call


ReadCall = Annotated[Call, Depends(_calling("read"))]
EnrolCall = Annotated[Call, Depends(_calling("enrol"))]
DeleteCall = Annotated[Call, Depends(_calling("delete"))]
AdminCall = Annotated[Call, Depends(_calling("admin"))]
