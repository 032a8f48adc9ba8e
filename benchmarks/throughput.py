"""Many pictures, several threads, one recogniser: pictures per second, and what the glue costs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from common import Options, Report, cores, data_folder, interleaved, main, milliseconds, summary

from vultus.evaluate.protocols.lfw import PictureTree, read_pairs

if TYPE_CHECKING:
    from vultus import Recognizer

WORKERS = (1, 2, 4)
SEED = 20260102
# "4 worker threads scale to the cores": four fifths of them, since the system wants some as well.
TARGET_SHARE = 0.8
Call = tuple[Any, Mapping[str, Any], Any]


def run(report: Report, options: Options) -> None:
    """Read, detect, align and embed the same pictures with 1, 2 and 4 workers, in turn."""
    import cv2

    from vultus import load

    paths = some_pictures(40 if options.quick else 200)
    cv2.setNumThreads(1)  # as the command line does: our own threads fill the cores
    recognizer = load(threads=1)
    calls = record_calls(recognizer, paths)
    rounds = options.count(5, 2)
    report.settings.update(
        pictures=len(paths), rounds=rounds, seed=SEED, threads_per_session=1, mirror=True
    )
    timed: dict[str, Callable[[int], object]] = {}
    for n in WORKERS:
        timed[f"vultus {n}"] = partial(_all, partial(one_picture, recognizer), paths, n)
        timed[f"networks {n}"] = partial(_all, replay, calls, n)
    taken = interleaved(timed, rounds, label="throughput")
    report.results["seconds_per_pass"] = {name: summary(t) for name, t in taken.items()}
    report.results["stages_ms_per_picture"] = stages(recognizer, paths)
    add_rows(report)


def add_rows(report: Report) -> None:
    """Rates and scaling, beside the networks alone fed with the same inputs."""
    median = {n: t["median_s"] for n, t in report.results["seconds_per_pass"].items()}
    count = report.settings["pictures"]
    per_second = {name: count / t for name, t in median.items()}
    report.results["pictures_per_s"] = per_second
    report.results["glue_ratio"] = {
        str(n): median[f"vultus {n}"] / median[f"networks {n}"] for n in WORKERS
    }
    wanted = TARGET_SHARE * min(cores(), max(WORKERS))
    for n in WORKERS:
        scaling = median["vultus 1"] / median[f"vultus {n}"]
        bare = median["networks 1"] / median[f"networks {n}"]
        last = n == max(WORKERS)
        report.row(
            f"{n} worker{'s' * (n > 1)}: pictures per second (scaling)",
            f"{per_second[f'vultus {n}']:.1f} ({scaling:.2f}×)",
            f"networks alone {per_second[f'networks {n}']:.1f} ({bare:.2f}×)",
            f"{report.results['glue_ratio'][str(n)]:.2f}× their time",
            target=f"scaling ≥ {wanted:.1f}× on {cores()} cores" if last else "",
            met=scaling >= wanted if last else None,
        )
    for stage, value in report.results["stages_ms_per_picture"].items():
        report.row(f"{stage}, per picture, 1 worker", milliseconds(value / 1000))


def some_pictures(count: int) -> list[Path]:
    """Pictures of LFW's development pairs, drawn with a seed."""
    lfw = data_folder("lfw")
    every = read_pairs(lfw / "pairsDevTest.txt").pictures
    chosen = np.random.default_rng(SEED).permutation(len(every))[:count]
    tree = PictureTree(lfw / "images")
    return [tree.path(every[i]) for i in chosen]


def one_picture(recognizer: Recognizer, path: Path) -> int:
    """From a file to embeddings."""
    return len(recognizer.embed(recognizer.detect(path)))


def _all(work: Callable[[Any], object], items: list[Any], workers: int, _: int) -> None:
    from vultus.runtime import ordered_map

    for _done in ordered_map(work, items, workers):
        pass


# -- the floor: the networks alone --------------------------------------------------------------


@contextmanager
def watched(note: Callable[[Any, Mapping[str, Any], Any, float], None]) -> Iterator[None]:
    """Hear of every network call: session, inputs, wanted outputs, seconds."""
    from vultus.runtime import Session

    original = Session.run

    def run_and_tell(self: Any, inputs: Mapping[str, Any], outputs: Any = None) -> Any:
        began = time.perf_counter()
        result = original(self, inputs, outputs)
        note(self, inputs, outputs, time.perf_counter() - began)
        return result

    with patch.object(Session, "run", run_and_tell):
        yield


def record_calls(recognizer: Recognizer, paths: list[Path]) -> list[list[Call]]:
    """Per picture, the network calls it takes, with copies of their inputs."""
    recorded: list[list[Call]] = []

    def keep(session: Any, inputs: Mapping[str, Any], outputs: Any, _: float) -> None:
        copied = {name: np.array(value) for name, value in inputs.items()}
        recorded[-1].append((session, copied, outputs))

    with watched(keep):
        for path in paths:
            recorded.append([])
            one_picture(recognizer, path)
    return recorded


def replay(calls: list[Call]) -> None:
    """Only the networks of one picture."""
    for session, inputs, outputs in calls:
        session.run(inputs, outputs)


def stages(recognizer: Recognizer, paths: list[Path]) -> dict[str, float]:
    """Milliseconds per picture in each stage of one thread, the networks' part told apart."""
    from vultus import load_frame

    spent: dict[str, float] = defaultdict(float)
    networks: dict[str, float] = defaultdict(float)
    stage = ""

    def note(_session: Any, _inputs: Mapping[str, Any], _outputs: Any, taken: float) -> None:
        networks[stage] += taken

    def timed(name: str, call: Callable[[], Any]) -> Any:
        nonlocal stage
        stage, began = name, time.perf_counter()
        result = call()
        spent[name] += time.perf_counter() - began
        return result

    with watched(note):
        for path in paths:
            frame = timed("decode", partial(load_frame, path))
            faces = timed("detect", partial(recognizer.detector.detect, frame))
            crops = timed("align", partial(recognizer.embedder.aligner.align, faces))
            timed("embed", partial(recognizer.embedder.embedder.embed, crops))
    found: dict[str, float] = {}
    for name, total in spent.items():
        inside = networks.get(name, 0.0)
        if inside:
            found[f"{name}: networks"] = inside
            found[f"{name}: around them"] = total - inside
        else:
            found[name] = total
    return {name: value * 1000 / len(paths) for name, value in found.items()}


if __name__ == "__main__":
    main("throughput", "pictures per second with one shared recogniser", run)
