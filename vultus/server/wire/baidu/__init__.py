"""Baidu AIP on the wire: Face V2 and V3, OAuth tokens, signed requests; see docs/baidu.md."""

from vultus.server.wire.baidu.gateway import owns, respond, router

__all__ = ["owns", "respond", "router"]
