"""Folder against folder: `vultus identify` beside the `face_recognition` command, names counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Options,
    Report,
    SkippedError,
    cores,
    data_folder,
    interleaved,
    main,
    need_module,
    seconds,
    summary,
    times,
)

from vultus.evaluate.protocols.lfw import PictureTree, read_pairs

TARGET_RATIO = 5.0
SEED = 20260101
THRESHOLDS = [round(0.90 + 0.005 * i, 3) for i in range(11)]
TOLERANCES = [round(0.50 + 0.01 * i, 2) for i in range(11)]
NOBODY = {"unknown_person", "no_persons_found"}
Names = dict[str, set[str]]


@dataclass(frozen=True)
class PhotoSet:
    """Two folders on disk and who is on each photo.

    Attributes:
        known: One picture per person, named after them.
        photos: Photos under neutral names.
        truth: File name -> known people on it; empty for strangers.
    """

    known: Path
    photos: Path
    truth: Names


def run(report: Report, options: Options) -> None:
    """Build both sets, run every command on them in turn, count names."""
    report.settings.update(seed=SEED, rounds=options.count(3, 1), cores=cores())
    with tempfile.TemporaryDirectory(prefix="vultus-bench-") as folder:
        made = {
            "LFW, 250 px": partial(lfw_set, quick=options.quick),
            "photos, 150 to 3000 px": partial(scene_set, quick=options.quick),
        }
        for number, (name, make) in enumerate(made.items()):
            try:
                found = make(Path(folder) / str(number))
            except SkippedError as reason:
                report.skip(f"{name}: {reason}")
                continue
            measure(report, name, found, options)
    if not report.results:
        raise SkippedError("no pictures to identify")


def measure(report: Report, name: str, photos: PhotoSet, options: Options) -> None:
    """Time all commands on one set, and count what they answered."""
    commands = vultus_commands(photos)
    try:
        commands = {**peer_commands(photos), **commands}
    except SkippedError as reason:
        report.skip(f"face_recognition: {reason}")
    answers: dict[str, str] = {}

    def call(command: str, _: int) -> None:
        answers[command] = _output(commands[command], photos.known.parent)

    calls = {command: partial(call, command) for command in commands}
    taken = interleaved(calls, report.settings["rounds"], warmup=0, label=name)
    counts = {
        c: score(photos.truth, read_vultus(out) if c.startswith("vultus") else read_peer(out))
        for c, out in answers.items()
    }
    report.results[name] = {
        "known": sum(1 for _ in photos.known.iterdir()),
        "photos": len(photos.truth),
        "photos_of_strangers": sum(not people for people in photos.truth.values()),
        "names_to_find": sum(map(len, photos.truth.values())),
        "timing": {command: summary(t) for command, t in taken.items()},
        "names": counts,
        "threshold_curve": curve(photos.truth, answers["vultus"]),
        "peer_tolerance_curve": [
            point
            for command in list(answers)[:1]
            if not command.startswith("vultus")
            for point in peer_curve(photos.truth, answers[command])
        ],
        "default_threshold": _default_threshold(answers["vultus"]),
    }
    add_rows(report, name)
    if options.quick:  # starting up is most of the time on so few photos: nothing to judge
        for row in report.rows:
            row.update(target="", met=None)


# -- the sets -----------------------------------------------------------------------------------


def lfw_set(root: Path, *, quick: bool) -> PhotoSet:
    """60 people of ``pairsDevTest.txt`` known by one picture, their other photos, 60 strangers."""
    lfw = data_folder("lfw")
    people: dict[str, list[Path]] = {}
    tree = PictureTree(lfw / "images")
    for picture in read_pairs(lfw / "pairsDevTest.txt").pictures:
        people.setdefault(picture.person, []).append(tree.path(picture))
    draw = np.random.default_rng(SEED)
    count = 12 if quick else 60
    several = [n for n in draw.permutation(sorted(people)) if len(people[n]) >= 2]
    single = [n for n in draw.permutation(sorted(people)) if len(people[n]) == 1]
    known = {n: people[n][0] for n in several[:count]}
    shown = [(path, {n}) for n in known for path in people[n][1:]]
    shown = [shown[i] for i in draw.permutation(len(shown))[: 2 * count]]
    shown += [(people[n][0], set()) for n in single[:count]]
    return _lay_out(root, known, shown, draw)


def scene_set(root: Path, *, quick: bool) -> PhotoSet:
    """Two statesmen and five entertainers known by one picture; their photos, groups, strangers."""
    scenes, people, helen = data_folder("scenes"), data_folder("people"), data_folder("helen")
    draw = np.random.default_rng(SEED)
    known = {"obama": scenes / "obama.jpg", "biden": scenes / "biden.jpg"}
    on_it = {"group_1920x1080.png": {"obama", "biden"}}
    shown: list[tuple[Path, set[str]]] = []
    for path in sorted(scenes.iterdir()):
        if path.suffix in {".jpg", ".png"} and path not in known.values():
            who = {"obama"} if path.name.startswith("obama") else on_it.get(path.name, set())
            shown.append((path, who))
    for folder in sorted(p for p in people.iterdir() if p.is_dir()):
        first, *rest = sorted(folder.glob("*.jpg"))
        known[folder.name] = first
        shown += [(path, {folder.name}) for path in (rest[:3] if quick else rest)]
    others = sorted(helen.glob("*.jpg"))
    shown += [(others[i], set()) for i in draw.permutation(len(others))[: 3 if quick else 20]]
    return _lay_out(root, known, shown, draw)


def _lay_out(
    root: Path,
    known: Mapping[str, Path],
    shown: list[tuple[Path, set[str]]],
    draw: np.random.Generator,
) -> PhotoSet:
    found = PhotoSet(root / "known", root / "photos", {})
    for folder in (found.known, found.photos):
        folder.mkdir(parents=True)
    for name, path in known.items():
        shutil.copy(path, found.known / f"{name}{path.suffix}")
    for number, i in enumerate(draw.permutation(len(shown))):
        path, who = shown[i]
        name = f"photo{number:04d}{path.suffix}"
        shutil.copy(path, found.photos / name)
        found.truth[name] = who
    return found


# -- the commands -------------------------------------------------------------------------------


def vultus_commands(photos: PhotoSet) -> dict[str, list[str]]:
    """The command as one would type it, and one picture at a time (networks use all cores)."""
    command = [sys.executable, "-m", "vultus", "identify", "known", "photos", "--json"]
    return {"vultus": command, "vultus -j 1": [*command, "-j", "1"]}


def peer_commands(photos: PhotoSet) -> dict[str, list[str]]:
    """The peer's command, on one core as it is by default, and on all.

    Raises:
        SkippedError: It is not installed.
    """
    need_module("face_recognition", "pip install --no-deps face_recognition==1.3.0")
    for name in ("dlib", "face_recognition_models", "pkg_resources"):
        need_module(name, "pip install -r benchmarks/requirements.txt")
    # Its console script would print pkg_resources' deprecation; otherwise this is the command.
    code = "from face_recognition.face_recognition_cli import main; main()"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        code,
        "known",
        "photos",
        "--show-distance",
        "true",
    ]
    return {
        f"face_recognition --cpus {n}": [*command, "--cpus", str(n)] for n in sorted({1, cores()})
    }


def _output(command: list[str], folder: Path) -> str:
    """What a command prints. Unbuffered: the peer's workers are killed with full buffers."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


