"""Quality on LFW: the score and failures, whom the gates refuse, covers found, hidden faces.

The people are those of ``pairsDevTest.txt``; nothing was fitted on them. The threshold is the one
that the embedder's card states for FMR 1e-3, from other people. Embeddings are the default
recogniser's. The figures of docs/quality.md come from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Options, Report, cores, data_folder, main, progress
from covers import KINDS, cover, spoil
from numpy.typing import NDArray

from vultus.evaluate.protocols.lfw import PictureTree, read_pairs

if TYPE_CHECKING:
    from vultus.pipeline import Recognizer
    from vultus.types import Face, Quality

FMR = 1e-3
DISCARDS = (0.0, 0.02, 0.05, 0.1, 0.2)
SPOILT = 0.4  # part of the covered pictures that are also blurred, shrunk, darkened …
BARE = 0.3  # part of them that is not covered
SIZE = ("too-small", "eyes-too-close")
HIDDEN = 400  # pictures whose faces are hidden
STYLES = (("pixelate", 6), ("blur", 6), ("pixelate", 16), ("blur", 16))
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Seen:
    """One picture's face: where, how good, and its embedding."""

    path: Path
    person: str
    face: Face
    quality: Quality
    vector: NDArray[np.float32]


def run(report: Report, options: Options) -> None:
    """Look at every picture once, then answer the four questions."""
    import cv2

    from vultus import load

    cv2.setNumThreads(1)  # one worker per core
    lfw = data_folder("lfw")
    pairs = read_pairs(lfw / "pairsDevTest.txt").pairs
    pictures = sorted({picture for pair in pairs for picture in pair[:2]})
    pictures = pictures[:150] if options.quick else pictures
    recognizer = load(threads=1, threshold="fmr=1e-3")
    tree = PictureTree(lfw / "images")
    paths = [tree.path(picture) for picture in pictures]
    names = [picture.person for picture in pictures]
    seen = list(look(recognizer, paths, names, report))
    report.settings.update(
        pictures=len(seen), workers=cores(), threshold=recognizer.threshold.value
    )
    discard(report, seen, recognizer.threshold.value)
    gates(report, seen, recognizer.threshold.value)
    covers(report, recognizer, seen)
    hidden(report, recognizer, seen[: 40 if options.quick else HIDDEN])


def look(
    recognizer: Recognizer, paths: list[Path], names: list[str], report: Report
) -> Iterator[Seen]:
    """Detect, measure and embed the middle face of each picture; pictures without are left out."""
    from vultus.evaluate.embeddings import central_face
    from vultus.runtime import ordered_map

    def one(path: Path) -> tuple[Face, Quality, NDArray[np.float32]] | None:
        faces = recognizer.detect(path)
        if not faces:
            return None
        face = central_face(faces)
        return face, recognizer.assess([face])[0], recognizer.embed(face).vector

    done = progress(ordered_map(one, paths, cores()), len(paths), report.suite)
    for path, name, found in zip(paths, names, done, strict=True):
        if found is not None:
            yield Seen(path, name, *found)


# -- error versus discard -----------------------------------------------------------------------


