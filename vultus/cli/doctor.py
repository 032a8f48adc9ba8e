"""``vultus doctor``: prove that this installation sees, reads and computes as it should."""

from __future__ import annotations

import io
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from vultus.cli._options import Json
from vultus.cli._output import EXIT_NO, out, print_json, safe
from vultus.errors import VultusError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vultus.types import Embedding, Image

__all__ = ["doctor"]

# The embedder stores half-precision weights; its agreement with dlib's own output on the golden
# chip was 0.9999999 when converted. Exchanged colours still give 0.993 there, hence the limit.
_GOLDEN_COSINE = 0.9999
# A box within one pixel of the reference implementation's, landmarks too.
_GOLDEN_BOX_PX = 1.0
_GOLDEN_POINT_PX = 1.0
_PIPELINE_COSINE = 0.994
# BlazeFace and the meshes give what their published graphs give, to a thousandth of a pixel.
_GOLDEN_GRAPH_PX = 0.01


class Check(NamedTuple):
    """One thing looked at.

    Attributes:
        name: Stable, for programs.
        ok: Whether it is as it should be.
        detail: What was seen.
    """

    name: str
    ok: bool
    detail: str


def doctor(json: Json = False) -> None:
    """Check this installation; exit code 1 when anything is wrong."""
    checks = [_guarded(name, look) for name, look in _CHECKS.items()]
    ok = all(check.ok for check in checks)
    if json:
        print_json({"ok": ok, "checks": [check._asdict() for check in checks]})
    else:
        for check in checks:
            mark = "[green]ok  [/]" if check.ok else "[bold red]FAIL[/]"
            out.print(f"{mark} [bold]{check.name}[/]  {safe(check.detail)}", soft_wrap=True)
        out.print("[bold green]all is well[/]" if ok else "[bold red]something is wrong[/]")
    if not ok:
        raise typer.Exit(EXIT_NO)


def _guarded(name: str, look: Callable[[], tuple[bool, str]]) -> Check:
    try:
        ok, detail = look()
    except VultusError as error:
        return Check(name, False, f"[{error.code}] {error}")
    except Exception as error:  # a broken installation may fail in any way; the doctor tells it
        return Check(name, False, f"{type(error).__name__}: {error}")
    return Check(name, ok, detail)


def _versions() -> tuple[bool, str]:
    from importlib import metadata

    names = ("vultus", "numpy", "onnxruntime", "opencv-python-headless", "pillow")
    found = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return True, f"Python {platform.python_version()} on {platform.machine()}; {found}"


def _weights() -> tuple[bool, str]:
    from vultus.models import Registry, Store

    store = Store()
    cards = [card for card in Registry() if store.has(card)]
    states = [(card.name, state) for card in cards for state in store.verify(card)]
    wrong = [f"{name}/{s.file}" for name, s in states if s.state == "damaged"]
    if wrong:
        return False, f"damaged: {', '.join(wrong)}; `vultus models verify` tells more"
    return True, f"{len(states)} files of {len(cards)} models have the digests their cards state"


def _providers() -> tuple[bool, str]:
    import numpy as np

    from vultus.models import Registry, Store
    from vultus.runtime import SessionOptions, providers_that_ran

    weight = Store().read(Registry().get("mtcnn"), "pnet")
    blob = np.zeros((1, 3, 64, 64), np.float32)
    ran = providers_that_ran(weight, "mtcnn/pnet", {"input": blob}, SessionOptions())
    text = ", ".join(f"{name} ran {count} nodes" for name, count in ran.items())
    return set(ran) == {"CPUExecutionProvider"}, text or "no node was executed"


def _threads() -> tuple[bool, str]:
    from vultus.models import Registry, Store
    from vultus.runtime import Session, SessionOptions, default_threads

    usable = default_threads()
    weight = Store().read(Registry().get("mtcnn"), "pnet")
    started = {}
    for wanted in (1, usable):
        before = _os_threads()
        session = Session(weight, "mtcnn/pnet", SessionOptions(threads=wanted))
        started[wanted] = _os_threads() - before + 1  # the caller's own thread works too
        del session
    if before == 0:
        return True, f"{usable} CPUs may be used; this system does not tell a process's threads"
    text = ", ".join(f"{wanted} asked for, {got} run" for wanted, got in started.items())
    return all(wanted == got for wanted, got in started.items()), f"{usable} CPUs usable; {text}"


