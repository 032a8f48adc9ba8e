from __future__ import annotations

import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vultus.server.errors import SettingsError
from vultus.server.secrets import Secrets, load_secrets


def test_keys_are_hkdf_expansions_of_their_label():
    expected = hmac.new(b"s" * 32, b"vultus/crops\x01", hashlib.sha256).digest()
    assert Secrets(b"s" * 32).key("crops") == expected
    assert Secrets(b"s" * 32).key("crop") != expected
    assert Secrets(b"t" * 32).key("crops") != expected


def test_parts_cannot_be_shifted():
    secrets = Secrets(b"s" * 32)
    assert secrets.digest("x", "ab", "c") != secrets.digest("x", "a", "bc")
    assert secrets.digest("x", "ab") == secrets.digest("x", b"ab")


def test_a_missing_file_is_made_for_its_owner_only_and_read_again(tmp_path: Path):
    path = tmp_path / "deep" / "people.server.secret"
    with pytest.raises(SettingsError, match="cannot be read or made: No such file"):
        load_secrets(path)
    first = load_secrets(path, make_folder=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().strip()) == 64
    assert load_secrets(path).key("a") == first.key("a")
    assert sorted(p.name for p in path.parent.iterdir()) == ["people.server.secret"]


def test_many_that_make_it_at_once_agree(tmp_path: Path):
    path = tmp_path / "secret"
    with ThreadPoolExecutor(8) as pool:
        found = {pool.submit(load_secrets, path).result().fingerprint for _ in range(16)}
    assert len(found) == 1


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VULTUS_SERVER_SECRET", "e" * 32)
    assert load_secrets(tmp_path / "secret").key("a") == Secrets(b"e" * 32).key("a")
    assert not (tmp_path / "secret").exists()
    monkeypatch.setenv("VULTUS_SERVER_SECRET", "short")
    with pytest.raises(SettingsError, match="at least 32 characters, got 5"):
        load_secrets(tmp_path / "secret")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_file_that_others_may_read_is_refused(tmp_path: Path):
    path = tmp_path / "secret"
    load_secrets(path)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="readable by its owner only"):
        load_secrets(path)


def test_half_a_secret_is_refused(tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text("abc\n")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="at least 32 characters"):
        load_secrets(path)
