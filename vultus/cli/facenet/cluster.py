"""``vultus facenet cluster``: sort the faces of a folder by person (DBSCAN)."""

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

__all__ = ["cluster"]


def cluster(
    model: ModelName,
    data_dir: Annotated[Path, typer.Argument(help="A flat folder of pictures.")],
    out_dir: Annotated[Path, typer.Argument(help="Where each cluster's crops go.")],
    image_size: ImageSize = 160,
    margin: Margin = 44,
    min_cluster_size: Annotated[
        int, typer.Option("--min_cluster_size", help="Neighbours that make a face a core.")
    ] = 1,
    cluster_threshold: Annotated[
        float | None,
        typer.Option(
            "--cluster_threshold",
            help="Distance between neighbours; without it, what was measured for the model.",
        ),
    ] = None,
    largest_cluster_only: Annotated[
        bool, typer.Option("--largest_cluster_only", help="Save that one alone.")
    ] = False,
    gpu_memory_fraction: GpuMemoryFraction = 1.0,
) -> None:
    """Find the people among the faces of a folder, and save each one's crops."""
    from vultus.compat.facenet.cluster import ClusterOptions
    from vultus.compat.facenet.cluster import cluster as work

    options = ClusterOptions(
        image_size=image_size,
        margin=margin,
        min_cluster_size=min_cluster_size,
        cluster_threshold=cluster_threshold,
        largest_cluster_only=largest_cluster_only,
    )
    work(model, expanded(data_dir), expanded(out_dir), options, talk=prepared())