# -- names --------------------------------------------------------------------------------------


def read_vultus(text: str, threshold: float | None = None) -> Names:
    """The names per photo in ``vultus identify --json``, or what another threshold would say."""
    named: Names = {}
    for line in text.splitlines():
        record = json.loads(line)
        names = named.setdefault(Path(record["image"]).name, set())
        for face in record["faces"]:
            if threshold is None:
                names.update({face["name"]} - {None})
            elif face["nearest"] and face["nearest"][0]["similarity"] >= threshold:
                names.add(face["nearest"][0]["name"])
    return named


def read_peer(text: str, tolerance: float | None = None) -> Names:
    """The names per photo in the peer's ``path,name,distance`` lines.

    It may give a face several names: everybody within the tolerance, nearest or not.

    Args:
        text: What it printed.
        tolerance: Keep only names within this distance, below the one it ran with.
    """
    named: Names = {}
    for line in text.splitlines():
        path, *rest = line.rsplit(",", 2)
        if len(rest) == 2 and path.startswith("photos"):
            name, distance = rest
            names = named.setdefault(Path(path).name, set())
            if name not in NOBODY and (tolerance is None or float(distance) <= tolerance):
                names.add(name)
    return named


def score(truth: Names, named: Names) -> dict[str, int]:
    """Names that are right, names of known people who are not there, names that are missing."""
    pairs = [(people, named.get(photo, set())) for photo, people in truth.items()]
    return {
        "correct": sum(len(there & said) for there, said in pairs),
        "wrong": sum(len(said - there) for there, said in pairs),
        "missed": sum(len(there - said) for there, said in pairs),
        "photos_exactly_right": sum(
            photo in named and named[photo] == there for photo, there in truth.items()
        ),
        "photos_answered": sum(photo in named for photo in truth),
    }


