"""LFW View 1 from original pictures: accuracy, error rates, and the thresholds for a model's card.

Protocol: every picture is decoded, its faces detected, and the face in the middle taken; where
none is found, the centre of the picture is taken for a face, and counted. The threshold is chosen
on ``pairsDevTrain.txt`` and tested on ``pairsDevTest.txt``, whose people are others. Error rates at
low FMR come from all cross pairs of the pictures named in a file: each picture with each other.

Pairs, embeddings and rates are those of `vultus.evaluate`; here are the choice of the threshold
(every cut between two similarities, not a grid) and the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Options, Report, cores, data_folder, main
from lfw_figures import figures, measure_side, toml_block
from numpy.typing import NDArray

from vultus.evaluate.protocols.lfw import Pair, PictureTree, read_pairs

if TYPE_CHECKING:
    from vultus.evaluate.embeddings import EmbeddedPictures, EmbedOptions, Progress

LISTS = {"devTrain": "pairsDevTrain.txt", "devTest": "pairsDevTest.txt"}
DEFAULT = "dlib-resnet-v1"
TARGETS = {"one pass": 0.983, "mirror mean": 0.986}
# LFW's pictures are a Viola-Jones face box, enlarged 2.2 times about its centre and scaled to
# 250 px (Huang et al. 2007, section on how the pictures were made).
FACE_SHARE = 1 / 2.2
Vectors = NDArray[np.float32]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument("--embedder", default=DEFAULT, help="name of another embedder's card")
    parser.add_argument("--detector", default="mtcnn", help="name of another detector's card")
    parser.add_argument("--min-face", type=float, default=40.0, help="px; the default pipeline's")
    parser.add_argument("--toml", type=Path, help="also write the [[thresholds]] to this file")


def run(report: Report, options: Options) -> None:
    """Embed every picture both ways, and measure both."""
    from vultus.evaluate.embeddings import EmbedOptions

    lfw, embedder = data_folder("lfw"), options.extra["embedder"]
    pairs = {side: read_pairs(lfw / name).pairs for side, name in LISTS.items()}
    if options.quick:
        pairs = {side: _fewer(listed, 100) for side, listed in pairs.items()}
    if embedder != DEFAULT:
        report.suite = f"lfw-{embedder}"
    pictures = sorted({p for listed in pairs.values() for pair in listed for p in pair[:2]})
    tree = PictureTree(lfw / "images")
    paths = [tree.path(picture) for picture in pictures]
    how = EmbedOptions(
        model=embedder,
        detector=options.extra["detector"],
        min_face_px=options.extra["min_face"],
        mirror=False,
    )
    report.settings.update(
        embedder=embedder,
        detector=how.detector,
        min_face_px=how.min_face_px,
        pictures=len(pictures),
        workers=cores(),
        **{f"{side}_pairs": len(listed) for side, listed in pairs.items()},
    )
    blocks = []
    for kind, mirror in (("one pass", False), ("mirror mean", True)):
        found, lost = embed_all(paths, replace(how, mirror=mirror), f"{report.suite}, {kind}")
        report.results["pictures_without_a_detected_face"] = lost
        report.results["pictures_with_several_faces"] = int((found.faces > 1).sum())
        sides = [measure_side(s, listed, pictures, found.vectors) for s, listed in pairs.items()]
        numbers = figures(*sides, found.space.preprocessing)
        numbers["pictures_per_s"] = round(len(pictures) / found.seconds, 1)
        report.results[kind] = numbers
        add_rows(report, kind, numbers, targeted=embedder == DEFAULT and not options.quick)
        blocks += [toml_block(t) for t in numbers["thresholds"]]
    text = "\n".join(blocks)
    print(f"# for vultus/models/cards/{embedder}.toml\n{text}")
    if options.extra["toml"]:
        options.extra["toml"].write_text(text, encoding="utf-8")


# -- from pictures to vectors -------------------------------------------------------------------


def embed_all(
    paths: list[Path], how: EmbedOptions, label: str
) -> tuple[EmbeddedPictures, list[str]]:
    """Every picture's embedding, of its centre where no face was found, and which those are."""
    from vultus import load_frame
    from vultus.evaluate.embeddings import embed_pictures

    found = embed_pictures(paths, how, use_cache=False, progress=shown(label))
    lost = np.flatnonzero(~found.found)
    if len(lost):
        sizes = [load_frame(paths[i]).image.shape[:2] for i in lost]
        points = np.stack([centre_points(width, height) for height, width in sizes])
        instead = embed_pictures([paths[i] for i in lost], how, points=points, use_cache=False)
        found.vectors[lost] = instead.vectors
    return found, [paths[i].name for i in lost]


def shown(label: str) -> Callable[[Progress], None]:
    """Tells ten times how far it is."""

    def tell(state: Progress) -> None:
        if state.done * 10 // state.total > (state.done - 1) * 10 // state.total:
            text = f"{label}: {state.done}/{state.total}, {state.per_s:.1f}/s"
            print(f"{text}, {state.left_s:.0f} s left", file=sys.stderr, flush=True)

    return tell


def centre_points(width_px: int, height_px: int) -> NDArray[np.float32]:
    """Five points where LFW's pictures have theirs, for a picture in which none was found.

    They are ArcFace's five points, scaled from their 112 px crop to the picture's middle, 1 / 2.2
    of its side.
    """
    from vultus.align import ARCFACE_112

    side = FACE_SHARE * min(width_px, height_px)
    corner = np.array([width_px - side, height_px - side]) / 2
    return (ARCFACE_112 / 112 * side + corner).astype(np.float32)


# -- the table ----------------------------------------------------------------------------------


def add_rows(report: Report, kind: str, numbers: dict[str, Any], *, targeted: bool) -> None:
    """Accuracy and TAR of one way of embedding."""
    target = TARGETS[kind] if targeted else None
    reached = numbers["accuracy_devTest"]
    report.row(
        f"{kind}: accuracy on devTest, threshold {numbers['threshold']:.4f} from devTrain",
        f"{reached:.2%} ± {numbers['standard_error_devTest']:.2%}",
        target=f"≥ {target:.1%}" if target else "",
        met=reached >= target if target else None,
    )
    for fmr, tar in numbers["tar"]["devTest"].items():
        if tar is not None and fmr != "1e-2":
            what = f"{kind}: TAR at FMR {fmr}, all cross pairs of devTest"
            report.row(what, f"{tar:.2%}", headline=fmr == "1e-3")
    if kind == "mirror mean":
        lost = report.results["pictures_without_a_detected_face"]
        report.row("pictures without a detected face (centre taken)", f"{len(lost)}")


def _fewer(pairs: tuple[Pair, ...], count: int) -> tuple[Pair, ...]:
    """The first `count` pairs of each kind."""
    genuine = [p for p in pairs if p.same][:count]
    return (*genuine, *[p for p in pairs if not p.same][:count])


if __name__ == "__main__":
    main("lfw", "LFW View 1 from original pictures", run, add_options)
