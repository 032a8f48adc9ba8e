"""Ten thousand photos in one process: does memory stay flat?"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import Options, Report, SkippedError, data_folder, main, progress, rss_bytes

if TYPE_CHECKING:
    from vultus import Gallery, Recognizer

WORKERS = 2
EVERY = 100
SETTLED = 500  # "no growth after the first 500"
# Resident memory breathes with the pictures in flight: 1920x1080 px with their tables are 30 MB.
ALLOWED_MB = 16.0
WINDOW = 1000
PEOPLE = 20
PLAIN_PER_SCENE = 19  # so that every scene has been seen twice before photo 500
MB = 2**20


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own option."""
    parser.add_argument("--photos", type=int, help="how many (10000; 600 with --quick)")


def run(report: Report, options: Options) -> None:
    """Identify pictures over and over, as `vultus identify` does, and watch the resident set."""
    import cv2

    from vultus import MemoryGallery, load
    from vultus.runtime import ordered_map, use_one_heap

    photos = options.extra.get("photos") or (600 if options.quick else 10_000)
    if photos <= SETTLED:
        raise SkippedError(f"--photos must be above {SETTLED}, got {photos}")
    rss_bytes()  # says so at once where there is no /proc
    cv2.setNumThreads(1)
    use_one_heap()  # as the command line does
    recognizer = load(threads=1)
    plain = sorted((data_folder("lfw") / "images").glob("*/*.jpg"))
    samples: list[dict[str, float]] = []
    with MemoryGallery() as gallery:
        _enroll(recognizer, gallery, plain)
        endless = itertools.islice(mixed(plain), photos)
        done = ordered_map(lambda path: _identify(recognizer, gallery, path), endless, WORKERS)
        faces = 0
        for number, found in enumerate(progress(done, photos, "memory"), 1):
            faces += found
            if number % EVERY == 0:
                samples.append({"photos": number, "rss_mb": round(rss_bytes() / MB, 1)})
    report.settings.update(photos=photos, workers=WORKERS, people=PEOPLE, sampled_every=EVERY)
    report.results.update(faces=faces, samples=samples)
    add_rows(report)


def add_rows(report: Report) -> None:
    """Memory after the first photos, at the end, the trend between, and the peak."""
    samples, photos = report.results["samples"], report.settings["photos"]
    settled = next(s["rss_mb"] for s in samples if s["photos"] >= SETTLED)
    end, trend = samples[-1]["rss_mb"], growth(samples)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = round(peak / (MB if sys.platform == "darwin" else 1024), 1)
    report.results.update(
        rss_settled_mb=settled,
        rss_end_mb=end,
        growth_mb=round(end - settled, 1),
        trend_mb=trend,
        slope_kb_per_1000_photos=slope(samples),
        peak_mb=peak_mb,
    )
    report.row(f"resident after {SETTLED} photos", f"{settled:.0f} MB")
    report.row(f"resident after {photos} photos", f"{end:.0f} MB", ratio=f"{end - settled:+.1f} MB")
    report.row(
        f"growth after photo {SETTLED}, medians of {WINDOW} photos",
        f"{trend:+.1f} MB",
        target=f"≤ {ALLOWED_MB:.0f} MB",
        met=trend <= ALLOWED_MB,
    )
    report.row("slope over the second half, per 1000 photos", f"{slope(samples):+.0f} kB")
    report.row("peak", f"{peak_mb:.0f} MB")


def growth(samples: list[dict[str, float]]) -> float:
    """Median of the last `WINDOW` photos less the median of the first ones after `SETTLED`.

    A single sample catches whatever pictures are in flight. A short run's windows are halves.
    """
    later = [s for s in samples if s["photos"] >= SETTLED]
    count = max(1, min(WINDOW // EVERY, len(later) // 2))
    first = statistics.median(s["rss_mb"] for s in later[:count])
    last = statistics.median(s["rss_mb"] for s in later[-count:])
    return round(last - first, 1)


def slope(samples: list[dict[str, float]]) -> float:
    """KB per 1000 photos over the second half, by least squares: what a leak would show."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    fit = np.polynomial.Polynomial.fit(
        [s["photos"] for s in half], [s["rss_mb"] for s in half], 1
    ).convert()
    return round(float(fit.coef[1]) * 1024 * 1000, 1)


def mixed(plain: list[Path]) -> Iterator[Path]:
    """Small pictures without end, and a large one after every 19."""
    large = [p for p in sorted(data_folder("scenes").iterdir()) if p.suffix in {".jpg", ".png"}]
    small, scenes = itertools.cycle(plain), itertools.cycle(large)
    while True:
        yield from itertools.islice(small, PLAIN_PER_SCENE)
        yield next(scenes)


def _enroll(recognizer: Recognizer, gallery: Gallery, plain: list[Path]) -> None:
    enrolled: set[str] = set()
    for path in plain:
        if len(enrolled) == PEOPLE:
            return
        name = path.parent.name
        if name not in enrolled and recognizer.detect(path):
            recognizer.enroll(gallery, name, path, largest=True)
            enrolled.add(name)


def _identify(recognizer: Recognizer, gallery: Gallery, path: Path) -> int:
    faces = recognizer.detect(path)
    return len(recognizer.identify(gallery, faces))


if __name__ == "__main__":
    main("memory", "resident memory over a long run", run, add_options)
