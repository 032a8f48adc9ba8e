from __future__ import annotations

from pathlib import Path

import pytest

from vultus.gallery.milvus.url import parse_milvus_url
from vultus.gallery.postgres.url import parse_postgres_url
from vultus.server.errors import SettingsError
from vultus.server.places import Places, slug_of

LONG = "g" * 63


def test_slugs_tell_tenants_apart_where_case_and_marks_do_not_count():
    names = ["acme", "ACME", "a.c", "a-c", "a_c", "x" * 64]
    assert len({slug_of(name) for name in names}) == len(names)
    assert slug_of("a.c") == "a_c_" + slug_of("a.c")[-8:]
    assert all(len(slug_of(name)) <= 49 for name in names)


def test_beside_a_file():
    places = Places("/srv/faces/people.vultus")
    assert places.access_file == Path("/srv/faces/people.server.db")
    assert places.secret == Path("/srv/faces/people.server.secret")
    assert places.tenant("acme_1234") == "/srv/faces/people.tenants/acme_1234.db"
    assert Places("x.db", Path("/run/secret")).secret == Path("/run/secret")


def test_in_postgresql(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path))
    places = Places("postgresql://u:p@h:5432/faces?sslmode=require&gallery=staff")
    assert places.access_schema == "staff_server"
    assert places.secret.parent == tmp_path
    assert "p@" not in places.secret.name
    own = parse_postgres_url(places.tenant("acme_12345678"))
    assert own.gallery == "staff_acme_12345678"
    assert own.conninfo == "postgresql://u:p@h:5432/faces?sslmode=require"
    assert Places("postgresql://h/faces").access_schema == "vultus_server"


def test_names_of_schemas_fit_and_differ():
    long = Places(f"postgresql://h/f?gallery={LONG}")
    slugs = [slug_of("a" * 64), slug_of("b" * 64), slug_of("a" * 63)]
    names = {parse_postgres_url(long.tenant(slug)).gallery for slug in slugs}
    names.add(long.access_schema)
    assert len(names) == 4
    assert all(len(name) <= 63 for name in names)


def test_with_milvus_the_records_tell():
    server = Places("milvus://u:p@h:19530/faces?tls=true&records=postgresql://h/f?gallery=x")
    assert server.access_schema == "x_server"
    own = parse_milvus_url(server.tenant("acme_12345678"))
    assert own.collection == "faces_acme_12345678"
    assert own.records == "postgresql://h/f?gallery=x_acme_12345678"
    lite = Places("milvus:///srv/vectors.db?collection=c&records=/srv/people.db")
    assert lite.access_file == Path("/srv/people.server.db")
    own = parse_milvus_url(lite.tenant("acme_12345678"))
    assert (own.uri, own.collection) == ("/srv/vectors.db", "c_acme_12345678")
    assert own.records == "/srv/people.tenants/acme_12345678.db"


def test_a_gallery_that_does_not_last_is_refused():
    with pytest.raises(SettingsError, match="needs a gallery that lasts"):
        Places(":memory:")
