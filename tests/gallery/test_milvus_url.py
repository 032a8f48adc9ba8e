"""Addresses of Milvus galleries: taken apart, and shown without what is secret."""

import pytest

from vultus.errors import GalleryServerError
from vultus.gallery.milvus.url import parse_milvus_url


@pytest.mark.parametrize(
    ("url", "uri", "collection", "records", "location"),
    [
        (
            "milvus://db.example:19531/faces?records=people.db",
            "http://db.example:19531",
            "faces",
            "people.db",
            "milvus://db.example:19531/faces",
        ),
        (
            "milvus://ada:s3cret@db.example?tls=true&records=a%20b.db",
            "https://db.example:19530",
            "vultus",
            "a b.db",
            "milvus://db.example/vultus",
        ),
        (
            "milvus://[::1]/faces?records=postgresql://u:p%40ss@h/db?gallery=x&sslmode=require",
            "http://[::1]:19530",
            "faces",
            "postgresql://u:p%40ss@h/db?gallery=x&sslmode=require",
            "milvus://[::1]/faces",
        ),
        (
            "milvus:///var/lib/v.db?collection=faces&records=/var/lib/people.db",
            "/var/lib/v.db",
            "faces",
            "/var/lib/people.db",
            "milvus:///var/lib/v.db",
        ),
    ],
)
def test_parts(url: str, uri: str, collection: str, records: str, location: str) -> None:
    place = parse_milvus_url(url)
    assert (place.uri, place.collection, place.records) == (uri, collection, records)
    assert place.location == location
    assert place.lite == uri.startswith("/")
    assert "s3cret" not in repr(place)


def test_tokens() -> None:
    place = parse_milvus_url("milvus://ada:p%40ss@h/x?records=a.db")
    assert place.token == "ada:p@ss"  # noqa: S105 - made up
    assert place.scrubbed("no ada:p@ss, no p@ss, no p%40ss") == "no ***, no ***, no ***"
    place = parse_milvus_url("milvus://h/x?token=k3y&database=d&records=a.db")
    assert (place.token, place.database) == ("k3y", "d")
    assert place.scrubbed("k3y?") == "***?"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h/x?records=a.db", "begin with milvus://"),
        ("milvus://ada:s3cret@h/x", "say where the records lie"),
        ("milvus://ada:s3/s3cret@h/x?records=a.db", "written as %2F, %40"),
        ("milvus://ada:s3?s3cret@h/x?records=a.db", "say where the records lie"),
        ("milvus://ada:s3cret@h/x?records=", r"got records="),
        ("milvus://ada:s3cret@h/x?tls&records=a.db", "name=value"),
        ("milvus://ada:s3cret@h/x?colour=1&records=a.db", r"got \['colour'\]"),
        ("milvus://ada:s3cret@h/x-y?records=a.db", "got 'x-y'"),
        (f"milvus://ada:s3cret@h/{'x' * 201}?records=a.db", "at most 200"),
        ("milvus:///var/lib/vectors?records=a.db", r"ending in \.db"),
        ("milvus:///var/lib/a%20b.db?records=a.db", r"got 'a b\.db'"),
        (f"milvus:///var/lib/{'x' * 34}.db?records=a.db", "at most 36"),
    ],
)
def test_what_is_no_address(url: str, message: str) -> None:
    with pytest.raises(GalleryServerError, match=message) as caught:
        parse_milvus_url(url)
    assert caught.value.fields == {"reason": "address"}
    assert "s3cret" not in str(caught.value)
