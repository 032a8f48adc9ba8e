"""What lies in deploy/ and is written in docs/server.md names settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vultus.server.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ["deploy/Dockerfile", "deploy/compose.yaml", "deploy/vultus.service"]
NOT_SETTINGS = {"VULTUS_SERVER_SECRET", PREFIX}


@pytest.mark.parametrize("name", [*DEPLOY, "docs/server.md"])
def test_variables_are_settings(name: str):
    found = set(re.findall(r"\bVULTUS_SERVER_[A-Z_]*", (ROOT / name).read_text("utf-8")))
    assert found
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    assert found - known - NOT_SETTINGS == set()


def test_every_setting_is_described_with_its_default():
    text = (ROOT / "docs" / "server.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", text, re.MULTILINE))
    shown = {name: rows[name].strip() for name in Settings.model_fields if name in rows}
    assert list(shown) == list(Settings.model_fields)
    for name, value in Settings():
        expected = "" if value in (None, ()) else str(value).lower()
        assert shown[name].replace(",", "") == expected, name
