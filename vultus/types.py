"""The values that every stage speaks: frozen, validated when made, in the field's own terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_image, check_shape, float32_copy
from vultus.errors import RangeError, SpaceMismatchError

__all__ = [
    "Box",
    "Decision",
    "Embedding",
    "EmbeddingSpace",
    "Face",
    "Frame",
    "Identification",
    "Image",
    "Landmarks",
    "Match",
    "Threshold",
]

Image: TypeAlias = NDArray[np.uint8]
"""(h, w, 3) uint8, RGB, upright."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One upright picture and where it came from.

    Attributes:
        image: (h, w, 3) uint8, RGB, EXIF orientation already applied.
        source: A path, address or label for messages; ``None`` when unknown.
    """

    image: Image = field(repr=False)
    source: str | None = None

    def __post_init__(self) -> None:
        check_image(self.image)

    @property
    def width_px(self) -> int:
        """Width in pixels."""
        return int(self.image.shape[1])

    @property
    def height_px(self) -> int:
        """Height in pixels."""
        return int(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box in pixels, origin top-left, floats; may reach past the picture's edge.

    Raises:
        RangeError: A coordinate is not finite, or the box has no area.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not np.isfinite((self.x1, self.y1, self.x2, self.y2)).all():
            raise RangeError(f"a box must be finite, got {self.xyxy}")
        if self.x2 <= self.x1 or self.y2 <= self.y1:
            raise RangeError(f"a box needs x1 < x2 and y1 < y2, got {self.xyxy}")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2) in pixels."""
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def width_px(self) -> float:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height_px(self) -> float:
        """Height in pixels."""
        return self.y2 - self.y1

    @property
    def area_px(self) -> float:
        """Area in square pixels."""
        return self.width_px * self.height_px

    @property
    def center_xy(self) -> tuple[float, float]:
        """Centre (x, y) in pixels."""
        return ((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)

    def iou(self, other: Box) -> float:
        """Intersection over union with `other`, in [0, 1]."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / (self.area_px + other.area_px - shared)


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Five points of a face as the viewer sees them.

    Attributes:
        points: (5, 2) float32, xy in pixels of the frame: left eye, right eye, nose tip,
            left mouth corner, right mouth corner.

    Raises:
        ShapeError: `points` is not (5, 2).
        RangeError: A coordinate is not finite.
    """

    points: NDArray[np.float32]

    def __post_init__(self) -> None:
        points = float32_copy(self.points, "landmarks")
        check_shape(points, (5, 2), "landmarks")
        check_finite(points, "landmarks")
        points.flags.writeable = False
        object.__setattr__(self, "points", points)


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face.

    A face keeps a reference to its frame so that it can be aligned and embedded later; drop the
    face to let the picture go.

    Attributes:
        box: Where it is, in pixels of `frame`.
        score: The detector's own score in [0, 1]; not a calibrated probability.
        landmarks: Five points, in pixels of `frame`.
        frame: The picture it was found in.
    """

    box: Box
    score: float
    landmarks: Landmarks
    frame: Frame = field(repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise RangeError(f"a face's score must lie in [0, 1], got {self.score}")

    @property
    def visible_area_px(self) -> float:
        """Area of the box's part inside the picture, in square pixels.

        What "the largest face" goes by: of somebody cut off by the edge, most of a large box
        may lie outside.
        """
        width = min(self.box.x2, self.frame.width_px) - max(self.box.x1, 0.0)
        height = min(self.box.y2, self.frame.height_px) - max(self.box.y1, 0.0)
        return max(width, 0.0) * max(height, 0.0)


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """What makes two embeddings comparable.

    Attributes:
        model: Name of the model's card.
        digest: SHA-256 of its weight, 64 hexadecimal digits.
        dimension: Length of the vector.
        preprocessing: Alignment and test-time augmentation, for example ``dlib-10+mirror``.
    """

    model: str
    digest: str
    dimension: int
    preprocessing: str

    @property
    def id(self) -> str:
        """A short stable name: ``model/digest12/dimension/preprocessing``."""
        return f"{self.model}/{self.digest[:12]}/{self.dimension}/{self.preprocessing}"

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A face as a point on the unit sphere.

    Attributes:
        vector: (d,) float32, unit length, finite.
        space: What it may be compared with.
        raw_norm: Length of the network's output before it was scaled to one.

    Raises:
        ShapeError: The length is not the space's dimension.
        RangeError: Not finite, or not of unit length (within 1e-3), or a raw norm that is no
            positive number.
    """

    vector: NDArray[np.float32] = field(repr=False)
    space: EmbeddingSpace
    raw_norm: float = 1.0

    def __post_init__(self) -> None:
        vector = float32_copy(self.vector, "an embedding")
        check_shape(vector, (self.space.dimension,), "an embedding")
        check_finite(vector, "an embedding")
        length = float(np.linalg.norm(vector))
        if abs(length - 1.0) > 1e-3:
            raise RangeError(f"an embedding must have unit length, got {length:.4f}")
        if not 0.0 < self.raw_norm < np.inf:
            raise RangeError(f"a raw norm must be finite and positive, got {self.raw_norm}")
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)

    def similarity(self, other: Embedding) -> float:
        """Cosine with `other`, in [-1, 1].

        Raises:
            SpaceMismatchError: `other` lives in another space.
        """
        if other.space != self.space:
            raise SpaceMismatchError(
                f"cannot compare embeddings of {self.space} and {other.space}",
                expected=self.space.id,
                actual=other.space.id,
            )
        return float(np.clip(self.vector @ other.vector, -1.0, 1.0))


@dataclass(frozen=True, slots=True)
class Threshold:
    """A similarity from which two faces are called the same, and where that number comes from.

    Attributes:
        value: Cosine in [-1, 1].
        policy: How it was chosen, for example ``fmr=5e-3`` or ``user``.
        source: Data set and protocol it was measured on.
        fmr: False match rate measured there, or ``None`` when unknown.
        fnmr: False non-match rate measured there, or ``None`` when unknown.
        space: Id of the embedding space it belongs to.
    """

    value: float
    policy: str
    source: str
    fmr: float | None
    fnmr: float | None
    space: str

    def __post_init__(self) -> None:
        if not -1.0 <= self.value <= 1.0:
            raise RangeError(f"a threshold is a cosine in [-1, 1], got {self.value}")


@dataclass(frozen=True, slots=True)
class Decision:
    """Same person or not, with everything that led to it.

    Attributes:
        similarity: Cosine in [-1, 1].
        threshold: What it was held against.
        same: ``similarity >= threshold.value``.
    """

    similarity: float
    threshold: Threshold
    same: bool


@dataclass(frozen=True, slots=True)
class Match:
    """A person of the gallery and how alike the best sample is.

    Attributes:
        name: The person.
        similarity: Cosine of the best sample in [-1, 1].
        sample: Number of that sample in the gallery.
    """

    name: str
    similarity: float
    sample: int


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """What the gallery says about one face.

    Attributes:
        face: The face in question.
        name: The person, or ``None``: nobody enrolled is similar enough.
        decision: The best match held against the threshold; ``None`` for an empty gallery.
        matches: The nearest people, best first, whether accepted or not.
    """

    face: Face
    name: str | None
    decision: Decision | None
    matches: tuple[Match, ...]
