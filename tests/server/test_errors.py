from __future__ import annotations

import inspect

import pytest

from vultus import errors as base
from vultus.errors import VultusError
from vultus.server import errors
from vultus.server.errors import headers_of, native_body, public_message, status_of

STATUS = {
    "unauthorised": 401, "token-invalid": 401, "token-expired": 401, "forbidden": 403,
    "rate-limited": 429, "quota-exceeded": 429, "body-too-large": 413, "upload-timeout": 408,
    "media-type": 415, "request-invalid": 422, "url-refused": 422, "not-found": 404,
    "method-not-allowed": 405, "idempotency": 409, "busy": 503, "not-ready": 503, "store": 503,
    "timeout": 504, "internal": 500, "settings-invalid": 500, "server": 500,
    "value-range": 422, "array-shape": 422, "no-face": 422, "several-faces": 422,
    "face-refused": 422, "image-empty": 422, "image-damaged": 422, "image-format": 415,
    "image-too-large": 413, "person-unknown": 404, "group-unknown": 404, "sample-unknown": 404,
    "gallery-empty": 404, "person-exists": 409, "group-exists": 409, "sample-duplicate": 409,
    "space-mismatch": 409, "gallery-file": 503, "gallery-server": 503, "inference-failed": 500,
    "model-missing": 500, "gallery": 500,
}  # fmt: skip


def _every() -> dict[str, type[VultusError]]:
    found = [*vars(errors).values(), *vars(base).values()]
    kinds = [kind for kind in found if inspect.isclass(kind) and issubclass(kind, VultusError)]
    return {kind.code: kind for kind in kinds}


@pytest.mark.parametrize("code", STATUS)
def test_status(code: str):
    assert status_of(_every()[code]("x")) == STATUS[code]


def test_the_drawn_tree_is_the_real_one():
    assert errors.__doc__ is not None
    drawn = {
        word for word in errors.__doc__.split() if word.endswith("Error") and word != "ServerError"
    }
    real = {kind.__name__ for kind in _every().values() if kind.__module__ == errors.__name__}
    assert real - {"ServerError"} == drawn


def test_nothing_of_the_machine_is_told():
    path = "/srv/faces/people.vultus"
    for error in (
        base.GalleryFileError(f"the gallery {path} is locked", path=path),
        base.GalleryServerError("postgresql://h/f cannot be reached", location="postgresql://h/f"),
        base.InferenceError(f"running {path} failed"),
        base.ModelMissingError(f"{path} is absent", path=path),
        errors.StoreError(f"{path} cannot be used", location=path),
        errors.InternalError(f"{path}"),
    ):
        body = str(native_body(error, "id"))
        assert "/srv" not in body
        assert "postgresql" not in body
        assert "server" in public_message(error) or "gallery" in public_message(error)


def test_facts_of_a_callers_error_are_told():
    error = base.SeveralFacesError("two faces", actual=2, path="a.jpg")
    assert native_body(error, "id") == {
        "code": "several-faces",
        "message": "two faces; crop the picture to one person, or choose the largest face on"
        " purpose",
        "details": {"actual": 2},
        "request_id": "id",
    }


def test_headers_say_when_to_come_again():
    assert headers_of(errors.BusyError("x", retry_after_s=0.03)) == {"Retry-After": "1"}
    assert headers_of(errors.QuotaError("x", retry_after_s=60.2)) == {"Retry-After": "61"}
    assert headers_of(errors.NotReadyError("x")) == {"Retry-After": "1"}
    assert headers_of(errors.UnauthorisedError("x")) == {"WWW-Authenticate": "Bearer"}
    assert headers_of(errors.NotFoundError("x")) == {}


def test_a_kind_of_picture_this_installation_cannot_read_is_the_callers_matter():
    error = base.MissingExtraError("HEIC needs pillow-heif", extra="heic")
    assert status_of(error) == 415
    assert status_of(base.MissingExtraError("x", extra="postgres")) == 500
