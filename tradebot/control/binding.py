"""The socket file: bound under another name, made 0600, and only then put in its place."""

import os
import socket
import stat
from pathlib import Path

from tradebot.control.protocol import MAX_SOCKET_PATH, POINTER_NAME, SOCKET_NAME
from tradebot.model.errors import NotPermitted

_BACKLOG = 64


def bind(path: Path) -> socket.socket:
    """Return a listening socket at ``path``, mode 0600, not blocking.

    Replaces a socket of ours that is there: the caller holds the lock of the home, so nobody listens on it.
    Raises ``NotPermitted`` when anything else is there, or when others may write to the directory.
    """
    _check_directory(path.parent)
    _check_place(path)
    # Not longer than the name it gets, so that a path which fits still fits.
    temporary = path.parent / f".c{os.getpid()}"
    if len(os.fsencode(temporary)) > MAX_SOCKET_PATH:
        raise NotPermitted("the path of the control socket is too long", where=str(path), mend="use a shorter --home")
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(temporary))
        # Nobody can connect before ``listen``, so there is no moment with a wider mode.
        temporary.chmod(0o600)
        listener.listen(_BACKLOG)
        temporary.replace(path)
    except OSError as error:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise NotPermitted(f"cannot bind the control socket: {error.strerror}", where=str(path)) from error
    listener.setblocking(False)
    return listener


def unbind(path: Path, inode: int) -> None:
    """Remove the socket file at ``path`` if it still is the one with ``inode``."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        pass


def point_to(home: Path, path: Path) -> None:
    """Leave word in ``home`` of a socket that is somewhere else; remove the word when it is there."""
    pointer = home / POINTER_NAME
    pointer.unlink(missing_ok=True)
    if path == home.absolute() / SOCKET_NAME:
        return
    handle = os.open(pointer, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(os.fsencode(path))


def _check_directory(directory: Path) -> None:
    try:
        found = directory.lstat()
    except OSError as error:
        raise NotPermitted(f"no directory for the control socket: {error.strerror}", where=str(directory)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.getuid(), 0}:
        raise NotPermitted("the directory of the control socket is not ours", where=str(directory))
    if found.st_mode & 0o022:
        mend = f"chmod go-w {directory}"
        raise NotPermitted("others may write to the directory of the control socket", where=str(directory), mend=mend)


def _check_place(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        mend = f"look at it and remove it: {path}"
        raise NotPermitted("something that is not our socket is in its place", where=str(path), mend=mend)
