"""Where a Milvus gallery lies: its URL taken apart, so that no token leaves this file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from vultus.errors import GalleryServerError

__all__ = ["SCHEME", "MilvusPlace", "parse_milvus_url"]

SCHEME = "milvus://"
"""How the URL of a Milvus gallery begins."""

_COLLECTION = "vultus"
# Letters, digits, underscores, at most 255 (Milvus, "Limits"); the rest is for our own suffix.
_COLLECTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_LITE_NAME = re.compile(r"[A-Za-z0-9.\-_]{1,36}")  # what Milvus Lite takes for a file's name
_PARAMETERS = frozenset({"records", "collection", "token", "tls", "database"})
_FORMS = (
    "write milvus://host:19530/collection?records=people.db,"
    " or milvus:///folder/vectors.db?records=people.db"
)


@dataclass(frozen=True, slots=True)
class MilvusPlace:
    """A gallery whose vectors are searched by Milvus.

    Attributes:
        uri: What the driver connects to: ``http(s)://host:port``, or the path of a Lite file.
        lite: Whether it is a file, searched by a Milvus of this process's own.
        collection: What the names of its collections begin with.
        records: Path or URL of the gallery that holds the truth.
        location: The address without user and token, and without the records.
        token: ``user:password`` or an API key; empty for none.
        database: Of the Milvus server; empty for its default one.
        secrets: What must never be shown.
    """

    uri: str
    lite: bool
    collection: str
    records: str = field(repr=False)
    location: str
    token: str = field(repr=False)
    database: str
    secrets: tuple[str, ...] = field(repr=False)

    def scrubbed(self, text: str) -> str:
        """`text` without any of the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def parse_milvus_url(url: str) -> MilvusPlace:
    """Take a URL apart.

    ``milvus://[user:password@]host[:port]/COLLECTION?records=…`` is a server,
    ``milvus:///PATH.db?records=…`` a file of Milvus Lite. Further parameters: ``collection`` (for
    a file), ``token``, ``tls=true``, ``database``. `records` comes last and reaches to the end.

    Raises:
        GalleryServerError: It is no such URL.
    """
    if not url.startswith(SCHEME):
        raise _url_error("must begin with milvus://")
    address, _, query = url.removeprefix(SCHEME).partition("?")
    parameters, records = _parameters(query)
    netloc, _, path = address.partition("/")
    if "@" in path:  # most likely a password with a slash; quoting any part could show it
        raise _url_error("must have / and @ within user and password written as %2F, %40")
    credentials, _, host = netloc.rpartition("@")
    token = parameters.get("token", "") or unquote(credentials)
    lite = not host
    collection = parameters.get("collection", "") or ("" if lite else unquote(path)) or _COLLECTION
    if not _COLLECTION_NAME.fullmatch(collection):
        raise _url_error(
            "must name the collection by letters, digits and underscores, at most 200, got"
            f" {collection!r}"
        )
    if lite:
        uri = _lite_path(unquote(path))
    else:
        tls = parameters.get("tls", "false") == "true"
        uri = f"{'https' if tls else 'http'}://{host}" + ("" if _has_port(host) else ":19530")
    return MilvusPlace(
        uri=uri,
        lite=lite,
        collection=collection,
        records=records,
        location=f"{SCHEME}{host}/{path if lite else collection}",
        token=token,
        database=parameters.get("database", ""),
        secrets=_secrets(credentials, token),
    )


def _secrets(credentials: str, token: str) -> tuple[str, ...]:
    """Both as written and as meant, whole and the password alone; longest first."""
    found = {credentials, unquote(credentials), token}
    found |= {text.partition(":")[2] for text in found}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def _parameters(query: str) -> tuple[dict[str, str], str]:
    """The parameters but `records`, and that one."""
    # What follows `records=` may be a URL with parameters of its own.
    before, mark, records = query.partition("records=")
    if not mark or (before and not before.endswith("&")):
        raise _url_error("must say where the records lie: ?records=people.db")
    if "://" not in records:
        records = unquote(records)
    try:
        parameters = dict(parse_qsl(before.rstrip("&"), strict_parsing=bool(before)))
    except ValueError:
        raise _url_error("must have parameters of the form name=value") from None
    unknown = sorted(set(parameters) - _PARAMETERS)
    if unknown or not records:
        raise _url_error(f"must have known parameters only, got {unknown or 'records='}")
    return parameters, records


def _lite_path(path: str) -> str:
    file = Path(f"/{path}")
    if file.suffix != ".db" or not _LITE_NAME.fullmatch(file.name):
        raise _url_error(
            "must name a file ending in .db, of at most 36 letters, digits, dots, dashes and"
            f" underscores, got {file.name!r}"
        )
    return str(file)


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit() and not host.endswith("]")


def _url_error(what: str) -> GalleryServerError:
    return GalleryServerError(
        f"the address of a Milvus gallery {what}", remedy=_FORMS, reason="address"
    )
