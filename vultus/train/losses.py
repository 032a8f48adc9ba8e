"""Losses on embeddings: center loss, the penalty on prelogits, triplets, contrastive pairs."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import RangeError, ShapeError

__all__ = [
    "CenterLoss",
    "Mining",
    "Selection",
    "batch_triplet_loss",
    "contrastive_loss",
    "prelogits_norm_penalty",
    "select_triplets",
    "squared_distances",
    "triplet_loss",
]

Mining: TypeAlias = Literal["semi-hard", "hard", "all"]


class CenterLoss(nn.Module):
    """The mean squared distance of features from their class's moving center.

    ``factor · mean((f - c[y])²)`` over all elements, with the centers before the update. Then
    each example moves its center: ``c[y] -= (1 - alpha) (c[y] - f)``; repeats add up. Centers
    begin at zero.

    Source: facenet's ``center_loss`` (after Wen et al. 2016), with its alpha of 0.95. Wen et al.
    sum over the elements, halve, and divide a center's step by one more than its examples.

    Args:
        classes: How many identities.
        feature_size: Length of a feature.
        alpha: How much of a center stays, in [0, 1).
        factor: What the loss is multiplied with.

    Raises:
        RangeError: `alpha` lies outside [0, 1), or `factor` is negative.
    """

    centers: Tensor

    def __init__(
        self, classes: int, feature_size: int, *, alpha: float = 0.95, factor: float = 1.0
    ) -> None:
        super().__init__()
        if not 0.0 <= alpha < 1.0:
            raise RangeError(f"center loss takes an alpha in [0, 1), got {alpha}")
        if not factor >= 0.0:
            raise RangeError(f"center loss takes a factor of at least 0, got {factor}")
        self.alpha, self.factor = alpha, factor
        self.register_buffer("centers", torch.zeros(classes, feature_size))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (n, d) features; in training the centers are moved afterwards."""
        difference = features - self.centers[labels]
        loss = difference.square().mean()
        if self.training:
            with torch.no_grad():
                step = (1.0 - self.alpha) * difference.to(self.centers)
                self.centers.index_add_(0, labels, step)
        return self.factor * loss


def prelogits_norm_penalty(prelogits: Tensor, *, p: float = 1.0, factor: float = 1.0) -> Tensor:
    """``factor`` times the mean p-norm of ``|prelogits| + 1e-4``, a scalar.

    Source: facenet's ``train_softmax.py`` (``prelogits_norm_p``, ``prelogits_norm_loss_factor``).
    """
    norms: Tensor = torch.linalg.vector_norm(_wide(prelogits).abs() + 1e-4, ord=p, dim=1)
    return factor * norms.mean()


def squared_distances(embeddings: Tensor) -> Tensor:
    """(n, n) squared Euclidean distances between unit vectors, ``2 - 2 cos``."""
    # Half precision would make near and far alike: 2 - 2 cos loses what little there is.
    with torch.autocast(embeddings.device.type, enabled=False):
        wide = _wide(embeddings)
        return (2.0 - 2.0 * wide @ wide.T).clamp_min(0.0)


def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, alpha: float = 0.2
) -> Tensor:
    """``mean(max(0, ‖a - p‖² - ‖a - n‖² + alpha))`` over rows of unit vectors.

    Source: Schroff et al. 2015, "FaceNet", section 3.1; alpha = 0.2.
    """
    near = (_wide(anchor) - _wide(positive)).square().sum(1)
    far = (_wide(anchor) - _wide(negative)).square().sum(1)
    return functional.relu(near - far + alpha).mean()


