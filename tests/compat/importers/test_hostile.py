"""Files made to harm: each is refused, none is run, and none takes more than a bounded memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.importers import read_people
from vultus.errors import DataFileError


class _Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _header(descr: str, shape: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _npz(members: dict[str, bytes], size: int | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    data = file.getvalue()
    if size is not None:  # lie about what is unpacked, in both headers
        true = struct.pack("<I", len(next(iter(members.values()))))
        data = data.replace(true, struct.pack("<I", size))
    return data


def _put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


SYSTEM = _Calls(os.system, "touch hostile")
ENCODING = [0.125] * 128  # of length 1.41
BOMB = b"\x80\x02]q\x00" + b"q\x000](h\x00h\x00e" * 60 + b"."
VECTOR = pickle.dumps(ENCODING, protocol=2)[:-1] + b"q\x01"

HOSTILE = {
    "system.pkl": pickle.dumps(SYSTEM),
    "system-2.pkl": pickle.dumps({"encodings": [ENCODING], "names": [SYSTEM]}, protocol=2),
    "system-0.pkl": b"cos\nsystem\n(S'touch hostile'\ntR.",
    "eval.pkl": pickle.dumps({"Ann": _Calls(eval, "__import__('os').system('touch hostile')")}),
    "exec.pkl": pickle.dumps([_Calls(exec, "open('hostile', 'w')")]),
    "inst.pkl": b"(S'touch hostile'\nios\nsystem\n.",
    "popen.pkl": pickle.dumps(_Calls(subprocess.Popen, "touch hostile")),
    "second.pkl": pickle.dumps([ENCODING]) + pickle.dumps(SYSTEM),
    "objects.pkl": pickle.dumps({"Ann": np.array([SYSTEM, None], object)}),
    "runstring.pkl": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
    "model.pkl": pickle.dumps([_Calls(np.load, "x", None, True), ["Ann"]]),
    "in-model.pkl": (
        b"\x80\x02csklearn.svm._classes\nSVC\n)\x81}X\x01\x00\x00\x00a"
        b"cposix\nsystem\nX\x0d\x00\x00\x00touch hostile\x85Rsb]\x86."
    ),
    "database.pkl": pickle.dumps([{"identity": "a/1.jpg", "embedding": SYSTEM}]),
    "persistent.pkl": b"\x80\x02}U\x03Ann](U\x03oneQU\x03two\x51es.",
    "extension.pkl": b"\x80\x02\x82\x01.",
    "memo.pkl": b"\x80\x02N" + _put(2**32 - 1) + b".",
    "bytes.pkl": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
    "frame.pkl": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "long.pkl": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "digits.pkl": b"L" + b"9" * 1_000_000 + b"L\n.",
    "laughs.pkl": BOMB,
    "laughing-dict.pkl": BOMB[:-1] + b"q\x01}U\x03Annh\x01s.",
    "itself.pkl": b"\x80\x02]q\x00h\x00a.",
    "dict-itself.pkl": b"\x80\x02}q\x00U\x09encodingsh\x00U\x05namesh\x00u."[:-2] + b".",
    "deep.pkl": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    # 600,000 times one encoding: 77 million numbers out of a file of a megabyte.
    "again.pkl": VECTOR + b"0}U\x03Ann](" + b"h\x01" * 600_000 + b"es.",
    "steps.pkl": b"\x80\x02](" + b"N" * 6_000_000 + b"e.",
    "deep.json": b"[" * 100_000,
    "digits.json": b'{"Ann": [' + b"9" * 5000 + b"]}",
    "damaged.json": b'{"Ann": [0.5,',
    "latin.json": b'{"Ann\xe9": [0.5]}',
    "objects.npy": _header("'|O'", "(1,)") + pickle.dumps(np.array([SYSTEM], object)),
    "records.npy": _header("[('a', '|O')]", "(1,)") + pickle.dumps(SYSTEM),
    "huge.npy": _header("'<f8'", "(1000000000000,)") + b"\0" * 8,
    "negative.npy": _header("'<f8'", "(-1,)") + b"\0" * 8,
    "empty.npy": _header("'<f8'", "(1000000000000000000, 0)"),
    "call.npy": _header("__import__('os').system('touch hostile')", "(1,)"),
    "version.npy": b"\x93NUMPY\x09\x00" + b"\0" * 80,
    "short.npy": b"\x93NUMPY",
    "objects.npz": _npz({"Ann.npy": _header("'|O'", "(1,)") + pickle.dumps(SYSTEM)}),
    "bomb.npz": _npz({f"{i}.npy": b"\0" * 30_000_000 for i in range(20)}),
    "liar.npz": _npz({"a.npy": b"\0" * 30_000_001}, 1000),
    "damaged.npz": b"PK\x03\x04" + b"\0" * 100,
    "noise.pkl": bytes(range(256)) * 10,
}

WATCHED = """\
import json, resource, sys
from pathlib import Path
from vultus.compat.importers import read_people
from vultus.errors import DataFileError
import numpy as np

