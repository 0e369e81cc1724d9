"""Hides the future in the bar files: for a while, a file that is opened ends where the bars so far end.

A strategy that reads the very history it is tested on gives itself away only when that history is cut as well.
"""

import builtins
import gzip
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tradebot.model.time import Timeframe
from tradebot.settings.dataspec import Series

_GZIP = b"\x1f\x8b"
Rows = Mapping[tuple[str, Timeframe], int]
"""How many bars of each series have been given out."""

# Audit hooks cannot be taken out again, so there is one in a process, and what it tells is exchanged.
_listeners: list[Callable[[str], None]] = []
_is_hooked = False


class CutFiles:
    """Cuts what is opened of ``files``; the copies stand in ``folder``.

    ``bypassed`` are the files that were opened whole all the same: Parquet, or past Python's ``open``.
    """

    def __init__(self, files: Sequence[Series], folder: Path) -> None:
        self._files: dict[str, list[Series]] = {}
        for file in files:
            self._files.setdefault(os.path.realpath(file.path), []).append(file)
        self._folder = folder
        self._rows: Rows = {}
        self._is_cutting = False
        self.bypassed: set[str] = set()

    @contextmanager
    def cut_to(self, rows: Rows) -> Iterator[None]:
        """Let every bar file end after its first ``rows`` bars."""
        if not self._files:
            yield
            return
        self._rows = rows
        _hook()
        real = builtins.open

        def open_cut(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            is_read = isinstance(mode, str) and not set(mode) & set("wax+")
            return real(self._stand_in(file) if is_read else file, mode, *arguments, **named)

        _put_open(open_cut)
        _listeners.append(self._note)
        try:
            yield
        finally:
            _listeners.remove(self._note)
            _put_open(real)

    def _note(self, path: str) -> None:
        real = os.path.realpath(path)
        if real in self._files and not self._is_cutting:
            self.bypassed.add(real)

    def _stand_in(self, file: Any) -> Any:
        if self._is_cutting or not isinstance(file, str | bytes | os.PathLike):
            return file
        real = os.path.realpath(os.fsdecode(file))
        if real not in self._files:
            return file
        self._is_cutting = True
        try:
            return self._cut(real) or file
        finally:
            self._is_cutting = False

    def _cut(self, path: str) -> Path | None:
        rows = min(self._rows.get((one.symbol, one.timeframe), 0) for one in self._files[path])
        number = list(self._files).index(path)
        target = self._folder / f"{number}-{rows}-{Path(path).name}"
        if target.exists():
            return target
        with open(path, "rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return None
        unpack: Callable[..., Any] = gzip.open if start.startswith(_GZIP) else open
        with unpack(path, "rb") as source, unpack(target, "wb") as copy:
            # The header is a line more.
            for _, line in zip(range(rows + 1), source, strict=False):
                copy.write(line)
        return target


def _put_open(function: Callable[..., Any]) -> None:
    builtins.open = function
    io.open = function


def _hook() -> None:
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_heard)
        _is_hooked = True


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _listeners and isinstance(arguments[0], str | bytes):
        for listen in _listeners:
            listen(os.fsdecode(arguments[0]))
