"""Heads: from embeddings to the logits of a classification loss, over all classes or a sample."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import RangeError
from vultus.train.margins import Margin

__all__ = ["CosineHead", "HeadOutput", "SampledHead", "SoftmaxHead", "head_loss"]


class HeadOutput(NamedTuple):
    """What a head gives.

    Attributes:
        logits: (n, columns) float32, or float64 where the embeddings are.
        targets: (n,) int64, the column of each example's class.
        penalty: Scalar to be added to the loss.
    """

    logits: Tensor
    targets: Tensor
    penalty: Tensor


def head_loss(output: HeadOutput) -> Tensor:
    """The mean cross-entropy over the examples, and the head's penalty."""
    return functional.cross_entropy(output.logits, output.targets) + output.penalty


class SoftmaxHead(nn.Module):
    """A linear layer with a bias over the embeddings as they are: the plain softmax.

    Source: facenet's ``train_softmax.py``, whose logits are a fully connected layer over the
    prelogits.

    Args:
        embedding_size: ``d``.
        classes: How many identities.

    Raises:
        RangeError: Fewer than two classes.
    """

    def __init__(self, embedding_size: int, classes: int) -> None:
        super().__init__()
        _check_classes(classes)
        self.linear = nn.Linear(embedding_size, classes)

    def forward(self, embeddings: Tensor, labels: Tensor) -> HeadOutput:
        """Logits of (n, d) embeddings that need not have unit length."""
        with torch.autocast(embeddings.device.type, enabled=False):
            logits: Tensor = self.linear(_wide(embeddings))
        return HeadOutput(logits, labels, logits.new_zeros(()))


class CosineHead(nn.Module):
    """Cosines between embeddings and one weight per class, given to a margin.

    Args:
        embedding_size: ``d``.
        classes: How many identities.
        margin: What to make of the cosines.

    Raises:
        RangeError: Fewer than two classes.
    """

    def __init__(self, embedding_size: int, classes: int, margin: Margin) -> None:
        super().__init__()
        _check_classes(classes)
        # Normal with deviation 0.01: the ArcFace authors' code; only directions matter.
        self.weight = nn.Parameter(torch.randn(classes, embedding_size) * 0.01)
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> HeadOutput:
        """Logits of (n, d) embeddings that need not have unit length."""
        return _through(self.margin, embeddings, self.weight, labels)


class SampledHead(CosineHead):
    """A `CosineHead` that looks at a random part of the classes in each training step.

    The classes of the batch are always among them; the others are drawn anew each time, without
    repetition. The logits take ``rate`` of the memory and time. Unlike the paper's, the weights
    are not spread over devices, and the gradient of an unseen class is zero rather than absent.

    Source: An et al. 2022, "Partial FC"; a rate of 0.1 is theirs.

    Args:
        embedding_size: ``d``.
        classes: How many identities.
        margin: What to make of the cosines.
        rate: Which part of the classes, in (0, 1].
        seed: Of the drawing. The generator's state is part of ``state_dict``, so that a resumed
            run draws on where it stopped.

    Raises:
        RangeError: Fewer than two classes, or a rate outside (0, 1].
    """

    def __init__(
        self,
        embedding_size: int,
        classes: int,
        margin: Margin,
        *,
        rate: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(embedding_size, classes, margin)
        if not 0.0 < rate <= 1.0:
            raise RangeError(f"a sampled head's rate lies in (0, 1], got {rate}")
        self.samples = max(1, round(rate * classes))
        self._generator = torch.Generator().manual_seed(seed)

    def forward(self, embeddings: Tensor, labels: Tensor) -> HeadOutput:
        """Logits over the drawn classes when training, over all of them otherwise."""
        if not self.training:
            return super().forward(embeddings, labels)
        chosen = self.draw(labels)
        targets = torch.searchsorted(chosen, labels)
        return _through(self.margin, embeddings, self.weight[chosen], targets)

    def draw(self, labels: Tensor) -> Tensor:
        """The classes of this step, ascending: those of `labels` and random others.

        Returns:
            (max(samples, distinct labels),) int64.
        """
        # Drawn on the CPU, so that every device sees the same classes.
        order = torch.rand(len(self.weight), generator=self._generator).to(labels.device)
        order[labels] = 2.0  # above all others
        count = max(self.samples, int((order == 2.0).sum()))
        return torch.topk(order, count).indices.sort().values

    def get_extra_state(self) -> Tensor:
        """The generator's state, (n,) uint8."""
        return self._generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from a state of `get_extra_state`."""
        self._generator.set_state(state.cpu())


def _through(margin: Margin, embeddings: Tensor, weight: Tensor, targets: Tensor) -> HeadOutput:
    # Half precision would round angles by a degree: cosines are computed in float32 at least.
    with torch.autocast(embeddings.device.type, enabled=False):
        wide = _wide(embeddings)
        norms = torch.linalg.vector_norm(wide, dim=1)
        units = wide / norms.clamp_min(1e-12)[:, None]
        cosines = functional.linear(units, functional.normalize(weight)).clamp(-1.0, 1.0)
        logits = margin(cosines, norms, targets)
        return HeadOutput(logits, targets, margin.penalty(norms))


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _check_classes(classes: int) -> None:
    if classes < 2:
        raise RangeError(
            f"telling identities apart takes at least two, got {classes}", actual=classes
        )
