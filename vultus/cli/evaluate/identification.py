"""``vultus evaluate identification | ijb | megaface``: who, among many?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vultus.cli._options import Jobs, Json, MinFace
from vultus.cli._output import print_json
from vultus.cli.evaluate._options import (
    Aligned,
    CacheDir,
    Detector,
    Face,
    FaceOption,
    Flip,
    How,
    Model,
    NoCache,
    Rounds,
    Seed,
    embedding,
    end_with,
    list_pictures,
    percent,
    resampling,
    show_rows,
)
from vultus.errors import DataFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vultus.evaluate.protocols.identification import IdentificationResult
    from vultus.evaluate.protocols.ijb import IjbIdentification, IjbTemplates, IjbVerification

__all__ = ["identification", "ijb", "megaface"]


def identification(
    path: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder with one folder per person.")
    ],
    enroll: Annotated[
        int, typer.Option("--enroll", min=1, help="Pictures enrolled of each person.")
    ] = 1,
    unenrolled: Annotated[
        float, typer.Option("--unenrolled", help="Share of people who are strangers, open set.")
    ] = 0.5,
    seed: Seed = 0,
    rounds: Rounds = 1000,
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
    """One to many on any folder of people: rank-k, and FNIR at FPIR with strangers."""
    from vultus.evaluate.protocols.identification import evaluate_identification, scan_people

    how = How(model, detector, min_face, flip, face, cache_dir, no_cache, jobs, json)
    tree = scan_people(path)
    with embedding(how, "aligned" if aligned else "detect") as embed:
        found = evaluate_identification(
            tree,
            embed,
            enroll=enroll,
            unenrolled_share=unenrolled,
            seed=seed,
            how=resampling(rounds, seed, jobs),
        )
    list_pictures("no face", [*found.lost_enrolled, *found.lost_probes])
    if json:
        print_json(found.to_dict())
    else:
        show_rows(str(path), _identification_rows(found))
    end_with(bool(found.lost_enrolled or found.lost_probes))


def ijb(
    meta: Annotated[
        Path, typer.Option("--meta", help="Folder of the data set's lists (ijbc_face_tid_mid.txt).")
    ],
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the pictures (loose_crop).")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option("--features", help="Embeddings instead of pictures: .npy, a row per picture."),
    ] = None,
    model: Model = "dlib-resnet-v1",
    flip: Flip = True,
    cache_dir: CacheDir = None,
    no_cache: NoCache = False,
    jobs: Jobs = 0,
    json: Json = False,
) -> None:
    """IJB-B and IJB-C: templates, TAR at FAR 1e-1 to 1e-6, and search in two galleries."""
    from vultus.evaluate.protocols import ijb as protocol

    if (images is None) == (features is None):
        raise typer.BadParameter("give --images or --features, one of the two")
    how = How(model, "mtcnn", 40.0, flip, Face.CENTER, cache_dir, no_cache, jobs, json)
    pictures = protocol.read_pictures(_one_file(meta, "*_face_tid_mid.txt"))
    templates = (
        protocol.template_features(_array(features), pictures)
        if features is not None
        else _templates_of_pictures(how, meta, images or Path(), pictures)
    )
    verified = protocol.evaluate_verification(
        templates, protocol.read_template_pairs(_one_file(meta, "*_template_pair_label.txt"))
    )
    galleries = [
        protocol.read_gallery(path)
        for pattern in ("*_1N_gallery_[GS]1.csv", "*_1N_gallery_[GS]2.csv")
        for path in sorted(meta.glob(pattern))
    ]
    searched = None
    if galleries:
        probes = protocol.read_gallery(_one_file(meta, "*_1N_probe_mixed.csv"))
        searched = protocol.evaluate_identification(templates, galleries, probes)
    if json:
        print_json(
            {
                "verification": verified.to_dict(),
                "identification": searched.to_dict() if searched else None,
            }
        )
    else:
        show_rows(str(meta), _ijb_rows(verified, searched))
    end_with(bool(verified.without_face))


def megaface(
    probes: Annotated[
        Path | None, typer.Option("--probes", help="Folder with one folder per person.")
    ] = None,
    distractors: Annotated[
        Path | None, typer.Option("--distractors", help="Folder with pictures of other people.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features", help="Embeddings instead: .npz of `probes`, `subjects`, `distractors`."
        ),
    ] = None,
    sizes: Annotated[
        str, typer.Option("--sizes", help="Numbers of distractors, with commas between.")
    ] = "10,100,1000,10000,100000,1000000",
    ranks: Annotated[str, typer.Option("--ranks", help="Ranks, with commas between.")] = "1,10",
    seed: Seed = 0,
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
    """MegaFace: rank-k among ever more strangers."""
    from vultus.evaluate.protocols.megaface import evaluate_features, evaluate_megaface

    counts, places = _numbers(sizes, "--sizes"), _numbers(ranks, "--ranks")
    if features is not None:
        given = _arrays(features, ("probes", "subjects", "distractors"))
        found = evaluate_features(
            given["probes"], given["subjects"], given["distractors"], sizes=counts, ranks=places
        )
    elif probes is None or distractors is None:
        raise typer.BadParameter("give --probes and --distractors, or --features")
    else:
        how = How(model, detector, min_face, flip, face, cache_dir, no_cache, jobs, json)
        with embedding(how, "aligned" if aligned else "detect") as embed:
            found = evaluate_megaface(
                probes, distractors, embed, sizes=counts, ranks=places, seed=seed
            )
    list_pictures("no face", [*found.lost_probes, *found.lost_distractors])
    if json:
        print_json(found.to_dict())
    else:
        rows = [
            (f"{size:,} distractors", ", ".join(f"rank {k}: {percent(v)}" for k, v in at.items()))
            for size, at in found.rates.items()
        ]
        rows += [(f"{size:,} distractors", "there are fewer") for size in found.out_of_reach]
        show_rows(f"{found.pairs:,} pairs of {found.subjects:,} people", rows)
    end_with(bool(found.lost_probes or found.lost_distractors))


# -- input --------------------------------------------------------------------------------------


def _one_file(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataFileError(
            f"{folder} must hold one file {pattern}, it holds {len(found)}",
            remedy="name the folder with the lists of one data set",
            path=str(folder),
        )
    return found[0]


def _array(path: Path) -> NDArray[np.floating[Any]]:
    """A .npy file, never one that holds pickled objects."""
    import numpy as np

    try:
        found: NDArray[np.floating[Any]] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataFileError(f"{path} cannot be read: {error}", path=str(path)) from error
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
        raise DataFileError(f"{path} must hold one array of floats", path=str(path))
    return found


def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Named arrays of a .npz file, none of pickled objects."""
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataFileError(
            f"{path} must be a .npz file of {', '.join(names)}: {error}", path=str(path)
        ) from error


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes whole numbers, got {text!r}") from error


