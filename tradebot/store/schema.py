"""The tables of the journal, as numbered migrations, and the connection that may write them.

``user_version`` counts the migrations that have run; ``meta.schema`` repeats it, so that one flipped byte
is not taken for a newer program's file.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tradebot.model.errors import StorageFailed
from tradebot.model.message import MARKET

JOURNAL_NAME = "journal.db"
APPLICATION_ID = 0x54424F54
MARKET_KINDS = ", ".join(f"'{cls.kind}'" for cls in MARKET)
# Market rows are many and are read in order only; all others are looked up by kind.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE rows (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, ts_event INTEGER NOT NULL,"
        " ts_wall INTEGER NOT NULL, payload BLOB NOT NULL, h BLOB NOT NULL) STRICT",
        f"CREATE INDEX rows_by_kind ON rows (kind, seq) WHERE kind NOT IN ({MARKET_KINDS})",
        "CREATE TABLE checkpoints (seq INTEGER PRIMARY KEY, h BLOB NOT NULL, digest BLOB NOT NULL,"
        " kept INTEGER NOT NULL, ts_wall INTEGER NOT NULL) STRICT",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    ),
)
INSERT_ROW = "INSERT INTO rows (seq, kind, ts_event, ts_wall, payload, h) VALUES (?, ?, ?, ?, ?, ?)"
INSTANCE = "instance"
"""The key in ``meta`` of what names this very journal at a venue."""
PLACE = "place"
"""The key of where this very journal is: machine and folder."""
SNAPSHOT = "snapshot"
"""The key of the state at the last row, which a backup has with it."""
SALVAGED_META = "SELECT key, value FROM meta WHERE key NOT IN ('schema', 'instance', 'snapshot')"
"""What is left of a damaged journal takes over. It is another instance: ids after its last row are given out again."""
COPIED_META = "SELECT key, value FROM meta WHERE key NOT IN ('schema', 'instance', 'snapshot', 'place')"
"""What a copy takes over. It is another instance, and nowhere yet."""
PUT_META = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_SETTINGS = (
    # Exclusive before WAL: then there is no shared memory file, and nobody else can open the journal.
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 1000",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA busy_timeout = 5000",
)
# What says that the file is not what we wrote; anything else says that the disk or the system failed.
_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_FORMAT,
    }
)


# SQLite quotes damaged text in its messages, and Python then fails to decode the message.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)


class Damaged(Exception):
    """The file is not what was written; ``str`` says where."""


class Row(NamedTuple):
    """A row of the journal. ``ts_wall`` is the wall time of its writing, for people only."""

    seq: int
    kind: str
    ts_event: int
    ts_wall: int
    payload: bytes


def is_damage(error: Exception) -> bool:
    """Return whether ``error`` blames the content of the file, not the disk or the system."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _DAMAGE


def storage_failed(error: Exception, path: Path) -> StorageFailed:
    """Return ``error`` as the operator should read it."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StorageFailed(
        f"{error} ({name})",
        where=str(path),
        mend="see that the disk has room and is healthy, then start again; `tradebot state verify` checks the journal",
    )


def connect(path: Path, migrations: Sequence[Iterable[str]] = MIGRATIONS) -> sqlite3.Connection:
    """Return the one writing connection to the journal at ``path``, its schema brought up to date.

    Raises ``Damaged``, ``sqlite3.Error``, or ``StorageFailed`` when a newer program wrote the file.
    """
    _undo_begun(path)
    _check_header(path)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for setting in _SETTINGS:
            connection.execute(setting)
        _migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def rollback_path(path: Path) -> Path:
    """Return where SQLite keeps what undoes a change of the database at ``path`` that has no write-ahead log yet."""
    return path.with_name(path.name + "-journal")


def _undo_begun(path: Path) -> None:
    """Undo what a power cut left half done when the file at ``path`` was made; a reader cannot, and would fail.

    Raises ``sqlite3.Error``.
    """
    if rollback_path(path).exists():
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")


def connect_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write. Raises ``sqlite3.Error``, or ``StorageFailed`` when there is no file."""
    if not path.is_file():
        raise StorageFailed("there is no journal", where=str(path), mend="start the daemon once")
    # Never immutable: that would miss the rows in the write-ahead log.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _check_header(path: Path) -> None:
    # A flipped version byte makes SQLite take the file for read-only, which would look like a failed disk.
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        header = file.read(20)
    if header[:16] != b"SQLite format 3\0" or header[18:20] not in (b"\1\1", b"\2\2"):
        raise Damaged("the file does not begin as a journal does")


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Iterable[str]]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < 0:
        raise Damaged(f"the header says schema {version}")
    if version > 0:
        _check_version(connection, path, version, len(migrations))
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        for statement in migrations[number]:
            connection.execute(statement)
        connection.execute(PUT_META, ("schema", str(number + 1)))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


def _check_version(connection: sqlite3.Connection, path: Path, version: int, known: int) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    stored = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if application != APPLICATION_ID or stored is None or stored[0] != str(version):
        raise Damaged(f"the header says schema {version} of application {application:#x}, the tables say {stored}")
    if version > known:
        raise StorageFailed(
            f"the journal has schema {version}; this program knows up to {known}",
            where=str(path),
            mend="run the newer program, or restore an older backup with `tradebot state restore`",
        )
