"""``plot-learning-curves``: figures of training runs from their ``stat.h5``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.filtering_metrics import hdf5
from vultus.compat.facenet.talk import Talk
from vultus.errors import DataFileError, MissingExtraError, OutputError, RangeError

__all__ = ["FIGURES", "Curve", "Run", "curve_of", "plot_learning_curves", "read_run"]

_LAST_EPOCHS = 10  # that the legend's mean goes over, the last one besides
_SMOOTH_STEPS = 500  # of the losses; ``plot_learning_curves.m``
_MOST_BYTES = 4_000_000_000


class Figure(NamedTuple):
    """One of the original's figures.

    Attributes:
        dataset: What of ``stat.h5`` it shows.
        title: As in the original, like the labels.
        x: ``steps``, or ``epochs``.
        y: Its label.
        limits: Of the y axis; ``None``: as the values are.
        per_epoch: Whether there is one value per epoch, or one per step.
        smooth: Values that are averaged.
        log: Whether the y axis is logarithmic.
        mean: Whether the legend states the mean of the last epochs.
    """

    dataset: str
    title: str
    x: str
    y: str
    limits: tuple[float, float] | None = None
    per_epoch: bool = False
    smooth: int = 1
    log: bool = False
    mean: bool = False


FIGURES: Mapping[str, Figure] = {
    "lfw_accuracy": Figure(
        "lfw_accuracy", "LFW accuracy", "steps", "Accuracy", (0.95, 1.0), True, mean=True
    ),
    "lfw_valrate": Figure(
        "lfw_valrate", "LFW validation rate", "steps", "VAL @ FAR = 1e-3", (0.5, 1.0), True,
        mean=True,
    ),
    "xent_loss": Figure(
        "xent_loss", "Training set cross-entropy loss", "steps", "Loss", smooth=_SMOOTH_STEPS
    ),
    "accuracy": Figure(
        "accuracy", "Training set accuracy", "steps", "Accuracy", smooth=_SMOOTH_STEPS
    ),
    "prelogits_norm": Figure("prelogits_norm", "Prelogits norm", "steps", "Prelogits norm"),
    "learning_rate": Figure(
        "learning_rate", "Learning rate", "epochs", "Learning rate", per_epoch=True, log=True
    ),
    "center_loss": Figure(
        "center_loss", "Center loss", "epochs", "Center loss", smooth=_SMOOTH_STEPS
    ),
    "loss": Figure("loss", "Total loss", "epochs", "Total loss", smooth=_SMOOTH_STEPS),
    "reg_loss": Figure(
        "reg_loss", "Regularization loss", "epochs", "Regularization loss", smooth=_SMOOTH_STEPS
    ),
}  # fmt: skip
"""The figures of ``plot_learning_curves.m`` by name; it shows the first, the others on request."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One training run.

    Attributes:
        name: That of its folder.
        text: What the legend says of it.
        values: The data sets of its ``stat.h5``.
        settings: Its ``arguments.txt``, where there is one.
    """

    name: str
    text: str
    values: Mapping[str, NDArray[np.float64]] = field(repr=False)
    settings: Mapping[str, str]

    @property
    def epoch_size(self) -> int:
        """Steps per epoch; facenet's 1000 where nothing states them."""
        stated = self.settings.get("epoch_size", "")
        return int(stated) if stated.isdecimal() and int(stated) else 1000


