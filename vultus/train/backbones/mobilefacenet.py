"""MobileFaceNet: a network of a million parameters for phones and small machines."""

from __future__ import annotations

import math

from torch import Tensor, nn

__all__ = ["MobileFaceNet"]

# Expansion, channels, repeats, stride of the first. Source: Chen et al. 2018, table 1.
_BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class MobileFaceNet(nn.Module):
    """Inverted residuals and a global depthwise convolution, (n, 3, h, w) to (n, d).

    Source: Chen et al. 2018, "MobileFaceNets", table 1: 128 numbers from 112 by 112 pixels,
    0.99 million parameters.

    Args:
        embedding_size: Length of the output.
        input_hw: Height and width of the pictures, in pixels; the global convolution's kernel is
            what is left of them.
    """

    def __init__(self, embedding_size: int = 128, input_hw: tuple[int, int] = (112, 112)) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 64, 3, 2), _conv(64, 64, 3, 1, groups=64)]
        size = 64
        for expansion, out, repeats, stride in _BOTTLENECKS:
            for i in range(repeats):
                layers.append(_Bottleneck(size, out, expansion, stride if i == 0 else 1))
                size = out
        layers.append(_conv(size, 512, 1, 1))
        self.trunk = nn.Sequential(*layers)
        kernel = (math.ceil(input_hw[0] / 16), math.ceil(input_hw[1] / 16))
        self.summary = nn.Sequential(
            nn.Conv2d(512, 512, kernel, groups=512, bias=False), nn.BatchNorm2d(512)
        )
        self.embedding = nn.Sequential(
            nn.Conv2d(512, embedding_size, 1, bias=False), nn.BatchNorm2d(embedding_size)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, embedding_size), not of unit length."""
        embeddings: Tensor = self.embedding(self.summary(self.trunk(pictures)))
        return embeddings.flatten(1)


class _Bottleneck(nn.Module):
    def __init__(self, size: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = size * expansion
        self.body = nn.Sequential(
            _conv(size, wide, 1, 1),
            _conv(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.residual = stride == 1 and size == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def _conv(size: int, out: int, kernel: int, stride: int, *, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(size, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.PReLU(out),
    )
