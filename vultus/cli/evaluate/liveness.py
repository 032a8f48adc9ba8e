"""``vultus evaluate liveness``: how many attacks pass, how many living people are turned away?"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from vultus.cli._options import Json
from vultus.cli._output import print_json
from vultus.cli.evaluate._options import (
    Rounds,
    Seed,
    end_with,
    list_pictures,
    percent,
    resampling,
    show_rows,
)
from vultus.cli.evaluate.detection import DetectorName, counted, load_detector
from vultus.errors import OutputError

if TYPE_CHECKING:
    from vultus.assess.liveness import LivenessCalibration, PassiveLiveness
    from vultus.evaluate.protocols.liveness import LivenessEvaluation, Presentation

__all__ = ["liveness", "liveness_judge"]

DEFAULT_POLICY = "bpcer=1e-2"  # of `vultus.assess.liveness`; a test compares


def liveness(
    real: Annotated[
        Path | None, typer.Option("--real", help="Pictures of living faces.", metavar="DIR")
    ] = None,
    attack: Annotated[
        Path | None,
        typer.Option("--attack", help="Pictures of attacks; folders are species.", metavar="DIR"),
    ] = None,
    nuaa: Annotated[
        Path | None, typer.Option("--nuaa", help="NUAA's folder, instead of the two.")
    ] = None,
    side: Annotated[str, typer.Option("--list", help="Of NUAA: train or test.")] = "test",
    threshold: Annotated[
        str, typer.Option("--threshold", help="bpcer=RATE, apcer=RATE, or a score in [0, 1].")
    ] = DEFAULT_POLICY,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="Measured on your own presentations.")
    ] = None,
    calibration_out: Annotated[
        Path | None,
        typer.Option("--calibration-out", help="Write the scores, for thresholds elsewhere."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="What the pictures are, for that file.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="NAME.npz of `vultus liveness-train`, not the installed ones."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder for index.html with a DET plot.")
    ] = None,
    detector: DetectorName = "mtcnn",
    rounds: Rounds = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """APCER, BPCER, ACER and D-EER of the installed liveness models (ISO/IEC 30107-3)."""
    from vultus.assess.liveness import load_liveness_calibration
    from vultus.evaluate.protocols.liveness import evaluate_liveness

    presentations = _presentations(real, attack, nuaa, side)
    known = None if calibration is None else load_liveness_calibration(calibration)
    # Who makes a calibration need not have one.
    value = "0.5" if calibration_out is not None and threshold == DEFAULT_POLICY else threshold
    judge = liveness_judge(model, _threshold(value), known)
    finder = load_detector(detector)
    with counted("judging", shown=not json) as tell:
        found = evaluate_liveness(
            presentations,
            finder,
            judge,
            judge.threshold,
            how=resampling(rounds, seed, 1),
            progress=tell,
        )
    list_pictures("no verdict", [f"{path}: {why}" for path, why in found.no_face])
    if calibration_out is not None:
        _write_calibration(calibration_out, found, data or _source(real, attack, nuaa, side))
    if report is not None:
        _write_report(report, found, _source(real, attack, nuaa, side), judge)
    if json:
        asked = {"detector": detector, "policy": judge.policy, "threshold_source": judge.source}
        print_json({**found.to_dict(), **asked})
    else:
        show_rows(_source(real, attack, nuaa, side), _rows(found))
    end_with(bool(found.no_face))


def liveness_judge(
    model: Path | None, threshold: str | float, calibration: LivenessCalibration | None
) -> PassiveLiveness:
    """The installed models, or one that was trained here.

    A model of one's own answers at its own boundary, 0.5, unless a threshold or a calibration
    is given.
    """
    from vultus.assess.liveness import PassiveLiveness, installed_liveness
    from vultus.assess.liveness.own import load_own_liveness
    from vultus.runtime import SessionOptions

    if model is None:
        return installed_liveness(threshold=threshold, calibration=calibration)
    if calibration is None and threshold == DEFAULT_POLICY:
        threshold = 0.5
    own = load_own_liveness(model, SessionOptions(threads=1))
    return PassiveLiveness([own], threshold, calibration)


def _write_report(
    folder: Path, found: LivenessEvaluation, source: str, judge: PassiveLiveness
) -> None:
    from vultus.evaluate.liveness_page import render_liveness

    facts = {
        "presentations": source,
        "model": found.model,
        "threshold": f"{judge.threshold:.4f} ({judge.policy}), from: {judge.source}",
        "made": datetime.date.today().isoformat(),
    }
    text = render_liveness("Liveness", facts, found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error}", path=str(folder)) from error


def _presentations(
    real: Path | None, attack: Path | None, nuaa: Path | None, side: str
) -> list[Presentation]:
    from vultus.evaluate.protocols.liveness import read_folders, read_nuaa

    if nuaa is not None:
        if real is not None or attack is not None:
            raise typer.BadParameter("give --nuaa, or --real and --attack")
        if side not in ("train", "test"):
            raise typer.BadParameter(f"--list must be train or test, got {side!r}")
        return read_nuaa(nuaa, cast(Literal["train", "test"], side))
    if real is None or attack is None:
        raise typer.BadParameter("give --real and --attack, or --nuaa")
    return read_folders(real, attack)


def _threshold(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _source(real: Path | None, attack: Path | None, nuaa: Path | None, side: str) -> str:
    return f"{nuaa}, {side} list" if nuaa is not None else f"{real} and {attack}"


def _write_calibration(path: Path, found: LivenessEvaluation, data: str) -> None:
    from vultus.assess.liveness import LivenessCalibration

    made = LivenessCalibration(
        found.model,
        data,
        datetime.date.today().isoformat(),
        found.live_scores,
        found.attack_scores,
    )
    try:
        path.write_text(made.to_json(), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}", path=str(path)) from error


def _rows(found: LivenessEvaluation) -> list[tuple[str, str]]:
    report = found.report
    rows = [
        ("model", found.model),
        ("threshold", f"{report.threshold:.4f}"),
        ("APCER, worst species", percent(report.apcer)),
        *(
            (f"  {name}, {one.attacks:,} attacks", percent(one.apcer))
            for name, one in report.per_species.items()
        ),
        (f"BPCER, {report.n_real:,} living faces", percent(report.bpcer)),
        ("ACER", percent(report.acer)),
        ("D-EER", percent(report.d_eer)),
        ("AUC", f"{report.auc:.4f}"),
    ]
    for aim, rate in report.bpcer_at_apcer.items():
        told = "insufficient data" if rate is None else percent(rate)
        rows.append((f"BPCER at APCER {aim:.0%}", told))
    return rows
