"""The values that every stage speaks: frozen, validated when made, in the field's own terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_image, check_shape, float32_copy
from vultus.errors import NoLandmarksError, RangeError, SpaceMismatchError

__all__ = [
    "Attributes",
    "Box",
    "Decision",
    "DenseLandmarks",
    "Embedding",
    "EmbeddingSpace",
    "Face",
    "Frame",
    "GateResult",
    "Identification",
    "Image",
    "LandmarkScheme",
    "Landmarks",
    "Liveness",
    "Match",
    "Occlusion",
    "Pose",
    "Quality",
    "Rate",
    "Reading",
    "Refusal",
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
        if not all(map(isfinite, self.xyxy)):
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
        landmarks: Five points, in pixels of `frame`; ``None`` where the detector gives none.
        frame: The picture it was found in.
        attributes: Age and sex as a model reads them; ``None`` unless they were asked for.
    """

    box: Box
    score: float
    landmarks: Landmarks | None
    frame: Frame = field(repr=False)
    attributes: Attributes | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise RangeError(f"a face's score must lie in [0, 1], got {self.score}")

    @property
    def points(self) -> NDArray[np.float32]:
        """(5, 2) float32, xy of the landmarks in pixels of the frame.

        Raises:
            NoLandmarksError: The face has none.
        """
        if self.landmarks is None:
            raise NoLandmarksError("this face was found by a detector that gives no landmarks")
        return self.landmarks.points

    @property
    def visible_area_px(self) -> float:
        """Area of the box's part inside the picture, in square pixels.

        What "the largest face" goes by: of somebody cut off by the edge, most of a large box
        may lie outside.
        """
        width = min(self.box.x2, self.frame.width_px) - max(self.box.x1, 0.0)
        height = min(self.box.y2, self.frame.height_px) - max(self.box.y1, 0.0)
        return max(width, 0.0) * max(height, 0.0)


