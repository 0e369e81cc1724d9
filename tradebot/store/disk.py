"""Room on the disk: what is free, and what is kept aside for the day when nothing is."""

import os
from pathlib import Path

RESERVE_NAME = "reserve.bin"
_MB = 1 << 20


def disk_free_mb(folder: Path) -> int:
    """Return how many MB we may still write where ``folder`` is."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize // _MB


def fill_reserve(home: Path, reserve_mb: int, min_free_mb: int = 0) -> bool:
    """Keep ``reserve_mb`` of the disk for the day it is full; return whether there was room for it.

    A new one is made only where ``min_free_mb`` stay free: it must not take what the journal needs.
    """
    path = home / RESERVE_NAME
    if not path.exists() and disk_free_mb(home) < reserve_mb + min_free_mb:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        os.ftruncate(descriptor, min(os.fstat(descriptor).st_size, reserve_mb * _MB))
        if reserve_mb > 0:
            os.posix_fallocate(descriptor, 0, reserve_mb * _MB)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)
    return True


def free_reserve(home: Path) -> bool:
    """Give the reserve back to the disk; return whether there was one."""
    try:
        (home / RESERVE_NAME).unlink()
    except FileNotFoundError:
        return False
    return True
