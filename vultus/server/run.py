"""Running the server: sockets, TLS, worker processes, signals."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from vultus.decide import DEFAULT_POLICY, load_calibration, threshold_for
from vultus.errors import VultusError
from vultus.gallery import open_gallery
from vultus.models import ModelCard, Registry, space_in
from vultus.models import Store as Weights
from vultus.pipeline.load import card_of_kind
from vultus.runtime import use_one_heap
from vultus.server.errors import SettingsError, space_mismatch
from vultus.server.logs import configure_logging
from vultus.server.places import Places
from vultus.server.secrets import load_secrets
from vultus.server.settings import Settings, threshold_of
from vultus.server.store import open_store

__all__ = ["check", "serve", "work"]

_BACKLOG = 2048
_KEEP_ALIVE_S = 30
# How long a thread may keep Python's lock from the event loop; 5 ms by default, at every step.
_SWITCH_S = 0.0005
_MOST_HEAD_BYTES = 32 * 1024
# OpenBLAS and OpenMP would otherwise start a thread for each CPU within each of ours.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def check(settings: Settings) -> dict[str, str]:
    """Whether the server could start: settings, files, databases, models.

    Returns:
        What was looked at, in words.

    Raises:
        VultusError: It could not; the message says why.
    """
    places = Places(settings.gallery, settings.secret_file)
    registry, weights = Registry(), Weights()
    embedder = card_of_kind(registry, settings.model, "embedder")
    _require(weights, embedder)
    if settings.detector != "auto":
        _require(weights, card_of_kind(registry, settings.detector, "detector"))
    space = space_in(registry, embedder, mirror=settings.mirror)
    with open_gallery(settings.gallery) as gallery:
        known, faces = gallery.space, len(gallery)
    if known is not None and known != space:
        raise space_mismatch(known, space)
    own = None if settings.calibration is None else load_calibration(settings.calibration, space)
    if settings.threshold != DEFAULT_POLICY:
        threshold_for(embedder, space, threshold_of(settings.threshold), own)
    store = open_store(places, load_secrets(places.secret, make_folder=places.on_postgres))
    store.close()
    if settings.tls_cert is not None:
        _check_tls(settings)
    return {
        "gallery": f"{faces} faces",
        "access data": store.name,
        "model": str(space),
        "detector": settings.detector,
        "listens on": f"{settings.host}:{settings.port}",
    }


def _require(weights: Weights, card: ModelCard) -> None:
    """Have a model's files read, when they are not all here, so that the error says which.

    Raises:
        ModelMissingError: They are not.
    """
    if not weights.has(card):
        weights.read(card)


def _check_tls(settings: Settings) -> None:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(settings.tls_cert), str(settings.tls_key))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the certificate {settings.tls_cert} or its key {settings.tls_key} cannot be used:"
            f" {error}",
            remedy="both must be PEM files that belong together, the key without a passphrase",
        ) from error


def serve(settings: Settings) -> None:
    """Serve until told to end; accepted work is finished first.

    Raises:
        VultusError: The server cannot start, or cannot become ready.
    """
    check(settings)
    for variable in _ONE_THREAD:
        os.environ.setdefault(variable, "1")
    listening = _listening(settings)
    try:
        if settings.workers > 1:
            with tempfile.TemporaryDirectory(prefix="vultus-metrics-") as folder:
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
                _supervise(settings, listening)
        else:
            work(settings, listening)
    finally:
        listening.close()


def work(settings: Settings, listening: socket.socket) -> None:
    """Serve in this process.

    Raises:
        VultusError: The server cannot become ready.
    """
    import cv2

    from vultus.server.app import create_app

    use_one_heap()
    cv2.setNumThreads(1)  # our own threads fill the cores
    sys.setswitchinterval(_SWITCH_S)
    configure_logging(settings)
    failures: list[VultusError] = []

    def failed(error: VultusError) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings)
    app.state.failed = failed
    server = uvicorn.Server(_Config(app, settings))
    with suppress(KeyboardInterrupt):  # uvicorn repeats the signal that ended it
        server.run(sockets=[listening])
    if failures:
        raise failures[0]


class _Config(uvicorn.Config):
    """Uvicorn's settings, and ours that it does not have."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self.header_timeout_s = settings.header_timeout_s
        super().__init__(
            app,
            http="vultus.server.http:protocol",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=settings.trust_forwarded,
            forwarded_allow_ips="*" if settings.trust_forwarded else None,
            limit_concurrency=settings.max_connections,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, round(settings.drain_s)),
            h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
            ssl_certfile=None if settings.tls_cert is None else str(settings.tls_cert),
            ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
        )


def _listening(settings: Settings) -> socket.socket:
    """The socket, bound, so that the port is known and all workers share it."""
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        # Named, so that asyncio sends small answers at once (TCP_NODELAY).
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _not_listening(settings, error) from error
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise _not_listening(settings, error) from error
    bound, port = listening.getsockname()[:2]
    scheme = "http" if settings.tls_cert is None else "https"
    shown = f"[{bound}]" if ":" in bound else bound
    print(f"vultus listens on {scheme}://{shown}:{port}", file=sys.stderr, flush=True)  # noqa: T201
    return listening


def _not_listening(settings: Settings, error: OSError) -> SettingsError:
    return SettingsError(
        f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}",
        remedy="end what uses it, or choose another address or port",
    )


# -- several processes ----------------------------------------------------------------------------

_DEAD_CHECK_S = 0.5


def _supervise(settings: Settings, listening: socket.socket) -> None:
    """Keep so many workers going; end them all in peace when told to."""
    from vultus.server.workers import Workers

    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    workers = Workers(settings, listening)
    try:
        workers.start()
        while not told.wait(_DEAD_CHECK_S):
            workers.replace_dead()
    finally:
        workers.end(settings.drain_s + 10)
        for number, handler in before.items():
            signal.signal(number, handler)
