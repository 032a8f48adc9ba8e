"""``vultus facenet align`` beside facenet-pytorch's MTCNN: LFW's pictures, found, cut out, saved.

Both read each picture, look for faces from 20 px on, cut the face in the middle (facenet-pytorch:
its own choice, the likeliest) out with a margin of 44 at 182 x 182 pixels, and save a PNG. The
pictures come in groups; rounds alternate between the two, each group in a new folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import (
    ROOT,
    Options,
    Report,
    cores,
    data_folder,
    interleaved,
    main,
    milliseconds,
    need_module,
    seconds,
    summary,
    times,
)

PICTURES, GROUP = 1000, 50
SIZE_PX, MARGIN_PX, MIN_FACE_PX = 182, 44, 20
TARGET = 2.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument(
        "--threads", type=int, nargs="*", help="of both; one, and all cores, without"
    )


def run(report: Report, options: Options) -> None:
    """Time both on the same groups of pictures, with one thread and with all cores."""
    count = PICTURES if not options.quick else 2 * GROUP
    report.settings.update(
        pictures=count, group=GROUP, size_px=SIZE_PX, margin_px=MARGIN_PX, min_face_px=MIN_FACE_PX
    )
    with tempfile.TemporaryDirectory(prefix="vultus-align-") as name:
        folder = Path(name)
        groups = grouped(data_folder("lfw") / "images", count, folder / "in")
        theirs = facenet_pytorch(groups, folder)
        for threads in options.extra["threads"] or dict.fromkeys((1, cores())):
            measure(report, groups, theirs, threads, folder / f"out-{threads}")


def measure(
    report: Report,
    groups: Sequence[Path],
    theirs: Callable[[int, Path, int], int],
    threads: int,
    folder: Path,
) -> None:
    """One row: every group once by each."""
    saved: dict[str, int] = {"vultus": 0, "facenet-pytorch": 0}
    fresh = itertools.count()

    def ours(i: int) -> None:
        saved["vultus"] += aligned(groups[i], folder / f"{next(fresh)}", threads)

    def peer(i: int) -> None:
        saved["facenet-pytorch"] += theirs(i, folder / f"{next(fresh)}", threads)

    name = f"{threads} thread{'s' * (threads > 1)}"
    ours(0)
    peer(0)
    saved.update(dict.fromkeys(saved, 0))
    taken = interleaved(
        {"vultus": ours, "facenet-pytorch": peer}, len(groups), warmup=0, label=name
    )
    ratios = [b / a for a, b in zip(taken["vultus"], taken["facenet-pytorch"], strict=True)]
    ratio = statistics.median(ratios)
    count = len(groups) * GROUP
    report.results[name] = {
        **{who: summary(durations) for who, durations in taken.items()},
        "total_s": {who: sum(durations) for who, durations in taken.items()},
        "ratio_median": ratio,
        "saved": saved,
    }
    mine, other = sum(taken["vultus"]), sum(taken["facenet-pytorch"])
    report.row(
        f"align {count} LFW pictures, one process, {name}",
        f"{seconds(mine)} ({milliseconds(mine / count)} a picture)",
        f"facenet-pytorch MTCNN, {seconds(other)}",
        times(ratio),
        target=f"≥ {TARGET}×",
        met=ratio >= TARGET,
    )


def grouped(images: Path, count: int, folder: Path) -> list[Path]:
    """Data sets of `GROUP` pictures each, of as many people as there are."""
    paths = [sorted(person.iterdir())[0] for person in sorted(images.iterdir())][:count]
    made = []
    for start in range(0, count, GROUP):
        group = folder / f"{start:05d}"
        for path in paths[start : start + GROUP]:
            target = group / path.parent.name / path.name
            target.parent.mkdir(parents=True)
            shutil.copy(path, target)
        made.append(group)
    return made


def aligned(source: Path, output: Path, threads: int) -> int:
    """What the command does, in this process; the crops it saved."""
    import cv2

    from vultus.compat.facenet.align import AlignOptions, align
    from vultus.compat.facenet.talk import Talk

    cv2.setNumThreads(1)
    silent = Talk(lambda _: None, lambda _: None)
    options = AlignOptions(image_size=SIZE_PX, margin=MARGIN_PX, jobs=threads)
    return align(source, output, options, talk=silent).aligned


def facenet_pytorch(groups: Sequence[Path], folder: Path) -> Callable[[int, Path, int], int]:
    """facenet-pytorch's own detect and save, from its installed source, without torchvision."""
    need_module("facenet_pytorch", "pip install --no-deps facenet-pytorch==2.6.0")
    need_module("torch", "pip install torch")
    import torch
    from PIL import Image

    sys.path.insert(0, str(ROOT / "scripts"))
    from convert.originals import load_mtcnn

    spec = importlib.util.find_spec("facenet_pytorch")
    root = Path(str(spec.origin)).parent if spec else Path()
    places = {
        "mtcnn.py": "models/mtcnn.py",
        "detect_face.py": "models/utils/detect_face.py",
        **{name: f"data/{name}" for name in ("pnet.pt", "rnet.pt", "onet.pt")},
    }
    module = load_mtcnn({name: (root / at).read_bytes() for name, at in places.items()}, folder)
    # The one function of torchvision that saving a face calls afterwards.
    functional: Any = module.extract_face.__globals__["F"]
    functional.to_tensor = lambda pixels: torch.from_numpy(pixels.transpose(2, 0, 1))
    network = module.MTCNN(
        image_size=SIZE_PX, margin=MARGIN_PX, min_face_size=MIN_FACE_PX, device="cpu"
    )

    def save_group(i: int, output: Path, threads: int) -> int:
        torch.set_num_threads(threads)
        saved = 0
        for path in sorted(groups[i].glob("*/*")):
            target = output / path.parent.name / f"{path.stem}.png"
            with Image.open(path) as picture:
                saved += network(picture.convert("RGB"), save_path=str(target)) is not None
        return saved

    return save_group


if __name__ == "__main__":
    main("facenet_align", "Cut out the faces of a data set", run, add_options)
