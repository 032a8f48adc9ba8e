"""What is answered about pictures and embeddings, worked out in one worker's thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.assess.gate import check, gate_policy
from vultus.errors import GalleryError, OutputError, SpaceMismatchError, UnknownSampleError
from vultus.gallery import Gallery
from vultus.gallery.crops import unpack_crop
from vultus.pipeline import Recognizer
from vultus.server.wire.compreface.body import Picture, picture_bytes
from vultus.server.wire.compreface.collection import Collection
from vultus.server.wire.compreface.errors import several_faces
from vultus.server.wire.compreface.faces import Eyes, Look, rounded
from vultus.server.wire.compreface.query import Options
from vultus.server.wire.compreface.search import Example, best_examples
from vultus.server.wire.compreface.similarity import Scale
from vultus.types import Embedding

__all__ = ["Answers", "crop_picture"]

Reply = dict[str, Any]
Vectors = NDArray[np.float64]


class Answers:
    """Answers of one recogniser.

    Args:
        recognizer: The server's.
        eyes: What looks at pictures.
        gate: Name of the gate that faces must pass to be recognised.
    """

    def __init__(self, recognizer: Recognizer, eyes: Eyes, gate: str = "off") -> None:
        self._recognizer = recognizer
        self._eyes = eyes
        self._gate = gate_policy(gate)

    @property
    def scale(self) -> Scale:
        """From cosines to CompreFace's similarities."""
        return Scale.of(self._recognizer.threshold, self._recognizer.calibration)

    # -- pictures -------------------------------------------------------------------------------

    def detect(self, picture: Picture, options: Options) -> Reply:
        """Every face of a picture."""
        look = self._eyes.look(picture_bytes(picture), options, embed=False)
        return {"result": look.told(options), **look.plugins_versions(options)}

    def recognize(self, gallery: Gallery, picture: Picture, options: Options) -> Reply:
        """Every face of a picture, each with the examples most like it."""
        look = self._eyes.look(picture_bytes(picture), options, embed=True)
        found = best_examples(gallery, look.embeddings, options.prediction_count)
        passed = self._passed(look)
        result = [
            {**fields, "subjects": self._subjects(examples) if let_in else []}
            for fields, examples, let_in in zip(look.told(options), found, passed, strict=True)
        ]
        return {"result": result, **look.plugins_versions(options)}

    def _passed(self, look: Look) -> list[bool]:
        """Whom the gate lets in; nobody is named whom it refuses."""
        if self._gate == gate_policy("off"):
            return [True for _ in look.faces]
        measured = self._recognizer.assess(look.faces)
        return [check(quality, self._gate).accepted for quality in measured]

    def _subjects(self, examples: Sequence[Example]) -> list[Reply]:
        similarities = self.scale.of_cosines(np.array([example.cosine for example in examples]))
        return [
            {"subject": example.subject, "similarity": rounded(similarity)}
            for example, similarity in zip(examples, similarities.tolist(), strict=True)
        ]

    def add(self, collection: Collection, picture: Picture, subject: str, options: Options) -> str:
        """Keep a picture's only face as an example of a subject, made when new.

        Returns:
            The example's UUID.

        Raises:
            CompreFaceError: The picture shows no face (28), or several (31).
            RefusedFaceError: The gate does not let it through.
        """
        faces = self._eyes.look(picture_bytes(picture), options, embed=False).faces
        if len(faces) > 1:
            raise several_faces()
        return collection.add(self._recognizer.sample(subject, faces[0]))

    def verify_example(
        self, collection: Collection, picture: Picture, image_id: str, options: Options
    ) -> Reply:
        """Every face of a picture against a stored example.

        An example that is not there has no subject and is like nobody, as in CompreFace.
        """
        look = self._eyes.look(picture_bytes(picture), options, embed=True)
        subject, stored = _stored(collection, image_id)
        similarities = self._similarities(stored, _stacked(look.embeddings))
        result = [
            {**fields, "subject": subject, "similarity": similarity}
            for fields, similarity in zip(look.told(options), similarities, strict=True)
        ]
        return {"result": result, **look.plugins_versions(options)}

    def verify(self, source: Picture, target: Picture, options: Options) -> Reply:
        """Every face of a picture against the only face of another.

        Raises:
            CompreFaceError: A picture shows no face (28), or the source several (31).
        """
        first = self._eyes.look(picture_bytes(source), options, embed=True)
        if len(first.faces) > 1:
            raise several_faces()
        second = self._eyes.look(picture_bytes(target), options, embed=True)
        vectors = _stacked(second.embeddings)
        similarities = self._similarities(_stacked(first.embeddings)[0], vectors)
        matches = [
            {**fields, "similarity": similarity}
            for fields, similarity in zip(second.told(options), similarities, strict=True)
        ]
        result = {
            "source_image_face": first.told(options)[0],
            "face_matches": matches,
            **second.plugins_versions(options),
        }
        return {"result": [result]}

    # -- embeddings -----------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """Of an embedding."""
        return self._recognizer.embedder.space.dimension

    def recognize_embeddings(
        self, gallery: Gallery, given: Sequence[Any], vectors: Vectors, count: int
    ) -> Reply:
        """Embeddings, each with the examples most like it."""
        space = self._recognizer.embedder.space
        found = best_examples(gallery, [Embedding(vector, space) for vector in vectors], count)
        result = [
            {"embedding": row, "similarities": self._subjects(examples)}
            for row, examples in zip(given, found, strict=True)
        ]
        return {"result": result}

    def verify_embeddings_example(
        self, collection: Collection, image_id: str, given: Sequence[Any], vectors: Vectors
    ) -> Reply:
        """Embeddings against a stored example, the most similar first."""
        _, stored = _stored(collection, image_id)
        return self._ranked(given, self._similarities(stored, vectors))

    def verify_embeddings(self, source: Vectors, given: Sequence[Any], targets: Vectors) -> Reply:
        """Embeddings against another, the most similar first."""
        return self._ranked(given, self._similarities(source, targets))

    def _ranked(self, given: Sequence[Any], similarities: Sequence[float]) -> Reply:
        order = sorted(range(len(given)), key=lambda i: -similarities[i])
        return {"result": [{"embedding": given[i], "similarity": similarities[i]} for i in order]}

    def _similarities(self, stored: Vectors | None, vectors: Vectors) -> list[float]:
        if stored is None:
            return [0.0 for _ in vectors]
        cosines = np.clip(vectors @ stored, -1.0, 1.0)
        return [rounded(similarity) for similarity in self.scale.of_cosines(cosines)]


def _stacked(embeddings: Sequence[Embedding]) -> Vectors:
    return np.stack([embedding.vector for embedding in embeddings]).astype(np.float64)


def _stored(collection: Collection, image_id: str) -> tuple[str, Vectors | None]:
    """Whose an example is, and its embedding."""
    sample = collection.sample(image_id)
    if sample is None:
        return "", None
    try:
        vector = collection.gallery.embedding(sample.number).vector
    except (UnknownSampleError, SpaceMismatchError):  # erased, or not moved to this model yet
        return "", None
    return sample.person, vector.astype(np.float64)


def crop_picture(collection: Collection, image_id: str, key: bytes) -> bytes:
    """The picture kept with an example as PNG; nothing where none is kept, or no such example."""
    sample = collection.sample(image_id)
    if sample is None or not sample.has_crop:
        return b""
    try:
        data = collection.gallery.crop(sample.number)
        face = None if data is None else unpack_crop(data, key)
    except GalleryError:  # erased meanwhile, or kept with another key
        return b""
    if face is None:
        return b""
    done, png = cv2.imencode(".png", cv2.cvtColor(face.frame.image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError("a crop cannot be encoded")
    return png.tobytes()
