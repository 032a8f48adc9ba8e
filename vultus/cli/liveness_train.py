"""``vultus liveness-train``: a model of your own that tells living faces from pictures of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from vultus.cli._options import DetectorName, Json
from vultus.cli._output import out, print_json, safe

if TYPE_CHECKING:
    from vultus.evaluate.protocols.liveness import Presentation
    from vultus.train.liveness.loop import Epoch
    from vultus.train.liveness.recipe import Confusion

__all__ = ["liveness_train"]


def liveness_train(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="texture, alexnet-v1, alexnet-v2 or small.")
    ],
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model's files.")],
    nuaa: Annotated[
        Path | None,
        typer.Option(
            "--nuaa", help="NUAA's folder: trains on its train lists, tests on the others."
        ),
    ] = None,
    real: Annotated[
        Path | None, typer.Option("--real", help="Living faces, a folder per person.")
    ] = None,
    attack: Annotated[
        Path | None, typer.Option("--attack", help="Attacks, likewise, or a folder per species.")
    ] = None,
    test_real: Annotated[
        Path | None, typer.Option("--test-real", help="Living faces of other people, to test on.")
    ] = None,
    test_attack: Annotated[
        Path | None, typer.Option("--test-attack", help="Attacks, to test on.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the model; KIND otherwise.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="What the pictures are, for the card.")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=67, help="Side of a network's input.")] = 131,
    scale: Annotated[
        float, typer.Option("--scale", help="Side of its crop, in boxes of the face.")
    ] = 1.0,
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 12,
    batch: Annotated[int, typer.Option(min=2, help="Pictures per step.")] = 32,
    optimiser: Annotated[str, typer.Option(help="adam, or momentum of 0.9.")] = "adam",
    rate: Annotated[
        float | None,
        typer.Option(help="Learning rate of the first epoch; 3e-5, for small 2e-3."),
    ] = None,
    decay: Annotated[float, typer.Option(help="Its factor after each epoch.")] = 0.99,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a gain, then it stops.")] = 4,
    weights: Annotated[
        str, typer.Option(help="Of the machine: balanced, or fixed (0.4 live, 0.6 attack).")
    ] = "balanced",
    wrong_rate: Annotated[
        float, typer.Option(help="Wrong answers among those given; else none is given.")
    ] = 0.05,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use at most so many of each, the first ones.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of PyTorch.")] = 1,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    log_dir: Annotated[
        Path | None, typer.Option("--log-dir", help="For TensorBoard, where it is installed.")
    ] = None,
    detector: DetectorName = "mtcnn",
    json: Json = False,
) -> None:
    """Train on living faces and attacks; a support vector machine judges what a network sees."""
    from vultus.cli.evaluate.detection import counted, load_detector
    from vultus.train.liveness.data import nuaa_session
    from vultus.train.liveness.recipe import Kind, confusion, train_liveness
    from vultus.train.liveness.svm import SvmOptions

    learnt, tried = _lists(nuaa, real, attack, test_real, test_attack)
    loop = None
    if kind != "texture":
        loop = _loop(
            net=kind, epochs=epochs, batch=batch, optimiser=optimiser, rate=rate, decay=decay,
            patience=patience, threads=threads, seed=seed,
        )  # fmt: skip
    if weights not in ("balanced", "fixed"):
        raise typer.BadParameter(f"--weights must be balanced or fixed, got {weights!r}")
    svm = SvmOptions(weights=cast(Literal["balanced", "fixed"], weights), wrong_rate=wrong_rate)
    finder = load_detector(detector)
    with counted("reading", shown=not json) as tell:
        made = train_liveness(
            cast(Kind, kind), learnt, finder, folder,
            name=name or kind, data=data or _told(nuaa, real, attack),
            session_of=None if nuaa is None else nuaa_session,
            side_px=size, scale=scale, loop=loop, svm=svm, limit=limit, log_dir=log_dir,
            progress=tell, epoch_done=None if json else _epoch,
        )  # fmt: skip
    found = None
    if tried:
        with counted("testing", shown=not json) as tell:
            found = confusion(made.model, tried, finder, tell)
    if json:
        test = None if found is None else asdict(found)
        print_json({"model": str(made.model), "training": dict(made.report), "test": test})
    else:
        _show(made.model, made.report, found)


def _lists(
    nuaa: Path | None,
    real: Path | None,
    attack: Path | None,
    test_real: Path | None,
    test_attack: Path | None,
) -> tuple[list[Presentation], list[Presentation]]:
    """What is learnt from, and what is tried."""
    from vultus.evaluate.protocols.liveness import read_folders, read_nuaa

    if nuaa is not None:
        if any((real, attack, test_real, test_attack)):
            raise typer.BadParameter("give --nuaa, or --real and --attack")
        return read_nuaa(nuaa, "train"), read_nuaa(nuaa, "test")
    if real is None or attack is None:
        raise typer.BadParameter("give --real and --attack, or --nuaa")
    if (test_real is None) != (test_attack is None):
        raise typer.BadParameter("give both --test-real and --test-attack, or neither")
    tried = read_folders(test_real, test_attack) if test_real and test_attack else []
    return read_folders(real, attack), tried


def _loop(**options: Any) -> Any:
    from vultus.train.liveness.recipe import KINDS, RATES, require_torch

    if options["net"] not in KINDS:
        raise typer.BadParameter(f"KIND must be one of {', '.join(KINDS)}, got {options['net']!r}")
    if options["optimiser"] not in ("adam", "momentum"):
        raise typer.BadParameter("--optimiser must be adam or momentum")
    require_torch()
    from vultus.train.liveness.loop import LoopOptions

    options["rate"] = RATES[options["net"]] if options["rate"] is None else options["rate"]
    return LoopOptions(**options)


def _told(nuaa: Path | None, real: Path | None, attack: Path | None) -> str:
    if nuaa is not None:
        return "NUAA photograph imposter database, train lists (printed photos)"
    return f"{real.name if real else ''} and {attack.name if attack else ''}"


def _epoch(number: int, epoch: Epoch) -> None:
    out.print(
        f"epoch {number + 1}: loss {epoch.loss:.4f}; groups held out: loss "
        f"{epoch.held_out_loss:.4f}, accuracy {epoch.held_out_accuracy:.1%}"
    )


def _show(model: Path, report: Any, found: Confusion | None) -> None:
    svm = report["svm"]
    held = svm["held_out"]
    out.print(
        f"{safe(str(model))}: C {svm['C']:g}, gamma {svm['gamma']:g}; groups held out: accuracy "
        f"{held['accuracy']:.1%}; {report['cpu_s'] / 60:.1f} minutes of CPU time",
        soft_wrap=True,
    )
    if found is None:
        return
    out.print(f"test: accuracy {found.accuracy:.1%}")
    out.print(f"{'truth':<10}{'live':>8}{'attack':>8}{'undecided':>11}")
    for truth, row in found.counts.items():
        out.print(f"{truth:<10}{row['live']:>8}{row['attack']:>8}{row['undecided']:>11}")
