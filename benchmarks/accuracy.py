"""How accurate is each embedder? LFW's View 1 from original pictures; writes docs/accuracy.md.

Every embedder whose weights are here: the default, those of the shared models, and both joined.
Pictures are decoded, faces found by the default detector, aligned as the model's card says. The
threshold is chosen on pairsDevTrain and tested on pairsDevTest, whose people are others; rates at
low FMR come from every pair of pictures of pairsDevTest's people, as do the false match rates that
the shipped calibrations (made on pairsDevTrain's people) give on these strangers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Options, Report, cores, data_folder, interleaved, main, milliseconds

PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
TARGETS = {
    ("dlib-resnet-v1", False): 0.983,
    ("dlib-resnet-v1", True): 0.986,
    ("dlib-mobilefacenet", True): 0.992,
}
RATES = (1e-2, 1e-3)
TIME_LIMIT_S, CACHED_LIMIT_S = 180.0, 15.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument("--docs", action="store_true", help=f"write the table into {PAGE.name}")


def run(report: Report, options: Options) -> None:
    """Evaluate every embedder, without and with the mirror image."""
    home = Path(tempfile.mkdtemp(prefix="vultus-accuracy-"))
    os.environ["VULTUS_HOME"], os.environ["VULTUS_CACHE"] = str(home), str(home / "cache")
    names = installed(report)
    report.settings.update(workers=cores(), detector="mtcnn", min_face_px=40)
    timed_runs(report, options)
    rows = []
    for name in names:
        for mirror in (False, True):
            row = accuracy(name, options, mirror=mirror)
            rows.append(row)
            add_row(report, row, options)
    report.results["models"] = rows
    report.results["normalised"] = normalised_rates()
    for row in report.results["normalised"]:
        report.row(
            f"dlib-resnet-v1, {row['scores']}, set for {row['rate']:g}",
            f"FMR {row['fmr']:.2g}, FNMR {row['fnmr']:.2%}",
        )
    report.results["ms_per_face"] = timing(names)
    if options.extra["docs"]:
        write_docs(report)


def installed(report: Report) -> list[str]:
    """Embedders that can run here, the shared models added to a store of this run."""
    from vultus.errors import VultusError
    from vultus.models import Registry, Store

    root = Path(os.environ.get("VULTUS_TEST_MODELS") or ROOT.parent / "shared" / "models")
    registry, store = Registry(), Store()
    for file in sorted(root.glob("*.onnx")) if root.is_dir() else []:
        try:
            store.add(file, registry=registry)
        except VultusError as error:  # a file that no card knows
            report.skip(f"{file.name}: {error.message}")
    found = []
    for card in registry:
        if card.kind != "embedder":
            continue
        parts = [registry.get(part.model) for part in card.composite] or [card]
        if all(store.has(part) for part in parts):
            found.append(card.name)
        else:
            report.skip(f"{card.name}: its weight is not on this machine")
    return found


def timed_runs(report: Report, options: Options) -> None:
    """The command, as a user runs it: first from the pictures, then from the cache."""
    lfw = data_folder("lfw")
    lists = ["--pairs", str(lfw / "pairsDevTest.txt")]
    lists += ["--threshold-from", str(lfw / "pairsDevTrain.txt")]
    command = [sys.executable, "-m", "vultus", "evaluate", "lfw", "--images", str(lfw / "images")]
    import time

    for what, limit in (("from pictures", TIME_LIMIT_S), ("from the cache", CACHED_LIMIT_S)):
        began = time.perf_counter()
        ended = subprocess.run(
            [*command, *lists, "--flip", "--json"], check=True, capture_output=True, text=True
        )
        taken = time.perf_counter() - began
        report.results[f"seconds {what}"] = taken
        report.results.setdefault("command", json.loads(ended.stdout))
        report.row(
            f"vultus evaluate lfw, 4,992 pictures, {what}",
            f"{taken:.1f} s",
            target=f"≤ {limit:.0f} s",
            met=taken <= limit,
        )


def accuracy(name: str, options: Options, *, mirror: bool) -> dict[str, Any]:
    """Everything about one model."""
    from vultus.decide import shipped_calibration
    from vultus.errors import InsufficientDataError
    from vultus.evaluate.embeddings import EmbedOptions, embed_pictures
    from vultus.evaluate.metrics import Scores, fnmr_at_fmr
    from vultus.evaluate.protocols.lfw import PictureTree, evaluate_lfw, read_pairs
    from vultus.models import Registry, space_in

    lfw = data_folder("lfw")
    train, test = (read_pairs(lfw / f"pairs{side}.txt") for side in ("DevTrain", "DevTest"))
    embed = partial(embed_pictures, options=EmbedOptions(model=name, mirror=mirror))
    result = evaluate_lfw(lfw / "images", test, embed, threshold_from=train, distance="cosine")
    tree = PictureTree(lfw / "images")
    pictures = test.pictures
    made = embed([tree.path(picture) for picture in pictures])
    here = made.found
    people = [p.person for p, found in zip(pictures, here.tolist(), strict=True) if found]
    scores = Scores.from_embeddings(made.vectors[here], people)
    registry = Registry()
    card = registry.get(name)
    row: dict[str, Any] = {
        "model": name,
        "mirror": mirror,
        "space": result.space,
        "bytes": sum(
            weight.bytes or 0
            for part in ([registry.get(p.model) for p in card.composite] or [card])
            for weight in part.weights
        ),
        "accuracy": result.figures.accuracy,
        "auc": result.figures.auc,
        "eer": result.figures.eer,
        "no_face": len(result.no_face),
        "missing": len(result.missing),
        "impostor": len(scores.impostor),
        "genuine": len(scores.genuine),
    }
    for rate in (1e-3, 1e-4):
        row[f"tar@{rate:g}"] = fnmr_at_fmr(scores, rate).tar
    calibration = shipped_calibration(space_in(registry, card, mirror=mirror))
    for rate in RATES if calibration else ():
        try:
            limit = calibration.threshold(rate).value  # type: ignore[union-attr]
        except InsufficientDataError:
            continue
        row[f"fmr for {rate:g}"] = float((scores.impostor >= limit).mean())
    return row


def normalised_rates() -> list[dict[str, Any]]:
    """The default embedder's errors on pairsDevTest's people, as it is and normalised."""
    from vultus.decide import Normaliser, normalised_space, shipped_calibration, shipped_cohort
    from vultus.evaluate.embeddings import EmbedOptions, embed_pictures
    from vultus.evaluate.protocols.lfw import PictureTree, read_pairs

    lfw = data_folder("lfw")
    pictures = read_pairs(lfw / "pairsDevTest.txt").pictures
    tree = PictureTree(lfw / "images")
    made = embed_pictures([tree.path(picture) for picture in pictures], EmbedOptions(face="center"))
    vectors = made.vectors[made.found]
    people = np.array([p.person for p, f in zip(pictures, made.found, strict=True) if f])
    first, second = np.triu_indices(len(vectors), 1)
    same = people[first] == people[second]
    cohort = shipped_cohort(made.space)
    if cohort is None:
        return []
    found = []
    for name, space, normaliser in (
        ("as they are", made.space, None),
        ("normalised", normalised_space(made.space), Normaliser(cohort)),
    ):
        scores = vectors @ vectors.T
        if normaliser is not None:
            scores = normaliser.similarities(scores, vectors, vectors)
        values = scores[first, second]
        calibration = shipped_calibration(space)
        for rate in (1e-2, 1e-3, 1e-4):
            limit = calibration.threshold(rate).value if calibration else 1.0
            fmr, fnmr = (values[~same] >= limit).mean(), (values[same] < limit).mean()
            found.append({"scores": name, "rate": rate, "limit": limit, "fmr": fmr, "fnmr": fnmr})
    return [{k: v if isinstance(v, str) else float(v) for k, v in row.items()} for row in found]


def normalised_lines(rows: list[dict[str, Any]]) -> list[str]:
    """What normalisation gains, for docs/decisions.md."""
    lines = [
        "| similarities | set for FMR | threshold | got, on other people | genuine pairs missed |",
        "| --- | --- | --- | --- | --- |",
    ]
    return lines + [
        f"| {row['scores']} | {row['rate']:g} | {row['limit']:.4f} | {row['fmr']:.2g} | "
        f"{row['fnmr']:.2%} |"
        for row in rows
    ]


def timing(names: list[str]) -> dict[str, float]:
    """Milliseconds per face with the mirror mean, one thread, alignment included, interleaved."""
    import cv2

    from vultus import load, load_frame
    from vultus.encode import face_embedder_for
    from vultus.models import Registry, Store
    from vultus.runtime import SessionOptions

    cv2.setNumThreads(1)
    registry, store = Registry(), Store()
    found = load()
    folder = data_folder("lfw") / "images"
    faces = []
    for path in sorted(folder.glob("*/*_0001.jpg"))[:20]:
        faces += found.detect(load_frame(path))[:1]
    embedders = {
        name: face_embedder_for(registry.get(name), registry, store, SessionOptions(threads=1))
        for name in names
    }
    calls = {
        name: (lambda i, e=embedder: e.embed([faces[i % len(faces)]]))
        for name, embedder in embedders.items()
    }
    taken = interleaved(calls, 40, lead_in=True)
    return {name: float(np.median(t)) * 1000 for name, t in taken.items()}


def add_row(report: Report, row: dict[str, Any], options: Options) -> None:
    """One line of the table."""
    target = TARGETS.get((row["model"], row["mirror"]))
    report.row(
        f"{row['model']}, {'mirror mean' if row['mirror'] else 'one pass'}",
        f"{100 * row['accuracy']:.2f} %, TAR {100 * row['tar@0.001']:.1f} % at FMR 1e-3",
        target=f"≥ {100 * target:.1f} %" if target else "",
        met=row["accuracy"] >= target if target else None,
        headline=row["mirror"],
    )
    for rate in RATES:
        measured = row.get(f"fmr for {rate:g}")
        if measured is not None:
            report.row(
                f"{row['model']}: FMR on strangers, set for {rate:g}",
                f"{measured:.2g}",
                target="within a factor of 2",
                met=rate / 2 <= measured <= rate * 2,
            )


def write_docs(report: Report) -> None:
    """Put the table between the marks of docs/accuracy.md."""
    lines = [
        "| model | faces as | accuracy | TAR at FMR 1e-3 | 1e-4 | EER | set for FMR 1e-2: got | "
        "set for 1e-3: got | ms per face | MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in report.results["models"]:
        rates = [row.get(f"fmr for {rate:g}") for rate in RATES]
        got = ["–" if rate is None else f"{rate:.2g}" for rate in rates]
        ms = report.results["ms_per_face"][row["model"]]
        lines.append(
            f"| {row['model']} | {'mirror mean' if row['mirror'] else 'one pass'} | "
            f"{100 * row['accuracy']:.2f} % | {100 * row['tar@0.001']:.1f} % | "
            f"{100 * row['tar@0.0001']:.1f} % | {100 * row['eer']:.2f} % | {got[0]} | {got[1]} | "
            f"{milliseconds(ms / 1000) if row['mirror'] else ''} | {row['bytes'] / 1e6:.1f} |"
        )
    first = report.results["models"][0]
    seconds = {
        what: report.results[f"seconds {what}"] for what in ("from pictures", "from the cache")
    }
    lines += [
        "",
        f"{first['genuine']:,} genuine and {first['impostor']:,} impostor cross pairs of "
        f"pairsDevTest's people; {first['no_face']} pictures without a face, {first['missing']} "
        f"missing; {report.settings['workers']} workers. `vultus evaluate lfw` took "
        f"{seconds['from pictures']:.0f} s from the pictures and {seconds['from the cache']:.1f} s "
        "from the cache.",
    ]
    fill(BEGIN, END, lines)
    fill("<!-- calibration:begin -->", "<!-- calibration:end -->", calibration_lines())
    fill(
        "<!-- normalised:begin -->",
        "<!-- normalised:end -->",
        normalised_lines(report.results["normalised"]),
        PAGE.with_name("decisions.md"),
    )


def calibration_lines() -> list[str]:
    """The default pack's calibration as a table."""
    from vultus.decide import shipped_calibration
    from vultus.models import Registry, space_in

    registry = Registry()
    made = shipped_calibration(space_in(registry, registry.get("dlib-resnet-v1"), mirror=True))
    if made is None:
        return []
    lines = [
        "| FMR | similarity from | 95 % interval of the FMR | genuine pairs missed |",
        "| --- | --- | --- | --- |",
    ]
    for rate in (1e-1, 1e-2, 5e-3, 1e-3, 1e-4, 1e-5):
        found = made.threshold(rate)
        bounds = made.fmr_at(found.value)
        lines.append(
            f"| {rate:g} | {found.value:.4f} | {bounds.low:.2g}–{bounds.high:.2g} | "
            f"{found.fnmr or 0.0:.2%} |"
        )
    lines += [
        "",
        f"{made.space.id}: {made.subjects:,} people, {made.images:,} pictures, {made.genuine:,} "
        f"genuine and {made.impostor:,} impostor pairs, {made.created}.",
    ]
    return lines


def fill(begin: str, end: str, lines: list[str], path: Path = PAGE) -> None:
    """Put lines between two marks of a page."""
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main("accuracy", "embedders on LFW's View 1", run, add_options)
