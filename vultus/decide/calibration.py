"""What a similarity means: how often strangers reach it, as measured for one embedding space."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import CalibrationError, InsufficientDataError, RangeError
from vultus.types import EmbeddingSpace, Rate, Threshold

__all__ = ["RULE_OF", "Calibration", "QualityCost", "load_calibration", "shipped_calibration"]

FORMAT = "vultus-calibration/1"
RULE_OF = 30
"""Errors that must have been seen for a rate to be told: with 30, the true rate lies within
±30 % of the measured one with 90 % confidence (Doddington et al. 2000, "The NIST speaker
recognition evaluation", the rule of 30)."""

_MAX_BYTES = 4_000_000
_POINTS_PER_TENFOLD = 10.0
_SCORE_AT_FMR_1 = 40.0


@dataclass(frozen=True, slots=True)
class QualityCost:
    """How much similarity a genuine pair loses by a face's quality.

    Attributes:
        scores: Middle of each bin of `Quality.score`, rising.
        cost: Mean similarity of genuine pairs of the best bin less that of each bin.
    """

    scores: tuple[float, ...]
    cost: tuple[float, ...]

    def at(self, score: float) -> float:
        """The cost for a face of this quality, interpolated between bins."""
        return float(np.interp(score, self.scores, self.cost))


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The error rates of one embedding space, measured on one set of faces.

    Attributes:
        space: What it is valid for, and for nothing else.
        data: The faces it was made on, and the protocol.
        created: Date, ISO 8601.
        subjects: People among them.
        images: Pictures.
        genuine: Comparisons of a person with themselves.
        impostor: Comparisons of different people.
        similarity: (m,) cosines, rising.
        fmr: (m,) false match rate at each: part of the impostor comparisons at or above it.
        fmr_low: (m,) lower ends of the intervals (95 %, bootstrap over subjects).
        fmr_high: (m,) upper ends.
        fnmr: (m,) false non-match rate: part of the genuine comparisons below.
        quality: What quality costs; ``None`` when it was not measured.
    """

    space: EmbeddingSpace
    data: str
    created: str
    subjects: int
    images: int
    genuine: int
    impostor: int
    similarity: NDArray[np.float64] = field(repr=False)
    fmr: NDArray[np.float64] = field(repr=False)
    fmr_low: NDArray[np.float64] = field(repr=False)
    fmr_high: NDArray[np.float64] = field(repr=False)
    fnmr: NDArray[np.float64] = field(repr=False)
    quality: QualityCost | None = None

    def __post_init__(self) -> None:
        arrays = [_curve(getattr(self, name)) for name in _CURVES]
        for name, values in zip(_CURVES, arrays, strict=True):
            object.__setattr__(self, name, values)
        similarity, fmr, low, high, fnmr = arrays
        if len(similarity) < 2 or len({len(values) for values in arrays}) != 1:
            raise CalibrationError("a calibration's curves must be of one length, at least 2")
        sound = (
            (np.diff(similarity) > 0).all()
            and (np.diff(fmr) <= 0).all()
            and (np.diff(fnmr) >= 0).all()
            and (np.abs(similarity) <= 1).all()
            and ((low >= 0) & (low <= fmr) & (fmr <= high) & (high <= 1)).all()
            and ((fnmr >= 0) & (fnmr <= 1)).all()
            and fmr[-1] > 0
        )
        if not sound:
            raise CalibrationError(
                "a calibration's similarities must rise and its rates be monotone within [0, 1]"
            )

    # -- reading ------------------------------------------------------------------------------

    def fmr_at(self, similarity: float) -> Rate:
        """How often a stranger reaches this similarity.

        Between the measured points the rate is interpolated in its logarithm. Beyond the last
        point, where fewer than `RULE_OF` strangers were seen, only an upper bound is known: the
        rate of that point, with 0 as its lower end.

        Args:
            similarity: Cosine in [-1, 1].

        Raises:
            RangeError: It is not.
        """
        _check_cosine(similarity)
        if similarity > self.similarity[-1]:
            return Rate(float(self.fmr[-1]), 0.0, float(self.fmr_high[-1]))
        if similarity < self.similarity[0]:
            return Rate(1.0, float(self.fmr_low[0]), 1.0)
        value, low, high = (
            _interpolated(similarity, self.similarity, rates)
            for rates in (self.fmr, self.fmr_low, self.fmr_high)
        )
        return Rate(value, min(low, value), max(high, value))

    def threshold(self, fmr: float) -> Threshold:
        """The similarity from which strangers pass at most this often.

        Args:
            fmr: Target false match rate in (0, 1).

        Raises:
            RangeError: It is not.
            InsufficientDataError: Too few impostor comparisons for so small a rate.
        """
        self._check_target(fmr)
        value = float(np.interp(-math.log(fmr), -np.log(self.fmr), self.similarity))
        return Threshold(
            value=value,
            policy=f"fmr={fmr:.10g}",
            source=self.data,
            fmr=self.fmr_at(value).value,
            fnmr=float(np.interp(value, self.similarity, self.fnmr)),
            space=self.space.id,
        )

    def threshold_for_gallery(self, people: int, fpir: float) -> Threshold:
        """The similarity for searching `people` enrolled people at a false positive rate.

        A stranger is compared with everybody; taken as independent, one of N comparisons passes
        with probability 1 − (1 − FMR)ᴺ, so FMR = 1 − (1 − FPIR)^(1/N) (ISO/IEC 19795-1, annex on
        identification). Real comparisons of one face depend on each other, which makes the true
        FPIR smaller.

        Args:
            people: Enrolled people searched, ≥ 1.
            fpir: Part of the strangers who may get somebody's name, in (0, 1).

        Raises:
            RangeError: A value is outside its range.
            InsufficientDataError: Too few impostor comparisons for so large a gallery.
        """
        if people < 1:
            raise RangeError(f"people must be at least 1, got {people}")
        if not 0.0 < fpir < 1.0:
            raise RangeError(f"a false positive rate must lie in (0, 1), got {fpir}")
        found = self.threshold(-math.expm1(math.log1p(-fpir) / people))
        return replace(found, policy=f"fpir={fpir:.10g},people={people}")

    def similarity_100(self, similarity: float) -> float:
        """The similarity on a scale from 0 to 100 on which 80 is "the same person".

        40 + 10 points for each tenfold fewer strangers: 60 at an FMR of 1e-2, 70 at 1e-3, 80 at
        1e-4. Above the last measured point straight to 100 at a cosine of 1; below an FMR of one
        half straight to 0 at a cosine of -1. The scale of the cloud services is undocumented;
        they recommend 80 for "the same person", which this map puts where a door should be.

        Args:
            similarity: Cosine in [-1, 1].

        Raises:
            RangeError: It is not.
        """
        _check_cosine(similarity)
        measured = self.fmr <= 0.5
        scores = _SCORE_AT_FMR_1 - _POINTS_PER_TENFOLD * np.log10(self.fmr[measured])
        knots = np.concatenate([[-1.0], self.similarity[measured], [1.0]])
        values = np.concatenate([[0.0], np.minimum(scores, 99.0), [100.0]])
        return float(np.interp(similarity, knots, values))

    def _check_target(self, fmr: float) -> None:
        if not 0.0 < fmr < 1.0:
            raise RangeError(f"a false match rate must lie in (0, 1), got {fmr}")
        if fmr < self.fmr[-1]:
            needed = math.ceil(RULE_OF / fmr)
            raise InsufficientDataError(
                f"a false match rate of {fmr:g} takes {needed:,} impostor comparisons "
                f"({RULE_OF} false matches), this calibration has {self.impostor:,}",
                remedy=f"ask for {self.fmr[-1]:.2g} or more, or calibrate on more people",
                expected=needed,
                actual=self.impostor,
            )

    def check_space(self, space: EmbeddingSpace, source: str = "the calibration") -> None:
        """Require the calibration to be one of this space.

        Raises:
            CalibrationError: It is not.
        """
        if self.space != space:
            raise CalibrationError(
                f"{source} is valid for {self.space}, not for {space}",
                remedy="use the model and options it was made with, or calibrate anew",
                expected=space.id,
                actual=self.space.id,
            )

    # -- files --------------------------------------------------------------------------------

    def to_json(self, key: bytes | None = None) -> str:
        """The calibration as text, sealed.

        Args:
            key: A secret to sign with (HMAC-SHA256), so that nobody without it can change the
                file unnoticed. Without one the seal is the SHA-256 of the contents, which shows
                damage and careless edits only.
        """
        content: dict[str, Any] = {
            "format": FORMAT,
            "space": {
                "model": self.space.model,
                "digest": self.space.digest,
                "dimension": self.space.dimension,
                "preprocessing": self.space.preprocessing,
            },
            "data": self.data,
            "created": self.created,
            "counts": {
                "subjects": self.subjects,
                "images": self.images,
                "genuine": self.genuine,
                "impostor": self.impostor,
            },
            "curve": {name: _rounded(getattr(self, name)) for name in _CURVES},
            "quality": None
            if self.quality is None
            else {"scores": self.quality.scores, "cost": self.quality.cost},
        }
        content["seal"] = _seal(content, key)
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(
        cls, text: str, source: str = "the calibration", key: bytes | None = None
    ) -> Calibration:
        """Read what `to_json` wrote.

        Args:
            text: The file's contents.
            source: Its name, for messages.
            key: The secret it was signed with; with one, an unsigned file is refused.

        Raises:
            CalibrationError: Not such a file, changed since it was sealed, or signed with
                another key.
        """
        try:
            content = json.loads(text)
            seal = content.pop("seal")
            if content["format"] != FORMAT:
                raise CalibrationError(
                    f"{source} must be of format {FORMAT}, got {content['format']}",
                    remedy="make it anew with this version of vultus",
                )
            if not hmac.compare_digest(str(seal), _seal(content, key)):
                raise _seal_error(source, str(seal), key)
            return cls._from_content(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(
                f"{source} is no calibration: {error}",
                remedy="make one with `vultus calibrate`",
            ) from error

    @classmethod
    def _from_content(cls, content: dict[str, Any]) -> Calibration:
        counts, curve, quality = content["counts"], content["curve"], content["quality"]
        return cls(
            space=EmbeddingSpace(**content["space"]),
            data=str(content["data"]),
            created=str(content["created"]),
            subjects=int(counts["subjects"]),
            images=int(counts["images"]),
            genuine=int(counts["genuine"]),
            impostor=int(counts["impostor"]),
            similarity=_curve(curve["similarity"]),
            fmr=_curve(curve["fmr"]),
            fmr_low=_curve(curve["fmr_low"]),
            fmr_high=_curve(curve["fmr_high"]),
            fnmr=_curve(curve["fnmr"]),
            quality=quality and QualityCost(tuple(quality["scores"]), tuple(quality["cost"])),
        )


_CURVES = ("similarity", "fmr", "fmr_low", "fmr_high", "fnmr")


def load_calibration(
    path: Path, space: EmbeddingSpace | None = None, key: bytes | None = None
) -> Calibration:
    """Read a calibration from a file.

    Args:
        path: The file.
        space: Required to be the calibration's, when given.
        key: As in `Calibration.from_json`.

    Raises:
        CalibrationError: It cannot be read, was changed, or is of another space.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CalibrationError(f"{path} is too large for a calibration")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path} cannot be read: {error}", path=str(path)) from error
    found = Calibration.from_json(text, str(path), key)
    if space is not None:
        found.check_space(space, str(path))
    return found


