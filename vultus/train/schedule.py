"""Learning rates over time, and optimisers by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from vultus.errors import DataFileError, RangeError

__all__ = [
    "OPTIMISERS",
    "Cosine",
    "FacenetDecay",
    "Poly",
    "Schedule",
    "ScheduleFile",
    "Steps",
    "Warmup",
    "make_optimiser",
    "set_rate",
]

_MOST_BYTES = 1 << 20
_LINE = re.compile(r"\s*(?P<epoch>[^:]*?)\s*:\s*(?P<rate>[^:]*?)\s*")


class Schedule(Protocol):
    """The learning rate at each moment of a run."""

    def rate(self, epoch: float) -> float | None:
        """The rate after `epoch` epochs, parts included, from 0 on; ``None``: training ends."""
        ...


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """Facenet's schedule files: from which epoch on which rate holds.

    Lines ``epoch: rate``; ``#`` begins a comment; the rate ``-1`` or ``-`` ends the training
    before its epoch. The last line whose epoch has been reached holds, and epochs count from 1 in
    facenet's softmax training, from 0 in its triplet training: `first_epoch` says which.

    Facenet itself ends at the file's last line whatever its rate, by an accident of Python 2;
    here only -1 ends, and a last rate otherwise holds until the last epoch, which must then be
    given.

    Source: facenet's ``get_learning_rate_from_file`` and ``data/learning_rate_schedule_*.txt``.

    Attributes:
        steps: Pairs of epoch and rate, ascending; ``None`` for the end.
        first_epoch: The number of the first epoch.
    """

    steps: tuple[tuple[int, float | None], ...]
    first_epoch: int = 1

    def rate(self, epoch: float) -> float | None:
        """The rate in the epoch that runs after `epoch` whole ones."""
        number = math.floor(epoch) + self.first_epoch
        held: float | None = None
        for start, value in self.steps:
            if start > number:
                break
            held = value
        return held

    @property
    def end(self) -> int | None:
        """The number of the epoch before which training ends; ``None``: the file has no end."""
        last_epoch, last_rate = self.steps[-1]
        return last_epoch if last_rate is None else None

    @classmethod
    def read(
        cls, path: Path, *, first_epoch: int = 1, max_epochs: int | None = None
    ) -> ScheduleFile:
        """Read a schedule file.

        Args:
            path: The file.
            first_epoch: The number of the first epoch.
            max_epochs: How many epochs are trained at most; a file without an end needs it.

        Raises:
            DataFileError: The file cannot be read, has no line, a line is not ``epoch: rate``,
                epochs do not ascend, lines follow the end, the first epoch has no rate, or
                neither the file nor `max_epochs` ends the training.
        """
        steps = tuple(_steps(_text(path).splitlines(), path))
        if not steps:
            raise DataFileError(f"the schedule {path} has no line 'epoch: rate'", path=str(path))
        if steps[0][0] > first_epoch:
            raise DataFileError(
                f"the schedule {path} begins with epoch {steps[0][0]}, training with {first_epoch}",
                remedy=f"begin it with a line '{first_epoch}: RATE'",
                path=str(path),
            )
        schedule = cls(steps, first_epoch)
        if schedule.end is None and max_epochs is None:
            raise DataFileError(
                f"the schedule {path} has no end",
                remedy="add a line 'EPOCH: -1', or say how many epochs to train",
                path=str(path),
            )
        return schedule


@dataclass(frozen=True, slots=True)
class FacenetDecay:
    """``base · factor^floor(epoch / every)``, over another schedule's rates where one is given.

    Source: facenet's ``exponential_decay(staircase=True)`` of ``learning_rate_decay_epochs`` and
    ``learning_rate_decay_factor``, which holds for schedule files too.
    """

    base: float | ScheduleFile
    every: float = 100.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.base, ScheduleFile):
            _positive("learning rate", self.base)
        _positive("interval in epochs", self.every)
        _positive("factor", self.factor)

    def rate(self, epoch: float) -> float | None:
        """The decayed rate."""
        base = self.base.rate(epoch) if isinstance(self.base, ScheduleFile) else self.base
        return None if base is None else base * self.factor ** math.floor(epoch / self.every)


@dataclass(frozen=True, slots=True)
class Cosine:
    """Half a cosine from `base` to `least`: ``least + (base - least)(1 + cos(π t / T)) / 2``.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """

    base: float
    epochs: float
    least: float = 0.0

    def __post_init__(self) -> None:
        _positive("learning rate", self.base)
        _positive("number of epochs", self.epochs)
        if not 0.0 <= self.least <= self.base:
            raise RangeError(f"a cosine ends between 0 and its base, got {self.least}")

    def rate(self, epoch: float) -> float | None:
        """The rate; ``None`` from the last epoch's end on."""
        if epoch >= self.epochs:
            return None
        part = 0.5 * (1.0 + math.cos(math.pi * epoch / self.epochs))
        return self.least + (self.base - self.least) * part


@dataclass(frozen=True, slots=True)
class Poly:
    """``base · (1 - t / T)^power``; a power of 2 in arcface_torch's ``PolyScheduler``."""

    base: float
    epochs: float
    power: float = 2.0

    def __post_init__(self) -> None:
        _positive("learning rate", self.base)
        _positive("number of epochs", self.epochs)
        _positive("power", self.power)

    def rate(self, epoch: float) -> float | None:
        """The rate; ``None`` from the last epoch's end on."""
        if epoch >= self.epochs:
            return None
        return float(self.base * (1.0 - epoch / self.epochs) ** self.power)


