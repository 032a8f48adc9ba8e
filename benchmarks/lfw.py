"""LFW View 1 from original pictures: accuracy, error rates, and the thresholds for a model's card.

Protocol: every picture is decoded, its faces detected, and the face in the middle taken; where
none is found, the centre of the picture is taken for a face, and counted. The threshold is chosen
on ``pairsDevTrain.txt`` and tested on ``pairsDevTest.txt``, whose people are others. Error rates at
low FMR come from all cross pairs of the pictures named in a file: each picture with each other.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Options, Report, SkippedError, cores, data_folder, main, progress
from lfw_figures import figures, measure_side, toml_block
from lfw_view1 import Pair, Picture, pictures_of, read_pairs
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vultus.pipeline import Recognizer
    from vultus.types import Face, Frame

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
    parser.add_argument("--min-face", type=float, default=40.0, help="px; the default pipeline's")
    parser.add_argument("--toml", type=Path, help="also write the [[thresholds]] to this file")


def run(report: Report, options: Options) -> None:
    """Embed every picture once, as it is and mirrored; measure both ways of embedding."""
    import cv2

    from vultus import load
    from vultus.models import Registry, space_of

    lfw, embedder = data_folder("lfw"), options.extra["embedder"]
    pairs = {side: read_pairs((lfw / name).read_text("utf-8")) for side, name in LISTS.items()}
    if options.quick:
        pairs = {side: _fewer(listed, 100) for side, listed in pairs.items()}
    if embedder != DEFAULT:
        report.suite = f"lfw-{embedder}"
    cv2.setNumThreads(1)  # one worker per core
    recognizer = load(
        embedder=embedder, mirror=False, threads=1, min_face_px=options.extra["min_face"]
    )
    pictures = sorted({p for listed in pairs.values() for p in pictures_of(listed)})
    began = time.perf_counter()
    plain, mirrored = embed_all(recognizer, lfw / "images", pictures, report)
    mean = unit(plain + mirrored)
    try:
        agreed = check_mirror(recognizer, lfw / "images", pictures[:5], mean[:5])
        report.results["lowest_agreement_with_the_pipeline"] = agreed
    except SkippedError as reason:
        report.skip(reason)
    report.results["pictures_per_s"] = round(len(pictures) / (time.perf_counter() - began), 1)
    report.settings.update(
        embedder=embedder,
        min_face_px=options.extra["min_face"],
        pictures=len(pictures),
        workers=cores(),
        **{f"{side}_pairs": len(listed) for side, listed in pairs.items()},
    )
    blocks = []
    card = Registry().get(embedder)
    for kind, vectors in (("one pass", plain), ("mirror mean", mean)):
        preprocessing = space_of(card, mirror=kind == "mirror mean").preprocessing
        sides = [measure_side(s, listed, pictures, vectors) for s, listed in pairs.items()]
        numbers = figures(*sides, preprocessing)
        report.results[kind] = numbers
        add_rows(report, kind, numbers, targeted=embedder == DEFAULT and not options.quick)
        blocks += [toml_block(t) for t in numbers["thresholds"]]
    text = "\n".join(blocks)
    print(f"# for vultus/models/cards/{embedder}.toml\n{text}")
    if options.extra["toml"]:
        options.extra["toml"].write_text(text, encoding="utf-8")


# -- from pictures to vectors -------------------------------------------------------------------


def embed_all(
    recognizer: Recognizer, images: Path, pictures: list[Picture], report: Report
) -> tuple[Vectors, Vectors]:
    """Unit embeddings of every picture's main face, as it is and mirrored: (n, d) each."""
    from vultus.runtime import ordered_map

    work = partial(embed_one, recognizer, images)
    done = ordered_map(work, pictures, cores())
    rows = list(progress(done, len(pictures), report.suite))
    counts = [count for _, _, count in rows]
    lost = [p.path(images).name for p, count in zip(pictures, counts, strict=True) if not count]
    report.results["pictures_without_a_detected_face"] = lost
    report.results["pictures_with_several_faces"] = sum(count > 1 for count in counts)
    return np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])


def embed_one(
    recognizer: Recognizer, images: Path, picture: Picture
) -> tuple[Vectors, Vectors, int]:
    """The chosen face's two embeddings, and how many faces were found."""
    face, count = chosen_face(recognizer, picture.path(images))
    (crop,) = recognizer.embedder.aligner.align([face])
    # One crop per call: some networks take no batches.
    plain, mirrored = (recognizer.embedder.embedder.embed([c])[0].vector for c in (crop, crop[:, ::-1]))
    return plain, mirrored, count


def chosen_face(recognizer: Recognizer, path: Path) -> tuple[Face, int]:
    """The face a picture stands for, and how many were found; never nothing."""
    from vultus import load_frame

    frame = load_frame(path)
    faces = recognizer.detect(frame)
    return (main_face(faces, frame) if faces else centre_face(frame)), len(faces)


def main_face(faces: list[Face], frame: Frame) -> Face:
    """The face whose area less twice the squared distance from the picture's centre is largest.

    LFW files a picture under the person in its middle. Source of the rule: facenet
    (Sandberg), ``align_dataset_mtcnn.py``.
    """
    centre = (frame.width_px / 2, frame.height_px / 2)

    def merit(face: Face) -> float:
        gap = np.subtract(face.box.center_xy, centre)
        return face.box.area_px - 2.0 * float(gap @ gap)

    return max(faces, key=merit)


def centre_face(frame: Frame) -> Face:
    """A face where LFW's pictures have theirs, for a picture in which none was found.

    The box is the picture's middle, 1 / 2.2 of its side; the landmarks are ArcFace's five points,
    scaled from their 112 px crop to that box. Its score is 0.
    """
    from vultus import Box, Face, Landmarks
    from vultus.align import ARCFACE_112

    side = FACE_SHARE * min(frame.width_px, frame.height_px)
    corner = np.array([frame.width_px - side, frame.height_px - side]) / 2
    points = ARCFACE_112 / 112 * side + corner
    x, y = (float(v) for v in corner)
    return Face(Box(x, y, x + side, y + side), 0.0, Landmarks(points.astype(np.float32)), frame)


def unit(vectors: Vectors) -> Vectors:
    """Scale rows to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check_mirror(
    recognizer: Recognizer, images: Path, pictures: list[Picture], expected: Vectors
) -> float:
    """Lowest cosine of the mean made here to the one that vultus makes with ``mirror=True``.

    Raises:
        SkippedError: The network takes one crop at a time, so vultus cannot mirror with it.
        RuntimeError: They differ: the figures would not be the pipeline's.
    """
    from vultus import load
    from vultus.errors import InferenceError

    whole = load(embedder=recognizer.embedder.space.model, mirror=True, threads=1)
    cosines = []
    for picture, vector in zip(pictures, expected, strict=True):
        face, _ = chosen_face(recognizer, picture.path(images))
        try:
            cosines.append(float(whole.embed(face).vector @ vector))
        except InferenceError as error:
            raise SkippedError(f"comparison with mirror=True: {error}") from error
    if min(cosines) < 0.99999:
        raise RuntimeError(f"the mirror mean differs from the pipeline's: cosine {min(cosines)}")
    return min(cosines)


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


def _fewer(pairs: list[Pair], count: int) -> list[Pair]:
    """The first `count` pairs of each kind."""
    return [p for p in pairs if p.same][:count] + [p for p in pairs if not p.same][:count]


if __name__ == "__main__":
    main("lfw", "LFW View 1 from original pictures", run, add_options)
