"""``face_recognition`` as a Click command, for code that calls it so; needs the package click."""

from __future__ import annotations

from vultus.compat.face_recognition._click import click, run
from vultus.compat.face_recognition._lines import recognition

__all__ = ["main"]


@click.command()
@click.argument("known_people_folder")
@click.argument("image_to_check")
@click.option(
    "--cpus",
    default=1,
    help="number of CPU cores to use in parallel (can speed up processing lots of images). "
    '-1 means "use all in system"',
)
@click.option(
    "--tolerance",
    default=0.6,
    help="Tolerance for face comparisons. Default is 0.6. Lower this if you get multiple matches "
    "for the same person.",
)
@click.option(
    "--show-distance",
    default=False,
    type=bool,
    help="Output face distance. Useful for tweaking tolerance setting.",
)
def main(
    known_people_folder: str,
    image_to_check: str,
    cpus: int,
    tolerance: float,
    show_distance: bool,
) -> None:
    """Name the people on a picture, or on those of a folder, by pictures of known people."""
    run(
        recognition(
            known_people_folder,
            image_to_check,
            cpus=cpus,
            tolerance=tolerance,
            show_distance=show_distance,
        )
    )


if __name__ == "__main__":
    main()
