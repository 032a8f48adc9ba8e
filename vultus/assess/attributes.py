"""Age and sex as a model reads them from a face, each with how good that reading was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vultus.assess._square import cut, square_of
from vultus.errors import CardError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import Attributes, Face, Reading

__all__ = ["DEFAULT_MODEL", "AttributeReader"]

Floats = NDArray[np.floating[Any]]

DEFAULT_MODEL = "faceres-deep"
"""Name of the card. It does not ship with vultus: docs/quality.md tells how to get it."""

_SIZE_PX = 224
# Crops per call of the network: 10 MB of input.
_BATCH = 16
# The crop as a part of the square that landmarkers look in: about 1.1 times the face's box. On
# UTKFace, 1.0 to 1.35 times the box give ages within 0.2 years of one another.
_CROP = 0.73
# The network's 100 outputs are the ages 1 to 100. Source: HSE_FaceRec_tf, facial_analysis.py.
_AGES = np.arange(1.0, 101.0)

# Measured by `vultus.evaluate.protocols.attributes` on 400 pictures of UTKFace with MTCNN, which
# finds 399 of the faces; 155 are of people below 16. docs/quality.md has the table.
_AGE_QUALITY = "mean error 5.3 years (11.6 from 51 years on), UTKFace, 399 faces"
_SEX_QUALITY = "86 % right (97 % from 16 years on, 68 % below), UTKFace, 399 faces"


class AttributeReader:
    """Reads age and sex from faces. Off unless asked for; safe to call from many threads.

    What it reads is how old and of which sex a face looks to a network that learnt from film
    stars and Wikipedia portraits. It is no fact about the person, and no ground for a decision
    about them.

    Source: Savchenko 2019, "Efficient facial representations for age, gender and identity
    recognition in organizing photo albums using multi-output ConvNet", PeerJ Computer Science;
    the age is the expected value of the output as in Rothe et al. 2015 (DEX).

    Args:
        session: The network: `input` (n, 224, 224, 3) BGR less ImageNet's mean; `age` (n, 100)
            and `sex` (n, 1), the probability of a man.
        card: What it is called, and how it is fed.
    """

    def __init__(self, session: Session, card: ModelCard) -> None:
        self.name = card.name
        self._session = session
        self._mean = np.array(card.input.mean, np.float32)
        self._flip = card.input.channels == "BGR"

    @classmethod
    def from_card(
        cls, card: ModelCard, store: Store, session_options: SessionOptions | None = None
    ) -> Self:
        """Load the network that `card` names from `store`.

        Raises:
            CardError: The card is of another kind.
            ModelMissingError: The weight is not on this machine; the message tells how to get it.
        """
        if card.kind != "attributes":
            raise CardError(
                f"{card.name!r} must be a model of kind attributes, it is of kind {card.kind}",
                remedy="`vultus models list --kind attributes` shows the choice",
                expected="attributes",
                actual=card.kind,
            )
        return cls(Session(store.read(card), card.name, session_options), card)

    def read(self, faces: Sequence[Face]) -> list[Attributes]:
        """Read the attributes of several faces, of one picture or many.

        Args:
            faces: With five points, by which they are turned upright, or without.

        Returns:
            One per face, in order: `age` in years and `sex` (``female``, ``male``) with the
            network's own probability; `expression` and `glasses` stay ``None``.
        """
        found: list[Attributes] = []
        for start in range(0, len(faces), _BATCH):
            batch = np.stack([self._input(face) for face in faces[start : start + _BATCH]])
            age, sex = self._session.run({"input": batch}, ("age", "sex"))
            years, male = age.astype(np.float64) @ _AGES, sex.reshape(-1).astype(np.float64)
            found += [
                self._attributes(float(y), float(m)) for y, m in zip(years, male, strict=True)
            ]
        return found

    def _input(self, face: Face) -> NDArray[np.float32]:
        square = square_of(face) * (1.0, 1.0, _CROP, 1.0)
        crop = cut(face.frame.image, square, _SIZE_PX)
        ordered = crop[:, :, ::-1] if self._flip else crop
        return ordered.astype(np.float32) - self._mean

    def _attributes(self, years: float, male: float) -> Attributes:
        sex = "male" if male >= 0.5 else "female"
        return Attributes(
            age=Reading(years, None, _AGE_QUALITY, self.name),
            sex=Reading(sex, max(male, 1.0 - male), _SEX_QUALITY, self.name),
        )
