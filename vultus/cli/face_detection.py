"""``vultus face-detection``: the other command line of face_recognition 1.3.0."""

from __future__ import annotations

from typing import Annotated

import typer

from vultus.cli.face_recognition import Cpus, print_lines, use_own_workers

__all__ = ["face_detection"]


def face_detection(
    image_to_check: Annotated[str, typer.Argument(help="A picture, or a folder of pictures.")],
    cpus: Cpus = 1,
    model: Annotated[
        str, typer.Option(help='"hog" for the default detector, "cnn" for dlib\'s MMOD.')
    ] = "hog",
) -> None:
    """Print where faces are, as the `face_detection` command does: path,top,right,bottom,left."""
    use_own_workers()
    from vultus.compat.face_recognition._lines import detection

    print_lines(detection(image_to_check, cpus=cpus, model=model))
