"""A journal in memory: it keeps every rule of the real one but durability."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from tradebot.model.errors import InvariantError, StorageFailed
from tradebot.model.time import Nanos
from tradebot.ports import Clock
from tradebot.store.rows import Query, connect_reader
from tradebot.store.schema import Row


class MemoryJournal:
    """Implements ``ports.Journal``: a row is committed once it is appended."""

    def __init__(self, clock: Clock, rows: list[Row] | None = None) -> None:
        self.failed: StorageFailed | None = None
        self._clock = clock
        self._rows = [] if rows is None else rows
        self._meta: dict[str, str] = {}

    @property
    def last_seq(self) -> int:
        """The newest ``seq`` given out; 0 when empty."""
        return len(self._rows)

    @property
    def durable_seq(self) -> int:
        """The newest ``seq`` that counts as durable."""
        return len(self._rows)

    def append(self, kind: str, ts_event: Nanos, payload: bytes) -> int:
        """Add a row and return its ``seq``. Raises ``StorageFailed`` once ``failed`` is set."""
        if self.failed is not None:
            raise self.failed
        self._rows.append(Row(len(self._rows) + 1, kind, ts_event, self._clock.now(), payload))
        return len(self._rows)

    async def committed(self, seq: int) -> None:
        """Return when row ``seq`` was appended."""
        if seq > self.last_seq:
            raise InvariantError(f"row {seq} was never appended; the newest is {self.last_seq}")

    async def room(self) -> None:
        """Return at once."""

    async def rows(self, query: Query) -> list[Row]:
        """Return the rows of ``query``, in its order."""
        found = [row for row in self._rows if _matches(query, row)]
        return (found[::-1] if query.newest_first else found)[: query.limit]

    async def scan(self, query: Query) -> AsyncIterator[Row]:
        """Yield all rows of ``query``, whatever its limit."""
        while found := await self.rows(query):
            for row in found:
                yield row
            query = query.after(found[-1])

    async def meta(self, key: str) -> str | None:
        """Return what is kept under ``key``."""
        return self._meta.get(key)

    async def set_meta(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``."""
        self._meta[key] = value

    async def close(self) -> None:
        """Do nothing: the rows stay readable."""


def count_rows(path: Path) -> int:
    """Return how many rows the journal at ``path`` holds."""
    with closing(connect_reader(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM rows").fetchone()[0])


def _matches(query: Query, row: Row) -> bool:
    is_wanted = query.kinds is None or row.kind in query.kinds
    return is_wanted and query.after_seq < row.seq < query.before_seq
