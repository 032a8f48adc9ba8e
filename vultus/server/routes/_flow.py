"""From encoded pictures to answers, in one worker's thread: decode, detect, compare, decide."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from vultus.assess.gate import check, gate_policy
from vultus.assess.quality import QualityAssessor
from vultus.decide import decide, threshold_for
from vultus.errors import CardError, NoFaceError, RefusedFaceError, SeveralFacesError
from vultus.gallery import Gallery, NewSample, Person
from vultus.models import ModelCard, Registry
from vultus.pipeline import Recognizer, largest_face
from vultus.server.errors import RequestError
from vultus.server.routes._body import Upload
from vultus.server.service import Service
from vultus.sources import Limits, decode_base64, load_frame
from vultus.types import (
    Decision,
    Embedding,
    EmbeddingSpace,
    Face,
    Frame,
    GateResult,
    Identification,
    Match,
    Quality,
    Threshold,
)

__all__ = ["Flow", "Seen"]

_PAGE = 1000
_OFF = "off"


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture and those of its faces that count.

    Attributes:
        frame: The picture.
        faces: By falling score; where only so many were wanted, the largest first.
    """

    frame: Frame
    faces: list[Face]


class Flow:
    """The server's recogniser with what one request asks of it.

    Args:
        service: The process's.
        gate: Name of the gate that faces must pass; the server's own when ``None``.
        threshold: A policy or a cosine; the server's own when ``None``.
        any_turn: Look at quarter turns as well.

    Raises:
        RequestError: There is no such threshold.
        NotReadyError: The model is still being loaded.
    """

    def __init__(
        self,
        service: Service,
        *,
        gate: str | None = None,
        threshold: str | float | None = None,
        any_turn: bool = False,
    ) -> None:
        settings = service.settings
        self._base = base = service.recognizer
        self._metrics, self._any_turn = service.metrics, any_turn
        self._limits = Limits(settings.max_body_bytes, settings.max_pixels)
        self._policy = gate_policy(gate or settings.gate)
        self._threshold = limit = _threshold(base, threshold)
        # A view of the loaded parts with another gate and threshold; it makes nothing.
        self._own = Recognizer(
            lambda: base.detector,
            lambda: _Embedding(base),
            lambda: limit,
            calibration=lambda: base.calibration,
            assessor=lambda: _Assessing(base),
            gate=self._policy,
        )

    # -- faces ------------------------------------------------------------------------------------

    def see(self, picture: Upload, most: int | None = None, label: str | None = None) -> Seen:
        """Decode a picture and find its faces.

        Args:
            picture: As it came.
            most: Only so many, the largest first.
            label: What messages call the picture.

        Raises:
            ImageError: It cannot be read.
        """
        data = picture.data
        with self._metrics.timed("decode"):
            encoded = decode_base64(data, self._limits) if isinstance(data, str) else data
            frame = load_frame(encoded, limits=self._limits, label=label or picture.name)
        faces = self._base.detect(frame, any_turn=self._any_turn)
        if most is not None:
            faces = sorted(faces, key=lambda face: face.visible_area_px, reverse=True)[:most]
        return Seen(frame, faces)

    def one(self, picture: Upload, *, largest: bool = True, label: str | None = None) -> Face:
        """The one face of a picture, or its largest.

        Raises:
            NoFaceError: It shows none.
            SeveralFacesError: It shows several and `largest` is false.
            ImageError: It cannot be read.
        """
        seen = self.see(picture, label=label)
        shown = label or picture.name or "the picture"
        if not seen.faces:
            raise NoFaceError(f"{shown} must show a face, none was found")
        if len(seen.faces) > 1 and not largest:
            raise SeveralFacesError(
                f"{shown} must show one face, {len(seen.faces)} were found",
                actual=len(seen.faces),
            )
        return largest_face(seen.faces)

    def admit(self, face: Face) -> tuple[Quality | None, GateResult | None]:
        """A face's quality and the gate's word, when it lets the face through.

        Raises:
            RefusedFaceError: It does not.
        """
        if self._policy.name == _OFF:
            return None, None
        (quality,) = self._base.assess([face])
        gate = check(quality, self._policy)
        if not gate.accepted:
            raise RefusedFaceError(
                f"{face.frame.source or 'the face'} must pass the gate {gate.policy!r}: "
                + "; ".join(map(str, gate.reasons)),
                reasons=[reason.code for reason in gate.reasons],
            )
        return quality, gate

    # -- answers ----------------------------------------------------------------------------------

    def compare(self, a: Face, b: Face) -> Decision:
        """Whether two faces are the same person's."""
        first, second = self._base.embed([a, b])
        return decide(first.similarity(second), self._threshold, self._base.calibration)

    def identify(
        self,
        gallery: Gallery,
        faces: list[Face],
        *,
        k: int,
        groups: Collection[str] | None,
        once: bool,
    ) -> list[Identification]:
        """Whose faces these are, see `Recognizer.identify`."""
        return self._own.identify(gallery, faces, k=k, groups=groups, once=once)

    def verify(
        self,
        gallery: Gallery,
        person: Person,
        face: Face,
        groups: Collection[str] | None,
        quality: Quality | None,
    ) -> Decision | None:
        """Whether a face is a person's; ``None`` where none of their faces counts.

        Raises:
            SpaceMismatchError: The gallery was made with another model.
        """
        embedding = self._base.embed(face)
        stored = list(_numbers(gallery, person.id, groups))
        if not stored:
            return None
        space = embedding.space
        every = np.stack([gallery.embedding(number, space).vector for number in stored])
        # In double precision, as galleries search; of equal ones the older face.
        similar = every.astype(np.float64) @ embedding.vector.astype(np.float64)
        best = int(similar.argmax())
        return decide(
            float(np.clip(similar[best], -1.0, 1.0)),
            self._threshold,
            self._base.calibration,
            sample=stored[best],
            quality=None if quality is None else quality.score,
        )

    @property
    def space(self) -> EmbeddingSpace:
        """Where the server's embeddings live."""
        return self._base.embedder.space

    def judge(self, matches: Sequence[Match]) -> Decision | None:
        """The best of some matches held against the threshold; ``None`` where there is none."""
        if not matches:
            return None
        best, *others = matches
        return decide(
            best.similarity,
            self._threshold,
            self._base.calibration,
            margin=best.similarity - others[0].similarity if others else None,
            sample=best.sample,
        )

    def sample(
        self,
        person: str,
        picture: Upload,
        *,
        largest: bool,
        group: str | None,
        label: str | None = None,
    ) -> NewSample:
        """A picture made ready for a gallery.

        Besides this flow's gate the server's own holds, and its crop is kept where it keeps crops.

        Raises:
            NoFaceError: It shows no face.
            SeveralFacesError: It shows several and `largest` is false.
            RefusedFaceError: A gate does not let it through.
            RangeError: Nobody can have this name.
        """
        face = self.one(picture, largest=largest, label=label)
        quality, _ = self.admit(face)
        made = replace(self._base.sample(person, face, group=group), source=picture.name)
        if quality is None or made.quality is not None:
            return made
        return replace(made, quality=quality)


