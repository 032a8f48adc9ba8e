"""Networks that make embeddings from pictures, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from vultus.errors import MissingExtraError, RangeError, UnknownModelError
from vultus.train.backbones.counts import LayerCost, layer_costs, multiply_adds, parameters
from vultus.train.backbones.facenet_paper import (
    NN1,
    NN2_ROWS,
    InceptionNet,
    nn4_rows,
    nns1,
    nns2,
)
from vultus.train.backbones.inception_resnet import InceptionResnetV1
from vultus.train.backbones.iresnet import DEPTHS, IResNet
from vultus.train.backbones.mobilefacenet import MobileFaceNet

__all__ = [
    "BACKBONES",
    "Backbone",
    "LayerCost",
    "create",
    "describe",
    "layer_costs",
    "multiply_adds",
    "parameters",
]

_TIMM = "timm/"


@dataclass(frozen=True, slots=True)
class Backbone:
    """What is known of a network before it is made.

    Attributes:
        name: What recipes call it.
        input_hw: Height and width in pixels it was designed for.
        embedding_size: Length of its output, as designed.
        make: Makes it; takes `embedding_size` and, where `sized`, `input_hw`.
        least_px: The shortest side it takes.
        sized: Whether its layers depend on the picture's size.
        options: Further keywords that `make` takes.
    """

    name: str
    input_hw: tuple[int, int]
    embedding_size: int
    make: Callable[..., nn.Module]
    least_px: int = 32
    sized: bool = False
    options: frozenset[str] = frozenset()


def _known() -> dict[str, Backbone]:
    norm, drop = frozenset({"batch_norm"}), frozenset({"dropout"})
    entries = [
        Backbone("mobilefacenet", (112, 112), 128, MobileFaceNet, sized=True),
        *(
            Backbone(f"iresnet{depth}", (112, 112), 512, partial(IResNet, depth), 32, True, drop)
            for depth in DEPTHS
        ),
        Backbone(
            "inception-resnet-v1",
            (160, 160),
            512,
            InceptionResnetV1,
            75,  # smaller ones have nothing left after the last reduction
            options=frozenset({"keep_probability"}),
        ),
        Backbone("nn1", (220, 220), 128, NN1, sized=True, options=norm),
        Backbone("nn2", (224, 224), 128, partial(InceptionNet, NN2_ROWS), options=norm),
        Backbone("nn3", (160, 160), 128, partial(InceptionNet, NN2_ROWS), options=norm),
        Backbone("nn4", (96, 96), 128, partial(InceptionNet, nn4_rows()), options=norm),
        Backbone("nns1", (165, 165), 128, nns1, sized=True, options=norm),
        Backbone("nns2", (140, 116), 128, nns2, sized=True, options=norm),
    ]
    return {entry.name: entry for entry in entries}


BACKBONES: dict[str, Backbone] = _known()
"""All networks by name, but those of timm."""


def describe(name: str) -> Backbone:
    """What is known of a network.

    Args:
        name: A key of `BACKBONES`, or ``timm/NAME`` for one of the library timm.

    Raises:
        UnknownModelError: No network has this name.
        MissingExtraError: timm is asked for and not installed.
    """
    if name.startswith(_TIMM):
        return Backbone(name, (224, 224), 512, partial(_from_timm, name.removeprefix(_TIMM)))
    try:
        return BACKBONES[name]
    except KeyError:
        raise UnknownModelError(
            f"no backbone is called {name!r}",
            remedy=f"choose one of {', '.join(BACKBONES)}, or timm/NAME",
            actual=name,
        ) from None


def create(
    name: str,
    *,
    embedding_size: int | None = None,
    input_hw: tuple[int, int] | None = None,
    **options: Any,
) -> nn.Module:
    """Make a network with fresh weights.

    It takes (n, 3, h, w) float pictures and gives (n, embedding_size) numbers that do not have
    unit length. Where the device is ``meta`` it takes no memory.

    Args:
        name: As in `describe`.
        embedding_size: Length of the output; as designed when left out.
        input_hw: Height and width of the pictures in pixels; as designed when left out.
        options: What the network alone takes: `Backbone.options`; for timm, keywords of its
            ``create_model``.

    Raises:
        UnknownModelError: No network has this name.
        RangeError: A size that is too small, or an option the network does not take.
        MissingExtraError: timm is asked for and not installed.
    """
    backbone = describe(name)
    size = backbone.embedding_size if embedding_size is None else embedding_size
    shape = backbone.input_hw if input_hw is None else input_hw
    if size < 1:
        raise RangeError(f"an embedding has at least one number, got {size}", actual=size)
    if min(shape) < backbone.least_px:
        raise RangeError(
            f"{name} takes pictures of at least {backbone.least_px} pixels a side, got "
            f"{shape[0]} by {shape[1]}",
            actual=shape,
        )
    unknown = sorted(set(options) - backbone.options)
    if unknown and not name.startswith(_TIMM):
        takes = ", ".join(sorted(backbone.options)) or "none"
        raise RangeError(f"{name} has no option {unknown[0]!r}; it takes: {takes}")
    if backbone.sized:
        options["input_hw"] = shape
    return backbone.make(embedding_size=size, **options)


def _from_timm(name: str, *, embedding_size: int, **options: Any) -> nn.Module:
    try:
        timm = import_module("timm")
    except ImportError as error:
        raise MissingExtraError(
            f"the backbone timm/{name} takes timm, which is not installed",
            remedy="pip install timm",
        ) from error
    if name not in timm.list_models():
        raise UnknownModelError(
            f"timm has no network called {name!r}",
            remedy="timm.list_models() tells the names",
            actual=name,
        )
    if "pretrained" in options:
        raise RangeError("weights of timm are not fetched: leave out the option 'pretrained'")
    try:
        model = timm.create_model(name, num_classes=embedding_size, pretrained=False, **options)
    except TypeError as error:
        raise RangeError(f"timm/{name} does not take these options: {error}") from error
    if not isinstance(model, nn.Module):
        raise UnknownModelError(f"timm's {name!r} is no network", actual=name)
    return model
