"""The hash chain over the rows of the journal, and what is done when it does not hold.

Each row carries ``h = blake2b-16(h of the row before, seq, ts_event, kind, payload)``. Pruning leaves holes
up to a checkpoint, which keeps the chain going and a digest over the rows that stayed before it.

A damaged journal is never mended in place: the rows that still hold from the beginning are copied to a new
file, and the damaged one is moved to a quarantine folder. Every step can be repeated after a kill.
"""

import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from tradebot.store.schema import (
    INSERT_ROW,
    SALVAGED_META,
    SQLITE_ERRORS,
    Damaged,
    connect,
    connect_reader,
    is_damage,
    rollback_path,
)

GENESIS = bytes(16)
_HEAD = struct.Struct(">qqH")
_FRAME = struct.Struct(">II8s8s")
_RAW = "SELECT seq, kind, ts_event, ts_wall, payload, h FROM rows"

RawRow = tuple[int, str, int, int, bytes, bytes]


class Tip(NamedTuple):
    """The end of a chain."""

    seq: int
    h: bytes


class Salvage(NamedTuple):
    """What was done about a damaged journal: ``kept`` rows up to ``last_seq`` still held."""

    reason: str
    quarantine: Path
    kept: int
    last_seq: int

    def __str__(self) -> str:
        return f"{self.reason}; {self.kept} rows kept, up to seq {self.last_seq}; the old file is in {self.quarantine}"


def chain(previous: bytes, seq: int, kind: str, ts_event: int, payload: bytes) -> bytes:
    """Return the hash of a row that follows the one with hash ``previous``."""
    name = kind.encode()
    return blake2b(b"".join((previous, _HEAD.pack(seq, ts_event, len(name)), name, payload)), digest_size=16).digest()


