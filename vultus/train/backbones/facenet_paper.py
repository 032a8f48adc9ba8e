"""The networks of the FaceNet paper: NN1 to NN4, NNS1 and NNS2.

Tables 1 and 2 of Schroff et al. 2015 give NN1 and NN2 layer by layer; their parameters and FLOPS
hold to the last digit printed. For the others the paper has a sentence each, and no table:

- NN3 is NN2 for 160 by 160 pixels.
- NN4 is for 96 by 96 pixels and has no 5x5 convolutions "in the higher layers". Which these are
  is not said; without them in 4e, 5a and 5b it costs the 285 M FLOPS that are, and has the 6.6 M
  parameters that the section begins its range with.
- Of NNS1 and NNS2 only the input, the parameters (26 M, 4.3 M) and the FLOPS (220 M, 20 M) are
  known. The layers here are our own, chosen to have those totals; the paper's cannot be told.

Where the paper cannot be right: section 3.3 says that its Inception models have "around 6.6M-7.5M"
parameters and take "between 500M-1.6B" FLOPS, yet counts among them NN4 with 285 M, NNS1 with
26 M parameters and 220 M, and NNS2 with 4.3 M and 20 M. Table 1's row ``concat`` joins nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NN1", "NN2_ROWS", "InceptionNet", "Row", "nn4_rows", "nns1", "nns2"]


@dataclass(frozen=True, slots=True)
class Row:
    """One Inception module, as a row of the paper's table 2.

    Attributes:
        name: ``3a`` say.
        one: Filters of the 1x1 convolution; 0: none.
        reduce3: Filters of the 1x1 convolution before the 3x3.
        three: Filters of the 3x3 convolution.
        reduce5: Filters of the 1x1 convolution before the 5x5.
        five: Filters of the 5x5 convolution; 0: none.
        pool: Max or L2 pooling, 3x3.
        projection: Filters of the 1x1 convolution after the pooling; 0: none.
        stride: Of the 3x3 and 5x5 convolutions and the pooling.
    """

    name: str
    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    pool: Literal["max", "l2"]
    projection: int
    stride: int = 1


NN2_ROWS: tuple[Row, ...] = (
    Row("3a", 64, 96, 128, 16, 32, "max", 32),
    Row("3b", 64, 96, 128, 32, 64, "l2", 64),
    Row("3c", 0, 128, 256, 32, 64, "max", 0, 2),
    Row("4a", 256, 96, 192, 32, 64, "l2", 128),
    Row("4b", 224, 112, 224, 32, 64, "l2", 128),
    Row("4c", 192, 128, 256, 32, 64, "l2", 128),
    Row("4d", 160, 144, 288, 32, 64, "l2", 128),
    Row("4e", 0, 160, 256, 64, 128, "max", 0, 2),
    Row("5a", 384, 192, 384, 48, 128, "l2", 128),
    Row("5b", 384, 192, 384, 48, 128, "max", 128),
)
"""Schroff et al. 2015, table 2."""


def nn4_rows() -> tuple[Row, ...]:
    """NN2's modules without the 5x5 convolutions of 4e, 5a and 5b."""
    higher = ("4e", "5a", "5b")
    return tuple(replace(row, reduce5=0, five=0) if row.name in higher else row for row in NN2_ROWS)


_NNS2_ROWS = (
    Row("3a", 16, 24, 32, 0, 0, "max", 8),
    Row("3c", 0, 32, 64, 0, 0, "max", 0, 2),
    Row("4a", 64, 24, 48, 0, 0, "l2", 32),
    Row("4e", 0, 40, 64, 0, 0, "max", 0, 2),
    Row("5a", 96, 48, 96, 0, 0, "max", 32),
)  # our own: see the head of this file


class InceptionNet(nn.Module):
    """The paper's Inception networks, (n, 3, h, w) to (n, embedding_size).

    The paper normalises twice, in the stem, and does not say how; here by local response, as
    GoogLeNet does (size 5, alpha 1e-4, beta 0.75). `batch_norm` puts a batch normalisation
    behind each convolution instead, which makes training from scratch much easier, and which
    adds parameters that the paper does not count.

    Source: Schroff et al. 2015, table 2; Szegedy et al. 2014, "Going deeper with convolutions".

    Args:
        rows: The Inception modules.
        embedding_size: Length of the output.
        stem: Filters of the three convolutions before the modules.
        hidden: Width of a fully connected layer over all positions that replaces the mean over
            them, and the picture's height and width in pixels that it is made for.
        batch_norm: See above.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        embedding_size: int = 128,
        *,
        stem: tuple[int, int, int] = (64, 64, 192),
        hidden: tuple[int, tuple[int, int]] | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        norm: nn.Module = nn.Identity() if batch_norm else nn.LocalResponseNorm(5)
        self.stem = nn.Sequential(
            _conv(3, stem[0], 7, 2, batch_norm=batch_norm),
            nn.MaxPool2d(3, 2, 1),
            norm,
            _conv(stem[0], stem[1], 1, batch_norm=batch_norm),
            _conv(stem[1], stem[2], 3, batch_norm=batch_norm),
            norm,
            nn.MaxPool2d(3, 2, 1),
        )
        self.inception = nn.Sequential()
        size = stem[2]
        for row in rows:
            module = _Inception(size, row, batch_norm=batch_norm)
            self.inception.add_module(row.name, module)
            size = module.size
        self.hidden: nn.Module | None = None
        if hidden is not None:
            width, input_hw = hidden
            halvings = 8 * math.prod(row.stride for row in rows)
            positions = math.ceil(input_hw[0] / halvings) * math.ceil(input_hw[1] / halvings)
            self.hidden = nn.Sequential(nn.Linear(size * positions, width), nn.ReLU())
            size = width
        self.fc = nn.Linear(size, embedding_size)
        _initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, embedding_size), not of unit length."""
        x = self.inception(self.stem(pictures))
        x = x.mean((2, 3)) if self.hidden is None else self.hidden(x.flatten(1))
        embeddings: Tensor = self.fc(x)
        return embeddings


