"""The journal in SQLite: one connection on its own thread, one writer task, commits in groups.

``append`` numbers a row and returns at once. The writer takes all that is queued, adds the hashes and
commits; ``committed`` waits for that. While one group is on its way to the disk, the next one gathers; and so it
does for a millisecond while nobody waits, lest an order's own commit stand behind that of the bar it follows from.

After a failed commit nothing is tried again on the connection: what the disk holds is then unknown, and a
retry may report as durable what is not. All waiters and all later appends get ``StorageFailed``.
"""

import asyncio
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

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        call = partial(self._execute, lambda: function(self._conn))
        result: T = await call()
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
        self._wake = asyncio.Event()
        self._is_closing = False
        self._loop = loop = asyncio.get_running_loop()
        # Waiters share the future of the group their row is in; it says that the group is decided, not how.
        self._flight_done: asyncio.Future[None] = loop.create_future()
        self._queue_done: asyncio.Future[None] = loop.create_future()
        self._writer = loop.create_task(self._write(), name="journal-writer")
        self._writer.add_done_callback(self._writer_ended)

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
            self._loop.call_later(_GATHER_S, self._wake.set)
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
            self._wake.set()
            await asyncio.shield(self._flight_done if seq <= self._in_flight else self._queue_done)

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
            return await self._connection.run(function)
        except SQLITE_ERRORS as error:
            failure = storage_failed(error, self.path)
            self._fail(failure)
            raise failure from error

    async def close(self) -> None:
        """Commit what is queued and let go of the file. Never raises for a journal that has failed."""
        self._is_closing = True
        self._wake.set()
        await asyncio.wait([self._writer])
        await self._connection.close()

    async def _write(self) -> None:
        while self.failed is None:
            await self._wake.wait()
            self._wake.clear()
            if self._queue:
                await self._commit_queued()
            elif self._is_closing:
                return
            if self._is_closing:
                self._wake.set()

    async def _commit_queued(self) -> None:
        batch, self._queue = self._queue, []
        self._in_flight = batch[-1][0]
        self._flight_done, self._queue_done = self._queue_done, asyncio.get_running_loop().create_future()
        try:
            self._tip = await self._connection.run(partial(_insert, tip=self._tip, batch=batch))
        except (*SQLITE_ERRORS, OSError) as error:
            self._fail(storage_failed(error, self.path))
            return
        self._durable = self._tip.seq
        self._flight_done.set_result(None)

    def _writer_ended(self, writer: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError("cancelled") if writer.cancelled() else writer.exception()
        if error is not None:
            self._fail(StorageFailed(f"the writer ended: {error!r}", where=str(self.path)))

    def _fail(self, failure: StorageFailed) -> None:
        if self.failed is not None:
            return
        self.failed = failure
        self._wake.set()
        for decided in (self._flight_done, self._queue_done):
            if not decided.done():
                decided.set_result(None)
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
