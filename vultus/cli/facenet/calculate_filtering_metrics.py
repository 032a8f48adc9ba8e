"""``vultus facenet calculate-filtering-metrics``: distances from the classes' centres."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import BatchSize, ImageSize, ModelName, expanded, prepared

__all__ = ["calculate_filtering_metrics"]


def calculate_filtering_metrics(
    dataset_dir: Annotated[Path, typer.Argument(help="A folder of folders, one per class.")],
    model_file: ModelName,
    data_file_name: Annotated[Path, typer.Argument(help="The HDF5 file to write.")],
    image_size: ImageSize = 160,
    batch_size: BatchSize = 90,
) -> None:
    """Write how far each picture's embedding lies from its class's centre."""
    from vultus.compat.facenet.filtering_metrics import calculate_filtering_metrics as work

    work(
        expanded(dataset_dir),
        model_file,
        expanded(data_file_name),
        image_size=image_size,
        batch_size=batch_size,
        talk=prepared(),
    )
