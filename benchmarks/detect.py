"""Face detectors: time beside their peers, faces found, WIDER FACE's AP; writes docs/detectors.md.

Speed is measured in alternating rounds on the same pictures, one thread each. Faces found are those
of the scenes, marked by eye: a face is found when a box's centre lies within half its size of the
mark and its size is between half and twice it. Large close faces are 50 crops in which the face
fills over 70 % of the frame.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from common import (
    ROOT,
    Options,
    Report,
    SkippedError,
    data_folder,
    interleaved,
    main,
    milliseconds,
    model_file,
    need_module,
    progress,
    summary,
    times,
)

if TYPE_CHECKING:
    from vultus.detect import Detector
    from vultus.types import Face, Frame

    Find = Callable[[Frame], Sequence[Face]]

SIZE_WH = (640, 480)
MIN_FACE_PX = 20.0
CLOSE_CROPS = 50
CLOSE_SHARE = 0.75  # of the frame's shorter side: above the 70 % that is promised
PUBLISHED = {
    "scrfd-500m": (91.0, 88.4, 69.5),
    "scrfd-2.5g": (93.8, 92.0, 77.1),
    "yunet": (88.4, 86.6, 75.0),
}
WITHIN_POINTS = 4.0
BEGIN, END = "<!-- detectors:begin -->", "<!-- detectors:end -->"
PAGE = ROOT / "docs" / "detectors.md"


class Subject(NamedTuple):
    """A detector under test.

    Attributes:
        name: Of its card.
        detector: Loaded, with its card's thresholds.
        sensitive: Loaded again for WIDER FACE: every score, faces of every size.
        size_bytes: Of its weights.
        licence: SPDX or words.
    """

    name: str
    detector: Detector
    sensitive: Detector
    size_bytes: int
    licence: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """The suite's own options."""
    parser.add_argument("--only", nargs="*", help="names of detectors; all that are here without")
    parser.add_argument("--no-wider", action="store_true", help="leave WIDER FACE out")
    parser.add_argument("--docs", action="store_true", help=f"write the table into {PAGE.name}")


def run(report: Report, options: Options) -> None:
    """Find the detectors of this machine, then measure each."""
    import cv2

    cv2.setNumThreads(1)
    subjects = installed(report, options.extra["only"])
    frames = scene_frames()
    report.settings.update(size_wh=SIZE_WH, min_face_px=MIN_FACE_PX, scenes=len(frames), threads=1)
    speed(report, subjects, frames, options)
    rows = {subject.name: row_of(subject, report) for subject in subjects}
    for subject in subjects:
        rows[subject.name] |= faces_found(subject.detector, options)
        if not options.extra["no_wider"]:
            rows[subject.name] |= wider(subject, report, options)
    report.results["detectors"] = rows
    add_rows(report, rows)
    if options.extra["docs"]:
        write_docs(rows, report)


# -- who takes part -------------------------------------------------------------------------------


def installed(report: Report, only: list[str] | None) -> list[Subject]:
    """Every detector whose weights are here: shipped, in the store, or in the shared models."""
    from vultus.detect import DetectorOptions, detector_for
    from vultus.models import Registry, Store

    store = with_shared_weights(Store)
    found = []
    for card in Registry():
        if card.kind != "detector" or (only and card.name not in only):
            continue
        if not store.has(card):
            report.skip(f"{card.name}: its weight is not on this machine")
            continue
        usual = detector_for(card, store, None, DetectorOptions())
        all_of_them = DetectorOptions(min_face_px=12.0, **protocol_of(card.name))
        found.append(
            Subject(
                card.name,
                usual,
                detector_for(card, store, None, all_of_them),
                sum(weight.bytes or 0 for weight in card.weights),
                card.licence.spdx,
            )
        )
    return found