def batch_triplet_loss(
    embeddings: Tensor, labels: Tensor, *, alpha: float = 0.2, mining: Mining = "semi-hard"
) -> Tensor:
    """The triplet loss over triplets found within the batch.

    - ``semi-hard``: for each pair of one person the nearest negative that is farther than the
      positive; a pair without one is left out (Schroff et al. 2015, section 3.2).
    - ``hard``: for each anchor the farthest positive and the nearest negative (Hermans et al.
      2017, "In Defense of the Triplet Loss", equation 5).
    - ``all``: all triplets whose loss is above zero (the same, equation 6, averaged over those).

    Args:
        embeddings: (n, d) of unit length.
        labels: (n,) int64.
        alpha: The margin between squared distances.
        mining: Which triplets.

    Returns:
        Scalar, the mean over the triplets; zero, with zero gradient, where there is none.

    Raises:
        RangeError: An unknown `mining`.
    """
    distances = squared_distances(embeddings)
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if mining == "hard":
        near, far, used = _hardest(distances, positive, ~same)
        losses = functional.relu(near - far + alpha)[used]
    elif mining in ("semi-hard", "all"):
        anchor, other = torch.nonzero(positive, as_tuple=True)
        near, far = distances[anchor, other][:, None], distances[anchor]
        valid = ~same[anchor]
        if mining == "all":
            losses = functional.relu(near - far + alpha)[valid]
            losses = losses[losses > 0.0]
        else:
            best, column = far.masked_fill(~valid | (far <= near), torch.inf).min(1, keepdim=True)
            del column
            losses = functional.relu(near - best + alpha)[torch.isfinite(best)]
    else:
        raise RangeError(f"mining is semi-hard, hard or all, got {mining!r}")
    return losses.mean() if losses.numel() else embeddings.sum() * 0.0


def contrastive_loss(embeddings: Tensor, labels: Tensor, *, margin: float = 1.0) -> Tensor:
    """``½ d²`` for two of one person, ``½ max(0, margin - d)²`` for others, over all pairs.

    Source: Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant Mapping",
    equation 4, with the Euclidean distance d; averaged over the batch's pairs.

    Args:
        embeddings: (n, d).
        labels: (n,) int64.
        margin: From which distance on other people cost nothing.

    Returns:
        Scalar; zero, with zero gradient, for fewer than two embeddings.
    """
    first, second = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
    if not len(first):
        return embeddings.sum() * 0.0
    wide = _wide(embeddings)
    squared = (wide[first] - wide[second]).square().sum(1)
    # The root's slope at zero is infinite: two identical pictures would give NaN.
    distance = torch.sqrt(squared.clamp_min(1e-12))
    apart = functional.relu(margin - distance).square()
    return 0.5 * torch.where(labels[first] == labels[second], squared, apart).mean()


class Selection(NamedTuple):
    """Triplets for a round of training.

    Attributes:
        triplets: (t, 3) int64 rows of anchor, positive and negative, in random order.
        pairs: How many pairs of anchor and positive were looked at.
    """

    triplets: NDArray[np.int64]
    pairs: int


def select_triplets(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    alpha: float = 0.2,
    seed: int | tuple[int, ...] = 0,
) -> Selection:
    """Choose triplets from embeddings of a whole round of pictures, as facenet does.

    For each picture and each later one of the same person, one negative is drawn at random from
    all with ``‖a - n‖² - ‖a - p‖² < alpha``; a pair without one gives no triplet. Unlike
    FaceNet's semi-hard rule a negative may be nearer than the positive.

    Source: facenet's ``select_triplets`` in ``train_tripletloss.py``.

    Args:
        embeddings: (n, d).
        labels: (n,) whose picture it is.
        alpha: The margin between squared distances.
        seed: Of the drawing and of the order.

    Raises:
        ShapeError: Not one label for each embedding.
    """
    if embeddings.ndim != 2 or labels.shape != (len(embeddings),):
        raise ShapeError(
            f"triplets take (n, d) embeddings and (n,) labels, got {embeddings.shape} and "
            f"{labels.shape}"
        )
    random = np.random.default_rng(seed)
    wide = embeddings.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    chosen: list[tuple[int, int, int]] = []
    pairs = 0
    for anchor in range(len(wide)):
        same = labels == labels[anchor]
        positives = np.flatnonzero(same[anchor + 1 :]) + anchor + 1
        if not len(positives):
            continue
        distances = squares[anchor] + squares - 2.0 * (wide @ wide[anchor])
        others = np.flatnonzero(~same)
        pairs += len(positives)
        for positive in positives:
            near = others[distances[others] - distances[positive] < alpha]
            if len(near):
                chosen.append((anchor, int(positive), int(random.choice(near))))
    triplets = np.array(chosen, np.int64).reshape(-1, 3)
    return Selection(random.permutation(triplets), pairs)


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _hardest(
    distances: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    near = distances.masked_fill(~positive, -torch.inf).amax(1)
    far = distances.masked_fill(~negative, torch.inf).amin(1)
    return near, far, positive.any(1) & negative.any(1)
