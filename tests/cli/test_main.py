"""The command line as a whole: usage, exit codes, broken pipes, Ctrl-C, odd terminals."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vultus as package
from vultus.cli import main

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX systems")


@pytest.fixture
def many(samples: Path, tmp_path: Path) -> Path:
    """A folder of 40 photos."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(40):
        shutil.copy(samples / "photos" / "wall.jpg", folder / f"{i}.jpg")
    return folder


class TestUsage:
    def test_version(self, vultus):
        assert vultus("--version") == (0, f"vultus {package.__version__}\n", "")

    @pytest.mark.parametrize("flag", ["-h", "--help"])
    def test_help(self, vultus, flag):
        ended = vultus(flag)
        assert ended.code == 0
        for command in ("detect", "compare", "verify", "enroll", "identify", "demo", "doctor"):
            assert command in ended.out
        assert "Exit codes: 0 done" in ended.out

    @pytest.mark.parametrize(
        "command",
        ["detect", "compare", "verify", "enroll", "identify", "demo", "doctor", "models"],
    )
    def test_every_command_has_help(self, vultus, command):
        ended = vultus(command, "--help")
        assert ended.code == 0
        assert f"vultus {command}" in ended.out

    @pytest.mark.parametrize(
        "arguments",
        [
            ["nope"],
            ["detect"],
            ["detect", "a.jpg", "--nope"],
            ["detect", "a.jpg", "--min-face"],
            ["detect", "a.jpg", "--min-face", "big"],
            ["detect", "a.jpg", "--jobs", "-1"],
            ["compare", "a.jpg"],
            ["compare", "a.jpg", "b.jpg", "c.jpg"],
            ["verify", "known", "name"],
            ["enroll", "g.db", "name"],
            ["identify", "known"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage(self, vultus, arguments):
        ended = vultus(*arguments)
        assert ended.code == 2
        assert ended.out == ""
        assert "Error" in ended.err

    def test_no_arguments_show_the_help(self, vultus):
        ended = vultus()
        assert "Commands" in ended.out + ended.err
        assert ended.code in {0, 2}  # as Typer's version has it

    def test_the_process_s_own_arguments(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["vultus", "--version"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"vultus {package.__version__}\n"


class TestErrors:
    """Bad input that concerns the whole command: one line, a remedy, code 4."""

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (["--threshold", "fmr=1e-9"], "insufficient-data"),
            (["--threshold", "fmr=7"], "value-range"),
            (["--threshold", "high"], "card-invalid"),
            (["--threshold", "nan"], "value-range"),
            (["--threshold", "1.5"], "value-range"),
            (["--embedder", "dlib-resnet"], "model-unknown"),
            (["--embedder", "mtcnn"], "card-invalid"),
            (["--embedder", "sface"], "card-invalid"),
            (["--embedder", "sface", "--threshold", "0.5"], "model-missing"),
            (["--min-face", "5"], "value-range"),
            (["--min-face", "nan"], "value-range"),
        ],
        ids=lambda value: value if isinstance(value, str) else " ".join(value),
    )
    def test_options(self, vultus, samples: Path, options, code):
        photo = samples / "photos" / "obama2.jpg"
        ended = vultus("compare", photo, photo, *options, "--json")
        assert ended.code == 4
        (line,) = ended.out.splitlines()
        error = json.loads(line)["error"]
        assert error["code"] == code
        assert f"error {code}: " in ended.err
        first = ended.err.splitlines()[0].removeprefix(f"error {code}: ")
        assert error["message"].startswith(first)

    @pytest.mark.parametrize("command", ["verify", "identify"])
    @pytest.mark.parametrize("policy", ["fmr=1e-9", "7"])
    def test_an_unknown_policy_is_told_before_any_work(self, vultus, command, policy):
        arguments = ["gone", "Joe", "gone.jpg"] if command == "verify" else ["gone", "gone.jpg"]
        ended = vultus(command, *arguments, "--threshold", policy)
        assert ended.code == 4
        code = "value-range" if policy == "7" else "insufficient-data"
        assert ended.err.startswith(f"error {code}: ")

    def test_the_remedy_has_a_line_of_its_own(self, vultus, samples: Path):
        photo = samples / "photos" / "obama2.jpg"
        ended = vultus("compare", photo, photo, "--embedder", "dlib-resnet")
        assert ended.out == ""
        said, remedy = ended.err.splitlines()
        assert said == "error model-unknown: no model is called 'dlib-resnet'"
        assert remedy.startswith("  → did you mean dlib-resnet-v1 or ")

    @pytest.mark.parametrize("command", ["detect", "identify", "enroll", "verify", "compare"])
    def test_a_damaged_network_is_told_once(
        self, vultus, samples: Path, tmp_path: Path, monkeypatch, command
    ):
        from vultus.models import Store

        damaged = tmp_path / "net.onnx"
        damaged.write_bytes(b"damaged")
        monkeypatch.setattr(Store, "_locate", lambda *_: damaged)
        photos = samples / "photos"
        ended = {
            "detect": lambda: vultus("detect", photos),
            "identify": lambda: vultus("identify", samples / "known", photos),
            "enroll": lambda: vultus("enroll", tmp_path / "g.db", "A", photos),
            "verify": lambda: vultus("verify", samples / "known", "A", photos / "wall.jpg"),
            "compare": lambda: vultus("compare", photos / "wall.jpg", photos / "wall.jpg"),
        }[command]()
        assert ended.code == 4
        assert ended.out == ""
        assert ended.err.count("error weight-damaged: ") == 1
        assert not (tmp_path / "g.db").exists()

    def test_an_unexpected_failure_is_not_hidden(self, monkeypatch, samples: Path):
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("vultus.pipeline.load", broken)
        with pytest.raises(ZeroDivisionError):
            main(["detect", str(samples / "photos" / "rocket.jpg")])

    def test_a_path_that_the_system_refuses(self, monkeypatch, samples: Path, capsys):
        def refused(*_: object, **__: object) -> None:
            raise PermissionError(13, "not allowed", "/somewhere")

        monkeypatch.setattr("vultus.pipeline.load", refused)
        with pytest.raises(SystemExit) as ended:
            main(["detect", str(samples / "photos" / "rocket.jpg")])
        assert ended.value.code == 4
        assert "error input: /somewhere: not allowed" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["detect", "x" * 300], ["identify", "x" * 300, "y"]])
    def test_names_that_cannot_be(self, vultus, arguments: list[str]):
        ended = vultus(*arguments)
        assert ended.code == 4
        assert ended.err.startswith("error ")
        assert "Traceback" not in ended.err


@POSIX
class TestProcesses:
    """The real thing, with its pipes and signals."""

    def test_python_m(self, vultus_process: Callable[..., subprocess.Popen[bytes]]):
        process = vultus_process("--version")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (
            0,
            f"vultus {package.__version__}\n".encode(),
            b"",
        )

    @pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
    def test_a_reader_that_has_seen_enough(self, vultus_process, many: Path, form):
        process = vultus_process("detect", many, *form, "--jobs", "2")
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 0
        assert err == b""

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
    @pytest.mark.parametrize("form", [[], ["--json"]])
    def test_a_full_disk(self, vultus_process, samples: Path, form):
        with Path("/dev/full").open("wb") as full:
            process = vultus_process("detect", samples / "photos", *form, stdout=full)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 4
        lines = err.decode().splitlines()
        assert lines[0] == (
            "error output-failed: the result cannot be written: No space left on device"
        )
        assert len(lines) == 2

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted(self, vultus_process, many: Path, tmp_path: Path, number):
        drawn = tmp_path / "drawn"
        process = vultus_process("detect", many, "--json", "--draw", drawn, "--jobs", "2")
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err == b"interrupted; nothing was left half-written\n"
        for line in [*lines, *out.splitlines()]:
            assert json.loads(line)["error"] is None  # no line is cut
        files = sorted(drawn.iterdir())
        assert files
        assert len(files) < 40
        for file in files:
            assert file.suffix == ".jpg"  # no temporary file
            assert file.read_bytes()[-2:] == b"\xff\xd9"  # end of image

    def test_interrupted_while_enrolling(
        self, vultus_process, samples: Path, tmp_path: Path, monkeypatch
    ):
        folder = tmp_path / "pictures"
        folder.mkdir()
        for i in range(40):
            data = (samples / "photos" / "obama3.jpg").read_bytes()
            (folder / f"{i}.jpg").write_bytes(data)
        gallery = tmp_path / "g.db"
        process = vultus_process("enroll", gallery, "Obama", folder, "--json")
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert json.loads(line)["sample"] == 1
        with package.open_gallery(gallery, create=False) as opened:
            assert len(opened) == 1  # the others are the same picture

    def test_an_ascii_terminal(self, vultus_process, samples: Path):
        photos = samples / "photos"
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        process = vultus_process(
            "compare", photos / "obama2.jpg", photos / "obama3.jpg", env=environment
        )
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert rb"\u2265" in out
        assert err == b""

    def test_json_in_an_ascii_locale_is_json(self, vultus_process, tmp_path: Path):
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
        process = vultus_process("detect", "é.jpg", "--json", env=environment, cwd=tmp_path)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 4
        assert json.loads(out)["image"] == "é.jpg"

    def test_progress_on_a_terminal(self, vultus_process, samples: Path):
        """A bar counts the pictures on a terminal, and is gone at the end; never in JSON."""
        import pty

        for form in ([], ["--json"]):
            terminal, end = pty.openpty()
            environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
            process = vultus_process(
                "detect", samples / "photos", *form, stderr=end, env=environment
            )
            out, _ = process.communicate(timeout=60)
            os.close(end)
            shown = b""
            while select.select([terminal], [], [], 0)[0]:
                try:
                    shown += os.read(terminal, 1 << 16)
                except OSError:  # Linux: the other end is closed
                    break
            os.close(terminal)
            assert len(out.splitlines()) >= 5
            assert (b"detecting" in shown) == (form == [])
            assert (b"/5" in shown) == (form == [])
            assert (b"\x1b[2K" in shown) == (form == [])  # the line is erased

    def test_starts_quickly(self, vultus_process, samples: Path):
        """`vultus detect one.jpg` cold in under 1.5 s (here with room for a busy machine)."""
        start = time.perf_counter()
        process = vultus_process("detect", samples / "photos" / "astronaut.png")
        out, _ = process.communicate(timeout=60)
        assert time.perf_counter() - start < 5
        assert b"1 face" in out


def test_the_installed_command(samples: Path):
    command = shutil.which("vultus", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("vultus is not installed as a command beside this Python")
    done: Any = subprocess.run([command, "--version"], check=True, capture_output=True, text=True)
    assert done.stdout == f"vultus {package.__version__}\n"
