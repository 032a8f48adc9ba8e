"""The PostgreSQL gallery as a store: opening, sharing, failing, erasing."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from vultus.errors import (
    DuplicateSampleError,
    GalleryError,
    GalleryServerError,
    MissingExtraError,
    SpaceMismatchError,
)
from vultus.gallery import Gallery, NewSample, PostgresGallery, SqliteGallery, open_gallery
from vultus.gallery._migrate import Migration, read_migrations
from vultus.types import Embedding, EmbeddingSpace

psycopg = pytest.importorskip("psycopg", reason="install psycopg: pip install 'vultus[postgres]'")

Unit = Callable[[int], Embedding]
Url = Callable[[], str]
Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def url(postgres_url: Url) -> str:
    """The address of a new gallery."""
    return postgres_url()


@pytest.fixture
def gallery(url: str) -> Iterator[PostgresGallery]:
    with PostgresGallery(url) as opened:
        yield opened


@pytest.fixture
def admin(postgres_server: Any) -> Iterator[Any]:
    """A connection that may do everything."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        yield connection


@pytest.fixture
def role(admin: Any) -> Iterator[str]:
    """A role without rights; it may log in with the password ``s3cret/word``."""
    admin.execute("CREATE ROLE ada LOGIN PASSWORD 's3cret/word'")
    yield "ada"
    for database in ("postgres", "adas"):
        with psycopg.connect(dbname=database, **admin.info.get_parameters()) if False else admin:
            break
    admin.execute("DROP OWNED BY ada CASCADE")
    admin.execute("DROP ROLE ada")


def name_of(url: str) -> str:
    return url.partition("gallery=")[2]


def reason(caught: "pytest.ExceptionInfo[GalleryServerError]") -> object:
    return caught.value.fields["reason"]