def protocol_of(name: str) -> dict[str, Any]:
    """How the published accuracy of a family was measured, where that is known."""
    if name.startswith("scrfd"):  # InsightFace, detection/scrfd: VGA resolution
        return {"score_threshold": 0.02, "nms_iou": 0.45, "size_wh": (640, 640)}
    if name.startswith("yunet"):  # libfacedetection.train: original size
        return {"score_threshold": 0.02, "nms_iou": 0.45, "max_side_px": 4096}
    if name in {"mtcnn", "opencv-haar", "dlib-mmod"}:
        return {}
    return (
        {"score_threshold": 0.02, "max_side_px": 4096}
        if "retina" in name
        else {"score_threshold": 0.02}
    )


def with_shared_weights(make: Callable[..., Any]) -> Any:
    """A store that also holds the shared models, copied to a folder that goes with the process."""
    from vultus.errors import VultusError
    from vultus.models import Registry

    root = Path(os.environ.get("VULTUS_TEST_MODELS") or ROOT.parent / "shared" / "models")
    folder = tempfile.TemporaryDirectory(prefix="vultus-bench-")
    store = make(Path(folder.name))
    store._kept = folder
    registry = Registry()
    for file in sorted(root.glob("*.onnx")) if root.is_dir() else []:
        try:
            store.add(file, registry=registry)
        except VultusError as error:  # a file that no card knows
            print(f"{file.name}: {error}", file=sys.stderr)
    return store


# -- speed ----------------------------------------------------------------------------------------


def scene_frames() -> list[Frame]:
    """The scenes, each fitted into 640 x 480."""
    import cv2

    from vultus import load_frame
    from vultus.types import Frame

    frames = []
    for path in sorted(p for p in data_folder("scenes").iterdir() if p.suffix != ".json"):
        image = load_frame(path).image
        canvas = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
        scale = min(SIZE_WH[0] / image.shape[1], SIZE_WH[1] / image.shape[0])
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas[: small.shape[0], : small.shape[1]] = small[: SIZE_WH[1], : SIZE_WH[0]]
        frames.append(Frame(canvas, path.name))
    return frames


def speed(
    report: Report, subjects: Sequence[Subject], frames: Sequence[Frame], options: Options
) -> None:
    """Time all detectors and all peers in one run, on the same pictures."""
    from vultus.detect import DetectorOptions, detector_for
    from vultus.models import Registry, Store

    small = detector_for(
        Registry().get("mtcnn"), Store(), None, DetectorOptions(min_face_px=MIN_FACE_PX)
    )
    calls: dict[str, Callable[[int], object]] = {
        f"vultus {s.name}": (lambda i, d=s.detector: d.detect(frames[i % len(frames)]))
        for s in subjects
    }
    calls["vultus mtcnn, min face 20"] = lambda i: small.detect(frames[i % len(frames)])
    calls |= bare_networks(subjects, frames)
    for peer in (facenet_pytorch, opencv_haar, dlib_hog, opencv_yunet):
        try:
            calls |= peer(frames)
        except SkippedError as reason:
            report.skip(f"{peer.__name__}: {reason}")
    rounds = options.count(5 * len(frames), len(frames))
    taken = interleaved(calls, rounds, label="speed")
    report.results["timing"] = {name: summary(t) for name, t in taken.items()}
    try:
        slow = {**dlib_mmod(frames)}
        ours = next(s.detector for s in subjects if s.name == "dlib-mmod")
        slow["vultus dlib-mmod beside dlib"] = lambda i: ours.detect(frames[i % len(frames)])
        taken = interleaved(slow, options.count(5, 1), label="MMOD")
        report.results["timing"] |= {name: summary(t) for name, t in taken.items()}
    except (SkippedError, StopIteration) as reason:
        report.skip(f"dlib's MMOD: {reason}")


