"""``vultus face-recognition``: the command line of face_recognition 1.3.0."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from vultus.cli._output import err, safe
from vultus.errors import RangeError

if TYPE_CHECKING:
    from vultus.compat.face_recognition._lines import Line

__all__ = ["Cpus", "face_recognition", "print_lines", "use_own_workers"]

Cpus: TypeAlias = Annotated[
    int, typer.Option("--cpus", help="Pictures at a time; -1: one per CPU. For folders only.")
]

_EXIT_FAILED = 1  # as the original, which ends with a traceback
_YES = frozenset({"1", "true", "t", "yes", "y", "on"})
_NO = frozenset({"0", "false", "f", "no", "n", "off"})
# OpenBLAS would otherwise start a thread for each CPU within each of ours.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def face_recognition(
    known_people_folder: Annotated[
        str, typer.Argument(help="A folder with one picture per person, named after them.")
    ],
    image_to_check: Annotated[str, typer.Argument(help="A picture, or a folder of pictures.")],
    cpus: Cpus = 1,
    tolerance: Annotated[
        float, typer.Option(help="Largest distance of the same person; less is stricter.")
    ] = 0.6,
    show_distance: Annotated[
        str, typer.Option(metavar="BOOLEAN", help="Print the distance as a third field.")
    ] = "false",
) -> None:
    """Name the people on pictures, as the `face_recognition` command does."""
    answer = show_distance.strip().lower()
    if answer not in _YES | _NO:
        raise typer.BadParameter(
            f"{show_distance!r} is not a valid boolean.", param_hint="'--show-distance'"
        )
    use_own_workers()
    from vultus.compat.face_recognition._lines import recognition

    print_lines(
        recognition(
            known_people_folder,
            image_to_check,
            cpus=cpus,
            tolerance=tolerance,
            show_distance=answer in _YES,
        )
    )


def use_own_workers() -> None:
    """Keep libraries that are loaded from now on to one thread each."""
    for variable in _ONE_THREAD:
        os.environ.setdefault(variable, "1")


def print_lines(lines: Iterator[Line]) -> None:
    """Print a command's lines; end with 1 where something could not be done."""
    failed = False
    try:
        for line in lines:
            if line.failed:
                failed = True
                err.print(f"[bold red]error[/]: {safe(line.text)}", soft_wrap=True)
            else:
                sys.stdout.write(line.text + "\n")
                sys.stdout.flush()
    except RangeError as error:
        raise typer.BadParameter(error.message, param_hint="'--cpus'") from error
    except OSError as error:
        if error.filename is None:  # standard output itself
            raise
        err.print(f"[bold red]error[/]: {safe(error.filename)}: {error.strerror}", soft_wrap=True)
        raise typer.Exit(_EXIT_FAILED) from error
    if failed:
        raise typer.Exit(_EXIT_FAILED)
