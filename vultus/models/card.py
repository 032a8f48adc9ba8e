"""What is known about a model: its weights, origin, licence, input and measured thresholds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from vultus.errors import CardError

__all__ = [
    "COMPOSITE",
    "CardThreshold",
    "CompositePart",
    "DetectorSpec",
    "EmbeddingSpec",
    "InputSpec",
    "Kind",
    "Licence",
    "ModelCard",
    "Origin",
    "Published",
    "WeightFile",
    "load_card",
    "parse_card",
]

Kind: TypeAlias = Literal[
    "detector", "embedder", "landmarks", "pose", "liveness", "quality", "attributes"
]
"""What a model is for."""

# Lower case, digits, single hyphens or points between them: `scrfd-2.5g`. Safe as a file name.
_NAME = r"^[a-z0-9]+(?:[.-][a-z0-9]+)*$"
COMPOSITE = "composite"
"""The preprocessing of a composite's embeddings; that of its parts is in the space's digest."""
_WEIGHTLESS = frozenset({"haar"})  # families whose data another library ships

_Name: TypeAlias = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
_Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
_Sha256: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64})?$")]
_File: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)
]
_Https: TypeAlias = Annotated[str, StringConstraints(pattern=r"^https://[^\s/]+/\S*$")]
_Unit: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]


class _Record(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class WeightFile(_Record):
    """One file of weights.

    Attributes:
        role: What it is within the model (``net``, ``pnet``); unique in a card.
        file: Its name as published; packed files lie under this name in ``vultus/models/weights``.
        sha256: Digest, 64 hexadecimal digits; empty where nobody has verified one yet.
        bytes: Size, when known.
        packed: Whether it ships in the wheel.
        urls: https addresses, tried in order.
        source_member: Where inside the origin's release it comes from.
    """

    role: _Name = "net"
    file: _File
    sha256: _Sha256 = ""
    bytes: PositiveInt | None = None
    packed: bool = False
    urls: tuple[_Https, ...] = ()
    source_member: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.packed and not self.sha256:
            raise ValueError("a packed weight must state its sha256")
        return self


class Origin(_Record):
    """Who made the model, and where it is published."""

    project: _Text
    url: _Https


class Licence(_Record):
    """What one may do with the weights.

    Attributes:
        spdx: SPDX identifier, or the terms in words where none fits.
        commercial: Whether commercial use is allowed; ``None`` (key absent) where that is unclear.
        note: Why; required unless `commercial` is true.
        training_data: What it was trained on, as published.
    """

    spdx: _Text
    commercial: bool | None = None
    note: str = ""
    training_data: _Text

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.commercial is not True and not self.note:
            raise ValueError("a licence that does not clearly allow commercial use needs a note")
        return self


class InputSpec(_Record):
    """How a picture becomes the network's input: ``(x - mean) / std`` on 0..255 values.

    Attributes:
        size_wh: (width, height) in pixels; ``None`` (key absent) when any size goes.
        layout: Order of the axes.
        channels: Order of the colours, also of `mean` and `std`.
        mean: One value per channel, in 0..255.
        std: One value per channel, never 0.
        multiple_of: Width and height must be multiples of this.
        crop_scale: Side of the crop around a face, as a multiple of its box; ``None`` where the
            input is a whole picture or an aligned crop.
    """

    size_wh: tuple[PositiveInt, PositiveInt] | None = None
    layout: Literal["NCHW", "NHWC"]
    channels: Literal["RGB", "BGR"]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    multiple_of: PositiveInt = 1
    crop_scale: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if 0.0 in self.std:
            raise ValueError("std must not contain 0")
        if self.size_wh and any(side % self.multiple_of for side in self.size_wh):
            raise ValueError(f"size_wh must be a multiple of {self.multiple_of}")
        return self


class DetectorSpec(_Record):
    """How a detector's outputs are read.

    Attributes:
        family: The decoder to use.
        landmarks: Whether it gives five points.
        strides: Pixels between neighbouring cells, one per output level.
        anchors_per_cell: Predictions per cell (1 for anchor-free heads).
        anchor_sizes_px: Anchor sides per level, for families with anchors of fixed size.
        variances: (centre, size) factors of the box code, for the same families.
        score_threshold: Score from which a detection is kept unless the caller says otherwise.
        nms_iou: Overlap from which the weaker of two detections is dropped.
        threshold_source: Where these two numbers come from.
    """

    family: Literal[
        "mtcnn",
        "yunet",
        "scrfd",
        "retinaface",
        "ultralight",
        "centerface",
        "mmod",
        "blazeface",
        "haar",
    ]
    landmarks: bool
    strides: tuple[PositiveInt, ...] = ()
    anchors_per_cell: PositiveInt = 1
    anchor_sizes_px: tuple[tuple[float, ...], ...] = ()
    variances: tuple[float, float] | None = None
    score_threshold: _Unit
    nms_iou: _Unit
    threshold_source: _Text

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.anchor_sizes_px and len(self.anchor_sizes_px) != len(self.strides):
            raise ValueError("anchor_sizes_px must have one row per stride")
        return self


class EmbeddingSpec(_Record):
    """What an embedder puts out, and how its faces are aligned."""

    dimension: PositiveInt
    alignment: Literal["dlib-5", "dlib-10", "arcface-112"]


class CompositePart(_Record):
    """One embedder of a composite, and how much of the cosine it makes up.

    Attributes:
        model: Name of the embedder's card; no composite itself.
        weight: In (0, 1); those of all parts add up to 1.
    """

    model: _Name
    weight: Annotated[float, Field(gt=0.0, lt=1.0)]


class CardThreshold(_Record):
    """A measured threshold.

    Attributes:
        policy: How it was chosen, for example ``fmr=5e-3``.
        value: Cosine in [-1, 1] from which two faces are called the same.
        fmr: False match rate measured at `value`.
        fnmr: False non-match rate measured at `value`.
        source: Data set, protocol and date of the measurement.
        preprocessing: The embedding space's preprocessing, for example ``dlib-10+mirror``.
    """

    policy: _Text
    value: Annotated[float, Field(ge=-1.0, le=1.0)]
    fmr: _Unit | None = None
    fnmr: _Unit | None = None
    source: _Text
    preprocessing: _Text


class Published(_Record):
    """An accuracy as its authors (or the source named in `benchmark`) publish it."""

    benchmark: _Text
    value: _Text


class ModelCard(_Record):
    """Everything vultus knows about one model; read from ``cards/<name>.toml``.

    Attributes:
        name: Unique, lower case with hyphens; also the card's file name.
        kind: What it is for.
        title: One line for people.
        summary: Some sentences: strengths, limits, traps.
        aliases: Other names it answers to.
        weights: Its files.
        origin: Who made it.
        licence: What one may do with it.
        input: How pictures are fed.
        detector: For detectors.
        embedding: For embedders.
        composite: For embedders that join others; these have no weights of their own.
        thresholds: For embedders, as measured.
        published: Accuracies as published.
        golden: Name of the golden output that proves the preprocessing.
    """

    name: _Name
    kind: Kind
    title: _Text
    summary: _Text
    aliases: tuple[_Name, ...] = ()
    weights: tuple[WeightFile, ...] = ()
    origin: Origin
    licence: Licence
    input: InputSpec
    detector: DetectorSpec | None = None
    embedding: EmbeddingSpec | None = None
    composite: tuple[CompositePart, ...] = ()
    thresholds: tuple[CardThreshold, ...] = ()
    published: tuple[Published, ...] = ()
    golden: str | None = None

    @field_validator("weights")
    @classmethod
    def _check_roles(cls, weights: tuple[WeightFile, ...]) -> tuple[WeightFile, ...]:
        roles = [weight.role for weight in weights]
        if len(set(roles)) != len(roles):
            raise ValueError(f"roles must be unique, got {roles}")
        return weights

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "detector") != (self.detector is not None):
            raise ValueError("exactly the cards of kind `detector` have a [detector] table")
        if (self.kind == "embedder") != (self.embedding is not None or bool(self.composite)):
            raise ValueError("exactly the cards of kind `embedder` have an [embedding] table")
        if self.composite:
            self._check_composite()
        elif not self.weights and not (self.detector and self.detector.family in _WEIGHTLESS):
            raise ValueError("a card must name at least one weight")
        if self.thresholds and self.kind != "embedder":
            raise ValueError("only an embedder has thresholds")
        expected = self.embedding.alignment if self.embedding else COMPOSITE
        for threshold in self.thresholds:
            if threshold.preprocessing.partition("+")[0] != expected:
                raise ValueError(
                    f"a threshold's preprocessing must start with {expected!r}, "
                    f"got {threshold.preprocessing!r}"
                )
        if self.name in self.aliases:
            raise ValueError("the name is not an alias of itself")
        return self

    def _check_composite(self) -> None:
        if self.embedding is not None or self.weights:
            raise ValueError("a composite has neither weights nor an [embedding] table of its own")
        names = [part.model for part in self.composite]
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"a composite joins two or more different models, got {names}")
        if abs(sum(part.weight for part in self.composite) - 1.0) > 1e-6:
            raise ValueError("the weights of a composite's parts must add up to 1")

    @property
    def packed(self) -> bool:
        """Whether every weight ships in the wheel."""
        return bool(self.weights) and all(weight.packed for weight in self.weights)

    def weight(self, role: str | None = None) -> WeightFile:
        """The weight with this role; without one, the only weight.

        Raises:
            CardError: There is no such role, or several weights and no role was given.
        """
        roles = [weight.role for weight in self.weights]
        if role is None and len(self.weights) == 1:
            return self.weights[0]
        for weight in self.weights:
            if weight.role == role:
                return weight
        raise CardError(
            f"{self.name} has the weights {', '.join(roles)}, got {role!r}",
            remedy="name one of them",
            expected=roles,
            actual=role,
        )

    def pinned(self, digests: dict[str, str]) -> ModelCard:
        """This card with the digests of its unverified weights filled in.

        Args:
            digests: Role to SHA-256.

        Raises:
            CardError: A digest is malformed, or contradicts the one the card states.
        """
        weights = []
        for weight in self.weights:
            digest = digests.get(weight.role, weight.sha256).strip().lower()
            if not re.fullmatch(r"[0-9a-f]{64}", digest) and digest != weight.sha256:
                raise CardError(
                    f"a SHA-256 must be 64 hexadecimal digits, got {digest!r}", path=self.name
                )
            if weight.sha256 and digest != weight.sha256:
                raise CardError(
                    f"the card of {self.name} states SHA-256 {weight.sha256} for {weight.file}, "
                    f"got {digest}",
                    remedy="leave the digest out: only unverified weights need one",
                    expected=weight.sha256,
                    actual=digest,
                )
            weights.append(weight.model_copy(update={"sha256": digest}))
        return self.model_copy(update={"weights": tuple(weights)})


def parse_card(text: str, path: str) -> ModelCard:
    """Read a card from TOML.

    Args:
        text: The TOML document.
        path: Where it comes from, for messages.

    Raises:
        CardError: Not TOML, or a key is unknown, missing or wrong.
    """
    try:
        return ModelCard.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise CardError(f"{path} must be TOML: {error}", path=path) from error
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors()]
        raise CardError(
            f"{path} is no valid card: {'; '.join(problems)}", path=path, problems=problems
        ) from error


def load_card(path: Path) -> ModelCard:
    """Read a card from a file.

    Raises:
        CardError: The file cannot be read, or is no valid card.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"{path} cannot be read: {error}", path=str(path)) from error
    return parse_card(text, str(path))


def _problem(location: tuple[int | str, ...], message: str) -> str:
    where = ".".join(str(part) for part in location) or "the card"
    return f"{where}: {message.removeprefix('Value error, ')}"
