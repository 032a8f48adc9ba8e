from __future__ import annotations

import pytest

from vultus import errors as base
from vultus.server import errors as server
from vultus.server.wire.baidu.errors import GATEWAY, V2, V3, gateway, translated, v2, v3


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (server.TokenExpiredError("x"), 111),
        (server.TokenInvalidError("x"), 110),
        (server.UnauthorisedError("x"), 110),
        (server.ForbiddenError("x"), 6),
        (server.RateLimitError("x"), 18),
        (server.QuotaError("x"), 17),
        (server.BusyError("x"), 2),
        (server.JobTimeoutError("x"), 2),
        (server.NotReadyError("x"), 2),
        (server.UploadTimeoutError("x"), 2),
    ],
)
def test_the_gateways(error: base.VultusError, number: int):
    for dialect in ("v2", "v3"):
        told = translated(error, dialect)  # type: ignore[arg-type]
        assert (told.number, told.message, told.short) == (number, GATEWAY[number], True)


@pytest.mark.parametrize(
    ("error", "in_v2", "in_v3"),
    [
        (server.BodyTooLargeError("x"), 216202, 222304),
        (server.UrlRefusedError("x"), 216100, 222204),
        (base.ImageEmptyError("x"), 216200, 222203),
        (base.ImageTooLargeError("x"), 216202, 222304),
        (base.ImageFormatError("x"), 216201, 222203),
        (base.ImageDamagedError("x"), 216201, 222203),
        (base.NoFaceError("x"), 216402, 222202),
        (base.RefusedFaceError("x"), 216615, 223118),
        (base.DuplicateSampleError("x"), 216616, 223105),
        (base.UnknownPersonError("x"), 216612, 223103),
        (base.UnknownGroupError("x"), 216618, 223100),
        (base.GroupExistsError("x"), 216100, 223101),
        (base.RangeError("x"), 216100, 216100),
        (base.GalleryServerError("x"), 216300, 222302),
        (base.SpaceMismatchError("x"), 216400, 222302),
        (base.InferenceError("x"), 216401, 222302),
        (server.InternalError("x"), 216401, 222302),
        (RuntimeError("x"), 216401, 222302),
    ],
)
def test_the_methods(error: Exception, in_v2: int, in_v3: int):
    told = translated(error, "v2")
    assert (told.number, told.message, told.short) == (in_v2, V2[in_v2], False)
    told = translated(error, "v3")
    assert (told.number, told.message, told.short) == (in_v3, V3[in_v3], False)


def test_what_is_told_already_stays():
    error = v3(216100, "already add")
    assert translated(error, "v2") is error
    assert (v2(216616).message, gateway(15).message) == (
        "image existed",
        "app not exsits or create failed",
    )
