"""Inception-ResNet-v1 as facenet trained it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["InceptionResnetV1"]

_EPS = 1e-3  # of batch normalisations: facenet's batch_norm_params
_MOMENTUM = 0.005  # facenet's decay of 0.995


class InceptionResnetV1(nn.Module):
    """(n, 3, h, w), 75 pixels a side at least, to (n, embedding_size) prelogits.

    Layers bear the names of facenet-pytorch, so its weights fit. As there, a batch normalisation
    has a scale, which facenet's lacks; the last of them stands for facenet's bottleneck.

    Source: Szegedy et al. 2016, "Inception-v4", figures 10 to 15; facenet's
    ``inception_resnet_v1.py`` for its widths, scales (0.17, 0.10, 0.20) and bottleneck.

    Args:
        embedding_size: Length of the output; 128 and 512 in facenet's published models.
        keep_probability: Part of the pooled features that is kept in training.
    """

    def __init__(self, embedding_size: int = 512, *, keep_probability: float = 1.0) -> None:
        super().__init__()
        self.conv2d_1a = _Conv(3, 32, 3, 2, 0)
        self.conv2d_2a = _Conv(32, 32, 3, 1, 0)
        self.conv2d_2b = _Conv(32, 64, 3)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = _Conv(64, 80, 1)
        self.conv2d_4a = _Conv(80, 192, 3, 1, 0)
        self.conv2d_4b = _Conv(192, 256, 3, 2, 0)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _Reduction(
            (_Conv(256, 384, 3, 2, 0),),
            (_Conv(256, 192, 1), _Conv(192, 192, 3), _Conv(192, 256, 3, 2, 0)),
        )
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _Reduction(
            (_Conv(896, 256, 1), _Conv(256, 384, 3, 2, 0)),
            (_Conv(896, 256, 1), _Conv(256, 256, 3, 2, 0)),
            (_Conv(896, 256, 1), _Conv(256, 256, 3), _Conv(256, 256, 3, 2, 0)),
        )
        self.repeat_3 = nn.Sequential(*(_block8(0.20) for _ in range(5)))
        self.block8 = _block8(1.0, last=True)
        self.dropout = nn.Dropout(1.0 - keep_probability)
        self.last_linear = nn.Linear(1792, embedding_size, bias=False)
        self.last_bn = nn.BatchNorm1d(embedding_size, eps=_EPS, momentum=_MOMENTUM)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, embedding_size), not of unit length."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(pictures)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        x = self.dropout(x.mean((2, 3)))
        embeddings: Tensor = self.last_bn(self.last_linear(x))
        return embeddings


class _Conv(nn.Module):
    def __init__(
        self,
        size: int,
        out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if padding is None:  # the size is kept
            high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
            padding = (high // 2, wide // 2)
        self.conv = nn.Conv2d(size, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=_EPS, momentum=_MOMENTUM)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.bn(self.conv(x)))
        return y


class _Residual(nn.Module):
    """Branches side by side, joined by a 1x1 convolution, scaled and added to the input."""

    def __init__(
        self,
        branches: tuple[nn.Module, ...],
        widths: int,
        size: int,
        scale: float,
        *,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.count, self.scale = len(branches), scale
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self.conv2d = nn.Conv2d(widths, size, 1)
        self.relu: nn.Module = nn.Identity() if last else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.get_submodule(f"branch{i}")(x) for i in range(self.count)]
        y: Tensor = self.relu(x + self.scale * self.conv2d(torch.cat(parts, 1)))
        return y


class _Reduction(nn.Module):
    """Branches of stride two and a max pooling, side by side."""

    def __init__(self, *branches: tuple[_Conv, ...]) -> None:
        super().__init__()
        self.count = len(branches)
        for i, branch in enumerate(branches):
            own = branch[0] if len(branch) == 1 else nn.Sequential(*branch)
            self.add_module(f"branch{i}", own)
        self.pool = nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.get_submodule(f"branch{i}")(x) for i in range(self.count)]
        return torch.cat([*parts, self.pool(x)], 1)


def _block35() -> _Residual:
    return _Residual(
        (
            _Conv(256, 32, 1),
            nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3)),
            nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3), _Conv(32, 32, 3)),
        ),
        96,
        256,
        0.17,
    )


def _block17() -> _Residual:
    long = nn.Sequential(_Conv(896, 128, 1), _Conv(128, 128, (1, 7)), _Conv(128, 128, (7, 1)))
    return _Residual((_Conv(896, 128, 1), long), 256, 896, 0.10)


def _block8(scale: float, *, last: bool = False) -> _Residual:
    long = nn.Sequential(_Conv(1792, 192, 1), _Conv(192, 192, (1, 3)), _Conv(192, 192, (3, 1)))
    return _Residual((_Conv(1792, 192, 1), long), 384, 1792, scale, last=last)