LandmarkScheme: TypeAlias = Literal["ibug-68", "mesh-468", "mesh-478", "vultus-72"]
"""What each dense landmark means: 68 points in iBUG order, MediaPipe's face mesh without or with
irises, and vultus's own 72 points in the grouping that cloud face services use."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseLandmarks:
    """Many points of a face; what each one means, `scheme` says.

    Attributes:
        points: (n, 2) float32, xy in pixels of the frame; n as the scheme says.
        scheme: What each point means.
        depth: (n,) float32, distance from the face's mean plane in pixels, smaller is nearer to
            the camera; ``None`` where the model gives none.
        presence: The model's own belief in [0, 1] that it looks at a face; ``None`` where it has
            none.

    Raises:
        ShapeError: `points` or `depth` has not as many rows as the scheme has points.
        RangeError: A coordinate is not finite.
    """

    points: NDArray[np.float32] = field(repr=False)
    scheme: LandmarkScheme
    depth: NDArray[np.float32] | None = field(default=None, repr=False)
    presence: float | None = None

    def __post_init__(self) -> None:
        count = int(self.scheme.rpartition("-")[2])
        points = float32_copy(self.points, "dense landmarks")
        check_shape(points, (count, 2), "dense landmarks")
        check_finite(points, "dense landmarks")
        points.flags.writeable = False
        object.__setattr__(self, "points", points)
        if self.depth is not None:
            depth = float32_copy(self.depth, "landmark depths")
            check_shape(depth, (count,), "landmark depths")
            check_finite(depth, "landmark depths")
            depth.flags.writeable = False
            object.__setattr__(self, "depth", depth)


@dataclass(frozen=True, slots=True)
class Pose:
    """How a head is turned, in degrees, as the viewer sees it.

    Attributes:
        yaw_deg: -90 (turned to the viewer's left) to 90 (right).
        pitch_deg: -90 (looking up) to 90 (down).
        roll_deg: -180 (leaning counter-clockwise) to 180 (clockwise).
        method: What measured it: ``mesh``, ``five-points``, or the name of a model's card.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    method: str


@dataclass(frozen=True, slots=True)
class Occlusion:
    """How much of each part of a face is covered: 0 visible, 1 covered. Left is the viewer's."""

    left_eye: float
    right_eye: float
    nose: float
    mouth: float
    left_cheek: float
    right_cheek: float
    chin: float


@dataclass(frozen=True, slots=True)
class Quality:
    """What can be told of a face picture before anybody is named; `vultus.assess` measures it.

    Attributes:
        score: Fused: how well recognition can be expected to work, 0 hopeless to 1 perfect.
        blur: 0 sharp to 1 blurred.
        illumination: Mean luma of the face, 0 dark to 255 bright.
        contrast: Spread of the luma (10th to 90th percentile) as a part of 255, in [0, 1].
        face_px: Shorter side of the box, in pixels.
        inter_eye_px: Distance between the eyes' centres, in pixels; ``None`` without landmarks.
        completeness: Part of the face inside the picture, in [0, 1].
        occlusion: Per part; ``None`` where it was not measured.
        pose: ``None`` where it was not measured.
        real: Belief in [0, 1] that this is a photographed face, no drawing; ``None`` without a
            model for it.
    """

    score: float
    blur: float
    illumination: float
    contrast: float
    face_px: float
    inter_eye_px: float | None
    completeness: float
    occlusion: Occlusion | None = None
    pose: Pose | None = None
    real: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why a face was not let through.

    Attributes:
        code: Stable, for programs: ``too-small``, ``blurred``, ``yaw``, ``left-eye-covered`` …
        message: What was measured and the limit: "yaw 41°, limit 30°".
        remedy: What the person in front of the camera can do: "turn towards the camera".
        value: What was measured.
        limit: What it was held against.
    """

    code: str
    message: str
    remedy: str
    value: float
    limit: float

    def __str__(self) -> str:
        return f"{self.remedy}: {self.message}"


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a face is good enough for what it is wanted for.

    Attributes:
        policy: Name of the gate's policy.
        reasons: Why not; empty when the face is accepted.
    """

    policy: str
    reasons: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the face."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Reading:
    """One attribute as a model reads it, with how good that model was measured to be.

    Attributes:
        value: A word (``female``, ``happy``, ``none``) or, for an age, years.
        confidence: The model's belief in [0, 1] in a word; ``None`` for a number.
        quality: What was measured and on what: "mean error 6.1 years, UTKFace, 400 faces".
        model: Name of the model's card.
    """

    value: str | float
    confidence: float | None
    quality: str
    model: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """What models read from a face; ``None``: not asked for, or no model is installed."""

    age: Reading | None = None
    sex: Reading | None = None
    expression: Reading | None = None
    glasses: Reading | None = None


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether a face is a living person's, or a picture of one held before the camera.

    Attributes:
        score: How alive the face looks to the models, in [0, 1].
        verdict: ``live``, ``attack``, or ``undecided`` where the face cannot be judged or the
            score lies between what was seen of either.
        threshold: From which score on a face is live.
        policy: What the threshold is for: ``bpcer=1e-2``, or ``user`` for one of the caller's.
        source: What the threshold was measured on; names the attacks.
        model: Names of the models' cards, joined by ``+``.
        reasons: Why a face that looks alive is not called so: too small, cut …
    """

    score: float
    verdict: Literal["live", "attack", "undecided"]
    threshold: float
    policy: str
    source: str
    model: str
    reasons: tuple[Refusal, ...] = ()


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
class Rate:
    """A measured rate in [0, 1] and how sure the measurement is.

    Attributes:
        value: The rate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        confidence: Part of such intervals that hold the true rate, 0.95 say.
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.value <= self.high <= 1.0:
            raise RangeError(
                f"a rate needs 0 <= low <= value <= high <= 1, "
                f"got {self.low}, {self.value}, {self.high}"
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """Same person or not, with everything that led to it.

    Attributes:
        similarity: Cosine in [-1, 1].
        threshold: What it was held against.
        same: ``similarity >= threshold.value``.
        fmr: How often a stranger scores this high or higher, as the space's calibration knows;
            ``None`` where the space has none.
        margin: Similarity less that of the next best person; ``None`` with nobody else to compare.
        sample: Number of the enrolled sample that matched; ``None`` when two pictures were
            compared.
        quality_cost: How much of the similarity a genuine pair loses on average for faces of this
            quality, as calibrated; ``None`` when quality was not measured or not calibrated.
    """

    similarity: float
    threshold: Threshold
    same: bool
    fmr: Rate | None = None
    margin: float | None = None
    sample: int | None = None
    quality_cost: float | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A person of the gallery and how alike they are.

    Attributes:
        person: Their id, unique in the gallery.
        similarity: Cosine in [-1, 1] of the best sample, or of the fused template.
        sample: Number of that best sample in the gallery.
        name: What they are called; several people may share a name. Their id when left out.
    """

    person: str
    similarity: float
    sample: int
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.person)


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """What the gallery says about one face.

    Attributes:
        face: The face in question.
        name: What the person is called, or ``None``: nobody enrolled is similar enough, or the
            gate refused the face.
        decision: The best match held against the threshold; ``None`` for an empty gallery or a
            refused face.
        matches: The nearest people, best first, whether accepted or not.
        person: The person's id, or ``None`` like `name`.
        quality: As measured for the gate; ``None`` when no gate was asked for.
        gate: What the gate said; ``None`` when none was asked for.
    """

    face: Face
    name: str | None
    decision: Decision | None
    matches: tuple[Match, ...]
    person: str | None = None
    quality: Quality | None = None
    gate: GateResult | None = None