class _Assessing(QualityAssessor):
    """The assessor of a recogniser, which does not hand it out."""

    def __init__(self, owner: Recognizer) -> None:
        super().__init__()
        self._owner = owner

    def assess(self, faces: Sequence[Face]) -> list[Quality]:
        """As the owner assesses."""
        return self._owner.assess(faces)


class _Embedding:
    """The embedding of a recogniser: with its timing, and batched with other requests' faces."""

    def __init__(self, owner: Recognizer) -> None:
        self._owner = owner

    @property
    def space(self) -> EmbeddingSpace:
        """That of the owner."""
        return self._owner.embedder.space

    def embed(self, faces: Sequence[Face]) -> list[Embedding]:
        """As the owner embeds."""
        return self._owner.embed(faces)


def _threshold(recognizer: Recognizer, policy: str | float | None) -> Threshold:
    if policy is None:
        return recognizer.threshold
    space = recognizer.embedder.space
    try:
        return threshold_for(_card(space.model), space, policy)
    except CardError as error:
        raise RequestError(
            f"threshold: {error.message}",
            remedy="name a rate, fmr=1e-3 say, or a cosine",
            **error.fields,
        ) from error


@lru_cache(maxsize=4)
def _card(name: str) -> ModelCard:
    return Registry().get(name)


def _numbers(gallery: Gallery, person: str, groups: Collection[str] | None) -> Iterator[int]:
    """A person's samples that count in a search of these groups, ascending, each once."""
    if groups is None:
        yield from _pages(gallery, person, None)
        return
    found = {number for group in groups for number in _pages(gallery, person, group)}
    yield from sorted(found)


def _pages(gallery: Gallery, person: str, group: str | None) -> Iterator[int]:
    after = 0
    while page := gallery.samples(person=person, group=group, after=after, limit=_PAGE):
        yield from (sample.number for sample in page)
        after = page[-1].number