def bare_networks(
    subjects: Sequence[Subject], frames: Sequence[Frame]
) -> dict[str, Callable[[int], object]]:
    """The network's own run on the tensor that its detector makes of each picture."""
    calls: dict[str, Callable[[int], object]] = {}
    for subject in subjects:
        if subject.name not in {"yunet", "scrfd-500m"}:
            continue
        detector: Any = subject.detector
        tensors: list[dict[str, Any]] = []
        session = detector._session
        run_once = session.run

        def recording(
            inputs: Any, *rest: Any, kept: list[Any] = tensors, run: Any = run_once
        ) -> Any:
            kept.append({name: value.copy() for name, value in inputs.items()})
            return run(inputs, *rest)

        session.run = recording
        for frame in frames:
            detector.detect(frame)
        session.run = run_once
        calls[f"network alone {subject.name}"] = lambda i, s=session, t=tensors: s.run(
            t[i % len(t)]
        )
    return calls


def facenet_pytorch(frames: Sequence[Frame]) -> dict[str, Callable[[int], object]]:
    """facenet-pytorch's MTCNN, from its installed source, without torchvision."""
    need_module("facenet_pytorch", "pip install --no-deps facenet-pytorch==2.6.0")
    need_module("torch", "pip install torch")
    spec = importlib.util.find_spec("facenet_pytorch")
    root = Path(str(spec.origin)).parent if spec else Path()
    places = {
        "mtcnn.py": "models/mtcnn.py",
        "detect_face.py": "models/utils/detect_face.py",
        **{name: f"data/{name}" for name in ("pnet.pt", "rnet.pt", "onet.pt")},
    }
    sys.path.insert(0, str(ROOT / "scripts"))
    import torch
    from convert.originals import load_mtcnn

    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="vultus-facenet-"))
    members = {name: (root / place).read_bytes() for name, place in places.items()}
    module = load_mtcnn(members, folder)
    network = module.MTCNN(keep_all=True, min_face_size=int(MIN_FACE_PX), device="cpu")
    return {
        "facenet-pytorch mtcnn, min face 20": lambda i: network.detect(
            frames[i % len(frames)].image, landmarks=True
        )
    }


def opencv_haar(frames: Sequence[Frame]) -> dict[str, Callable[[int], object]]:
    """OpenCV's cascade as its tutorial calls it."""
    import cv2

    folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))

    def find(i: int) -> object:
        grey = cv2.cvtColor(frames[i % len(frames)].image, cv2.COLOR_RGB2GRAY)
        return cascade.detectMultiScale(grey, 1.1, 5)

    return {"OpenCV Haar": find}


def opencv_yunet(frames: Sequence[Frame]) -> dict[str, Callable[[int], object]]:
    """OpenCV's own YuNet decoder on the same weight."""
    import cv2

    root = Path(os.environ.get("VULTUS_TEST_MODELS") or ROOT.parent / "shared" / "models")
    weight = root / "face_detection_yunet_2026may.onnx"
    if not weight.is_file():
        raise SkippedError(f"{weight} is absent")
    try:
        network = cv2.FaceDetectorYN.create(str(weight), "", SIZE_WH, 0.6)
        network.detect(frames[0].image)
    except cv2.error as error:
        raise SkippedError(f"OpenCV cannot run {weight.name}: {error}") from error
    bgr = [np.ascontiguousarray(frame.image[..., ::-1]) for frame in frames]
    return {"cv2.FaceDetectorYN": lambda i: network.detect(bgr[i % len(bgr)])}


def dlib_hog(frames: Sequence[Frame]) -> dict[str, Callable[[int], object]]:
    """Dlib's frontal detector, once without and once with upsampling."""
    need_module("dlib", "pip install -r benchmarks/requirements.txt")
    import dlib

    network = dlib.get_frontal_face_detector()
    return {
        "dlib HOG": lambda i: network(frames[i % len(frames)].image, 0),
        "dlib HOG, upsampled once": lambda i: network(frames[i % len(frames)].image, 1),
    }


def dlib_mmod(frames: Sequence[Frame]) -> dict[str, Callable[[int], object]]:
    """Dlib's network, on its own weight."""
    need_module("dlib", "pip install -r benchmarks/requirements.txt")
    import dlib

    network = dlib.cnn_face_detection_model_v1(str(model_file("mmod_human_face_detector.dat")))
    return {"dlib MMOD": lambda i: network(frames[i % len(frames)].image, 0)}


