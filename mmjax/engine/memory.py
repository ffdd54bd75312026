"""Memory of a CPU that a step gives back stays with the process, where the C library is glibc."""

from __future__ import annotations

import ctypes
import os
import platform

# mallopt(3), in this order: one arena, for those of further threads cannot hold large blocks; large blocks are no
# mappings of their own; what is free at the end stays.
SETTINGS = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1)}


def keep() -> bool:
    """Keeps freed memory for the next step; whether that was done. To be called before JAX has made its threads.

    XLA asks for all that a step needs at once, hundreds of megabytes, and gives it back at its end. By itself glibc
    maps such a block anew each time, and the system then fills every page with zeros at its first touch, which takes
    a fifth of a step. What is kept instead is never more than the process has needed at one moment, but for gaps.

    Nothing is done where the user has chosen other settings (MALLOC_*, GLIBC_TUNABLES), or another C library rules.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in SETTINGS.values())
