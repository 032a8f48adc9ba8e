from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from vultus.errors import RangeError
from vultus.gallery import acting_as
from vultus.server.errors import NotFoundError, SettingsError, TokenExpiredError, TokenInvalidError
from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import Keys, Store, Tokens, keys, open_store

SECRETS = Secrets(b"s" * 32)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, gallery_path: Path) -> Iterator[Store]:
    source = str(gallery_path)
    if request.param == "postgres":
        source = request.getfixturevalue("postgres_source")
    made = open_store(Places(source), SECRETS)
    yield made
    made.close()


def test_a_new_application_is_found_by_each_of_its_names(store: Store):
    known = Keys(store, SECRETS)
    made = known.create("acme", {"read", "enrol"}, "gate 4", rate_per_s=2.5, daily=100)
    assert str(uuid.UUID(made.api_key)) == made.api_key
    assert re.fullmatch(r"\d{8}", made.app_id)
    assert re.fullmatch(r"[0-9a-f]{32}", made.ak)
    assert re.fullmatch(r"[0-9a-f]{32}", made.sk)
    (listed,) = known.list()
    assert (listed.tenant, listed.name, listed.scopes) == ("acme", "gate 4", {"read", "enrol"})
    assert (listed.rate_per_s, listed.daily, listed.revoked) == (2.5, 100, False)
    assert known.by_api_key(made.api_key) == listed
    assert known.by_ak(made.ak) == listed
    assert known.by_app_id(made.app_id) == listed
    assert known.sk_of(listed) == made.sk


def test_nobodys_keys_are_nobodys(store: Store):
    known = Keys(store, SECRETS)
    made = known.create("acme", {"read"})
    assert known.by_api_key(str(uuid.uuid4())) is None
    assert known.by_api_key("") is None
    assert known.by_api_key(made.api_key.upper()) is None
    assert known.by_ak("0" * 32) is None
    assert known.by_app_id("1") is None


def test_admin_brings_every_scope_and_unknown_ones_are_refused(store: Store):
    known = Keys(store, SECRETS)
    known.create("acme", {"admin"})
    assert known.list()[0].scopes == {"read", "enrol", "delete", "admin"}
    with pytest.raises(RangeError, match="scopes must be some of read, enrol, delete, admin, got"):
        known.create("acme", {"write"})
    with pytest.raises(RangeError, match="got none"):
        known.create("acme", set())
    for bad in ("", "a" * 65, "a/b", "../x", "a b", "é"):
        with pytest.raises(RangeError, match="a tenant's name must be"):
            known.create(bad, {"read"})


def test_rotation_ends_the_old_key_secret_and_tokens_at_once(store: Store):
    known = Keys(store, SECRETS)
    tokens = Tokens(known, SECRETS)
    old = known.create("acme", {"read"})
    application = known.by_api_key(old.api_key)
    assert application is not None
    token = tokens.issue(application)
    new = known.rotate(old.app_id)
    assert (new.app_id, new.ak) == (old.app_id, old.ak)
    assert new.api_key != old.api_key
    assert new.sk != old.sk
    assert known.by_api_key(old.api_key) is None
    assert known.by_api_key(new.api_key) == known.list()[0]
    with pytest.raises(TokenInvalidError):
        tokens.application(token)


def test_a_revoked_application_is_shut_out_by_every_name(store: Store):
    known = Keys(store, SECRETS)
    made = known.create("acme", {"read"})
    found = known.by_api_key(made.api_key)
    assert found is not None
    token = Tokens(known, SECRETS).issue(found)
    known.revoke(made.app_id)
    assert known.by_api_key(made.api_key) is None
    assert known.by_ak(made.ak) is None
    with pytest.raises(TokenInvalidError):
        Tokens(known, SECRETS).application(token)
    with pytest.raises(NotFoundError):
        known.rotate(made.app_id)
    assert known.list()[0].revoked
    with pytest.raises(NotFoundError, match="no application '1'"):
        known.revoke("1")


def test_another_process_learns_of_a_revocation(store: Store, monkeypatch: pytest.MonkeyPatch):
    here, there = Keys(store, SECRETS), Keys(store, SECRETS)
    made = here.create("acme", {"read"})
    clock = [100.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: clock[0])
    assert there.by_api_key(made.api_key) is not None
    assert there.remembered(made.api_key) is not None
    here.revoke(made.app_id)
    clock[0] += 2.1
    assert there.remembered(made.api_key) is None
    assert there.by_api_key(made.api_key) is None


