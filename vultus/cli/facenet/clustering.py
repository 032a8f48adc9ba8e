"""``vultus facenet clustering``: sort the pictures of a folder by person (Chinese whispers)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import BatchSize, expanded, prepared

__all__ = ["clustering"]


def clustering(
    model_dir: Annotated[
        str, typer.Option("--model_dir", help="A model's name, ONNX file, or folder.")
    ],
    input_dir: Annotated[Path, typer.Option("--input", help="A flat folder of pictures.")],
    output: Annotated[Path, typer.Option("--output", help="Where copies go, by cluster.")],
    batch_size: BatchSize = 30,
    threshold: Annotated[
        float | None,
        typer.Option(help="Cosine between neighbours; without it, as measured for the model."),
    ] = None,
) -> None:
    """Copy the pictures of a folder into one folder per person, the largest first."""
    from vultus.compat.facenet.cluster import clustering as work

    work(model_dir, expanded(input_dir), expanded(output), threshold, talk=prepared())
