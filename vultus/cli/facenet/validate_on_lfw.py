"""``vultus facenet validate-on-lfw``: accuracy on a list of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vultus.cli.facenet._common import ImageSize, ModelName, expanded, prepared

__all__ = ["validate_on_lfw"]


def validate_on_lfw(
    lfw_dir: Annotated[Path, typer.Argument(help="A folder of folders, one per person.")],
    model: ModelName,
    lfw_batch_size: Annotated[
        int, typer.Option("--lfw_batch_size", min=1, help="A dot is printed every ten batches.")
    ] = 100,
    image_size: ImageSize = 160,
    lfw_pairs: Annotated[
        Path, typer.Option("--lfw_pairs", help="The list of pairs, in LFW's format.")
    ] = Path("data/pairs.txt"),
    lfw_nrof_folds: Annotated[
        int, typer.Option("--lfw_nrof_folds", help="Folds of the cross-validation.")
    ] = 10,
    distance_metric: Annotated[
        int, typer.Option("--distance_metric", help="0: Euclidean, squared. 1: angle / pi.")
    ] = 0,
    use_flipped_images: Annotated[
        bool,
        typer.Option("--use_flipped_images", help="Put the mirror image's embedding beside each."),
    ] = False,
    subtract_mean: Annotated[
        bool, typer.Option("--subtract_mean", help="Subtract the mean of the training folds.")
    ] = False,
    use_fixed_image_standardization: Annotated[
        bool,
        typer.Option(
            "--use_fixed_image_standardization", help="Accepted; the model's card decides."
        ),
    ] = False,
) -> None:
    """Validate a model on Labeled Faces in the Wild."""
    from vultus.compat.facenet.validate_on_lfw import LfwOptions
    from vultus.compat.facenet.validate_on_lfw import validate_on_lfw as work

    options = LfwOptions(
        lfw_batch_size=lfw_batch_size,
        image_size=image_size,
        lfw_nrof_folds=lfw_nrof_folds,
        distance_metric=distance_metric,
        use_flipped_images=use_flipped_images,
        subtract_mean=subtract_mean,
    )
    work(expanded(lfw_dir), model, expanded(lfw_pairs), options, talk=prepared())
