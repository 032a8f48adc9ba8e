"""A trained classifier: plain arrays, evaluated with NumPy, kept in a file without code."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_shape
from vultus.errors import DataFileError, OutputError, SpaceMismatchError
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["ARRAYS", "KINDS", "Classifier", "Kind", "Prediction"]

Kind: TypeAlias = Literal["svm", "svm-rbf", "logistic", "knn", "centroid"]
"""Linear and radial support vector machine, logistic regression, nearest neighbours, nearest
centroid."""
KINDS: tuple[Kind, ...] = get_args(Kind)

FORMAT = "vultus-classifier/1"
ARRAYS: Mapping[str, tuple[str, ...]] = {
    "svm": ("weights", "bias"),
    "logistic": ("weights", "bias"),
    "svm-rbf": ("support", "weights", "bias"),
    "knn": ("vectors", "labels"),
    "centroid": ("weights",),
}
"""What each kind keeps. weights: (c, d), for ``svm-rbf`` (c, s); bias: (c,); support: (s, d);
vectors: (n, d) float32; labels: (n,) int64."""
_MAX_BYTES = 2_000_000_000
_ROWS_PER_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the classifier says of one face.

    Attributes:
        person: Who it is; ``None``: rejected as nobody it knows.
        nearest: The most likely of the people it knows, rejected or not.
        score: The decision value of `nearest`; its scale depends on the kind.
        confidence: Probability in [0, 1] that `nearest` is right, as calibrated on held-out
            pictures of known people and of people it had never seen, one half each.
    """

    person: str | None
    nearest: str
    score: float
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A trained classifier. Thread-safe.

    Attributes:
        kind: How it decides.
        people: (c,) names, in the order of its scores.
        space: The embeddings it was trained on.
        arrays: What it learnt; see `ARRAYS`.
        settings: Numbers of its kind: ``gamma``, ``neighbours``, and the ``C`` that was chosen.
        reject_below: Score under which a face is nobody it knows; ``-inf``: never.
        slope: Of the calibration: confidence = 1 / (1 + exp(−(slope·score + offset))).
        offset: Likewise.
        report: How it was trained and what was measured, JSON-able.
    """

    kind: Kind
    people: tuple[str, ...]
    space: EmbeddingSpace
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    settings: Mapping[str, float]
    reject_below: float
    slope: float
    offset: float
    report: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, c) decision values of (n, d) unit vectors, higher is likelier."""
        check_shape(vectors, (None, self.space.dimension), "embeddings")
        check_finite(vectors, "embeddings")
        parts = [
            self._scores(vectors[i : i + _ROWS_PER_BLOCK].astype(np.float64))
            for i in range(0, len(vectors), _ROWS_PER_BLOCK)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.people)))

    def _scores(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        a = self.arrays
        if self.kind == "knn":
            return self._votes(vectors)
        if self.kind == "svm-rbf":
            # Of unit vectors, |x − y|² = 2 − 2·x·y.
            vectors = np.exp(-self.settings["gamma"] * (2.0 - 2.0 * vectors @ a["support"].T))
        found = vectors @ a["weights"].T
        return np.asarray(found + a["bias"] if "bias" in a else found, np.float64)

    def _votes(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The k nearest faces vote with their cosines: Σ over a person's votes, over k."""
        similarity = vectors @ self.arrays["vectors"].T.astype(np.float64)
        k = min(int(self.settings["neighbours"]), similarity.shape[1])
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        rows = np.arange(len(vectors))[:, None]
        votes = np.zeros((len(vectors), len(self.people)))
        labels = self.arrays["labels"][nearest]
        np.add.at(votes, (rows, labels), np.maximum(similarity[rows, nearest], 0.0) / k)
        return votes

    def predict(self, embeddings: Sequence[Embedding]) -> list[Prediction]:
        """Name faces.

        Raises:
            SpaceMismatchError: An embedding is of another space.
        """
        for embedding in embeddings:
            if embedding.space != self.space:
                raise SpaceMismatchError(
                    f"this classifier was trained on {self.space}, got {embedding.space}",
                    remedy="embed with the model and options it was trained with",
                    expected=self.space.id,
                    actual=embedding.space.id,
                )
        if not embeddings:
            return []
        scores = self.scores(np.stack([e.vector for e in embeddings]))
        best = scores.argmax(axis=1)
        found = []
        for row, column in enumerate(best.tolist()):
            score, name = float(scores[row, column]), self.people[column]
            accepted = score >= self.reject_below
            exponent = np.clip(-(self.slope * score + self.offset), -500, 500)
            confidence = 1.0 / (1.0 + math.exp(float(exponent)))
            found.append(Prediction(name if accepted else None, name, score, confidence))
        return found

    def save(self, path: Path) -> None:
        """Write everything into one ``.npz`` file: arrays and JSON, no code.

        Raises:
            OutputError: The file cannot be written.
        """
        about = {
            "format": FORMAT,
            "kind": self.kind,
            "people": self.people,
            "space": {
                "model": self.space.model,
                "digest": self.space.digest,
                "dimension": self.space.dimension,
                "preprocessing": self.space.preprocessing,
            },
            "settings": dict(self.settings),
            "reject_below": None if math.isinf(self.reject_below) else self.reject_below,
            "slope": self.slope,
            "offset": self.offset,
            "report": dict(self.report),
        }
        text = np.frombuffer(json.dumps(about, ensure_ascii=False).encode("utf-8"), np.uint8)
        buffer = io.BytesIO()
        stored: dict[str, Any] = {"about": text, **self.arrays}
        np.savez_compressed(buffer, **stored)
        beside = path.with_name(path.name + ".part")
        try:
            beside.write_bytes(buffer.getvalue())
            beside.replace(path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error}", path=str(path)) from error

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises:
            DataFileError: The file cannot be read or is no classifier.
        """
        try:
            if path.stat().st_size > _MAX_BYTES or _unpacked_bytes(path) > _MAX_BYTES:
                raise DataFileError(f"{path} is too large for a classifier", path=str(path))
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            return _restored(arrays)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DataFileError(
                f"{path} is no classifier: {error}",
                remedy="make one with `vultus classify train`",
                path=str(path),
            ) from error


def _unpacked_bytes(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def _restored(arrays: dict[str, NDArray[Any]]) -> Classifier:
    about = json.loads(arrays.pop("about").tobytes().decode("utf-8"))
    if about["format"] != FORMAT:
        raise ValueError(f"its format must be {FORMAT}, got {about['format']}")
    if about["kind"] not in KINDS or set(arrays) != set(ARRAYS[about["kind"]]):
        raise ValueError(f"a classifier of kind {about['kind']!r} must hold other arrays")
    people, space = tuple(map(str, about["people"])), EmbeddingSpace(**about["space"])
    _check_arrays(about["kind"], arrays, len(people), space.dimension)
    limit = about["reject_below"]
    return Classifier(
        kind=about["kind"],
        people=people,
        space=space,
        arrays=arrays,
        settings={str(k): float(v) for k, v in about["settings"].items()},
        reject_below=-math.inf if limit is None else float(limit),
        slope=float(about["slope"]),
        offset=float(about["offset"]),
        report=about["report"],
    )


def _check_arrays(kind: str, arrays: Mapping[str, NDArray[Any]], people: int, width: int) -> None:
    rows = len(arrays.get("support", arrays.get("vectors", ())))
    shapes = {
        "weights": (people, rows if kind == "svm-rbf" else width),
        "bias": (people,),
        "support": (rows, width),
        "vectors": (rows, width),
        "labels": (rows,),
    }
    for name, array in arrays.items():
        kinds = "iu" if name == "labels" else "f"
        if array.shape != shapes[name] or array.dtype.kind not in kinds:
            raise ValueError(f"{name} must be {shapes[name]}, got {array.shape} {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")
    if "labels" in arrays and not ((arrays["labels"] >= 0) & (arrays["labels"] < people)).all():
        raise ValueError("labels must name people")
