"""Where a PostgreSQL gallery lies: its URL taken apart, so that no password leaves this file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode

from vultus.errors import GalleryServerError

__all__ = ["SCHEMES", "PostgresPlace", "parse_postgres_url"]

SCHEMES = ("postgresql://", "postgres://")
"""How the URL of a PostgreSQL gallery begins (libpq, section 32.1.1.2)."""

_GALLERY = "vultus"
# What needs no quoting in SQL; 63 bytes is the length of a name in PostgreSQL (NAMEDATALEN).
_GALLERY_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SECRET_PARAMETERS = frozenset({"password", "sslpassword", "oauth_client_secret"})
# What helps to find the server and tells nothing about who may use it.
_OPEN_PARAMETERS = frozenset({"host", "hostaddr", "port", "dbname", "service", "sslmode"})


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A gallery in a PostgreSQL database.

    Attributes:
        conninfo: What the driver connects to; holds the password, if the URL did.
        gallery: Name of the gallery, which is that of the schema its tables lie in.
        location: The URL without user and password.
        secrets: What must never be shown.
    """

    conninfo: str = field(repr=False)
    gallery: str
    location: str
    secrets: tuple[str, ...] = field(repr=False)

    def scrubbed(self, text: str) -> str:
        """`text` without any of the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_postgres_url(url: str) -> PostgresPlace:
    """Take ``postgresql://[user[:password]@][host[:port]]/[database][?parameter=…]`` apart.

    The parameter ``gallery`` is ours, all others are handed to the driver (``sslmode``, ``host``
    for a socket's folder, ``options`` …).

    Raises:
        GalleryServerError: It is no such URL, or the gallery's name is none.
    """
    scheme, mark, rest = url.partition("://")
    if f"{scheme}{mark}" not in SCHEMES:
        raise _url_error("must begin with postgresql://")
    address, _, query = rest.partition("?")
    netloc, slash, database = address.partition("/")
    if "@" in database or "@" in query:
        # Most likely a password with a slash or a question mark; quoting any part could show it.
        raise _url_error("must have /, ? and @ within user and password written as %2F, %3F, %40")
    credentials, _, hosts = netloc.rpartition("@")
    password = credentials.partition(":")[2]
    try:
        parameters = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise _url_error("must have parameters of the form name=value") from None
    names = [value for name, value in parameters if name == "gallery"]
    gallery = names[-1] if names else _GALLERY
    if not _GALLERY_NAME.fullmatch(gallery):
        raise _url_error(
            "must name the gallery by 1 to 63 small letters, digits and underscores, not starting"
            f" with a digit or pg_; got gallery={gallery!r}"
        )
    rest_of_query = [part for part in query.split("&") if part.partition("=")[0] != "gallery"]
    conninfo = f"{scheme}://{address}" + (
        f"?{'&'.join(rest_of_query)}" if any(rest_of_query) else ""
    )
    shown = [(name, value) for name, value in parameters if name in _OPEN_PARAMETERS]
    location = f"postgresql://{hosts}{slash}{database}?"
    location += urlencode([("gallery", gallery), *shown], safe="/:,")
    return PostgresPlace(conninfo, gallery, location, _secrets(password, parameters))


def _secrets(password: str, parameters: list[tuple[str, str]]) -> tuple[str, ...]:
    found = {password, unquote(password)}
    found |= {value for name, value in parameters if name in _SECRET_PARAMETERS}
    # Longest first: one may be part of another.
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _url_error(what: str) -> GalleryServerError:
    # The URL itself is not quoted: what cannot be taken apart may hold a password anywhere.
    return GalleryServerError(
        f"the address of a PostgreSQL gallery {what}",
        remedy="write postgresql://user@host:5432/database?gallery=name",
        reason="address",
    )
