"""``vultus evaluate lfw | bin | ytf | folder``: the same person or not?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._options import Jobs, Json, MinFace
from vultus.cli._output import print_json
from vultus.cli.evaluate._options import (
    Aligned,
    CacheDir,
    Detector,
    Distance,
    DistanceOption,
    Face,
    FaceOption,
    Flip,
    How,
    Model,
    NoCache,
    Rounds,
    Seed,
    SubtractMean,
    embedding,
    end_with,
    list_pictures,
    percent,
    resampling,
    show_rows,
)

if TYPE_CHECKING:
    from vultus.evaluate.metrics import VerificationReport
    from vultus.evaluate.protocols.folder import FolderResult
    from vultus.evaluate.protocols.lfw import FoldedAccuracy

__all__ = ["bins", "folder", "lfw", "ytf"]


def lfw(
    images: Annotated[
        Path, typer.Option("--images", help="Folder with one folder of pictures per person.")
    ],
    pairs: Annotated[Path, typer.Option("--pairs", help="pairs.txt, or a list without folds.")],
    threshold_from: Annotated[
        Path | None,
        typer.Option("--threshold-from", help="List that the threshold is chosen on."),
    ] = None,
    distance: DistanceOption = Distance.EUCLIDEAN,
    subtract_mean: SubtractMean = False,
    aligned: Aligned = False,
    model: Model = "dlib-resnet-v1",
    flip: Flip = True,
    detector: Detector = "mtcnn",
    min_face: MinFace = 40.0,
    face: FaceOption = Face.CENTER,
    cache_dir: CacheDir = None,
    no_cache: NoCache = False,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Labeled Faces in the Wild, or any list of pairs in its format."""
    from vultus.evaluate.protocols.lfw import evaluate_lfw, read_pairs

    how = How(model, detector, min_face, flip, face, cache_dir, no_cache, jobs, json)
    listed = read_pairs(pairs)
    other = None if threshold_from is None else read_pairs(threshold_from)
    with embedding(how, "aligned" if aligned else "detect") as embed:
        found = evaluate_lfw(
            images,
            listed,
            embed,
            threshold_from=other,
            distance=distance.value,
            subtract_mean=subtract_mean,
        )
    list_pictures("missing", found.missing)
    list_pictures("no face", found.no_face)
    if json:
        print_json(
            {
                **_figures(found.figures),
                "no_face": len(found.no_face),
                "missing": len(found.missing),
                "seconds": round(found.seconds, 3),
            }
        )
    else:
        rows = [
            *_rows(found.figures),
            ("left out", f"{found.left_out} pairs, {len(found.missing)} pictures are missing"),
            ("never accepted", f"{found.rejected} pairs, {len(found.no_face)} pictures: no face"),
            ("space", found.space),
            ("time", f"{found.seconds:.1f} s, {found.cached:,} embeddings from the cache"),
        ]
        show_rows(str(pairs), rows)
    end_with(bool(found.missing or found.no_face))


