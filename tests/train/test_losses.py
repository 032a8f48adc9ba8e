# ruff: noqa: E402
"""Losses against plain loops in float64, and their slopes by finite differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'vultus[train]'")

from vultus.errors import RangeError, ShapeError
from vultus.train.losses import (
    CenterLoss,
    batch_triplet_loss,
    contrastive_loss,
    prelogits_norm_penalty,
    select_triplets,
    triplet_loss,
)

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])


def _unit(n: int = 9, d: int = 4, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1)[:, None]


def test_center_loss_and_its_update() -> None:
    center = CenterLoss(4, 4, alpha=0.9, factor=0.5).double()
    start = np.random.default_rng(1).normal(size=(4, 4))
    center.centers.copy_(torch.from_numpy(start))
    x = _unit()
    loss = center(torch.from_numpy(x), torch.from_numpy(LABELS))
    wanted = sum((x[i, k] - start[LABELS[i], k]) ** 2 for i in range(9) for k in range(4)) / 36
    assert loss.item() == pytest.approx(0.5 * wanted, abs=1e-12)
    moved = start.copy()
    for i, label in enumerate(LABELS):  # repeats accumulate, each from the old center
        moved[label] -= 0.1 * (start[label] - x[i])
    np.testing.assert_allclose(center.centers, moved, atol=1e-12)
    center.eval()(torch.from_numpy(x), torch.from_numpy(LABELS))
    np.testing.assert_allclose(center.centers, moved, atol=1e-12)


def test_centers_reach_fixed_points() -> None:
    """Facenet's own test: after 100 updates with alpha 0.5 the centers match to 5 decimals."""
    points = torch.tensor([[0.0, 0.0], [1.0, 2.0], [-3.0, 0.5], [4.0, -1.0]])
    labels = torch.tensor([0, 1, 2, 3, 3, 0])
    center = CenterLoss(4, 2, alpha=0.5)
    for _ in range(100):
        loss = center(points[labels], labels)
    np.testing.assert_allclose(center.centers, points, atol=1e-5)
    assert loss.item() == pytest.approx(0.0, abs=1e-9)


def test_center_loss_slope() -> None:
    center = CenterLoss(4, 4).double().eval()
    x = torch.from_numpy(_unit()).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: center(v, torch.from_numpy(LABELS)), (x,))


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_prelogits_norm(p: float) -> None:
    x = _unit() * 3
    wanted = np.mean([sum((abs(v) + 1e-4) ** p for v in row) ** (1 / p) for row in x])
    got = prelogits_norm_penalty(torch.from_numpy(x), p=p, factor=0.25)
    assert got.item() == pytest.approx(0.25 * wanted, abs=1e-12)
    value = torch.from_numpy(x).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: prelogits_norm_penalty(v, p=p), (value,))


def test_triplet_loss() -> None:
    a, p, n = (_unit(6, seed=s) for s in (1, 2, 3))
    wanted = np.mean(
        [max(0.0, math.dist(a[i], p[i]) ** 2 - math.dist(a[i], n[i]) ** 2 + 0.2) for i in range(6)]
    )
    tensors = tuple(torch.from_numpy(v).requires_grad_() for v in (a, p, n))
    assert triplet_loss(*tensors).item() == pytest.approx(wanted, abs=1e-12)
    assert torch.autograd.gradcheck(triplet_loss, tensors)


def _mined(x: np.ndarray, mining: str, alpha: float) -> float:
    n = range(len(x))
    d = [[math.dist(x[i], x[j]) ** 2 for j in n] for i in n]
    losses = []
    for a in n:
        positives = [p for p in n if p != a and LABELS[p] == LABELS[a]]
        negatives = [k for k in n if LABELS[k] != LABELS[a]]
        if mining == "hard" and positives:
            near = max(d[a][p] for p in positives)
            losses.append(max(0.0, near - min(d[a][k] for k in negatives) + alpha))
        for p in positives:
            if mining == "all":
                each = [d[a][p] - d[a][k] + alpha for k in negatives]
                losses += [v for v in each if v > 0]
            if mining == "semi-hard":
                farther = [d[a][k] for k in negatives if d[a][k] > d[a][p]]
                if farther:
                    losses.append(max(0.0, d[a][p] - min(farther) + alpha))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("mining", ["semi-hard", "hard", "all"])
@pytest.mark.parametrize("seed", range(4))
def test_mined_triplets(mining: str, seed: int) -> None:
    x, labels = _unit(seed=seed), torch.from_numpy(LABELS)
    got = batch_triplet_loss(torch.from_numpy(x), labels, alpha=0.3, mining=mining)  # type: ignore[arg-type]
    assert got.item() == pytest.approx(_mined(x, mining, 0.3), abs=1e-9)


