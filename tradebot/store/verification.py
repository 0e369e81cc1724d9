"""Whether all that is on the disk is as it was written: of a stopped bot in one go, of a running one in slices."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tradebot.model.errors import StorageFailed
from tradebot.model.message import MARKET
from tradebot.report.shapes import Json
from tradebot.store.backups import backups
from tradebot.store.integrity import GENESIS, RawRow, RowsDigest, Tip, follow, verify_all
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import (
    JOURNAL_NAME,
    MARKET_KINDS,
    SQLITE_ERRORS,
    Damaged,
    connect_reader,
    is_damage,
    storage_failed,
)
from tradebot.store.snapshot import peek_snapshots

# So few that no order waits for more than a few milliseconds behind them.
_SLICE_ROWS = 1_000
_SLICE = "SELECT seq, kind, ts_event, ts_wall, payload, h FROM rows WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
_INDEXED = (
    "SELECT count(*) FROM rows INDEXED BY rows_by_kind"  # noqa: S608  # constants only  # nosec B608
    f" WHERE kind = ? AND kind NOT IN ({MARKET_KINDS}) AND seq <= ?"
)
_Checkpoint = tuple[int, bytes, bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a full check of a journal and the snapshots beside it found; ``problems`` is empty when all is well."""

    rows: int
    last_seq: int
    snapshots: int
    backups: int
    problems: tuple[str, ...]


def verification(found: Verification) -> Mapping[str, Json]:
    """Return ``found`` as the document of ``state verify``."""
    counts = {"rows": found.rows, "last_seq": found.last_seq, "snapshots": found.snapshots, "backups": found.backups}
    return {"ok": not found.problems, **counts, "problems": list(found.problems)}


def verify(home: Path) -> Verification:
    """Check the journal, the snapshots and the newest backup under ``home``, wholly; nothing is changed."""
    problems: list[str] = []
    rows, last_seq = verify_file(home / JOURNAL_NAME, problems)
    return _beside(home, rows, last_seq, problems, last_seq)


async def verify_running(journal: SqliteJournal) -> Verification:
    """Check the same of a journal that is written meanwhile, up to its last row of now; commits go on between slices.

    Raises ``StorageFailed`` when the disk fails.
    """
    problems: list[str] = []
    while True:
        last, rows, wrong = journal.last_seq, 0, ""
        await journal.committed(last)
        checkpoints = await journal.run(_checkpoints)
        try:
            rows = await _verify_slices(journal, checkpoints, last)
        except Damaged as error:
            wrong = f"{journal.path}: {error}"
        # Rows that were pruned under our eyes are no damage.
        if await journal.run(_checkpoints) == checkpoints:
            break
    problems += [wrong] if wrong else []
    return await asyncio.to_thread(_beside, journal.path.parent, rows, last, problems, journal.last_seq)


def verify_file(path: Path, problems: list[str]) -> tuple[int, int]:
    """Check the journal or the backup at ``path``; add what is wrong to ``problems``, return its rows and the last."""
    try:
        with closing(connect_reader(path)) as connection:
            tip, rows = verify_all(connection)
            return rows, tip.seq
    except StorageFailed as error:
        problems.append(str(error))
    except Damaged as error:
        problems.append(f"{path}: {error}")
    except SQLITE_ERRORS as error:
        if not is_damage(error):
            raise storage_failed(error, path) from error
        problems.append(f"{path}: {error}")
    return 0, 0


def _beside(home: Path, rows: int, last_seq: int, problems: list[str], newest_seq: int) -> Verification:
    snapshots = peek_snapshots(home, newest_seq)
    problems.extend(f"{rejected.path}: {rejected.reason}" for rejected in snapshots.rejected)
    copies = backups(home)
    if copies:
        verify_file(copies[0], problems)
    return Verification(
        rows=rows, last_seq=last_seq, snapshots=len(snapshots.valid), backups=len(copies), problems=tuple(problems)
    )


async def _verify_slices(journal: SqliteJournal, checkpoints: Sequence[_Checkpoint], last: int) -> int:
    """Return the count of rows. Raises ``Damaged``."""
    tip, kinds = Tip(0, GENESIS), Counter[str]()
    for seq, h, expected, kept in checkpoints:
        digest, count = RowsDigest(), 0
        async for found in _slices(journal, tip.seq, seq, kinds):
            await asyncio.to_thread(digest.take, found)
            count += len(found)
        if (digest.digest(), count) != (expected, kept):
            raise Damaged(f"the rows kept from {tip.seq + 1} to {seq} do not match their checkpoint")
        tip = Tip(seq, h)
    async for found in _slices(journal, tip.seq, last, kinds):
        tip = await asyncio.to_thread(_end_of, found, tip)
    if tip.seq != last:
        raise Damaged(f"it ends at row {tip.seq}, not {last}")
    for kind in kinds.keys() - {cls.kind for cls in MARKET}:
        indexed = await journal.run(partial(_count_indexed, kind=kind, last=last))
        if indexed != kinds[kind]:
            raise Damaged(f"the index has {indexed} rows of {kind}, the table {kinds[kind]}")
    return kinds.total()


async def _slices(
    journal: SqliteJournal, after: int, last: int, kinds: Counter[str]
) -> AsyncIterator[Sequence[RawRow]]:
    while found := await journal.run(partial(_read, after=after, last=last)):
        kinds.update(row[1] for row in found)
        yield found
        after = found[-1][0]


def _read(connection: sqlite3.Connection, after: int, last: int) -> list[RawRow]:
    return connection.execute(_SLICE, (after, last, _SLICE_ROWS)).fetchall()


def _checkpoints(connection: sqlite3.Connection) -> list[_Checkpoint]:
    return connection.execute("SELECT seq, h, digest, kept FROM checkpoints ORDER BY seq").fetchall()


def _end_of(rows: Sequence[RawRow], start: Tip) -> Tip:
    for row in rows:
        start = follow(start, row)
    return start


def _count_indexed(connection: sqlite3.Connection, kind: str, last: int) -> int:
    count: int = connection.execute(_INDEXED, (kind, last)).fetchone()[0]
    return count