def shipped_calibration(space: EmbeddingSpace) -> Calibration | None:
    """The calibration that ships with vultus for this very space, if there is one."""
    folder = resources.files("vultus.models") / "calibrations"
    file = folder / f"{space.model}.{space.preprocessing}.json"
    if not file.is_file():
        return None
    found = Calibration.from_json(file.read_text(encoding="utf-8"), file.name)
    return found if found.space == space else None


def _curve(values: ArrayLike) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise CalibrationError("a calibration's curves must be lists of finite numbers")
    array.flags.writeable = False
    return array


def _interpolated(at: float, similarity: NDArray[np.float64], rates: NDArray[np.float64]) -> float:
    """Linear in the logarithm, so that tenfold steps are even; a rate of 0 stays 0."""
    smallest = np.finfo(np.float64).tiny
    value = float(np.exp(np.interp(at, similarity, np.log(np.maximum(rates, smallest)))))
    return 0.0 if value <= 2 * smallest else min(value, 1.0)


def _check_cosine(similarity: float) -> None:
    if not -1.0 <= similarity <= 1.0:  # also catches NaN
        raise RangeError(f"a similarity is a cosine in [-1, 1], got {similarity}")


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


_SIGNED, _UNSIGNED = "hmac-sha256:", "sha256:"


def _seal(content: dict[str, Any], key: bytes | None) -> str:
    """Digest of the contents in canonical form (sorted keys, no blanks), keyed or plain."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    data = text.encode("utf-8")
    if key is None:
        return _UNSIGNED + hashlib.sha256(data).hexdigest()
    return _SIGNED + hmac.new(key, data, hashlib.sha256).hexdigest()


def _seal_error(source: str, seal: str, key: bytes | None) -> CalibrationError:
    if key is None and seal.startswith(_SIGNED):
        return CalibrationError(f"{source} is signed", remedy="give the key it was signed with")
    if key is not None and not seal.startswith(_SIGNED):
        return CalibrationError(f"{source} is not signed", remedy="sign it, or give no key")
    return CalibrationError(
        f"{source} was changed since it was made, or signed with another key: its seal does not "
        "fit",
        remedy="restore it from a copy, or make it anew",
    )
