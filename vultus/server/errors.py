"""How the service fails: its own errors, their HTTP status, and the native error body.

The tree below `ServerError` continues the one of `vultus.errors`::

    ServerError
    ├── SettingsError            settings-invalid   500 (the server does not start)
    ├── UnauthorisedError        unauthorised       401
    │   ├── TokenInvalidError    token-invalid
    │   └── TokenExpiredError    token-expired
    ├── ForbiddenError           forbidden          403
    ├── RateLimitError           rate-limited       429
    ├── QuotaError               quota-exceeded     429
    ├── BodyTooLargeError        body-too-large     413
    ├── UploadTimeoutError       upload-timeout     408
    ├── MediaTypeError           media-type         415
    ├── RequestError             request-invalid    422
    ├── UrlRefusedError          url-refused        422
    ├── NotFoundError            not-found          404
    ├── MethodError              method-not-allowed 405
    ├── IdempotencyError         idempotency        409
    ├── BusyError                busy               503
    ├── NotReadyError            not-ready          503
    ├── StoreError               store              503
    ├── JobTimeoutError          timeout            504
    └── InternalError            internal           500
"""

from __future__ import annotations

import math

from vultus import errors as base
from vultus.errors import SpaceMismatchError, VultusError
from vultus.types import EmbeddingSpace

__all__ = [
    "BodyTooLargeError",
    "BusyError",
    "ForbiddenError",
    "IdempotencyError",
    "InternalError",
    "JobTimeoutError",
    "MediaTypeError",
    "MethodError",
    "NotFoundError",
    "NotReadyError",
    "QuotaError",
    "RateLimitError",
    "RequestError",
    "ServerError",
    "SettingsError",
    "StoreError",
    "TokenExpiredError",
    "TokenInvalidError",
    "UnauthorisedError",
    "UploadTimeoutError",
    "UrlRefusedError",
    "headers_of",
    "native_body",
    "public_message",
    "space_mismatch",
    "status_of",
]


class ServerError(VultusError):
    """Root of what only the service says."""

    code = "server"


class SettingsError(ServerError):
    """The server cannot start like this."""

    code = "settings-invalid"


class UnauthorisedError(ServerError):
    """No key, or one nobody has."""

    code = "unauthorised"
    remedy = "send a key made by `vultus keys create` as `Authorization: Bearer …`"


class TokenInvalidError(UnauthorisedError):
    """An access token that this server did not make, or whose application is gone."""

    code = "token-invalid"
    remedy = "ask for a new token"


class TokenExpiredError(UnauthorisedError):
    """An access token of this server's whose time is over."""

    code = "token-expired"
    remedy = "ask for a new token"


class ForbiddenError(ServerError):
    """The key is good, but not for this."""

    code = "forbidden"
    remedy = "use a key with this scope"


class RateLimitError(ServerError):
    """More requests a second than the key may make; the field ``retry_after_s`` says when."""

    code = "rate-limited"
    remedy = "wait as long as Retry-After says"


class QuotaError(ServerError):
    """More requests today than the key may make."""

    code = "quota-exceeded"
    remedy = "wait for the next day (UTC), or raise the key's quota"


class BodyTooLargeError(ServerError):
    """The request's body exceeds the limit on bytes."""

    code = "body-too-large"
    remedy = "send smaller or fewer pictures"


class UploadTimeoutError(ServerError):
    """The request's body arrived too slowly."""

    code = "upload-timeout"
    remedy = "send it again over a faster connection"


class MediaTypeError(ServerError):
    """A content type this route does not take."""

    code = "media-type"


class RequestError(ServerError):
    """The request's fields are not what the route asks for."""

    code = "request-invalid"


class UrlRefusedError(ServerError):
    """The server does not fetch this address."""

    code = "url-refused"
    remedy = "send the picture itself"


class NotFoundError(ServerError):
    """There is nothing here; another tenant's things are not here either."""

    code = "not-found"


class MethodError(ServerError):
    """The path is known, the method is not."""

    code = "method-not-allowed"


class IdempotencyError(ServerError):
    """An idempotency key was used for another request, or its request is still running."""

    code = "idempotency"
    remedy = "use a new key for a new request"


class BusyError(ServerError):
    """The queue is full; the field ``retry_after_s`` says when to try again."""

    code = "busy"
    remedy = "try again as Retry-After says"


