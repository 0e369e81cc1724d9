"""Backups of the journal, made while it is written; each has the state at its last row with it.

A backup is copied slice by slice, so that commits go on meanwhile; rows are only ever added, so all up to the last one
at its start make a whole. It begins with a copy of the last backup of the same day, so that a year of rows is not read
anew four times an hour. It counts only after it was read back and verified.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

from tradebot.model.errors import StorageFailed
from tradebot.store.disk import disk_free_mb
from tradebot.store.integrity import (
    RawRow,
    Tip,
    last_checkpoint,
    sync_folder,
    tip_at,
    verify_all,
    verify_tail,
    wal_path,
)
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import get_meta
from tradebot.store.schema import (
    COPIED_META,
    INSERT_ROW,
    PUT_META,
    SNAPSHOT,
    SQLITE_ERRORS,
    Damaged,
    connect,
    connect_reader,
    storage_failed,
)
from tradebot.store.snapshot import Snapshot, pack, unpack

BACKUPS = "backups"
NEWEST = 4
"""So many backups are kept whenever they were made: what an operator has just asked for does not go with the next."""
KEPT: Sequence[tuple[int, int]] = ((900, 4), (3_600, 24), (86_400, 14))
"""Of so many periods, each of so many seconds of wall time, the newest backup is kept: quarters, hours and days."""
_SLICE_ROWS = 4_000
_DAY_S = 86_400
_MB = 1 << 20
_RAW_SLICE = "SELECT seq, kind, ts_event, ts_wall, payload, h FROM rows WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"


async def backup(journal: SqliteJournal, snapshot: Snapshot | None = None, min_free_mb: int = 0) -> Path:
    """Copy the journal into its ``backups`` folder, with ``snapshot`` of it; verify the copy, and return its path.

    Older ones are thinned out as ``KEPT`` says, and further where the disk has no room: it must not fall below
    ``min_free_mb``. Raises ``StorageFailed``; a copy that does not hold is removed.
    """
    last = journal.last_seq
    await journal.committed(last)
    folder = journal.path.parent / BACKUPS
    folder.mkdir(mode=0o700, exist_ok=True)
    final = folder / f"journal-{last:012d}.db"
    unfinished = final.with_suffix(".part")
    try:
        await asyncio.to_thread(_make_room, journal.path, min_free_mb)
        after = await _begin(journal, unfinished, last)
        await _copy(journal, unfinished, after, last)
        await asyncio.to_thread(_finish, unfinished, final, last, after, snapshot)
    except (*SQLITE_ERRORS, OSError, Damaged) as error:
        raise storage_failed(error, final) from error
    finally:
        for leftover in (unfinished, wal_path(unfinished)):
            leftover.unlink(missing_ok=True)
    await asyncio.to_thread(thin, folder)
    return final


def backups(home: Path) -> list[Path]:
    """Return the backups of ``home``, newest first."""
    return _in(home / BACKUPS)


def _in(folder: Path) -> list[Path]:
    return sorted(folder.glob("journal-*.db"), reverse=True)


def thin(folder: Path) -> None:
    """Remove of the backups in ``folder`` those that ``KEPT`` does not name."""
    found = [(path, path.stat().st_mtime) for path in _in(folder)]
    kept = kept_of([made_s for _, made_s in found])
    for number, (path, _) in enumerate(found):
        if number not in kept:
            path.unlink(missing_ok=True)


def kept_of(made_s: Sequence[float]) -> frozenset[int]:
    """Return the places in ``made_s``, newest first, of the backups that are kept; the newest ones always are."""
    kept = set(range(min(NEWEST, len(made_s))))
    for period_s, count in KEPT:
        newest: dict[int, int] = {}
        for number, made in enumerate(made_s):
            newest.setdefault(int(made // period_s), number)
        kept.update(islice(newest.values(), count))
    return frozenset(kept)


def snapshot_in(path: Path) -> Snapshot | None:
    """Return the state that the backup at ``path`` has with it; ``None`` for one without, or of no use."""
    try:
        with closing(connect_reader(path)) as connection:
            kept = get_meta(connection, SNAPSHOT)
            last = tip_at(connection, 2**62).seq
    except SQLITE_ERRORS as error:
        raise storage_failed(error, path) from error
    found = "" if kept is None else unpack(kept.encode(), last)
    return found if isinstance(found, Snapshot) else None


def _make_room(journal: Path, min_free_mb: int) -> None:
    """Give up the oldest backups until there is room for one more. Raises ``StorageFailed`` when the last is left."""
    folder = journal.parent / BACKUPS
    files = (journal, wal_path(journal))
    needed_mb = sum(file.stat().st_size for file in files if file.exists()) // _MB + min_free_mb
    old = backups(journal.parent)
    while disk_free_mb(folder) < needed_mb:
        if len(old) < 2:
            mend = "make room, or set store.backup_minutes to 0"
            raise StorageFailed(f"no room for a backup: it needs {needed_mb} MB", where=str(folder), mend=mend)
        old.pop().unlink(missing_ok=True)


async def _begin(journal: SqliteJournal, path: Path, last: int) -> int:
    """Begin a copy at ``path``; return up to which row it has them already."""
    for leftover in (path, wal_path(path)):
        leftover.unlink(missing_ok=True)
    checkpoints, meta = await journal.run(_read_side_tables)
    base = next(iter(backups(journal.path.parent)), None)
    if base is not None and await _goes_on(journal, base, last):
        await asyncio.to_thread(_take_over, base, path, meta)
        return _last_of(base)
    await asyncio.to_thread(_create, path, checkpoints, meta)
    return 0


async def _goes_on(journal: SqliteJournal, base: Path, last: int) -> bool:
    """Return whether the journal is ``base`` and more, and both were written on one day; then all is read anew."""
    ends = await asyncio.to_thread(_ends_of, base)
    if ends is None or ends[1].seq > last:
        return False
    day, tip, checkpoint = ends
    newest = await journal.run(
        lambda found: found.execute("SELECT ts_wall FROM rows WHERE seq = ?", (last,)).fetchone()
    )
    here = await journal.run(lambda found: (tip_at(found, tip.seq), last_checkpoint(found)))
    return newest is not None and newest[0] // 1_000_000_000 // _DAY_S == day and here == (tip, checkpoint)


def _ends_of(base: Path) -> tuple[int, Tip, Tip] | None:
    """Return the day of a backup, its last row and its last checkpoint; ``None`` when it is not as its name says."""
    try:
        with closing(connect_reader(base)) as connection:
            tip, checkpoint = tip_at(connection, 2**62), last_checkpoint(connection)
    except (*SQLITE_ERRORS, StorageFailed):
        return None
    return (int(base.stat().st_mtime // _DAY_S), tip, checkpoint) if tip.seq == _last_of(base) else None


def _last_of(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


async def _copy(journal: SqliteJournal, path: Path, after: int, last: int) -> None:
    while rows := await journal.run(partial(_read_slice, after=after, last=last)):
        await asyncio.to_thread(_add_rows, path, rows)
        after = rows[-1][0]


def _read_side_tables(connection: sqlite3.Connection) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    checkpoints = connection.execute("SELECT seq, h, digest, kept, ts_wall FROM checkpoints").fetchall()
    return checkpoints, connection.execute(COPIED_META).fetchall()


def _read_slice(connection: sqlite3.Connection, after: int, last: int) -> list[RawRow]:
    return connection.execute(_RAW_SLICE, (after, last, _SLICE_ROWS)).fetchall()


def _create(path: Path, checkpoints: list[tuple[object, ...]], meta: list[tuple[object, ...]]) -> None:
    with closing(connect(path)) as target:
        target.execute("BEGIN IMMEDIATE")
        target.executemany("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)", checkpoints)
        target.executemany("INSERT INTO meta VALUES (?, ?)", meta)
        target.execute("COMMIT")


def _take_over(base: Path, path: Path, meta: list[tuple[object, ...]]) -> None:
    # By plain writes: what they leave behind in a power cut is rehearsed.
    with base.open("rb") as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy, _MB)
    path.chmod(0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")
        target.execute("BEGIN IMMEDIATE")
        target.execute("DELETE FROM meta WHERE key != 'schema'")
        target.executemany("INSERT INTO meta VALUES (?, ?)", meta)
        target.execute("COMMIT")


def _add_rows(path: Path, rows: list[RawRow]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        # It is synced and verified at its end; until then a power cut may have it.
        target.execute("PRAGMA synchronous = OFF")
        target.execute("BEGIN IMMEDIATE")
        target.executemany(INSERT_ROW, rows)
        target.execute("COMMIT")


def _finish(unfinished: Path, final: Path, last: int, after: int, snapshot: Snapshot | None) -> None:
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = DELETE")
        if snapshot is not None:
            target.execute(PUT_META, (SNAPSHOT, pack(snapshot).decode()))
    with closing(connect_reader(unfinished)) as copy:
        tip, _ = verify_tail(copy, after) if after else verify_all(copy)
    if tip.seq != last:
        raise Damaged(f"the copy ends at row {tip.seq}, not {last}")
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(final)
    sync_folder(final.parent)
