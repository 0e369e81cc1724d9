"""Reading rows of the journal: the one query that daemon, commands and tests share."""

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tradebot.model.message import MARKET
from tradebot.store.schema import MARKET_KINDS, SQLITE_ERRORS, Row, connect_reader, storage_failed

_COLUMNS = "seq, kind, ts_event, ts_wall, payload"
_MARKET = frozenset(cls.kind for cls in MARKET)
_NO_END = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Rows with ``after_seq < seq < before_seq`` of ``kinds`` (``None``: all), at most ``limit`` of them."""

    after_seq: int = 0
    before_seq: int = _NO_END
    kinds: Collection[str] | None = None
    limit: int = 1000
    newest_first: bool = False

    def after(self, row: Row) -> "Query":
        """Return the query for the rows that come after ``row``, in its direction."""
        return replace(self, before_seq=row.seq) if self.newest_first else replace(self, after_seq=row.seq)


def select(connection: sqlite3.Connection, query: Query) -> list[Row]:
    """Return the rows of ``query``, in order of ``seq``."""
    sql, values = _statement(query) if query.kinds is None else _statement_by_kind(query, sorted(query.kinds))
    return [Row(*found) for found in connection.execute(sql, values)]


def _order(query: Query) -> str:
    return f"ORDER BY seq {'DESC' if query.newest_first else 'ASC'} LIMIT ?"


def _statement(query: Query) -> tuple[str, list[object]]:
    sql = f"SELECT {_COLUMNS} FROM rows WHERE seq > ? AND seq < ? {_order(query)}"  # noqa: S608  # constants only  # nosec B608
    return sql, [query.after_seq, query.before_seq, query.limit]


def _statement_by_kind(query: Query, kinds: list[str]) -> tuple[str, list[object]]:
    # One index range for each kind, merged: among a million bars, a fill is found without reading them.
    parts, values = [], list[object]()
    for kind in kinds:
        indexed = "" if kind in _MARKET else f"AND kind NOT IN ({MARKET_KINDS})"
        select_kind = f"SELECT {_COLUMNS} FROM rows WHERE kind = ? {indexed} AND seq > ? AND seq < ?"  # noqa: S608  # constants only  # nosec B608
        parts.append(f"SELECT * FROM ({select_kind} {_order(query)})")  # noqa: S608  # constants only  # nosec B608
        values += (kind, query.after_seq, query.before_seq, query.limit)
    if not parts:
        return f"SELECT {_COLUMNS} FROM rows WHERE 0", values  # noqa: S608  # constants only  # nosec B608
    return f"{' UNION ALL '.join(parts)} {_order(query)}", [*values, query.limit]


class JournalReader:
    """The journal while no daemon runs: the caller holds the home's lock. It never writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = connect_reader(path)
        except SQLITE_ERRORS as error:
            raise storage_failed(error, path) from error

    def rows(self, query: Query) -> Iterator[Row]:
        """Yield all rows of ``query``, ``limit`` at a time. Raises ``StorageFailed``."""
        try:
            while found := select(self._connection, query):
                yield from found
                query = query.after(found[-1])
        except SQLITE_ERRORS as error:
            raise storage_failed(error, self._path) from error

    def meta(self, key: str) -> str | None:
        """Return what is kept under ``key``."""
        try:
            return get_meta(self._connection, key)
        except SQLITE_ERRORS as error:
            raise storage_failed(error, self._path) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def get_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """Return what is kept under ``key``."""
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if found is None else str(found[0])
