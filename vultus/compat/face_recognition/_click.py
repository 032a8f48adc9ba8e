"""The package click, which only code that calls the original's Click commands needs."""

from __future__ import annotations

from collections.abc import Iterator

from vultus.compat.face_recognition._lines import Line
from vultus.errors import MissingExtraError, RangeError

try:
    import click
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "the Click commands of face_recognition need the package click",
        remedy="pip install 'vultus[face-recognition]'; "
        "`vultus face-recognition` and `vultus face-detection` do without",
    ) from error

__all__ = ["click", "run"]


def run(lines: Iterator[Line]) -> None:
    """Print a command's lines; end with 1 where something could not be done."""
    failed = False
    try:
        for line in lines:
            text = line.text.encode("utf-8", "backslashreplace").decode("utf-8")
            click.echo(f"Error: {text}" if line.failed else text, err=line.failed)
            failed = failed or line.failed
    except RangeError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    if failed:
        raise SystemExit(1)
