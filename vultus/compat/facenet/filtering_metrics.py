"""``calculate-filtering-metrics``: how far each picture lies from its class's centre, as HDF5."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.dataset import check_filled, flattened, read_dataset
from vultus.compat.facenet.faces import check_crop
from vultus.compat.facenet.features import features
from vultus.compat.facenet.files import replace_file
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk
from vultus.errors import MissingExtraError, RangeError

__all__ = ["calculate_filtering_metrics", "distances_to_centers", "hdf5"]


def calculate_filtering_metrics(
    dataset_dir: Path,
    model_file: str,
    data_file_name: Path,
    *,
    image_size: int = 160,
    batch_size: int = 90,
    talk: Talk,
) -> NDArray[np.float64]:
    """Write ``class_names``, ``image_list``, ``label_list`` and ``distance_to_center``.

    Args:
        dataset_dir: One folder of pictures per class.
        model_file: See `vultus.compat.facenet.model.find_model`.
        data_file_name: An HDF5 file; replaced.
        image_size: Checked; the model's card decides how faces are cut.
        batch_size: Pictures between two lines of progress.
        talk: Where words go.

    Returns:
        (n,) Euclidean distance of each embedding from the mean of its class, in the data set's
        order.

    Raises:
        MissingExtraError: h5py is not installed.
        InsufficientDataError: A class has no picture.
        ImageError: A picture cannot be read.
        OutputError: The file cannot be written.
    """
    check_crop(image_size, 0)
    if batch_size < 1:
        raise RangeError(f"batch_size must be at least 1, got {batch_size}")
    library = hdf5()  # told now, not after the work
    dataset = read_dataset(dataset_dir)
    check_filled(dataset)
    paths, labels = flattened(dataset)
    loaded = load_model(model_file)
    began = time.perf_counter()

    def tick(done: int) -> None:
        nonlocal began
        now = time.perf_counter()
        talk.line(f"Batch {(done - 1) // batch_size} in {now - began:.3f} seconds")
        began = now

    vectors = features(loaded, paths, talk, every=batch_size, tick=tick)
    distances = distances_to_centers(vectors, np.array(labels))
    talk.line(f"Writing filtering data to {data_file_name}")
    values = {
        "class_names": [one.name for one in dataset],
        "image_list": [str(path) for path in paths],
        "label_list": np.array(labels, np.int64),
        "distance_to_center": distances,
    }
    replace_file(data_file_name, lambda path: _write(library, path, values))
    return distances


def _write(library: Any, path: Path, values: Mapping[str, Any]) -> None:
    """One data set per value; lists are of text."""
    with library.File(path, "w") as file:
        for name, value in values.items():
            kind = library.string_dtype("utf-8") if isinstance(value, list) else None
            file.create_dataset(name, data=value, dtype=kind)


def distances_to_centers(
    vectors: NDArray[np.float64], labels: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """(n,) Euclidean distance of each row from the mean of the rows of its label.

    Args:
        vectors: (n, d).
        labels: (n,) from 0, every number up to the largest in use.
    """
    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    centers = sums / np.bincount(labels)[:, None]
    return np.asarray(np.linalg.norm(vectors - centers[labels], axis=1))


def hdf5() -> Any:
    """The library for HDF5 files.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise MissingExtraError(
            "facenet's HDF5 files are read and written with h5py",
            remedy="pip install 'vultus[facenet]'",
            extra="facenet",
        ) from error
