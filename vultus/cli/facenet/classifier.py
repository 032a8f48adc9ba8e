"""``vultus facenet classifier``: train a classifier on a data set, or try one on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli.facenet._common import BatchSize, ImageSize, ModelName, Seed, expanded, prepared

if TYPE_CHECKING:
    from vultus.compat.facenet.classifier import Mode

__all__ = ["classifier"]


def classifier(
    mode: Annotated[str, typer.Argument(metavar="TRAIN|CLASSIFY", help="What to do.")],
    data_dir: Annotated[Path, typer.Argument(help="A folder of folders, one per class.")],
    model: ModelName,
    classifier_filename: Annotated[
        Path, typer.Argument(help="Written by TRAIN, read by CLASSIFY; no pickle.")
    ],
    use_split_dataset: Annotated[
        bool,
        typer.Option(
            "--use_split_dataset", help="Train on some pictures of each class, try the others."
        ),
    ] = False,
    test_data_dir: Annotated[
        Path | None, typer.Option("--test_data_dir", help="Accepted, and unused as ever.")
    ] = None,
    batch_size: BatchSize = 90,
    image_size: ImageSize = 160,
    seed: Seed = 666,
    min_nrof_images_per_class: Annotated[
        int,
        typer.Option(
            "--min_nrof_images_per_class", min=1, help="Split: classes with fewer are left out."
        ),
    ] = 20,
    nrof_train_images_per_class: Annotated[
        int,
        typer.Option("--nrof_train_images_per_class", min=1, help="Split: how many train."),
    ] = 10,
) -> None:
    """Train a classifier on embeddings (TRAIN), or see how well it names faces (CLASSIFY)."""
    from vultus.compat.facenet.classifier import ClassifierOptions
    from vultus.compat.facenet.classifier import classifier as work

    options = ClassifierOptions(
        use_split_dataset=use_split_dataset,
        image_size=image_size,
        seed=seed,
        min_nrof_images_per_class=min_nrof_images_per_class,
        nrof_train_images_per_class=nrof_train_images_per_class,
    )
    where = expanded(classifier_filename)
    work(_mode(mode), expanded(data_dir), model, where, options, talk=prepared())


def _mode(text: str) -> Mode:
    from vultus.compat.facenet.classifier import MODES

    for mode in MODES:
        if mode == text:
            return mode
    raise typer.BadParameter(f"must be one of {', '.join(MODES)}, got {text!r}", param_hint="mode")
