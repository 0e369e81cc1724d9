"""Where a process may die by itself: named points of the code, armed in a child after the fork.

A point is passed many times; the child kills itself at one of them, as SIGKILL does: nothing is cleaned up.
"""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradebot.runtime import housekeeping, keeper, logs
from tradebot.store import backups, journal, pruning, schema, snapshot

PAPER_POINTS = (
    "before the commit",
    "at the commit",
    "after the commit",
    "before a snapshot is synced",
    "before a snapshot is replaced",
    "after a snapshot is replaced",
    "within a backup",
    "before a backup is named",
    "after a backup is named",
    "before pruning",
    "within pruning",
    "after pruning",
    "before the log is rotated",
    "after the log is rotated",
)
LIVE_POINTS = (
    "before the commit",
    "at the commit",
    "after the commit",
    "before an order is sent",
    "after an order is sent",
    "after an order is answered",
    "before a snapshot is replaced",
    "after a snapshot is replaced",
)
_PRUNE_S = 0.05
_LOG_BYTES = 20_000
_AUTOCHECKPOINT_PAGES = 20
# Between the first byte of an order on its way and the answer heard: at loopback, a few milliseconds.
_ON_ITS_WAY_S = 0.002


def quicken() -> None:
    """Let upkeep that comes once an hour, a thousand pages or a megabyte come in every life."""
    housekeeping._PERIOD_S = _PRUNE_S
    schema._SETTINGS = tuple(
        setting.replace("= 1000", f"= {_AUTOCHECKPOINT_PAGES}") if "autocheckpoint" in setting else setting
        for setting in schema._SETTINGS
    )
    begin = logs._RotatingFile.__init__

    def small(self: Any, path: Path, size: int, keep: int) -> None:
        begin(self, path, min(size, _LOG_BYTES), keep)

    logs._RotatingFile.__init__ = small


def arm(point: str, passes: int) -> None:
    """Kill this process when it passes ``point`` for the ``passes``-th time."""
    left = [passes]

    def pass_by() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    when, _, what = point.partition(" ")
    _ARMS[what](when, pass_by)


def _wrap(owner: Any, name: str, when: str, pass_by: Callable[[], None]) -> None:
    inner = getattr(owner, name)
    if asyncio.iscoroutinefunction(inner):

        async def around(*given: Any, **named: Any) -> Any:
            if when != "after":
                pass_by()
            result = await inner(*given, **named)
            if when == "after":
                pass_by()
            return result
    else:

        def around(*given: Any, **named: Any) -> Any:
            if when != "after":
                pass_by()
            result = inner(*given, **named)
            if when == "after":
                pass_by()
            return result

    setattr(owner, name, around)


def _commit(when: str, pass_by: Callable[[], None]) -> None:
    if when != "at":
        _wrap(journal, "_insert", when, pass_by)
        return
    insert = journal._insert

    def traced(connection: sqlite3.Connection, *given: Any, **named: Any) -> Any:
        # SQLite tells of a statement before it begins with it.
        connection.set_trace_callback(lambda sql: pass_by() if sql == "COMMIT" else None)
        return insert(connection, *given, **named)

    journal._insert = traced


def _replace(when: str, pass_by: Callable[[], None]) -> None:
    inner = os.replace

    def around(source: Any, target: Any, **named: Any) -> None:
        is_ours = os.fspath(target).endswith(snapshot.NAMES)
        if is_ours and when == "before":
            pass_by()
        inner(source, target, **named)
        if is_ours and when == "after":
            pass_by()

    os.replace = around


def _sync(_: str, pass_by: Callable[[], None]) -> None:
    inner = snapshot.write_snapshot

    def around(*given: Any) -> None:
        sync = os.fsync

        def late(descriptor: int) -> None:
            pass_by()
            sync(descriptor)

        os.fsync = late
        try:
            inner(*given)
        finally:
            os.fsync = sync

    keeper.write_snapshot = around


def _order(when: str, pass_by: Callable[[], None]) -> None:
    # What speaks to an exchange is an extra.
    from tradebot.venues.hyperliquid.rest import RestClient

    post = RestClient._post

    async def around(self: Any, path: str, body: bytes) -> Any:
        if path != "/exchange":
            return await post(self, path, body)
        if when == "before":
            pass_by()
        if when == "on":
            asyncio.get_running_loop().call_later(_ON_ITS_WAY_S, pass_by)
        result = await post(self, path, body)
        if when == "after":
            pass_by()
        return result

    RestClient._post = around


_ARMS: dict[str, Callable[[str, Callable[[], None]], None]] = {
    "the commit": _commit,
    "a snapshot is synced": _sync,
    "a snapshot is replaced": _replace,
    "a backup": lambda when, pass_by: _wrap(backups, "_add_rows", when, pass_by),
    "a backup is named": lambda when, pass_by: _wrap(backups, "_finish", when, pass_by),
    "pruning": lambda when, pass_by: (
        _wrap(pruning, "digest_rows", when, pass_by)
        if when == "within"
        else _wrap(housekeeping, "prune", when, pass_by)
    ),
    "the log is rotated": lambda when, pass_by: _wrap(logs._RotatingFile, "_rotate", when, pass_by),
    "an order is sent": lambda when, pass_by: _order("on" if when == "after" else when, pass_by),
    "an order is answered": _order,
}
