"""Margins: what each paper does to the cosines between an embedding and the classes' weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vultus.errors import RangeError

__all__ = [
    "AdaFace",
    "ArcFace",
    "CombinedMargin",
    "CosFace",
    "CurricularFace",
    "MagFace",
    "Margin",
    "SphereFace",
]

_EPS = 1e-7  # keeps arc cosines and square roots away from where their slope is infinite


class Margin(nn.Module):
    """Turns cosines into logits and makes the true class harder to reach.

    Without a margin of its own it is the normalised softmax, ``s · cos θ`` (NormFace, Wang et
    al. 2017). A margin sees cosines only, so a head may hand it all classes or a sample of them.

    Args:
        scale: ``s``, what cosines are multiplied with; 64 in ArcFace and its successors.

    Raises:
        RangeError: `scale` is not positive.
    """

    def __init__(self, scale: float = 64.0) -> None:
        super().__init__()
        if not (math.isfinite(scale) and scale > 0.0):
            raise RangeError(f"a margin's scale must be positive, got {scale}")
        self.scale = scale

    def forward(self, cosines: Tensor, norms: Tensor, targets: Tensor) -> Tensor:
        """Logits for the cross-entropy.

        Args:
            cosines: (n, classes) in [-1, 1].
            norms: (n,) lengths of the embeddings before they were scaled to one.
            targets: (n,) int64, the column of the true class.

        Returns:
            (n, classes).
        """
        rows = torch.arange(len(targets), device=targets.device)
        true = self.target(cosines[rows, targets], norms)
        return self.scale * cosines.index_put((rows, targets), true)

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """(n,) what stands in for the cosine with the true class."""
        del norms
        return cosine

    def penalty(self, norms: Tensor) -> Tensor:
        """What is added to the loss, a scalar; zero for most."""
        return norms.new_zeros(())

    def extra_repr(self) -> str:
        """The constants, for ``print(model)``."""
        return f"scale={self.scale}"


class CosFace(Margin):
    """``s (cos θ - m)`` for the true class.

    Source: Wang et al. 2018, "CosFace", equation 4; s = 64, m = 0.35.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.35) -> None:
        super().__init__(scale)
        self.margin = margin

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """``cos θ - m``."""
        del norms
        return cosine - self.margin


class ArcFace(Margin):
    """``s cos(θ + m)`` for the true class.

    Where ``θ + m`` passes π, and the cosine would rise again, ``cos θ - m sin m`` follows, as in
    the authors' code.

    Source: Deng et al. 2019, "ArcFace", equation 3; s = 64, m = 0.5.
    """

    def __init__(self, scale: float = 64.0, margin: float = 0.5) -> None:
        super().__init__(scale)
        self.margin = margin

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """``cos(θ + m)``, continued beyond π."""
        del norms
        return _additive_angle(cosine, torch.full_like(cosine, self.margin))


class CombinedMargin(Margin):
    """``s (cos(m1 θ + m2) - m3)`` for the true class: SphereFace, ArcFace and CosFace in one.

    The paper leaves open what holds beyond ``m1 θ + m2 = π``; here ``-2 - cos(m1 θ + m2)``
    follows, SphereFace's continuation, so that a larger angle never gets a larger logit.

    Source: Deng et al. 2019, "ArcFace", equation 4; (1, 0.3, 0.2) is its table 2's "CM1".

    Raises:
        RangeError: `scale` or `m1` is not positive, `m2` is negative, or ``m1 π + m2`` exceeds
            2 π, beyond which the continuation falls no more.
    """

    def __init__(
        self, scale: float = 64.0, m1: float = 1.0, m2: float = 0.3, m3: float = 0.2
    ) -> None:
        super().__init__(scale)
        if not m1 > 0.0 or m2 < 0.0 or m1 * math.pi + m2 > 2.0 * math.pi:
            raise RangeError(
                f"a combined margin takes m1 > 0, m2 >= 0 and m1 π + m2 <= 2 π, got {m1}, {m2}"
            )
        self.m1, self.m2, self.m3 = m1, m2, m3

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """``cos(m1 θ + m2) - m3``, continued beyond π."""
        del norms
        angle = self.m1 * _angle(cosine) + self.m2
        bent = torch.where(angle <= math.pi, torch.cos(angle), -2.0 - torch.cos(angle))
        return bent - self.m3


class SphereFace(Margin):
    """``‖x‖ ψ(θ)`` for the true class and ``‖x‖ cos θ`` for the others.

    ``ψ(θ) = (-1)^k cos(m θ) - 2 k`` for θ in ``[k π / m, (k + 1) π / m]``. As in the paper the
    true class begins near the plain cosine and is led over: ``(λ cos θ + ψ(θ)) / (1 + λ)``.

    Source: Liu et al. 2017, "SphereFace", equation 7; m = 4. λ = max(5, 1000 / (1 + 0.12 t)) at
    step t: the authors' training file (base 1000, gamma 0.12, power 1, lambda_min 5).
    """

    step: Tensor

    def __init__(self, margin: int = 4, *, base: float = 1000.0, least: float = 5.0) -> None:
        super().__init__(1.0)
        if margin < 1:
            raise RangeError(f"SphereFace's margin is a whole number from 1 on, got {margin}")
        self.margin, self.base, self.least = margin, base, least
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def blend(self) -> float:
        """λ of this step: how much of the plain cosine is left."""
        return max(self.least, self.base / (1.0 + 0.12 * int(self.step)))

    def forward(self, cosines: Tensor, norms: Tensor, targets: Tensor) -> Tensor:
        """As in `Margin`; in training each call is a step of λ."""
        if self.training:
            self.step += 1
        return super().forward(cosines, norms, targets) * norms[:, None]

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """``(λ cos θ + ψ(θ)) / (1 + λ)``."""
        del norms
        angle = _angle(cosine)
        k = torch.floor(self.margin * angle.detach() / math.pi)
        sign = 1.0 - 2.0 * torch.remainder(k, 2.0)
        psi = sign * torch.cos(self.margin * angle) - 2.0 * k
        blend = self.blend
        return (blend * cosine + psi) / (1.0 + blend)


