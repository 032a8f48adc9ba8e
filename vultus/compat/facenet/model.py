"""The ``model`` argument: a card's name, an ONNX file with its card beside it, or a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.align import aligner_for
from vultus.compat.facenet.talk import Talk
from vultus.decide import threshold_for
from vultus.embed import OnnxEmbedder
from vultus.encode import AlignedEmbedder, FaceEmbedder, face_embedder_for
from vultus.errors import (
    CardError,
    InputError,
    ModelError,
    ModelMissingError,
    WeightDamagedError,
)
from vultus.models import ModelCard, Registry, Store, load_card, space_of
from vultus.runtime import Session, SessionOptions
from vultus.types import EmbeddingSpace, Face

__all__ = ["FaceModel", "FoundModel", "find_model", "load_model"]

_TENSORFLOW = frozenset({".pb", ".meta", ".ckpt", ".index", ".h5", ".tflite"})
_HOW_TO = (
    "name one of `vultus models list --kind embedder`, or an ONNX file with its card (TOML) "
    "beside it; see docs/migrating.md"
)
_POLICY = "fmr=1e-3"


@dataclass(frozen=True, slots=True)
class FoundModel:
    """What a ``model`` argument names, before anything is loaded.

    Attributes:
        card: Of an embedder.
        file: Where its weight lies; ``None`` for a card's name.
        folder: The folder that was named instead of the file.
    """

    card: ModelCard
    file: Path | None = None
    folder: Path | None = None

    def read(self) -> bytes:
        """The weight's bytes.

        Raises:
            ModelMissingError: It cannot be read, or is not on this machine.
            WeightDamagedError: Its digest is not the card's.
            CardError: A composite has no weight of its own.
        """
        if self.file is None:
            return Store().read(self.card)
        data = _bytes_of(self.file)
        actual, expected = hashlib.sha256(data).hexdigest(), self.card.weight().sha256
        if actual != expected:
            raise WeightDamagedError(
                f"{self.file} must have the SHA-256 {expected} of its card, it has {actual}",
                remedy="copy both files again, or correct the card on purpose",
                path=str(self.file),
                expected=expected,
                actual=actual,
            )
        return data


@dataclass(frozen=True, slots=True)
class FaceModel:
    """A loaded embedder. Thread-safe.

    Attributes:
        found: What was named.
        embedder: Cuts faces out as its network wants them, and embeds them; no mirror image.
    """

    found: FoundModel
    embedder: FaceEmbedder = field(repr=False)

    @property
    def space(self) -> EmbeddingSpace:
        """What its embeddings may be compared with."""
        return self.embedder.space

    def announce(self, talk: Talk) -> None:
        """Say which model it is, as the original does."""
        if self.found.folder is not None:
            talk.line(f"Model directory: {self.found.folder}")
        talk.line(f"Model filename: {self.found.file or self.found.card.name}")

    def embed(self, faces: Sequence[Face]) -> NDArray[np.float32]:
        """(n, d) float32 unit vectors of faces."""
        if not faces:
            return np.zeros((0, self.space.dimension), np.float32)
        return np.stack([embedding.vector for embedding in self.embedder.embed(faces)])

    def threshold(self, otherwise: float) -> tuple[float, str]:
        """The cosine that one pair of strangers in a thousand reaches, and where it comes from.

        Args:
            otherwise: For a model of which that was not measured.
        """
        try:
            found = threshold_for(self.found.card, self.space, _POLICY)
        except (ModelError, InputError):
            return otherwise, "facenet's own; none was measured for this model"
        return found.value, f"{_POLICY} of {self.space.model}"


def find_model(text: str) -> FoundModel:
    """Find what a ``model`` argument names.

    Args:
        text: The name of an embedder's card; an ONNX file with ``<stem>.toml`` beside it; or a
            folder that holds exactly one such file. ``~`` is expanded.

    Raises:
        UnknownModelError: No card has this name, and no file either.
        CardError: There is no card beside the file, or it is of another kind.
        ModelError: A TensorFlow model, or a folder without exactly one ONNX file.
        ModelMissingError: No such file.
    """
    path = Path(text).expanduser()
    if path.suffix.lower() in _TENSORFLOW or ".ckpt" in path.name:
        raise _tensorflow(path)
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() == ".onnx" or path.is_file():
        return _beside(path, None)
    card = Registry().get(text)
    _check_embedder(card, text)
    return FoundModel(card)


def load_model(text: str, threads: int = 1) -> FaceModel:
    """Load a model.

    Args:
        text: See `find_model`.
        threads: CPU threads within one call.

    Raises:
        ModelError: As in `find_model`; also when the weight is missing or damaged.
        InferenceError: The file is no network.
    """
    found = find_model(text)
    options, card = SessionOptions(threads), found.card
    if found.file is None:
        return FaceModel(found, face_embedder_for(card, Registry(), Store(), options, mirror=False))
    if card.embedding is None:  # `find_model` has seen to that
        raise CardError(f"{found.file} needs a card with an [embedding] table")
    session = Session(found.read(), card.name, options)
    network = OnnxEmbedder(session, card.input, space_of(card, mirror=False), mirror=False)
    aligner = aligner_for(card.embedding.alignment, Registry(), Store())
    return FaceModel(found, AlignedEmbedder(aligner, network))


def _in_folder(folder: Path) -> FoundModel:
    try:
        names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ModelMissingError(
            f"{folder} cannot be read: {error.strerror or error}", path=str(folder)
        ) from error
    files = [path for path in names if path.suffix.lower() == ".onnx"]
    if len(files) == 1:
        return _beside(files[0], folder)
    if not files and any(path.suffix.lower() in _TENSORFLOW for path in names):
        raise _tensorflow(folder)
    raise ModelError(
        f"a model's folder must hold exactly one .onnx file, {folder} holds {len(files)}",
        remedy=_HOW_TO,
        path=str(folder),
        expected=1,
        actual=len(files),
    )


def _beside(file: Path, folder: Path | None) -> FoundModel:
    """The model of an ONNX file, by the card beside it."""
    if not file.is_file():
        raise ModelMissingError(f"there is no model {file}", remedy=_HOW_TO, path=str(file))
    beside = file.with_suffix(".toml")
    if not beside.is_file():
        raise CardError(
            f"{file} needs a card beside it, {beside.name}, and there is none",
            remedy="`vultus facenet freeze` writes one for any model vultus knows; "
            "docs/models.md tells what a card says",
            path=str(beside),
        )
    card = load_card(beside)
    _check_embedder(card, str(beside))
    if card.embedding is None or len(card.weights) != 1:
        raise CardError(
            f"{beside} must describe one network, got {len(card.weights)} weights",
            remedy="name a composite by its card's name",
            path=str(beside),
        )
    if not card.weight().sha256:  # whoever names the file vouches for it
        digest = hashlib.sha256(_bytes_of(file)).hexdigest()
        card = card.pinned({card.weight().role: digest})
    return FoundModel(card, file, folder)


def _check_embedder(card: ModelCard, named: str) -> None:
    if card.kind != "embedder":
        raise CardError(
            f"{named} must be a model of kind embedder, it is of kind {card.kind}",
            remedy="`vultus models list --kind embedder` shows the choice",
            expected="embedder",
            actual=card.kind,
        )


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelMissingError(
            f"{file} cannot be read: {error.strerror or error}", path=str(file)
        ) from error


def _tensorflow(path: Path) -> ModelError:
    return ModelError(
        f"{path} is a TensorFlow model, which vultus does not read", remedy=_HOW_TO, path=str(path)
    )
