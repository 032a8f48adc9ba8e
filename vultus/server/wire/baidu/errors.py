"""Baidu's error codes and messages, and which of them stands for an error of ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from vultus import errors as base
from vultus.errors import VultusError
from vultus.server import errors as server

__all__ = ["GATEWAY", "V2", "V3", "BaiduError", "Dialect", "gateway", "translated", "v2", "v3"]

Dialect: TypeAlias = Literal["v2", "v3"]
"""Which generation of the interface is spoken."""

GATEWAY: Mapping[int, str] = MappingProxyType(
    {
        1: "Unknown error",
        2: "Service temporarily unavailable",
        3: "Unsupported openapi method",
        4: "Open api request limit reached",
        6: "No permission to access data",
        13: "Get service token failed",
        14: "IAM Certification failed",
        15: "app not exsits or create failed",
        17: "Open api daily request limit reached",
        18: "Open api qps request limit reached",
        19: "Open api total request limit reached",
        100: "Invalid parameter",
        110: "Access token invalid or no longer valid",
        111: "Access token expired",
    }
)
"""Errors of the gateway, told in the short form. Clients compare the texts: spelled as theirs."""

V2: Mapping[int, str] = MappingProxyType(
    {
        216100: "invalid param",
        216101: "not enough param",
        216102: "service not support",
        216103: "param too long",
        216111: "invalid userid",
        216200: "empty image",
        216201: "image format error",
        216202: "image size error",
        216300: "db error",
        216400: "backend error",
        216401: "internal error",
        216402: "face not found",
        216611: "user not exist",
        216612: "user not exist",
        216614: "not enough images",
        216615: "fail to process images",
        216616: "image existed",
        216618: "no user in group",
        216619: "user must be in one group at least",
    }
)
"""Errors of Face V2."""

V3: Mapping[int, str] = MappingProxyType(
    {
        216100: "invalid param",
        216102: "service not support",
        222001: "param[] is null",
        222002: "param[start] format error",
        222003: "param[length] format error",
        222005: "param[group_id_list] format error",
        222006: "group_id format error",
        222010: "user_info format error",
        222013: "param[image] format error",
        222015: "param[image_type] format error",
        222016: "param[max_face_num] format error",
        222017: "param[face_field] format error",
        222018: "param[user_id] format error",
        222019: "param[quality_control] format error",
        222020: "param[liveness_control] format error",
        222021: "param[max_user_num] format error",
        222022: "param[id_card_number] format error",
        222023: "param[name] format error",
        222024: "param[face_type] format error",
        222025: "param[face_token] format error",
        222030: "param[match_threshold] format error",
        222039: "param[face_sort_type] format error",
        222200: "request body should be json format",
        222202: "pic not has face",
        222203: "image check fail",
        222204: "image_url_download_fail",
        222207: "match user is not found",
        222208: "the number of image is incorrect",
        222209: "face token not exist",
        222302: "system error",
        222304: "image size is too large",
        222351: "id number and name not match or id number not exist",
        222352: "name format error",
        222353: "id number format error",
        222355: "police picture not exist",
        223100: "group is not exist",
        223101: "group is already exist",
        223103: "user is not exist",
        223104: "group_list is too large",
        223105: "face is already exist",
        223106: "face is not exist",
        223111: "dst group is not exist",
        223113: "face is covered",
        223114: "face is fuzzy",
        223115: "face light is not good",
        223116: "incomplete face",
        223118: "quality control error",
        223120: "liveness check fail",
        223121: "left eye is occlusion",
        223122: "right eye is occlusion",
        223123: "left cheek is occlusion",
        223124: "right cheek is occlusion",
        223125: "chin contour is occlusion",
        223126: "nose is occlusion",
        223127: "mouth is occlusion",
        223129: "face not forward",
        223130: "param[spoofing_control] format error",
    }
)
"""Errors of Face V3."""


class BaiduError(server.ServerError):
    """A request that is answered with one of Baidu's codes.

    Args:
        number: The code.
        message: The text that belongs to it.
        short: Told by the gateway: `error_code` and `error_msg` and nothing else.
    """

    code = "baidu"

    def __init__(self, number: int, message: str, *, short: bool = False) -> None:
        super().__init__(message, number=number)
        self.number = number
        self.short = short


def gateway(number: int) -> BaiduError:
    """An error of the gateway."""
    return BaiduError(number, GATEWAY[number], short=True)


def v2(number: int, message: str | None = None) -> BaiduError:
    """An error of Face V2; some codes have a second text."""
    return BaiduError(number, V2[number] if message is None else message)


def v3(number: int, message: str | None = None) -> BaiduError:
    """An error of Face V3; some codes have a second text."""
    return BaiduError(number, V3[number] if message is None else message)


# The first class an error belongs to decides: (class, V2, V3).
_GATEWAY_OF: tuple[tuple[type[VultusError], int], ...] = (
    (server.TokenExpiredError, 111),
    (server.UnauthorisedError, 110),
    (server.ForbiddenError, 6),
    (server.RateLimitError, 18),
    (server.QuotaError, 17),
    (server.BusyError, 2),
    (server.NotReadyError, 2),
    (server.JobTimeoutError, 2),
    (server.UploadTimeoutError, 2),
)
_CODES_OF: tuple[tuple[type[VultusError], int, int], ...] = (
    (server.BodyTooLargeError, 216202, 222304),
    (server.UrlRefusedError, 216100, 222204),
    (base.ImageEmptyError, 216200, 222203),
    (base.ImageTooLargeError, 216202, 222304),
    (base.ImageError, 216201, 222203),
    (base.NoFaceError, 216402, 222202),
    (base.DegenerateLandmarksError, 216402, 222202),
    (base.RefusedFaceError, 216615, 223118),
    (base.DuplicateSampleError, 216616, 223105),
    (base.UnknownPersonError, 216612, 223103),
    (base.UnknownGroupError, 216618, 223100),
    (base.GroupExistsError, 216100, 223101),
    (base.InputError, 216100, 216100),
    (base.GalleryError, 216300, 222302),
    (base.SpaceMismatchError, 216400, 222302),
)
_INTERNAL: Mapping[Dialect, int] = MappingProxyType({"v2": 216401, "v3": 222302})


def translated(error: BaseException, dialect: Dialect) -> BaiduError:
    """What Baidu would say; for what is no error of ours, an internal error."""
    if isinstance(error, BaiduError):
        return error
    for kind, number in _GATEWAY_OF:
        if isinstance(error, kind):
            return gateway(number)
    for kind, in_v2, in_v3 in _CODES_OF:
        if isinstance(error, kind):
            return v2(in_v2) if dialect == "v2" else v3(in_v3)
    number = _INTERNAL[dialect]
    return v2(number) if dialect == "v2" else v3(number)
