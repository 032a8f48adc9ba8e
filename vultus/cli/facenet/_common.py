"""What the facenet commands share: options, where words go, words for yes and no."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from vultus.cli._output import warn

if TYPE_CHECKING:
    from vultus.compat.facenet.talk import Talk

__all__ = [
    "UNDERSCORES",
    "BatchSize",
    "GpuMemoryFraction",
    "ImageSize",
    "Margin",
    "ModelName",
    "Seed",
    "expanded",
    "prepared",
    "yes_or_no",
]

UNDERSCORES: dict[str, Any] = {"token_normalize_func": lambda token: token.replace("-", "_")}
"""For a command's context: ``--image-size`` is ``--image_size``."""

ModelName: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model's name, an ONNX file with its card (TOML) beside it, or a folder with both.",
    ),
]
ImageSize: TypeAlias = Annotated[
    int, typer.Option("--image_size", help="Side of the crops, in pixels.")
]
Margin: TypeAlias = Annotated[
    float,
    typer.Option("--margin", help="By how much a face's box grows before it is cut, in pixels."),
]
GpuMemoryFraction: TypeAlias = Annotated[
    float, typer.Option("--gpu_memory_fraction", help="Accepted; there is nothing to limit.")
]
BatchSize: TypeAlias = Annotated[
    int, typer.Option("--batch_size", min=1, help="Pictures between two words of progress.")
]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", help="Of what is drawn at random.")]

# What a file's name could do to a terminal: control characters but tab and line feed.
_CONTROL: Mapping[int, str] = MappingProxyType(
    dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
)
_YES = frozenset({"true", "t", "yes", "y", "1", "on"})
_NO = frozenset({"false", "f", "no", "n", "0", "off", ""})


def prepared() -> Talk:
    """Where a command's words go; the libraries are set up for work on many pictures."""
    import cv2

    from vultus.compat.facenet.talk import Talk
    from vultus.runtime import use_one_heap

    use_one_heap()
    cv2.setNumThreads(1)  # our own threads fill the cores
    return Talk(_out, warn)


def expanded(path: Path) -> Path:
    """The path with ``~`` replaced, as the originals do."""
    return path.expanduser()


def yes_or_no(text: str, option: str) -> bool:
    """What a word such as ``True`` or ``False`` says.

    Raises:
        typer.BadParameter: It says neither.
    """
    word = text.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise typer.BadParameter(f"must be True or False, got {text!r}", param_hint=option)


def _out(text: str) -> None:
    sys.stdout.write(text.translate(_CONTROL))
    if not text.endswith("\n"):  # a dot that says how far it is
        sys.stdout.flush()
