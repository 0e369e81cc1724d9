"""The journal in SQLite: one connection on its own thread, commits in groups.

``append`` numbers a row and returns at once. The first who waits in ``committed`` sends all that is queued to the
thread, which adds the hashes and commits. While one group is on its way to the disk, the next one gathers; and so it
does for a millisecond while nobody waits, lest an order's own commit stand behind that of the bar it follows from.

Between a row and its order stand only the two hand-overs of the thread: no task writes, for each would add rounds of
the loop to every order.

After a failed commit nothing is tried again on the connection: what the disk holds is then unknown, and a
retry may report as durable what is not. All waiters and all later appends get ``StorageFailed``.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from tradebot.model.errors import InvariantError, StorageFailed
from tradebot.model.time import Nanos
from tradebot.ports import Clock
from tradebot.store.integrity import Tip, chain
from tradebot.store.opening import Opened, open_checked
from tradebot.store.rows import Query, get_meta, select
from tradebot.store.schema import INSERT_ROW, PUT_META, SQLITE_ERRORS, Damaged, Row, storage_failed

T = TypeVar("T")
# How long rows gather for which nobody waits.
_GATHER_S = 0.001
ROOM_ROWS = 8_192
MAX_QUEUED_ROWS = 65_536

_Queued = tuple[int, str, int, int, bytes]


class _Connection(aiosqlite.Connection):
    """Runs whole functions on the connection's thread: one hop for a group, not one for each statement."""

    def post(self, function: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Send ``function`` on its way at once; who waits for the result need not be the one who sends."""
        if not self._running:
            raise ValueError("the connection is closed")
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # As aiosqlite's own _execute does, but for its coroutine. By its public calls a group takes three hand-overs,
        # and half as long again: `python -m benchmarks private`.
        self._tx.put_nowait((result, partial(function, self._conn)))
        return result

    async def connect(self) -> None:
        """Open the file. When that raises, the thread has ended."""
        try:
            await self
        except BaseException:
            # A thread that reports to a loop already closed would print a traceback.
            await asyncio.to_thread(self._thread.join)
            raise


class SqliteJournal:
    """Implements ``ports.Journal``. Use ``open``; the caller holds the home's lock."""

    def __init__(self, path: Path, clock: Clock, connection: _Connection, tip: Tip, opened: Opened) -> None:
        self.path = path
        self.opened = opened
        self.failed: StorageFailed | None = None
        self.on_failed: Callable[[StorageFailed], None] = lambda _: None
        self._clock = clock
        self._connection = connection
        self._tip = tip
        self._last_seq = self._durable = self._in_flight = tip.seq
        self._queue: list[_Queued] = []
        self._loop = asyncio.get_running_loop()
        # The group on its way to the disk, and whether the next is to follow it at once.
        self._flight: asyncio.Future[Tip] | None = None
        self._is_due = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, verify_from: int = 0, full: bool = False) -> "SqliteJournal":
        """Open or create the journal at ``path``, checking it after row ``verify_from``, or wholly if ``full``.

        What is damaged is put into quarantine and reported in ``opened``; the rows before it live on.
        Raises ``StorageFailed`` when the disk fails or a newer program wrote the file.
        """
        found: list[tuple[Tip, Opened]] = []

        def connector() -> sqlite3.Connection:
            connection, tip, opened = open_checked(path, verify_from, full)
            found.append((tip, opened))
            return connection

        try:
            connection = _Connection(connector, iter_chunk_size=64)
            await connection.connect()
        except (*SQLITE_ERRORS, OSError, Damaged) as error:
            raise storage_failed(error, path) from error
        return cls(path, clock, connection, *found[0])

    @property
    def last_seq(self) -> int:
        """The newest ``seq`` given out, durable or not; 0 when empty."""
        return self._last_seq

    @property
    def durable_seq(self) -> int:
        """The newest ``seq`` that is on the disk."""
        return self._durable

    def append(self, kind: str, ts_event: Nanos, payload: bytes) -> int:
        """Queue a row and return its ``seq``. Raises ``StorageFailed`` once the journal has failed."""
        if self.failed is not None:
            raise self.failed
        if self._last_seq - self._durable >= MAX_QUEUED_ROWS:
            raise InvariantError(f"{MAX_QUEUED_ROWS} rows wait for the disk; who appends many must await room()")
        self._last_seq = seq = self._last_seq + 1
        if not self._queue:
            self._loop.call_later(_GATHER_S, self._commit_queued)
        self._queue.append((seq, kind, ts_event, self._clock.now(), payload))
        return seq

    async def committed(self, seq: int) -> None:
        """Return when row ``seq`` and all before it are durable. Raises ``StorageFailed``.

        A cancelled wait says nothing about the row; it may yet be committed.
        """
        if seq > self._last_seq:
            raise InvariantError(f"row {seq} was never appended; the newest is {self._last_seq}")
        while self._durable < seq:
            if self.failed is not None:
                raise self.failed
            if seq > self._in_flight:
                self._commit_queued()
            waiter = self._loop.create_future()
            self._waiters.append((seq, waiter))
            await waiter

    async def room(self) -> None:
        """Return at once while few rows are queued, else when the writer has caught up. Raises ``StorageFailed``."""
        while self._last_seq - self._durable > ROOM_ROWS:
            await self.committed(self._durable + 1)
        if self.failed is not None:
            raise self.failed

    async def rows(self, query: Query) -> list[Row]:
        """Return the durable rows of ``query``, in its order. Raises ``StorageFailed``."""
        return await self.run(partial(select, query=query))

    async def scan(self, query: Query) -> AsyncIterator[Row]:
        """Yield all durable rows of ``query``, ``limit`` at a time, so that commits go on between."""
        while found := await self.rows(query):
            for row in found:
                yield row
            query = query.after(found[-1])

    async def meta(self, key: str) -> str | None:
        """Return what is kept under ``key``."""
        return await self.run(partial(get_meta, key=key))

    async def set_meta(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``, durably."""
        await self.run(lambda connection: connection.execute(PUT_META, (key, value)).close())

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``function`` makes of the connection, between two commits. Raises ``StorageFailed``."""
        if self.failed is not None:
            raise self.failed
        try:
            return await self._connection.post(function)
        except SQLITE_ERRORS as error:
            failure = storage_failed(error, self.path)
            self._fail(failure)
            raise failure from error

    async def close(self) -> None:
        """Commit what is queued and let go of the file. Never raises for a journal that has failed."""
        with contextlib.suppress(StorageFailed):
            await self.committed(self._last_seq)
        await self._connection.close()

    def _commit_queued(self) -> None:
        """Send what is queued to the disk, now or behind the group that is on its way."""
        if not self._queue or self.failed is not None:
            return
        self._is_due = self._flight is not None
        if self._is_due:
            return
        batch = self._queue
        self._flight = self._connection.post(partial(_insert, tip=self._tip, batch=batch))
        self._flight.add_done_callback(self._landed)
        self._queue, self._in_flight = [], batch[-1][0]

    def _landed(self, flight: "asyncio.Future[Tip]") -> None:
        self._flight = None
        error = flight.exception()
        if error is None:
            self._tip = flight.result()
            self._durable = self._tip.seq
            if self._is_due:
                self._commit_queued()
            self._wake(self._durable)
        elif isinstance(error, (*SQLITE_ERRORS, OSError)):
            self._fail(storage_failed(error, self.path))
        else:
            self._fail(StorageFailed(f"a commit ended: {error!r}", where=str(self.path)))

    def _wake(self, seq: int) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter[0] > seq:
                self._waiters.append(waiter)
            elif not waiter[1].done():
                waiter[1].set_result(None)

    def _fail(self, failure: StorageFailed) -> None:
        if self.failed is not None:
            return
        self.failed = failure
        self._wake(self._last_seq)
        self.on_failed(failure)


def _insert(connection: sqlite3.Connection, tip: Tip, batch: Sequence[_Queued]) -> Tip:
    h = tip.h
    rows: list[tuple[Any, ...]] = []
    for seq, kind, ts_event, ts_wall, payload in batch:
        h = chain(h, seq, kind, ts_event, payload)
        rows.append((seq, kind, ts_event, ts_wall, payload, h))
    if len(rows) == 1:
        connection.execute(INSERT_ROW, rows[0])
    else:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT_ROW, rows)
        connection.execute("COMMIT")
    return Tip(batch[-1][0], h)
