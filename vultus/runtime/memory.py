"""Keep the memory of long runs flat."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["use_one_heap"]

_M_ARENA_MAX = -8  # glibc, malloc.h


def use_one_heap() -> bool:
    """Have glibc serve all threads from one heap instead of one for each.

    Pictures come in every size and move between threads; with a heap per thread, each of them
    keeps what its largest picture took, in pieces too small for the next. Over a long run that
    looks like a leak. Call it at the start of a program, before threads begin; the environment
    variable ``MALLOC_ARENA_MAX=1`` does the same from outside.

    Returns:
        Whether it took effect; elsewhere than on Linux with glibc there is nothing to do.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except (OSError, AttributeError):  # another C library
        return False