def bins(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Sets such as lfw.bin.")],
    distance: DistanceOption = Distance.EUCLIDEAN,
    subtract_mean: SubtractMean = False,
    model: Model = "dlib-resnet-v1",
    flip: Flip = True,
    cache_dir: CacheDir = None,
    no_cache: NoCache = False,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Verification sets in one file: lfw, cfp_fp, agedb_30, calfw, cplfw."""
    from vultus.evaluate.protocols.bins import evaluate_bin, read_bin

    how = How(model, "mtcnn", 40.0, flip, Face.CENTER, cache_dir, no_cache, jobs, json)
    failed = False
    for file in files:
        pairs = read_bin(file)
        with embedding(how, "arcface") as embed:
            found = evaluate_bin(pairs, embed, distance=distance.value, subtract_mean=subtract_mean)
        list_pictures(found.name, found.failures)
        failed |= bool(found.failures)
        if json:
            print_json(
                {
                    "set": found.name,
                    **_figures(found.figures),
                    "failed": len(found.failures),
                    "seconds": round(found.seconds, 3),
                }
            )
        else:
            rows = [*_rows(found.figures), ("space", found.space)]
            show_rows(found.name, [*rows, ("time", f"{found.seconds:.1f} s")])
    end_with(failed)


def ytf(
    frames: Annotated[
        Path, typer.Option("--frames", help="Folder of frames: PERSON/NUMBER/FRAME.jpg.")
    ],
    splits: Annotated[Path, typer.Option("--splits", help="splits.txt.")],
    most_frames: Annotated[
        int | None,
        typer.Option("--most-frames", min=1, help="Frames per video, evenly spread; else all."),
    ] = None,
    distance: DistanceOption = Distance.EUCLIDEAN,
    subtract_mean: SubtractMean = False,
    aligned: Aligned = False,
    model: Model = "dlib-resnet-v1",
    flip: Flip = True,
    detector: Detector = "mtcnn",
    min_face: MinFace = 40.0,
    face: FaceOption = Face.CENTER,
    cache_dir: CacheDir = None,
    no_cache: NoCache = False,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """YouTube Faces: pairs of videos, each the mean of its frames."""
    from vultus.evaluate.protocols.youtube_faces import evaluate_youtube_faces, read_splits

    how = How(model, detector, min_face, flip, face, cache_dir, no_cache, jobs, json)
    listed = read_splits(splits)
    with embedding(how, "aligned" if aligned else "detect") as embed:
        found = evaluate_youtube_faces(
            frames,
            listed,
            embed,
            most_frames=most_frames,
            distance=distance.value,
            subtract_mean=subtract_mean,
        )
    list_pictures("missing", found.missing)
    list_pictures("no face in any frame", found.no_face)
    if json:
        print_json(
            {
                **_figures(found.figures),
                "frames": found.frames,
                "frames_without_face": found.frames_without_face,
                "no_face": len(found.no_face),
                "missing": len(found.missing),
                "seconds": round(found.seconds, 3),
            }
        )
    else:
        rows = [
            *_rows(found.figures),
            ("frames", f"{found.frames:,}, {found.frames_without_face:,} without a face"),
            ("space", found.space),
            ("time", f"{found.seconds:.1f} s"),
        ]
        show_rows(str(splits), rows)
    end_with(bool(found.missing or found.no_face))


def folder(
    path: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder with one folder per person.")
    ],
    folds: Annotated[int, typer.Option("--folds", min=2, help="Folds of different people.")] = 10,
    most_pairs: Annotated[
        int, typer.Option("--most-pairs", min=4, help="Pairs at most, of both kinds together.")
    ] = 6000,
    write: Annotated[
        Path | None, typer.Option("--write", help="Also write the pairs, in LFW's format.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Folder whose pictures must not be in this one."),
    ] = None,
    seed: Seed = 0,
    rounds: Rounds = 1000,
    distance: DistanceOption = Distance.EUCLIDEAN,
    subtract_mean: SubtractMean = False,
    aligned: Aligned = False,
    model: Model = "dlib-resnet-v1",
    flip: Flip = True,
    detector: Detector = "mtcnn",
    min_face: MinFace = 40.0,
    face: FaceOption = Face.CENTER,
    cache_dir: CacheDir = None,
    no_cache: NoCache = False,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """Any folder of people: pairs are drawn, and copies and wrong labels found."""
    from vultus.evaluate.protocols.folder import (
        draw_pairs,
        evaluate_folder,
        scan_people,
        write_pairs,
    )

    how = How(model, detector, min_face, flip, face, cache_dir, no_cache, jobs, json)
    tree = scan_people(path)
    drawn = draw_pairs(tree, folds=folds, most=most_pairs, seed=seed)
    if write is not None:
        write_pairs(write, drawn.folds)
    with embedding(how, "aligned" if aligned else "detect") as embed:
        found = evaluate_folder(
            tree,
            embed,
            seed=seed,
            against=None if against is None else scan_people(against),
            distance=distance.value,
            subtract_mean=subtract_mean,
            how=resampling(rounds, seed, jobs),
            drawn=drawn,
        )
    list_pictures("no face", found.folds.no_face)
    for leak in found.mislabelled:
        list_pictures(f"one picture of {' and '.join(leak.people)}", leak.paths)
    for leak in found.leaked:
        list_pictures(f"also in {against}", leak.paths[:1])
    if json:
        print_json(found.to_dict())
    else:
        _show_folder(str(path), found)
    end_with(bool(found.folds.no_face or found.folds.missing))


# -- words --------------------------------------------------------------------------------------


def _figures(figures: FoldedAccuracy) -> dict[str, object]:
    return {
        "pairs": figures.pairs,
        "accuracy": figures.accuracy,
        "accuracy_std": figures.accuracy_std,
        "auc": figures.auc,
        "eer": figures.eer,
        "val_at_far_1e-3": figures.val,
        "threshold": figures.similarity_threshold,
    }


def _rows(figures: FoldedAccuracy) -> list[tuple[str, str]]:
    where = (
        f"on {figures.folds} folds, each by the others" if figures.folds > 1 else "by another list"
    )
    similarity = figures.similarity_threshold
    least = "" if similarity is None else f"similarity ≥ {similarity:.4f}, "
    return [
        ("pairs", f"{figures.pairs:,}, judged {where}"),
        (
            "accuracy",
            f"{percent(figures.accuracy)} ± {percent(figures.accuracy_standard_error)} "
            f"(standard error; deviation {percent(figures.accuracy_std)})",
        ),
        ("AUC", f"{figures.auc:.5f}"),
        ("EER", percent(figures.eer)),
        (
            "VAL at FAR 1e-3",
            f"{percent(figures.val)} ± {percent(figures.val_std)}, "
            f"FAR measured {figures.val_far:.2g}",
        ),
        ("threshold", f"{least}{figures.distance} distance < {figures.threshold:.4f}"),
    ]


def _show_folder(title: str, found: FolderResult) -> None:
    rows = [
        ("people", f"{found.people:,}, {len(found.single):,} of them with one picture"),
        ("pictures", f"{found.pictures:,}, {len(found.folds.no_face)} without a face"),
        ("copies", f"{len(found.repeated)}; under several people: {len(found.mislabelled)}"),
        ("left out", f"{found.loose} beside the folders, {len(found.unnamed)} of other names"),
        ("never accepted", f"{found.folds.rejected} pairs without a face"),
        *([("in both folders", str(len(found.leaked)))] if found.leaked else []),
        *_rows(found.folds.figures),
        *_cross_rows(found.cross, found.cross_pictures),
        ("space", found.folds.space),
        ("time", f"{found.seconds:.1f} s"),
    ]
    show_rows(title, rows)


def _cross_rows(report: VerificationReport | None, pictures: int) -> list[tuple[str, str]]:
    if report is None:
        return [("all pairs", "too few pictures")]
    rows = [
        (
            "all pairs",
            f"of {pictures:,} pictures: {report.genuine:,} of one person, "
            f"{report.impostor:,} of two",
        ),
        ("EER of all", percent(report.equal_error_rate)),
    ]
    for point in report.points:
        doubt = "" if point.dependable else ", fewer than 30 errors"
        text = percent(point.fnmr_interval or point.fnmr)
        rows.append(
            (f"FNMR at FMR {point.target_fmr:g}", f"{text} at {point.threshold:.4f}{doubt}")
        )
    rows += [
        (f"FNMR at FMR {lost.target_fmr:g}", f"needs {lost.impostor_needed:,} impostor pairs")
        for lost in report.out_of_reach
    ]
    return rows
