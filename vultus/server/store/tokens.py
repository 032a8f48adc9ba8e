"""Access tokens in the form of Baidu's: signed, with an end, void once a key is rotated."""

from __future__ import annotations

import hmac
import re
import time

from vultus.server.errors import TokenExpiredError, TokenInvalidError
from vultus.server.secrets import Secrets
from vultus.server.store.keys import Application, Keys

__all__ = ["LIFETIME_S", "Tokens"]

LIFETIME_S = 2_592_000
"""Thirty days, as Baidu's tokens live (documentation of OAuth 2.0 client credentials)."""

# 24.<32 hex>.<lifetime>.<expiry, Unix time>.<application>, as real ones look.
_FORM = re.compile(r"24\.([0-9a-f]{32})\.(\d{1,10})\.(\d{1,12})\.(\d{8,20})", re.ASCII)


class Tokens:
    """Makes and reads access tokens; nothing is stored.

    Args:
        keys: Where applications are looked up.
        secrets: The server's.
    """

    def __init__(self, keys: Keys, secrets: Secrets) -> None:
        self._keys = keys
        self._secrets = secrets

    def issue(
        self, application: Application, *, lifetime_s: int = LIFETIME_S, now_s: float | None = None
    ) -> str:
        """A token for an application."""
        expiry = int(time.time() if now_s is None else now_s) + lifetime_s
        mark = self._mark(application, lifetime_s, expiry)
        return f"24.{mark}.{lifetime_s}.{expiry}.{application.app_id}"

    def application(self, token: str, *, now_s: float | None = None) -> Application:
        """Whose token this is.

        Raises:
            TokenInvalidError: Nobody's: forged, of a revoked application, or of before a rotation.
            TokenExpiredError: Its time is over.
        """
        found = _FORM.fullmatch(token)
        known = self._keys.by_app_id(found[4]) if found else None
        if found is None or known is None:
            raise TokenInvalidError("the access token must be one this server made")
        lifetime_s, expiry = int(found[2]), int(found[3])
        if not hmac.compare_digest(found[1], self._mark(known, lifetime_s, expiry)):
            raise TokenInvalidError("the access token must be one this server made")
        if expiry <= (time.time() if now_s is None else now_s):
            raise TokenExpiredError("the access token must not have expired")
        return known

    def _mark(self, known: Application, lifetime_s: int, expiry: int) -> str:
        parts = (known.app_id, str(known.generation), str(lifetime_s), str(expiry))
        return self._secrets.digest("access-token", *parts).hex()[:32]
