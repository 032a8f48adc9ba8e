"""One call on its way through a method: its parameters, who asks, and what the server has."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from vultus.assess.gate import check, gate_policy
from vultus.errors import NoFaceError, RefusedFaceError
from vultus.gallery import NewSample, quality_record
from vultus.server.auth import Principal
from vultus.server.service import Service
from vultus.server.store import Scope
from vultus.server.store.faces import FaceTokens, HeldFace
from vultus.server.store.idcards import IdCards
from vultus.server.wire.baidu.errors import BaiduError, Dialect, v2, v3
from vultus.server.wire.baidu.fields import Fields
from vultus.server.wire.baidu.library import Library
from vultus.server.wire.baidu.looks import (
    Look,
    Looker,
    box_of,
    quality_control_code,
    quality_from,
    refusal_code,
    rotation_of,
)
from vultus.server.wire.baidu.pictures import (
    V2_LIMITS,
    V3_LIMITS,
    PictureLimits,
    decode_picture,
    decode_text,
)
from vultus.server.wire.baidu.scale import points
from vultus.types import Embedding, Face, Frame, Quality

__all__ = ["Call", "Method", "Picture", "Shown", "Tools"]

Order: TypeAlias = Literal["largest", "nearest"]
Reply: TypeAlias = dict[str, Any] | None

# What V3's levels ask of a liveness score. Source: Baidu's documentation of Face V3, faceverify.
LIVENESS_THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {"LOW": 0.05, "NORMAL": 0.3, "HIGH": 0.9}
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the interface.

    Attributes:
        run: Makes the reply's own fields.
        scope: What a key must be allowed to do.
        pixels: Whether it works on pictures, on the engine.
        get: Whether GET is answered as well as POST.
    """

    run: Callable[[Call], Reply]
    scope: Scope = "read"
    pixels: bool = True
    get: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What all calls of a process share."""

    looker: Looker
    faces: FaceTokens
    cards: IdCards


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a client sent.

    Attributes:
        frame: The picture.
        digest: SHA-256 of its bytes.
    """

    frame: Frame = field(repr=False)
    digest: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A face that a client showed: in a picture, or by its token.

    Attributes:
        token: Its token.
        face: The face; ``None`` by token.
        about: Where it was and how it looked, as it is kept.
        embedding: The face; ``None`` until it is asked for.
        quality: As measured; ``None`` when it was not.
    """

    token: str
    face: Face | None
    about: dict[str, Any]
    embedding: Embedding | None = None
    quality: Quality | None = None

    @property
    def location(self) -> dict[str, Any] | None:
        """`left`, `top`, `width`, `height` and `rotation`, where they are known."""
        return self.about.get("location")


@dataclass(frozen=True)
class Call:
    """A call.

    Attributes:
        service: The process's.
        principal: Who asks.
        tools: Of the process.
        fields: Parameters.
        items: Of a body that is an array.
        fetched: Pictures by their address, where the server may fetch them.
    """

    service: Service
    principal: Principal
    tools: Tools
    fields: Fields
    items: list[object] | None = None
    fetched: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def dialect(self) -> Dialect:
        """Which generation is spoken."""
        return self.fields.dialect

    @property
    def library(self) -> Library:
        """The tenant's library."""
        tenant = self.principal.tenant
        return Library(self.service.gallery(tenant), self.tools.faces, tenant)

    def points(self, similarity: float) -> float:
        """A similarity on Baidu's scale."""
        return points(self.service.recognizer, similarity)

    def with_fields(self, values: Mapping[str, object]) -> Call:
        """The same call with other parameters: one item of an array."""
        return replace(self, fields=Fields(values, self.dialect), items=None)

    # -- pictures -----------------------------------------------------------------------------

    def picture(self, text: str, max_characters: int | None = None) -> Picture:
        """A picture from base64 text.

        Raises:
            ImageError: It cannot be read, or exceeds the interface's limits.
        """
        return self.decoded(decode_text(text, max_characters or self._limits.max_characters))

    def decoded(self, data: bytes) -> Picture:
        """A picture from its bytes.

        Raises:
            ImageError: It cannot be read, or exceeds the interface's limits.
        """
        limits = self._limits
        with self.service.metrics.timed("decode"):
            frame = decode_picture(data, limits, self.service.settings.max_pixels)
        return Picture(frame, hashlib.sha256(data).digest())

    @property
    def _limits(self) -> PictureLimits:
        return V2_LIMITS if self.dialect == "v2" else V3_LIMITS

    def faces(self, picture: Picture, order: Order = "largest") -> list[Face]:
        """The faces of a picture, at least one.

        Raises:
            NoFaceError: It shows none.
        """
        found = self.service.recognizer.detect(picture.frame)
        if not found:
            raise NoFaceError("the picture must show a face, none was found")
        if order == "largest":
            return sorted(found, key=lambda face: -face.visible_area_px)
        center = (picture.frame.width_px / 2, picture.frame.height_px / 2)
        return sorted(found, key=lambda face: math.dist(face.box.center_xy, center))

    def token(self, picture: Picture, face: Face) -> str:
        """The token of a face: the same for the same face of the same file."""
        box = ",".join(f"{edge:.0f}" for edge in face.box.xyxy)
        return self.tools.faces.token_of(self.principal.tenant, picture.digest, box)

    def liveness(self, faces: Sequence[Face]) -> list[float]:
        """How alive faces are.

        Raises:
            BaiduError: No model is installed that could tell.
        """
        model = self.service.liveness
        if model is None:
            raise v2(216102) if self.dialect == "v2" else v3(216102)
        return [float(score) for score in model.score(faces)]

    # -- faces in hand ------------------------------------------------------------------------

    def shown(self, picture: Picture, face: Face, look: Look | None = None) -> Shown:
        """A face of a picture, in hand."""
        location: dict[str, Any] = dict(box_of(face))
        location["rotation"] = rotation_of(face)
        about: dict[str, Any] = {"location": location, "probability": round(face.score, 6)}
        if look is not None:
            about["angle"] = {name: round(v, 4) for name, v in look.angles.items()}
            if look.quality is not None:
                about["quality"] = asdict(look.quality)
        quality = None if look is None else look.quality
        return Shown(self.token(picture, face), face, about, quality=quality)

    def embedded(self, faces: Sequence[Shown]) -> list[Shown]:
        """The same faces, with their embeddings."""
        lacking = [s.face for s in faces if s.embedding is None and s.face is not None]
        made = iter(self.service.recognizer.embed(lacking) if lacking else [])
        return [s if s.embedding is not None else replace(s, embedding=next(made)) for s in faces]

    def hold(self, faces: Sequence[Shown]) -> None:
        """Keep faces of pictures, so that their tokens stand for them for a while."""
        held = [
            HeldFace(s.token, e.space.id, e.vector, e.raw_norm, s.about)
            for s in faces
            if (e := s.embedding) is not None and s.face is not None
        ]
        if held:
            self.tools.faces.hold(self.principal.tenant, held)

    def recalled(self, token: str) -> Shown | None:
        """The face that a token stands for; ``None`` when nobody knows, or no more."""
        found = self.tools.faces.find(self.principal.tenant, token) if token else None
        if found is None:
            return None
        about = dict(found.about)
        quality = quality_from(about["quality"]) if about.get("quality") else None
        space = self.service.recognizer.embedder.space
        if found.held is not None and found.held.space == space.id:
            vector = np.array(found.held.vector, np.float32)
            embedding = Embedding(vector, space, found.held.raw_norm)
            return Shown(token, None, about, embedding, quality)
        for number in found.numbers:
            embedded = self.library.enrolled(token, number)
            if embedded is not None:
                return Shown(token, None, about, embedded, quality)
        return None

    # -- asking and enrolling -----------------------------------------------------------------

    def check_quality(self, quality: Quality | None, level: str) -> None:
        """Hold a face against a level of V3's `quality_control`.

        Raises:
            BaiduError: It falls short. What was not measured passes.
        """
        number = None if quality is None else quality_control_code(quality, level)
        if number is not None:
            raise v3(number)

    def gated(self, faces: Sequence[Face]) -> list[Face]:
        """Those of the faces that the server's own gate lets through."""
        policy = gate_policy(self.service.settings.gate)
        if policy == gate_policy("off"):
            return list(faces)
        looks = self.tools.looker.look(faces, quality=True)
        return [x.face for x in looks if x.quality is None or check(x.quality, policy).accepted]

    def sample(self, user: str, shown: Shown) -> NewSample:
        """A face ready for the gallery, as the server's own gate and settings have it.

        Raises:
            BaiduError: The server's gate refuses it.
        """
        if shown.face is None:
            assert shown.embedding is not None  # noqa: S101 - tokens always come with one
            record = quality_record(shown.quality)
            return NewSample(user, shown.embedding, quality=record)
        try:
            made = self.service.recognizer.sample(user, shown.face, largest=True)
        except RefusedFaceError as error:
            raise self._refused(error) from error
        return replace(made, quality=quality_record(shown.quality)) if shown.quality else made

    def _refused(self, error: RefusedFaceError) -> BaiduError:
        if self.dialect == "v2":
            return v2(216615)
        reasons = error.fields.get("reasons")
        return v3(refusal_code(reasons if isinstance(reasons, list) else []))
