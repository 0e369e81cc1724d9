"""What all daemons of this machine sent to a venue within the last minute: the venue counts by address, not by daemon.

Each user has a file where all users of the machine may write, and reads those of the others. It is counted in
monotonic time of one boot, so that no clock that is set moves it. What is found there is not trusted: a file that
makes no sense, or cannot be read or written, is told of once, and this process goes on with what it knows.
"""

import contextlib
import fcntl
import math
import os
import stat
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from tradebot.ports import Sent
from tradebot.store.account_lock import SHARED_FOLDERS, is_shared
from tradebot.store.lock import boot_id

_ROW = struct.Struct("<di8s")
_MAGIC = b"tradebot sent 1 "
_HEADER_BYTES = 64
_MAX_BYTES = 1 << 20
_MOST_FILES = 64
# Rows that count no more are kept up to this many and as many as count: then the file is written anew.
_SPARE_ROWS = 64
# A file that nobody wrote for so long is of a venue that is asked no more.
_STALE_S = 600
_MOST_WEIGHT = 10_000
# What a stamp may lie ahead of us: another process may have read the clock a moment later.
_AHEAD_S = 1.0
# How often daemons of other users are looked for: to list the folders takes longer than all the rest.
_LIST_S = 1.0
# Whoever holds the lock holds it for microseconds, unless it was stopped there.
_TRIES, _TRY_S = 10, 0.001


class _Read(NamedTuple):
    """A file as it was read last, all of it sound, and those of its rows that counted then."""

    content: bytes
    rows: tuple[Sent, ...] = ()


