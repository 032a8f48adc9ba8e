"""``vultus serve``: the face service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vultus.cli._options import Json
from vultus.cli._output import out, print_json, safe
from vultus.errors import MissingExtraError

__all__ = ["need_server", "serve"]


def serve(
    gallery: Annotated[
        str | None, typer.Option(help="Main gallery: a file or a database's URL.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 lets the system choose. [8000]")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; see docs/server.md.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes. [1]")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads for pictures in each process. [CPUs / workers]")
    ] = None,
    anonymous: Annotated[
        bool | None,
        typer.Option("--anonymous", help="Serve whoever asks; loopback addresses only."),
    ] = None,
    detector: Annotated[str | None, typer.Option(help="Card of the detector. [mtcnn]")] = None,
    model: Annotated[
        str | None, typer.Option(help="Card of the embedder. [dlib-resnet-v1]")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text. [json]")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look whether it could start, then end.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve a gallery over HTTP: the native API, Baidu's and CompreFace's.

    Settings come from --config, then VULTUS_SERVER_… variables, then these options; the later
    ones win. Make a key first: vultus keys create --gallery GALLERY --tenant NAME.
    """
    need_server()
    from vultus.server.run import check as check_start
    from vultus.server.run import serve as run_server
    from vultus.server.settings import load_settings

    flags: dict[str, Any] = {
        "gallery": gallery,
        "host": host,
        "port": port,
        "workers": workers,
        "threads": threads,
        "anonymous": anonymous,
        "detector": detector,
        "model": model,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "log_format": log_format,
    }
    settings = load_settings(config, None, flags)
    if not check:
        run_server(settings)
        return
    found = check_start(settings)
    if json:
        print_json({"ok": True, **found})
        return
    for what, state in found.items():
        out.print(f"{what}: {safe(state)}", soft_wrap=True)
    out.print("[green]The server can start.[/]")


def need_server() -> None:
    """Require the extra `server`.

    Raises:
        MissingExtraError: It is not installed.
    """
    import importlib.util

    modules = ("fastapi", "uvicorn", "sqlalchemy", "prometheus_client", "multipart")
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingExtraError(
            f"the server needs {', '.join(absent)}, which is not installed",
            remedy="pip install 'vultus[server]'",
            extra="server",
        )
