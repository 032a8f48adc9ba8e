"""What commands that learn from folders of people share: their pictures, embedded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from vultus.cli._output import err, warn
from vultus.errors import InsufficientDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vultus.evaluate.embeddings import EmbedOptions, Progress
    from vultus.types import EmbeddingSpace

__all__ = ["EmbeddedPeople", "embedded_people", "progress_bar"]

_SHOWN_FAILURES = 10


class EmbeddedPeople(NamedTuple):
    """Pictures that gave an embedding.

    Attributes:
        vectors: (n, d) float32, unit rows.
        people: Whom each row shows.
        paths: Which picture each row is.
        space: Of the embeddings.
        failed: Pictures that gave none.
        quality: (n,) `Quality.score`, NaN where unknown; ``None`` when it was not asked for.
    """

    vectors: NDArray[np.float32]
    people: list[str]
    paths: list[Path]
    space: EmbeddingSpace
    failed: int
    quality: NDArray[np.float64] | None = None


@contextmanager
def progress_bar(label: str, *, shown: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar with rate and time left on standard error; ``None`` where none is shown."""
    if not shown or not err.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None, rate="")

        def tell(state: Progress) -> None:
            rate = f"{state.per_s:.1f}/s"
            bar.update(task, completed=state.done, total=state.total, rate=rate)

        yield tell


def embedded_people(
    named: Sequence[tuple[str, Path]],
    options: EmbedOptions,
    *,
    shown: bool,
    jobs: int = 0,
    quality: bool = False,
) -> EmbeddedPeople:
    """Embed pictures of named people; what fails is told on standard error and left out.

    Args:
        named: Person and picture.
        options: Model, detector and choice of the face.
        shown: Whether to show progress on a terminal.
        jobs: Pictures at a time; 0: one per CPU.
        quality: Whether to measure the quality of the faces as well.

    Raises:
        InsufficientDataError: No picture gave an embedding.
    """
    from vultus.evaluate.embeddings import embed_pictures

    paths = [path for _, path in named]
    with progress_bar("embedding", shown=shown) as tell:
        made = embed_pictures(paths, options, jobs=jobs or None, progress=tell)
    for failure in made.failures[:_SHOWN_FAILURES]:
        warn(f"{failure.message} [{failure.code}]; this picture is left out")
    if len(made.failures) > _SHOWN_FAILURES:
        warn(f"… and {len(made.failures) - _SHOWN_FAILURES} more pictures are left out")
    rows = [i for i, found in enumerate(made.found.tolist()) if found]
    if not rows:
        raise InsufficientDataError("no picture gave an embedding")
    used = [paths[i] for i in rows]
    return EmbeddedPeople(
        made.vectors[rows],
        [named[i][0] for i in rows],
        used,
        made.space,
        len(made.failures),
        _quality(used, options, jobs) if quality else None,
    )


def _quality(paths: Sequence[Path], options: EmbedOptions, jobs: int) -> NDArray[np.float64]:
    from vultus.evaluate.quality import picture_quality

    with err.status("measuring quality"):
        return picture_quality(options, jobs or None)(paths)
