"""What a network costs: its parameters and multiply-adds, counted without running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

__all__ = ["LayerCost", "layer_costs", "multiply_adds", "parameters"]


class LayerCost(NamedTuple):
    """One convolution or fully connected layer.

    Attributes:
        name: Its path in the network.
        parameters: Weights and biases.
        multiply_adds: Parameters times the positions they are applied at, for one picture.
    """

    name: str
    parameters: int
    multiply_adds: int


def parameters(model: nn.Module) -> int:
    """How many numbers are learnt; running means and the like are not counted."""
    return sum(parameter.numel() for parameter in model.parameters())


def layer_costs(model: nn.Module, input_hw: tuple[int, int]) -> tuple[LayerCost, ...]:
    """What each convolution and fully connected layer costs, in the order they run.

    The counting of the FaceNet paper's tables: a bias is one multiply-add, and poolings,
    normalisations and activations are free. A network on the device ``meta`` is counted without
    any arithmetic or memory.

    Args:
        model: Takes (n, 3, h, w).
        input_hw: Height and width of the picture, in pixels.
    """
    found: list[LayerCost] = []
    handles = [
        module.register_forward_hook(_recorder(name, found))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    training = model.training
    device = next(model.parameters()).device
    try:
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, 3, *input_hw, device=device))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return tuple(found)


def multiply_adds(model: nn.Module, input_hw: tuple[int, int]) -> int:
    """The sum of `layer_costs`: the "FLOPS" of the FaceNet paper, half of those of others."""
    return sum(layer.multiply_adds for layer in layer_costs(model, input_hw))


def _recorder(name: str, found: list[LayerCost]) -> Callable[..., None]:
    def record(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        del inputs
        count = parameters(module)
        positions = output[0, 0].numel() if output.ndim == 4 else 1
        found.append(LayerCost(name, count, count * positions))

    return record