# -- faces found ----------------------------------------------------------------------------------


def faces_found(detector: Detector, options: Options) -> dict[str, Any]:
    """Faces of the scenes found, missed and false; large close faces found."""
    from vultus import load_frame

    folder = data_folder("scenes")
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    found = total = false = 0
    missed: list[str] = []
    for name, marks in truth.items():
        faces = detector.detect(load_frame(folder / name))
        hit = {m: [f for f in faces if is_at(f, mark)] for m, mark in enumerate(marks)}
        found += sum(bool(own) for own in hit.values())
        total += len(marks)
        lost = sum(not own for own in hit.values())
        missed += [f"{name}: {lost} of {len(marks)}"] if lost else []
        extra = [f for f in faces if not any(f in own for own in hit.values())]
        # The painted face on a poster of five.jpg is no error.
        false += max(0, len(extra) - 1) if name == "five.jpg" else len(extra)
    crops = close_crops(10 if options.quick else CLOSE_CROPS)
    close = sum(bool(covering(detector.detect(frame), frame)) for frame in crops)
    return {
        "scenes_found": found,
        "scenes_faces": total,
        "scenes_false": false,
        "scenes_missed": missed,
        "close_found": close,
        "close_faces": len(crops),
    }


def is_at(face: Face, mark: dict[str, Any]) -> bool:
    """Whether a box is that of a marked face."""
    size = float(mark["size_px"])
    gap = np.subtract(face.box.center_xy, mark["center_xy_px"])
    side = max(face.box.width_px, face.box.height_px)
    return bool((np.abs(gap) <= size / 2).all() and size / 2 <= side <= 2 * size)


def close_crops(count: int) -> list[Frame]:
    """Pictures of one face each, cropped so that it fills the frame, enlarged to 640 px."""
    import cv2

    from vultus import load, load_frame
    from vultus.pipeline import largest_face
    from vultus.types import Frame

    recognizer, frames = load(), []
    folder = data_folder("lfw") / "images"
    for path in sorted(folder.glob("*/*_0001.jpg")):
        if len(frames) == count:
            break
        frame = load_frame(path)
        faces = recognizer.detect(frame)
        if len(faces) != 1:
            continue
        box = largest_face(faces).box
        half = max(box.width_px, box.height_px) / CLOSE_SHARE / 2
        x, y = box.center_xy
        rows = slice(max(0, int(y - half)), int(y + half))
        columns = slice(max(0, int(x - half)), int(x + half))
        crop = frame.image[rows, columns]
        big = cv2.resize(crop, (640, 640), interpolation=cv2.INTER_CUBIC)
        frames.append(Frame(np.asarray(big, np.uint8), path.name))
    return frames


def covering(faces: Sequence[Face], frame: Frame) -> list[Face]:
    """Faces that take up over half of the frame's side about its middle."""
    middle = (frame.width_px / 2, frame.height_px / 2)
    return [
        face
        for face in faces
        if face.box.width_px > 0.45 * frame.width_px
        and np.abs(np.subtract(face.box.center_xy, middle)).max() < 0.2 * frame.width_px
    ]


# -- WIDER FACE -----------------------------------------------------------------------------------


def wider(subject: Subject, report: Report, options: Options) -> dict[str, Any]:
    """AP on the pictures of the validation set that are here."""
    from vultus import load_frame
    from vultus.evaluate.protocols.wider import SUBSETS, detections_of, read_wider, wider_ap

    try:
        pictures, _ = read_wider(data_folder("wider"))
    except SkippedError as reason:
        report.skip(f"WIDER FACE: {reason}")
        return {}
    pictures = pictures[::20] if options.quick else pictures
    found = [
        detections_of(subject.sensitive.detect(load_frame(p.path)))
        for p in progress(pictures, len(pictures), f"WIDER {subject.name}")
    ]
    report.settings["wider_pictures"] = len(pictures)
    return {f"wider_{name}": 100 * wider_ap(pictures, found, name) for name in SUBSETS}


# -- telling --------------------------------------------------------------------------------------


