"""The server's benchmark: what its load generator asks and counts, and its picture and gallery."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import server as suite  # noqa: E402
import server_load  # noqa: E402

from vultus.gallery import open_gallery  # noqa: E402
from vultus.pipeline import Recognizer  # noqa: E402

REQUEST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


class _Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        _Stub.count += 1
        assert self.rfile.read(int(self.headers["Content-Length"])) == b"hi"
        busy, wrong = _Stub.count % 3 == 0, _Stub.count % 3 == 1
        body = b"nobody" if wrong else b"it is Ann"
        self.send_response(503 if busy else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[dict[str, Any]]:
    _Stub.count = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stub)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield {"host": "127.0.0.1", "port": server.server_address[1], "expected": "Ann"}
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_rate_is_kept_and_answers_are_judged(stub: dict[str, Any]) -> None:
    found = server_load.run({**stub, "seconds": 0.6, "connections": 3, "rate": 50.0}, REQUEST)
    answers = found["answers"]
    assert len(answers) == 30
    assert sum(status == 503 for status, *_ in answers) == 10
    assert sum(status == 200 and not right for status, _, _, right in answers) == 10
    assert all(due >= sent > 0 for _, due, sent, _ in answers)
    assert suite.per_second(found) == pytest.approx(10 / found["took_s"])


def test_without_a_rate_it_asks_as_soon_as_it_was_answered(stub: dict[str, Any]) -> None:
    found = server_load.run({**stub, "seconds": 0.3, "connections": 2}, REQUEST)
    assert len(found["answers"]) == _Stub.count > 10


def test_a_server_that_is_gone_is_counted_as_lost() -> None:
    job = {"host": "127.0.0.1", "port": suite.free_port(), "expected": "Ann"}
    found = server_load.run({**job, "seconds": 0.2, "connections": 1, "rate": 20.0}, REQUEST)
    assert {status for status, *_ in found["answers"]} == {0}


def test_the_picture_shows_the_person_the_gallery_knows(
    tmp_path: Path, recognizer: Recognizer
) -> None:
    path = tmp_path / "people.vultus"
    suite.make_gallery(path, 50)
    with open_gallery(path) as gallery:
        assert len(gallery) == 50
        (found,) = recognizer.identify(gallery, suite.make_picture())
        assert found.face.frame.image.shape == (480, 640, 3)
        assert found.name == suite.PERSON