class Curve(NamedTuple):
    """One line of a figure.

    Attributes:
        x: (n,) steps or epochs.
        y: (n,) values; gaps are NaN.
        legend: What it is called.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    legend: str


def plot_learning_curves(
    log_dir: Path,
    runs: Sequence[tuple[str, str]],
    output: Path,
    figures: Sequence[str] = ("lfw_accuracy",),
    *,
    talk: Talk,
) -> list[Path]:
    """Draw learning curves of several runs into one picture per figure.

    Args:
        log_dir: Holds ``<run>/stat.h5`` and, maybe, ``<run>/arguments.txt``.
        runs: The name of each run, and what the legend says of it.
        output: The picture; of several figures, ``<stem>-<figure><suffix>``.
        figures: Names of `FIGURES`.
        talk: Where words go.

    Returns:
        The pictures.

    Raises:
        RangeError: An unknown figure, or no run.
        DataFileError: A run cannot be read, or no run has what a figure shows.
        MissingExtraError: h5py or matplotlib is not installed.
        OutputError: A picture cannot be written.
    """
    unknown = [name for name in figures if name not in FIGURES]
    if unknown or not figures or not runs:
        raise RangeError(
            f"a figure is one of {', '.join(FIGURES)}, got {', '.join(unknown) or 'none'}"
            if runs
            else "at least one run must be named"
        )
    read = [read_run(log_dir / name, text) for name, text in runs]
    for run in read:
        if run.settings:
            said = {
                "wd": "weight_decay",
                "lr": "learning_rate",
                "data_dir": "data_dir",
                "emb_size": "embedding_size",
            }
            words = ", ".join(f"{k}={run.settings.get(v, '?')}" for k, v in said.items())
            talk.line(f"{run.name}: {words}")
    written = []
    for name in figures:
        path = output
        if len(figures) > 1:
            path = output.with_name(f"{output.stem}-{name}{output.suffix}")
        _draw(FIGURES[name], read, path)
        written.append(path)
    return written


def read_run(folder: Path, text: str = "") -> Run:
    """Read a run's ``stat.h5`` and ``arguments.txt``.

    Raises:
        DataFileError: ``stat.h5`` is missing, damaged, or holds anything but numbers.
        MissingExtraError: h5py is not installed.
    """
    library, path = hdf5(), folder / "stat.h5"
    values: dict[str, NDArray[np.float64]] = {}
    try:
        with library.File(path, "r") as file:
            for name in {figure.dataset for figure in FIGURES.values()}:
                if isinstance(found := file.get(name), library.Dataset):
                    if found.dtype.kind not in "fiu" or found.size * 8 > _MOST_BYTES:
                        raise ValueError(f"{name} is no list of numbers of sensible length")
                    values[name] = np.asarray(found, np.float64).reshape(-1)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DataFileError(
            f"{path} cannot be read: {error}",
            remedy="name the folder that holds the runs, and a run with a stat.h5",
            path=str(path),
        ) from error
    return Run(folder.name, text, values, _settings(folder / "arguments.txt"))


def curve_of(figure: Figure, run: Run) -> Curve | None:
    """A run's line in a figure; ``None`` where it has no such values."""
    values = run.values.get(figure.dataset)
    if values is None or not values.any():
        return None
    last = int(np.flatnonzero(values)[-1]) + 1  # what was not reached yet is 0
    y = values[:last].copy()
    legend = f"{run.name}: {run.text}" if run.text else run.name
    if figure.mean:
        legend += f" ({y[max(0, last - 1 - _LAST_EPOCHS) :].mean() * 100:.2f}%)"
    y = _smoothed(y, figure.smooth)
    x = np.arange(1, last + 1, dtype=np.float64)
    if figure.per_epoch and figure.x == "steps":
        x *= run.epoch_size
    elif not figure.per_epoch and figure.x == "epochs":
        x /= run.epoch_size
    return Curve(x, y, legend)


def _smoothed(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Mean of each value and up to `count` - 1 before it; zeros are gaps, and NaN where all are."""
    seen = values != 0
    sums, counts = (np.cumsum(np.concatenate([[0.0], a])) for a in (values, seen))
    first = np.maximum(np.arange(1, len(values) + 1) - count, 0)
    sums, counts = sums[1:] - sums[first], counts[1:] - counts[first]
    return np.where(seen, sums / np.maximum(counts, 1), np.nan)


def _settings(path: Path) -> dict[str, str]:
    """The lines ``key: value`` of a run's arguments; none where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _draw(figure: Figure, runs: Sequence[Run], path: Path) -> None:
    try:
        from matplotlib.figure import Figure as Sheet
    except ImportError as error:
        raise MissingExtraError(
            "learning curves are drawn with matplotlib",
            remedy="pip install 'vultus[facenet]'",
            extra="facenet",
        ) from error
    curves = [curve for run in runs if (curve := curve_of(figure, run)) is not None]
    if not curves:
        raise DataFileError(
            f"no run has values for {figure.dataset}", remedy="ask for another figure"
        )
    sheet = Sheet(figsize=(9, 6), layout="constrained")
    axes: Any = sheet.add_subplot()
    for curve in curves:
        axes.plot(curve.x, curve.y, linewidth=2, label=curve.legend)
    axes.set(title=figure.title, xlabel=figure.x.capitalize(), ylabel=figure.y)
    if figure.limits is not None:
        axes.set_ylim(*figure.limits)
    if figure.log:
        axes.set_yscale("log")
    axes.grid(visible=True)
    axes.legend(loc="best", fontsize="small")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.savefig(path)
    except (OSError, ValueError) as error:  # ValueError: an ending it does not know
        raise OutputError(f"{path} cannot be written: {error}", path=str(path)) from error
