"""Who holds the lock of a home, learnt from the kernel's list: trying the lock could cost a starting daemon its own."""

from pathlib import Path

LOCK_NAME = "tradebot.lock"
_LOCKS = Path("/proc/locks")


def find_holder(home: Path, locks: Path = _LOCKS) -> int | None:
    """Return the pid of the process that holds the lock of ``home``, or ``None``.

    A line reads ``1: FLOCK ADVISORY WRITE 4711 08:01:1234 0 EOF``. Device numbers are not compared: on some
    file systems they are not those that ``stat`` tells; the pid in the lock file is.
    """
    try:
        inode = str((home / LOCK_NAME).stat().st_ino)
        pid = (home / LOCK_NAME).read_text().split()[0]
        lines = locks.read_text().splitlines()
    except (OSError, ValueError, IndexError):
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[4] == pid and fields[5].rpartition(":")[2] == inode:
            return int(pid)
    return None
