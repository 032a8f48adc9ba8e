"""Hand memory that is free again back to the system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Return what the heap keeps after much was loaded or worked out.

    glibc keeps up to 64 MiB at the top of its heap for the next large array; a gallery that was
    just loaded needs none. Elsewhere than on Linux with glibc there is nothing to do.
    """
    if sys.platform.startswith("linux"):
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # another C library
            return