@dataclass(frozen=True, slots=True)
class Steps:
    """`base`, multiplied with `factor` when each of `at` epochs is reached."""

    base: float
    epochs: float
    at: tuple[float, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        _positive("learning rate", self.base)
        _positive("number of epochs", self.epochs)
        _positive("factor", self.factor)
        if list(self.at) != sorted(set(self.at)):
            raise RangeError(f"the epochs of steps must ascend, got {self.at}")

    def rate(self, epoch: float) -> float | None:
        """The rate; ``None`` from the last epoch's end on."""
        if epoch >= self.epochs:
            return None
        return self.base * self.factor ** sum(epoch >= step for step in self.at)


@dataclass(frozen=True, slots=True)
class Warmup:
    """A linear rise to another schedule, which begins when the rise is over.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    Attributes:
        after: What follows; its epochs count from the rise's end.
        epochs: How long the rise takes.
        start: Its first rate as a part of the first one of `after`.
    """

    after: Schedule
    epochs: float
    start: float = 0.0

    def __post_init__(self) -> None:
        if not self.epochs >= 0.0 or not 0.0 <= self.start <= 1.0:
            raise RangeError(
                f"a warm-up takes epochs of at least 0 and a start in [0, 1], got {self.epochs} "
                f"and {self.start}"
            )

    def rate(self, epoch: float) -> float | None:
        """The rate."""
        if epoch >= self.epochs:
            return self.after.rate(epoch - self.epochs)
        goal = self.after.rate(0.0)
        if goal is None:
            return None
        return goal * (self.start + (1.0 - self.start) * epoch / self.epochs)


_MAKERS: dict[str, Callable[..., Optimizer]] = {
    "ADAGRAD": partial(torch.optim.Adagrad, initial_accumulator_value=0.1, eps=0.0),
    "ADADELTA": partial(torch.optim.Adadelta, rho=0.9, eps=1e-6),
    "ADAM": partial(torch.optim.Adam, betas=(0.9, 0.999), eps=0.1),
    "RMSPROP": partial(torch.optim.RMSprop, alpha=0.9, eps=1.0, momentum=0.9),
    "MOM": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "ADAMW": torch.optim.AdamW,
    "SGD": torch.optim.SGD,
}  # constants: see `make_optimiser`

OPTIMISERS: tuple[str, ...] = tuple(_MAKERS)
"""Names that `make_optimiser` takes; the first five are facenet's."""


def make_optimiser(
    name: str,
    parameters: Iterable[nn.Parameter],
    rate: float,
    *,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
) -> Optimizer:
    """Make an optimiser by name.

    ``ADAGRAD``, ``ADADELTA``, ``ADAM``, ``RMSPROP`` and ``MOM`` have facenet's constants (and
    TensorFlow 1's defaults where facenet gives none): an initial accumulator of 0.1; rho 0.9 and
    epsilon 1e-6; epsilon 0.1; decay 0.9, momentum 0.9 and epsilon 1.0; Nesterov's momentum 0.9.
    RMSPROP still differs from TensorFlow's, which begins with a mean square of one and takes the
    root after adding epsilon; and TensorFlow's momentum has the rates of the past in it, which
    shows only where the rate changes. ``ADAMW`` and ``SGD`` are PyTorch's own.

    Source: facenet's ``train`` in ``src/facenet.py``; Loshchilov and Hutter 2019 for AdamW.

    Args:
        name: One of `OPTIMISERS`, in any case.
        parameters: What is learnt.
        rate: The first learning rate.
        weight_decay: ``AdamW``'s own decay, the squared weights' gradient for the others, which
            is facenet's L2 regulariser: it adds ``weight_decay / 2 · ‖w‖²``.
        momentum: Of ``SGD``.

    Raises:
        RangeError: An unknown name, or a rate or decay that is impossible.
    """
    _positive("learning rate", rate)
    if not weight_decay >= 0.0:
        raise RangeError(f"a weight decay is at least 0, got {weight_decay}")
    make = _MAKERS.get(name.upper())
    if make is None:
        raise RangeError(
            f"no optimiser is called {name!r}", remedy=f"choose one of {', '.join(OPTIMISERS)}"
        )
    own = [parameter for parameter in parameters if parameter.requires_grad]
    more = {"momentum": momentum} if name.upper() == "SGD" else {}
    return make(own, lr=rate, weight_decay=weight_decay, **more)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Let all parameters be learnt at this rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def _steps(lines: Sequence[str], path: Path) -> Iterable[tuple[int, float | None]]:
    last, ended = -1, False
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0]
        if not text.strip():
            continue
        step = _step(text)
        if step is None:
            raise _bad_line(path, number, "is not 'epoch: rate'")
        if ended:
            raise _bad_line(path, number, "follows the end (-1)")
        if step[0] <= last:
            raise _bad_line(path, number, f"has epoch {step[0]} after {last}; epochs must ascend")
        last, ended = step[0], step[1] is None
        yield step


def _step(text: str) -> tuple[int, float | None] | None:
    """The numbers of a line; ``None`` where it has none."""
    match = _LINE.fullmatch(text)
    if match is None or not re.fullmatch(r"[0-9]{1,9}", match["epoch"]):
        return None
    epoch = int(match["epoch"])
    if match["rate"] == "-":
        return epoch, None
    try:
        rate = float(match["rate"])
    except ValueError:
        return None
    if rate == -1.0:
        return epoch, None
    return (epoch, rate) if rate > 0.0 and math.isfinite(rate) else None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise DataFileError(f"the schedule {path} is larger than 1 MiB", path=str(path))
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(
            f"the schedule {path} cannot be read: {error}", path=str(path)
        ) from error


def _bad_line(path: Path, number: int, what: str) -> DataFileError:
    return DataFileError(f"line {number} of the schedule {path} {what}", path=str(path))


def _positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise RangeError(f"a {what} must be positive, got {value}")
