"""One daemon for each home: the folder is ours alone, and a lock file in it is held for life.

The kernel lets go of the lock however the process ends. The file is never removed: a second process could
then lock a new one while the first still holds the old.
"""

import errno
import fcntl
import os
import re
import stat
from pathlib import Path

from tradebot.model.errors import LockHeld, NotPermitted, StorageFailed

LOCK_NAME = "tradebot.lock"
# A space, a tab, a newline or a backslash in a mount point.
_ESCAPED = re.compile(r"\\(040|011|012|134)")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# fmt: off
_NETWORK_TYPES = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
        "fuse.sshfs", "glusterfs", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
        "pvfs2", "smb2", "smb3", "smbfs",
    }
)
# fmt: on


class HomeLock:
    """The right to write under ``home``; a context manager, or ``acquire`` and ``release``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Create the home when there is none, and lock it.

        Raises ``LockHeld`` naming the process that holds it, ``NotPermitted`` when others could write
        there, ``StorageFailed`` when the file system says no.
        """
        prepare_home(self.home)
        descriptor = _open_lock(self.home / LOCK_NAME)
        try:
            _lock(descriptor, self.home)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {boot_id()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise StorageFailed(f"cannot write: {error.strerror}", where=str(self.home / LOCK_NAME)) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "HomeLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def prepare_home(home: Path) -> None:
    """Create ``home`` for its owner alone, or check that it is. Raises ``NotPermitted``, ``StorageFailed``."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = home.stat()
    except FileExistsError:
        raise NotPermitted("the home is not a folder", where=str(home), mend="choose another --home") from None
    except PermissionError as error:
        raise NotPermitted(f"cannot use the home: {error.strerror}", where=str(home)) from error
    except OSError as error:
        raise StorageFailed(f"cannot use the home: {error.strerror}", where=str(home)) from error
    if status.st_uid != os.geteuid():
        raise NotPermitted(
            f"the home belongs to user {status.st_uid}, not to user {os.geteuid()}",
            where=str(home),
            mend="run as its owner, or choose another --home",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise NotPermitted("others may write in the home", where=str(home), mend=f"chmod 700 {home}")


def holder(home: Path) -> int | None:
    """Return the pid of the process that holds ``home``, 0 when it is held but not said by whom, or ``None``."""
    try:
        descriptor = os.open(home / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return pid_in(descriptor)
    finally:
        os.close(descriptor)
    return None


def is_network_fs(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Return whether ``path`` is on a network file system, where locks and syncs may not mean what they say."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    resolved = path.resolve()
    found, found_type = Path("/"), ""
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        place = Path(_ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), point))
        # Of two mounts on one point, the later one is seen.
        if resolved.is_relative_to(place) and len(place.parts) >= len(found.parts):
            found, found_type = place, kind
    return found_type in _NETWORK_TYPES


def refuse_network_home(home: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Raise ``NotPermitted`` when ``home`` is on a network file system: too little to trade real money on."""
    if is_network_fs(home, mounts):
        raise NotPermitted(
            "the home is on a network file system, where locks and syncs may not hold: live trading refuses it",
            where=str(home),
            mend="use a local disk: --home DIR",
        )


def _open_lock(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO):
            raise strange_lock(path) from error
        raise StorageFailed(f"cannot open the lock: {error.strerror}", where=str(path)) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise strange_lock(path)
    return descriptor


def _lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = pid_in(descriptor)
        who = f"process {pid}" if pid else "another process"
        raise LockHeld(
            f"{who} runs on this home",
            where=str(home),
            mend="`tradebot stop` ends it; or choose another --home",
            pid=pid,
        ) from None


def pid_in(descriptor: int) -> int:
    """Return the pid that an open lock file names, 0 when it names none."""
    words = os.pread(descriptor, 64, 0).split()
    return int(words[0]) if words and words[0].isdigit() else 0


def boot_id() -> str:
    """Return what names this boot of the machine."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "-"


def strange_lock(path: Path) -> NotPermitted:
    """Return the error that says what lies at ``path`` is no lock of ours."""
    return NotPermitted("the lock is not a plain file of ours", where=str(path), mend=f"see what it is: ls -l {path}")
