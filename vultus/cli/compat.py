"""``vultus compat``: stand in for other programs' packages and commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from vultus.cli._output import out, safe

__all__ = ["app"]

app = typer.Typer()

_Folder: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where the package goes, and bin/ for its commands; else this Python's own.",
    ),
]


@app.command("install-shim")
def install(folder: _Folder = None) -> None:
    """Let `import face_recognition` and its two commands lead to vultus."""
    from vultus.compat.shim import install_shim

    written = install_shim(folder)
    for path in written:
        out.print(safe(path), soft_wrap=True)
    out.print("`import face_recognition` is vultus now; `vultus compat remove-shim` undoes it.")


@app.command("remove-shim")
def remove(folder: _Folder = None) -> None:
    """Remove what install-shim installed, and nothing else."""
    from vultus.compat.shim import remove_shim

    for path in remove_shim(folder):
        out.print(f"removed {safe(path)}", soft_wrap=True)