def nns1(
    embedding_size: int = 128, input_hw: tuple[int, int] = (165, 165), *, batch_norm: bool = False
) -> InceptionNet:
    """A network of the totals of the paper's "mini Inception": 26 M parameters, 220 M FLOPS.

    NN2 with half its filters, without 4b, 4c and 4d, and with a fully connected layer of 1328.
    """
    rows = [_halved(row) for row in NN2_ROWS if row.name not in ("4b", "4c", "4d")]
    hidden = (1328, input_hw)
    return InceptionNet(
        rows, embedding_size, stem=(32, 32, 96), hidden=hidden, batch_norm=batch_norm
    )


def nns2(
    embedding_size: int = 128, input_hw: tuple[int, int] = (140, 116), *, batch_norm: bool = False
) -> InceptionNet:
    """A network of the totals of the paper's "tiny Inception": 4.3 M parameters, 20 M FLOPS.

    Five narrow modules without 5x5 convolutions, and a fully connected layer of 896.
    """
    hidden = (896, input_hw)
    return InceptionNet(
        _NNS2_ROWS, embedding_size, stem=(8, 8, 32), hidden=hidden, batch_norm=batch_norm
    )


class NN1(nn.Module):
    """The paper's network in the manner of Zeiler and Fergus, with 1x1 convolutions between.

    Its two fully connected layers are maxout layers of 32 times 128 units with two pieces.

    Source: Schroff et al. 2015, table 1.

    Args:
        embedding_size: Length of the output.
        input_hw: Height and width of the pictures, in pixels; 220 by 220 in the paper.
        batch_norm: A batch normalisation behind each convolution instead of the local response
            normalisation after the first two.
    """

    def __init__(
        self,
        embedding_size: int = 128,
        input_hw: tuple[int, int] = (220, 220),
        *,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()

        def conv(size: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
            return _conv(size, out, kernel, stride, batch_norm=batch_norm)

        norm: nn.Module = nn.Identity() if batch_norm else nn.LocalResponseNorm(5)
        self.trunk = nn.Sequential(
            *(conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), norm),
            *(conv(64, 64, 1), conv(64, 192, 3), norm, nn.MaxPool2d(3, 2, 1)),
            *(conv(192, 192, 1), conv(192, 384, 3), nn.MaxPool2d(3, 2, 1)),
            *(conv(384, 384, 1), conv(384, 256, 3)),
            *(conv(256, 256, 1), conv(256, 256, 3)),
            *(conv(256, 256, 1), conv(256, 256, 3), nn.MaxPool2d(3, 2, 1)),
        )
        positions = math.ceil(input_hw[0] / 32) * math.ceil(input_hw[1] / 32)
        self.fc1 = nn.Linear(256 * positions, 2 * 32 * 128)
        self.fc2 = nn.Linear(32 * 128, 2 * 32 * 128)
        self.fc7128 = nn.Linear(32 * 128, embedding_size)
        _initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, embedding_size), not of unit length."""
        x = _maxout(self.fc1(self.trunk(pictures).flatten(1)))
        embeddings: Tensor = self.fc7128(_maxout(self.fc2(x)))
        return embeddings


class _Inception(nn.Module):
    def __init__(self, size: int, row: Row, *, batch_norm: bool) -> None:
        super().__init__()
        self.l2, self.stride = row.pool == "l2", row.stride
        self.one: nn.Module | None = None
        self.five: nn.Module | None = None
        self.projection: nn.Module | None = None
        if row.one:
            self.one = _conv(size, row.one, 1, batch_norm=batch_norm)
        self.three = nn.Sequential(
            _conv(size, row.reduce3, 1, batch_norm=batch_norm),
            _conv(row.reduce3, row.three, 3, row.stride, batch_norm=batch_norm),
        )
        if row.five:
            self.five = nn.Sequential(
                _conv(size, row.reduce5, 1, batch_norm=batch_norm),
                _conv(row.reduce5, row.five, 5, row.stride, batch_norm=batch_norm),
            )
        if row.projection:
            self.projection = _conv(size, row.projection, 1, batch_norm=batch_norm)
        self.size = row.one + row.three + row.five + (row.projection or size)

    def forward(self, x: Tensor) -> Tensor:
        parts = [branch(x) for branch in (self.one, self.three, self.five) if branch is not None]
        if self.l2:
            # The root's slope at zero is infinite, and whole windows are zero after a ReLU.
            mean = functional.avg_pool2d(x.square(), 3, self.stride, 1)
            pooled = torch.sqrt(9.0 * mean + 1e-12)
        else:
            pooled = functional.max_pool2d(x, 3, self.stride, 1)
        parts.append(pooled if self.projection is None else self.projection(pooled))
        return torch.cat(parts, 1)


def _conv(size: int, out: int, kernel: int, stride: int = 1, *, batch_norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(size, out, kernel, stride, kernel // 2, bias=not batch_norm)
    norm = [nn.BatchNorm2d(out)] if batch_norm else []
    return nn.Sequential(conv, *norm, nn.ReLU())


def _halved(row: Row) -> Row:
    return replace(
        row,
        one=row.one // 2,
        reduce3=row.reduce3 // 2,
        three=row.three // 2,
        reduce5=row.reduce5 // 2,
        five=row.five // 2,
        projection=row.projection // 2,
    )


def _maxout(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[1] // 2, 2).amax(2)


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