def _os_threads() -> int:
    """Threads of this process as the system counts them; 0 where it does not say."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 0


def _exif() -> tuple[bool, str]:
    import numpy as np
    from PIL import Image

    from vultus.sources import load_image

    picture = Image.new("RGB", (32, 16), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 16, 16))  # red on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to view: red is then on top
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    image = load_image(buffer.getvalue())
    right = image.shape == (32, 16, 3) and bool(
        np.array_equal(image[0, 8], (255, 0, 0)) and np.array_equal(image[31, 8], (0, 0, 255))
    )
    return right, "orientation is applied once" if right else f"wrong picture {image.shape}"


def _golden() -> dict[str, NDArray[np.generic]]:
    from importlib import resources

    import numpy as np

    from vultus import models

    data = resources.files(models).joinpath("weights", "golden_pack.npz").read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _detector() -> tuple[bool, str]:
    import numpy as np

    from vultus.pipeline import load

    golden = _golden()
    faces = load(min_face_px=20).detect(golden["picture"])
    if len(faces) != 1:
        return False, f"{len(faces)} faces in the golden picture, 1 expected"
    box = float(np.abs(np.array(faces[0].box.xyxy) - golden["mtcnn_boxes"][0]).max())
    points = float(np.abs(faces[0].points - golden["mtcnn_points"][0]).max())
    ok = box <= _GOLDEN_BOX_PX and points <= _GOLDEN_POINT_PX
    return ok, f"box within {box:.2f} px and landmarks within {points:.2f} px of the reference"


def _mmod() -> tuple[bool, str]:
    import numpy as np

    from vultus.detect.mmod import Mmod
    from vultus.models import Registry, Store
    from vultus.types import Frame

    golden = _golden()
    frame = Frame(golden["picture"].astype(np.uint8))
    faces = Mmod.from_card(Registry().get("dlib-mmod"), Store()).detect(frame)
    if len(faces) != 1:
        return False, f"{len(faces)} faces in the golden picture, 1 expected"
    # dlib's right and bottom are the last pixel inside.
    edges = golden["mmod_box"].astype(np.float64) + (0, 0, 1, 1)
    off = float(np.abs(np.array(faces[0].box.xyxy) - edges).max())
    return off <= _GOLDEN_BOX_PX, f"box within {off:.2f} px of dlib's"


def _blazeface() -> tuple[bool, str]:
    import numpy as np

    from vultus.detect.blazeface import BlazeFace
    from vultus.models import Registry, Store
    from vultus.types import Frame

    golden, off = _golden(), {}
    for name in ("short", "full", "back"):
        detector = BlazeFace.from_card(Registry().get(f"blazeface-{name}"), Store())
        frame = Frame(_window(golden, detector.size_wh[0]))
        found = detector.detect_with_keypoints(frame)
        if len(found) != 1:
            return False, f"{name}: {len(found)} faces in the golden picture, 1 expected"
        (face, points) = found[0]
        values = np.concatenate([face.box.xyxy, points.ravel()])
        expected = golden[f"blazeface_{name}"][1:].astype(np.float64)
        off[name] = float(np.abs(values - expected).max())
    return _near_graphs(off)


def _mesh() -> tuple[bool, str]:
    import numpy as np

    from vultus.models import Registry, Store
    from vultus.runtime import Session

    golden, off = _golden(), {}
    for name in ("facemesh", "facemesh-attention"):
        card = Registry().get(name)
        network = Session(Store().read(card), name)
        window = _window(golden, 192).astype(np.float32) / np.array(card.input.std, np.float32)
        (mesh,) = network.run({"input": window[None]}, ("mesh",))
        expected = golden[f"{name.replace('-', '_')}_mesh"].astype(np.float64)
        off[name] = float(np.abs(mesh[0] - expected).max())
    return _near_graphs(off)


def _near_graphs(off_px: dict[str, float]) -> tuple[bool, str]:
    text = ", ".join(f"{name} within {off:.0e} px" for name, off in off_px.items())
    return max(off_px.values()) <= _GOLDEN_GRAPH_PX, f"{text} of their published graphs"


def _window(golden: dict[str, NDArray[np.generic]], side_px: int) -> Image:
    """The part of the golden picture that the originals saw at this size."""
    import numpy as np

    windows = golden["windows"].astype(np.int64).tolist()
    left, top, side = next(row for row in windows if row[2] == side_px)
    part = golden["picture"][top : top + side, left : left + side]
    return np.ascontiguousarray(part).astype(np.uint8)


def _embedder() -> tuple[bool, str]:
    golden = _golden()
    cosine = _golden_cosine(golden, golden["chip"])
    return cosine >= _GOLDEN_COSINE, f"cosine {cosine:.7f} to the original's output on one chip"


def _colour_order() -> tuple[bool, str]:
    golden = _golden()
    swapped = _golden_cosine(golden, golden["chip"][..., ::-1])
    return swapped < _GOLDEN_COSINE, f"RGB; exchanged colours would show ({swapped:.4f})"


def _golden_cosine(golden: dict[str, NDArray[np.generic]], chip: NDArray[np.generic]) -> float:
    """Cosine of one chip's embedding, in one pass, to the original's output on the golden chip."""
    import numpy as np

    from vultus.embed import OnnxEmbedder
    from vultus.models import Registry, Store

    embedder = OnnxEmbedder.from_card(Registry().get("dlib-resnet-v1"), Store(), mirror=False)
    found = embedder.embed([np.ascontiguousarray(chip).astype(np.uint8)])[0]
    return _cosine(found, golden)


def _cosine(found: Embedding, golden: dict[str, NDArray[np.generic]]) -> float:
    import numpy as np

    original = golden["chip_embedding"].astype(np.float64)
    return float(found.vector @ original / np.linalg.norm(original))


def _landmarks() -> tuple[bool, str]:
    import numpy as np

    from vultus.align import FivePointRegressor
    from vultus.models import Registry, Store

    golden = _golden()
    weight = Store().read(Registry().get("dlib-five-points"))
    box = golden["points_box"].astype(np.float64)[None]
    found = FivePointRegressor.from_bytes(weight)(golden["picture"].astype(np.uint8), box)[0]
    off = float(np.abs(found - golden["points"].astype(np.float64)).max())
    return off <= _GOLDEN_POINT_PX, f"five points within {off:.2f} px of the original's"


def _alignment() -> tuple[bool, str]:
    import numpy as np

    from vultus.align import dlib_chip

    golden = _golden()
    chip = dlib_chip(golden["picture"].astype(np.uint8), golden["points"].astype(np.float64))
    cosine = _golden_cosine(golden, chip)
    # OpenCV's warp rounds otherwise than dlib's: 0.9997 was measured where it is done right,
    # 0.995 for a plain warp.
    return cosine >= 0.999, f"picture to embedding: cosine {cosine:.5f} to the original's"


def _pipeline() -> tuple[bool, str]:
    from vultus.pipeline import load

    golden = _golden()
    recogniser = load(min_face_px=20)
    faces = recogniser.detect(golden["picture"])
    if len(faces) != 1:
        return False, f"{len(faces)} faces in the golden picture, 1 expected"
    cosine = _cosine(recogniser.embed(faces[0]), golden)
    # Ten points and the mirror image part it from dlib's one chip: 0.9951 when this was written;
    # exchanged colours give 0.9897, points 10 px off 0.9922.
    return cosine >= _PIPELINE_COSINE, f"default pipeline: cosine {cosine:.5f} to the original's"


_CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "versions": _versions,
    "weights": _weights,
    "providers": _providers,
    "threads": _threads,
    "exif": _exif,
    "detector": _detector,
    "mmod": _mmod,
    "blazeface": _blazeface,
    "mesh": _mesh,
    "embedder": _embedder,
    "colour-order": _colour_order,
    "landmarks": _landmarks,
    "alignment": _alignment,
    "pipeline": _pipeline,
}