class SharedLog:
    """What left for ``place``, a venue's address, within ``span_s`` seconds, by any daemon of this machine.

    ``tell`` hears why it could not be shared, once until it can be again.
    """

    def __init__(
        self,
        place: str,
        span_s: float,
        tell: Callable[[str], None],
        folders: Sequence[Path] = SHARED_FOLDERS,
        user: int | None = None,
    ) -> None:
        named = blake2b(place.rstrip("/").lower().encode(), digest_size=16).hexdigest()
        self._stem = f"tradebot-{named}.sent"
        self._user = os.geteuid() if user is None else user
        self._name = f"{self._stem}.{self._user}"
        self._span_s, self._tell, self._folders = span_s, tell, folders
        self._header = (_MAGIC + boot_id().encode()).ljust(_HEADER_BYTES)[:_HEADER_BYTES]
        self._descriptor: int | None = None
        self._known: list[Sent] = []
        self._unwritten: list[Sent] = []
        self._read: dict[Path, _Read] = {}
        self._others_paths: list[Path] = []
        self._listed_s = -math.inf
        self._is_told = False

    def update(self, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]]) -> None:
        """Let ``decide`` see what counts at ``now_s``, and add what it returns, before anybody else may."""
        try:
            descriptor = self._locked()
        except OSError as error:
            self._alone(now_s, decide, str(error))
            return
        try:
            self._shared(descriptor, now_s, decide)
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; what is in it stays, for a daemon that starts within the minute."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _alone(self, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]], why: str) -> None:
        self._known = _fresh(self._known, now_s - self._span_s)
        added = decide(self._known)
        self._known += added
        self._unwritten = [*_fresh(self._unwritten, now_s - self._span_s), *added]
        self._tell_once(why)

    def _shared(self, descriptor: int, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]]) -> None:
        wrong = ""
        try:
            content = os.pread(descriptor, _MAX_BYTES, 0)
        except OSError as error:
            content, wrong = b"", str(error)
        own, is_sound = self._rows(Path(self._name), content, now_s, is_own=True)
        own += _fresh(self._unwritten, now_s - self._span_s)
        others = self._others(now_s)
        added = list(decide([*own, *others]))
        try:
            self._write(descriptor, content, own, added, is_sound=is_sound)
            self._unwritten = []
        except OSError as error:
            wrong = wrong or str(error)
            self._unwritten += added
        self._known = [*own, *others, *added]
        if wrong or not is_sound:
            self._tell_once(wrong or f"{self._name} holds what no daemon wrote")
        else:
            self._is_told = False

    def _write(
        self, descriptor: int, content: bytes, own: Sequence[Sent], added: Sequence[Sent], *, is_sound: bool
    ) -> None:
        most = _HEADER_BYTES + (2 * len(own) + _SPARE_ROWS) * _ROW.size
        if is_sound and not self._unwritten and content.startswith(self._header) and len(content) <= most:
            _put(descriptor, b"".join(map(_packed, added)), len(content))
            return
        fresh = self._header + b"".join(map(_packed, [*own, *added]))
        _put(descriptor, fresh, 0)
        os.ftruncate(descriptor, len(fresh))

    def _rows(self, path: Path, content: bytes, now_s: float, *, is_own: bool) -> tuple[list[Sent], bool]:
        """Return what counts in ``content`` of ``path``, and whether it is as a daemon of this boot writes it."""
        if not content.startswith(self._header):
            # New, or of another boot of the machine: nothing of it is of the last minute.
            return [], not content or content.startswith(_MAGIC)
        read = self._read.get(path)
        if read is None or not content.startswith(read.content):
            read = _Read(self._header)
        # Mostly a row was added to what is known: reading all of a minute anew would cost more than the request.
        body = content[len(read.content) :]
        whole = len(body) - len(body) % _ROW.size
        rows = [_unpacked(row, is_own=is_own) for row in _ROW.iter_unpack(body[:whole])]
        sound = [row for row in rows if row is not None and row.at_s <= now_s + _AHEAD_S]
        is_sound = len(sound) == len(rows) and whole == len(body)
        fresh = _fresh([*read.rows, *sound], now_s - self._span_s)
        if is_sound:
            self._read[path] = _Read(content, tuple(fresh))
        return fresh, is_sound

    def _others(self, now_s: float) -> list[Sent]:
        if now_s >= self._listed_s + _LIST_S:
            self._listed_s = now_s
            self._others_paths = [
                folder / name
                for folder in self._folders
                for name in _listed(folder, f"{self._stem}.")[:_MOST_FILES]
                if name != self._name
            ]
        found: list[Sent] = []
        for path in self._others_paths:
            found += self._rows(path, _content(path), now_s, is_own=False)[0]
        return found

    def _locked(self) -> int:
        descriptor = self._opened()
        for attempt in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if attempt + 1 == _TRIES:
                    raise
                time.sleep(_TRY_S)
        raise AssertionError("the last attempt returns or raises")

    def _opened(self) -> int:
        if self._descriptor is not None and not os.fstat(self._descriptor).st_nlink:
            # Somebody cleaned up.
            self.close()
        if self._descriptor is None:
            folder = next(filter(is_shared, self._folders), None)
            if folder is None:
                raise OSError("no folder is for all users of the machine: " + ", ".join(map(str, self._folders)))
            self._descriptor = _open_own(folder / self._name)
            _clean(folder, self._user, self._descriptor)
        return self._descriptor

    def _tell_once(self, why: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._tell(why)


def _open_own(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(f"{path} is not a file of ours")
    os.fchmod(descriptor, 0o644)
    return descriptor


def _put(descriptor: int, content: bytes, offset: int) -> None:
    if content and os.pwrite(descriptor, content, offset) != len(content):
        raise OSError("the disk is full")


def _clean(folder: Path, user: int, descriptor: int) -> None:
    """Take away what this user left of venues that nobody asks any more; ``descriptor`` is in use."""
    os.utime(descriptor)
    now_s = os.fstat(descriptor).st_mtime
    for name in _listed(folder, "tradebot-"):
        path = folder / name
        with contextlib.suppress(OSError):
            if name.endswith(f".sent.{user}") and now_s - path.stat().st_mtime > _STALE_S:
                path.unlink()


def _listed(folder: Path, stem: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith(stem))
    except OSError:
        return []


def _content(path: Path) -> bytes:
    """Return what another user wrote; nothing when it cannot be read, or is no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, _MAX_BYTES, 0) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _fresh(rows: Iterable[Sent], since_s: float) -> list[Sent]:
    return [row for row in rows if row.at_s > since_s]


def _packed(row: Sent) -> bytes:
    return _ROW.pack(row.at_s, row.weight, row.purpose.encode())


def _unpacked(row: tuple[float, int, bytes], *, is_own: bool) -> Sent | None:
    at_s, weight, purpose = row
    try:
        name = purpose.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        return None
    is_sound = math.isfinite(at_s) and abs(weight) <= _MOST_WEIGHT and name.isalpha()
    return Sent(at_s, weight, name, is_own) if is_sound else None