folder = Path(sys.argv[1])
np.savez(folder / "good.npz", Ann=np.full(128, 0.125))
(folder / "good.json").write_text(json.dumps({"Ann": [0.125] * 128}))
for path in folder.glob("good.*"):
    read_people(path)  # everything is imported now
events = []
forbidden = (
    "pickle.find_class", "exec", "import", "os.system", "os.exec", "os.posix_spawn", "os.fork",
    "os.remove", "os.rename", "os.mkdir", "subprocess.", "ctypes.", "socket.",
)
def watch(name, given):
    if name.startswith(forbidden) or (name == "open" and str(given[1])[:1] in "wax"):
        events.append(f"{name} {given}")
sys.addaudithook(watch)
pages = int(Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + 1536 * 1024**2
resource.setrlimit(resource.RLIMIT_AS, (room, room))
for path in sorted(folder.glob("*.*")):
    if path.stem == "good":
        continue
    events.clear()
    try:
        found = read_people(path)
        told = f"{len(found.faces)} faces"
    except DataFileError as error:
        told = "refused: " + str(error.fields.get("refused", error.message))[:200]
    except BaseException as error:
        told = f"FAILED {type(error).__name__}: {error}"
    print(json.dumps([path.name, told, list(events)]), flush=True)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str]]]:
    """What another process, watched by an audit hook, said of each file and did meanwhile."""
    if not sys.platform.startswith("linux"):
        pytest.skip("limits on a process's memory are set on Linux only")
    folder = tmp_path_factory.mktemp("hostile")
    for name, data in HOSTILE.items():
        (folder / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder)],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted({path.name for path in folder.iterdir()} - set(HOSTILE)) == [
        "good.json",
        "good.npz",
    ]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (told, events) for name, told, events in lines}


HARMLESS = {"memo.pkl", "frame.pkl", "empty.npy", "laughing-dict.pkl"}
"""They only lie; what they hold is nothing."""


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_and_never_run(name: str, answers: dict[str, tuple[str, list[str]]]) -> None:
    told, events = answers[name]
    assert events == []
    if name in HARMLESS:
        assert told.startswith(("refused", "0 faces"))
    else:
        assert told.startswith("refused")


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("system.pkl", "posix.system"),
        ("system-2.pkl", "posix.system"),
        ("system-0.pkl", "os.system"),
        ("eval.pkl", "builtins.eval"),
        ("exec.pkl", "builtins.exec"),
        ("second.pkl", "posix.system"),
        ("in-model.pkl", "posix.system"),
        ("database.pkl", "posix.system"),
        ("objects.pkl", "call of numpy.dtype with O8"),
        ("runstring.pkl", "numpy.testing._private.utils.runstring"),
        ("inst.pkl", "pickle opcode INST"),
        ("persistent.pkl", "pickle opcode BINPERSID"),
        ("extension.pkl", "pickle opcode EXT1"),
        ("steps.pkl", "more steps than a file of embeddings takes"),
        ("objects.npy", "object"),
    ],
)
def test_what_it_wanted_is_named(
    name: str, refused: str, answers: dict[str, tuple[str, list[str]]]
) -> None:
    assert answers[name][0] == f"refused: {refused}"


def test_the_message_warns(tmp_path: Path) -> None:
    path = tmp_path / "encodings.pickle"
    path.write_bytes(pickle.dumps(SYSTEM))
    with pytest.raises(DataFileError) as told:
        read_people(path)
    assert told.value.message == (f"{path} is refused: a file of embeddings needs no posix.system")
    assert told.value.remedy == "do not open it with anything else: it may run a program"


def _whole(suffix: str) -> bytes:
    """A sound file of one kind."""
    row = np.array(ENCODING)
    file = io.BytesIO()
    if suffix == "npy":
        np.save(file, np.stack([row, row]))
    elif suffix == "npz":
        np.savez(file, Ann=row, Bob=row)
    elif suffix == "json":
        return json.dumps({"Ann": ENCODING[:4], "Bob": [ENCODING[:4]]}).encode()
    else:
        value = {"encodings": [row, row], "names": ["Ann", np.str_("Bob")]}
        return pickle.dumps(value, protocol=int(suffix))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:invalid (escape|octal):DeprecationWarning")  # of Python itself
@pytest.mark.parametrize("suffix", ["0", "2", "4", "5", "json", "npy", "npz"])
def test_damage_anywhere_is_told(tmp_path: Path, suffix: str) -> None:
    """Bytes changed, lost, or doubled: an answer or a `DataFileError`, and nothing else."""
    whole = _whole(suffix)
    rng = np.random.default_rng(0)
    path = tmp_path / "x.dat"
    (tmp_path / "names.txt").write_text("Ann\nBob\n")
    refused = 0
    for _ in range(250):
        data = bytearray(whole)
        at = int(rng.integers(0, len(data)))
        kind = int(rng.integers(0, 3))
        if kind == 0:
            data[at] = int(rng.integers(0, 256))
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 40))]
        else:
            data[at:at] = data[: int(rng.integers(1, 40))]
        path.write_bytes(bytes(data))
        try:
            read_people(path)
        except DataFileError:
            refused += 1
    assert refused > 20
