from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="install PyTorch: pip install 'vultus[train]'")

import torch

from vultus.train.liveness.nets import NETS, AlexNetV1, AlexNetV2, FromPixels, SmallNet


def test_alexnet_as_specified():
    """The shapes of the paper at 227 pixels; v1's features are the second pooling."""
    with torch.no_grad():
        answers, features = AlexNetV1(227).eval()(torch.zeros(1, 3, 227, 227))
    assert answers.shape == (1, 2)
    assert features.shape == (1, 256 * 13 * 13)
    sizes = [tuple(w.shape) for n, w in AlexNetV1(227).named_parameters() if n.endswith("weight")]
    assert sizes == [
        (96, 3, 11, 11), (256, 96, 5, 5), (384, 256, 3, 3), (384, 384, 3, 3), (256, 384, 3, 3),
        (4096, 9216), (4096, 4096), (2, 4096),
    ]  # fmt: skip


def test_alexnet_with_a_convolutional_head():
    with torch.no_grad():
        answers, features = AlexNetV2(227).eval()(torch.zeros(1, 3, 227, 227))
    assert (answers.shape, features.shape) == ((1, 2), (1, 256 * 6 * 6))
    sizes = [tuple(w.shape) for n, w in AlexNetV2(227).named_parameters() if n.endswith("weight")]
    assert sizes[-3:] == [(4096, 256, 6, 6), (4096, 4096, 1, 1), (2, 4096, 1, 1)]


def test_response_normalisation_by_hand():
    """Radius 2, alpha 1e-4, beta 0.75, bias 2, as published: alpha weighs a sum, no mean."""
    norm = AlexNetV1(67).low[2]
    maps = torch.arange(1.0, 8.0).reshape(1, 7, 1, 1) * 30
    squares = sum((30.0 * i) ** 2 for i in (2, 3, 4, 5, 6))
    expected = 120 / (2 + 1e-4 * squares) ** 0.75
    assert norm(maps)[0, 3, 0, 0].item() == pytest.approx(expected, rel=1e-5)


def test_small_net_is_small():
    net = SmallNet()
    assert sum(w.numel() for w in net.parameters()) < 150_000
    with torch.no_grad():
        answers, features = net.eval()(torch.zeros(2, 3, 96, 96))
    assert (answers.shape, features.shape) == ((2, 2), (2, 128))


@pytest.mark.parametrize("name", sorted(NETS))
def test_brightness_and_contrast_do_not_count(name: str):
    torch.manual_seed(0)
    net = FromPixels(NETS[name](67)).eval()
    pixels = torch.rand(1, 3, 67, 67) * 100 + 20
    with torch.no_grad():
        a, b = net(pixels)[1], net(pixels * 1.5 + 30)[1]
    assert torch.nn.functional.cosine_similarity(a, b).item() > 0.999


def test_too_small_for_alexnet():
    with pytest.raises(ValueError, match="67 pixels and more, got 60"):
        AlexNetV1(60)
