"""ONNX Runtime sessions: made once, shared by threads, thread count set on purpose."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InferenceError, RangeError

__all__ = ["Session", "SessionOptions", "default_threads", "providers_that_ran"]


def default_threads() -> int:
    """The CPUs this process may use, at least 1."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How networks run.

    Attributes:
        threads: CPU threads within one call, ≥ 1. One when several calls run in parallel (a
            folder, a server); more only when a single call should end sooner.
        providers: ONNX Runtime execution providers in order of preference. A provider asked for
            here and absent is an error, never a silent fall-back.

    Raises:
        RangeError: `threads` is below 1.
    """

    threads: int = 1
    providers: tuple[str, ...] = ("CPUExecutionProvider",)

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise RangeError(f"threads must be at least 1, got {self.threads}")


class Session:
    """One loaded network; `run` may be called from many threads at once.

    Args:
        weight: The ONNX file's bytes.
        name: For messages.
        options: Threads and providers.

    Attributes:
        input_names: In the file's order.
        output_names: Likewise.
        batch_size: First dimension of the first input where the file fixes it, else ``None``.

    Raises:
        InferenceError: The bytes are no loadable network, or a provider is absent.
    """

    def __init__(self, weight: bytes, name: str, options: SessionOptions | None = None) -> None:
        self.name = name
        self.options = options or SessionOptions()
        self._session = _open(weight, name, self.options)
        self.input_names: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.output_names: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())
        first = self._session.get_inputs()[0].shape[:1]
        self.batch_size: int | None = first[0] if first and isinstance(first[0], int) else None

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers that were really enabled, in order."""
        return tuple(self._session.get_providers())

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> list[NDArray[Any]]:
        """Run the network once.

        Args:
            inputs: One array per input name.
            outputs: Names of the wanted outputs; all, in the file's order, when ``None``.

        Raises:
            InferenceError: The runtime refused the inputs or failed.
        """
        try:
            result: list[NDArray[Any]] = self._session.run(outputs, dict(inputs))
        except Exception as error:
            raise InferenceError(f"running {self.name} failed: {error}") from error
        return result


def _open(weight: bytes, name: str, options: SessionOptions, *, profile: str = "") -> Any:
    import onnxruntime as ort

    available = ort.get_available_providers()
    absent = [p for p in options.providers if p not in available]
    if absent:
        raise InferenceError(
            f"ONNX Runtime on this machine has no {', '.join(absent)}",
            remedy=f"install a build that has it, or use {', '.join(available)}",
            expected=list(options.providers),
            actual=available,
        )
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 3
    # Pictures come in every size: an arena would keep the largest block of each for ever, and
    # idle workers that spin would take the cores from the other sessions.
    settings.enable_cpu_mem_arena = False
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        settings.enable_profiling = True
        settings.profile_file_prefix = profile
    try:
        return ort.InferenceSession(weight, settings, providers=list(options.providers))
    except Exception as error:
        raise InferenceError(
            f"ONNX Runtime cannot load {name}: {error}",
            remedy="`vultus models verify` tells whether the file is damaged",
        ) from error


def providers_that_ran(
    weight: bytes, name: str, inputs: Mapping[str, NDArray[np.float32]], options: SessionOptions
) -> dict[str, int]:
    """Run a network once under the profiler and count its nodes per provider.

    Returns:
        Execution provider -> number of nodes it executed; what ran, not what was configured.
    """
    with tempfile.TemporaryDirectory(prefix="vultus-profile-") as folder:
        session = _open(weight, name, options, profile=str(Path(folder) / "run"))
        session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return dict(
        Counter(
            event["args"]["provider"]
            for event in events
            if event.get("cat") == "Node" and event.get("args", {}).get("provider")
        )
    )