def test_the_slow_hash_is_computed_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    known = Keys(store, SECRETS)
    made = known.create("acme", {"read"})
    count, clock = [0], [100.0]
    slow = keys._scrypt

    def counted(key: str, salt: bytes) -> bytes:
        count[0] += 1
        return slow(key, salt)

    monkeypatch.setattr(keys, "_scrypt", counted)
    monkeypatch.setattr(keys.time, "monotonic", lambda: clock[0])
    for _ in range(5):
        assert known.by_api_key(made.api_key) is not None
        clock[0] += 10
    known.by_api_key(str(uuid.uuid4()))
    assert count == [1]


def test_the_first_tenant_owns_the_main_gallery(store: Store):
    known = Keys(store, SECRETS)
    assert known.main_tenant() is None
    for name in ("first", "second", "first"):
        known.create(name, {"read"})
    assert known.main_tenant() == "first"
    assert known.tenant_slug("first") is None
    assert str(known.tenant_slug("second")).startswith("second_")
    with pytest.raises(NotFoundError):
        known.tenant_slug("third")


def test_who_managed_keys_is_written_down(store: Store):
    known = Keys(store, SECRETS)
    with acting_as("cli:anna"):
        made = known.create("acme", {"read"})
        known.rotate(made.app_id)
        known.revoke(made.app_id)
    rows = list(known.events())
    assert [(row["actor"], row["action"], row["app_id"]) for row in rows] == [
        ("cli:anna", "tenant.create", None),
        ("cli:anna", "key.create", made.app_id),
        ("cli:anna", "key.rotate", made.app_id),
        ("cli:anna", "key.revoke", made.app_id),
    ]
    assert rows[1]["detail"] == {"scopes": ["read"]}
    assert list(known.events("other")) == []


def test_no_key_can_be_read_from_the_file(gallery_path: Path):
    made_store = open_store(Places(str(gallery_path)), SECRETS)
    made = Keys(made_store, SECRETS).create("acme", {"read"})
    made_store.close()
    path = gallery_path.with_name("people.server.db")
    assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(path) as connection:
        written = "\n".join(connection.iterdump())
    connection.close()
    assert made.ak in written
    for secret in (made.api_key, made.api_key.encode().hex(), made.sk):
        assert secret not in written


def test_access_data_of_another_secret_are_refused(gallery_path: Path):
    open_store(Places(str(gallery_path)), SECRETS).close()
    with pytest.raises(SettingsError, match="made with another secret"):
        open_store(Places(str(gallery_path)), Secrets(b"t" * 32))


# -- tokens ---------------------------------------------------------------------------------------


def test_a_token_looks_like_baidus_and_names_its_application(store: Store):
    known = Keys(store, SECRETS)
    made = known.create("acme", {"read"})
    found = known.list()[0]
    tokens = Tokens(known, SECRETS)
    token = tokens.issue(found, now_s=1_000_000.5)
    assert re.fullmatch(rf"24\.[0-9a-f]{{32}}\.2592000\.3592000\.{made.app_id}", token)
    assert tokens.application(token, now_s=3_591_999) == found
    with pytest.raises(TokenExpiredError):
        tokens.application(token, now_s=3_592_000)


def test_no_part_of_a_token_can_be_changed(store: Store):
    known = Keys(store, SECRETS)
    known.create("acme", {"read"})
    known.create("other", {"read"})
    first, second = known.list()
    tokens = Tokens(known, SECRETS)
    token = tokens.issue(first, now_s=1000)
    head, mark, lifetime, expiry, app_id = token.split(".")
    forged = [
        ".".join(parts)
        for parts in (
            (head, "0" * 32, lifetime, expiry, app_id),
            (head, mark, lifetime, str(int(expiry) + 1), app_id),
            (head, mark, "9999999", expiry, app_id),
            (head, mark, lifetime, expiry, second.app_id),
            (head, mark, lifetime, expiry, "99999999"),
            ("25", mark, lifetime, expiry, app_id),
        )
    ]
    for text in [*forged, "", token + ".", token[:-1], "é" * 40]:
        with pytest.raises(TokenInvalidError):
            tokens.application(text, now_s=1000)
