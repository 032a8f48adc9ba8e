"""``predict``: names every face of some pictures by a classifier, as ``predict.py`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vultus.compat.facenet.classifier import Named, best_classes, check_space, load_classifier
from vultus.compat.facenet.faces import check_crop, detector
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk
from vultus.runtime import default_threads
from vultus.sources import load_frame

__all__ = ["predict"]


def predict(
    image_files: Sequence[Path],
    model: str,
    classifier_filename: Path,
    *,
    image_size: int = 160,
    margin: float = 44,
    talk: Talk,
) -> list[list[Named]]:
    """Name the faces of pictures.

    Args:
        image_files: Pictures.
        model: See `vultus.compat.facenet.model.find_model`.
        classifier_filename: What ``classifier TRAIN`` wrote.
        image_size: Checked; the model's card decides how faces are cut.
        margin: Likewise.
        talk: Where words go.

    Returns:
        For each picture its faces, by falling score of the detector; none where it shows none.

    Raises:
        ImageError: A picture cannot be read.
        DataFileError: The file is no classifier.
        SpaceMismatchError: It was trained with another model.
    """
    check_crop(image_size, margin)
    made = load_classifier(classifier_filename)
    loaded = load_model(model, default_threads())
    check_space(made, loaded.space)
    talk.line("Creating networks and loading parameters")
    find = detector(default_threads())
    found = [
        best_classes(made, loaded.embed(find.detect(load_frame(path)))) for path in image_files
    ]
    loaded.announce(talk)
    talk.line(f'Loaded classifier model from file "{classifier_filename}"\n')
    for path, faces in zip(image_files, found, strict=True):
        talk.line(f"\npeople in image {path} :")
        for best in faces:
            talk.line(f"{best.name}: {best.probability:.3f}")
    return found
