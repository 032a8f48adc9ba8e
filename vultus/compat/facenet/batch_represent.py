"""``batch-represent``: a data set's embeddings as ``signatures.npy`` with ``gallery.npy``."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.dataset import flattened, read_dataset
from vultus.compat.facenet.features import features
from vultus.compat.facenet.files import make_folder, save_array
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk

__all__ = ["batch_represent"]


def batch_represent(
    data_dir: Path, output_dir: Path, trained_model_dir: str, *, talk: Talk
) -> NDArray[np.float64]:
    """Write the embeddings (n, d) float64 and labels (n,) int64 of a data set.

    Args:
        data_dir: One folder of pictures per class.
        output_dir: Made when absent.
        trained_model_dir: See `vultus.compat.facenet.model.find_model`.
        talk: Where words go.

    Returns:
        The embeddings.

    Raises:
        ImageError: A picture cannot be read.
        OutputError: A file cannot be written.
    """
    talk.line("Loading trained model...\n")
    loaded = load_model(trained_model_dir)
    loaded.announce(talk)
    talk.line("Finding image paths and targets...\n")
    paths, labels = flattened(read_dataset(data_dir))
    make_folder(output_dir)
    talk.line("Generating embeddings from images...\n")
    began = time.perf_counter()
    vectors = features(loaded, paths, talk)
    each_s = (time.perf_counter() - began) / len(paths)
    talk.line(f"Forward pass took avg of {each_s:.3f}[seconds/image] for {len(paths)} images\n")
    talk.line(f"Finally saving embeddings and gallery to: {output_dir}")
    save_array(output_dir / "gallery.npy", np.array(labels, np.int64))
    save_array(output_dir / "signatures.npy", vectors)
    return vectors
