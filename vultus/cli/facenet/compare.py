"""``vultus facenet compare``: a matrix of distances between pictures."""

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
)

__all__ = ["compare"]


def compare(
    model: ModelName,
    image_files: Annotated[
        list[Path], typer.Argument(metavar="IMAGE_FILES…", help="Pictures to compare.")
    ],
    image_size: ImageSize = 160,
    margin: Margin = 44,
    gpu_memory_fraction: GpuMemoryFraction = 1.0,
) -> None:
    """Print the distance of every picture's first face from every other's."""
    from vultus.compat.facenet.compare import compare as work

    work(
        model,
        [expanded(path) for path in image_files],
        image_size=image_size,
        margin=margin,
        talk=prepared(),
    )