class RowsDigest:
    """A digest over all that the chain covers of the rows it takes."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=16)

    def take(self, rows: Iterable[RawRow]) -> int:
        """Take rows, and return their count."""
        count = 0
        for seq, kind, ts_event, _, payload, h in rows:
            self._digest.update(chain(h, seq, kind, ts_event, payload))
            count += 1
        return count

    def digest(self) -> bytes:
        """Return the digest of all that was taken."""
        return self._digest.digest()


def digest_rows(rows: Iterable[RawRow]) -> tuple[bytes, int]:
    """Return the digest of ``rows``, and their count."""
    digest = RowsDigest()
    count = digest.take(rows)
    return digest.digest(), count


def last_checkpoint(connection: sqlite3.Connection) -> Tip:
    """Return where the unbroken chain begins: at the newest checkpoint, or at the beginning."""
    found = connection.execute("SELECT seq, h FROM checkpoints ORDER BY seq DESC LIMIT 1").fetchone()
    return Tip(0, GENESIS) if found is None else Tip(*found)


def tip_at(connection: sqlite3.Connection, seq: int) -> Tip:
    """Return the newest point of the chain up to ``seq``, but not before the newest checkpoint."""
    start = last_checkpoint(connection)
    query = "SELECT seq, h FROM rows WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
    found = connection.execute(query, (start.seq, seq)).fetchone()
    return start if found is None else Tip(*found)


def verified_rows(connection: sqlite3.Connection, start: Tip) -> Iterator[RawRow]:
    """Yield the rows after ``start``, each checked. Raises ``Damaged`` at the first that does not hold."""
    # No name may hold the cursor: it would outlive the closing of the connection in a traceback.
    for row in connection.execute(f"{_RAW} WHERE seq > ? ORDER BY seq", (start.seq,)):
        start = follow(start, row)
        yield row


def follow(tip: Tip, row: RawRow) -> Tip:
    """Return the end of the chain with ``row``. Raises ``Damaged`` where that does not go on behind ``tip``."""
    seq = tip.seq + 1
    if row[0] != seq:
        raise Damaged(f"rows {seq} to {row[0] - 1} are missing")
    try:
        expected = chain(tip.h, seq, row[1], row[2], row[4])
    except (TypeError, AttributeError, ValueError, struct.error) as error:
        raise Damaged(f"row {seq} cannot be read: {error}") from error
    if expected != row[5]:
        raise Damaged(f"row {seq} does not match its hash")
    return Tip(seq, expected)


def verify_tail(connection: sqlite3.Connection, after_seq: int) -> tuple[Tip, int]:
    """Check the structure of the file and the chain after ``after_seq``.

    Returns the end of the chain and the count of rows checked. Raises ``Damaged`` or ``sqlite3.Error``.
    """
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise Damaged(f"the structure of the file is damaged: {found}")
    tip, count = tip_at(connection, after_seq), 0
    for row in verified_rows(connection, tip):
        tip, count = Tip(row[0], row[5]), count + 1
    return tip, count


def verify_all(connection: sqlite3.Connection) -> tuple[Tip, int]:
    """Check everything: pages, indexes, the rows kept before each checkpoint, and the whole chain."""
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Damaged(f"the structure of the file is damaged: {found}")
    start = total = 0
    for seq, digest, kept in connection.execute("SELECT seq, digest, kept FROM checkpoints ORDER BY seq"):
        rows = connection.execute(f"{_RAW} WHERE seq > ? AND seq <= ? ORDER BY seq", (start, seq))
        if digest_rows(rows) != (digest, kept):
            raise Damaged(f"the rows kept from {start + 1} to {seq} do not match their checkpoint")
        start, total = seq, total + kept
    tip, count = verify_tail(connection, start)
    return tip, total + count


def wal_path(path: Path) -> Path:
    """Return the write-ahead log of the database at ``path``."""
    return path.with_name(path.name + "-wal")


def commit_frames(wal: Path) -> int:
    """Return the position, from 1, of the last frame in ``wal`` that ends a commit of its newest generation; else 0.

    SQLite silently takes a damaged log for one that ends before the damage; this count says what was there.
    """
    if not wal.is_file():
        return 0
    size = wal.stat().st_size
    with wal.open("rb") as file:
        header = file.read(32)
        if len(header) < 32:
            return 0
        page_size, salt = int.from_bytes(header[8:12], "big"), header[16:24]
        last = position = 0
        while len(frame := file.read(24)) == 24 and file.seek(page_size, os.SEEK_CUR) <= size:
            _, pages, frame_salt, _ = _FRAME.unpack(frame)
            if frame_salt != salt:
                break
            position += 1
            last = position if pages else last
    return last


def salvage(path: Path, reason: str) -> Salvage:
    """Put aside the damaged journal at ``path`` and leave the rows that hold in its place, perhaps none."""
    fresh = path.with_name(path.name + ".new")
    for leftover in (fresh, wal_path(fresh)):
        leftover.unlink(missing_ok=True)
    with closing(connect(fresh)) as target:
        kept = _copy_what_holds(path, target)
        tip = tip_at(target, 2**62)
    fresh.replace(salvaged_path(path))
    quarantine = finish_salvage(path)
    return Salvage(reason, quarantine or path.parent, kept, tip.seq)


def salvaged_path(path: Path) -> Path:
    """Return where a journal waits, whole, to take the place of the one at ``path``."""
    return path.with_name(path.name + ".salvaged")


def finish_salvage(path: Path, folder: Path | None = None) -> Path | None:
    """Put a waiting journal into its place, also when a kill came between, and the old one into ``folder``.

    Returns the folder, by default a new quarantine; ``None`` when no journal waits.
    """
    salvaged = salvaged_path(path)
    if not salvaged.exists():
        return None
    folder = folder or next_folder(path.parent / "backups", "quarantine")
    move_database(path, folder)
    salvaged.replace(path)
    sync_folder(path.parent)
    return folder


def move_database(path: Path, folder: Path) -> None:
    """Move the database at ``path`` to ``folder``."""
    # The logs go first: left behind, they would be taken for those of the next file.
    for old in (wal_path(path), rollback_path(path), path):
        if old.exists():
            old.replace(folder / old.name)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    sync_folder(folder)
    sync_folder(path.parent)


def next_folder(parent: Path, name: str) -> Path:
    """Create and return the first of ``name-1``, ``name-2``, ... that does not exist in ``parent``."""
    parent.mkdir(mode=0o700, exist_ok=True)
    number = 1
    while (folder := parent / f"{name}-{number}").exists():
        number += 1
    folder.mkdir(mode=0o700)
    return folder


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_what_holds(path: Path, target: sqlite3.Connection) -> int:
    kept = 0
    if not path.exists():
        return kept
    try:
        with closing(connect_reader(path)) as source:
            target.execute("BEGIN IMMEDIATE")
            kept = _copy_pruned(source, target)
            for row in verified_rows(source, last_checkpoint(source)):
                target.execute(INSERT_ROW, row)
                kept += 1
    except Damaged:
        pass
    except SQLITE_ERRORS as error:
        if not is_damage(error):
            raise
    if target.in_transaction:
        target.execute("COMMIT")
    return kept


def _copy_pruned(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    """Copy the rows before the newest checkpoint, all or none; a full verification judges them."""
    checkpoints = source.execute("SELECT seq, h, digest, kept, ts_wall FROM checkpoints ORDER BY seq").fetchall()
    meta = source.execute(SALVAGED_META).fetchall()
    rows = source.execute(f"{_RAW} WHERE seq <= ? ORDER BY seq", (checkpoints[-1][0] if checkpoints else 0,)).fetchall()
    target.executemany("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)", checkpoints)
    target.executemany("INSERT INTO meta VALUES (?, ?)", meta)
    target.executemany(INSERT_ROW, rows)
    return len(rows)
