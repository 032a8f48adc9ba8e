"""From pictures and pairs to what is compared, and what becomes of pictures that gave nothing.

What cannot be compared is never dropped in silence. A pair of which a *picture does not exist*
says nothing about the model: it is left out, and the picture counted and listed as missing. A pair
of which a picture exists and *gave no face* is the model's failure: it stays and is never accepted
(ISO/IEC 19795-1 counts a failure to acquire as a non-match), and the picture is counted and listed
as having no face. So a genuine pair without a face is an error, and an impostor pair is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError, InsufficientDataError
from vultus.evaluate.protocols._folds import (
    Distance,
    FoldedAccuracy,
    evaluate_folds,
    evaluate_transfer,
)

__all__ = ["Compared", "Templates", "compare", "judge"]

Booleans: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Embeddings of things that pairs name: pictures, videos.

    Attributes:
        vectors: (n, d) unit rows.
        found: (n,) whether there is an embedding.
        exists: (n,) whether there was anything to embed.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    found: Booleans = field(repr=False)
    exists: Booleans = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A list of pairs with its embeddings.

    Attributes:
        kept: (n,) over the list: whether both sides exist. What follows is over the pairs kept.
        first: (k, d) embeddings.
        second: (k, d) embeddings.
        same: (k,) whether a pair shows one person.
        rejected: (k,) whether a side has no embedding; those rows do not matter.
    """

    kept: Booleans = field(repr=False)
    first: NDArray[np.float32] = field(repr=False)
    second: NDArray[np.float32] = field(repr=False)
    same: Booleans = field(repr=False)
    rejected: Booleans = field(repr=False)


def compare(
    rows: NDArray[np.intp], same: Booleans, things: Templates, listed: str, where: str
) -> Compared:
    """Put a list and its embeddings together.

    Args:
        rows: (n, 2) which things each pair names.
        same: (n,) whether it shows one person.
        things: Their embeddings.
        listed: The list, for messages.
        where: Where the pictures should be, for messages.

    Raises:
        DataFileError: No pair is complete.
        InsufficientDataError: Those that are are of one kind.
    """
    kept: Booleans = np.all(things.exists[rows], axis=1)
    if not kept.any():
        raise DataFileError(
            f"no pair of {listed} has both pictures in {where}",
            remedy="name the folder that holds one folder per person",
            path=where,
        )
    if same[kept].all() or not same[kept].any():
        raise InsufficientDataError(
            f"the pairs of {listed} whose pictures exist are of one kind only"
        )
    rows = rows[kept]
    rejected: Booleans = ~np.all(things.found[rows], axis=1)
    first, second = things.vectors[rows[:, 0]], things.vectors[rows[:, 1]]
    first[rejected] = second[rejected] = 1.0  # any direction will do: it is never looked at
    return Compared(kept, first, second, same[kept], rejected)


def judge(
    test: Compared,
    folds: Sequence[int] | NDArray[np.intp],
    train: Compared | None,
    distance: Distance,
    subtract_mean: bool,
) -> FoldedAccuracy:
    """Figures by folds, or with the threshold of `train` where that is given.

    Args:
        test: What is judged.
        folds: (n,) fold of each pair of its list, kept or not.
        train: Where the threshold comes from, instead of the other folds.
        distance: See `distances`.
        subtract_mean: See `evaluate_folds`.
    """
    if train is None:
        return evaluate_folds(
            test.first,
            test.second,
            test.same,
            np.asarray(folds)[test.kept],
            distance=distance,
            subtract_mean=subtract_mean,
            rejected=test.rejected,
        )
    return evaluate_transfer(
        (train.first, train.second, train.same),
        (test.first, test.second, test.same),
        distance=distance,
        subtract_mean=subtract_mean,
        rejected=(train.rejected, test.rejected),
    )