def row_of(subject: Subject, report: Report) -> dict[str, Any]:
    """What the table says of a detector besides accuracy."""
    timing = report.results["timing"][f"vultus {subject.name}"]
    return {
        "median_s": timing["median_s"],
        "bytes": subject.size_bytes,
        "licence": subject.licence,
    }


def add_rows(report: Report, rows: dict[str, dict[str, Any]]) -> None:
    """Turn the numbers into lines of the table, with what was promised."""
    timing = {name: t["median_s"] for name, t in report.results["timing"].items()}
    for ours, peer, least in (
        ("vultus mtcnn, min face 20", "facenet-pytorch mtcnn, min face 20", 2.5),
        ("vultus dlib-mmod beside dlib", "dlib MMOD", 15.0),
        ("vultus yunet-2026may", "cv2.FaceDetectorYN", None),
        ("vultus opencv-haar", "OpenCV Haar", None),
    ):
        if ours in timing and peer in timing:
            ratio = timing[peer] / timing[ours]
            report.row(
                ours.removeprefix("vultus "),
                milliseconds(timing[ours]),
                f"{peer} {milliseconds(timing[peer])}",
                times(ratio),
                target=f"≥ {least}×" if least else "",
                met=ratio >= least if least else None,
                headline=least is not None,
            )
    for name in ("yunet", "scrfd-500m"):
        alone = timing.get(f"network alone {name}")
        if alone and f"vultus {name}" in timing:
            ratio = timing[f"vultus {name}"] / alone
            report.row(
                f"{name}, with decoding",
                milliseconds(timing[f"vultus {name}"]),
                f"network alone {milliseconds(alone)}",
                f"{ratio:.2f}",
                target="≤ 1.15",
                met=ratio <= 1.15,
            )
    for name, row in rows.items():
        report.row(
            f"{name}: scenes, close faces",
            f"{row['scenes_found']}/{row['scenes_faces']}, {row['scenes_false']} false; "
            f"{row['close_found']}/{row['close_faces']}",
        )
        if "wider_easy" in row:
            found = tuple(row[f"wider_{s}"] for s in ("easy", "medium", "hard"))
            known = PUBLISHED.get(name)
            near = known and all(f >= k - WITHIN_POINTS for f, k in zip(found, known, strict=True))
            report.row(
                f"{name}: WIDER FACE easy/medium/hard",
                "/".join(f"{ap:.1f}" for ap in found),
                f"published {'/'.join(f'{ap:.1f}' for ap in known)}" if known else "",
                target=f"within {WITHIN_POINTS:.0f}" if known else "",
                met=near if known else None,
            )


def write_docs(rows: dict[str, dict[str, Any]], report: Report) -> None:
    """Put the table of detectors between the marks of docs/detectors.md."""
    lines = [
        "| detector | WIDER easy / medium / hard | scenes | false | close | ms | MB | licence |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in sorted(rows.items(), key=lambda item: -item[1].get("wider_medium", 0.0)):
        aps = (
            " / ".join(f"{row[f'wider_{s}']:.1f}" for s in ("easy", "medium", "hard"))
            if ("wider_easy" in row)
            else "–"
        )
        lines.append(
            f"| {name} | {aps} | {row['scenes_found']} of {row['scenes_faces']} | "
            f"{row['scenes_false']} | {row['close_found']} of {row['close_faces']} | "
            f"{row['median_s'] * 1000:.1f} | {row['bytes'] / 1e6:.2f} | {row['licence']} |"
        )
    missed = [
        f"- {name}: {'; '.join(row['scenes_missed'])}"
        for name, row in rows.items()
        if row["scenes_missed"]
    ]
    settings = report.settings
    where = (
        f"{SIZE_WH[0]} × {SIZE_WH[1]}, one thread, medians; WIDER FACE on "
        f"{settings.get('wider_pictures', 0)} pictures."
    )
    text = "\n".join([*lines, "", where, "", "What each one misses in the scenes:", "", *missed])
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main("detect", "face detectors", run, add_options)
