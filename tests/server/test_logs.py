from __future__ import annotations

import json
import logging
import sys

import pytest

from vultus.server.logs import _Json, _Text, accepted_id, request_id


def _record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("vultus.server", logging.INFO, "f", 1, message, args, None)
    vars(record).update(extra)
    return record


def test_a_line_of_json_carries_the_requests_id():
    token = request_id.set("abcdefgh")
    try:
        line = json.loads(_Json().format(_record("answered %d", 7, status=200, ms=1.5)))
    finally:
        request_id.reset(token)
    assert (line["request_id"], line["message"], line["status"], line["ms"]) == (
        "abcdefgh", "answered 7", 200, 1.5,
    )  # fmt: skip
    assert line["level"] == "info"


def test_nobody_can_forge_a_line():
    assert "\n" not in _Json().format(_record("a\nlevel: error"))
    assert "\n" not in _Text().format(_record("a\r\nlevel: error"))


def test_a_trace_names_places_and_kinds_but_quotes_nothing():
    record = _record("broke")
    try:
        try:
            raise KeyError("Joe Biden")
        except KeyError as error:
            raise ValueError("secret") from error
    except ValueError:
        record.exc_info = sys.exc_info()
    for line in (_Json().format(record), _Text().format(record)):
        assert "ValueError" in line
        assert "KeyError" in line
        assert "test_a_trace_names_places" in line
        assert "secret" not in line
        assert "Biden" not in line


@pytest.mark.parametrize(
    ("given", "taken"),
    [("abcdefgh", True), ("A-1_2.3-xyz", True), ("short", False), ("x" * 65, False),
     ("a b c d e f", False), ("abcdefgh\n", False), (None, False)],
)  # fmt: skip
def test_only_harmless_ids_are_taken_over(given: str | None, taken: bool):
    assert (accepted_id(given) == given) is taken
    assert len(accepted_id(given)) >= 8
