"""The ``vultus`` command: one file per command, one boundary for errors."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from vultus.cli import (
    blur,
    calibrate,
    compare,
    demo,
    detect,
    doctor,
    enroll,
    evaluate,
    face_detection,
    face_recognition,
    identify,
    import_,
    liveness,
    liveness_train,
    lookalike,
    report,
    serve,
    verify,
    video,
)
from vultus.cli._lazy import lazy_group
from vultus.cli._output import EXIT_FAILED, EXIT_INTERRUPTED, fail
from vultus.errors import InputError, OutputError, VultusError

__all__ = ["app", "main"]

_GROUPS = {
    "gallery": "Whole galleries: look at, check, search, carry, change the model.",
    "group": "Groups of a gallery: make, list, change, remove.",
    "person": "People of a gallery and their faces: list, change, merge, split, group, erase.",
    "keys": "Keys of the face service: make, list, rotate, revoke.",
    "idcards": "ID photos that the face service checks people against: import, count, erase.",
    "compat": "Stand in for other programs' packages and commands.",
    "classify": "Classifiers on embeddings, for people with many pictures each.",
}
_MODELS = "See, fetch and check models. Nothing is downloaded unless you run `pull`."
_FACENET = "The command lines of davidsandberg/facenet, with vultus's own models."

app = typer.Typer(
    name="vultus",
    help="Whose face is this, and how sure are we? Offline, on your own machine.",
    epilog=(
        "Exit codes: 0 done, 1 the answer is no (verify, doctor, models), 2 wrong usage, "
        "3 some pictures failed, 4 nothing could be done, 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("detect")(detect.detect)
app.command("compare")(compare.compare)
app.command("verify")(verify.verify)
app.command("enroll")(enroll.enroll)
app.command("identify")(identify.identify)
app.command("video")(video.video)
app.command("blur")(blur.blur)
app.command("liveness")(liveness.liveness)
app.command("liveness-train")(liveness_train.liveness_train)
app.command("lookalike")(lookalike.lookalike)
app.command("import")(import_.import_)
for _name, _what in _GROUPS.items():
    app.add_typer(lazy_group(f"vultus.cli.{_name}", _what), name=_name)
app.add_typer(evaluate.app, name="evaluate")
app.command("report")(report.report)
app.command("calibrate")(calibrate.calibrate)
app.command("demo")(demo.demo)
app.add_typer(lazy_group("vultus.cli.models", _MODELS), name="models")
app.add_typer(lazy_group("vultus.cli.facenet", _FACENET), name="facenet")
app.command("face-recognition")(face_recognition.face_recognition)
app.command("face-detection")(face_detection.face_detection)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)


def _version(wanted: bool) -> None:
    if wanted:
        import vultus

        typer.echo(f"vultus {vultus.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code.

    Every failure that vultus knows becomes one line with its code and a remedy; with ``--json``
    also an object ``{"error": {"code", "message"}}`` on standard output.
    """
    arguments = sys.argv[1:] if argv is None else argv
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows ASCII only, say
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments, prog_name="vultus")
    except SystemExit as ended:  # Typer always ends so; usage errors have been told by then
        code = ended.code
        if isinstance(ended.__context__, BrokenPipeError):
            code = _without_stdout(0)  # the reader has seen enough, as with `| head`
    except VultusError as error:
        code = _failed(error, arguments)
    except OSError as error:
        code = _failed_by_system(error, arguments)
    except RuntimeError as error:  # links that lead in circles; "~name" without such a user
        code = _failed(InputError(str(error), remedy="check the paths"), arguments)
    if code == EXIT_INTERRUPTED:
        typer.echo("interrupted; nothing was left half-written", err=True)
    sys.exit(code)


def _failed(error: VultusError, arguments: list[str]) -> int:
    if "--json" in arguments:
        print(json.dumps({"error": {"code": error.code, "message": str(error)}}))  # noqa: T201
    fail(error)
    return EXIT_FAILED


def _failed_by_system(error: OSError, arguments: list[str]) -> int:
    reason = error.strerror or str(error)
    if error.filename is None:  # standard output itself: a full disk, say
        told = OutputError(f"the result cannot be written: {reason}")
        return _without_stdout(_failed(told, []))
    path = os.fsdecode(error.filename)
    told_of_path = InputError(
        f"{path}: {reason}", remedy="check the path and its permissions", path=path
    )
    return _failed(told_of_path, arguments)


def _without_stdout(code: int) -> int:
    """Send what is still buffered nowhere, so that the interpreter can end in peace."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _terminated(_number: int, _frame: FrameType | None) -> NoReturn:
    """Unwind on SIGTERM as on Ctrl-C, so that temporary files go."""
    raise KeyboardInterrupt
