"""``vultus evaluate detect``: how many faces does a detector find, and how many that are none?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from vultus.cli._embedded import progress_bar
from vultus.cli._options import Json
from vultus.cli._output import print_json, warn
from vultus.cli.evaluate._options import end_with, list_pictures, percent, show_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vultus.detect import Detector, DetectorOptions
    from vultus.evaluate.protocols.fddb import FddbResult
    from vultus.evaluate.protocols.wider import WiderResult
    from vultus.types import Face

__all__ = ["DetectorName", "counted", "detect", "load_detector"]

DetectorName: TypeAlias = Annotated[
    str, typer.Option("--detector", help="Model that finds the faces, or auto.")
]

# False positives over the whole set at which FDDB's curves are usually read.
_FALSE_POSITIVES = (100, 500, 1000, 2000)


def detect(
    wider: Annotated[
        Path | None,
        typer.Option("--wider", help="WIDER FACE: folder with images/ and ground_truth/."),
    ] = None,
    fddb: Annotated[
        Path | None, typer.Option("--fddb", help="FDDB: folder that the lists' names start from.")
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--lists", help="FDDB's ellipse list; may be repeated."),
    ] = None,
    detector: DetectorName = "mtcnn",
    score: Annotated[
        float, typer.Option("--score", min=0.0, max=1.0, help="Least score of a face counted.")
    ] = 0.02,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Fit every picture into an input of this size: 640x640."),
    ] = None,
    min_face: Annotated[
        float | None,
        typer.Option("--min-face", help="Smallest face to look for, in pixels; its own without."),
    ] = None,
    json: Json = False,
) -> None:
    """WIDER FACE (average precision, easy, medium, hard) and FDDB (ROC against ellipses)."""
    if (wider is None) == (fddb is None):
        raise typer.BadParameter("give --wider or --fddb, one of the two")
    if (fddb is None) != (not lists):
        raise typer.BadParameter("--fddb and --lists go together")
    from vultus.detect import DetectorOptions
    from vultus.sources import load_frame

    options = DetectorOptions(
        min_face_px=min_face, score_threshold=score, size_wh=None if size is None else _size(size)
    )
    found = load_detector(detector, options)

    def find(path: Path) -> Sequence[Face]:
        return found.detect(load_frame(path))

    with counted("detecting", shown=not json) as tell:
        result: WiderResult | FddbResult
        if wider is not None:
            from vultus.evaluate.protocols.wider import evaluate_wider

            result = evaluate_wider(wider, find, tell)
            absent = result.missing
        else:
            from vultus.evaluate.protocols.fddb import evaluate_fddb

            result = evaluate_fddb(fddb or Path(), lists or [], find, tell)
            absent = len(result.missing)
    if absent:
        warn(f"{absent:,} of the annotated pictures are not here; the figures are of the others")
    list_pictures("unreadable", [f"{path}: {why}" for path, why in result.failed])
    if json:
        asked = {"detector": detector, "score": score, "size": size, "min_face": min_face}
        print_json({**asked, **result.to_dict()})
    else:
        show_rows(f"{wider or fddb} with {detector}", _rows(result))
    end_with(bool(result.failed))


def load_detector(name: str, options: DetectorOptions | None = None) -> Detector:
    """The detector of a card, or ``auto``.

    Args:
        name: Of a card, or ``auto``.
        options: What is asked of it.

    Raises:
        UnknownModelError: No card has this name.
        CardError: The card is of another kind.
        ModelMissingError: Its weight is not on this machine.
        RangeError: `options` ask for what the detector cannot do.
    """
    from vultus.detect import AutoDetector, detector_for
    from vultus.models import Registry, Store
    from vultus.pipeline.load import card_of_kind
    from vultus.runtime import SessionOptions, default_threads, use_one_heap

    use_one_heap()
    registry, store, session = Registry(), Store(), SessionOptions(threads=default_threads())
    if name == "auto":
        return AutoDetector(registry, store, session, options)
    return detector_for(card_of_kind(registry, name, "detector"), store, session, options)


@contextmanager
def counted(label: str, *, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar for protocols that tell how many pictures are done, and of how many."""
    import time

    from vultus.evaluate.embeddings import Progress

    with progress_bar(label, shown=shown) as tell:
        began = time.perf_counter()

        def told(done: int, total: int) -> None:
            if tell is not None:
                per_s = done / max(time.perf_counter() - began, 1e-9)
                tell(Progress(done, total, per_s, (total - done) / per_s))

        yield None if tell is None else told


def _size(text: str) -> tuple[int, int]:
    width, times, height = text.lower().replace("×", "x").partition("x")
    if not (times and width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"--size must be WIDTHxHEIGHT, as in 640x640; got {text!r}")
    return int(width), int(height)


def _rows(found: Any) -> list[tuple[str, str]]:
    from vultus.evaluate.protocols.wider import WiderResult

    if isinstance(found, WiderResult):
        rows = [
            (name, f"AP {percent(ap, 1)}, {found.faces[name]:,} faces")
            for name, ap in (("easy", found.easy), ("medium", found.medium), ("hard", found.hard))
        ]
    else:
        rows = []
        for false in _FALSE_POSITIVES:
            discrete, continuous = found.at(false)
            rows.append(
                (
                    f"at most {false:,} false",
                    f"discrete {percent(discrete)}, continuous {percent(continuous)}",
                )
            )
        rows.append(("faces", f"{found.faces:,}"))
    absent = found.missing if isinstance(found.missing, int) else len(found.missing)
    return [
        *rows,
        ("pictures", f"{found.pictures:,}, {absent:,} not here, {len(found.failed)} unreadable"),
    ]
