"""One bot for each account of a venue on this machine, whatever homes there are.

The kernel lets go of the lock however the process ends. It lies where all users of the machine may write, so nothing
that is found there is trusted: it must be a plain file, and another user's is locked but not written.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from tradebot.model.errors import LockHeld, NotPermitted, StorageFailed
from tradebot.store.lock import boot_id, pid_in, strange_lock

# All of them that can be used: what one service is kept from seeing, another may have.
SHARED_FOLDERS = (Path("/run/lock"), Path("/dev/shm"), Path("/tmp"))  # noqa: S108  # sticky, and checked to be  # nosec B108
_LONGEST_NOTE = 4_200
_TRIES = 20


class AccountLock:
    """The right to trade for ``account`` on this machine; a context manager, or ``acquire`` and ``release``.

    ``place`` is the venue's network or url. ``home`` is told to whoever finds the lock held.
    """

    def __init__(
        self, venue: str, place: str, account: str, home: Path, folders: Sequence[Path] = SHARED_FOLDERS
    ) -> None:
        named = f"{venue} {place.rstrip('/')} {account}".lower().encode()
        self.name = f"tradebot-{blake2b(named, digest_size=16).hexdigest()}.lock"
        self.account = account
        self._home, self._folders = home, folders
        self._held: list[tuple[int, Path]] = []

    def acquire(self) -> None:
        """Lock the account in every folder that is for all users of the machine.

        Raises ``LockHeld`` naming the process and the home that hold it, ``NotPermitted`` when something else
        lies in its place, ``StorageFailed`` when there is no such folder.
        """
        try:
            for folder in filter(is_shared, self._folders):
                self._lock_in(folder)
        except BaseException:
            self.release()
            raise
        if not self._held:
            names = ", ".join(str(folder) for folder in self._folders)
            raise StorageFailed("nowhere to lock the account", where=names, mend="let this user write in one of them")

    def release(self) -> None:
        """Let go and leave nothing behind; nothing happens when it is not held."""
        while self._held:
            descriptor, path = self._held.pop()
            # While it is locked nobody else holds it; whoever has it open sees that it is gone, and makes a new one.
            status = os.fstat(descriptor)
            if status.st_uid == os.geteuid() and _is_there(path, status.st_ino):
                path.unlink(missing_ok=True)
            os.close(descriptor)

    def __enter__(self) -> "AccountLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _lock_in(self, folder: Path) -> None:
        path = folder / self.name
        while True:
            descriptor = _open_shared(path)
            try:
                self._lock_file(descriptor, path)
            except BaseException:
                os.close(descriptor)
                raise
            if os.fstat(descriptor).st_nlink:
                self._held.append((descriptor, path))
                return
            # The last holder took it away between the opening and the locking.
            os.close(descriptor)

    def _lock_file(self, descriptor: int, path: Path) -> None:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise strange_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if status.st_uid == os.geteuid():
                # Whoever comes second reads it, be it another user.
                os.fchmod(descriptor, 0o644)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {boot_id()} ".encode() + os.fsencode(self._home), 0)
        except BlockingIOError:
            raise LockHeld(
                f"{_holder_in(descriptor)} trades for {self.account}",
                where=str(path),
                mend="stop that one first: two bots on one account undo each other's orders",
                pid=pid_in(descriptor),
            ) from None
        except OSError as error:
            raise StorageFailed(f"cannot lock: {error.strerror}", where=str(path)) from error


def _is_there(path: Path, inode: int) -> bool:
    try:
        return path.lstat().st_ino == inode
    except OSError:
        return False


def is_shared(folder: Path) -> bool:
    """Return whether we may write in ``folder``, and nobody else may move our files there."""
    try:
        status = folder.stat()
    except OSError:
        return False
    is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
    return status.st_uid in (0, os.geteuid()) and not is_open and os.access(folder, os.W_OK | os.X_OK)


def _open_shared(path: Path) -> int:
    safe = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    # It may come and go while we try: holders take it away when they let go.
    for flags in (os.O_RDWR | safe, os.O_RDWR | os.O_CREAT | os.O_EXCL | safe) * _TRIES:
        try:
            return os.open(path, flags, 0o644)
        except (FileNotFoundError, FileExistsError):
            continue
        except PermissionError:
            return _open_of_another(path, os.O_RDONLY | safe)
        except OSError as error:
            raise _unopened(path, error) from error
    raise strange_lock(path)


def _open_of_another(path: Path, flags: int) -> int:
    # Another user's file is only read: that is enough to lock it. Opened with O_CREAT, the kernel would refuse it.
    try:
        return os.open(path, flags)
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: OSError) -> NotPermitted | StorageFailed:
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM, errno.ENOENT):
        return strange_lock(path)
    return StorageFailed(f"cannot open the lock: {error.strerror}", where=str(path))


def _holder_in(descriptor: int) -> str:
    pid = pid_in(descriptor)
    if not pid:
        return "another process"
    home = os.pread(descriptor, _LONGEST_NOTE, 0).split(b" ", 2)[-1]
    return f"process {pid} (home {os.fsdecode(home).strip()!r})"
