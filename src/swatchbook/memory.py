"""Memory that a computation on the CPU frees and takes again at every step."""

from __future__ import annotations

import ctypes
import os
from functools import cache

# Of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
_LARGEST = 2**30  # bytes of a block


@cache
def keep_freed() -> bool:
    """Let freed memory stay with this process, so that taking it again costs nothing.

    The activations of a batch are blocks of tens of megabytes. The GNU C library gives such a block back to
    the system as soon as it is freed, and the system clears every page of the next one anew, which can take
    as long as the computing itself. What a process holds at its peak stays the same; it holds it longer.

    Returns:
        Whether this was done: not where another C library is in use, nor where the environment says how
        memory is to be handled.

    Source:
        mallopt(3), ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD``.
    """
    if any(name in os.environ for name in _OWN):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not on Linux, or another C library
        return False
    return set_option(_M_MMAP_THRESHOLD, _LARGEST) == 1 and set_option(_M_TRIM_THRESHOLD, _LARGEST) == 1
