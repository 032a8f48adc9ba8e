"""Networks for liveness: AlexNet with two heads, and a small modern one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

__all__ = ["CLASSES", "NETS", "AlexNetV1", "AlexNetV2", "FromPixels", "SmallNet"]

CLASSES = 2
"""Attack, then live: live is class 1, as in the networks that `LivenessNet` runs."""

_HIDDEN = 4096


def _norm() -> nn.LocalResponseNorm:
    """Radius 2, alpha 1e-4, beta 0.75, bias 2: Krizhevsky et al. 2012, section 3.3.

    There alpha weighs the sum over 5 channels, PyTorch's weighs their mean.
    """
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def _begin(layers: nn.Module) -> None:
    """He et al. 2015: variance kept through ReLU. Zero biases."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class _AlexNet(nn.Module):
    """The convolutions of Krizhevsky et al. 2012, ungrouped, in two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(
            nn.Conv2d(3, 96, 11, stride=4),
            nn.ReLU(),
            _norm(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2),
            nn.ReLU(),
            _norm(),
            nn.MaxPool2d(3, 2),
        )
        self.high = nn.Sequential(
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )


class AlexNetV1(_AlexNet):
    """AlexNet with dense layers; its features are the second pooling.

    Args:
        side_px: Of the input, from 67; 227 in the paper.
        dropout: Part of the hidden units left out while training.
        classes: Of the output.
    """

    def __init__(self, side_px: int = 227, dropout: float = 0.5, classes: int = CLASSES) -> None:
        super().__init__()
        side = _last_side(side_px)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256 * side * side, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, classes),
        )
        _begin(self)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, s, s) pixels to (n, classes) logits and (n, d) features."""
        pooled = self.low(pixels)
        return self.head(self.high(pooled)), torch.flatten(pooled, 1)


class AlexNetV2(_AlexNet):
    """AlexNet with convolutions for a head; its features are the last pooling.

    Args:
        side_px: As in `AlexNetV1`.
        dropout: Likewise.
        classes: Likewise.
    """

    def __init__(self, side_px: int = 227, dropout: float = 0.5, classes: int = CLASSES) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(256, _HIDDEN, _last_side(side_px)),  # the whole map
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(_HIDDEN, _HIDDEN, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(_HIDDEN, classes, 1),
            nn.Flatten(),
        )
        _begin(self)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, s, s) pixels to (n, classes) logits and (n, d) features."""
        pooled = self.high(self.low(pixels))
        return self.head(pooled), torch.flatten(pooled, 1)


def _last_side(side_px: int) -> int:
    """Side of the map after the third pooling: 6 for 227 pixels."""
    side = (side_px - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    if side < 1:
        raise ValueError(f"AlexNet takes pictures of 67 pixels and more, got {side_px}")
    return side


class SmallNet(nn.Module):
    """Depthwise-separable convolutions with residuals: some 0.1 million weights.

    Building blocks: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear
    Bottlenecks"; its features are the mean of the last map.

    Args:
        side_px: Of the input; any, the last map is averaged.
        dropout: Before the last layer.
        classes: Of the output.
    """

    def __init__(self, side_px: int = 128, dropout: float = 0.2, classes: int = CLASSES) -> None:
        super().__init__()
        del side_px
        widths = ((16, 1, 1), (24, 2, 2), (32, 2, 2), (64, 2, 2))  # width, blocks, stride
        layers: list[nn.Module] = [_conv(3, 16, 3, 2)]
        before = 16
        for width, blocks, stride in widths:
            for block in range(blocks):
                layers.append(_Inverted(before, width, stride if block == 0 else 1))
                before = width
        self.body = nn.Sequential(*layers, _conv(before, 128, 1, 1), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(128, classes))
        _begin(self)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, s, s) pixels to (n, classes) logits and (n, d) features."""
        pooled = self.body(pixels)
        return self.head(pooled), torch.flatten(pooled, 1)


class _Inverted(nn.Module):
    """Widen fourfold, filter each channel, narrow again."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        wide = 4 * before
        self.way = nn.Sequential(
            _conv(before, wide, 1, 1),
            _conv(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.keeps = stride == 1 and before == after

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = self.way(maps)
        return maps + out if self.keeps else out


def _conv(before: int, after: int, side: int, stride: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, padding=side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class FromPixels(nn.Module):
    """A network that takes pixels of 0 to 255, as `LivenessNet` gives them.

    Each picture is brought to mean 0 and deviation 1 first: how bright a place was must not
    tell a print from a face.

    Args:
        net: Takes values around 0.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, s, s) of 0 to 255 to (n, classes) logits and (n, d) features."""
        middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
        centred = pixels - middle
        spread = (centred * centred).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        found: tuple[Tensor, Tensor] = self.net(centred / (spread + 1.0))
        return found


NETS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {"alexnet-v1": AlexNetV1, "alexnet-v2": AlexNetV2, "small": SmallNet}
)
"""By the names of the command line."""
