"""``vultus keys``: who may use the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vultus.cli._options import Json
from vultus.cli._output import out, print_json, safe
from vultus.cli.serve import need_server

if TYPE_CHECKING:
    from vultus.server.store import Application, Keys, NewApplication

__all__ = ["app"]

app = typer.Typer()

GalleryName = Annotated[
    str,
    typer.Option(envvar="VULTUS_SERVER_GALLERY", help="The server's main gallery: a file or URL."),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        envvar="VULTUS_SERVER_SECRET_FILE",
        help="Where the server's secret lies, if not in its usual place.",
    ),
]
AppId = Annotated[str, typer.Argument(help="The application, as `vultus keys list` shows it.")]


@contextmanager
def _opened(gallery: str, secret_file: Path | None) -> Iterator[Keys]:
    need_server()
    from vultus.server.places import Places
    from vultus.server.secrets import load_secrets
    from vultus.server.store import Keys, open_store

    places = Places(gallery, secret_file)
    secrets = load_secrets(places.secret, make_folder=places.on_postgres)
    store = open_store(places, secrets)
    try:
        yield Keys(store, secrets)
    finally:
        store.close()


@app.command("create")
def create(
    gallery: GalleryName,
    tenant: Annotated[str, typer.Option(help="Whose gallery it uses; made when new.")],
    scopes: Annotated[
        str, typer.Option(help="Some of read,enrol,delete,admin; admin brings all.")
    ] = "read",
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a second; the server's without.")
    ] = None,
    daily: Annotated[
        int | None, typer.Option(min=1, help="Requests a day; the server's without.")
    ] = None,
    secret_file: SecretFile = None,
    json: Json = False,
) -> None:
    """Make an application and show its keys, once.

    The first tenant owns the main gallery itself, every other one gets a gallery of its own.
    """
    wanted = frozenset(scope.strip() for scope in scopes.split(",") if scope.strip())
    with _opened(gallery, secret_file) as keys:
        _show(keys.create(tenant, wanted, name, rate_per_s=rate, daily=daily), json)


@app.command("list")
def list_keys(
    gallery: GalleryName,
    tenant: Annotated[str | None, typer.Option(help="Only theirs.")] = None,
    secret_file: SecretFile = None,
    json: Json = False,
) -> None:
    """List applications; their keys are not known to the server."""
    with _opened(gallery, secret_file) as keys:
        found = keys.list(tenant)
    for application in found:
        if json:
            print_json(_object(application))
            continue
        state = "  revoked" if application.revoked else ""
        out.print(
            f"{application.app_id}  {safe(application.tenant)}"
            f"  {','.join(sorted(application.scopes))}  {application.created_at}"
            f"  {safe(application.name)}{state}",
            soft_wrap=True,
        )


@app.command("rotate")
def rotate(
    app_id: AppId, gallery: GalleryName, secret_file: SecretFile = None, json: Json = False
) -> None:
    """Give an application new keys; the old ones, and tokens made with them, end."""
    with _opened(gallery, secret_file) as keys:
        _show(keys.rotate(app_id), json)


@app.command("revoke")
def revoke(
    app_id: AppId, gallery: GalleryName, secret_file: SecretFile = None, json: Json = False
) -> None:
    """Shut an application out for good; running servers follow within two seconds."""
    with _opened(gallery, secret_file) as keys:
        keys.revoke(app_id)
    if json:
        print_json({"app_id": app_id, "revoked": True})
    else:
        out.print(f"{safe(app_id)} is revoked")


@app.command("log")
def log(
    gallery: GalleryName,
    tenant: Annotated[str | None, typer.Option(help="Only about this tenant.")] = None,
    secret_file: SecretFile = None,
    json: Json = False,
) -> None:
    """Show who made, rotated and revoked which keys."""
    with _opened(gallery, secret_file) as keys:
        for entry in keys.events(tenant):
            if json:
                print_json(entry)
                continue
            out.print(
                f"{entry['at']}  {safe(entry['actor'])}  {entry['action']}"
                f"  {safe(entry['tenant'])}  {entry['app_id'] or ''}",
                soft_wrap=True,
            )


def _show(made: NewApplication, json: bool) -> None:
    shown = {"api_key": made.api_key, "app_id": made.app_id, "ak": made.ak, "sk": made.sk}
    if json:
        print_json(shown)
        return
    for what, value in shown.items():
        out.print(f"{what:8} {value}")
    out.print("[dim]Keep them now: api_key and sk are not shown again.[/]")


def _object(application: Application) -> dict[str, object]:
    return {
        "app_id": application.app_id,
        "tenant": application.tenant,
        "name": application.name,
        "scopes": sorted(application.scopes),
        "ak": application.ak,
        "revoked": application.revoked,
        "created_at": application.created_at,
        "rate_per_s": application.rate_per_s,
        "daily": application.daily,
    }
