"""The face service under load: throughput beside a bare loop, latency, overload, start."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Options,
    Report,
    cores,
    interleaved,
    main,
    milliseconds,
    need_module,
    seconds,
    summary,
)

FACES = 10_000
MANY_FACES = 100_000
SEED = 20261122
PERSON = "Barack Obama"
TARGET_SHARE = 0.85
TARGET_P99 = 5.0
TARGET_REFUSED_S = 0.1
TARGET_READY_S = {0: 4.0, MANY_FACES: 12.0}
TARGET_GROWTH = 1.05  # of resident memory, between the first and the last third of the overload
CLIENTS_PER_CORE = 2
HERE = Path(__file__).resolve().parent


@dataclass
class Server:
    """A running server.

    Attributes:
        process: Itself.
        port: Where it listens.
        request: File of the bytes that ask it to identify the picture.
        live_s: From start to the first answer.
        ready_s: From start to ready.
    """

    process: subprocess.Popen[bytes]
    port: int
    request: Path
    live_s: float
    ready_s: float

    def rss_bytes(self) -> int:
        fields = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def run(report: Report, options: Options) -> None:
    """Everything, one after the other, on one machine."""
    need_module("fastapi", "pip install 'vultus[server]'")
    report.settings.update(
        faces=FACES, threads=cores(), clients=CLIENTS_PER_CORE * cores(), seed=SEED, mirror=True
    )
    with tempfile.TemporaryDirectory(prefix="vultus-bench-") as name:
        folder = Path(name)
        picture = make_picture()
        gallery = folder / "people.vultus"
        make_gallery(gallery, FACES)
        with serving(folder, gallery, picture) as server:
            throughput(report, options, server, gallery, picture)
            latency(report, options, server)
            overload(report, options, server)
        batching(report, options, folder, gallery, picture)
        start_times(report, options, folder, picture)


# -- what is asked of what ------------------------------------------------------------------------


def make_picture() -> bytes:
    """A JPEG of 640 × 480 with one face, of somebody who is enrolled by another photo."""
    import importlib.resources
    import io

    from PIL import Image

    photo = importlib.resources.files("vultus.samples") / "photos" / "obama2.jpg"
    with Image.open(io.BytesIO(photo.read_bytes())) as opened:
        fitted = opened.convert("RGB")
    fitted.thumbnail((640, 480))
    whole = Image.new("RGB", (640, 480), (127, 127, 127))
    whole.paste(fitted, ((640 - fitted.width) // 2, (480 - fitted.height) // 2))
    written = io.BytesIO()
    whole.save(written, "JPEG", quality=90)
    return written.getvalue()


def make_gallery(path: Path, faces: int) -> None:
    """A gallery of made-up vectors, and one real person."""
    import importlib.resources

    from vultus import load
    from vultus.gallery import NewSample, open_gallery
    from vultus.types import Embedding

    recognizer = load(threads=1)
    known = importlib.resources.files("vultus.samples") / "known" / f"{PERSON}.jpg"
    space = recognizer.embedder.space
    rng = np.random.default_rng(SEED)
    with open_gallery(path) as gallery:
        if not faces:
            return
        recognizer.enroll(gallery, PERSON, known.read_bytes())
        for first in range(1, faces, 10_000):
            rows = rng.standard_normal((min(10_000, faces - first), space.dimension))
            vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
            gallery.add_many(
                NewSample(f"person {first + i}", Embedding(vector, space), f"digest {first + i}")
                for i, vector in enumerate(vectors)
            )


@contextmanager
def serving(
    folder: Path, gallery: Path, picture: bytes, *flags: object, **variables: str
) -> Iterator[Server]:
    """A server in a process of its own, ready."""
    command = [sys.executable, "-m", "vultus"]
    create = [*command, "keys", "create", "--gallery", str(gallery), "--tenant", "bench", "--json"]
    key = json.loads(subprocess.run(create, check=True, capture_output=True).stdout)["api_key"]
    port = free_port()
    began = time.perf_counter()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "serve", "--gallery", str(gallery), "--port", str(port), *map(str, flags)],
            stdout=log, stderr=log, env={**os.environ, **variables},
        )  # fmt: skip
    try:
        live_s = answered(process, port, "/health/live", began)
        ready_s = answered(process, port, "/health/ready", began)
        yield Server(process, port, write_request(folder, key, picture), live_s, ready_s)
        if process.poll() is not None:
            raise RuntimeError("the server crashed")
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {(folder / 'server.log').read_text()[-3000:]}") from error
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def answered(process: subprocess.Popen[bytes], port: int, path: str, began: float) -> float:
    """Seconds from `began` until this path answers 200."""
    while time.perf_counter() - began < 120 and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}"):
                return time.perf_counter() - began
        except (urllib.error.HTTPError, OSError):
            time.sleep(0.01)
    raise RuntimeError(f"{path} did not answer")


def write_request(folder: Path, key: str, picture: bytes) -> Path:
    """The bytes of one request, as a client sends them."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = part + picture + b"\r\n--b--\r\n"
    head = (
        "POST /v1/identify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    path = folder / "request"
    path.write_bytes(head.encode() + body)
    return path


def loaded(
    server: Server, duration_s: float, connections: int, rate: float | None = None
) -> dict[str, Any]:
    """What a second process sees that asks the server."""
    job = {
        "host": "127.0.0.1", "port": server.port, "request": str(server.request),
        "seconds": duration_s, "connections": connections, "rate": rate, "expected": PERSON,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(HERE / "server_load.py")],
        input=json.dumps(job).encode(), check=True, capture_output=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def per_second(found: dict[str, Any]) -> float:
    """Right answers a second."""
    return (
        sum(status == 200 and right for status, _, _, right in found["answers"]) / found["took_s"]
    )


# -- what is measured -----------------------------------------------------------------------------


def throughput(
    report: Report, options: Options, server: Server, gallery: Path, picture: bytes
) -> None:
    """The server beside a bare loop of as many threads, in turn."""
    import cv2

    from vultus import load
    from vultus.gallery import open_gallery

    cv2.setNumThreads(1)
    recognizer = load(threads=1)
    span_s = 2.0 if options.quick else 6.0
    rates: dict[str, list[float]] = {"bare loop": [], "server": []}
    with open_gallery(gallery) as opened:
        recognizer.identify(opened, picture)

        def bare(_: int) -> None:
            rates["bare loop"].append(loop(recognizer, opened, picture, span_s))

        def served(_: int) -> None:
            found = loaded(server, span_s, CLIENTS_PER_CORE * cores())
            rates["server"].append(per_second(found))

        rounds = options.count(7, 2)
        interleaved({"bare": bare, "served": served}, rounds, label="throughput")
    kept = {name: values[1:] for name, values in rates.items()}  # the first round warms up
    medians = {name: statistics.median(values) for name, values in kept.items()}
    shares = [s / b for s, b in zip(kept["server"], kept["bare loop"], strict=True)]
    share = statistics.median(shares)
    report.results["per_second"] = kept
    report.results["share"] = {"median": share, "each": shares}
    report.row(
        f"identify, 640×480, {FACES:,} faces, {cores()} threads",
        f"{medians['server']:.1f}/s",
        f"bare loop {medians['bare loop']:.1f}/s",
        f"{share:.2f}",
        target=f"≥ {TARGET_SHARE}",
        met=share >= TARGET_SHARE,
    )


def loop(recognizer: Any, gallery: Any, picture: bytes, span_s: float) -> float:
    """Pictures a second that as many threads as cores identify, nothing else being done."""
    counts = [0] * cores()
    began = time.perf_counter()
    end = began + span_s

    def work(which: int) -> None:
        while time.perf_counter() < end:
            (found,) = recognizer.identify(gallery, picture)
            if found.name != PERSON:
                raise RuntimeError(f"the bare loop found {found.name}")
            counts[which] += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(cores())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def latency(report: Report, options: Options, server: Server) -> None:
    """One request alone, and the slowest of a hundred at half of what the server can do."""
    span_s = 3.0 if options.quick else 30.0
    sustained = statistics.median(report.results["per_second"]["server"])
    alone = [sent for _, _, sent, _ in loaded(server, span_s / 3, 1)["answers"]]
    half = loaded(server, span_s, 32, sustained / 2)
    due = sorted(due for _, due, _, _ in half["answers"])
    p99 = due[min(len(due) - 1, round(0.99 * len(due)))]
    ratio = p99 / statistics.median(alone)
    wrong = sum(status != 200 or not right for status, _, _, right in half["answers"])
    report.results["latency"] = {
        "alone": summary(alone), "half_load": summary(due), "p99_s": p99,
        "requests": len(due), "wrong": wrong, "rate": sustained / 2,
    }  # fmt: skip
    report.row(
        f"p99 at half load ({sustained / 2:.0f}/s)",
        milliseconds(p99),
        f"one request alone {milliseconds(statistics.median(alone))}",
        f"{ratio:.1f}×",
        target=f"< {TARGET_P99:g}×",
        met=ratio < TARGET_P99 and not wrong,
    )


def overload(report: Report, options: Options, server: Server) -> None:
    """Twice what the server can do, for a minute."""
    span_s = options.extra.get("seconds") or (4.0 if options.quick else 60.0)
    rate = 2 * statistics.median(report.results["per_second"]["server"])
    memory: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            memory.append(server.rss_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = loaded(server, span_s, 128, rate)["answers"]
    stop.set()
    watcher.join()
    refused = sorted(sent for status, _, sent, _ in answers if status == 503)
    accepted = [right for status, _, _, right in answers if status == 200]
    third = max(1, len(memory) // 3)
    report.results["overload"] = {
        "seconds": span_s, "rate": rate, "asked": len(answers), "accepted": len(accepted),
        "wrong": accepted.count(False), "refused": len(refused),
        "lost": len(answers) - len(refused) - len(accepted),
        "refused_median_s": statistics.median(refused or [0.0]),
        "refused_p99_s": refused[round(0.99 * (len(refused) - 1))] if refused else 0.0,
        "refused_slowest_s": refused[-1] if refused else 0.0,
        "rss_bytes": memory,
        "rss_growth": statistics.median(memory[-third:])
        / statistics.median(memory[third : 2 * third]),
        "alive": server.process.poll() is None,
    }  # fmt: skip
    overload_rows(report)


def overload_rows(report: Report) -> None:
    """What the minute showed, as rows."""
    found = report.results["overload"]
    report.row(
        f"{found['seconds']:.0f} s at twice that ({found['rate']:.0f}/s): refused within",
        f"{milliseconds(found['refused_p99_s'])} (p99),"
        f" {milliseconds(found['refused_slowest_s'])} (slowest)",
        f"{found['refused']} of {found['asked']} refused",
        target=f"< {TARGET_REFUSED_S * 1000:.0f} ms",
        met=found["refused_slowest_s"] < TARGET_REFUSED_S,
    )
    report.row(
        "— accepted and wrong, or lost",
        f"{found['wrong']} + {found['lost']} of {found['accepted']}",
        target="0",
        met=not found["wrong"] and not found["lost"] and found["alive"],
    )
    report.row(
        "— memory, last third ÷ middle third",
        f"{found['rss_growth']:.3f}",
        f"{found['rss_bytes'][-1] / 2**20:.0f} MiB",
        target=f"< {TARGET_GROWTH}",
        met=found["rss_growth"] < TARGET_GROWTH,
    )


def batching(report: Report, options: Options, folder: Path, gallery: Path, picture: bytes) -> None:
    """Embeddings of concurrent requests together, or each for itself."""
    span_s = 2.0 if options.quick else 6.0
    rates: dict[str, list[float]] = {"off": [], "on": []}
    on = {"VULTUS_SERVER_MAX_BATCH": "8", "VULTUS_SERVER_MAX_WAIT_MS": "2"}
    with (
        serving(folder, gallery, picture) as plain,
        serving(folder, gallery, picture, **on) as batched,
    ):
        both = {"off": plain, "on": batched}

        def ask(name: str) -> None:
            found = loaded(both[name], span_s, CLIENTS_PER_CORE * cores())
            rates[name].append(per_second(found))

        interleaved(
            {"off": lambda _: ask("off"), "on": lambda _: ask("on")},
            options.count(5, 2),
            label="batching",
        )
    kept = {name: values[1:] for name, values in rates.items()}
    ratio = statistics.median(b / a for a, b in zip(kept["off"], kept["on"], strict=True))
    report.results["batching"] = {"per_second": kept, "ratio": ratio}
    report.row(
        "micro-batching on (8 faces, 2 ms)",
        f"{statistics.median(kept['on']):.1f}/s",
        f"off (the default) {statistics.median(kept['off']):.1f}/s",
        f"{ratio:.2f}",
    )


def start_times(report: Report, options: Options, folder: Path, picture: bytes) -> None:
    """From the start of the process to the first answer, and to ready."""
    report.results["start"] = {}
    for faces in (0, MANY_FACES):
        gallery = folder / f"start{faces}.vultus"
        make_gallery(gallery, 2_000 if faces and options.quick else faces)
        found = []
        for _ in range(options.count(5, 1)):
            with serving(folder, gallery, picture) as server:
                found.append((server.live_s, server.ready_s))
        live = statistics.median(a for a, _ in found)
        ready = statistics.median(b for _, b in found)
        report.results["start"][str(faces)] = {"live_s": live, "ready_s": ready, "each": found}
        report.row(
            f"ready, {faces:,} faces" if faces else "ready, empty gallery",
            seconds(ready),
            f"live {seconds(live)}",
            target=f"< {TARGET_READY_S[faces]:g} s",
            met=ready < TARGET_READY_S[faces],
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, help="how long the overload lasts (60)")


if __name__ == "__main__":
    main("server", "the face service under load", run, add_options)
