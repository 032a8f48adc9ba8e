"""A trained network as ONNX, with a card of kind ``liveness`` that vultus can use it by."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import warnings
from pathlib import Path

import torch
from torch import nn

from vultus.errors import MissingExtraError, OutputError
from vultus.models import ModelCard
from vultus.models.card import parse_card

__all__ = ["ANSWERS", "FEATURES", "export_net", "to_onnx"]

ANSWERS, FEATURES = "output", "features"
_OPSET = 17


def to_onnx(net: nn.Module, side_px: int) -> bytes:
    """The network: `input` (n, 3, s, s) to `output` (n, 2) logits and `features` (n, d).

    Raises:
        MissingExtraError: onnx is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError(
            "a network is written with onnx", remedy="pip install 'vultus[train]'"
        )
    names = ["input", ANSWERS, FEATURES]
    buffer = io.BytesIO()
    net.eval()
    with warnings.catch_warnings():
        # The exporter by TorchScript needs no onnxscript and says that it will go one day.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.full((1, 3, side_px, side_px), 127.0),),
            buffer,  # type: ignore[arg-type]  # a file will do, says its documentation
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "n"} for name in names},
            opset_version=_OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def export_net(
    net: nn.Module,
    folder: Path,
    name: str,
    side_px: int,
    crop_scale: float,
    *,
    data: str,
    summary: str,
) -> ModelCard:
    """Write ``NAME.onnx`` and its card, ``NAME.toml``.

    Args:
        net: Takes pixels of 0 to 255.
        folder: Where to; made when absent.
        name: Of the card: lower case, digits and hyphens.
        side_px: Of its input.
        crop_scale: Side of its crop as a multiple of the face's box.
        data: What it was trained on.
        summary: What was measured, and how.

    Raises:
        CardError: The name is none.
        OutputError: The files cannot be written.
    """
    weight = to_onnx(net, side_px)
    text = _card(name, hashlib.sha256(weight).hexdigest(), side_px, crop_scale, data, summary)
    card = parse_card(text, f"{name}.toml")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.onnx").write_bytes(weight)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error}", path=str(folder)) from error
    return card


def _card(name: str, digest: str, side_px: int, scale: float, data: str, summary: str) -> str:
    """A string of TOML is one of JSON where nothing lies outside the printable range."""
    return f"""\
name = {json.dumps(name)}
kind = "liveness"
title = "{name}: trained here, is this a live face?"
summary = {json.dumps(summary)}

[origin]
project = "trained with vultus liveness-train"
url = "https://example.invalid/own-model"

[licence]
spdx = "LicenseRef-own"
note = "Yours, as far as the pictures it was trained on allow."
training_data = {json.dumps(data)}

[input]
size_wh = [{side_px}, {side_px}]
layout = "NCHW"
channels = "RGB"
crop_scale = {scale}

[[weights]]
role = "net"
file = "{name}.onnx"
sha256 = "{digest}"
"""
