"""Checkpoints: all that a run needs to go on, in one safetensors file that is written whole.

The tensors lie in the file under their paths (``model.conv1.weight``); its metadata holds, as JSON,
the resolved configuration, how far the run has come, and what else is in the states, with a mark
where each tensor belongs. Nothing in it is executed when it is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vultus.errors import DataFileError, DtypeError, MissingExtraError, OutputError

__all__ = [
    "Checkpoint",
    "Progress",
    "differences",
    "load_checkpoint",
    "random_state",
    "save_checkpoint",
    "set_random_state",
]

_FORMAT = 1
_TENSOR, _TUPLE, _PAIRS = "$tensor", "$tuple", "$pairs"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        epoch: Whole epochs behind it.
        batch: Batches of the current epoch behind it.
        step: Steps of the optimiser behind it.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A run at one moment.

    Attributes:
        config: The resolved configuration: dictionaries, lists, texts, numbers, booleans.
        progress: How far it has come.
        states: State dictionaries by the name of what they belong to (``model``, ``head``,
            ``optimiser``, ``random`` …).
    """

    config: Mapping[str, Any]
    progress: Progress
    states: Mapping[str, Any] = field(repr=False)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside its place, force it to the disk, and rename it into place.

    A run that is killed meanwhile leaves the checkpoint of before, and a ``.part`` file that the
    next one overwrites.

    Args:
        path: The file, ``….safetensors``.
        checkpoint: What to write; tensors may lie on any device.

    Raises:
        MissingExtraError: safetensors is not installed.
        DtypeError: A state or the configuration holds something that cannot be written.
        OutputError: The file cannot be written.
    """
    library = _library("safetensors.torch")
    tensors: dict[str, Tensor] = {}
    content = {
        "format": _FORMAT,
        "config": _encoded(dict(checkpoint.config), "config", None),
        "progress": asdict(checkpoint.progress),
        "states": {
            name: _encoded(state, name, tensors) for name, state in checkpoint.states.items()
        },
    }
    part = path.with_name(path.name + ".part")
    try:
        library.save_file(_apart(tensors), part, {"vultus": json.dumps(content)})
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except (OSError, _library("safetensors").SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"the checkpoint {path} cannot be written: {error}") from error


def load_checkpoint(
    path: Path,
    *,
    config: Mapping[str, Any] | None = None,
    may_differ: frozenset[str] = frozenset(),
) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Args:
        path: The file.
        config: The configuration it must have been made with; any when left out.
        may_differ: Dotted keys that need not agree: ``epochs``, ``data.workers``.

    Raises:
        MissingExtraError: safetensors is not installed.
        DataFileError: It cannot be read, is none of vultus's, or was made with another
            configuration.
    """
    library = _library("safetensors")
    try:
        with library.safe_open(path, "pt") as file:
            content = json.loads((file.metadata() or {})["vultus"])
            if content["format"] != _FORMAT:
                raise _bad(path, f"has the format {content['format']}, known is {_FORMAT}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = Checkpoint(
            _decoded(content["config"], {}),
            Progress(**content["progress"]),
            {name: _decoded(state, tensors) for name, state in content["states"].items()},
        )
    except (OSError, library.SafetensorError) as error:
        raise _bad(path, f"cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _bad(path, "is none that vultus wrote") from error
    if config is not None:
        differing = [key for key in differences(found.config, config) if key not in may_differ]
        if differing:
            raise DataFileError(
                f"the checkpoint {path} was made with another configuration: {differing[0]} "
                f"differs, one of {len(differing)} keys",
                remedy="resume with the recipe it was made with, or train anew in another folder",
                path=str(path),
                keys=differing,
            )
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Dotted keys at which two configurations differ, in order.

    Lists and tuples are compared by their elements; a number differs from another of its type.
    """
    found: list[str] = []
    for key in sorted(set(old) | set(new)):
        if key not in old or key not in new:
            found.append(key)
            continue
        one, two = old[key], new[key]
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            found += [f"{key}.{inner}" for inner in differences(one, two)]
        elif _plain(one) != _plain(two):
            found.append(key)
    return tuple(found)


def random_state() -> dict[str, Any]:
    """The states of PyTorch's generators (CPU and all CUDA devices) and of Python's ``random``.

    NumPy's global generator is not among them: vultus draws from generators of its own.
    """
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": devices, "python": random.getstate()}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go on from a state of `random_state`.

    Raises:
        DataFileError: It was taken on a machine with another number of CUDA devices.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if len(state["cuda"]) != count:
        raise DataFileError(
            f"the run had {len(state['cuda'])} CUDA devices, here are {count}: it cannot go on "
            f"exactly",
            remedy="resume where it ran",
        )
    torch.set_rng_state(state["torch"])
    if count:
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate(state["python"])


def _encoded(value: Any, path: str, tensors: dict[str, Tensor] | None) -> Any:
    """JSON of a nest; its tensors go to `tensors`, and a mark stays in their place."""
    if isinstance(value, Tensor) and tensors is not None:
        while path in tensors:  # keys may hold dots: {"a.b": …, "a": {"b": …}}
            path += "'"
        tensors[path] = value.detach().cpu().contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        inner = {key: _encoded(v, f"{path}.{key}", tensors) for key, v in value.items()}
        if all(isinstance(key, str) and not key.startswith("$") for key in inner):
            return inner
        if all(isinstance(key, str | int) for key in inner):
            return {_PAIRS: [list(pair) for pair in inner.items()]}
    if isinstance(value, list | tuple):
        items = [_encoded(v, f"{path}.{i}", tensors) for i, v in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise DtypeError(
        f"a checkpoint holds tensors, texts and numbers, {path} is of {type(value).__name__}"
    )


def _decoded(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decoded(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"$tensor": name}:
            return tensors[name]
        case {"$tuple": items}:
            return tuple(_decoded(v, tensors) for v in items)
        case {"$pairs": pairs}:
            return {key: _decoded(v, tensors) for key, v in pairs}
    return {key: _decoded(v, tensors) for key, v in value.items()}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those that share memory with another copied: the format knows no sharing."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def _plain(value: Any) -> Any:
    """A value for comparing: a file gives back lists for TOML's arrays and code's tuples alike."""
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            "checkpoints take safetensors, which is not installed",
            remedy="pip install 'vultus[train]'",
        ) from error


def _bad(path: Path, what: str) -> DataFileError:
    return DataFileError(
        f"the checkpoint {path} {what}",
        remedy="name a checkpoint of this version, or train anew",
        path=str(path),
    )
