"""Looking after the journal: backups, verification, restoring, and room on the disk.

A backup is copied slice by slice, so that commits go on meanwhile; rows are only ever added, so all up to
the last one at its start make a whole. It counts only after it was read back and verified.
"""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tradebot.model.errors import StorageFailed
from tradebot.store.integrity import (
    RawRow,
    finish_salvage,
    move_database,
    next_folder,
    salvaged_path,
    sync_folder,
    verify_all,
    wal_path,
)
from tradebot.store.journal import SqliteJournal
from tradebot.store.schema import (
    COPIED_META,
    INSERT_ROW,
    SQLITE_ERRORS,
    Damaged,
    connect,
    connect_reader,
    is_damage,
    storage_failed,
)
from tradebot.store.snapshot import NAMES, peek_snapshots

JOURNAL_NAME = "journal.db"
BACKUPS = "backups"
RESERVE_NAME = "reserve.bin"
KEPT_BACKUPS = 8
_SLICE_ROWS = 4_000
_MB = 1 << 20
_RAW_SLICE = "SELECT seq, kind, ts_event, ts_wall, payload, h FROM rows WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a full check of a journal and the snapshots beside it found; ``problems`` is empty when all is well."""

    rows: int
    last_seq: int
    snapshots: int
    backups: int
    problems: tuple[str, ...]


# Backups --------------------------------------------------------------------------------------------


async def backup(journal: SqliteJournal, keep: int = KEPT_BACKUPS) -> Path:
    """Copy the journal into its ``backups`` folder, verify the copy, and return its path.

    The ``keep`` newest backups stay. Raises ``StorageFailed``; a copy that does not hold is removed.
    """
    await journal.committed(journal.last_seq)
    last = journal.durable_seq
    folder = journal.path.parent / BACKUPS
    folder.mkdir(mode=0o700, exist_ok=True)
    final = folder / f"journal-{last:012d}.db"
    unfinished = final.with_suffix(".part")
    try:
        await _copy(journal, unfinished, last)
        await asyncio.to_thread(_finish_backup, unfinished, final, last)
    except (*SQLITE_ERRORS, OSError, Damaged) as error:
        raise storage_failed(error, final) from error
    finally:
        for leftover in (unfinished, wal_path(unfinished)):
            leftover.unlink(missing_ok=True)
    for old in backups(journal.path.parent)[keep:]:
        old.unlink(missing_ok=True)
    return final


def backups(home: Path) -> list[Path]:
    """Return the backups of ``home``, newest first."""
    return sorted((home / BACKUPS).glob("journal-*.db"), reverse=True)


async def _copy(journal: SqliteJournal, target_path: Path, last: int) -> None:
    for leftover in (target_path, wal_path(target_path)):
        leftover.unlink(missing_ok=True)
    checkpoints, meta = await journal.run(_read_side_tables)
    await asyncio.to_thread(_begin_copy, target_path, checkpoints, meta)
    after = 0
    while rows := await journal.run(partial(_read_slice, after=after, last=last)):
        await asyncio.to_thread(_add_rows, target_path, rows)
        after = rows[-1][0]


def _read_side_tables(connection: sqlite3.Connection) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    checkpoints = connection.execute("SELECT seq, h, digest, kept, ts_wall FROM checkpoints").fetchall()
    return checkpoints, connection.execute(COPIED_META).fetchall()


def _read_slice(connection: sqlite3.Connection, after: int, last: int) -> list[RawRow]:
    return connection.execute(_RAW_SLICE, (after, last, _SLICE_ROWS)).fetchall()


def _begin_copy(path: Path, checkpoints: list[tuple[object, ...]], meta: list[tuple[object, ...]]) -> None:
    with closing(connect(path)) as target:
        target.execute("BEGIN IMMEDIATE")
        target.executemany("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)", checkpoints)
        target.executemany("INSERT INTO meta VALUES (?, ?)", meta)
        target.execute("COMMIT")


