"""Models for liveness that were trained here, read from where training wrote them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vultus.assess.liveness.svm import LivenessSvm, NetSvmLiveness, load_liveness_svm
from vultus.assess.liveness.texture import TEXTURE, TextureLiveness
from vultus.errors import CardError, ModelMissingError, WeightDamagedError
from vultus.models.card import load_card
from vultus.runtime import Session, SessionOptions

__all__ = ["load_own_liveness"]


def load_own_liveness(
    path: Path, options: SessionOptions | None = None
) -> TextureLiveness | NetSvmLiveness:
    """Load a machine and, where it judges a network's features, the network beside it.

    Args:
        path: ``NAME.npz``; the network is ``NAME.onnx`` with its card ``NAME.toml``.
        options: Of the network's session.

    Raises:
        DataFileError: The machine cannot be read.
        CardError: The card cannot be read, or the machine belongs to another network.
        ModelMissingError: There is no network beside it.
        WeightDamagedError: The network is not the one its card describes.
    """
    svm: LivenessSvm = load_liveness_svm(path)
    if svm.features == TEXTURE:
        return TextureLiveness(svm)
    card = load_card(path.with_suffix(".toml"))
    if card.kind != "liveness":
        raise CardError(f"{card.name!r} must be of kind liveness, it is of kind {card.kind}")
    try:
        weight = path.with_suffix(".onnx").read_bytes()
    except OSError as error:
        raise ModelMissingError(
            f"{path} judges features of a network, {path.with_suffix('.onnx')} cannot be read: "
            f"{error}",
            remedy="keep the files of one training together",
            path=str(path.with_suffix(".onnx")),
        ) from error
    if hashlib.sha256(weight).hexdigest() != card.weights[0].sha256:
        raise WeightDamagedError(
            f"{path.with_suffix('.onnx')} is not the network that its card describes",
            remedy="copy it again from where it was trained",
            path=str(path.with_suffix(".onnx")),
        )
    return NetSvmLiveness(Session(weight, card.name, options), card, svm)
