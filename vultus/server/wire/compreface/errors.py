"""How CompreFace says that something failed: a status, a message and a number."""

from __future__ import annotations

from vultus.errors import (
    DegenerateLandmarksError,
    ImageError,
    NoFaceError,
    NoLandmarksError,
    RefusedFaceError,
    SeveralFacesError,
    VultusError,
)
from vultus.server.errors import MethodError, NotFoundError, headers_of, public_message, status_of

__all__ = [
    "ANYTHING",
    "CompreFaceError",
    "bad_value",
    "bad_values",
    "empty_field",
    "malformed",
    "missing_parameter",
    "missing_part",
    "missing_variable",
    "no_face",
    "not_base64",
    "several_faces",
    "told",
    "unknown_service",
    "unknown_subject",
]

ANYTHING = "Something went wrong, please try again"
"""What CompreFace says where it has nothing better to say; its number is 0."""


class CompreFaceError(Exception):
    """An answer that tells of a failure.

    Args:
        status: Of HTTP.
        number: CompreFace's code.
        message: CompreFace's text.
        headers: That belong to it.
    """

    def __init__(
        self, status: int, number: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.number = number
        self.message = message
        self.headers = headers or {}


def malformed() -> CompreFaceError:
    """What cannot be parsed. CompreFace's body is empty then, which its own client cannot read."""
    return CompreFaceError(400, 0, ANYTHING)


def bad_value(message: str) -> CompreFaceError:
    """A value that the rules for it forbid."""
    return CompreFaceError(400, 26, message)


def bad_values(messages: list[str]) -> CompreFaceError:
    """Rules for parameters that were broken, each message with a semicolon at its end."""
    return bad_value("".join(f"{message}; " for message in messages))


def empty_field(name: str) -> CompreFaceError:
    """A field of a JSON body is missing or empty."""
    return CompreFaceError(400, 5, f"Field {name} cannot be empty")


def missing_parameter(name: str) -> CompreFaceError:
    """A query parameter is missing."""
    return CompreFaceError(400, 33, f"Required parameter {name} is missing")


def missing_part(name: str) -> CompreFaceError:
    """A part of a multipart body is missing."""
    return CompreFaceError(400, 34, f"Required part {name} is missing")


def missing_variable(name: str) -> CompreFaceError:
    """A part of the path is missing."""
    return CompreFaceError(400, 35, f"Required path variable {name} is missing")


def not_base64() -> CompreFaceError:
    """A picture in a JSON body cannot be decoded."""
    return CompreFaceError(400, 21, "Provided value is not Base64")


def no_face() -> CompreFaceError:
    """No face, or a picture that cannot be read: CompreFace does not tell them apart."""
    return CompreFaceError(400, 28, "No face is found in the given image")


def several_faces() -> CompreFaceError:
    """More than one face where one is wanted."""
    return CompreFaceError(400, 31, "More than one face in the source image")


def unknown_service(service: str, key: str) -> CompreFaceError:
    """A key that nobody has."""
    return CompreFaceError(404, 10, f"{service} service with API Key {key} not found")


def unknown_subject(name: str) -> CompreFaceError:
    """Nobody has this name."""
    return CompreFaceError(404, 42, f"Subject {name} not found")


_UNSEEN = (ImageError, NoFaceError, NoLandmarksError, DegenerateLandmarksError)
_OWN_STATUS = frozenset({401, 403, 429, 500, 503, 504})


def told(error: VultusError) -> CompreFaceError:
    """A failure of vultus in CompreFace's words.

    What CompreFace has no number for gets 0 and status 400, as everything unforeseen there. A
    status that tells a client to wait, or that it may not, is kept: CompreFace knows nothing
    of either. So is 500: the server's own fault is not the client's.
    """
    if isinstance(error, _UNSEEN):
        return no_face()
    if isinstance(error, SeveralFacesError):
        return several_faces()
    if isinstance(error, RefusedFaceError):
        return CompreFaceError(400, 28, public_message(error))
    if isinstance(error, (NotFoundError, MethodError)):
        return CompreFaceError(404, 0, public_message(error))
    status = status_of(error)
    if status in _OWN_STATUS:
        message = ANYTHING if status == 500 else public_message(error)
        return CompreFaceError(status, 0, message, headers_of(error))
    return malformed()