def curve(truth: Names, text: str) -> list[dict[str, float]]:
    """What each threshold would have said, from the nearest similarities of one run."""
    return [{"threshold": t, **score(truth, read_vultus(text, t))} for t in THRESHOLDS]


def peer_curve(truth: Names, text: str) -> list[dict[str, float]]:
    """What each tolerance up to its default would have said, from the distances of one run."""
    return [{"tolerance": t, **score(truth, read_peer(text, t))} for t in TOLERANCES]


def _default_threshold(text: str) -> float | None:
    faces = (face for line in text.splitlines() for face in json.loads(line)["faces"])
    return next((face["threshold"] for face in faces), None)


# -- the table ----------------------------------------------------------------------------------


def add_rows(report: Report, name: str) -> None:
    """Times against each peer of the same number of cores, names against the better peer."""
    found: dict[str, Any] = report.results[name]
    median = {command: t["median_s"] for command, t in found["timing"].items()}
    peers = [c for c in median if not c.startswith("vultus")]
    title = f"{name}: {found['known']} known, {found['photos']} photos"
    if not peers:
        report.row(f"{title}; time", seconds(median["vultus"]))
    for peer in peers:
        ratio = median[peer] / median["vultus"]
        promised = peer.endswith("--cpus 1")  # the command as its users run it
        report.row(
            f"{title}; time",
            seconds(median["vultus"]),
            f"{peer}: {seconds(median[peer])}",
            times(ratio),
            target=f"≥ {TARGET_RATIO:.0f}×" if promised else "",
            met=ratio >= TARGET_RATIO if promised else None,
            headline=True,
        )
    if "face_recognition --cpus 1" in median:
        one, peer_one = median["vultus -j 1"], median["face_recognition --cpus 1"]
        report.row(
            f"{name}: time, one picture at a time (-j 1)",
            seconds(one),
            f"face_recognition --cpus 1: {seconds(peer_one)}",
            times(peer_one / one),
        )
    add_name_rows(report, name, peers)
    print(f"{name}: names by threshold (the default is {found['default_threshold']})")
    _print_curve("threshold", found["threshold_curve"])
    if found["peer_tolerance_curve"]:
        print(f"{name}: face_recognition's names by tolerance (the default is 0.6)")
        _print_curve("tolerance", found["peer_tolerance_curve"])


def add_name_rows(report: Report, name: str, peers: list[str]) -> None:
    """Counts of names; of several peer commands the better one counts."""
    found = report.results[name]
    for what, key, better, target in (
        ("correct names", "correct", max, "at least as many"),
        ("wrong names", "wrong", min, "no more"),
        ("photos with exactly the right names", "photos_exactly_right", max, ""),
    ):
        mine = found["names"]["vultus"][key]
        best = better((found["names"][peer][key] for peer in peers), default=None)
        total = {"correct": f" of {found['names_to_find']}", "wrong": ""}.get(
            key, f" of {found['photos']}"
        )
        report.row(
            f"{name}: {what}",
            f"{mine}{total}",
            "" if best is None else f"face_recognition: {best}{total}",
            target=target if best is not None else "",
            met=better(mine, best) == mine if best is not None and target else None,
            headline=True,
        )


def _print_curve(key: str, points: Iterable[Mapping[str, float]]) -> None:
    for p in points:
        print(
            f"  {p[key]:.3f}  correct {p['correct']:4.0f}  wrong {p['wrong']:4.0f}  "
            f"photos exactly right {p['photos_exactly_right']:4.0f}"
        )


if __name__ == "__main__":
    main("identify", "known people on a folder of photos, end to end", run)