def discard(report: Report, seen: list[Seen], threshold: float) -> None:
    """FNMR when the pairs, or the pictures, of lowest score are left out."""
    from vultus.evaluate.metrics import (
        Resampling,
        Scores,
        error_versus_discard,
        false_non_match_rate,
        threshold_at_fmr,
    )

    names = np.array([s.person for s in seen])
    vectors = np.stack([s.vector for s in seen])
    scores = np.array([s.quality.score for s in seen])
    first, second = genuine_pairs(names)
    similar = (vectors[first].astype(float) * vectors[second]).sum(axis=1)
    curve = error_versus_discard(
        similar,
        np.column_stack([scores[first], scores[second]]),
        threshold=threshold,
        discards=DISCARDS,
        subjects=names[first].tolist(),
        how=Resampling(rounds=1000),
    )
    rows = []
    for share, fnmr, interval in zip(DISCARDS, curve.fnmr, curve.intervals, strict=True):
        limit = np.quantile(scores, share) if share else -1.0
        kept = scores >= limit
        both = kept[first] & kept[second]
        left = Scores.from_embeddings(vectors[kept], names[kept].tolist())
        own = threshold_at_fmr(left.impostor, FMR) if len(left.impostor) * FMR >= 1 else None
        anew = None if own is None else float(false_non_match_rate(left.genuine, own))
        rows.append(
            {
                "discarded": share,
                "fnmr_of_pairs": float(fnmr),
                "interval": [interval.low, interval.high],
                "fnmr_of_pictures": float((similar[both] < threshold).mean()),
                "fnmr_of_pictures_threshold_anew": anew,
            }
        )
    whole = error_versus_discard(
        similar, np.column_stack([scores[first], scores[second]]), threshold=threshold
    )
    report.results["error_versus_discard"] = {"rows": rows, "gain_0_to_30": whole.gain}
    for row in rows:
        what = f"FNMR at FMR 1e-3, worst {row['discarded']:.0%} of pairs; of pictures left out"
        report.row(what, f"{row['fnmr_of_pairs']:.2%}; {row['fnmr_of_pictures']:.2%}")


