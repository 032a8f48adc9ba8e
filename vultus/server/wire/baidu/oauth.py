"""The token endpoint: an application's keys for an access token of thirty days."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping

from vultus.server.service import Service
from vultus.server.store.tokens import LIFETIME_S

__all__ = ["ANONYMOUS_ENDING", "SCOPE", "failure", "token_reply"]

SCOPE = "public brain_all_scope vis-faceverify_faceverify_v2 vis-faceverify_faceverify_v3"
"""One text, words separated by blanks; clients look for ``brain_all_scope`` in it."""

ANONYMOUS_ENDING = ".00000000"
"""How a token ends that stands for nobody; counts only where nobody needs a key."""


def token_reply(service: Service, fields: Mapping[str, object]) -> dict[str, object]:
    """The reply for `grant_type`, `client_id` (the access key) and `client_secret`."""
    grant = str(fields.get("grant_type") or "")
    if grant != "client_credentials":
        described = "The authorization grant type is not supported"
        return failure("unsupported_grant_type" if grant else "invalid_request", described)
    known = service.keys.by_ak(str(fields.get("client_id") or "").strip())
    if known is None:
        if service.settings.anonymous:
            expiry = int(time.time()) + LIFETIME_S
            return _granted(f"24.{'0' * 32}.{LIFETIME_S}.{expiry}{ANONYMOUS_ENDING}")
        return failure("invalid_client", "unknown client id")
    secret = str(fields.get("client_secret") or "").strip()
    if not hmac.compare_digest(service.keys.sk_of(known).encode(), secret.encode("utf-8")):
        return failure("invalid_client", "Client authentication failed")
    return _granted(service.tokens.issue(known))


def failure(error: str, described: str) -> dict[str, object]:
    """How OAuth tells an error (RFC 6749, section 5.2)."""
    return {"error": error, "error_description": described}


def _granted(token: str) -> dict[str, object]:
    return {
        "access_token": token,
        "expires_in": LIFETIME_S,
        "scope": SCOPE,
        # Nobody uses these; clients in other languages may look for the keys.
        "refresh_token": f"25.{secrets.token_hex(16)}.0.0.0",
        "session_key": "",
        "session_secret": "",
    }