class NotReadyError(ServerError):
    """The server is starting or ending."""

    code = "not-ready"
    remedy = "try again in a moment"


class StoreError(ServerError):
    """The access data cannot be reached or used."""

    code = "store"


class JobTimeoutError(ServerError):
    """The work took longer than the limit."""

    code = "timeout"
    remedy = "send less at once, or try again later"


class InternalError(ServerError):
    """Something broke that should not; the log has the rest under the request's id."""

    code = "internal"


# The first class a given error belongs to decides.
_STATUS: tuple[tuple[type[VultusError], int], ...] = (
    (UnauthorisedError, 401),
    (ForbiddenError, 403),
    (RateLimitError, 429),
    (QuotaError, 429),
    (BodyTooLargeError, 413),
    (UploadTimeoutError, 408),
    (MediaTypeError, 415),
    (RequestError, 422),
    (UrlRefusedError, 422),
    (NotFoundError, 404),
    (MethodError, 405),
    (IdempotencyError, 409),
    (BusyError, 503),
    (NotReadyError, 503),
    (StoreError, 503),
    (JobTimeoutError, 504),
    (base.ImageTooLargeError, 413),
    (base.ImageFormatError, 415),
    (base.ImageError, 422),
    (base.InputError, 422),
    (base.SpaceMismatchError, 409),
    (base.UnknownPersonError, 404),
    (base.UnknownGroupError, 404),
    (base.UnknownSampleError, 404),
    (base.EmptyGalleryError, 404),
    (base.PersonExistsError, 409),
    (base.GroupExistsError, 409),
    (base.DuplicateSampleError, 409),
    (base.UnknownModelError, 404),
    (base.GalleryFileError, 503),
    (base.GalleryServerError, 503),
)
_RETRY_S = 1.0  # told where nothing better is known
# Their messages hold paths and addresses of the machine, which are nobody's business outside.
_OURS = (
    base.GalleryFileError,
    base.GalleryServerError,
    base.ModelError,
    base.OutputError,
    base.MissingExtraError,
    base.InferenceError,
    base.CalibrationError,
    StoreError,
    SettingsError,
)
_HIDDEN_FIELDS = frozenset({"path", "location", "cause"})


def status_of(error: VultusError) -> int:
    """The HTTP status of an error; 500 for what is the server's own fault."""
    if isinstance(error, base.MissingExtraError) and error.fields.get("extra") == "heic":
        return 415  # a picture of a kind that this installation cannot read
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def headers_of(error: VultusError) -> dict[str, str]:
    """Headers that belong to an error: ``Retry-After`` in whole seconds, ``WWW-Authenticate``."""
    status = status_of(error)
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status in {429, 503}:
        wait = error.fields.get("retry_after_s", _RETRY_S)
        return {"Retry-After": str(max(1, math.ceil(float(str(wait)))))}
    return {}


def public_message(error: VultusError) -> str:
    """What may be told outside: no path, address or foreign text of this machine."""
    if status_of(error) == 415:
        return str(error)
    if isinstance(error, (base.GalleryFileError, base.GalleryServerError, StoreError)):
        return "the gallery cannot be reached or used at the moment; try again later"
    if isinstance(error, _OURS) or status_of(error) == 500:
        return "something broke on the server; its log has the rest under the request's id"
    return str(error)


def native_body(error: VultusError, request_id: str) -> dict[str, object]:
    """``{code, message, details, request_id}``, as every native error is told."""
    hidden = isinstance(error, _OURS) or status_of(error) == 500
    details = (
        {}
        if hidden
        else {name: v for name, v in error.fields.items() if name not in _HIDDEN_FIELDS}
    )
    code = "internal" if status_of(error) == 500 else error.code
    return {
        "code": code,
        "message": public_message(error),
        "details": details,
        "request_id": request_id,
    }


def space_mismatch(known: EmbeddingSpace, space: EmbeddingSpace) -> SpaceMismatchError:
    """The error for a gallery of another space than the server's."""
    return SpaceMismatchError(
        f"the gallery was made with {known}, the server is set to {space}",
        remedy="set the server's model and mirror to the gallery's, or migrate the gallery",
        expected=known.id,
        actual=space.id,
    )