@pytest.mark.parametrize("mining", ["semi-hard", "hard", "all"])
def test_mined_triplets_slope(mining: str) -> None:
    labels = torch.from_numpy(LABELS)

    def loss(raw: torch.Tensor) -> torch.Tensor:
        unit = torch.nn.functional.normalize(raw)
        return batch_triplet_loss(unit, labels, mining=mining)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, (torch.from_numpy(_unit()).requires_grad_(),))


@pytest.mark.parametrize("mining", ["semi-hard", "hard", "all"])
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]])
def test_nothing_to_mine_costs_nothing(mining: str, labels: list[int]) -> None:
    x = torch.from_numpy(_unit(len(labels))).requires_grad_()
    loss = batch_triplet_loss(x, torch.tensor(labels), mining=mining)  # type: ignore[arg-type]
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_contrastive_loss() -> None:
    x, terms = _unit(), []
    for i, j in itertools.combinations(range(9), 2):
        d = math.dist(x[i], x[j])
        same = LABELS[i] == LABELS[j]
        terms.append(0.5 * d * d if same else 0.5 * max(0.0, 1.2 - d) ** 2)
    value = torch.from_numpy(x).requires_grad_()
    labels = torch.from_numpy(LABELS)
    got = contrastive_loss(value, labels, margin=1.2)
    assert got.item() == pytest.approx(np.mean(terms), abs=1e-12)
    assert torch.autograd.gradcheck(lambda v: contrastive_loss(v, labels, margin=1.2), (value,))


def test_contrastive_loss_of_twins_and_of_one() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    contrastive_loss(x, torch.tensor([0, 1])).backward()
    assert torch.isfinite(x.grad).all()
    assert contrastive_loss(x[:1], torch.tensor([0])).item() == 0.0


def test_selection_is_facenets() -> None:
    x = _unit(9, 3)
    got = select_triplets(x, LABELS, alpha=0.2, seed=4)
    allowed: dict[tuple[int, int], set[int]] = {}
    pairs = 0
    for a in range(9):
        for p in range(a + 1, 9):
            if LABELS[a] != LABELS[p]:
                continue
            pairs += 1
            near = {
                n
                for n in range(9)
                if LABELS[n] != LABELS[a]
                and math.dist(x[a], x[n]) ** 2 - math.dist(x[a], x[p]) ** 2 < 0.2
            }
            if near:
                allowed[a, p] = near
    assert got.pairs == pairs == 7
    assert {(a, p) for a, p, _ in got.triplets.tolist()} == set(allowed)
    assert len(got.triplets) == len(allowed)
    assert all(n in allowed[a, p] for a, p, n in got.triplets.tolist())
    again = select_triplets(x, LABELS, alpha=0.2, seed=4)
    assert got.triplets.tolist() == again.triplets.tolist()


def test_selection_without_near_negatives_is_empty() -> None:
    x = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    got = select_triplets(x, np.array([0, 0, 1, 1]))
    assert got.triplets.shape == (0, 3)
    assert got.pairs == 2


def test_bad_input_is_refused() -> None:
    with pytest.raises(RangeError, match=r"alpha in \[0, 1\), got 1.0"):
        CenterLoss(2, 2, alpha=1.0)
    with pytest.raises(RangeError, match="factor of at least 0, got -1"):
        CenterLoss(2, 2, factor=-1)
    with pytest.raises(RangeError, match="semi-hard, hard or all, got 'easy'"):
        batch_triplet_loss(torch.zeros(1, 1), torch.zeros(1), mining="easy")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"got \(2, 2\) and \(3,\)"):
        select_triplets(np.zeros((2, 2)), np.zeros(3, np.int64))


@pytest.mark.parametrize("mining", ["semi-hard", "hard", "all"])
def test_half_precision_is_computed_wide(mining: str) -> None:
    x, labels = torch.from_numpy(_unit()).bfloat16(), torch.from_numpy(LABELS)
    with torch.autocast("cpu", torch.bfloat16):
        half = batch_triplet_loss(x, labels, mining=mining)  # type: ignore[arg-type]
        pairs = contrastive_loss(x, labels)
    assert half.dtype == pairs.dtype == torch.float32
    wide = batch_triplet_loss(x.float(), labels, mining=mining)  # type: ignore[arg-type]
    assert torch.equal(half, wide)
    assert torch.equal(pairs, contrastive_loss(x.float(), labels))
