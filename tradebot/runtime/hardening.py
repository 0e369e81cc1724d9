"""What a process that holds a secret keeps from the others of its user."""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def keep_out_of_dumps() -> None:
    """Let this process never be written to a core file, nor its memory be read by another of the same user.

    Where the kernel has no such thing, only the core file is kept from being written.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
