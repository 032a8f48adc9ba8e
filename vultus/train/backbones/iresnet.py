"""IResNet: the improved residual networks that ArcFace was trained with."""

from __future__ import annotations

import math

from torch import Tensor, nn

from vultus.errors import RangeError

__all__ = ["DEPTHS", "IResNet"]

DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
}
"""Blocks of each of the four stages. Source: Deng et al. 2019 and ``arcface_torch``."""

_EPS = 1e-5  # of batch normalisations: arcface_torch


class IResNet(nn.Module):
    """Residual network of pre-normalised blocks, (n, 3, h, w) to (n, embedding_size).

    Layers bear the names of InsightFace's ``arcface_torch``, so its weights fit.

    Source: Deng et al. 2019, "ArcFace", section 3.1 ("BN-Dropout-FC-BN" after the last
    convolution, 3 by 3 first convolution); Han et al. 2017 for the block.

    Args:
        depth: 18, 34, 50 or 100.
        embedding_size: Length of the output.
        input_hw: Height and width of the pictures, in pixels.
        dropout: Part of the last feature map that is dropped in training.

    Raises:
        RangeError: Another depth.
    """

    def __init__(
        self,
        depth: int,
        embedding_size: int = 512,
        input_hw: tuple[int, int] = (112, 112),
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise RangeError(f"an IResNet's depth is one of {tuple(DEPTHS)}, got {depth}")
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=_EPS)
        self.prelu = nn.PReLU(64)
        blocks = DEPTHS[depth]
        self.layer1 = _stage(64, 64, blocks[0])
        self.layer2 = _stage(64, 128, blocks[1])
        self.layer3 = _stage(128, 256, blocks[2])
        self.layer4 = _stage(256, 512, blocks[3])
        self.bn2 = nn.BatchNorm2d(512, eps=_EPS)
        self.dropout = nn.Dropout(dropout)
        positions = math.ceil(input_hw[0] / 16) * math.ceil(input_hw[1] / 16)
        self.fc = nn.Linear(512 * positions, embedding_size)
        self.features = nn.BatchNorm1d(embedding_size, eps=_EPS)
        nn.init.ones_(self.features.weight)
        self.features.weight.requires_grad_(False)  # a scale is lost when lengths become one
        self._initialise()

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, embedding_size), not of unit length."""
        x = self.prelu(self.bn1(self.conv1(pictures)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.dropout(self.bn2(x)).flatten(1)
        embeddings: Tensor = self.features(self.fc(x))
        return embeddings

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.1)  # arcface_torch


class _Block(nn.Module):
    def __init__(self, size: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(size, eps=_EPS)
        self.conv1 = nn.Conv2d(size, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, eps=_EPS)
        self.prelu = nn.PReLU(out)
        self.conv2 = nn.Conv2d(out, out, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out, eps=_EPS)
        self.downsample: nn.Module | None = None
        if stride != 1 or size != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(size, out, 1, stride, bias=False), nn.BatchNorm2d(out, eps=_EPS)
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return y + (x if self.downsample is None else self.downsample(x))


def _stage(size: int, out: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(_Block(size, out, 2), *(_Block(out, out, 1) for _ in range(blocks - 1)))
