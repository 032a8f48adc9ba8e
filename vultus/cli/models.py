"""``vultus models``: which models there are, which are here, and what one may do with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from vultus.cli._options import Json
from vultus.cli._output import EXIT_NO, print_json, safe

if TYPE_CHECKING:
    from rich.console import Console

    from vultus.models import ModelCard, Progress, Registry, Store, WeightStatus

__all__ = ["app"]

app = typer.Typer()

# Columns of a line that no terminal shows: a pipe or a file.
_PIPE_WIDTH = 240


@app.command("list")
def list_models(
    kind: Annotated[
        str | None, typer.Option(help="Only this kind: detector, embedder, landmarks, pose …")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the known models and whether they are on this machine."""
    registry, store = _open()
    cards = [card for card in registry if kind is None or card.kind == _checked_kind(kind)]
    if as_json:
        return print_json([_summary(card, store) for card in cards])
    rows = [
        (card.name, card.kind, _place(card, store), _size(card), _verdict(card), card.title)
        for card in cards
    ]
    return _print_table(("name", "kind", "here", "size", "commercial", "what"), rows)


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="Name or alias of a model.")], as_json: Json = False
) -> None:
    """Show everything that is known about a model."""
    registry, store = _open()
    card = registry.get(name)
    if as_json:
        places = {weight.role: _text(store.path(weight)) for weight in card.weights}
        return print_json({**card.model_dump(mode="json"), "paths": places})
    console = _console()
    console.print(safe(f"{card.name}: {card.title}"), style="bold")
    console.print(safe(card.summary))
    return _print_table(("", ""), _facts(card, store), console)


@app.command("pull")
def pull_models(
    names: Annotated[list[str], typer.Argument(help="Names or aliases of models.")],
    offline: Annotated[
        bool, typer.Option("--offline", help="Refuse to download (also: VULTUS_OFFLINE=1).")
    ] = False,
    mirror: Annotated[
        str | None, typer.Option(help="Address to try first (also: VULTUS_MIRROR).")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Digest you vouch for, of a model that has none yet.")
    ] = None,
) -> None:
    """Download models, verify their SHA-256, and keep them for offline use."""
    registry, store = _open(offline=offline or None, mirror=mirror)
    if sha256 is not None and len(names) > 1:
        raise typer.BadParameter("--sha256 goes with one model")
    errors = _console(stderr=True)
    for card in [registry.get(name) for name in names]:
        if card.licence.commercial is not True:
            terms = f"licence {card.licence.spdx}, commercial use {_verdict(card)}"
            errors.print(safe(f"{card.name}: {terms}. {card.licence.note}"), style="yellow")
        with _progress(errors) as progress:
            states = store.pull(card, progress, sha256=sha256)
        for state in states:
            _print_ready(state)


@app.command("add")
def add_model(
    file: Annotated[Path, typer.Argument(help="A file of weights that you brought yourself.")],
    card: Annotated[
        Path | None, typer.Option(help="A card (TOML) that describes it, if vultus has none.")
    ] = None,
) -> None:
    """Copy a file of weights into the store; its SHA-256 says which model it is."""
    registry, store = _open()
    state = store.add(file, card, registry=registry)
    _print_ready(state)


@app.command("remove")
def remove_models(
    names: Annotated[list[str], typer.Argument(help="Names or aliases of models.")],
) -> None:
    """Delete the stored weights of models."""
    registry, store = _open()
    for card in [registry.get(name) for name in names]:
        gone = store.remove(card)
        what = ", ".join(str(path) for path in gone) if gone else "nothing was here"
        _console().print(safe(f"{card.name}: {'deleted ' if gone else ''}{what}"), soft_wrap=True)


@app.command("verify")
def verify_models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models; without any, all that are here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare weights with their SHA-256; exit code 1 if one is damaged or a named one missing."""
    registry, store = _open()
    if names:
        states = [state for name in names for state in store.verify(registry.get(name))]
    else:
        cards = [card for card in registry if _is_here(card, store)]
        states = [state for card in cards for state in store.verify(card)]
    if as_json:
        print_json([_state(state) for state in states])
    else:
        rows = [(s.card, s.file, s.state, _text(s.path) or "–") for s in states]
        _print_table(("model", "file", "state", "where"), rows)
    if any(state.state != "ok" for state in states):
        raise typer.Exit(EXIT_NO)


@app.command("licenses")
def list_licences(
    policy: Annotated[
        str | None,
        typer.Option(
            help="`commercial`: look at what is on this machine; exit code 1 if a model there may "
            "not be used commercially, or if that is unclear."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models' licences, or check those on this machine against a policy."""
    if policy not in {None, "commercial"}:
        raise typer.BadParameter(f"the only policy is `commercial`, got {policy!r}")
    registry, store = _open()
    cards = [card for card in registry if policy is None or _is_here(card, store)]
    refused = [card for card in cards if card.licence.commercial is not True]
    if as_json:
        models = [_licence(card, store) for card in cards]
        check = {"policy": policy, "allowed": not refused, "models": models}
        print_json(models if policy is None else check)
    else:
        rows = [
            (card.name, _place(card, store), card.licence.spdx, _verdict(card), card.licence.note)
            for card in cards
        ]
        _print_table(("name", "here", "licence", "commercial", "note"), rows)
    if policy is None:
        return
    if refused:
        names = ", ".join(f"{card.name} ({_verdict(card)})" for card in refused)
        _console(stderr=True).print(
            safe(f"Not cleared for commercial use: {names}"), style="yellow"
        )
        raise typer.Exit(EXIT_NO)


