"""Where things lie: access data, the secret and each tenant's gallery, told by the main gallery."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import platformdirs

from vultus.gallery.milvus.url import SCHEME as MILVUS_SCHEME
from vultus.gallery.postgres.url import SCHEMES as POSTGRES_SCHEMES
from vultus.gallery.postgres.url import parse_postgres_url
from vultus.server.errors import SettingsError

__all__ = ["Places", "slug_of"]

_LONGEST_SCHEMA = 63  # bytes of a name in PostgreSQL (NAMEDATALEN)
_HASH_DIGITS = 8


@dataclass(frozen=True)
class Places:
    """What lies where.

    Attributes:
        gallery: Path or URL of the main gallery.
        secret_file: Where the secret is to lie, if not in its usual place.
    """

    gallery: str
    secret_file: Path | None = None

    def __post_init__(self) -> None:
        if self.gallery == ":memory:":
            raise SettingsError(
                "the server needs a gallery that lasts, not ':memory:'",
                remedy="name a file, people.vultus say, or the URL of a database",
            )

    @property
    def records(self) -> str:
        """Path or URL of the main gallery's records: Milvus keeps them elsewhere."""
        if self.gallery.startswith(MILVUS_SCHEME):
            return _milvus_parts(self.gallery)[1]
        return self.gallery

    @property
    def on_postgres(self) -> bool:
        """Whether access data lie in PostgreSQL."""
        return self.records.startswith(POSTGRES_SCHEMES)

    @property
    def access_file(self) -> Path:
        """The SQLite file of the access data, beside the gallery."""
        path = Path(self.records)
        return path.with_name(f"{path.stem}.server.db")

    @property
    def access_schema(self) -> str:
        """The PostgreSQL schema of the access data: one for each main gallery of a database."""
        return _fitting(parse_postgres_url(self.records).gallery, "server")

    @property
    def secret(self) -> Path:
        """The file of the server's secret."""
        if self.secret_file is not None:
            return self.secret_file
        if not self.on_postgres:
            path = Path(self.records)
            return path.with_name(f"{path.stem}.server.secret")
        home = os.environ.get("VULTUS_HOME", "").strip()
        folder = Path(home) if home else Path(platformdirs.user_data_dir("vultus"))
        place = hashlib.sha256(parse_postgres_url(self.records).location.encode()).hexdigest()
        return folder / f"server-{place[:16]}.secret"

    def tenant(self, slug: str) -> str:
        """Path or URL of the gallery of a tenant that does not own the main one."""
        if self.gallery.startswith(MILVUS_SCHEME):
            return _milvus_tenant(self.gallery, slug)
        return _records_tenant(self.gallery, slug)


def slug_of(tenant: str) -> str:
    """A name for files and schemas that tells tenants apart where case and marks do not count."""
    plain = re.sub(r"[^a-z0-9]", "_", tenant.lower())
    digest = hashlib.sha256(tenant.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{plain[:40]}_{digest}"


def _records_tenant(source: str, slug: str) -> str:
    if not source.startswith(POSTGRES_SCHEMES):
        path = Path(source)
        return str(path.with_name(f"{path.stem}.tenants") / f"{slug}.db")
    name = _fitting(parse_postgres_url(source).gallery, slug)
    address, _, query = source.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] != "gallery"]
    return f"{address}?{'&'.join([*kept, f'gallery={name}'])}"


def _fitting(gallery: str, ending: str) -> str:
    """``gallery_ending``, the middle cut where a schema's name would be too long."""
    room = _LONGEST_SCHEMA - 1 - len(gallery)
    if len(ending) <= room:
        return f"{gallery}_{ending}"
    tail = ending[-(_HASH_DIGITS + 1) :]
    short = hashlib.sha256(gallery.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{gallery[:24]}_{short}_{ending[: 20 - len(tail)]}{tail}"[:_LONGEST_SCHEMA]


def _milvus_parts(url: str) -> tuple[str, str]:
    """What comes before ``records=``, and the records."""
    before, _, records = url.partition("records=")
    return before, records if "://" in records else unquote(records)


def _milvus_tenant(url: str, slug: str) -> str:
    before, records = _milvus_parts(url)
    address, _, query = before.partition("?")
    host, _, path = address.removeprefix(MILVUS_SCHEME).partition("/")
    own = _records_tenant(records, slug)
    own = own if "://" in own else quote(own)
    parts = [part for part in query.split("&") if part]
    if host.rpartition("@")[2]:  # a server: the path names the collection
        address = f"{MILVUS_SCHEME}{host}/{path or 'vultus'}_{slug}"
    else:
        given = [p.partition("=")[2] for p in parts if p.startswith("collection=")]
        parts = [p for p in parts if not p.startswith("collection=")]
        parts.append(f"collection={given[-1] if given else 'vultus'}_{slug}")
    return f"{address}?{'&'.join([*parts, f'records={own}'])}"
