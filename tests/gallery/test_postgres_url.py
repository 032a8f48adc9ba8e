"""Addresses of PostgreSQL galleries: taken apart, and shown without what is secret."""

import pytest

from vultus.errors import GalleryServerError
from vultus.gallery.postgres.url import parse_postgres_url


@pytest.mark.parametrize(
    ("url", "conninfo", "gallery", "location"),
    [
        ("postgresql://", "postgresql://", "vultus", "postgresql://?gallery=vultus"),
        (
            "postgresql://ada:secret@db.example:5433/faces?gallery=staff&sslmode=verify-full",
            "postgresql://ada:secret@db.example:5433/faces?sslmode=verify-full",
            "staff",
            "postgresql://db.example:5433/faces?gallery=staff&sslmode=verify-full",
        ),
        (
            "postgres://ada@/faces?host=/run/postgresql&gallery=x",
            "postgres://ada@/faces?host=/run/postgresql",
            "x",
            "postgresql:///faces?gallery=x&host=/run/postgresql",
        ),
        (
            "postgresql://a:1,b:2/faces?password=secret&user=ada",
            "postgresql://a:1,b:2/faces?password=secret&user=ada",
            "vultus",
            "postgresql://a:1,b:2/faces?gallery=vultus",
        ),
    ],
)
def test_parts(url: str, conninfo: str, gallery: str, location: str) -> None:
    place = parse_postgres_url(url)
    assert (place.conninfo, place.gallery, place.location) == (conninfo, gallery, location)
    assert "secret" not in repr(place)


def test_secrets_are_scrubbed_as_written_and_as_meant() -> None:
    place = parse_postgres_url("postgresql://ada:p%40ss@h/db?sslpassword=k%C3%A9y")
    said = 'no "p%40ss" and no "p@ss" and no kéy for ada'
    assert place.scrubbed(said) == 'no "***" and no "***" and no *** for ada'
    assert parse_postgres_url("postgresql://h/db").scrubbed(said) == said


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://ada:secret@h/db", "must begin with postgresql://"),
        ("postgresql://ada:sec/ret@h/db", "written as %2F, %3F, %40"),
        ("postgresql://ada:sec?ret@h/db", "written as %2F, %3F, %40"),
        ("postgresql://ada:secret@h/db?gallery", "name=value"),
        ("postgresql://ada:secret@h/db?gallery=", "got gallery=''"),
        ("postgresql://ada:secret@h/db?gallery=Staff", "got gallery='Staff'"),
        ("postgresql://ada:secret@h/db?gallery=pg_x", "got gallery='pg_x'"),
        ("postgresql://ada:secret@h/db?gallery=a%22b", "got gallery='a\"b'"),
        (f"postgresql://ada:secret@h/db?gallery={'x' * 64}", "1 to 63 small letters"),
    ],
)
def test_what_is_no_address(url: str, message: str) -> None:
    with pytest.raises(GalleryServerError, match=message) as caught:
        parse_postgres_url(url)
    assert caught.value.fields == {"reason": "address"}
    assert "sec" not in str(caught.value)
