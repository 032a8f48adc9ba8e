"""``vultus facenet predict``: name every face of some pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import (
    GpuMemoryFraction,
    ImageSize,
    Margin,
    ModelName,
    Seed,
    expanded,
    prepared,
)

__all__ = ["predict"]


def predict(
    image_files: Annotated[list[Path], typer.Argument(metavar="IMAGE_FILES…", help="Pictures.")],
    model: ModelName,
    classifier_filename: Annotated[Path, typer.Argument(help="What `classifier TRAIN` wrote.")],
    image_size: ImageSize = 160,
    seed: Seed = 666,
    margin: Margin = 44,
    gpu_memory_fraction: GpuMemoryFraction = 1.0,
) -> None:
    """Name the faces of pictures by a classifier."""
    from vultus.compat.facenet.predict import predict as work

    work(
        [expanded(path) for path in image_files],
        model,
        expanded(classifier_filename),
        image_size=image_size,
        margin=margin,
        talk=prepared(),
    )
