"""``vultus facenet export-embeddings``: a data set's embeddings as NumPy files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import (
    GpuMemoryFraction,
    ImageSize,
    Margin,
    ModelName,
    expanded,
    prepared,
    yes_or_no,
)

__all__ = ["export_embeddings"]


def export_embeddings(
    model_dir: ModelName,
    data_dir: Annotated[Path, typer.Argument(help="A folder of folders, one per class.")],
    is_aligned: Annotated[
        str,
        typer.Option(
            "--is_aligned",
            metavar="True|False",
            help="Whether the pictures are crops; False: the first face found counts.",
        ),
    ] = "True",
    image_size: ImageSize = 160,
    margin: Margin = 44,
    gpu_memory_fraction: GpuMemoryFraction = 1.0,
    image_batch: Annotated[
        int, typer.Option("--image_batch", min=1, help="Pictures between two words of progress.")
    ] = 500,
    embeddings_name: Annotated[
        str, typer.Option("--embeddings_name", help="File of the embeddings.")
    ] = "embeddings.npy",
    labels_name: Annotated[
        str, typer.Option("--labels_name", help="File of the labels, as numbers.")
    ] = "labels.npy",
    labels_strings_name: Annotated[
        str, typer.Option("--labels_strings_name", help="File of the labels, as names.")
    ] = "label_strings.npy",
) -> None:
    """Write a data set's embeddings and labels into the current folder."""
    from vultus.compat.facenet.export_embeddings import ExportOptions
    from vultus.compat.facenet.export_embeddings import export_embeddings as work

    options = ExportOptions(
        is_aligned=yes_or_no(is_aligned, "--is_aligned"),
        image_size=image_size,
        margin=margin,
        image_batch=image_batch,
        embeddings_name=embeddings_name,
        labels_name=labels_name,
        labels_strings_name=labels_strings_name,
    )
    work(model_dir, expanded(data_dir), options, talk=prepared())
