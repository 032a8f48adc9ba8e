"""``face_detection`` as a Click command, for code that calls it so; needs the package click."""

from __future__ import annotations

from vultus.compat.face_recognition._click import click, run
from vultus.compat.face_recognition._lines import detection

__all__ = ["main"]


@click.command()
@click.argument("image_to_check")
@click.option(
    "--cpus",
    default=1,
    help='number of CPU cores to use in parallel. -1 means "use all in system"',
)
@click.option(
    "--model",
    default="hog",
    help='Which face detection model to use. Options are "hog" or "cnn".',
)
def main(image_to_check: str, cpus: int, model: str) -> None:
    """Print where the faces of a picture, or of those of a folder, are."""
    run(detection(image_to_check, cpus=cpus, model=model))


if __name__ == "__main__":
    main()
