"""``vultus facenet freeze``: a model as one ONNX file with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import ModelName, expanded, prepared

__all__ = ["freeze"]


def freeze(
    model_dir: ModelName,
    output_file: Annotated[
        Path, typer.Argument(help="The ONNX file to write; its card goes beside it.")
    ],
) -> None:
    """Write a model's network and card as two files that serve as MODEL elsewhere."""
    from vultus.compat.facenet.freeze import freeze as work

    work(model_dir, expanded(output_file), talk=prepared())
