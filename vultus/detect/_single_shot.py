"""What networks that look at the whole picture once have in common: fit, run, decode, suppress."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from vultus.detect._faces import Candidates, faces_in, suppressed
from vultus.detect._letterbox import Letterbox, fit_fixed, fit_native, to_tensor
from vultus.detect.base import DetectorOptions
from vultus.errors import CardError, InferenceError, RangeError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import Face, Frame

__all__ = ["SingleShot"]

# Pixels of input per call of the network: bounds memory, enough to fill an accelerator. On a CPU a
# larger batch only falls out of the cache: YuNet takes 0.8 ms a picture of 160 px alone and 0.65 ms
# in pairs or fours, the same at 320 px alone and in pairs, but at 640 px 10 ms alone and 22 ms in
# fours.
_BATCH_PX = 4_194_304
_CPU_BATCH_PX = 204_800


class SingleShot(ABC):
    """A detector of one network, driven by its card. Thread-safe: no state between calls.

    Args:
        session: The network.
        card: Its card: input, strides, anchors, thresholds.
        options: What is asked of it.

    Raises:
        CardError: The card has no [detector] table.
        RangeError: `options` ask for an input that the network does not take.
    """

    sure_score: ClassVar[float] = math.inf
    """Score from which no face of a picture turned aside was taken for upright; see
    `vultus.detect.rotation`. Infinite: not measured, so every turn is looked at."""

    whole_px: ClassVar[int] = 320
    """Longest side of an input in which a face that fills it is found, and no part of it besides;
    see `vultus.detect.scales`."""

    _pad: ClassVar[float | None] = 0.0
    """Grey level of the padding; ``None``: 0 after normalisation."""

    def __init__(
        self, session: Session, card: ModelCard, options: DetectorOptions | None = None
    ) -> None:
        if card.detector is None:
            raise CardError(f"{card.name} is no detector", path=card.name)
        self.name = card.name
        self.options = options or DetectorOptions()
        self._session, self._card = session, card
        self._input, self._spec = card.input, card.detector
        self._check_size()
        asked = self.options
        self._threshold = _chosen(asked.score_threshold, self._spec.score_threshold)
        self.nms_iou = _chosen(asked.nms_iou, self._spec.nms_iou)

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        store: Store,
        session_options: SessionOptions | None = None,
        options: DetectorOptions | None = None,
    ) -> Self:
        """Load the network that `card` names from `store`."""
        return cls(Session(store.read(card), card.name, session_options), card, options)

    @property
    def fixed_size_wh(self) -> tuple[int, int] | None:
        """Width and height of every input, in pixels; ``None`` where they follow the picture."""
        return self._input.size_wh or self.options.size_wh

    def with_options(self, options: DetectorOptions) -> Self:
        """The same network, which is shared, asked for something else."""
        return type(self)(self._session, self._card, options)

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture; see `Detector`."""
        return self.detect_many([frame])[0]

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures; see `Detector`."""
        fits = [self._fit((frame.width_px, frame.height_px)) for frame in frames]
        found: list[list[Face]] = [[] for _ in frames]
        for batch in self._batches(fits):
            tensor = to_tensor(
                [frames[i].image for i in batch], [fits[i] for i in batch], self._input,
                pad=self._pad,
            )  # fmt: skip
            outputs = self._session.run({self._session.input_names[0]: tensor})
            for i, own in zip(batch, self._split(outputs, len(batch)), strict=True):
                kept = self._suppress(self._read(own, fits[i].size_wh))
                found[i] = faces_in(kept, fits[i], frames[i], self.name, self.options.min_face_px)
        return found

    def _read(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        """Decode, and say so when the outputs are not the family's."""
        try:
            return self._decode(outputs, size_wh)
        except (ValueError, IndexError) as error:
            shapes = [output.shape for output in outputs]
            raise InferenceError(
                f"the outputs of {self.name} must be those of the family {self._spec.family}, "
                f"got {shapes}",
                remedy="its card names the wrong family or strides for its weights",
                model=self.name,
            ) from error

    @abstractmethod
    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        """Read one picture's outputs.

        Args:
            outputs: In the file's order, without the batch axis.
            size_wh: Of the input, in pixels.

        Returns:
            What scores at least ``self._threshold``, in pixels of the input.
        """

    def _suppress(self, found: Candidates) -> Candidates:
        return suppressed(found, self.nms_iou)

    def _fit(self, picture_wh: tuple[int, int]) -> Letterbox:
        size_wh = self.fixed_size_wh
        if size_wh is not None:
            return fit_fixed(picture_wh, size_wh)
        return fit_native(picture_wh, self._input.multiple_of, self.options.max_side_px)

    def _split(self, outputs: list[NDArray[Any]], count: int) -> Iterator[list[NDArray[Any]]]:
        """The outputs of each picture of a batch."""
        return ([output[i] for output in outputs] for i in range(count))

    def _batches(self, fits: Sequence[Letterbox]) -> Iterator[list[int]]:
        """Numbers of pictures that go through the network together: all of one input size."""
        by_size = sorted(range(len(fits)), key=lambda i: fits[i].size_wh)
        for size_wh, same in groupby(by_size, key=lambda i: fits[i].size_wh):
            group = list(same)
            count = 1 if len(group) == 1 else self._together(size_wh)
            yield from (group[i : i + count] for i in range(0, len(group), count))

    def _together(self, size_wh: tuple[int, int]) -> int:
        """How many pictures of one input size go through the network together."""
        if self._session.batch_size is not None:
            return self._session.batch_size
        on_cpu = self._session.providers[:1] == ("CPUExecutionProvider",)
        room = _CPU_BATCH_PX if on_cpu else _BATCH_PX
        return max(1, room // (size_wh[0] * size_wh[1]))

    def _check_size(self) -> None:
        own, asked = self._input.size_wh, self.options.size_wh
        if asked is None or asked == own:
            return
        if own is not None:
            raise RangeError(
                f"{self.name} takes inputs of {own[0]} × {own[1]} px only, got {asked}",
                remedy="leave size_wh out",
            )
        multiple = self._input.multiple_of
        if any(side % multiple for side in asked):
            raise RangeError(
                f"size_wh of {self.name} must be multiples of {multiple}, got {asked}",
                remedy=f"use {tuple(-(-side // multiple) * multiple for side in asked)}",
            )


def _chosen(asked: float | None, own: float) -> float:
    return own if asked is None else asked
