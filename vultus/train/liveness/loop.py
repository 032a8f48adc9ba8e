"""The training loop: batches, early stopping on groups held out, then everything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vultus.errors import InsufficientDataError, RangeError
from vultus.train.liveness.data import CropSet, augmented
from vultus.train.liveness.nets import NETS, FromPixels

__all__ = ["Epoch", "LoopOptions", "Trained", "fit", "run_net", "split_groups"]

_BATCH_OF_RUNS = 64


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How to train.

    Attributes:
        net: ``alexnet-v1``, ``alexnet-v2`` or ``small``.
        epochs: At most so many, ≥ 1.
        batch: Pictures per step, ≥ 2.
        optimiser: ``adam``, or ``momentum`` of 0.9.
        rate: Learning rate of the first epoch.
        decay: Factor of the rate after each epoch, in (0, 1].
        patience: Epochs without a lower loss on the groups held out before it stops.
        held_out: Part of the groups (`CropSet.sessions`) that early stopping looks at, in (0, 1);
            one group at least.
        threads: Of PyTorch.
        seed: Of weights, order and changes.

    Raises:
        RangeError: A value is outside its range.
    """

    net: str = "alexnet-v1"
    epochs: int = 12
    batch: int = 32
    optimiser: Literal["adam", "momentum"] = "adam"
    rate: float = 3e-5
    decay: float = 0.99
    patience: int = 4
    held_out: float = 0.2
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.net not in NETS:
            raise RangeError(f"net must be one of {', '.join(NETS)}, got {self.net!r}")
        for name, least in (("epochs", 1), ("batch", 2), ("patience", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise RangeError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0.0 < self.rate < math.inf or not 0.0 < self.decay <= 1.0:
            raise RangeError("rate must be above 0 and decay in (0, 1]")
        if not 0.0 < self.held_out < 1.0:
            raise RangeError(f"held_out must lie in (0, 1), got {self.held_out}")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the pictures came to: losses in nats, accuracy on the groups held out."""

    loss: float
    held_out_loss: float
    held_out_accuracy: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network.

    Attributes:
        net: Trained on all groups, for as many epochs as were best for those held out; takes
            (n, 3, s, s) pixels of 0 to 255.
        history: Every epoch of the training without them.
        best: Number of the best epoch, from 0.
        cpu_s: CPU time it took, all threads together.
        held_out_groups: What early stopping looked at.
    """

    net: nn.Module = field(repr=False)
    history: tuple[Epoch, ...]
    best: int
    cpu_s: float
    held_out_groups: tuple[str, ...]


def split_groups(groups: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Rows that are held out: those of about a `share` of the groups, one at least.

    Raises:
        InsufficientDataError: There are fewer than two groups.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        raise InsufficientDataError(
            f"two people or sessions at least: one to train on, one to hold out, got {len(names)}",
            remedy="put the pictures of each person into a folder of their own",
            expected=2,
            actual=len(names),
        )
    count = min(len(names) - 1, max(1, round(share * len(names))))
    chosen = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    return np.array([name in chosen for name in groups], bool)


def fit(
    crops: CropSet,
    options: LoopOptions,
    *,
    log_dir: Path | None = None,
    progress: Callable[[int, Epoch], None] | None = None,
) -> Trained:
    """Train a network, twice: to learn for how long, and then on everything for as long.

    Args:
        crops: Living faces and attacks; of some groups, early stopping sees all pictures and
            the first training none.
        options: How.
        log_dir: For TensorBoard, where it is installed; nothing is written otherwise.
        progress: Called after each epoch.

    Raises:
        InsufficientDataError: Too few groups; or those held out lack living faces or attacks.
        RangeError: The loss is no longer finite: the rate is too high.
    """
    held = split_groups(crops.sessions, options.held_out, options.seed)
    if any(len(set(crops.live[part].tolist())) < 2 for part in (held, ~held)):
        raise InsufficientDataError(
            "both the groups trained on and those held out must have living faces and attacks",
            remedy="name the folders of attacks after the people they imitate",
        )
    began = time.process_time()
    torch.set_num_threads(options.threads)
    train, test = crops.part(np.flatnonzero(~held)), crops.part(np.flatnonzero(held))
    history: list[Epoch] = []
    best = 0
    with _Board(log_dir) as board:
        for number, (net, loss) in enumerate(_epochs(train, options)):
            epoch = Epoch(loss, *_measured(net, test))
            history.append(epoch)
            board.write(number, epoch)
            if progress is not None:
                progress(number, epoch)
            if epoch.held_out_loss <= history[best].held_out_loss:
                best = number
            if number + 1 == options.epochs or number - best >= options.patience:
                break
    net, _ = next(islice(_epochs(crops, options), best, None))
    net.eval()
    groups = tuple(sorted(set(test.sessions)))
    return Trained(net, tuple(history), best, time.process_time() - began, groups)


def _epochs(crops: CropSet, options: LoopOptions) -> Iterator[tuple[nn.Module, float]]:
    """Train a fresh network without end; it and its loss after each epoch."""
    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    net = FromPixels(NETS[options.net](crops.pixels.shape[1]))
    optimiser = _optimiser(net, options)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, options.decay)
    while True:
        loss = _pass(net, optimiser, crops, options.batch, random)
        schedule.step()
        yield net, loss


def _optimiser(net: nn.Module, options: LoopOptions) -> torch.optim.Optimizer:
    if options.optimiser == "adam":
        return torch.optim.Adam(net.parameters(), lr=options.rate)
    return torch.optim.SGD(net.parameters(), lr=options.rate, momentum=0.9)


def _pass(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    crops: CropSet,
    batch: int,
    random: np.random.Generator,
) -> float:
    """One epoch; the mean loss. Living faces and attacks weigh one half each."""
    net.train()
    order = random.permutation(len(crops))
    truth = torch.from_numpy(crops.live.astype(np.int64))
    share = float(crops.live.mean())
    weight = torch.tensor([0.5 / (1.0 - share), 0.5 / share], dtype=torch.float32)
    total, seen = 0.0, 0
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        if len(rows) < 2:  # batch normalisation takes two
            continue
        logits, _ = net(torch.from_numpy(augmented(crops.pixels[rows], random)))
        loss = cross_entropy(logits, truth[rows], weight)
        value = float(loss.item())
        if not math.isfinite(value):
            raise RangeError("the loss is no longer finite", remedy="take a lower --rate")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total, seen = total + value * len(rows), seen + len(rows)
    return total / max(seen, 1)


def _measured(net: nn.Module, crops: CropSet) -> tuple[float, float]:
    """Loss and accuracy."""
    logits, _ = run_net(net, crops)
    truth = crops.live.astype(np.int64)
    loss = float(cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth)))
    return loss, float((logits.argmax(axis=1) == truth).mean())


def run_net(net: nn.Module, crops: CropSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, classes) logits and (n, d) features of crops."""
    net.eval()
    logits, features = [], []
    with torch.no_grad():
        for start in range(0, len(crops), _BATCH_OF_RUNS):
            part = crops.pixels[start : start + _BATCH_OF_RUNS]
            pixels: Tensor = torch.from_numpy(part).permute(0, 3, 1, 2).float()
            outputs = net(pixels)
            logits.append(outputs[0].numpy())
            features.append(outputs[1].numpy())
    return np.concatenate(logits), np.concatenate(features)


class _Board:
    """TensorBoard's writer, or nothing where it is not installed or not asked for."""

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> _Board:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, number: int, epoch: Epoch) -> None:
        """One epoch's figures."""
        if self._writer is not None:
            self._writer.add_scalar("loss/train", epoch.loss, number)
            self._writer.add_scalar("loss/held-out", epoch.held_out_loss, number)
            self._writer.add_scalar("accuracy/held-out", epoch.held_out_accuracy, number)
