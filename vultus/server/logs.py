"""What the server writes down: one line an event, with the request's id, never about a face."""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from vultus.server.settings import Settings

__all__ = ["accepted_id", "configure_logging", "new_id", "request_id"]

request_id: ContextVar[str] = ContextVar("vultus_request_id", default="-")
"""The id of the request that is being answered."""

# Ids of other makers are taken over when they cannot break a log or a header.
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_EXTRA = ("method", "route", "status", "ms", "app_id", "bytes_in", "code", "client")


def new_id() -> str:
    """A fresh request id, 32 hex digits."""
    return uuid.uuid4().hex


def accepted_id(given: str | None) -> str:
    """A client's own request id where it is harmless, else a fresh one."""
    return given if given and _ACCEPTED.fullmatch(given) else new_id()


class _Json(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": getattr(record, "request_id", None) or request_id.get(),
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["trace"] = _trace(record)
        return json.dumps(line, ensure_ascii=True)


class _Text(logging.Formatter):
    """A line for people for each record."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        extra = " ".join(f"{n}={getattr(record, n)}" for n in _EXTRA if hasattr(record, n))
        name = getattr(record, "request_id", None) or request_id.get()
        message = record.getMessage().replace("\n", "\\n").replace("\r", "\\r")
        line = f"{at} {record.levelname.lower():7} {name} {message} {extra}".rstrip()
        return f"{line}\n{_trace(record)}" if record.exc_info else line


def _trace(record: logging.LogRecord) -> str:
    """Where it happened and the kind of error; not its text, which may quote a request."""
    import traceback

    if not record.exc_info or record.exc_info[1] is None:
        return ""
    parts = []
    error: BaseException | None = record.exc_info[1]
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{f.name} ({f.filename}:{f.lineno})" for f in reversed(frames))
        parts.append(f"{type(error).__module__}.{type(error).__qualname__}: {where}")
        error = error.__cause__
    return " caused by ".join(parts)


def configure_logging(settings: Settings) -> None:
    """Write everything of this process to standard error, in the form the operator chose."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # the server writes its own
    logging.getLogger("PIL").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.WARNING)
