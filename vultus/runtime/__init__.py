"""Where networks run: sessions, threads, providers."""

from vultus.runtime.memory import use_one_heap
from vultus.runtime.onnx import Session, SessionOptions, default_threads, providers_that_ran
from vultus.runtime.parallel import ordered_map

__all__ = [
    "Session",
    "SessionOptions",
    "default_threads",
    "ordered_map",
    "providers_that_ran",
    "use_one_heap",
]