class AdaFace(Margin):
    """An angular and an additive margin that lean on the picture's quality, read from the norm.

    ``s (cos(θ - m z) - (m + m z))`` for the true class, with ``z`` the norm standardised by a
    running mean and deviation, times ``h``, clipped to [-1, 1]; no gradient passes through ``z``.

    Source: Kim et al. 2022, "AdaFace", ``g_angle`` and ``g_add``; m = 0.4, h = 0.333, s = 64. The
    first running values 20 and 100, the weight 0.01 of the new batch, the norm's limits
    [0.001, 100] and the angle's limit 0.001: the authors' code.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        scale: float = 64.0,
        margin: float = 0.4,
        concentration: float = 0.333,
        weight_of_new: float = 0.01,
    ) -> None:
        super().__init__(scale)
        self.margin, self.concentration = margin, concentration
        self.weight_of_new = weight_of_new
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """``cos(θ - m z) - m - m z``; in training the running values are moved first."""
        with torch.no_grad():
            safe = norms.clamp(1e-3, 100.0)
            if self.training and len(safe) > 1:  # one embedding has no deviation
                self.mean.lerp_(safe.mean().to(self.mean), self.weight_of_new)
                self.deviation.lerp_(safe.std().to(self.deviation), self.weight_of_new)
            z = (safe - self.mean) / (self.deviation + 1e-3) * self.concentration
            z = z.clamp(-1.0, 1.0)
        angle = torch.acos(cosine.clamp(-1.0 + 1e-3, 1.0 - 1e-3)) - self.margin * z
        return torch.cos(angle.clamp(1e-3, math.pi - 1e-3)) - (self.margin + self.margin * z)


class MagFace(Margin):
    """ArcFace with a margin that grows with the embedding's length, and a price on short ones.

    ``m(a) = (u_m - l_m) / (u_a - l_a) (a - l_a) + l_m`` with the length ``a`` held to [l_a, u_a];
    ``λ (a / u_a² + 1 / a)`` is added to the loss, its mean over the batch.

    Source: Meng et al. 2021, "MagFace", ``m(a)`` and ``g(a)``, with (l_a, u_a) = (10, 110),
    (l_m, u_m) = (0.45, 0.8), λ = 35, s = 64.
    """

    def __init__(
        self,
        scale: float = 64.0,
        lengths: tuple[float, float] = (10.0, 110.0),
        margins: tuple[float, float] = (0.45, 0.8),
        factor: float = 35.0,
    ) -> None:
        super().__init__(scale)
        if not 0.0 < lengths[0] < lengths[1] or margins[0] > margins[1]:
            raise RangeError(
                f"MagFace takes lengths and margins from low to high, got {lengths}, {margins}"
            )
        self.lengths, self.margins, self.factor = lengths, margins, factor

    def target(self, cosine: Tensor, norms: Tensor) -> Tensor:
        """``cos(θ + m(a))``, continued beyond π as in `ArcFace`."""
        (low, high), (least, most) = self.lengths, self.margins
        slope = (most - least) / (high - low)
        return _additive_angle(cosine, slope * (norms.clamp(low, high) - low) + least)

    def penalty(self, norms: Tensor) -> Tensor:
        """``λ · mean(a / u_a² + 1 / a)``."""
        low, high = self.lengths
        lengths = norms.clamp(low, high)
        return self.factor * (lengths / high**2 + 1.0 / lengths).mean()


class CurricularFace(Margin):
    """ArcFace whose hard negatives weigh more as training goes on.

    The cosine with a wrong class that exceeds ``cos(θ + m)`` of the true one becomes
    ``cos θ_j (t + cos θ_j)``; ``t`` is the running mean of the true classes' cosines.

    Source: Huang et al. 2020, "CurricularFace", ``T`` and ``N``; m = 0.5, s = 64, and 0.99 of the
    old ``t``.
    """

    t: Tensor

    def __init__(self, scale: float = 64.0, margin: float = 0.5) -> None:
        super().__init__(scale)
        self.margin = margin
        self.register_buffer("t", torch.zeros(()))

    def forward(self, cosines: Tensor, norms: Tensor, targets: Tensor) -> Tensor:
        """As in `Margin`; in training ``t`` is moved first."""
        del norms
        rows = torch.arange(len(targets), device=targets.device)
        true = cosines[rows, targets]
        margin = torch.full_like(true, self.margin)
        if self.training and len(true):
            self.t.lerp_(true.detach().mean().to(self.t), 0.01)
        bound = torch.cos(_angle(true) + margin)[:, None]
        hard = cosines > bound
        bent = torch.where(hard, cosines * (self.t + cosines), cosines)
        return self.scale * bent.index_put((rows, targets), _additive_angle(true, margin))


def _angle(cosine: Tensor) -> Tensor:
    return torch.acos(cosine.clamp(-1.0 + _EPS, 1.0 - _EPS))


def _additive_angle(cosine: Tensor, margin: Tensor) -> Tensor:
    """``cos(θ + m)`` up to π, then ``cos θ - m sin m``: the ArcFace authors' code."""
    sine = torch.sqrt((1.0 - cosine.square()).clamp_min(_EPS))
    moved = cosine * torch.cos(margin) - sine * torch.sin(margin)
    return torch.where(cosine > -torch.cos(margin), moved, cosine - margin * torch.sin(margin))