def _templates_of_pictures(how: How, meta: Path, images: Path, pictures: Any) -> IjbTemplates:
    from vultus.evaluate.protocols import ijb as protocol

    names, points, _ = protocol.read_points(_one_file(meta, "*_name_5pts_score.txt"))
    if names != pictures.names:
        raise DataFileError(
            f"the lists of points and of templates in {meta} must name the same pictures in the "
            "same order",
            path=str(meta),
        )
    with embedding(how) as embed:
        found = embed([images / name for name in names], points=points)
    list_pictures("missing", found.missing)
    list_pictures("unusable", found.no_face)
    return protocol.template_features(found.vectors, pictures, found.found)


# -- words --------------------------------------------------------------------------------------


def _identification_rows(found: IdentificationResult) -> list[tuple[str, str]]:
    rows = [
        ("people", f"{found.people:,}, {len(found.single):,} of them not searched for"),
        ("closed set", f"{found.enrolled:,} enrolled, {found.closed_probes:,} probes"),
        *((f"rank {rank}", percent(rate)) for rank, rate in found.rank_rates.items()),
        ("open set", f"{found.open_enrolled:,} enrolled"),
    ]
    for point in found.open_points:
        doubt = "" if point.dependable else ", fewer than 30 errors"
        rows.append(
            (
                f"FNIR at FPIR {point.target_fpir:g}",
                f"{percent(point.fnir_interval or point.fnir)} at {point.threshold:.4f}{doubt}",
            )
        )
    rows += [(f"FNIR at FPIR {fpir:g}", reason) for fpir, reason in found.out_of_reach.items()]
    return [*rows, ("space", found.space), ("time", f"{found.seconds:.1f} s")]


def _ijb_rows(
    verified: IjbVerification, searched: IjbIdentification | None
) -> list[tuple[str, str]]:
    report = verified.report
    rows = [
        ("one to one", f"{report.genuine:,} genuine, {report.impostor:,} impostor pairs"),
        *((f"TAR at FAR {p.target_fmr:g}", percent(p.tar)) for p in report.points),
        *(
            (f"TAR at FAR {lost.target_fmr:g}", f"needs {lost.impostor_needed:,} impostor pairs")
            for lost in report.out_of_reach
        ),
    ]
    if searched is not None:
        rows += [
            ("one to many", f"mean of {len(searched.galleries)} galleries"),
            *((f"rank {rank}", percent(rate)) for rank, rate in searched.rank_rates.items()),
            *((f"TPIR at FPIR {fpir:g}", percent(rate)) for fpir, rate in searched.tpir.items()),
        ]
    return rows
