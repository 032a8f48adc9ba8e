"""IJB-B and IJB-C: templates of several media, one to one and one to many.

A template is a set of pictures and video frames of one person. As in the data sets' papers
(Whitelam et al. 2017; Maze et al. 2018) and in InsightFace's evaluation of them, the frames of one
medium are averaged first, then the media, and the result is scaled to unit length: a video counts
as much as a still. Embeddings are taken as they are given, here of unit length; InsightFace's
published figures weigh them by the network's raw length and the detector's score besides.

One to one: TAR at FAR 1e-1 … 1e-6 over the official list of template pairs. One to many: probes
are searched in each of the two galleries, whose subjects are disjoint; those of the other gallery
are the non-mated searches. Figures are stated per gallery and as their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus._arrays import check_shape
from vultus.errors import DataFileError, InsufficientDataError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics import (
    FMRS,
    OpenSetPoint,
    Resampling,
    Scores,
    VerificationReport,
    cmc,
    fnir_at_fpir,
    verification_report,
)
from vultus.evaluate.protocols._ijb_files import (
    IjbPictures,
    Ints,
    TemplatePairs,
    read_gallery,
    read_pictures,
    read_points,
    read_template_pairs,
)
from vultus.evaluate.protocols._search import search_with_failures

__all__ = [
    "IjbIdentification",
    "IjbPictures",
    "IjbTemplates",
    "IjbVerification",
    "TemplatePairs",
    "evaluate_identification",
    "evaluate_verification",
    "read_gallery",
    "read_pictures",
    "read_points",
    "read_template_pairs",
    "template_features",
]

FPIRS = (0.1, 0.01, 0.001)
RANKS = (1, 5, 10)
_PAIRS_AT_A_TIME = 100_000
# Below every cosine: a template without a face matches nothing.
_NEVER = -2.0


@dataclass(frozen=True, slots=True, eq=False)
class IjbTemplates:
    """One embedding per template.

    Attributes:
        ids: (t,) rising.
        vectors: (t, d) unit rows; zeros where `found` is not.
        found: (t,) whether any of its pictures gave a face.
    """

    ids: Ints = field(repr=False)
    vectors: NDArray[np.float32] = field(repr=False)
    found: NDArray[np.bool_] = field(repr=False)

    def rows(self, wanted: ArrayLike) -> NDArray[np.intp]:
        """Where templates stand.

        Raises:
            DataFileError: One is unknown.
        """
        asked = np.asarray(wanted)
        at = np.minimum(np.searchsorted(self.ids, asked), len(self.ids) - 1)
        unknown = asked[self.ids[at] != asked]
        if len(unknown):
            raise DataFileError(
                f"template {unknown[0]} has no picture in the list of pictures",
                remedy="check that all files are of one data set",
                template=int(unknown[0]),
            )
        return at


@dataclass(frozen=True, slots=True)
class IjbVerification:
    """What `evaluate_verification` found.

    Attributes:
        report: TAR at each FAR, EER, AUC, curve; subjects are not in the list of pairs, so there
            are no intervals.
        templates: Templates compared.
        without_face: Those of which no picture gave a face; their pairs are never accepted.
    """

    report: VerificationReport
    templates: int
    without_face: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "report": self.report.to_dict()}


@dataclass(frozen=True, slots=True)
class IjbIdentification:
    """What `evaluate_identification` found.

    Attributes:
        galleries: Per gallery: enrolled, mated, nonmated, ``rank-k`` and the open-set points.
        rank_rates: Mean over the galleries: rank -> share of mated probes found.
        tpir: Mean over the galleries: FPIR -> TPIR at rank 20, as IJB states it; without those
            that a gallery has too few non-mated probes for.
        out_of_reach: Those FPIRs, with the reason.
        without_face: Templates of which no picture gave a face: never found, never returned.
    """

    galleries: tuple[dict[str, Any], ...]
    rank_rates: dict[int, float]
    tpir: dict[float, float]
    out_of_reach: dict[float, str]
    without_face: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = plain(self)
        return found


# -- templates ----------------------------------------------------------------------------------


def template_features(
    features: NDArray[np.floating],
    pictures: IjbPictures,
    found: NDArray[np.bool_] | None = None,
) -> IjbTemplates:
    """Mean over the pictures of each medium, mean over the media of each template, unit length.

    Args:
        features: (n, d), one row per picture.
        pictures: Which template and medium each belongs to.
        found: (n,) whether a picture gave a face; the others are left out. All when ``None``.

    Raises:
        ShapeError: As many rows as pictures are needed.
    """
    rows = np.asarray(features)
    check_shape(rows, (len(pictures.names), None), "features, one row per picture,")
    kept = np.ones(len(rows), bool) if found is None else found
    check_shape(kept, (len(rows),), "`found`, one per picture,")
    ids = np.unique(pictures.template)
    used = np.flatnonzero(kept)
    used = used[np.lexsort((pictures.media[used], pictures.template[used]))]
    total = np.zeros((len(ids), rows.shape[1]))
    if len(used):
        template, media = pictures.template[used], pictures.media[used]
        starts = _starts(template, media)
        counts = np.diff(np.append(starts, len(used)))
        of_media = np.add.reduceat(rows[used], starts, axis=0, dtype=np.float64) / counts[:, None]
        owners = template[starts]
        first = _starts(owners)
        # The sum points where the mean does.
        total[np.searchsorted(ids, owners[first])] = np.add.reduceat(of_media, first, axis=0)
    lengths = np.linalg.norm(total, axis=1)
    has = lengths > 0
    total[has] /= lengths[has, None]
    return IjbTemplates(ids, total.astype(np.float32), has)


def _starts(*sorted_keys: NDArray[Any]) -> NDArray[np.intp]:
    """Where each run of equal keys begins."""
    changes = np.zeros(len(sorted_keys[0]), bool)
    changes[0] = True
    for key in sorted_keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)


# -- one to one ---------------------------------------------------------------------------------


def evaluate_verification(
    templates: IjbTemplates, pairs: TemplatePairs, fmrs: Sequence[float] = FMRS
) -> IjbVerification:
    """TAR at each FAR over the official pairs.

    Raises:
        DataFileError: A pair names a template without pictures.
        InsufficientDataError: All pairs are of one kind.
    """
    first, second = templates.rows(pairs.first), templates.rows(pairs.second)
    similarity = np.empty(len(first))
    for start in range(0, len(first), _PAIRS_AT_A_TIME):
        part = slice(start, start + _PAIRS_AT_A_TIME)
        similarity[part] = np.einsum(
            "nd,nd->n", templates.vectors[first[part]], templates.vectors[second[part]]
        )
    similarity[~(templates.found[first] & templates.found[second])] = _NEVER
    used = np.union1d(first, second)
    return IjbVerification(
        verification_report(Scores.from_labels(similarity, pairs.same), fmrs, Resampling(rounds=0)),
        len(used),
        tuple(templates.ids[used[~templates.found[used]]].tolist()),
    )


# -- one to many --------------------------------------------------------------------------------


def evaluate_identification(
    templates: IjbTemplates,
    galleries: Sequence[tuple[Ints, Ints]],
    probes: tuple[Ints, Ints],
    *,
    ranks: Sequence[int] = RANKS,
    fpirs: Sequence[float] = FPIRS,
    candidates: int = 20,
) -> IjbIdentification:
    """Closed-set rank-k and open-set TPIR at FPIR, per gallery and as their mean.

    Args:
        templates: From `template_features`.
        galleries: From `read_gallery`: templates and subjects of each.
        probes: Likewise.
        ranks: Ranks to state.
        fpirs: Targets.
        candidates: Candidates an open-set search returns; IJB's is 20.

    Raises:
        DataFileError: A template without pictures is named.
        InsufficientDataError: There is no gallery, or a gallery has no mated probe.
    """
    if not galleries:
        raise InsufficientDataError("one-to-many search needs a gallery, none was given")
    lost: dict[float, str] = {}
    found = [
        _search(templates, gallery, probes, ranks, fpirs, candidates, lost) for gallery in galleries
    ]
    rows = templates.rows(np.concatenate([probes[0], *(gallery[0] for gallery in galleries)]))
    without = np.unique(rows[~templates.found[rows]])
    return IjbIdentification(
        tuple(found),
        {rank: float(np.mean([one["rank_rates"][rank] for one in found])) for rank in ranks},
        {
            fpir: float(np.mean([one["points"][fpir].tpir for one in found]))
            for fpir in fpirs
            if fpir not in lost
        },
        lost,
        tuple(templates.ids[without].tolist()),
    )


def _search(
    templates: IjbTemplates,
    gallery: tuple[Ints, Ints],
    probes: tuple[Ints, Ints],
    ranks: Sequence[int],
    fpirs: Sequence[float],
    candidates: int,
    lost: dict[float, str],
) -> dict[str, Any]:
    enrolled, asked = templates.rows(gallery[0]), templates.rows(probes[0])
    searches = search_with_failures(
        templates.vectors[asked],
        probes[1],
        templates.found[asked],
        templates.vectors[enrolled],
        gallery[1],
        templates.found[enrolled],
    )
    curve = cmc(searches, max(ranks))
    points: dict[float, OpenSetPoint] = {}
    for fpir in fpirs:
        try:
            points[fpir] = fnir_at_fpir(searches, fpir, candidates)
        except InsufficientDataError as error:
            lost[fpir] = str(error)
    return {
        "enrolled": searches.enrolled,
        "mated": searches.mated_count,
        "nonmated": searches.nonmated_count,
        "rank_rates": {rank: float(curve[rank - 1]) for rank in ranks},
        "points": points,
    }
