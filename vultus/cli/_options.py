"""Options that several commands share, and what they load."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from vultus.cli._output import err, with_progress
from vultus.errors import (
    GalleryFileError,
    GalleryServerError,
    ImageNotFoundError,
    InputError,
    MissingExtraError,
    ModelError,
    OutputError,
    SpaceMismatchError,
    VultusError,
)

if TYPE_CHECKING:
    from vultus.detect import Scales
    from vultus.pipeline import Recognizer
    from vultus.types import Face, Frame

__all__ = [
    "DEFAULT_POLICY",
    "HOPELESS",
    "SIGNING_VARIABLE",
    "AllowDuplicates",
    "AnyTurn",
    "CalibrationFile",
    "Csv",
    "DetectorName",
    "Done",
    "Draw",
    "Embedder",
    "Gate",
    "Groups",
    "Jobs",
    "Json",
    "KeepCrop",
    "MinFace",
    "Mirror",
    "Normalise",
    "ThresholdOption",
    "crop_key",
    "job_count",
    "pictures",
    "recognizer",
    "signing_key",
]

DEFAULT_POLICY = "fmr=5e-3"
"""That of `vultus.decide`, written out so that ``--help`` need not load it; a test compares."""

SIGNING_VARIABLE = "VULTUS_SIGNING_KEY"
"""The environment variable that holds the secret calibrations are signed with."""

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON for programs, on stdout.")]
Csv: TypeAlias = Annotated[bool, typer.Option("--csv", help="CSV with a header line, on stdout.")]
MinFace: TypeAlias = Annotated[
    float, typer.Option("--min-face", help="Smallest face to look for, in pixels (≥ 12).")
]
Embedder: TypeAlias = Annotated[
    str, typer.Option("--embedder", help="Model that tells faces apart; see `vultus models list`.")
]
Mirror: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--mirror/--no-mirror", help="Average each face with its mirror image: surer, slower."
    ),
]
Normalise: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--normalise",
        help="Hold similarities against what both faces reach with strangers: fewer misses.",
    ),
]
ThresholdOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--threshold", help="A measured policy such as fmr=1e-3, or a cosine of your own."
    ),
]
CalibrationFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--calibration", help="Error rates of your own data, from `vultus calibrate`."),
]
DetectorName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--detector", help="Model that finds faces; auto: the best one here for each picture."
    ),
]
Gate: TypeAlias = Annotated[
    str,
    typer.Option("--gate", help="What is asked of a face: off, low, normal or high."),
]
Groups: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--group", help="Only members of this group; may be repeated."),
]
KeepCrop: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--keep-crop", help="Keep each face's picture, encrypted with VULTUS_GALLERY_KEY."
    ),
]
AllowDuplicates: TypeAlias = Annotated[
    bool,
    typer.Option("--allow-duplicates", help="Take pictures again that the person already holds."),
]
AnyTurn: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--any-turn", help="Unless an upright face is beyond doubt, look at quarter turns."
    ),
]
Jobs: TypeAlias = Annotated[
    int, typer.Option("--jobs", "-j", min=0, help="Pictures at a time; 0: one per CPU.")
]
Draw: TypeAlias = Annotated[
    Path | None, typer.Option("--draw", help="Write annotated pictures into this folder.")
]


def recognizer(
    *,
    min_face: float = 40.0,
    embedder: str = "dlib-resnet-v1",
    mirror: bool = True,
    threshold: str | None = None,
    calibration: Path | None = None,
    detector: str = "mtcnn",
    scales: Scales | None = None,
    gate: str = "off",
    keep_crop: bool = False,
    jobs: int = 1,
    normalise: bool = False,
) -> Recognizer:
    """Load a recogniser for `jobs` pictures at a time."""
    from vultus.decide import load_calibration
    from vultus.pipeline import load
    from vultus.runtime import use_one_heap

    use_one_heap()
    policy: str | float = DEFAULT_POLICY if threshold is None else threshold
    with contextlib.suppress(ValueError):
        policy = float(policy)
    if jobs > 1:
        import cv2

        cv2.setNumThreads(1)  # our own threads fill the cores
    own = None if calibration is None else load_calibration(calibration, key=signing_key())
    return load(
        embedder=embedder,
        min_face_px=min_face,
        mirror=mirror,
        threshold=policy,
        calibration=own,
        detector=detector,
        scales=scales,
        gate=gate,
        crop_key=crop_key() if keep_crop else None,
        normalise=normalise,
        threads=1 if jobs > 1 else None,
    )


def crop_key() -> bytes:
    """The key that crops are encrypted with.

    Raises:
        InputError: The environment holds none.
    """
    from vultus.gallery.crops import KEY_VARIABLE, key_from_environment

    found = key_from_environment()
    if found is None:
        raise InputError(
            f"kept crops are encrypted; {KEY_VARIABLE} must hold their key",
            remedy=f"`vultus gallery key` makes one: export {KEY_VARIABLE}=…",
        )
    return found


def signing_key() -> bytes | None:
    """The secret that calibrations are signed with; ``None`` where the environment holds none."""
    return os.environ.get(SIGNING_VARIABLE, "").encode("utf-8") or None


HOPELESS = (
    ModelError,
    GalleryFileError,
    GalleryServerError,
    MissingExtraError,
    SpaceMismatchError,
)
"""What fails for one picture of a job would fail for every other."""


class Done(NamedTuple):
    """One picture worked on.

    Attributes:
        path: Where it lies.
        frame: The picture, or ``None`` when it could not be read.
        faces: What was found.
        value: What the command made of it.
        error: Why nothing could be made of it.
    """

    path: Path
    frame: Frame | None
    faces: list[Face]
    value: object
    error: VultusError | None


def job_count(paths: list[Path], jobs: int) -> int:
    """How many pictures to work on at a time: one for a single file."""
    from vultus.runtime import default_threads

    # os.path, because the methods of Path raise for some names.
    if len(paths) == 1 and not os.path.isdir(paths[0]) and "*" not in str(paths[0]):  # noqa: PTH112
        return 1
    return jobs or default_threads()


def pictures(
    paths: list[Path],
    work: Callable[[Frame], tuple[list[Face], object]],
    *,
    jobs: int,
    shown: bool,
    label: str,
    drawn: Path | Sequence[Path] | None = None,
    draw: Callable[[Done], None] | None = None,
) -> Iterator[Done]:
    """Run `work` over every picture of files, folders and patterns, in order.

    A picture that fails, and an argument that names none, is handed on with its error; the
    others go on.

    Args:
        paths: From the command line.
        work: Thread-safe.
        jobs: Pictures at a time.
        shown: Whether to show progress on a terminal.
        label: What the progress bar says.
        drawn: Folder, or folders, the command draws into; left out of the walk of a folder
            around them.
        draw: Draws a picture that was worked on; what hinders that becomes its error.

    Raises:
        ModelError: A model cannot be used at all.
        GalleryFileError: The gallery cannot.
        SpaceMismatchError: It was made with another model.
    """
    from vultus.runtime import ordered_map
    from vultus.sources import load_frame

    def one(path: Path | Done) -> Done:
        if isinstance(path, Done):
            return path
        frame: Frame | None = None
        try:
            frame = load_frame(path)
            faces, value = work(frame)
        except HOPELESS:
            raise
        except VultusError as error:
            return Done(path, frame, [], None, error)
        return Done(path, frame, faces, value, None)

    shown = shown and err.is_terminal
    total = sum(1 for _ in _listed(paths, drawn)) if shown else None
    results = ordered_map(one, _listed(paths, drawn), jobs)
    with with_progress(results, total, label, shown=shown and total != 1) as counted:
        for done in counted:
            yield done if draw is None or done.error else _drawn(done, draw)


def _drawn(done: Done, draw: Callable[[Done], None]) -> Done:
    try:
        draw(done)
    except OutputError as error:
        return done._replace(error=error)
    return done


def _listed(paths: list[Path], drawn: Path | Sequence[Path] | None) -> Iterator[Path | Done]:
    """The pictures that the arguments name; in place of those that name none, why."""
    from vultus.sources import expand

    given = [drawn] if isinstance(drawn, Path) else drawn or ()
    own = [Path(os.path.realpath(folder)) for folder in given]
    for path in paths:
        place = Path(os.path.realpath(path))
        inside = [folder for folder in own if not place.is_relative_to(folder)]
        try:
            for picture in expand([path]):
                folder = Path(os.path.realpath(picture.parent)) if inside else picture
                if not any(folder.is_relative_to(drawn_into) for drawn_into in inside):
                    yield picture
        except ImageNotFoundError as error:
            yield Done(path, None, [], None, error)
