"""``cluster``: the faces of a folder sorted by person, as ``cluster.py`` and ``clustering.py``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.cluster import by_size, chinese_whispers, dbscan
from vultus.compat.facenet.dataset import files_of
from vultus.compat.facenet.faces import check_crop, detector, margin_crop, write_png
from vultus.compat.facenet.features import features
from vultus.compat.facenet.files import make_folder
from vultus.compat.facenet.model import FaceModel, load_model
from vultus.compat.facenet.talk import Talk, distance_matrix
from vultus.errors import NoFaceError, OutputError, RangeError
from vultus.runtime import default_threads
from vultus.sources import load_frame
from vultus.types import Image

__all__ = ["ClusterOptions", "cluster", "clustering"]

_SURE_SCORE = 0.95  # of a face that takes part; ``cluster.py``
_FACENET_DISTANCE = 1.0  # default of ``cluster.py``, for facenet's own embeddings
_FACENET_SIMILARITY = 0.55  # default of ``clustering.py``, likewise


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The options of ``cluster.py``.

    Attributes:
        image_size: Side of the saved crops, in pixels.
        margin: By how much the box grows, in pixels of the picture.
        min_cluster_size: Faces within reach that make a face the core of a cluster.
        cluster_threshold: Euclidean distance within reach; ``None``: where the model was
            measured to take one pair of strangers in a thousand for one person.
        largest_cluster_only: Save that one alone.

    Raises:
        RangeError: A value is outside its range.
    """

    image_size: int = 160
    margin: float = 44
    min_cluster_size: int = 1
    cluster_threshold: float | None = None
    largest_cluster_only: bool = False

    def __post_init__(self) -> None:
        check_crop(self.image_size, self.margin)
        if self.min_cluster_size < 1:
            raise RangeError(f"min_cluster_size must be at least 1, got {self.min_cluster_size}")
        if self.cluster_threshold is not None and not 0 < self.cluster_threshold < np.inf:
            raise RangeError(f"cluster_threshold must be above 0, got {self.cluster_threshold}")


def cluster(
    model: str,
    data_dir: Path,
    out_dir: Path,
    options: ClusterOptions | None = None,
    *,
    talk: Talk,
) -> list[list[int]]:
    """Find the people among the faces of a folder, and save each one's crops.

    Args:
        model: See `vultus.compat.facenet.model.find_model`.
        data_dir: A flat folder of pictures; every face with a score above 0.95 takes part.
        out_dir: Made when absent; gets ``<cluster>/<1…>.png``, or ``<1…>.png`` of the largest.
        options: See `ClusterOptions`.
        talk: Where words go.

    Returns:
        The faces of each cluster, numbered in the order of the files.

    Raises:
        NoFaceError: No picture shows a face.
        ImageError: A picture cannot be read.
        OutputError: A crop cannot be written.
    """
    options = options or ClusterOptions()
    paths = files_of(data_dir)
    loaded = load_model(model, default_threads())
    loaded.announce(talk)
    vectors, crops = _faces(loaded, paths, options)
    _, text = distance_matrix(vectors)
    talk.line()
    talk.out(text)
    talk.line()
    labels = dbscan(vectors, _reach(loaded, options, talk), options.min_cluster_size)
    found = [np.flatnonzero(labels == i) for i in range(labels.max(initial=-1) + 1)]
    talk.line(f"No of clusters: {len(found)}")
    if not options.largest_cluster_only and found:
        talk.line("Saving all clusters")
    for i, members in enumerate(found):
        talk.line(f"Cluster {i}: {members}")
    if options.largest_cluster_only and found:
        largest = max(range(len(found)), key=lambda i: len(found[i]))
        talk.line(f"Saving largest cluster (Cluster: {largest})")
        _save([crops[i] for i in found[largest]], out_dir)
    elif found:
        for i, members in enumerate(found):
            _save([crops[j] for j in members], out_dir / str(i))
    return [members.tolist() for members in found]


def clustering(
    model_dir: str, input_dir: Path, output: Path, threshold: float | None = None, *, talk: Talk
) -> list[list[Path]]:
    """Sort the pictures of a folder by person with Chinese whispers.

    Args:
        model_dir: See `vultus.compat.facenet.model.find_model`.
        input_dir: A flat folder of margin crops, or of pictures of one person each.
        output: Made when absent; gets copies as ``<rank>/<file>``, 0 the largest cluster.
        threshold: Cosine above which two pictures are neighbours; ``None``: what one pair of
            strangers in a thousand reaches.
        talk: Where words go.

    Returns:
        The pictures of each cluster.

    Raises:
        ImageError: A picture cannot be read.
        OutputError: A copy cannot be written.
    """
    paths = files_of(input_dir)
    loaded = load_model(model_dir)
    loaded.announce(talk)
    talk.line("Runnning forward pass on images")  # the original's own spelling
    vectors = features(loaded, paths, talk)
    if threshold is None:
        threshold, source = loaded.threshold(_FACENET_SIMILARITY)
        talk.note(f"pictures above a cosine of {threshold:.4f} are neighbours ({source})")
    found = [
        [paths[i] for i in rows.tolist()] for rows in by_size(chinese_whispers(vectors, threshold))
    ]
    for rank, members in enumerate(found):
        try:
            folder = output / str(rank)
            folder.mkdir(parents=True, exist_ok=True)
            for path in members:
                shutil.copy(path, folder / path.name)
        except OSError as error:
            raise OutputError(f"{output} cannot be written: {error.strerror or error}") from error
    return found


def _faces(
    model: FaceModel, paths: Sequence[Path], options: ClusterOptions
) -> tuple[NDArray[np.float32], list[Image]]:
    """The embedding of every sure face of the pictures, and its crop."""
    find = detector(default_threads())
    vectors: list[NDArray[np.float32]] = []
    crops: list[Image] = []
    for path in paths:
        frame, faces = load_frame(path), []
        for face in find.detect(frame):
            crop = margin_crop(frame, face.box, options.image_size, options.margin)
            if face.score > _SURE_SCORE and crop is not None:
                faces.append(face)
                crops.append(crop.image)
        vectors.append(model.embed(faces))
    if not crops:
        raise NoFaceError(f"none of {len(paths)} pictures shows a face")
    return np.concatenate(vectors), crops


def _reach(model: FaceModel, options: ClusterOptions, talk: Talk) -> float:
    if options.cluster_threshold is not None:
        return options.cluster_threshold
    cosine, source = model.threshold(1.0 - _FACENET_DISTANCE**2 / 2.0)
    reach = float(np.sqrt(2.0 - 2.0 * cosine))
    talk.note(f"faces within a distance of {reach:.4f} are neighbours ({source})")
    return reach


def _save(crops: Sequence[Image], folder: Path) -> None:
    make_folder(folder)
    for number, crop in enumerate(crops, 1):
        write_png(crop, folder / f"{number}.png")
