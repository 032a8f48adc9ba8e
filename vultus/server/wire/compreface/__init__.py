"""The recognition, detection and verification services of CompreFace 1.2.0."""

from vultus.server.wire.compreface.routes import owns, respond, router

__all__ = ["owns", "respond", "router"]
