"""Face V2: its methods by path."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vultus.server.wire.baidu.call import Method
from vultus.server.wire.baidu.v2 import compare, detect, person, users

__all__ = ["METHODS"]

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "detect": Method(detect.detect),
        "match": Method(compare.match),
        "identify": Method(compare.identify),
        "verify": Method(compare.verify),
        "multi-identify": Method(compare.multi_identify),
        "faceset/user/add": Method(users.user_add, "enrol"),
        "faceset/user/update": Method(users.user_update, "enrol"),
        "faceset/user/delete": Method(users.user_delete, "delete", pixels=False),
        "faceset/user/get": Method(users.user_get, pixels=False, get=True),
        "faceset/group/getlist": Method(users.group_list, pixels=False, get=True),
        "faceset/group/getusers": Method(users.group_users, pixels=False, get=True),
        "faceset/group/adduser": Method(users.copy_to_groups, "enrol", pixels=False),
        "faceset/group/deleteuser": Method(users.delete_from_group, "delete", pixels=False),
        "person/verify": Method(person.person_verify),
        "faceverify": Method(detect.faceverify),
    }
)
"""By their path below ``/rest/2.0/face/v2/``."""
