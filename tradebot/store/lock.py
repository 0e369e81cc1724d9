"""One daemon for each home and one for each account: lock files that are held for life.

The kernel lets go of a lock however the process ends. The files are never removed: a second process could
then lock a new one while the first still holds the old.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from tradebot.model.errors import LockHeld, NotPermitted, StorageFailed

LOCK_NAME = "tradebot.lock"
# A space, a tab, a newline or a backslash in a mount point.
_ESCAPED = re.compile(r"\\(040|011|012|134)")
# All of them that can be used: what one service is kept from seeing, another may have.
_SHARED_FOLDERS = (Path("/run/lock"), Path("/dev/shm"), Path("/tmp"))  # noqa: S108  # sticky, and checked to be
_LONGEST_NOTE = 4_200
_TRIES = 20
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
            os.pwrite(descriptor, f"{os.getpid()} {_boot_id()}\n".encode(), 0)
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


class AccountLock:
    """The right to trade for ``account`` on this machine; a context manager, or ``acquire`` and ``release``.

    ``place`` is the venue's network or url. ``home`` is told to whoever finds the lock held.
    """

    def __init__(
        self, venue: str, place: str, account: str, home: Path, folders: Sequence[Path] = _SHARED_FOLDERS
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
            for folder in filter(_is_shared, self._folders):
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
            raise _strange_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if status.st_uid == os.geteuid():
                # Whoever comes second reads it, be it another user.
                os.fchmod(descriptor, 0o644)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {_boot_id()} ".encode() + os.fsencode(self._home), 0)
        except BlockingIOError:
            raise LockHeld(
                f"{_holder_in(descriptor)} trades for {self.account}",
                where=str(path),
                mend="stop that one first: two bots on one account undo each other's orders",
            ) from None
        except OSError as error:
            raise StorageFailed(f"cannot lock: {error.strerror}", where=str(path)) from error


def _is_there(path: Path, inode: int) -> bool:
    try:
        return path.lstat().st_ino == inode
    except OSError:
        return False


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
        return _pid_in(descriptor)
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
            raise _strange_lock(path) from error
        raise StorageFailed(f"cannot open the lock: {error.strerror}", where=str(path)) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise _strange_lock(path)
    return descriptor


def _is_shared(folder: Path) -> bool:
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
    raise _strange_lock(path)


def _open_of_another(path: Path, flags: int) -> int:
    # Another user's file is only read: that is enough to lock it. Opened with O_CREAT, the kernel would refuse it.
    try:
        return os.open(path, flags)
    except OSError as error:
        raise _unopened(path, error) from error


def _unopened(path: Path, error: OSError) -> NotPermitted | StorageFailed:
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM, errno.ENOENT):
        return _strange_lock(path)
    return StorageFailed(f"cannot open the lock: {error.strerror}", where=str(path))


def _holder_in(descriptor: int) -> str:
    pid = _pid_in(descriptor)
    if not pid:
        return "another process"
    home = os.pread(descriptor, _LONGEST_NOTE, 0).split(b" ", 2)[-1]
    return f"process {pid} (home {os.fsdecode(home).strip()!r})"


def _strange_lock(path: Path) -> NotPermitted:
    return NotPermitted("the lock is not a plain file of ours", where=str(path), mend=f"see what it is: ls -l {path}")


def _lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _pid_in(descriptor)
        who = f"process {pid}" if pid else "another process"
        raise LockHeld(
            f"{who} runs on this home", where=str(home), mend="`tradebot stop` ends it; or choose another --home"
        ) from None


def _pid_in(descriptor: int) -> int:
    words = os.pread(descriptor, 64, 0).split()
    return int(words[0]) if words and words[0].isdigit() else 0


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "-"
