"""``vultus facenet plot-learning-curves``: figures of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli._output import out, safe
from vultus.cli.facenet._common import expanded, prepared

__all__ = ["plot_learning_curves"]


def plot_learning_curves(
    log_dir: Annotated[Path, typer.Argument(help="The folder that holds the runs.")],
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUNS…", help="Names of runs; RUN=TEXT puts text in the legend."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture: .png, .pdf or .svg.")
    ] = Path("learning_curves.png"),
    figure: Annotated[
        list[str] | None,
        typer.Option("--figure", help="lfw_accuracy, lfw_valrate, loss …; may be repeated."),
    ] = None,
) -> None:
    """Draw learning curves from the stat.h5 of training runs."""
    from vultus.compat.facenet.learning_curves import plot_learning_curves as work

    named = [(name, text) for name, _, text in (run.partition("=") for run in runs)]
    figures = figure or ["lfw_accuracy"]
    for path in work(expanded(log_dir), named, expanded(output), figures, talk=prepared()):
        out.print(f"written: {safe(path)}", soft_wrap=True)
