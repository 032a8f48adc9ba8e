"""``vultus facenet align``: cut the faces of a data set out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vultus.cli._options import Jobs
from vultus.cli.facenet._common import (
    GpuMemoryFraction,
    ImageSize,
    Margin,
    expanded,
    prepared,
    yes_or_no,
)

__all__ = ["align"]


def align(
    input_dir: Annotated[Path, typer.Argument(help="A folder of folders, one per class.")],
    output_dir: Annotated[Path, typer.Argument(help="Where the crops go; made when absent.")],
    image_size: ImageSize = 182,
    margin: Margin = 44,
    random_order: Annotated[
        bool, typer.Option("--random_order", help="Shuffle, so that processes seldom meet.")
    ] = False,
    gpu_memory_fraction: GpuMemoryFraction = 1.0,
    detect_multiple_faces: Annotated[
        str,
        typer.Option(
            "--detect_multiple_faces",
            metavar="True|False",
            help="Cut every face out, not only the one in the middle.",
        ),
    ] = "False",
    jobs: Jobs = 0,
) -> None:
    """Cut the faces of a data set out; several processes may share the work."""
    from vultus.compat.facenet.align import AlignOptions
    from vultus.compat.facenet.align import align as work

    options = AlignOptions(
        image_size=image_size,
        margin=margin,
        random_order=random_order,
        detect_multiple_faces=yes_or_no(detect_multiple_faces, "--detect_multiple_faces"),
        jobs=jobs or None,
    )
    work(
        expanded(input_dir),
        expanded(output_dir),
        options,
        talk=prepared(),
        arguments=" ".join(sys.argv),
    )
