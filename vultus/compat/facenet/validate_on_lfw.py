"""``validate-on-lfw``: accuracy on a list of pairs, as ``validate_on_lfw.py`` measures it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.compat.facenet.faces import check_crop
from vultus.compat.facenet.features import features
from vultus.compat.facenet.model import load_model
from vultus.compat.facenet.talk import Talk
from vultus.errors import DataFileError, ImageNotFoundError, RangeError
from vultus.evaluate.protocols.lfw import Distance, FoldedAccuracy, evaluate_folds

__all__ = ["LfwOptions", "NamedPair", "read_pairs", "validate_on_lfw"]

_MOST_BYTES = 64 * 1024 * 1024  # LFW's own list has 160 kB
_METRICS: dict[int, Distance] = {0: "euclidean", 1: "cosine"}


@dataclass(frozen=True, slots=True)
class LfwOptions:
    """The options of ``validate_on_lfw.py``.

    Attributes:
        lfw_batch_size: A dot is printed for every ten batches.
        image_size: Checked; the model's card decides how faces are cut.
        lfw_nrof_folds: Folds, cut in the order of the list.
        distance_metric: 0: squared Euclidean distance; 1: angle as a part of π.
        use_flipped_images: Put the embedding of the mirror image beside each.
        subtract_mean: Subtract the mean of the training folds.

    Raises:
        RangeError: A value is outside its range.
    """

    lfw_batch_size: int = 100
    image_size: int = 160
    lfw_nrof_folds: int = 10
    distance_metric: int = 0
    use_flipped_images: bool = False
    subtract_mean: bool = False

    def __post_init__(self) -> None:
        check_crop(self.image_size, 0)
        if self.lfw_batch_size < 1:
            raise RangeError(f"lfw_batch_size must be at least 1, got {self.lfw_batch_size}")
        if self.distance_metric not in _METRICS:
            raise RangeError(
                f"distance_metric must be 0 (Euclidean) or 1 (cosine), got {self.distance_metric}"
            )


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A line of ``pairs.txt``: two pictures, each by a person's name and a number."""

    first: tuple[str, int]
    second: tuple[str, int]

    @property
    def same(self) -> bool:
        """Whether the line has three fields, for one person."""
        return self.first[0] == self.second[0]


def validate_on_lfw(
    lfw_dir: Path,
    model: str,
    lfw_pairs: Path,
    options: LfwOptions | None = None,
    *,
    talk: Talk,
) -> FoldedAccuracy:
    """Embed the pictures of a list of pairs and judge the pairs by folds.

    Args:
        lfw_dir: One folder of pictures per person.
        model: See `vultus.compat.facenet.model.find_model`.
        lfw_pairs: See `read_pairs`.
        options: See `LfwOptions`.
        talk: Where words go.

    Raises:
        DataFileError: The list cannot be read.
        ImageNotFoundError: A picture of the list does not exist.
        InsufficientDataError: Too few pairs for so many folds, or a fold of one kind only.
        ModelError: The model cannot be used.
    """
    options = options or LfwOptions()
    pairs = read_pairs(lfw_pairs)
    wanted = sorted({picture for pair in pairs for picture in (pair.first, pair.second)})
    row = {picture: i for i, picture in enumerate(wanted)}
    paths = [_picture(lfw_dir, *picture) for picture in wanted]
    loaded = load_model(model)
    loaded.announce(talk)
    talk.line("Runnning forward pass on LFW images")  # the original's own spelling
    every = 10 * options.lfw_batch_size
    vectors = features(
        loaded,
        paths,
        talk,
        flipped=options.use_flipped_images,
        every=every,
        tick=lambda done: talk.out("" if done % every else "."),
    )
    talk.line()
    measured = evaluate_folds(
        vectors[_rows(row, [pair.first for pair in pairs])],
        vectors[_rows(row, [pair.second for pair in pairs])],
        np.array([pair.same for pair in pairs], bool),
        options.lfw_nrof_folds,
        distance=_METRICS[options.distance_metric],
        subtract_mean=options.subtract_mean,
    )
    _tell(measured, talk)
    return measured


def read_pairs(path: Path) -> list[NamedPair]:
    """Read a list of pairs; its first line is passed over, as the original does.

    Lines are ``name i j`` for one person and ``name i other j`` for two, split at tabs or, where
    a line has none, at white space. Empty lines are passed over.

    Raises:
        DataFileError: The file cannot be read, a line is wrong, or there is no pair.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataFileError(f"{path} is too large for a list of pairs", path=str(path))
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise DataFileError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",
            remedy="name LFW's pairs.txt with --lfw_pairs",
            path=str(path),
        ) from error
    pairs = [_pair(path, i, line) for i, line in enumerate(lines[1:], 2) if line.strip()]
    if not pairs:
        raise DataFileError(f"{path} holds no pair after its first line", path=str(path))
    return pairs


def _tell(measured: FoldedAccuracy, talk: Talk) -> None:
    talk.line(f"Accuracy: {measured.accuracy:2.5f}+-{measured.accuracy_std:2.5f}")
    talk.line(
        f"Validation rate: {measured.val:2.5f}+-{measured.val_std:2.5f} "
        f"@ FAR={measured.val_far:2.5f}"
    )
    talk.line(f"Area Under Curve (AUC): {measured.grid_auc:1.3f}")
    talk.line(f"Equal Error Rate (EER): {measured.grid_eer:1.3f}")


def _pair(path: Path, number: int, line: str) -> NamedPair:
    fields = [part.strip() for part in line.strip().split("\t" if "\t" in line else None)]
    if len(fields) == 3:
        fields.insert(2, fields[0])
    elif len(fields) == 4 and fields[0] == fields[2]:
        fields = []
    if len(fields) != 4 or not (fields[1].isdecimal() and fields[3].isdecimal()):
        raise DataFileError(
            f"{path}, line {number}: a pair is `name i j`, or `name i other j` for two people, "
            f"got {line[:80]!r}",
            path=str(path),
            line=number,
        )
    for name in (fields[0], fields[2]):
        if name in {"", ".", ".."} or {"/", "\\", "\0"} & set(name):
            raise DataFileError(
                f"{path}, line {number}: {name!r} is no name of a folder",
                path=str(path),
                line=number,
            )
    return NamedPair((fields[0], int(fields[1])), (fields[2], int(fields[3])))


def _picture(lfw_dir: Path, name: str, number: int) -> Path:
    stem = lfw_dir / name / f"{name}_{number:04d}"
    for suffix in (".jpg", ".png"):
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return path
    raise ImageNotFoundError(
        f'No file "{stem}" with extension png or jpg.',
        remedy="check lfw_dir, and that all pictures were aligned",
        path=str(stem),
    )


def _rows(row: dict[tuple[str, int], int], pictures: list[tuple[str, int]]) -> NDArray[np.intp]:
    return np.array([row[picture] for picture in pictures], np.intp)