def _open(offline: bool | None = None, mirror: str | None = None) -> tuple[Registry, Store]:
    from vultus.models import Registry, Store

    store = Store(offline=offline, mirror=mirror)
    return Registry(home=store.root), store


def _checked_kind(kind: str) -> str:
    from vultus.models import Kind

    kinds = get_args(Kind)
    if kind not in kinds:
        raise typer.BadParameter(f"a kind is one of {', '.join(kinds)}, got {kind!r}")
    return kind


def _is_here(card: ModelCard, store: Store) -> bool:
    return any(store.path(weight) is not None for weight in card.weights)


def _place(card: ModelCard, store: Store) -> str:
    if not store.has(card):
        return "in part" if _is_here(card, store) else "–"
    return "ships" if card.packed else "yes"


def _verdict(card: ModelCard) -> str:
    return {True: "allowed", False: "not allowed", None: "unclear"}[card.licence.commercial]


def _bytes(card: ModelCard) -> int | None:
    sizes = [weight.bytes for weight in card.weights if weight.bytes is not None]
    return sum(sizes) if len(sizes) == len(card.weights) else None


def _size(card: ModelCard) -> str:
    total = _bytes(card)
    return "?" if total is None else f"{total / 1e6:.1f} MB"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _summary(card: ModelCard, store: Store) -> dict[str, Any]:
    return {
        "name": card.name,
        "kind": card.kind,
        "title": card.title,
        "installed": store.has(card),
        "packed": card.packed,
        "bytes": _bytes(card),
        "licence": card.licence.spdx,
        "commercial": card.licence.commercial,
    }


def _licence(card: ModelCard, store: Store) -> dict[str, Any]:
    return {
        "name": card.name,
        "installed": store.has(card),
        "verdict": _verdict(card),
        **card.licence.model_dump(mode="json"),
        "origin": card.origin.model_dump(mode="json"),
    }


def _state(state: WeightStatus) -> dict[str, Any]:
    return {
        "model": state.card,
        "role": state.role,
        "file": state.file,
        "state": state.state,
        "path": _text(state.path),
        "expected": state.expected,
        "actual": state.actual,
    }


def _facts(card: ModelCard, store: Store) -> Iterator[tuple[str, str]]:
    """Label and value, in the order people ask."""
    size = card.input.size_wh
    yield "kind", card.kind
    if card.aliases:
        yield "also called", ", ".join(card.aliases)
    yield "from", f"{card.origin.project}, {card.origin.url}"
    yield "licence", f"{card.licence.spdx}; commercial use {_verdict(card)}. {card.licence.note}"
    yield "trained on", card.licence.training_data
    yield (
        "input",
        f"{card.input.channels}, {card.input.layout}, "
        f"{'any size' if size is None else f'{size[0]} × {size[1]}'}, "
        f"mean {card.input.mean}, std {card.input.std}",
    )
    if card.embedding is not None:
        yield "embedding", f"{card.embedding.dimension} numbers, aligned {card.embedding.alignment}"
    for threshold in card.thresholds:
        yield f"threshold {threshold.policy}", f"{threshold.value} ({threshold.source})"
    for published in card.published:
        yield published.benchmark, published.value
    for weight in card.weights:
        where = _text(store.path(weight)) or "not here"
        yield f"weight {weight.role}", f"{weight.file}, SHA-256 {weight.sha256 or '?'}: {where}"


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _print_table(
    header: Sequence[str], rows: Iterable[tuple[str, ...]], console: Console | None = None
) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=any(header), header_style="bold", pad_edge=False)
    for number, label in enumerate(header, start=1):
        # Only the last column gives way: a name cut short cannot be typed.
        table.add_column(label, no_wrap=number < len(header), overflow="fold")
    for row in rows:
        table.add_row(*map(safe, row))
    (console or _console()).print(table)


def _print_ready(state: WeightStatus) -> None:
    text = f"{state.card}: {state.file} is here and verified ({state.path})"
    _console().print(safe(text), soft_wrap=True)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """A progress bar with rate and time left, as the store's callback."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console)
    tasks: dict[str, Any] = {}

    def advance(weight: Any, done: int, total: int | None) -> None:
        if weight.file not in tasks:
            bar.start()  # only once something comes
            tasks[weight.file] = bar.add_task(weight.file, total=total)
        bar.update(tasks[weight.file], completed=done, total=total)

    try:
        yield advance
    finally:
        if tasks:
            bar.stop()
