"""One aligned face to its embedding: vultus beside dlib, on the same chips in the same run."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Options,
    Report,
    SkippedError,
    data_folder,
    dlib_weight,
    interleaved,
    main,
    milliseconds,
    need_module,
    progress,
    summary,
    times,
)
from numpy.typing import NDArray

Chip = NDArray[np.uint8]

CARD = "dlib-resnet-v1"
BATCH = 8
TARGET_RATIO = 15.0
TARGET_COSINE = 0.9999


def run(report: Report, options: Options) -> None:
    """Time both sides over real chips, then compare their outputs on every chip."""
    chips, sources = real_chips(60 if options.quick else 120)
    report.settings.update(chips=len(chips), chip_sources=sources, embedder=CARD, batch=BATCH)
    calls = vultus_calls(chips)
    peer = None
    try:
        peer = dlib_embedder()
        calls = {"dlib": lambda i: peer(chips[i % len(chips)]), **calls}
    except SkippedError as reason:
        report.skip(f"dlib: {reason}")
    rounds = options.count(60, 8)
    report.settings.update(rounds=rounds, untimed_call_before_each=True)
    taken = interleaved(calls, rounds, lead_in=True, label="embed")
    taken["vultus batch of 8, per face"] = [t / BATCH for t in taken.pop("vultus batch of 8")]
    report.results["timing"] = {name: summary(t) for name, t in taken.items()}
    if peer is not None:
        report.results["dlib_threads_used"] = threads_used(peer, chips[0])
        report.results["cosine_to_dlib"] = agreement(peer, chips)
    add_rows(report)


def add_rows(report: Report) -> None:
    """Turn the numbers into lines of the table."""
    timing = {name: t["median_s"] for name, t in report.results["timing"].items()}
    dlib_s = timing.pop("dlib", None)
    for name, median in timing.items():
        ratio = dlib_s / median if dlib_s else None
        goal = name == "vultus one pass, 1 thread"
        report.row(
            name.removeprefix("vultus ") + ("" if "face" in name else ", one face"),
            milliseconds(median),
            f"dlib {milliseconds(dlib_s)}" if dlib_s else "",
            times(ratio) if ratio else "",
            headline=name == "vultus mirror mean, 1 thread",
            target=f"≥ {TARGET_RATIO:.0f}×" if goal and ratio else "",
            met=ratio >= TARGET_RATIO if goal and ratio else None,
        )
    if dlib_s:
        report.results["ratio_one_pass_one_thread"] = dlib_s / timing["vultus one pass, 1 thread"]
        cosine = report.results["cosine_to_dlib"]
        report.row(
            f"lowest cosine to dlib's output, {cosine['chips']} chips",
            f"{cosine['min']:.7f}",
            target=f"≥ {TARGET_COSINE}",
            met=cosine["min"] >= TARGET_COSINE,
        )


def vultus_calls(chips: list[Chip]) -> dict[str, Callable[[int], object]]:
    """What to time of vultus, by name."""
    from vultus.embed import OnnxEmbedder
    from vultus.models import Registry, Store
    from vultus.runtime import Session, SessionOptions

    card, store = Registry().get(CARD), Store()

    def embedder(threads: int, *, mirror: bool) -> OnnxEmbedder:
        return OnnxEmbedder.from_card(card, store, SessionOptions(threads=threads), mirror=mirror)

    one, mirrored, two = (
        embedder(1, mirror=False),
        embedder(1, mirror=True),
        embedder(2, mirror=False),
    )
    session = Session(store.read(card), CARD, SessionOptions(threads=1))
    blobs = [np.ascontiguousarray(c.transpose(2, 0, 1)[None], np.float32) for c in chips]
    name = session.input_names[0]

    def some(i: int) -> list[Chip]:
        return [chips[(i + k) % len(chips)] for k in range(BATCH)]

    return {
        "vultus network alone, 1 thread": lambda i: session.run({name: blobs[i % len(blobs)]}),
        "vultus one pass, 1 thread": lambda i: one.embed([chips[i % len(chips)]]),
        "vultus mirror mean, 1 thread": lambda i: mirrored.embed([chips[i % len(chips)]]),
        "vultus batch of 8": lambda i: one.embed(some(i)),
        "vultus one pass, 2 threads": lambda i: two.embed([chips[i % len(chips)]]),
    }


def dlib_embedder() -> Callable[[Chip], NDArray[np.float64]]:
    """Dlib's own network, fed one 150 px chip.

    Raises:
        SkippedError: dlib or its weight is not installed.
    """
    need_module("dlib", "pip install -r benchmarks/requirements.txt")
    import dlib

    network = dlib.face_recognition_model_v1(str(dlib_weight()))
    return lambda chip: np.array(network.compute_face_descriptor(chip))


def threads_used(call: Callable[[Chip], object], chip: Chip) -> float:
    """CPU time over wall time of three calls: how many cores the peer itself keeps busy."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(3):
        call(chip)
    return round((time.process_time() - cpu) / (time.perf_counter() - wall), 2)


def agreement(peer: Callable[[Chip], NDArray[np.float64]], chips: list[Chip]) -> dict[str, Any]:
    """Cosines between both outputs, chip by chip."""
    from vultus.embed import OnnxEmbedder
    from vultus.models import Registry, Store

    embedder = OnnxEmbedder.from_card(Registry().get(CARD), Store(), mirror=False)
    cosines, furthest = [], 0.0
    for chip in progress(chips, len(chips), "cosine to dlib"):
        found, original = embedder.embed([chip])[0], peer(chip)
        cosines.append(float(found.vector @ original / np.linalg.norm(original)))
        gap = np.abs(found.vector.astype(float) * found.raw_norm - original).max()
        furthest = max(furthest, float(gap))
    return {
        "chips": len(chips),
        "min": min(cosines),
        "mean": float(np.mean(cosines)),
        "largest_difference_of_raw_outputs": furthest,
    }


def real_chips(limit: int) -> tuple[list[Chip], dict[str, int]]:
    """Chips of real faces as vultus cuts them: the golden one, the samples, the shared pictures."""
    from vultus import load, models

    packed = resources.files(models).joinpath("weights", "golden_pack.npz").read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        chips = [arrays["chip"].astype(np.uint8)]
    counts = {"golden": 1}
    recognizer = load()
    for path in _pictures():
        if len(chips) >= limit:
            break
        cut = recognizer.embedder.aligner.align(recognizer.detect(path))[: limit - len(chips)]
        chips.extend(cut)
        counts[path.parent.name] = counts.get(path.parent.name, 0) + len(cut)
    return chips, counts


def _pictures() -> Iterator[Path]:
    from vultus import walk_images
    from vultus.samples import known_dir, photos_dir

    yield from walk_images(known_dir())
    yield from walk_images(photos_dir())
    for name in ("people", "scenes"):
        try:
            yield from walk_images(data_folder(name))
        except SkippedError:
            continue


if __name__ == "__main__":
    main("embed", "one aligned face to its embedding", run)
