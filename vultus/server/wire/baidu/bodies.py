"""What a client sent, whatever its Content-Type says: a form, a JSON object or a JSON array."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl

__all__ = ["Body", "BodyError", "parse_body", "parse_query"]

_MAX_FIELDS = 256  # the longest documented call has eight
_NOTHING: Mapping[str, object] = MappingProxyType({})


class BodyError(ValueError):
    """The body is neither JSON nor a form in UTF-8."""


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body.

    Attributes:
        fields: Of a form or a JSON object; of repeated ones the last.
        items: Of a JSON array; ``None`` where none was sent.
    """

    fields: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    items: list[object] | None = None


def parse_body(data: bytes) -> Body:
    """Tell JSON from a form by the first byte that is no blank.

    Clients label forms as JSON and send nothing at all without a Content-Type, so that the header
    is worth nothing.

    Raises:
        BodyError: Not UTF-8, or what begins like JSON is none.
    """
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        return Body()
    if text[:1] not in (b"{", b"["):
        return Body(parse_query(text))
    try:
        parsed = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise BodyError("the body must be JSON") from error
    return Body(parsed) if isinstance(parsed, dict) else Body(items=parsed)


def parse_query(text: str | bytes) -> dict[str, object]:
    """The fields of a form, or of a URL's query.

    Raises:
        BodyError: Not UTF-8, or more fields than any call has.
    """
    try:
        plain = text.decode("utf-8") if isinstance(text, bytes) else text
        return dict(
            parse_qsl(
                plain.rstrip("\r\n"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        )
    except ValueError as error:
        raise BodyError("the body must be a form in UTF-8") from error


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
