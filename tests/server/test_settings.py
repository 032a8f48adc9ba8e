from __future__ import annotations

from pathlib import Path

import pytest

from vultus.server.errors import SettingsError
from vultus.server.settings import Settings, is_loopback, load_settings, threshold_of


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path):
    config = tmp_path / "server.toml"
    config.write_text('host = "127.0.0.2"\nport = 1\ngallery = "a.vultus"\nmirror = false\n')
    environment = {
        "VULTUS_SERVER_PORT": "2",
        "VULTUS_SERVER_GALLERY": "b.vultus",
        "VULTUS_SERVER_CORS_ORIGINS": "https://a.example, https://b.example",
        "VULTUS_SERVER_SECRET": "not a setting",
        "OTHER": "x",
    }
    found = load_settings(config, environment, {"gallery": "c.vultus", "workers": None})
    assert (found.host, found.port, found.gallery, found.mirror, found.workers) == (
        "127.0.0.2", 2, "c.vultus", False, 1,
    )  # fmt: skip
    assert found.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "colour: Extra inputs are not permitted"),
        ({"port": 70000}, "port: Input should be less than or equal to 65535"),
        (
            {"anonymous": True, "host": "0.0.0.0"},  # noqa: S104
            "anonymous serves loopback addresses only (127.0.0.1, ::1), not 0.0.0.0",
        ),
        ({"tls_cert": "a.pem"}, "tls_cert and tls_key belong together"),
        (
            {"cors_origins": ["*"]},
            "cors_origins must name origins, '*' would admit every site",
        ),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(values: dict[str, object], message: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(None, {}, values)
    assert caught.value.message == message


def test_a_variable_nobody_knows_is_refused():
    with pytest.raises(SettingsError, match="prot: Extra inputs"):
        load_settings(None, {"VULTUS_SERVER_PROT": "1"})


def test_a_file_that_is_no_toml_is_told(tmp_path: Path):
    config = tmp_path / "server.toml"
    config.write_text("port 1")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(config, {})
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "absent.toml", {})


def test_loopback_is_told_by_name_and_number():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))  # noqa: S104


def test_threads_are_shared_among_workers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vultus.server.settings.default_threads", lambda: 8)
    assert Settings(workers=3).worker_threads == 2
    assert Settings(workers=99).worker_threads == 1
    assert Settings(threads=5).worker_threads == 5
    assert Settings(threads=5).queue_length == 40
    assert Settings(threads=5, queue_size=7).queue_length == 7


def test_a_threshold_is_a_policy_or_a_number():
    assert threshold_of(Settings().threshold) == "fmr=5e-3"
    assert threshold_of(load_settings(None, {"VULTUS_SERVER_THRESHOLD": "0.93"}).threshold) == 0.93
    assert threshold_of(Settings(threshold=0.93).threshold) == 0.93
