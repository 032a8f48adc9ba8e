"""The local registry of ID photos: keyed hashes of numbers and names, and embeddings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import (
    Column,
    Float,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from vultus.errors import RangeError
from vultus.gallery.audit import now
from vultus.server.secrets import Secrets
from vultus.server.store.database import Store
from vultus.server.store.schema import metadata
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["FoundCard", "IdCard", "IdCards", "clean_number", "id_card"]

# GB 11643: 17 digits and a check character; 15 digits before 1999.
_NUMBER = re.compile(r"\d{15}|\d{17}[\dX]", re.ASCII)
_NAME_MAX_BYTES = 256

id_card = Table(
    "id_card",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("number", LargeBinary(32), primary_key=True),
    Column("name", LargeBinary(32), nullable=False),
    Column("space", String(512), nullable=False),
    Column("raw_norm", Float, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("imported_at", String(32), nullable=False),
)


@dataclass(frozen=True, slots=True)
class IdCard:
    """One entry on its way into the registry.

    Attributes:
        number: Of the card; see `clean_number`.
        name: Of its holder.
        embedding: The face of its photo.
    """

    number: str
    name: str
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class FoundCard:
    """What the registry knows of a number.

    Attributes:
        name_fits: Whether the name asked for is the holder's.
        embedding: The face; ``None`` where it was imported with another model.
    """

    name_fits: bool
    embedding: Embedding | None


class IdCards:
    """The registries of all tenants. Numbers and names cannot be read back.

    Args:
        store: The access data.
        secrets: The server's: numbers are few enough to be tried, so a plain hash hides nothing.
    """

    def __init__(self, store: Store, secrets: Secrets) -> None:
        self._store, self._secrets = store, secrets
        store.ensure(id_card)

    def put(self, tenant: str, cards: Sequence[IdCard]) -> None:
        """Keep cards; of a number that is known, the newer one counts.

        Raises:
            RangeError: A number is none, or a name is empty or too long.
        """
        moment = now()
        rows = {}
        for card in cards:
            number = self._number(tenant, card.number)
            rows[number] = {
                "tenant": tenant,
                "number": number,
                "name": self._name(tenant, card.number, card.name),
                "space": card.embedding.space.id,
                "raw_norm": float(card.embedding.raw_norm),
                "vector": np.ascontiguousarray(card.embedding.vector, "<f4").tobytes(),
                "imported_at": moment,
            }
        if not rows:
            return
        with self._store.writing() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            insert = dialect.insert(id_card)
            changing = ("name", "space", "raw_norm", "vector", "imported_at")
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["tenant", "number"],
                    set_={name: insert.excluded[name] for name in changing},
                ),
                list(rows.values()),
            )

    def find(self, tenant: str, number: str, name: str, space: EmbeddingSpace) -> FoundCard | None:
        """Look a number up.

        Args:
            tenant: Whose registry.
            number: Of the card.
            name: Who they say they are.
            space: What the embedding must live in to be of use.

        Raises:
            RangeError: The number is none.
        """
        query = select(id_card).where(
            id_card.c.tenant == tenant, id_card.c.number == self._number(tenant, number)
        )
        with self._store.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        fits = bytes(row.name) == self._name(tenant, number, name)
        if row.space != space.id:
            return FoundCard(fits, None)
        vector = np.frombuffer(row.vector, "<f4").astype(np.float32)
        return FoundCard(fits, Embedding(vector, space, row.raw_norm))

    def count(self, tenant: str) -> int:
        """How many cards a tenant has."""
        query = select(func.count()).select_from(id_card).where(id_card.c.tenant == tenant)
        with self._store.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def remove(self, tenant: str, number: str) -> bool:
        """Erase a card.

        Returns:
            Whether there was one.

        Raises:
            RangeError: The number is none.
        """
        query = delete(id_card).where(
            id_card.c.tenant == tenant, id_card.c.number == self._number(tenant, number)
        )
        with self._store.writing() as connection:
            return connection.execute(query).rowcount > 0

    def clear(self, tenant: str) -> int:
        """Erase all cards of a tenant.

        Returns:
            How many there were.
        """
        query = delete(id_card).where(id_card.c.tenant == tenant)
        with self._store.writing() as connection:
            return connection.execute(query).rowcount

    def _number(self, tenant: str, number: str) -> bytes:
        return self._secrets.digest("id-card-number", tenant, clean_number(number))

    def _name(self, tenant: str, number: str, name: str) -> bytes:
        clean = unicodedata.normalize("NFC", name).strip()
        if not 1 <= len(clean.encode("utf-8", "surrogatepass")) <= _NAME_MAX_BYTES:
            raise RangeError(f"a name must have 1 to {_NAME_MAX_BYTES} bytes of UTF-8")
        parts = (tenant, clean_number(number), clean.encode("utf-8", "surrogatepass"))
        return self._secrets.digest("id-card-name", *parts)


def clean_number(number: str) -> str:
    """An ID card's number as it is kept: 15 digits, or 17 and a digit or X.

    Raises:
        RangeError: It is none. The message does not repeat it.
    """
    clean = number.strip().upper()
    if not _NUMBER.fullmatch(clean):
        raise RangeError("an ID card's number must be 15 digits, or 17 and a digit or X")
    return clean
