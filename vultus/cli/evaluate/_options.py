"""Options that the evaluations share, and the embedder they describe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

import typer

from vultus.cli._embedded import progress_bar
from vultus.cli._output import EXIT_SOME_FAILED, out, safe, warn

if TYPE_CHECKING:
    from vultus.evaluate.embeddings import Embed
    from vultus.evaluate.metrics import Resampling
    from vultus.types import Rate

__all__ = [
    "Aligned",
    "CacheDir",
    "Detector",
    "Distance",
    "DistanceOption",
    "Face",
    "FaceOption",
    "Flip",
    "How",
    "Model",
    "NoCache",
    "Rounds",
    "Seed",
    "SubtractMean",
    "embedding",
    "end_with",
    "list_pictures",
    "percent",
    "resampling",
    "show_rows",
]


class Distance(StrEnum):
    """Distances of the folded protocols."""

    EUCLIDEAN = "euclidean"
    COSINE = "cosine"


class Face(StrEnum):
    """Which of several faces counts."""

    CENTER = "center"
    LARGEST = "largest"


Model: TypeAlias = Annotated[
    str, typer.Option("--model", help="The embedder judged; see `vultus models list`.")
]
Detector: TypeAlias = Annotated[str, typer.Option("--detector", help="Model that finds the faces.")]
Flip: TypeAlias = Annotated[
    bool, typer.Option("--flip/--no-flip", help="Average each face with its mirror image.")
]
FaceOption: TypeAlias = Annotated[
    Face, typer.Option("--face", help="Which of several faces counts.")
]
DistanceOption: TypeAlias = Annotated[
    Distance,
    typer.Option("--distance", help="Squared Euclidean, or the angle as a share of 180°."),
]
SubtractMean: TypeAlias = Annotated[
    bool, typer.Option("--subtract-mean", help="Subtract the training pairs' mean embedding.")
]
Aligned: TypeAlias = Annotated[
    bool, typer.Option("--aligned", help="The pictures are crops aligned as the model wants.")
]
CacheDir: TypeAlias = Annotated[
    Path | None, typer.Option("--cache-dir", help="Folder that keeps embeddings for later runs.")
]
NoCache: TypeAlias = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor keep embeddings.")
]
Rounds: TypeAlias = Annotated[
    int, typer.Option("--rounds", min=0, help="Rounds of the bootstrap over people; 0: none.")
]
Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", min=0, help="Of every draw; equal seeds give equal results.")
]


class How(NamedTuple):
    """How pictures become embeddings.

    Attributes:
        model: The embedder's card.
        detector: The detector's card.
        min_face: Smallest face side, in pixels.
        flip: Whether to average with the mirror image.
        face: Which of several faces counts.
        cache_dir: Folder of the cache, or ``None``.
        no_cache: Whether to do without.
        jobs: Pictures at a time; 0: one per CPU.
        json: Whether programs read the output: no progress then.
    """

    model: str
    detector: str
    min_face: float
    flip: bool
    face: Face
    cache_dir: Path | None
    no_cache: bool
    jobs: int
    json: bool


@contextmanager
def embedding(
    how: How, crops: Literal["detect", "aligned", "arcface"] = "detect"
) -> Iterator[Embed]:
    """The function that embeds pictures, with a progress bar while it is in use."""
    from vultus.evaluate.embeddings import EmbedOptions, embed_pictures
    from vultus.runtime import use_one_heap

    use_one_heap()
    options = EmbedOptions(
        model=how.model,
        detector=how.detector,
        min_face_px=how.min_face,
        mirror=how.flip,
        face=how.face.value,
        crops=crops,
    )
    with progress_bar("embedding", shown=not how.json) as tell:
        yield partial(
            embed_pictures,
            options=options,
            cache_folder=how.cache_dir,
            use_cache=not how.no_cache,
            jobs=how.jobs or None,
            progress=tell,
        )


def resampling(rounds: int, seed: int, jobs: int) -> Resampling:
    """The bootstrap that the options ask for."""
    from vultus.evaluate.metrics import Resampling
    from vultus.runtime import default_threads

    return Resampling(rounds=rounds, seed=seed, jobs=jobs or default_threads())


def list_pictures(what: str, paths: Sequence[str]) -> None:
    """Name on standard error every picture that something is wrong with."""
    for path in paths:
        warn(f"{what}: {path}")


def percent(value: Rate | float | None, digits: int = 2) -> str:
    """``98.90 %``, with the interval where there is one."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}%}".replace("%", " %")
    ends = f"{value.low * 100:.{digits}f}–{value.high * 100:.{digits}f}"
    return f"{value.value * 100:.{digits}f} % ({ends})"


def show_rows(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Two columns for people."""
    out.print(f"[bold]{safe(title)}[/]")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        out.print(f"  {safe(name):<{width}}  {safe(value)}", soft_wrap=True)


def end_with(failed: bool) -> None:
    """Exit code 3 where pictures failed."""
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)
