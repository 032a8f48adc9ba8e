"""Face V3: its methods by path."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vultus.server.wire.baidu.call import Method
from vultus.server.wire.baidu.v3 import compare, detect, person, users

__all__ = ["FORBIDDEN", "METHODS"]

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "v3/detect": Method(detect.detect),
        "v3/match": Method(compare.match),
        "v3/search": Method(compare.search),
        "v3/multi-search": Method(compare.multi_search),
        "v3/faceset/user/add": Method(users.user_add, "enrol"),
        "v3/faceset/user/update": Method(users.user_update, "enrol"),
        "v3/faceset/user/get": Method(users.user_get, pixels=False, get=True),
        "v3/faceset/user/copy": Method(users.user_copy, "enrol", pixels=False),
        "v3/faceset/user/delete": Method(users.user_delete, "delete", pixels=False),
        "v3/faceset/face/delete": Method(users.face_delete, "delete", pixels=False),
        "v3/faceset/face/getlist": Method(users.face_list, pixels=False),
        "v3/faceset/group/add": Method(users.group_add, "enrol", pixels=False),
        "v3/faceset/group/delete": Method(users.group_delete, "delete", pixels=False),
        "v3/faceset/group/getlist": Method(users.group_list, pixels=False, get=True),
        "v3/faceset/group/getusers": Method(users.group_users, pixels=False, get=True),
        "v3/faceverify": Method(detect.faceverify),
        "v3/person/verify": Method(person.person_verify),
        "v3/person/idmatch": Method(person.id_match, pixels=False),
        "v1/faceliveness/sessioncode": Method(detect.unsupported, pixels=False),
        "v1/faceliveness/verify": Method(detect.unsupported, pixels=False),
    }
)
"""By their path below ``/rest/2.0/face/``."""

FORBIDDEN = frozenset(
    {
        "v1/merge",
        "v1/editattr",
        "v1/landmark",
        "v4/mingjing/verify",
        "v4/mingjing/match",
        "v4/faceverify",
        "v4/idmatch_date",
        "v4/verify_date",
        "capture/search",
        "scene/faceset/user/add",
        "scene/faceset/user/update",
        "scene/faceset/group/add",
    }
)
"""Methods that newer clients have and no application may use here: error 6."""
