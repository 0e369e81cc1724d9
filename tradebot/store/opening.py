"""Opening a journal: what is damaged goes into quarantine, and the rows before it live on."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tradebot.store.integrity import (
    Tip,
    commit_frames,
    finish_salvage,
    next_folder,
    salvage,
    verify_all,
    verify_tail,
    wal_path,
)
from tradebot.store.rows import get_meta
from tradebot.store.schema import PUT_META, SQLITE_ERRORS, Damaged, connect, is_damage


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was found at opening. ``damage`` holds sentences for the operator; empty when all was well."""

    last_seq: int
    verified: int
    boots: int
    sqlite_version: str
    damage: tuple[str, ...] = ()


def open_checked(path: Path, verify_from: int, full: bool) -> tuple[sqlite3.Connection, Tip, Opened]:
    """Return the connection, the newest row and what was found; the rows after ``verify_from`` are checked.

    Raises ``Damaged`` when nothing can be saved, and what SQLite raises when the disk fails.
    """
    damage: list[str] = []
    quarantine = finish_salvage(path)
    if quarantine is not None:
        damage.append(f"a salvage that was cut short was finished; the old journal is in {quarantine}")
    frames = commit_frames(wal_path(path))
    try:
        is_lost = path.stat().st_size == 0 if path.exists() else frames > 0
        if is_lost:
            raise Damaged("the journal is empty, or gone while its write-ahead log is there")
        connection, tip, verified = _connect_checked(path, verify_from, full)
    except Damaged as error:
        damage.append(str(salvage(path, str(error))))
        frames = 0
        connection, tip, verified = _connect_checked(path, 0, full=False)
    if frames:
        damage.extend(_lost_in_log(connection, path, frames))
    counted = get_meta(connection, "boots") or ""
    # Not under the hash chain, and only for people: what is no number counts from the beginning.
    boots = int(counted) + 1 if counted.isdecimal() else 1
    connection.execute(PUT_META, ("boots", str(boots)))
    opened = Opened(
        last_seq=tip.seq,
        verified=verified,
        boots=boots,
        sqlite_version=sqlite3.sqlite_version,
        damage=tuple(damage),
    )
    return connection, tip, opened


def _connect_checked(path: Path, verify_from: int, full: bool) -> tuple[sqlite3.Connection, Tip, int]:
    try:
        connection = connect(path)
        try:
            return (connection, *(verify_all(connection) if full else verify_tail(connection, verify_from)))
        except BaseException:
            connection.close()
            raise
    except SQLITE_ERRORS as error:
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise


def _lost_in_log(connection: sqlite3.Connection, path: Path, frames: int) -> list[str]:
    """Say whether the log held commits that SQLite left out; keep a copy before it is overwritten."""
    _, read, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if read >= frames:
        return []
    quarantine = next_folder(path.parent / "backups", "quarantine")
    shutil.copy2(wal_path(path), quarantine)
    return [f"the write-ahead log can be read up to frame {read} of {frames}; a copy of it is in {quarantine}"]
