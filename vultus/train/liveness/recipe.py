"""From a list of pictures to a model on disk, and what it gets right on a list it has not seen."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from vultus.assess.liveness.own import load_own_liveness
from vultus.assess.liveness.texture import TEXTURE, TEXTURE_PX, TEXTURE_SCALE, texture_of
from vultus.detect import Detector
from vultus.errors import MissingExtraError, OutputError, RangeError
from vultus.evaluate.protocols.liveness import Presentation, scored
from vultus.train.liveness.data import CropSet, load_crops
from vultus.train.liveness.svm import SvmOptions, fit_svm

if TYPE_CHECKING:
    from vultus.train.liveness.loop import Epoch, LoopOptions

__all__ = [
    "KINDS",
    "RATES",
    "Confusion",
    "Kind",
    "Made",
    "confusion",
    "require_torch",
    "train_liveness",
]

Kind: TypeAlias = Literal["texture", "alexnet-v1", "alexnet-v2", "small"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RATES: Mapping[str, float] = MappingProxyType(
    {"alexnet-v1": 3e-5, "alexnet-v2": 3e-5, "small": 2e-3}
)
"""Learning rates for Adam and batches of 32. For AlexNet, 3e-5 gave a lower loss on the session of
NUAA's train lists that was held out than 1e-4 did: 0.132 against 0.145."""


@dataclass(frozen=True, slots=True)
class Made:
    """What training wrote.

    Attributes:
        model: The machine, ``NAME.npz``; of a network ``NAME.onnx`` and its card lie beside it.
        report: How it was trained and what was measured on people held out, JSON-able.
    """

    model: Path
    report: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Answers on pictures whose truth is known.

    Attributes:
        counts: Truth (``live``, ``attack``) to answer (``live``, ``attack``, ``undecided``) to
            how many pictures.
        accuracy: Part of all pictures answered rightly when the machine must answer, that is at
            a probability of 0.5; pictures without a face are left out.
        missing: Pictures without a face, or unreadable.
    """

    counts: Mapping[str, Mapping[str, int]]
    accuracy: float
    missing: int


def train_liveness(
    kind: Kind,
    presentations: Sequence[Presentation],
    detector: Detector,
    out: Path,
    *,
    name: str,
    data: str,
    session_of: Callable[[Presentation], str] | None = None,
    side_px: int = 131,
    scale: float = 1.0,
    loop: LoopOptions | None = None,
    svm: SvmOptions | None = None,
    limit: int | None = None,
    log_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    epoch_done: Callable[[int, Epoch], None] | None = None,
) -> Made:
    """Train a model.

    Args:
        kind: Texture, or which network's features.
        presentations: What to learn from.
        detector: Finds the faces.
        out: Folder for the files; made when absent.
        name: Of the model: lower case, digits and hyphens.
        data: What the pictures are, for the card.
        session_of: When or where a picture was taken: C and γ are chosen on sessions held out,
            on people where this is ``None``.
        side_px: Of a network's input.
        scale: Side of a network's crop as a multiple of the face's box.
        loop: How the network is trained; of another network than `kind`, it is refused.
        svm: How the machine is trained.
        limit: As in `load_crops`.
        log_dir: As in `fit`.
        progress: Called for each picture read.
        epoch_done: Called after each epoch.

    Raises:
        RangeError: `kind` or `name` is none.
        InsufficientDataError: Too few people, living faces or attacks.
        MissingExtraError: PyTorch or scikit-learn is not installed.
        OutputError: The files cannot be written.
    """
    if kind not in KINDS:
        raise RangeError(f"a model must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind != "texture":
        require_torch()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error}", path=str(out)) from error
    began = time.process_time()
    side, wide = (TEXTURE_PX, TEXTURE_SCALE) if kind == "texture" else (side_px, scale)
    crops = load_crops(
        presentations, detector, side, wide, session_of=session_of, limit=limit, progress=progress
    )
    about: dict[str, Any] = {"kind": kind, "data": data}
    if kind == "texture":
        features: NDArray[Any] = np.stack([texture_of(crop) for crop in crops.pixels])
        what = TEXTURE
    else:
        features, what, trained = _net(
            kind, crops, out, name, data, wide, loop, log_dir, epoch_done
        )
        about["net"] = trained
    machine = fit_svm(features, crops.live, crops.sessions, name, what, svm)
    model = out / f"{name}.npz"
    machine.save(model)
    about["svm"] = dict(machine.report)
    about["missing"] = [list(one) for one in crops.missing]
    about["cpu_s"] = round(time.process_time() - began, 1)
    return Made(model, about)


def _net(
    kind: str,
    crops: CropSet,
    out: Path,
    name: str,
    data: str,
    scale: float,
    loop: LoopOptions | None,
    log_dir: Path | None,
    epoch_done: Callable[[int, Epoch], None] | None,
) -> tuple[NDArray[Any], str, dict[str, Any]]:
    """Train a network and write it; its features of the crops."""
    from vultus.train.liveness.export import export_net
    from vultus.train.liveness.loop import LoopOptions, fit, run_net

    options = loop or LoopOptions(net=kind, rate=RATES[kind])
    if options.net != kind:
        raise RangeError(f"the options are for {options.net}, the model is {kind}")
    trained = fit(crops, options, log_dir=log_dir, progress=epoch_done)
    best = trained.history[trained.best]
    told = (
        f"{kind}, {trained.best + 1} epochs, {trained.cpu_s:.0f} s of CPU time; on groups "
        f"held out ({', '.join(trained.held_out_groups)}): accuracy "
        f"{best.held_out_accuracy:.3f}, loss {best.held_out_loss:.3f}."
    )
    card = export_net(trained.net, out, name, crops.pixels.shape[1], scale, data=data, summary=told)
    _, features = run_net(trained.net, crops)
    report = {
        "epochs": [
            [round(one.loss, 5), round(one.held_out_loss, 5), round(one.held_out_accuracy, 5)]
            for one in trained.history
        ],
        "best_epoch": trained.best,
        "held_out_groups": list(trained.held_out_groups),
        "cpu_s": round(trained.cpu_s, 1),
    }
    return features, f"net:{card.weights[0].sha256}", report


def confusion(
    model: Path,
    presentations: Sequence[Presentation],
    detector: Detector,
    progress: Callable[[int, int], None] | None = None,
) -> Confusion:
    """Try a trained model, as written, on pictures it has not seen.

    Raises:
        DataFileError: The model cannot be read.
    """
    judge = load_own_liveness(model)
    scores, missing = scored(presentations, detector, judge, progress)
    seen = np.isfinite(scores)
    truth = np.array([one.species is None for one in presentations], bool)[seen]
    answers = judge.svm.verdicts(scores[seen])
    counts = {
        told: {
            answer: sum(
                1
                for given, live in zip(answers, truth.tolist(), strict=True)
                if given == answer and live == (told == "live")
            )
            for answer in ("live", "attack", "undecided")
        }
        for told in ("live", "attack")
    }
    right = float(((scores[seen] >= 0.5) == truth).mean()) if seen.any() else 0.0
    return Confusion(counts, right, len(missing))


def require_torch() -> None:
    """Check at the start that a network can be trained and written.

    Raises:
        MissingExtraError: PyTorch or onnx is not installed.
    """
    missing = [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"a network is trained with PyTorch and written with onnx; absent: "
            f"{', '.join(missing)}",
            remedy="pip install 'vultus[train]'",
        )
