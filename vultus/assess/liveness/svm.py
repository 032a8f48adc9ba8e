"""A support vector machine that tells living faces from pictures: plain arrays, no code in it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_shape
from vultus.assess.liveness.nets import context_crop
from vultus.errors import CardError, DataFileError, OutputError, RangeError
from vultus.models import ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import Face

__all__ = ["LivenessSvm", "NetSvmLiveness", "Verdict", "load_liveness_svm", "pixels_of"]

Floats = NDArray[np.float64]
Verdict = Literal["live", "attack", "undecided"]

FORMAT = "vultus-liveness-svm/1"
_MAX_BYTES = 500_000_000
_ROWS_PER_BLOCK = 256
_FEATURES = "features"  # the network's second output


@dataclass(frozen=True, slots=True, eq=False)
class LivenessSvm:
    """A trained machine with a radial kernel, exp(−gamma·|x − y|²). Thread-safe.

    Attributes:
        name: What it is called in results.
        features: What it was trained on: ``lbp-hsv-ycrcb/1``, or ``net:`` and the SHA-256 of
            the network.
        mean: (d,) subtracted from features.
        scale: (d,) or (1,) they are divided by then, positive.
        support: (s, d) support vectors, of scaled features.
        weights: (s,) their weights.
        bias: Added to the sum; above 0 the machine says live.
        gamma: Of the kernel, positive.
        slope: Probability of live = 1 / (1 + exp(−(slope·margin + offset))).
        offset: Likewise.
        reject_below: Confidence, the larger probability of the two answers, under which there is
            no answer; 0.5: never.
        report: How it was trained and what was measured, JSON-able.
    """

    name: str
    features: str
    mean: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    support: NDArray[np.float32] = field(repr=False)
    weights: Floats = field(repr=False)
    bias: float
    gamma: float
    slope: float
    offset: float
    reject_below: float
    report: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        width = self.support.shape[-1]
        check_shape(self.support, (None, None), "support vectors")
        check_shape(self.weights, (len(self.support),), "weights of the support vectors")
        check_shape(self.mean, (width,), "the mean of the features")
        if self.scale.shape not in {(1,), (width,)} or not (self.scale > 0).all():
            raise RangeError(f"scale must be (1,) or ({width},) and positive")
        for what in ("mean", "scale", "support", "weights"):
            check_finite(getattr(self, what), what)
        numbers = (self.bias, self.gamma, self.slope, self.offset)
        if not np.isfinite(numbers).all() or not self.gamma > 0 or not self.slope > 0:
            raise RangeError(
                "bias, gamma, slope and offset must be finite, gamma and slope above 0"
            )
        if not 0.5 <= self.reject_below <= 1.0:
            raise RangeError(f"reject_below must lie in [0.5, 1], got {self.reject_below}")

    def margins(self, features: NDArray[np.floating[Any]]) -> Floats:
        """(n,) decision values of (n, d) features, above 0 for live."""
        check_shape(features, (None, self.support.shape[1]), "features")
        check_finite(features, "features")
        rows = [features[i : i + _ROWS_PER_BLOCK] for i in range(0, len(features), _ROWS_PER_BLOCK)]
        return np.concatenate([self._margins(part) for part in rows]) if rows else np.zeros(0)

    def _margins(self, features: NDArray[np.floating[Any]]) -> Floats:
        scaled = (features - self.mean) / self.scale
        support = self.support.astype(np.float64)
        apart = (scaled**2).sum(1)[:, None] + (support**2).sum(1) - 2.0 * scaled @ support.T
        kernel = np.exp(-self.gamma * np.maximum(apart, 0.0))
        return np.asarray(kernel @ self.weights + self.bias, np.float64)

    def probability(self, features: NDArray[np.floating[Any]]) -> Floats:
        """(n,) probability of live of (n, d) features."""
        exponent = np.clip(self.slope * self.margins(features) + self.offset, -500, 500)
        return np.asarray(1.0 / (1.0 + np.exp(-exponent)), np.float64)

    def verdicts(self, probability: Floats) -> list[Verdict]:
        """The answer to each probability of live; ``undecided`` where the machine is unsure."""
        answers: list[Verdict] = []
        for live in probability.tolist():
            if max(live, 1.0 - live) < self.reject_below:
                answers.append("undecided")
            else:
                answers.append("live" if live >= 0.5 else "attack")
        return answers

    def save(self, path: Path) -> None:
        """Write everything into one ``.npz`` file: arrays and JSON, no code.

        Raises:
            OutputError: The file cannot be written.
        """
        numbers = ("bias", "gamma", "slope", "offset", "reject_below")
        about = {
            "format": FORMAT,
            "name": self.name,
            "features": self.features,
            **{name: getattr(self, name) for name in numbers},
            "report": dict(self.report),
        }
        text = np.frombuffer(json.dumps(about, ensure_ascii=False).encode("utf-8"), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            about=text,
            mean=self.mean,
            scale=self.scale,
            support=self.support,
            weights=self.weights,
        )
        beside = path.with_name(path.name + ".part")
        try:
            beside.write_bytes(buffer.getvalue())
            beside.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}", path=str(path)) from error


def load_liveness_svm(path: Path) -> LivenessSvm:
    """Read what `LivenessSvm.save` wrote; nothing in the file is ever executed.

    Raises:
        DataFileError: The file cannot be read or is no such machine.
    """
    try:
        if path.stat().st_size > _MAX_BYTES or _unpacked_bytes(path) > _MAX_BYTES:
            raise DataFileError(f"{path} is too large for a machine", path=str(path))
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(arrays.pop("about").tobytes().decode("utf-8"))
        if about.pop("format") != FORMAT:
            raise ValueError(f"its format must be {FORMAT}")
        return LivenessSvm(**about, **arrays)
    except (OSError, ValueError, KeyError, TypeError, RangeError, zipfile.BadZipFile) as error:
        raise DataFileError(
            f"{path} is no machine for liveness: {error}",
            remedy="make one with `vultus liveness-train`",
            path=str(path),
        ) from error


def _unpacked_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


class NetSvmLiveness:
    """A network's features, and a machine that judges them. Safe to call from many threads.

    Args:
        session: The network, with the outputs `output` and `features`.
        card: Of the network; its size and scale of the crop are used.
        svm: Trained on the features of this network.

    Raises:
        CardError: The network gives no features, or the machine was trained on others.
    """

    def __init__(self, session: Session, card: ModelCard, svm: LivenessSvm) -> None:
        if _FEATURES not in session.output_names:
            raise CardError(f"{card.name!r} gives no features, only {session.output_names}")
        digest = card.weights[0].sha256
        if svm.features != f"net:{digest}":
            raise CardError(
                f"this machine was trained on {svm.features}, {card.name!r} is net:{digest}",
                remedy="use the machine that was written beside the network",
                expected=svm.features,
                actual=f"net:{digest}",
            )
        self.name = svm.name
        self.svm = svm
        self._session = session
        self._card = card

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        store: Store,
        svm: LivenessSvm,
        options: SessionOptions | None = None,
    ) -> NetSvmLiveness:
        """Load the network that `card` names from `store`."""
        return cls(Session(store.read(card), card.name, options), card, svm)

    def scores(self, faces: Sequence[Face]) -> Floats:
        """(n,) probability that each face is alive, as calibrated on held-out people."""
        if not faces:
            return np.zeros(0)
        rows = [
            self._session.run({"input": pixels_of(face, self._card)}, (_FEATURES,))[0].reshape(-1)
            for face in faces
        ]
        return self.svm.probability(np.stack(rows))


def pixels_of(face: Face, card: ModelCard) -> NDArray[np.float32]:
    """(1, 3, h, w) the crop around a face that a network of kind ``liveness`` takes.

    Raises:
        CardError: The card states no size or scale of the crop.
    """
    if card.input.size_wh is None or card.input.crop_scale is None:
        raise CardError(f"{card.name!r} must state the size and scale of its crop")
    crop = context_crop(face.frame.image, face.box, card.input.crop_scale, card.input.size_wh)
    ordered = crop[:, :, ::-1] if card.input.channels == "BGR" else crop
    return np.ascontiguousarray(ordered.transpose(2, 0, 1)[None], np.float32)
