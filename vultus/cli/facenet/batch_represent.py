"""``vultus facenet batch-represent``: a data set's embeddings as signatures and gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import BatchSize, expanded, prepared

__all__ = ["batch_represent"]


def batch_represent(
    data_dir: Annotated[
        Path,
        typer.Option("--data_dir", "-d", help="A folder of folders, one per class."),
    ],
    output_dir: Annotated[
        Path, typer.Option("--output_dir", "-o", help="Where the two files go; made when absent.")
    ],
    trained_model_dir: Annotated[
        str, typer.Option("--trained_model_dir", help="A model's name, ONNX file, or folder.")
    ],
    batch_size: BatchSize = 50,
) -> None:
    """Write gallery.npy (labels) and signatures.npy (embeddings) of a data set."""
    from vultus.compat.facenet.batch_represent import batch_represent as work

    work(expanded(data_dir), expanded(output_dir), trained_model_dir, talk=prepared())
