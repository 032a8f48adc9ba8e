"""Running the server: sockets, TLS, worker processes, signals."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import tempfile
from typing import Any

import uvicorn

from vultus.errors import SpaceMismatchError, VultusError
from vultus.gallery import open_gallery
from vultus.models import Registry, space_in
from vultus.runtime import use_one_heap
from vultus.server.errors import SettingsError
from vultus.server.logs import configure_logging
from vultus.server.places import Places
from vultus.server.secrets import load_secrets
from vultus.server.settings import Settings
from vultus.server.store import open_store

__all__ = ["application", "check", "serve"]

_HANDOVER = "VULTUS_SERVER_HANDOVER"  # how settings reach worker processes
_BACKLOG = 2048
_KEEP_ALIVE_S = 30
_SPACE_KINDS = "embedder"


def check(settings: Settings) -> dict[str, str]:
    """Whether the server could start: settings, files, databases, model.

    Returns:
        What was looked at, in words.

    Raises:
        VultusError: It could not; the message says why.
    """
    from vultus.encode import face_embedder_for
    from vultus.models import Store as WeightStore
    from vultus.pipeline.load import card_of_kind

    places = Places(settings.gallery, settings.secret_file)
    registry = Registry()
    card = card_of_kind(registry, settings.model, _SPACE_KINDS)
    space = space_in(registry, card, mirror=settings.mirror)
    store = open_store(places, load_secrets(places.secret))
    store.close()
    with open_gallery(settings.gallery) as gallery:
        known, faces = gallery.space, len(gallery)
    if known is not None and known != space:
        raise SpaceMismatchError(
            f"the gallery was made with {known}, the server is set to {space}",
            remedy="set the server's model and mirror to the gallery's, or migrate the gallery",
            expected=known.id,
            actual=space.id,
        )
    if settings.detector != "auto":
        detector = card_of_kind(registry, settings.detector, "detector")
        for weight in detector.weights:
            WeightStore().path(weight)
    _ = face_embedder_for
    if settings.tls_cert is not None:
        _tls_context(settings)
    return {
        "gallery": f"{faces} faces",
        "access data": store.name,
        "model": str(space),
        "detector": settings.detector,
        "listens on": f"{settings.host}:{settings.port}",
    }


def _tls_context(settings: Settings) -> None:
    """Load certificate and key as the server will.

    Raises:
        SettingsError: They cannot be used.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(settings.tls_cert), str(settings.tls_key))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the certificate {settings.tls_cert} or its key {settings.tls_key} cannot be used:"
            f" {error}",
            remedy="both must be PEM files that belong together, the key without a passphrase",
        ) from error


def application() -> Any:
    """The application of a worker process, from the settings its parent handed over."""
    from vultus.server.app import create_app

    settings = Settings.model_validate_json(os.environ[_HANDOVER])
    use_one_heap()
    configure_logging(settings)
    app = create_app(settings)
    app.state.failed = _die
    return app


def _die(_error: VultusError) -> None:
    """End a server that cannot become ready; the log has said why."""
    import signal

    os.kill(os.getpid(), signal.SIGTERM)


def serve(settings: Settings) -> None:
    """Serve until told to end; accepted work is finished first.

    Raises:
        VultusError: The server cannot start.
    """
    check(settings)
    configure_logging(settings)
    os.environ[_HANDOVER] = settings.model_dump_json()
    with tempfile.TemporaryDirectory(prefix="vultus-metrics-") as folder:
        if settings.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        config = _config(settings)
        listening = _listening(settings)
        try:
            if settings.workers > 1:
                from uvicorn.supervisors import Multiprocess

                server = uvicorn.Server(config)
                Multiprocess(config, target=server.run, sockets=[listening]).run()
            else:
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            listening.close()


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "vultus.server.run:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=settings.trust_forwarded,
        forwarded_allow_ips="*" if settings.trust_forwarded else None,
        limit_concurrency=settings.max_connections,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        ssl_certfile=None if settings.tls_cert is None else str(settings.tls_cert),
        ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
    )


def _listening(settings: Settings) -> socket.socket:
    """The socket, bound, so that the port is known and all workers share it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host.strip("[]"), settings.port))
        listening.set_inheritable(True)
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}",
            remedy="end what uses it, or choose another port",
        ) from error
    host, port = listening.getsockname()[:2]
    scheme = "http" if settings.tls_cert is None else "https"
    shown = f"[{host}]" if ":" in host else host
    print(f"vultus listens on {scheme}://{shown}:{port}", file=sys.stderr, flush=True)  # noqa: T201
    return listening
