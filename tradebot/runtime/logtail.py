"""Reading the log of a home: its newest lines, filtered, and what is added to it."""

import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from tradebot.log import LEVELS

LOG_FILE = Path("logs") / "tradebot.jsonl"
ROTATED_DIGITS = re.compile(r"[1-9][0-9]{0,3}")
_POLL_S = 0.2
_MOST_LOOKED_AT = 16_000_000


def read_log(
    path: Path,
    n: int = 50,
    level: str = "debug",
    event: str | None = None,
    *,
    follow: bool = False,
    wait: Callable[[float], object] = time.sleep,
) -> Generator[dict[str, object], None, None]:
    """Give the newest ``n`` lines that pass, oldest first; with ``follow`` also each one to come, without end.

    ``level`` is the least level; ``event`` a name, or its beginning up to a dot. Lines that are no log
    lines are left out. Raises ``ValueError`` on a level that does not exist.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
    wanted = _Filter(LEVELS.index(level), event)
    tail = _Tail(path)
    try:
        found = deque(wanted.passing(tail.read()), maxlen=max(n, 0))
        for older in _rotated(path):
            # Files that cannot hold one of the newest n are not read.
            if len(found) >= n:
                break
            found.extendleft(reversed(deque(wanted.passing(_lines_of(older)), maxlen=n - len(found))))
        yield from found
        while follow:
            yield from wanted.passing(tail.read())
            wait(_POLL_S)
    finally:
        tail.close()


def errors_in(path: Path, since_ms: int) -> list[int]:
    """Return when the lines of level error from ``since_ms`` on were written, in order.

    Only the newest 16 MB are looked at, and of the rotated files the last: a start may not wait for more.
    """
    found: list[int] = []
    for file in (path.with_name(f"{path.name}.1"), path):
        for line in _lines_of(file, _MOST_LOOKED_AT):
            # Most lines are not parsed.
            document = _parsed(line) if b"error" in line else None
            if document is not None and document.get("level") == "error":
                ts = document.get("ts")
                found += [ts] if isinstance(ts, int) and ts >= since_ms else []
    return found


class _Filter:
    """Parses lines and keeps those that are wanted."""

    def __init__(self, least: int, event: str | None) -> None:
        self._least = least
        self._event = event

    def passing(self, lines: Iterator[bytes]) -> Iterator[dict[str, object]]:
        """Give the lines that pass."""
        for line in lines:
            document = _parsed(line)
            if document is not None and self._passes(document):
                yield document

    def _passes(self, document: dict[str, object]) -> bool:
        level, event = document.get("level"), str(document.get("event"))
        if level not in LEVELS or LEVELS.index(str(level)) < self._least:
            return False
        return self._event is None or event == self._event or event.startswith(self._event.rstrip(".") + ".")


class _Tail:
    """Reads what is added to a file, across its rotation: the old file to its end, then the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self) -> Iterator[bytes]:
        """Give the whole lines that are there now."""
        while True:
            if self._file is None:
                self._file = _opened(self._path)
            if self._file is None:
                return
            yield from self._new_lines(self._file)
            if not self._is_replaced(self._file):
                return
            # What was written between the last read and the rotation.
            yield from self._new_lines(self._file)
            self.close()
            self._rest = b""

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _new_lines(self, file: BinaryIO) -> Iterator[bytes]:
        for line in file:
            self._rest += line
            if self._rest.endswith(b"\n"):
                yield self._rest
                self._rest = b""

    def _is_replaced(self, file: BinaryIO) -> bool:
        try:
            now = self._path.stat()
        except OSError:
            return False
        opened = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino)


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _lines_of(path: Path, most: int | None = None) -> Iterator[bytes]:
    file = _opened(path)
    if file is not None:
        with file:
            if most is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - most))
            yield from file


def _rotated(path: Path) -> Iterator[Path]:
    """Give the rotated files, newest first."""
    number = 1
    while (older := path.with_name(f"{path.name}.{number}")).exists():
        yield older
        number += 1


def _parsed(line: bytes) -> dict[str, object] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