def genuine_pairs(names: NDArray[np.str_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and second picture of every pair of one person."""
    first, second = np.triu_indices(len(names), 1)
    same = names[first] == names[second]
    return first[same], second[same]


# -- gates --------------------------------------------------------------------------------------


def gates(report: Report, seen: list[Seen], threshold: float) -> None:
    """Part refused by each preset, why, and FNMR of those that pass."""
    from vultus.assess.gate import POLICIES, check

    names = np.array([s.person for s in seen])
    vectors = np.stack([s.vector for s in seen])
    first, second = genuine_pairs(names)
    similar = (vectors[first].astype(float) * vectors[second]).sum(axis=1)
    for name, policy in POLICIES.items():
        answers = [check(s.quality, policy) for s in seen]
        passed = np.array([answer.accepted for answer in answers])
        both = passed[first] & passed[second]
        fnmr = float((similar[both] < threshold).mean()) if both.any() else None
        reasons = Counter(reason.code for answer in answers for reason in answer.reasons)
        apart = [any(r.code not in SIZE for r in answer.reasons) for answer in answers]
        report.results.setdefault("gates", {})[name] = {
            "refused": float(1 - passed.mean()),
            "refused_for_other_reasons_than_size": float(np.mean(apart)),
            "fnmr_of_the_rest": fnmr,
            "reasons": {code: count / len(seen) for code, count in reasons.most_common()},
        }
        rest = "" if fnmr is None else f"; FNMR of the rest {fnmr:.2%}"
        report.row(f"gate {name}: refused", f"{1 - passed.mean():.2%}{rest}")


# -- covers -------------------------------------------------------------------------------------


def covers(report: Report, recognizer: Recognizer, seen: list[Seen]) -> None:
    """AUC of each part's occlusion under painted covers, and how often `normal` refuses them."""
    from vultus.assess.gate import gate_policy
    from vultus.evaluate.metrics import Scores, area_under_curve

    shares, found, kinds = covered_faces(recognizer, seen)
    limits = np.array(astuple(gate_policy("normal").max_occlusion))  # type: ignore[arg-type]
    parts = [field.name for field in fields(gate_policy("normal").max_occlusion)]  # type: ignore[arg-type]
    bare = np.array([astuple(s.quality.occlusion) for s in seen])  # type: ignore[arg-type]
    for i, part in enumerate(parts):
        hit, none = shares[:, i] > 0.5, shares[:, i] < 0.05
        full = shares[:, i] > 0.9
        if not hit.any() or not full.any():
            continue
        auc = area_under_curve(Scores(found[hit, i], found[none, i]))
        report.results.setdefault("occlusion", {})[part] = {
            "auc": auc,
            "covered": int(hit.sum()),
            "bare": int(none.sum()),
            "fully_covered_above_the_limit": float((found[full, i] > limits[i]).mean()),
            "pictures_as_they_are_above_it": float((bare[:, i] > limits[i]).mean()),
        }
        report.row(f"{part}: AUC under painted covers", f"{auc:.3f}")
    refused = (found > limits).any(axis=1)
    for kind in KINDS:
        those = (kinds == kind) & (shares.max(axis=1) > 0.6)
        if those.any():
            share = float(refused[those].mean())
            report.results["occlusion"][f"{kind} refused by normal"] = share


def covered_faces(
    recognizer: Recognizer, seen: list[Seen]
) -> tuple[Floats, Floats, NDArray[np.str_]]:
    """Cover every second picture anew: (n, 7) true and measured shares, and the kinds.

    Covered pictures whose face the detector misses are left out.
    """
    from vultus.assess.quality import QualityAssessor
    from vultus.runtime import ordered_map
    from vultus.types import Frame

    assessor = QualityAssessor()

    def one(number: int) -> tuple[Floats, Floats, str] | None:
        draw = np.random.default_rng([number, 6])
        face, other = seen[number].face, seen[draw.integers(len(seen))].face
        image, points = face.frame.image, face.points.astype(float)
        kind = "none" if draw.random() < BARE else KINDS[number % len(KINDS)]
        true = np.zeros(7)
        if kind != "none":
            image, true = cover(image, points, kind, draw, other.frame.image)
        scale = 1.0
        if draw.random() < SPOILT:
            image, scale = spoil(image, float(np.hypot(*(points[1] - points[0]))), draw)
        faces = recognizer.detector.detect(Frame(image))
        near = [f for f in faces if _same(f, face, scale)]
        if not near:
            return None
        parts = assessor.assess(near[:1])[0].occlusion
        return true, np.array(astuple(parts)), kind  # type: ignore[arg-type]

    done = progress(ordered_map(one, range(len(seen)), cores()), len(seen), "covers")
    rows = [row for row in done if row is not None]
    return (
        np.stack([row[0] for row in rows]),
        np.stack([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    )


def _same(found: Face, true: Face, scale: float) -> bool:
    gap = np.subtract(found.box.center_xy, np.multiply(true.box.center_xy, scale))
    return float(np.hypot(*gap)) < 0.5 * scale * true.box.width_px


# -- hidden faces -------------------------------------------------------------------------------


def hidden(report: Report, recognizer: Recognizer, seen: list[Seen]) -> None:
    """How often a hidden face is found, and matched with the very picture it was made from."""
    for style, cells in STYLES:
        found, matched, first = hide_all(recognizer, seen, style, cells)
        report.results.setdefault("hidden", {})[f"{style}, {cells} cells"] = {
            "faces": len(seen),
            "found_by_the_detector": found,
            "matched_with_landmarks_known": matched,
            "own_picture_most_similar": first,
        }
        text = f"found {found:.1%}, matched {matched:.2%}"
        report.row(f"hidden by {style}, {cells} × {cells}", text)


def hide_all(
    recognizer: Recognizer, seen: list[Seen], style: Any, cells: int
) -> tuple[float, float, float]:
    """Shares of faces found, matched, and most similar to their own picture of all."""
    from vultus.draw import hide_faces
    from vultus.runtime import ordered_map
    from vultus.types import Face, Frame

    gallery = np.stack([s.vector for s in seen])

    def one(number: int) -> tuple[bool, bool, bool]:
        face = seen[number].face
        frame = Frame(hide_faces(face.frame.image, [face.box], style=style, cells=cells))
        again = any(f.box.iou(face.box) > 0.3 for f in recognizer.detector.detect(frame))
        similar = gallery @ recognizer.embed(Face(face.box, 1.0, face.landmarks, frame)).vector
        own = float(similar[number])
        return again, own >= recognizer.threshold.value, int(similar.argmax()) == number

    work: Callable[[int], tuple[bool, bool, bool]] = one
    rows = list(ordered_map(work, range(len(seen)), cores()))
    shares = np.array(rows, float).mean(axis=0)
    return float(shares[0]), float(shares[1]), float(shares[2])


if __name__ == "__main__":
    main("quality", "Quality, gates, covers and hidden faces on LFW", run)
