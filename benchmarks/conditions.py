"""The conditions a figure was taken under: machine, versions, build flags, commit, load."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "conditions", "cores", "load_average"]

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = (
    "vultus",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "dlib-bin",
    "dlib",
    "face_recognition",
    "face_recognition_models",
)


def conditions() -> dict[str, Any]:
    """Machine, versions and time: what a figure is worth nothing without."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_mb": memory_mb(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(_PACKAGES),
        "dlib": dlib_build(),
        "load_average_after": load_average(),
    }


def versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions; packages that are absent are left out."""
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def commit() -> str:
    """The commit of this checkout, with ``+changes`` when the package or the benchmarks differ."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "vultus", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def cores() -> int:
    """The CPUs this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def cpu_model() -> str:
    """The CPU's name and its widest vector instructions, as the kernel states them."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        facts = {}
        for line in text.splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
        flags = facts.get("flags", "").split()
        wide = [f for f in ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni") if f in flags]
        where = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
        return f"{facts.get('model name', 'unknown')} ({where}; {' '.join(wide)})"
    return platform.processor() or "unknown"


def memory_mb() -> int | None:
    """Physical memory, or ``None`` where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, ValueError, OSError):
        return None


def load_average() -> list[float] | None:
    """Load over 1, 5 and 15 minutes: a figure taken on a busy machine shows it here."""
    try:
        return [round(x, 2) for x in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def dlib_build() -> dict[str, Any] | None:
    """How dlib was built (never quote one dlib without it); ``None`` when it is absent."""
    if importlib.util.find_spec("dlib") is None:
        return None
    import dlib

    names = (
        "DLIB_USE_BLAS",
        "DLIB_USE_LAPACK",
        "DLIB_USE_CUDA",
        "USE_AVX_INSTRUCTIONS",
        "USE_NEON_INSTRUCTIONS",
    )
    return {"version": dlib.__version__, **{n: getattr(dlib, n, None) for n in names}}
