"""Files that only their owner may read."""

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tradebot.model.errors import NotPermitted, StorageFailed

_LOCK_DOWN = "chmod 600 and chown it to the user that runs tradebot"
_FOLDER_LOCK_DOWN = "chmod 700 and chown it to the user that runs tradebot"


def read_private(path: Path, most: int, *, may_be_roots: bool = False) -> bytes:
    """Return what is in ``path``, at most ``most`` bytes and one more when there are more.

    Raises ``NotPermitted`` for one that is missing, a link, no regular file, another user's - root's is taken with
    ``may_be_roots`` - or readable by others.
    """
    where = str(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotPermitted("is not there", where=where, mend="write it, for you alone to read: mode 0600") from None
    except OSError as error:
        raise NotPermitted(f"cannot be opened: {error.strerror}", where=where, mend=_LOCK_DOWN) from error
    with os.fdopen(handle, "rb") as file:
        # Asked of the open file, so that nobody can swap it in between.
        _check(os.fstat(handle), stat.S_ISREG, where, _LOCK_DOWN, may_be_roots=may_be_roots)
        return file.read(most + 1)


def write_private(path: Path, body: bytes) -> None:
    """Write ``body`` to ``path`` in one step, durable and of mode 0600. Raises ``StorageFailed``."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(handle)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"cannot be written: {error.strerror}", where=str(path), mend="look at the disk") from error


def private_folder(path: Path, *, is_made: bool) -> bool:
    """Return whether ``path`` is there, made of mode 0700 when ``is_made``.

    Raises ``NotPermitted`` when it is a link, another user's or open to others, ``StorageFailed`` when not to be made.
    """
    try:
        if is_made:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageFailed(f"cannot be made: {error.strerror}", where=str(path), mend="look at the disk") from error
    _check(found, stat.S_ISDIR, str(path), _FOLDER_LOCK_DOWN)
    return True


def sync_folder(path: Path) -> None:
    """Make durable what was renamed or removed in ``path``. Raises ``OSError``."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(
    found: os.stat_result, is_kind: Callable[[int], bool], where: str, mend: str, *, may_be_roots: bool = False
) -> None:
    if not is_kind(found.st_mode):
        raise NotPermitted("is a link or something else than it should be", where=where, mend=mend)
    if found.st_uid != os.geteuid() and not (may_be_roots and found.st_uid == 0):
        raise NotPermitted(f"belongs to user {found.st_uid}", where=where, mend=mend)
    # systemd gives its credentials to the user by an access list, which shows as bits of the group.
    open_bits = 0o027 if may_be_roots and found.st_uid == 0 else 0o077
    if found.st_mode & open_bits:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise NotPermitted(f"has mode {mode}: others may read it", where=where, mend=mend)
