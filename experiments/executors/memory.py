"""Memory of our own processes: what tensors leave is kept for the next ones."""

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_MOST = 2**31 - 1  # bytes; what an int holds


def keep_freed_memory() -> bool:
    """Let glibc keep memory that was freed, for as long as this process runs; whether it could be told so.

    Else every large tensor is mapped anew from the system and handed back, step by step, and each of its pages is
    faulted in and cleared: a fifth of the time of a training step of a small GPT-2. The process keeps its peak.
    For processes that are ours alone: a library does not decide this for its user.
    """
    with suppress(AttributeError, OSError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        return all(mallopt(name, _MOST) == 1 for name in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
    return False
