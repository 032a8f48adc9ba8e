"""Labeled Faces in the Wild: View 2 by folds, View 1 with the threshold of another list.

Rules (Huang et al. 2007; Huang and Learned-Miller 2014, "unrestricted, labeled outside data"):
View 1 (``pairsDevTrain.txt``, ``pairsDevTest.txt``) is for choosing, View 2 (``pairs.txt``, 10
folds of 300 + 300 pairs) for reporting; on View 2 each fold is judged by a threshold chosen on the
other nine, and the mean accuracy is stated with its standard error.

Of what becomes of missing pictures and missing faces, see `LfwResult`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import DataFileError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import Embed, embed_pictures
from vultus.evaluate.protocols._compared import Templates, compare, judge
from vultus.evaluate.protocols._folds import (
    Distance,
    FoldedAccuracy,
    distances,
    evaluate_folds,
    evaluate_transfer,
)
from vultus.evaluate.protocols._pairs import (
    Pair,
    PairList,
    Picture,
    PictureTree,
    read_pairs,
    write_pairs,
)

__all__ = [
    "Distance",
    "FoldedAccuracy",
    "LfwResult",
    "Pair",
    "PairList",
    "Picture",
    "PictureTree",
    "distances",
    "evaluate_folds",
    "evaluate_lfw",
    "evaluate_pairs",
    "evaluate_transfer",
    "read_pairs",
    "write_pairs",
]


@dataclass(frozen=True, slots=True)
class LfwResult:
    """What `evaluate_lfw` found.

    A pair of which a picture does not exist says nothing about the model and is left out. A pair
    of which a picture exists and gave no face stays and is never accepted (ISO/IEC 19795-1 counts
    a failure to acquire as a non-match): a genuine one is an error, an impostor one is not. Both
    are counted, and the pictures listed.

    Attributes:
        figures: Accuracy, AUC, EER, VAL over the pairs whose pictures exist.
        listed: Pairs of the list.
        left_out: Pairs left out because a picture does not exist.
        rejected: Pairs that count as never accepted because a picture gave no face.
        missing: Pictures that do not exist.
        no_face: Pictures that exist and gave no embedding.
        several_faces: Pictures in which more than one face was found.
        space: Id of the embedding space.
        cached: Pictures whose embedding came from the cache.
        seconds: From files to figures.
    """

    figures: FoldedAccuracy
    listed: int
    left_out: int
    rejected: int
    missing: tuple[str, ...]
    no_face: tuple[str, ...]
    several_faces: int
    space: str
    cached: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the scores."""
        found: dict[str, Any] = plain(self)
        return {**found, "figures": self.figures.to_dict()}


def evaluate_lfw(
    images: Path,
    pairs: PairList,
    embed: Embed = embed_pictures,
    *,
    threshold_from: PairList | None = None,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
) -> LfwResult:
    """Run the protocol from pictures to figures.

    Embeddings have unit length, so both distances stand for the cosine: the squared Euclidean one
    is ``2 - 2 cos``.

    Args:
        images: The folder with one folder per person.
        pairs: The list that is judged.
        embed: Turns pictures into embeddings: `embed_pictures` with the options, cache and
            progress bound to it (`functools.partial`), or a function of your own.
        threshold_from: The list thresholds are chosen on; needed where `pairs` has no folds.
        distance: ``euclidean`` (squared) or ``cosine`` (angle / pi).
        subtract_mean: Subtract the mean of the training pairs first.

    Raises:
        DataFileError: `pairs` has no folds and `threshold_from` is missing, or no pair of a
            list is complete.
        InsufficientDataError: What is left of a list has pairs of one kind only.
        ModelError: The model or the detector cannot be used.
    """
    return evaluate_pairs(
        PictureTree(images).path,
        str(images),
        pairs,
        embed,
        threshold_from=threshold_from,
        distance=distance,
        subtract_mean=subtract_mean,
    )


def evaluate_pairs(
    locate: Callable[[Picture], Path],
    where: str,
    pairs: PairList,
    embed: Embed = embed_pictures,
    *,
    threshold_from: PairList | None = None,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
) -> LfwResult:
    """As `evaluate_lfw`, with pictures that lie wherever `locate` says; `where` is for messages."""
    began = time.perf_counter()
    if pairs.folds == 1 and threshold_from is None:
        raise DataFileError(
            f"{pairs.path} has no folds, so its threshold must come from another list",
            remedy="name one, such as pairsDevTrain.txt for pairsDevTest.txt",
            path=pairs.path,
        )
    lists = [pairs] if threshold_from is None else [pairs, threshold_from]
    pictures = sorted({picture for listed in lists for picture in listed.pictures})
    found = embed([locate(picture) for picture in pictures])
    things = Templates(found.vectors, found.found, found.exists)
    index = {picture: i for i, picture in enumerate(pictures)}
    test, *others = (
        compare(
            np.array([(index[pair.first], index[pair.second]) for pair in listed.pairs]),
            listed.same,
            things,
            listed.path,
            where,
        )
        for listed in lists
    )
    train = others[0] if others else None
    return LfwResult(
        judge(test, pairs.fold, train, distance, subtract_mean),
        listed=len(pairs.pairs),
        left_out=int((~test.kept).sum()),
        rejected=int(test.rejected.sum()),
        missing=tuple(found.missing),
        no_face=tuple(found.no_face),
        several_faces=int((found.faces > 1).sum()),
        space=found.space.id,
        cached=found.cached,
        seconds=time.perf_counter() - began,
    )
