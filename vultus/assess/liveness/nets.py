"""One liveness network: a crop around a face, and the probability that it is alive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import CardError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import Box, Face, Image

__all__ = ["LivenessNet", "context_crop"]

_LIVE = 1  # the classes: printed or masked, live, on a screen


class LivenessNet:
    """A network of the MiniFASNet kind, driven by its card. Safe to call from many threads.

    Source: minivision-ai/Silent-Face-Anti-Spoofing (2020): logits of three classes, of which the
    second is a live face, from a BGR crop of 0 to 255 without normalisation.

    Args:
        session: The network: `input` (1, 3, side, side), `output` (1, 3).
        card: What it is called, and which crop it takes.

    Raises:
        CardError: The card states no size or scale of the crop.
    """

    def __init__(self, session: Session, card: ModelCard) -> None:
        if card.input.size_wh is None or card.input.crop_scale is None:
            raise CardError(f"{card.name!r} must state the size and scale of its crop")
        self.name = card.name
        self._session = session
        self._size_wh = card.input.size_wh
        self._scale = card.input.crop_scale
        self._flip = card.input.channels == "BGR"

    @classmethod
    def from_card(
        cls, card: ModelCard, store: Store, options: SessionOptions | None = None
    ) -> Self:
        """Load the network that `card` names from `store`.

        Raises:
            CardError: The card is of another kind.
            ModelMissingError: The weight is not on this machine; the message tells how to get it.
        """
        if card.kind != "liveness":
            raise CardError(
                f"{card.name!r} must be a model of kind liveness, it is of kind {card.kind}",
                remedy="`vultus models list --kind liveness` shows the choice",
                expected="liveness",
                actual=card.kind,
            )
        return cls(Session(store.read(card), card.name, options), card)

    def scores(self, faces: Sequence[Face]) -> NDArray[np.float64]:
        """(n,) probability that each face is alive."""
        return np.array([self._score(face) for face in faces], np.float64)

    def _score(self, face: Face) -> float:
        crop = context_crop(face.frame.image, face.box, self._scale, self._size_wh)
        ordered = crop[:, :, ::-1] if self._flip else crop
        pixels = np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], np.float32)
        (logits,) = self._session.run({"input": pixels}, ("output",))
        wide = logits.reshape(-1).astype(np.float64)
        powers = np.exp(wide - wide.max())
        return float(powers[_LIVE] / powers.sum())


def context_crop(image: Image, box: Box, scale: float, size_wh: tuple[int, int]) -> Image:
    """Cut a face with what is around it: the edge of a paper or a screen gives it away.

    Args:
        image: (h, w, 3) uint8.
        box: The face.
        scale: Sides of the crop as a multiple of the box; less where the picture is too small.
        size_wh: Of the result.

    Returns:
        (height, width, 3) uint8. At the picture's border the crop is moved inside, as in the
        program the networks were trained with (its `CropImage`).
    """
    height, width = image.shape[:2]
    left, top, right, bottom = _inside(box, width, height)
    grown = min((height - 1) / (bottom - top), (width - 1) / (right - left), scale)
    half_w, half_h = (right - left) * grown / 2, (bottom - top) * grown / 2
    x = float(np.clip((left + right) / 2, half_w, max(half_w, width - 1 - half_w)))
    y = float(np.clip((top + bottom) / 2, half_h, max(half_h, height - 1 - half_h)))
    x1, y1 = max(0, int(x - half_w)), max(0, int(y - half_h))
    crop = image[y1 : int(y + half_h) + 1, x1 : int(x + half_w) + 1]
    return np.asarray(cv2.resize(crop, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


def _inside(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of a box that lies in the picture, at least a pixel wide and high."""
    left = min(max(0.0, box.x1), width - 1.0)
    top = min(max(0.0, box.y1), height - 1.0)
    return left, top, max(left + 1.0, min(box.x2, width)), max(top + 1.0, min(box.y2, height))
