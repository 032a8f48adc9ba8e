# ruff: noqa: E402
"""Heads and margins against their papers' formulas, written plainly in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'vultus[train]'")

from vultus.errors import RangeError
from vultus.train.heads import CosineHead, SampledHead, SoftmaxHead, head_loss
from vultus.train.margins import (
    AdaFace,
    ArcFace,
    CombinedMargin,
    CosFace,
    CurricularFace,
    MagFace,
    Margin,
    SphereFace,
)

Floats = NDArray[np.float64]
N, CLASSES, SIZE = 12, 7, 5


def _data(length: float = 1.0) -> tuple[Floats, Floats, NDArray[np.int64]]:
    random = np.random.default_rng(3)
    x = random.normal(size=(N, SIZE)) * length
    w = random.normal(size=(CLASSES, SIZE))
    y = random.integers(0, CLASSES, N)
    x[0] = 3.0 * length * w[y[0]] + 0.01 * x[0]  # nearly at its class
    x[1] = -3.0 * length * w[y[1]] + 0.01 * x[1]  # nearly opposite: beyond every margin
    return x, w, y


def _head(margin: Margin, w: Floats) -> CosineHead:
    head = CosineHead(SIZE, CLASSES, margin).double()
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(w))
    return head.eval()


def _plain(x: Floats, w: Floats, y: NDArray[np.int64], true: Callable[..., float]) -> Floats:
    """Logits by loops; `true` gives the logit of the true class from (cos, ‖x‖)."""
    logits = np.zeros((N, CLASSES))
    for i in range(N):
        norm = math.sqrt(sum(v * v for v in x[i]))
        for j in range(CLASSES):
            cos = float(x[i] @ w[j]) / norm / math.sqrt(float(w[j] @ w[j]))
            logits[i, j] = true(cos, norm) if j == y[i] else 64.0 * cos
    return logits


def _arc(cos: float, m: float) -> float:
    theta = math.acos(cos)
    return math.cos(theta + m) if theta + m < math.pi else cos - m * math.sin(m)


def _combined(cos: float) -> float:
    angle = 1.0 * math.acos(cos) + 0.3
    return (math.cos(angle) if angle <= math.pi else -2.0 - math.cos(angle)) - 0.2


def _ada(cos: float, norm: float) -> float:
    z = (min(max(norm, 0.001), 100.0) - 20.0) / (100.0 + 0.001) * 0.333
    theta = math.acos(min(max(cos, -0.999), 0.999)) - 0.4 * z
    return math.cos(min(max(theta, 0.001), math.pi - 0.001)) - (0.4 + 0.4 * z)


def _mag(cos: float, norm: float) -> float:
    a = min(max(norm, 10.0), 110.0)
    return _arc(cos, (0.8 - 0.45) / (110.0 - 10.0) * (a - 10.0) + 0.45)


CASES: dict[str, tuple[Callable[[], Margin], Callable[[float, float], float]]] = {
    "normalised": (Margin, lambda c, _: 64 * c),
    "cosface": (CosFace, lambda c, _: 64 * (c - 0.35)),
    "arcface": (ArcFace, lambda c, _: 64 * _arc(c, 0.5)),
    "combined": (CombinedMargin, lambda c, _: 64 * _combined(c)),
    "adaface": (AdaFace, lambda c, n: 64 * _ada(c, n)),
    "magface": (MagFace, lambda c, n: 64 * _mag(c, n)),
}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_the_papers(name: str) -> None:
    make, true = CASES[name]
    x, w, y = _data(20.0)
    output = _head(make(), w)(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(output.logits.detach(), _plain(x, w, y, true), atol=2e-5)
    assert output.targets.tolist() == y.tolist()


def test_sphereface_is_the_papers() -> None:
    x, w, y = _data(2.0)
    for step, blend in ((0, 1000.0), (100, 1000.0 / 13.0), (10_000, 5.0)):
        margin = SphereFace()
        margin.step.fill_(step)
        assert margin.blend == pytest.approx(blend)

        def true(cos: float, norm: float, blend: float = blend) -> float:
            theta = math.acos(cos)
            k = next(k for k in range(4) if k * math.pi / 4 <= theta <= (k + 1) * math.pi / 4)
            psi = (-1) ** k * math.cos(4 * theta) - 2 * k
            return norm * (blend * cos + psi) / (1 + blend)

        wanted = _plain(x, w, y, true)
        norms = np.linalg.norm(x, axis=1)
        others = np.arange(CLASSES)[None] != y[:, None]
        wanted = np.where(others, wanted / 64.0 * norms[:, None], wanted)
        output = _head(margin, w)(torch.from_numpy(x), torch.from_numpy(y))
        np.testing.assert_allclose(output.logits.detach(), wanted, atol=1e-5)


def test_sphereface_leads_over_while_training_only() -> None:
    x, w, y = (torch.from_numpy(part) for part in _data())
    margin = SphereFace()
    head = _head(margin, w.numpy())
    head(x, y)
    assert int(margin.step) == 0
    head.train()(x, y)
    assert int(margin.step) == 1
    assert margin.blend == pytest.approx(1000.0 / 1.12)


def test_curricularface_is_the_papers() -> None:
    x, w, y = _data()
    margin = CurricularFace()
    margin.t.fill_(0.25)
    head = _head(margin, w).train()
    output = head(torch.from_numpy(x), torch.from_numpy(y)).logits.detach()
    unit = x / np.linalg.norm(x, axis=1)[:, None]
    cos = unit @ (w / np.linalg.norm(w, axis=1)[:, None]).T
    true = [cos[i, y[i]] for i in range(N)]
    t = 0.99 * 0.25 + 0.01 * sum(true) / N
    assert float(margin.t) == pytest.approx(t, abs=1e-12)
    hard = 0
    for i in range(N):
        for j in range(CLASSES):
            wanted = cos[i, j]
            if j == y[i]:
                wanted = _arc(cos[i, j], 0.5)
            elif cos[i, j] > math.cos(math.acos(true[i]) + 0.5):
                wanted, hard = cos[i, j] * (t + cos[i, j]), hard + 1
            assert float(output[i, j]) == pytest.approx(64 * wanted, abs=2e-5)
    assert 0 < hard < N * (CLASSES - 1)


def test_adaface_follows_the_norms() -> None:
    x, w, y = _data(20.0)
    margin = AdaFace()
    head = _head(margin, w).train()
    head(torch.from_numpy(x), torch.from_numpy(y))
    norms = np.linalg.norm(x, axis=1).clip(1e-3, 100.0)
    assert float(margin.mean) == pytest.approx(0.99 * 20 + 0.01 * norms.mean())
    assert float(margin.deviation) == pytest.approx(0.99 * 100 + 0.01 * norms.std(ddof=1))
    head.eval()(torch.from_numpy(x), torch.from_numpy(y))
    assert float(margin.mean) == pytest.approx(0.99 * 20 + 0.01 * norms.mean())


def test_magface_charges_for_short_embeddings() -> None:
    x, w, y = _data(20.0)
    output = _head(MagFace(), w)(torch.from_numpy(x), torch.from_numpy(y))
    a = np.linalg.norm(x, axis=1).clip(10.0, 110.0)
    assert output.penalty.item() == pytest.approx(35 * np.mean(a / 110**2 + 1 / a))
    entropy = torch.nn.functional.cross_entropy(output.logits, output.targets)
    wanted = float((entropy + output.penalty).detach())
    assert float(head_loss(output).detach()) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "make", [*(case[0] for case in CASES.values()), SphereFace, CurricularFace]
)
def test_slopes_are_right(make: Callable[[], Margin]) -> None:
    x, w, y = _data(20.0)
    head = _head(make(), w)
    if isinstance(head.margin, AdaFace):  # no gradient through the norm, so hold it
        x /= np.linalg.norm(x, axis=1)[:, None]
        keep = torch.full((N,), 30.0, dtype=torch.float64)

    def loss(raw: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize(raw)
        cosines = unit @ torch.nn.functional.normalize(weight).T
        norms = torch.linalg.vector_norm(raw, dim=1)
        if isinstance(head.margin, AdaFace):
            norms = keep
        logits = head.margin(cosines, norms, torch.from_numpy(y)) / 64.0
        return logits.square().sum() + head.margin.penalty(norms)

    rows = [0, *range(2, N)]  # the opposite one lies near the arc cosine's edge
    y = y[rows]
    if isinstance(head.margin, AdaFace):
        keep = keep[: len(rows)]
    inputs = (
        torch.from_numpy(x[rows]).requires_grad_(),
        torch.from_numpy(w).requires_grad_(),
    )
    assert torch.autograd.gradcheck(loss, inputs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("make", [ArcFace, CombinedMargin, CosFace, SphereFace, MagFace])
def test_a_larger_angle_never_gets_a_larger_logit(make: Callable[[], Margin]) -> None:
    cosines = torch.linspace(1.0, -1.0, 2001, dtype=torch.float64)
    logits = make().target(cosines, torch.full_like(cosines, 50.0))
    assert float(torch.diff(logits).max()) < 1e-6


def test_exact_hits_and_opposites_stay_finite() -> None:
    for make in (*(case[0] for case in CASES.values()), SphereFace, CurricularFace):
        head = CosineHead(2, 2, make())
        with torch.no_grad():
            head.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        x = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 0.0]], requires_grad=True)
        head_loss(head(x, torch.tensor([0, 0, 1]))).backward()
        assert torch.isfinite(x.grad).all()


def test_plain_softmax_is_a_linear_layer() -> None:
    head = SoftmaxHead(3, 4)
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0])
    wanted = x @ head.linear.weight.T + head.linear.bias
    assert torch.allclose(head(x, y).logits, wanted, atol=1e-6)
    assert float(head(x, y).penalty) == 0.0


def test_half_precision_comes_out_wide() -> None:
    head = CosineHead(4, 3, ArcFace())
    with torch.autocast("cpu", torch.bfloat16):
        output = head(torch.randn(2, 4).bfloat16(), torch.tensor([0, 1]))
    assert output.logits.dtype == torch.float32


def test_a_sample_is_a_part_of_the_whole() -> None:
    x, w, y = (torch.from_numpy(part) for part in _data())
    head = SampledHead(SIZE, CLASSES, CosFace(), rate=0.99, seed=1).double()
    with torch.no_grad():
        head.weight.copy_(w)
    whole = head.eval()(x, y)
    assert whole.logits.shape == (N, CLASSES)
    part = head.train()(x, y)
    assert torch.equal(part.logits, whole.logits)
    assert part.targets.tolist() == y.tolist()


def test_a_sample_holds_the_batch_and_random_others() -> None:
    head = SampledHead(4, 100, CosFace(), rate=0.1, seed=5)
    labels = torch.tensor([7, 93, 7])
    seen = torch.zeros(100)
    for _ in range(300):
        chosen = head.draw(labels)
        assert len(chosen) == len(set(chosen.tolist())) == 10
        assert {7, 93} <= set(chosen.tolist())
        seen[chosen] += 1
    others = [float(seen[i]) for i in range(100) if i not in (7, 93)]
    assert sum(others) == 300 * 8
    assert min(others) > 5  # 24.5 on average, deviation 4.7
    assert max(others) < 45
    many = head.draw(torch.arange(50))
    assert many.tolist() == list(range(50))
    output = head(torch.randn(3, 4), labels)
    assert output.logits.shape == (3, 10)
    loss = head_loss(output)
    loss.backward()
    assert int((head.weight.grad.abs().sum(1) > 0).sum()) == 10


def test_a_sample_is_drawn_on_after_a_restart() -> None:
    first = SampledHead(4, 100, CosFace(), seed=5)
    labels = torch.tensor([1])
    first.draw(labels)
    second = SampledHead(4, 100, CosFace(), seed=77)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.draw(labels), second.draw(labels))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Margin(0.0), "scale must be positive, got 0.0"),
        (lambda: CombinedMargin(m1=2.5), "m1 > 0"),
        (lambda: SphereFace(0), "whole number from 1 on, got 0"),
        (lambda: MagFace(lengths=(5.0, 5.0)), "from low to high"),
        (lambda: CosineHead(4, 1, Margin()), "at least two, got 1"),
        (lambda: SoftmaxHead(4, 0), "at least two, got 0"),
        (lambda: SampledHead(4, 9, Margin(), rate=0.0), r"lies in \(0, 1\], got 0.0"),
    ],
)
def test_impossible_heads_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(RangeError, match=message):
        make()
