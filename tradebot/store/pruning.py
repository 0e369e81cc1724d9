"""Keeping the journal from growing: old market rows go, and what they led to stays.

A snapshot stands in for the pruned rows. It is kept in the journal itself, so that a backup is whole too.
"""

import sqlite3
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tradebot.model.market import PricesSeen
from tradebot.model.time import DAY, Nanos
from tradebot.store.backups import backup
from tradebot.store.integrity import Tip, digest_rows, last_checkpoint
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import MARKET_KINDS, PUT_META
from tradebot.store.snapshot import Snapshot, pack, unpack

_ANCHOR = "anchor"
_RAW = "SELECT seq, kind, ts_event, ts_wall, payload, h FROM rows WHERE seq > ? AND seq <= ? ORDER BY seq"
_IS_MARKET = f"kind IN ({MARKET_KINDS}, '{PricesSeen.kind}')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Market rows removed up to ``up_to_seq``, after the backup ``backup``; ``None`` when there was nothing to do."""

    removed: int
    up_to_seq: int
    backup: Path | None


async def prune(journal: SqliteJournal, before_ts: Nanos, anchor: Snapshot, ts_wall: Nanos) -> Pruned:
    """Remove the market rows older than ``before_ts`` and not after ``anchor``, the oldest kept snapshot.

    They are in a verified backup first. A checkpoint takes their place in the hash chain, and the snapshot stays
    in the journal: without the rows nothing else could bring the state back, should the files be lost.
    """
    up_to = await journal.run(partial(_prunable, before_ts=before_ts, anchor_seq=anchor.seq))
    if up_to == 0:
        return Pruned(removed=0, up_to_seq=0, backup=None)
    copy = await backup(journal)
    removed = await journal.run(partial(_prune, up_to=up_to, anchor=anchor, ts_wall=ts_wall))
    return Pruned(removed=removed, up_to_seq=up_to, backup=copy)


async def anchored(journal: SqliteJournal) -> tuple[int, Snapshot | None]:
    """Return up to which row market rows were pruned, and the snapshot that was kept in their stead.

    0 and ``None`` when nothing was pruned; no snapshot either when it cannot be used.
    """
    pruned_seq = (await journal.run(last_checkpoint)).seq
    kept = await journal.meta(_ANCHOR)
    found = "" if kept is None else unpack(kept.encode(), journal.last_seq)
    return pruned_seq, found if isinstance(found, Snapshot) else None


def prune_before(now: Nanos, keep_market_days: int) -> Nanos:
    """Return the market time before which market rows are no longer kept."""
    return Nanos(now - keep_market_days * DAY)


def _prunable(connection: sqlite3.Connection, before_ts: int, anchor_seq: int) -> int:
    """Return the last row of the longest beginning that may lose its market rows; 0 when it has none."""
    start = last_checkpoint(connection).seq
    in_turn = f"SELECT seq FROM rows WHERE seq > ? AND {_IS_MARKET}"  # noqa: S608  # constants only  # nosec B608
    first_kept = connection.execute(f"{in_turn} AND ts_event >= ? ORDER BY seq LIMIT 1", (start, before_ts)).fetchone()
    (newest,) = connection.execute("SELECT ifnull(max(seq), 0) FROM rows").fetchone()
    up_to = min(anchor_seq, newest if first_kept is None else first_kept[0] - 1)
    found = connection.execute(f"{in_turn} AND seq <= ? ORDER BY seq LIMIT 1", (start, up_to)).fetchone()
    return up_to if found else 0


def _prune(connection: sqlite3.Connection, up_to: int, anchor: Snapshot, ts_wall: int) -> int:
    start = last_checkpoint(connection)
    h = connection.execute("SELECT h FROM rows WHERE seq = ?", (up_to,)).fetchone()[0]
    connection.execute("BEGIN IMMEDIATE")
    bounds = (start.seq, up_to)
    delete = f"DELETE FROM rows WHERE seq > ? AND seq <= ? AND {_IS_MARKET}"  # noqa: S608  # constants only  # nosec B608
    removed = connection.execute(delete, bounds).rowcount
    digest, kept = digest_rows(connection.execute(_RAW, bounds))
    checkpoint = (*Tip(up_to, h), digest, kept, ts_wall)
    connection.execute("INSERT INTO checkpoints (seq, h, digest, kept, ts_wall) VALUES (?, ?, ?, ?, ?)", checkpoint)
    connection.execute(PUT_META, (_ANCHOR, pack(anchor).decode()))
    connection.execute("COMMIT")
    return removed
