"""Searches in which some probes or enrolled pictures have no embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate.metrics import Searches, search_gallery

__all__ = ["search_with_failures"]

_NEVER = -2.0  # below every cosine
_NOWHERE = np.iinfo(np.intp).max  # beyond every rank


def search_with_failures(
    probes: NDArray[Any],
    probe_subjects: NDArray[Any],
    probe_found: NDArray[np.bool_],
    gallery: NDArray[Any],
    gallery_subjects: NDArray[Any],
    gallery_found: NDArray[np.bool_],
) -> Searches:
    """Search a gallery, counting what failed against the system.

    A probe without an embedding finds nobody and returns nobody. A subject none of whose enrolled
    pictures has an embedding counts as enrolled and is never found.

    Args:
        probes: (p, d) unit rows; those without an embedding do not matter.
        probe_subjects: (p,) names or numbers.
        probe_found: (p,) whether there is an embedding.
        gallery: (g, d) likewise.
        gallery_subjects: (g,) in the same names.
        gallery_found: (g,) whether there is an embedding.

    Raises:
        InsufficientDataError: There are no probes, or no embedding in the gallery.
    """
    found = search_gallery(
        probes, probe_subjects, gallery[gallery_found], gallery_subjects[gallery_found]
    )
    mated = np.isin(probe_subjects, gallery_subjects)
    enrolled = len(np.unique(gallery_subjects))
    lost = mated & ~(probe_found & found.mated)
    return Searches(
        found.subjects,
        mated,
        np.where(lost, _NOWHERE, found.mate_rank),
        np.where(lost, _NEVER, found.mate_similarity),
        np.where(probe_found, found.top_similarity, _NEVER),
        enrolled,
    )
