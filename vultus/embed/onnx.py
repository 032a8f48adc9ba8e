"""Any embedding network on ONNX Runtime, fed as its card says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_image, check_shape
from vultus.errors import CardError, InferenceError
from vultus.models import InputSpec, ModelCard, Store, space_of
from vultus.runtime import Session, SessionOptions
from vultus.types import Embedding, EmbeddingSpace, Image

__all__ = ["OnnxEmbedder"]

# Crops per call: on a CPU larger batches gain nothing and cost memory.
_BATCH = 16


class OnnxEmbedder:
    """Runs a network over crops and scales its output to unit length.

    With `mirror`, each crop and its mirror image are embedded and the unit vectors averaged:
    twice the time, and fewer errors (measured in the README). The mirrored mean is an embedding
    space of its own, because its similarities are distributed differently.

    Args:
        session: The loaded network with one input and one output.
        spec: How it is fed.
        space: Identity of its embeddings.
        mirror: Whether to average with the mirror image.
    """

    def __init__(
        self, session: Session, spec: InputSpec, space: EmbeddingSpace, *, mirror: bool
    ) -> None:
        if spec.size_wh is None:
            raise CardError(f"the card of embedder {space.model} must state input.size_wh")
        self.space = space
        self._session = session
        self._size_wh = spec.size_wh
        self._spec = spec
        self._mirror = mirror
        self._mean = np.array(spec.mean, np.float32)
        self._inverse_std = 1.0 / np.array(spec.std, np.float32)
        self._as_is = spec.mean == (0.0, 0.0, 0.0) and spec.std == (1.0, 1.0, 1.0)

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        store: Store,
        session_options: SessionOptions | None = None,
        *,
        mirror: bool = True,
    ) -> Self:
        """Load the network that `card` names from `store`.

        Raises:
            CardError: The card is not an embedder's.
            ModelMissingError: The weight is not on this machine.
            WeightDamagedError: Its digest is not the card's.
        """
        space = space_of(card, mirror=mirror)
        session = Session(store.read(card), card.name, session_options)
        return cls(session, card.input, space, mirror=mirror)

    def embed(self, crops: Sequence[Image]) -> list[Embedding]:
        """Embed aligned crops.

        Args:
            crops: Each (h, w, 3) uint8 RGB of the card's input size.

        Returns:
            One embedding per crop. `raw_norm` is the length of the network's output for the
            crop itself.

        Raises:
            ShapeError: A crop has another size.
            InferenceError: The network's output is not finite or all zero.
        """
        found: list[Embedding] = []
        for start in range(0, len(crops), _BATCH):
            found.extend(self._batch(crops[start : start + _BATCH]))
        return found

    def raw(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """(n, d) float32 outputs of the network itself, neither mirrored nor scaled."""
        if not crops:
            return np.zeros((0, self.space.dimension), np.float32)
        return self._run(self._stack(crops))

    def _batch(self, crops: Sequence[Image]) -> list[Embedding]:
        stack = self._stack(crops)
        if self._mirror:
            both = self._run(np.concatenate([stack, stack[:, :, ::-1]]))
            plain, mirrored = both[: len(crops)], both[len(crops) :]
            norms = _lengths(plain, self.space)
            vectors = plain / norms + mirrored / _lengths(mirrored, self.space)
        else:
            vectors = self._run(stack)
            norms = _lengths(vectors, self.space)
        vectors = vectors / _lengths(vectors, self.space)
        return [
            Embedding(vector, self.space, float(norm[0]))
            for vector, norm in zip(vectors, norms, strict=True)
        ]

    def _stack(self, crops: Sequence[Image]) -> Image:
        width, height = self._size_wh
        for crop in crops:
            check_shape(check_image(crop), (height, width, 3), "an aligned crop")
        return np.stack(crops)

    def _run(self, stack: Image) -> NDArray[np.float32]:
        """(n, d) outputs, in as many calls as the network's batch size asks for."""
        step = self._session.batch_size or len(stack)
        parts = [self._call(stack[i : i + step]) for i in range(0, len(stack), step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _call(self, stack: Image) -> NDArray[np.float32]:
        pixels = stack[..., ::-1] if self._spec.channels == "BGR" else stack
        if self._spec.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        shape = (-1, 1, 1) if self._spec.layout == "NCHW" else (-1,)
        blob = np.ascontiguousarray(pixels, dtype=np.float32)
        if not self._as_is:
            blob -= self._mean.reshape(shape)
            blob *= self._inverse_std.reshape(shape)
        (output,) = self._session.run(
            {self._session.input_names[0]: blob}, self._session.output_names[:1]
        )
        if output.shape != (len(stack), self.space.dimension):
            raise CardError(
                f"{self.space.model} must give ({len(stack)}, {self.space.dimension}) outputs, "
                f"got {output.shape}",
                remedy="correct embedding.dimension in the model's card",
            )
        result: NDArray[np.float32] = output.astype(np.float32, copy=False)
        return result


def _lengths(vectors: NDArray[np.float32], space: EmbeddingSpace) -> NDArray[np.float32]:
    """(n, 1) Euclidean lengths, all finite and above zero."""
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths < 1e-6).any():
        raise InferenceError(
            f"{space.model} gave an output that is not a direction (zero, NaN or infinite)",
            remedy="`vultus doctor` tells whether the model works on this machine",
        )
    return lengths
