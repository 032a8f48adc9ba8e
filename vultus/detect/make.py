"""Make the detector that a card describes."""

from __future__ import annotations

from vultus.detect._single_shot import SingleShot
from vultus.detect.base import Detector, DetectorOptions
from vultus.detect.scales import EveryScale
from vultus.errors import CardError
from vultus.models import ModelCard, Store
from vultus.runtime import SessionOptions

__all__ = ["detector_for"]


def detector_for(
    card: ModelCard,
    store: Store,
    session_options: SessionOptions | None = None,
    options: DetectorOptions | None = None,
) -> Detector:
    """Load the detector that `card` describes, to look at as many scales as `options` say.

    Args:
        card: Of kind ``detector``.
        store: Where its weights lie.
        session_options: Threads and providers.
        options: What is asked of it.

    Raises:
        CardError: The card describes no detector.
        ModelMissingError: A weight is not on this machine.
        WeightDamagedError: A weight is not the one the card names.
        InferenceError: A weight cannot be loaded.
        RangeError: `options` ask for what the detector cannot do.
    """
    if card.detector is None:
        raise CardError(
            f"{card.name} is a card of kind {card.kind}, and a detector was asked for",
            remedy="`vultus models list --kind detector` shows the detectors",
        )
    detector = _of_family(card, card.detector.family, store, session_options, options)
    if options is None or options.scales == "one" or not isinstance(detector, SingleShot):
        return detector
    return EveryScale(detector, tiled=options.scales == "tiled")


def _of_family(  # noqa: PLR0911 - one per family
    card: ModelCard,
    family: str,
    store: Store,
    session_options: SessionOptions | None,
    options: DetectorOptions | None,
) -> Detector:
    """The code of a family is imported when it is asked for, not before."""
    match family:
        case "mtcnn":
            from vultus.detect.mtcnn import Mtcnn, MtcnnOptions

            own = MtcnnOptions.of(options, card.detector)
            return Mtcnn.from_card(card, store, session_options, own)
        case "scrfd":
            from vultus.detect.scrfd import Scrfd

            return Scrfd.from_card(card, store, session_options, options)
        case "yunet":
            from vultus.detect.yunet import YuNet

            return YuNet.from_card(card, store, session_options, options)
        case "retinaface":
            from vultus.detect.retinaface import RetinaFace

            return RetinaFace.from_card(card, store, session_options, options)
        case "ultralight":
            from vultus.detect.ultralight import UltraLight

            return UltraLight.from_card(card, store, session_options, options)
        case "centerface":
            from vultus.detect.centerface import CenterFace

            return CenterFace.from_card(card, store, session_options, options)
        case "mmod":
            from vultus.detect.mmod import Mmod

            return Mmod.from_card(card, store, session_options, options)
        case "blazeface":
            from vultus.detect.blazeface import BlazeFace

            return BlazeFace.from_card(card, store, session_options, options)
        case "haar":
            from vultus.detect.haar import Haar

            return Haar.from_card(card, store, session_options, options)
    raise CardError(
        f"{card.name} is of the family {family!r}, which this version cannot run", path=card.name
    )
