"""Verification sets in InsightFace's ``.bin`` layout: lfw, cfp_fp, agedb_30, calfw, cplfw.

A file is a pickle of two lists: encoded pictures, two after the other for each pair, and whether
each pair shows one person. The pictures are 112-px crops on ArcFace's template. It is read without
being run (see `vultus.sources.pickles`).

Rules: ten folds, cut from the list in order, squared Euclidean distance of unit embeddings, the
threshold of each fold chosen on the other nine (InsightFace, ``verification.py``). Flipping there
adds the raw embeddings of a crop and its mirror image; here it is vultus's mirror mean, which adds
the unit ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import Embed, EmbedOptions, embed_pictures
from vultus.evaluate.protocols._folds import Distance, FoldedAccuracy, evaluate_folds
from vultus.sources.pickles import InertArray, read_inert

__all__ = ["BinResult", "BinSet", "evaluate_bin", "read_bin"]

_MOST_BYTES = 2 * 1024**3  # cfp_fp has 80 MB
_MOST_PICTURE_BYTES = 16 * 1024**2  # a 112-px crop has some 4 kB
_FOLDS = 10


_embed = partial(embed_pictures, options=EmbedOptions(crops="arcface"))


@dataclass(frozen=True, slots=True, eq=False)
class BinSet:
    """Pairs of encoded crops.

    Attributes:
        name: The file's name without its ending.
        pictures: (2 n) encoded pictures; pair k is 2 k and 2 k + 1.
        same: (n,) whether each pair shows one person.
    """

    name: str
    pictures: tuple[bytes, ...] = field(repr=False)
    same: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BinResult:
    """What `evaluate_bin` found.

    Attributes:
        name: The set.
        figures: Accuracy, AUC, EER, VAL.
        rejected: Pairs that count as never accepted because a picture gave no embedding.
        failures: Which pictures, and why.
        space: Id of the embedding space.
        seconds: From file to figures.
    """

    name: str
    figures: FoldedAccuracy
    rejected: int
    failures: tuple[str, ...]
    space: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "figures": self.figures.to_dict()}


def read_bin(path: Path, *, max_bytes: int = _MOST_BYTES) -> BinSet:
    """Read a ``.bin`` set; nothing in the file is run.

    Args:
        path: The file.
        max_bytes: Largest file that is opened.

    Raises:
        DataFileError: The file cannot be read, is larger than `max_bytes`, does not hold exactly
            two lists of this kind, or holds anything but lists, bytes and booleans; the field
            ``refused`` then names what.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DataFileError(
                f"{path} has {size:,} bytes, more than the {max_bytes:,} that are opened",
                path=str(path),
                expected=max_bytes,
                actual=size,
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    match read_inert(data, str(path)):
        case [pictures, same]:
            return _checked(path, pictures, same, max_bytes)
    raise DataFileError(f"{path} must hold two lists: pictures and labels", path=str(path))


def evaluate_bin(
    pairs: BinSet,
    embed: Embed = _embed,
    *,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
) -> BinResult:
    """Embed a set's crops and judge its pairs by ten folds.

    A crop that cannot be decoded makes its pair count as never accepted.

    Args:
        pairs: From `read_bin`.
        embed: Turns encoded crops into embeddings; with `embed_pictures` the option ``crops``
            must be ``arcface``. Where the five points of these crops lie is known, so a model of
            any alignment can be judged.
        distance: ``euclidean`` (squared) or ``cosine`` (angle / pi).
        subtract_mean: As in `evaluate_folds`.

    Raises:
        InsufficientDataError: Fewer than ten pairs, or a fold of one kind only.
        ModelError: The model cannot be used.
    """
    began = time.perf_counter()
    found = embed(pairs.pictures)
    rejected = ~(found.found[0::2] & found.found[1::2])
    vectors = np.where(found.found[:, None], found.vectors, np.float32(1.0))
    figures = evaluate_folds(
        vectors[0::2],
        vectors[1::2],
        pairs.same,
        _FOLDS,
        distance=distance,
        subtract_mean=subtract_mean,
        rejected=rejected,
    )
    return BinResult(
        pairs.name,
        figures,
        int(rejected.sum()),
        tuple(f"{failure.path}: {failure.message}" for failure in found.failures),
        found.space.id,
        time.perf_counter() - began,
    )


def _checked(path: Path, pictures: object, same: object, max_bytes: int) -> BinSet:
    labels = _labels(same)
    if labels is None:
        raise DataFileError(f"{path} must end with a list of booleans", path=str(path))
    if not isinstance(pictures, (list, tuple)):
        raise DataFileError(f"{path} must begin with a list of pictures", path=str(path))
    if len(pictures) != 2 * len(labels) or len(labels) == 0:
        raise DataFileError(
            f"{path} must hold two pictures per label, got {len(pictures)} pictures and "
            f"{len(labels)} labels",
            path=str(path),
            expected=2 * len(labels),
            actual=len(pictures),
        )
    encoded, total = [], 0
    for index, picture in enumerate(pictures):
        encoded.append(_encoded(path, index, picture))
        total += len(encoded[-1])
        if total > max_bytes:  # a small file may name one large picture many times
            raise DataFileError(
                f"{path}: its pictures add up to more than {max_bytes:,} bytes", path=str(path)
            )
    return BinSet(path.stem, tuple(encoded), labels)


def _labels(same: object) -> NDArray[np.bool_] | None:
    if isinstance(same, InertArray):
        values = same.values
        boolean = isinstance(values, np.ndarray) and values.dtype == bool and values.ndim == 1
        return values.copy() if boolean else None
    if isinstance(same, (list, tuple)) and all(
        value is True or value is False or (type(value) is int and value in (0, 1))
        for value in same
    ):
        return np.array(same, bool)
    return None


def _encoded(path: Path, index: int, picture: object) -> bytes:
    if isinstance(picture, InertArray):  # made with cv2.imencode
        values = picture.values
        picture = values.tobytes() if getattr(values, "dtype", None) == np.uint8 else None
    if not isinstance(picture, bytes):
        raise DataFileError(f"{path}: picture {index} must be bytes", path=str(path), index=index)
    if len(picture) > _MOST_PICTURE_BYTES:
        raise DataFileError(
            f"{path}: picture {index} has {len(picture):,} bytes, more than "
            f"{_MOST_PICTURE_BYTES:,}",
            path=str(path),
            index=index,
        )
    return picture
