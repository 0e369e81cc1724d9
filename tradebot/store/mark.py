"""What an emergency exit leaves in a home: that all was to be ended at the venue while no daemon answered.

That the file is there is enough: on a full disk it may be empty. The daemon halts when it finds it, and takes it away
when the halt is in the journal.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import orjson

from tradebot.model.errors import StorageFailed

MARK_NAME = "emergency.json"
_LARGEST = 64 * 1024
_LONGEST = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """``what`` happened, in words; ``is_over``: the venue said flat at the end."""

    what: str
    is_over: bool


_UNREAD = Mark(what="an emergency exit left a mark that cannot be read", is_over=False)


def write_mark(home: Path, mark: Mark) -> None:
    """Leave ``mark`` in ``home``, in place of an earlier one; empty, when it cannot be written whole.

    Raises ``StorageFailed`` when not even a file can be made.
    """
    path, temporary = home / MARK_NAME, home / f".{MARK_NAME}.new"
    body = orjson.dumps({"what": mark.what, "is_over": mark.is_over})
    try:
        _write(temporary, body)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _touch(path)
    _sync(home)


def read_mark(home: Path) -> Mark | None:
    """Return the mark in ``home``, or ``None`` when there is none."""
    path = home / MARK_NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return _UNREAD
    try:
        body = os.read(handle, _LARGEST) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        found = orjson.loads(body)
        return Mark(what=str(found["what"])[:_LONGEST], is_over=found["is_over"] is True)
    except (OSError, ValueError, KeyError, TypeError):
        return _UNREAD
    finally:
        os.close(handle)


def remove_mark(home: Path) -> None:
    """Take the mark away. Raises ``StorageFailed``."""
    try:
        (home / MARK_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"cannot remove the mark: {error.strerror}", where=str(home / MARK_NAME)) from error
    _sync(home)


def _write(path: Path, body: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        if os.write(handle, body) != len(body):
            raise OSError("written in part")
        os.fsync(handle)
    finally:
        os.close(handle)


def _touch(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StorageFailed(f"cannot write: {error.strerror}", where=str(path), mend="make room on the disk") from error


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