def _add_rows(path: Path, rows: list[RawRow]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        # It is synced and verified at its end; until then a power cut may have it.
        target.execute("PRAGMA synchronous = OFF")
        target.execute("BEGIN IMMEDIATE")
        target.executemany(INSERT_ROW, rows)
        target.execute("COMMIT")


def _finish_backup(unfinished: Path, final: Path, last: int) -> None:
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = DELETE")
    with closing(connect_reader(unfinished)) as copy:
        tip, _ = verify_all(copy)
    if tip.seq != last:
        raise Damaged(f"the copy ends at row {tip.seq}, not {last}")
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(final)
    sync_folder(final.parent)


# With the daemon stopped and the lock held ----------------------------------------------------------


def verify(home: Path) -> Verification:
    """Check the journal, the snapshots and the newest backup under ``home``, wholly; nothing is changed."""
    problems: list[str] = []
    rows, last_seq = _verify_file(home / JOURNAL_NAME, problems)
    snapshots = peek_snapshots(home, last_seq)
    problems.extend(f"{rejected.path}: {rejected.reason}" for rejected in snapshots.rejected)
    copies = backups(home)
    if copies:
        _verify_file(copies[0], problems)
    return Verification(
        rows=rows, last_seq=last_seq, snapshots=len(snapshots.valid), backups=len(copies), problems=tuple(problems)
    )


def restore(home: Path, file: Path) -> Path:
    """Make the backup ``file`` the journal of ``home``; return the folder where the state before it is kept.

    The snapshots go too: the state is built again from the restored rows. Raises ``StorageFailed``, and
    then nothing was changed.
    """
    problems: list[str] = []
    _verify_file(file, problems)
    if problems:
        raise StorageFailed(f"not a sound backup: {problems[0]}", where=str(file), mend="choose another backup")
    journal = home / JOURNAL_NAME
    ready = home / f"{JOURNAL_NAME}.restored"
    try:
        shutil.copyfile(file, ready)
        ready.chmod(0o600)
        with ready.open("rb") as copied:
            os.fsync(copied.fileno())
        kept = next_folder(home / BACKUPS, "before-restore")
        _move_snapshots(home, kept)
        # From here on a restart finishes what is begun.
        ready.replace(salvaged_path(journal))
        finish_salvage(journal, kept)
    except OSError as error:
        raise storage_failed(error, file) from error
    return kept


def reset(home: Path) -> Path:
    """Put journal and snapshots aside, for a fresh account; return the folder that keeps the old ones."""
    journal = home / JOURNAL_NAME
    try:
        finish_salvage(journal)
        kept = next_folder(home / BACKUPS, "reset")
        # Snapshots first: one that outlived its journal would be taken for the state of the new one.
        _move_snapshots(home, kept)
        move_database(journal, kept)
        sync_folder(home)
    except OSError as error:
        raise storage_failed(error, home) from error
    return kept


def _move_snapshots(home: Path, folder: Path) -> None:
    for snapshot in NAMES:
        if (home / snapshot).exists():
            (home / snapshot).replace(folder / snapshot)
    sync_folder(home)


def _verify_file(path: Path, problems: list[str]) -> tuple[int, int]:
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


# Room on the disk -----------------------------------------------------------------------------------


def disk_free_mb(folder: Path) -> int:
    """Return how many MB we may still write where ``folder`` is."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize // _MB


def fill_reserve(home: Path, reserve_mb: int, min_free_mb: int = 0) -> bool:
    """Keep ``reserve_mb`` of the disk for the day it is full; return whether there was room for it.

    A new one is made only where ``min_free_mb`` stay free: it must not take what the journal needs.
    """
    path = home / RESERVE_NAME
    if not path.exists() and disk_free_mb(home) < reserve_mb + min_free_mb:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        os.ftruncate(descriptor, min(os.fstat(descriptor).st_size, reserve_mb * _MB))
        if reserve_mb > 0:
            os.posix_fallocate(descriptor, 0, reserve_mb * _MB)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)
    return True


def free_reserve(home: Path) -> bool:
    """Give the reserve back to the disk; return whether there was one."""
    try:
        (home / RESERVE_NAME).unlink()
    except FileNotFoundError:
        return False
    return True
