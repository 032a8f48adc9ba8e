"""Unlabelled faces to people: which embeddings belong together, without anybody being enrolled."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite, check_shape
from vultus.errors import RangeError

__all__ = ["NOISE", "by_size", "chinese_whispers", "dbscan"]

Labels: TypeAlias = NDArray[np.intp]

NOISE = -1
"""The label of a face that belongs to nobody."""

# Rows of the matrix of similarities that are held at once: 1024 x 100,000 in float32 are 400 MB.
_ROWS = 1024
_UNSEEN = -2


def dbscan(vectors: NDArray[np.floating[Any]], distance: float, min_faces: int = 1) -> Labels:
    """Group faces that are dense: chains of neighbours within a distance.

    A face with at least `min_faces` faces within `distance`, itself counted, is a core; cores
    within reach of one another are one person, and a face within reach of a core joins it. With
    ``min_faces=1`` every face is a core and nobody is noise.

    Args:
        vectors: (n, d), finite; unit length is not required.
        distance: Euclidean, > 0. Of unit vectors with cosine c it is √(2 − 2c).
        min_faces: ≥ 1.

    Returns:
        (n,) number of each face's cluster, in the order of their first cores, or `NOISE`.

    Raises:
        RangeError: A value is outside its range, or a vector is not finite.
        ShapeError: `vectors` is not (n, d).

    Source: Ester et al. 1996, "A density-based algorithm for discovering clusters in large
    spatial databases with noise".
    """
    rows = _checked(vectors)
    if not 0.0 < distance < np.inf:
        raise RangeError(f"a distance must be finite and above 0, got {distance}")
    if min_faces < 1:
        raise RangeError(f"min_faces must be at least 1, got {min_faces}")
    neighbours = [np.flatnonzero(near) for near in _within(rows, distance)]
    core = np.array([len(own) >= min_faces for own in neighbours], bool)
    labels = np.full(len(rows), _UNSEEN, np.intp)
    count = 0
    for first in np.flatnonzero(core).tolist():
        if labels[first] != _UNSEEN:
            continue
        labels[first] = count
        waiting = [first]
        while waiting:
            reached = neighbours[waiting.pop()]
            new = reached[labels[reached] == _UNSEEN]
            labels[new] = count
            waiting.extend(new[core[new]].tolist())
        count += 1
    labels[labels == _UNSEEN] = NOISE
    return labels


def chinese_whispers(
    vectors: NDArray[np.floating[Any]],
    similarity: float,
    *,
    iterations: int = 20,
    seed: int = 0,
) -> Labels:
    """Group faces by what their likes say: each takes the label its neighbours favour most.

    Two faces are neighbours when their cosine is above `similarity`, which is also the weight of
    the one's word with the other. Faces are asked in random order, `iterations` times; a face
    without neighbours stays alone.

    Args:
        vectors: (n, d), finite, unit rows.
        similarity: Cosine in [-1, 1].
        iterations: ≥ 1.
        seed: Of the order; the same seed gives the same clusters.

    Returns:
        (n,) number of each face's cluster, in the order of their first faces; no face is noise.

    Raises:
        RangeError: A value is outside its range, or a vector is not finite.
        ShapeError: `vectors` is not (n, d).

    Source: Biemann 2006, "Chinese whispers: an efficient graph clustering algorithm"; for faces
    in dlib and facenet (``contributed/clustering.py``).
    """
    rows = _checked(vectors)
    if not -1.0 <= similarity <= 1.0:
        raise RangeError(f"a similarity is a cosine in [-1, 1], got {similarity}")
    if iterations < 1:
        raise RangeError(f"iterations must be at least 1, got {iterations}")
    neighbours: list[tuple[Labels, NDArray[np.float32]]] = []
    for start in range(0, len(rows), _ROWS):
        for i, cosines in enumerate(rows[start : start + _ROWS] @ rows.T, start):
            cosines[i] = -np.inf
            near = np.flatnonzero(cosines > similarity)
            neighbours.append((near, cosines[near]))
    labels = np.arange(len(rows))
    random = np.random.default_rng(seed)
    for _ in range(iterations):
        before = labels.copy()
        for i in random.permutation(len(rows)).tolist():
            near, weights = neighbours[i]
            if len(near):
                heard, where = np.unique(labels[near], return_inverse=True)
                labels[i] = heard[np.bincount(where, weights=weights).argmax()]
        if (labels == before).all():
            break
    return _renumbered(labels)


def by_size(labels: Labels) -> list[Labels]:
    """The faces of each cluster, the largest cluster first; noise is left out.

    Args:
        labels: (n,) as the functions above give them.

    Returns:
        Rising row numbers per cluster; of equally large ones the first comes first.
    """
    clusters = [np.flatnonzero(labels == label) for label in range(labels.max(initial=NOISE) + 1)]
    return sorted(clusters, key=len, reverse=True)


def _checked(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    check_shape(vectors, (None, None), "embeddings")
    check_finite(vectors, "embeddings")
    return np.ascontiguousarray(vectors, np.float32)


def _within(rows: NDArray[np.float32], distance: float) -> NDArray[np.bool_]:
    """(n, n) whether two rows lie within the distance of one another."""
    near = np.empty((len(rows), len(rows)), bool)
    wide = rows.astype(np.float64)
    squares = np.square(wide).sum(axis=1)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        gap = squares[part, None] + squares[None, :] - 2.0 * (wide[part] @ wide.T)
        near[part] = gap <= distance * distance
    near |= np.eye(len(rows), dtype=bool)  # rounding must not part a face from itself
    return near


def _renumbered(labels: Labels) -> Labels:
    """The same clusters, numbered by their first faces."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
