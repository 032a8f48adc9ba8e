"""``export-embeddings``: a data set's embeddings and labels as NumPy files."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.dataset import flattened, read_dataset
from vultus.compat.facenet.faces import check_crop
from vultus.compat.facenet.features import detected_features, features
from vultus.compat.facenet.files import save_array
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk
from vultus.errors import RangeError

__all__ = ["ExportOptions", "export_embeddings"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The options of ``export_embeddings.py``.

    Attributes:
        is_aligned: The pictures are crops, one face in the middle of each; else the first face
            that is found in each counts, and a picture without one is an error.
        image_size: Checked; the model's card decides how faces are cut.
        margin: Likewise.
        image_batch: Pictures between two lines of progress.
        embeddings_name: File of the embeddings.
        labels_name: File of the labels.
        labels_strings_name: File of the labels as names.

    Raises:
        RangeError: A value is outside its range.
    """

    is_aligned: bool = True
    image_size: int = 160
    margin: float = 44
    image_batch: int = 500
    embeddings_name: str = "embeddings.npy"
    labels_name: str = "labels.npy"
    labels_strings_name: str = "label_strings.npy"

    def __post_init__(self) -> None:
        check_crop(self.image_size, self.margin)
        if self.image_batch < 1:
            raise RangeError(f"image_batch must be at least 1, got {self.image_batch}")


def export_embeddings(
    model_dir: str, data_dir: Path, options: ExportOptions | None = None, *, talk: Talk
) -> NDArray[np.float64]:
    """Write embeddings (n, d) float64, labels (n,) int64 and names (n,) of a data set.

    Args:
        model_dir: See `vultus.compat.facenet.model.find_model`.
        data_dir: One folder of pictures per class.
        options: See `ExportOptions`; files are relative to the current folder.
        talk: Where words go.

    Returns:
        The embeddings.

    Raises:
        NoFaceError: A picture that is not aligned shows no face.
        ImageError: A picture cannot be read.
        OutputError: A file cannot be written.
    """
    options = options or ExportOptions()
    dataset = read_dataset(data_dir)
    paths, labels = flattened(dataset)
    loaded = load_model(model_dir)
    loaded.announce(talk)
    batches = math.ceil(len(paths) / options.image_batch)
    talk.line(f"Number of images:  {len(paths)}")
    talk.line(f"Number of batches:  {batches}")

    def tick(done: int) -> None:
        batch = math.ceil(done / options.image_batch)
        talk.line(f"Completed batch {batch} of {batches}")

    began = time.perf_counter()
    if options.is_aligned:
        vectors = features(loaded, paths, talk, every=options.image_batch, tick=tick)
    else:
        talk.line("Creating networks and loading parameters")
        vectors = detected_features(loaded, paths, every=options.image_batch, tick=tick)
    talk.line(f"Run time:  {time.perf_counter() - began}")
    numbers = np.array(labels, np.int64)
    save_array(Path(options.embeddings_name).expanduser(), vectors)
    save_array(Path(options.labels_name).expanduser(), numbers)
    names = np.array([one.name for one in dataset])
    save_array(Path(options.labels_strings_name).expanduser(), names[numbers])
    return vectors
