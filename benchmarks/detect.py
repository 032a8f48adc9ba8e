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
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from common import (
    ROOT,
    Options,
    Report,
    SkippedError,
    conditions,
    cores,
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
from table import circumstances

if TYPE_CHECKING:
    from vultus.detect import Detector
    from vultus.models import Store
    from vultus.types import Face, Frame

Call: TypeAlias = Callable[[int], object]

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
ENOUGH_PICTURES = 200  # the average precision of fewer says little: of 220 it moves by 3 points
NEAR_BARE = ("yunet", "yunet-2026may", "scrfd-500m")  # little besides the network's own time
SUBSETS = ("easy", "medium", "hard")
BEGIN, END = "<!-- detectors:begin -->", "<!-- detectors:end -->"
PAGE = ROOT / "docs" / "detectors.md"


class Subject(NamedTuple):
    """A detector under test.

    Attributes:
        name: Of its card.
        detector: Loaded, with its card's thresholds.
        twice: The same with a second look at 320 px; ``None`` where there is no such thing.
        sensitive: Loaded again for WIDER FACE: every score, faces of every size.
        size_bytes: Of its weights.
        licence: SPDX or words.
    """

    name: str
    detector: Detector
    twice: Detector | None
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
    with tempfile.TemporaryDirectory(prefix="vultus-bench-") as folder:
        subjects = installed(report, options.extra["only"], Path(folder))
        frames = scene_frames()
        report.settings.update(
            size_wh=SIZE_WH, min_face_px=MIN_FACE_PX, scenes=len(frames), threads=1
        )
        speed(report, subjects, frames, options, Path(folder))
    rows = {subject.name: row_of(subject, report) for subject in subjects}
    crops = close_crops(10 if options.quick else CLOSE_CROPS)
    for subject in progress(subjects, len(subjects), "faces found"):
        rows[subject.name] |= faces_found(subject, crops)
    for subject in [] if options.extra["no_wider"] else subjects:
        rows[subject.name] |= wider(subject, report, options)
    report.results["detectors"] = rows
    add_rows(report, rows)
    if options.extra["docs"]:
        write_docs(rows, report)


# -- who takes part -------------------------------------------------------------------------------


def installed(report: Report, only: list[str] | None, folder: Path) -> list[Subject]:
    """Every detector whose weights are here: shipped, in the store, or in the shared models."""
    from vultus.detect import DetectorOptions, EveryScale, detector_for
    from vultus.errors import RangeError
    from vultus.models import Registry

    stores = stores_here(folder)
    found = []
    for card in Registry():
        if card.kind != "detector" or (only and card.name not in only):
            continue
        store = next((one for one in stores if one.has(card)), None)
        if store is None:
            report.skip(f"{card.name}: its weight is not on this machine")
            continue
        try:
            twice = detector_for(card, store, None, DetectorOptions(scales="two"))
        except RangeError:  # it takes one size only
            twice = None
        found.append(
            Subject(
                card.name,
                detector_for(card, store, None, DetectorOptions()),
                twice if isinstance(twice, EveryScale) else None,
                detector_for(card, store, None, DetectorOptions(**protocol_of(card.name))),
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
    if name.startswith("retinaface"):  # Pytorch_Retinaface, test_widerface.py: original size
        return {"score_threshold": 0.02, "max_side_px": 4096}
    if name == "mtcnn":  # 12 px is the window of its first net
        return {"score_threshold": 0.02, "min_face_px": 12.0}
    if name == "dlib-mmod":  # its scores are margins, 0 is its own threshold
        return {}
    return {"score_threshold": 0.02}


def stores_here(folder: Path) -> list[Store]:
    """The user's store, and one of the shared models' files, copied into `folder`."""
    from vultus.errors import VultusError
    from vultus.models import Registry, Store

    own, shared, registry = Store(), Store(folder / "store"), Registry()
    root = shared_models()
    for file in sorted(root.glob("*.onnx")) if root.is_dir() else []:
        try:
            shared.add(file, registry=registry)
        except VultusError as error:  # a file that no card knows
            print(f"{file.name}: {error}", file=sys.stderr)
    return [own, shared]


def shared_models() -> Path:
    """Where weights that do not ship with vultus may lie."""
    return Path(os.environ.get("VULTUS_TEST_MODELS") or ROOT.parent / "shared" / "models")


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
    report: Report,
    subjects: Sequence[Subject],
    frames: Sequence[Frame],
    options: Options,
    folder: Path,
) -> None:
    """Time every detector with every other, then each pair that something was promised of."""
    finders = {s.name: s.detector for s in subjects}
    calls = {f"vultus {name}": on(find.detect, frames) for name, find in finders.items()}
    for peer in (opencv_haar, dlib_hog, opencv_yunet):
        calls |= available(report, lambda peer=peer: peer(frames))
    # As many rounds as pictures, or a multiple: every picture counts alike.
    rounds = options.count(5, 1) * len(frames)
    timing = report.results["timing"] = {}
    note(timing, interleaved(calls, rounds, label="all detectors"), len(frames))
    for name in NEAR_BARE:
        if name in finders:
            pair = {
                f"{name}, network alone": bare_network(finders[name], frames),
                f"{name}, with decoding": on(finders[name].detect, frames),
            }
            note(timing, interleaved(pair, rounds, lead_in=True, label=name), len(frames))
    for threads in sorted({1, min(2, cores())} if "mtcnn" in finders else ()):
        found = available(report, lambda n=threads: facenet_pytorch(frames, folder, n))
        if found:
            beside_facenet(report, found, frames, options, threads)
    if "dlib-mmod" in finders:
        slow = available(report, lambda: dlib_mmod(frames))
        if slow:
            slow["dlib-mmod beside dlib"] = on(finders["dlib-mmod"].detect, frames)
            taken = interleaved(slow, options.count(len(frames), 2), label="MMOD")
            note(timing, taken, len(frames))


def on(find: Callable[[Frame], object], frames: Sequence[Frame]) -> Callable[[int], object]:
    """A call for `interleaved`: each round the next picture."""
    return lambda i: find(frames[i % len(frames)])


def available(report: Report, make: Callable[[], dict[str, Call]]) -> dict[str, Call]:
    """The calls of a peer; none, and a word in the report, where it is not installed."""
    try:
        return make()
    except SkippedError as reason:
        report.skip(reason)
        return {}


def note(timing: dict[str, Any], taken: dict[str, list[float]], pictures: int) -> None:
    """Keep the summary of each call, and its mean over the pictures."""
    for name, durations in taken.items():
        timing[name] = summary(durations) | {"picture_s": mean_picture(durations, pictures)}


def mean_picture(durations: Sequence[float], pictures: int) -> float:
    """Mean over the pictures of each one's median: crowds count as much as portraits.

    Args:
        durations: Of the rounds, whose pictures come in turn.
        pictures: How many there are.
    """
    turns = [durations[i::pictures] for i in range(min(pictures, len(durations)))]
    return statistics.fmean(statistics.median(own) for own in turns)


def bare_network(detector: Any, frames: Sequence[Frame]) -> Callable[[int], object]:
    """The network's own run on the tensor that its detector makes of each picture."""
    tensors: list[dict[str, Any]] = []
    session = detector._session
    run_once = session.run

    def recording(inputs: Any, *rest: Any) -> Any:
        tensors.append({name: value.copy() for name, value in inputs.items()})
        return run_once(inputs, *rest)

    session.run = recording
    try:
        for frame in frames:
            detector.detect(frame)
    finally:
        del session.run  # the class's own again
    return lambda i: run_once(tensors[i % len(tensors)])


def beside_facenet(
    report: Report,
    peer: dict[str, Call],
    frames: Sequence[Frame],
    options: Options,
    threads: int = 1,
) -> None:
    """MTCNN beside its origin on as many threads: the time, and that both find the same faces."""
    from vultus.detect import DetectorOptions, detector_for
    from vultus.models import Registry, Store
    from vultus.runtime import SessionOptions

    asked, session = DetectorOptions(min_face_px=MIN_FACE_PX), SessionOptions(threads=threads)
    ours = detector_for(Registry().get("mtcnn"), Store(), session, asked)
    ((name, theirs),) = peer.items()
    both = only_ours = only_theirs = 0
    for i, frame in enumerate(frames):
        boxes = [face.box.xyxy for face in ours.detect(frame)]
        others = theirs(i)[0]  # type: ignore[index]  # boxes, or None without a face
        shared = same_boxes(boxes, [] if others is None else others.tolist())
        both += shared
        only_ours += len(boxes) - shared
        only_theirs += (0 if others is None else len(others)) - shared
    report.results["mtcnn_beside_facenet"] = {
        "both": both,
        "only_vultus": only_ours,
        "only_facenet": only_theirs,
    }
    pair = {name: theirs, f"mtcnn, {on_threads(threads)}": on(ours.detect, frames)}
    rounds = options.count(3, 1) * len(frames)
    note(report.results["timing"], interleaved(pair, rounds, label="MTCNN"), len(frames))


def on_threads(count: int) -> str:
    """``min face 20, 2 threads``."""
    return f"min face {MIN_FACE_PX:.0f}, {count} thread{'' if count == 1 else 's'}"


def same_boxes(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> int:
    """How many boxes are in both lists: pairs of an IoU over a half, each box used once."""
    from vultus.types import Box

    left = [Box(*box[:4]) for box in theirs]
    shared = 0
    for box in (Box(*own[:4]) for own in ours):
        best = max(left, key=box.iou, default=None)
        if best is not None and box.iou(best) > 0.5:
            left.remove(best)
            shared += 1
    return shared


def facenet_pytorch(frames: Sequence[Frame], folder: Path, threads: int = 1) -> dict[str, Call]:
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

    torch.set_num_threads(threads)
    members = {name: (root / place).read_bytes() for name, place in places.items()}
    module = load_mtcnn(members, folder)
    network = module.MTCNN(keep_all=True, min_face_size=int(MIN_FACE_PX), device="cpu")
    return {
        f"facenet-pytorch mtcnn, {on_threads(threads)}": lambda i: network.detect(
            frames[i % len(frames)].image, landmarks=True
        )
    }


def opencv_haar(frames: Sequence[Frame]) -> dict[str, Call]:
    """OpenCV's cascade as its tutorial calls it."""
    import cv2

    folder = Path(cv2.data.haarcascades)  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))

    def find(i: int) -> object:
        grey = cv2.cvtColor(frames[i % len(frames)].image, cv2.COLOR_RGB2GRAY)
        return cascade.detectMultiScale(grey, 1.1, 5)

    return {"OpenCV Haar": find}


def opencv_yunet(frames: Sequence[Frame]) -> dict[str, Call]:
    """OpenCV's own YuNet decoder on the same weight."""
    import cv2

    weight = shared_models() / "face_detection_yunet_2026may.onnx"
    if not weight.is_file():
        raise SkippedError(f"{weight} is absent")
    try:
        network = cv2.FaceDetectorYN.create(str(weight), "", SIZE_WH, 0.6)
        network.detect(frames[0].image)
    except cv2.error as error:
        raise SkippedError(f"OpenCV cannot run {weight.name}: {error}") from error
    bgr = [np.ascontiguousarray(frame.image[..., ::-1]) for frame in frames]
    return {"cv2.FaceDetectorYN": lambda i: network.detect(bgr[i % len(bgr)])}


def dlib_hog(frames: Sequence[Frame]) -> dict[str, Call]:
    """Dlib's frontal detector, once without and once with upsampling."""
    need_module("dlib", "pip install -r benchmarks/requirements.txt")
    import dlib

    network = dlib.get_frontal_face_detector()
    return {
        "dlib HOG": lambda i: network(frames[i % len(frames)].image, 0),
        "dlib HOG, upsampled once": lambda i: network(frames[i % len(frames)].image, 1),
    }


def dlib_mmod(frames: Sequence[Frame]) -> dict[str, Call]:
    """Dlib's network, on its own weight."""
    need_module("dlib", "pip install -r benchmarks/requirements.txt")
    import dlib

    network = dlib.cnn_face_detection_model_v1(str(model_file("mmod_human_face_detector.dat")))
    return {"dlib MMOD": lambda i: network(frames[i % len(frames)].image, 0)}


# -- faces found ----------------------------------------------------------------------------------


def faces_found(subject: Subject, crops: Sequence[Frame]) -> dict[str, Any]:
    """Faces of the scenes found, missed and false; large close faces found, in one look or two."""
    from vultus import load_frame

    detector = subject.detector

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
    looks = {"close_found": subject.detector, "close_found_twice": subject.twice}
    close = {
        name: sum(bool(covering(one.detect(frame), frame)) for frame in crops)
        for name, one in looks.items()
        if one is not None
    }
    return {
        "scenes_found": found,
        "scenes_faces": total,
        "scenes_false": false,
        "scenes_missed": missed,
        **close,
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
    from vultus.evaluate.protocols.wider import detections_of, read_wider, wider_ap

    try:
        pictures, _ = read_wider(data_folder("wider"))
    except SkippedError as reason:
        report.skip(f"WIDER FACE: {reason}")
        return {}
    pictures = pictures[::20] if options.quick else pictures
    began = time.perf_counter()
    found = [
        detections_of(subject.sensitive.detect(load_frame(p.path)))
        for p in progress(pictures, len(pictures), f"WIDER {subject.name}")
    ]
    report.settings["wider_pictures"] = len(pictures)
    aps = {f"wider_{name}": 100 * wider_ap(pictures, found, name) for name in SUBSETS}
    return aps | {"wider_took_s": round(time.perf_counter() - began, 1)}


# -- telling --------------------------------------------------------------------------------------


def row_of(subject: Subject, report: Report) -> dict[str, Any]:
    """What the table says of a detector besides accuracy."""
    timing = report.results["timing"][f"vultus {subject.name}"]
    return {
        "picture_s": timing["picture_s"],
        "bytes": subject.size_bytes,
        "licence": subject.licence,
    }


def add_rows(report: Report, rows: dict[str, dict[str, Any]]) -> None:
    """Turn the numbers into lines of the table, with what was promised."""
    timing = {name: t["picture_s"] for name, t in report.results["timing"].items()}
    pictures = report.settings.get("wider_pictures", 0)
    same = report.results.get("mtcnn_beside_facenet", {})
    for ours, peer, least in (
        *(
            (f"mtcnn, {on_threads(n)}", f"facenet-pytorch mtcnn, {on_threads(n)}", 2.5)
            for n in (1, 2)
        ),
        ("dlib-mmod beside dlib", "dlib MMOD", 15.0),
        ("vultus yunet-2026may", "cv2.FaceDetectorYN", None),
        ("vultus opencv-haar", "OpenCV Haar", None),
    ):
        if ours in timing and peer in timing:
            ratio = timing[peer] / timing[ours]
            report.row(
                f"{ours.removeprefix('vultus ')}, {SIZE_WH[0]}×{SIZE_WH[1]}",
                milliseconds(timing[ours]),
                f"{peer} {milliseconds(timing[peer])}",
                times(ratio),
                target=f"≥ {least}×" if least else "",
                met=ratio >= least if least else None,
            )
    if same:
        report.row(
            "mtcnn, faces found by both",
            f"{same['both']}, {same['only_vultus']} alone",
            f"facenet-pytorch {same['only_facenet']} alone",
            target="the same",
            met=same["only_vultus"] == same["only_facenet"] == 0,
        )
    for name in NEAR_BARE:
        alone = timing.get(f"{name}, network alone")
        if alone:
            whole = timing[f"{name}, with decoding"]
            report.row(
                f"{name}, with decoding",
                milliseconds(whole),
                f"network alone {milliseconds(alone)}",
                f"{whole / alone:.2f}",
                target="≤ 1.15",
                met=whole / alone <= 1.15,
            )
    for name, row in rows.items():
        report.row(
            f"{name}: scenes, close faces",
            f"{row['scenes_found']} of {row['scenes_faces']}, {row['scenes_false']} false; "
            f"{close_words(row)}",
        )
        if "wider_easy" in row:
            found = tuple(row[f"wider_{s}"] for s in SUBSETS)
            known = PUBLISHED.get(name)
            near = known and all(f >= k - WITHIN_POINTS for f, k in zip(found, known, strict=True))
            report.row(
                f"{name}: WIDER FACE easy/medium/hard",
                "/".join(f"{ap:.1f}" for ap in found),
                f"published {'/'.join(f'{ap:.1f}' for ap in known)}" if known else "",
                target=f"within {WITHIN_POINTS:.0f}" if known else "",
                met=near if known and pictures >= ENOUGH_PICTURES else None,
            )


def close_words(row: dict[str, Any]) -> str:
    """``1 of 50; 50 in two looks``."""
    words = f"{row['close_found']} of {row['close_faces']}"
    twice = row.get("close_found_twice")
    return words if twice is None else f"{words}; {twice} in two looks"


def table_of(rows: dict[str, dict[str, Any]], pictures: int) -> str:
    """What docs/detectors.md says of each detector, the most accurate first."""
    lines = [
        "| detector | WIDER FACE easy / medium / hard | scenes | false | close | ms | MB "
        "| licence |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    missed = []
    for name, row in sorted(rows.items(), key=lambda item: -item[1].get("wider_medium", 0.0)):
        aps = [row[f"wider_{s}"] for s in SUBSETS if f"wider_{s}" in row]
        cells = (
            name,
            " / ".join(f"{ap:.1f}" for ap in aps) or "–",
            f"{row['scenes_found']} of {row['scenes_faces']}",
            str(row["scenes_false"]),
            close_words(row),
            f"{row['picture_s'] * 1000:.1f}",
            f"{row['bytes'] / 1e6:.2f}" if row["bytes"] else "–",
            row["licence"],
        )
        lines.append(f"| {' | '.join(cells)} |")
        if row["scenes_missed"]:
            missed.append(f"- {name}: {'; '.join(row['scenes_missed'])}")
    if missed:
        lines += ["", "Faces of the scenes that are missed:", "", *missed]
    lines += ["", f"{pictures} pictures of WIDER FACE." if pictures else "WIDER FACE was left out."]
    return "\n".join(lines)


def write_docs(rows: dict[str, dict[str, Any]], report: Report, page: Path = PAGE) -> None:
    """Put the table of detectors between the marks of docs/detectors.md.

    Raises:
        SkippedError: The page lacks the marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SkippedError(f"{page} must hold {BEGIN} and {END}")
    table = table_of(rows, report.settings.get("wider_pictures", 0))
    where = circumstances(conditions())
    page.write_text(f"{before}{BEGIN}\n{table} {where}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main("detect", "face detectors", run, add_options)
