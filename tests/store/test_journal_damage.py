"""Whatever happens to the bytes: the journal opens, tells a beginning of what was written, and says so."""

import random
import shutil
import sqlite3
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.model.errors import StorageFailed
from tradebot.store.integrity import commit_frames, finish_salvage, salvage, salvaged_path, verify_all, wal_path
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import Damaged, Row, connect

ROWS = 400
CLOCK = 5
EACH = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


class FixedClock:
    def now(self) -> int:
        return CLOCK

    def monotonic(self) -> float:
        return 0.0


@asynccontextmanager
async def opened(path: Path, **options: object) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(path, FixedClock(), **options)
    try:
        yield journal
    finally:
        await journal.close()


def expected(count: int = ROWS) -> list[Row]:
    return [
        Row(n, "fill" if n % 7 == 0 else "bar", n * 10, CLOCK, f"payload {n} ".encode() * 9)
        for n in range(1, count + 1)
    ]


async def write(path: Path, rows: list[Row], leave_log: bool = False) -> None:
    """Write ``rows`` in commits of 16; ``leave_log`` keeps the files as a kill would leave them."""
    async with opened(path) as journal:
        for row in rows:
            journal.append(row.kind, row.ts_event, row.payload)
            if row.seq % 16 == 0:
                await journal.committed(row.seq)
        await journal.committed(journal.last_seq)
        if leave_log:
            for file in (path, wal_path(path)):
                shutil.copy(file, file.with_name("kept-" + file.name))
    if leave_log:
        for file in (path, wal_path(path)):
            file.with_name("kept-" + file.name).replace(file)


async def read(path: Path, **options: object) -> tuple[list[Row], tuple[str, ...]]:
    async with opened(path, **options) as journal:
        rows = await journal.rows(Query(limit=10**6))
        # The wall time is for people; the chain does not hold it.
        return [row._replace(ts_wall=CLOCK) for row in rows], journal.opened.damage


def mutate(raw: bytearray, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(raw) - 1), "at")
    match data.draw(st.sampled_from(["flip", "zero", "noise", "cut", "empty"]), "how"):
        case "flip":
            raw[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
        case "zero":
            raw[at : at + 512] = bytes(len(raw[at : at + 512]))
        case "noise":
            raw[at : at + 512] = random.Random(at).randbytes(len(raw[at : at + 512]))
        case "cut":
            del raw[at:]
        case "empty":
            raw.clear()


@EACH
@given(st.data())
async def test_a_mutated_file_gives_a_beginning_and_a_report(tmp_path: Path, data: st.DataObject) -> None:
    pristine = tmp_path / "pristine.db"
    if not pristine.exists():
        await write(pristine, expected())
    home = tmp_path / "h"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    path = home / "journal.db"
    raw = bytearray(pristine.read_bytes())
    mutate(raw, data)
    path.write_bytes(raw)
    rows, damage = await read(path, full=True)
    assert rows == expected()[: len(rows)]
    assert len(rows) == ROWS or damage
    if damage:
        assert list((home / "backups").glob("quarantine-*/journal.db*"))
        assert (home / "backups" / "quarantine-1" / "journal.db").read_bytes() == raw
    again, damage = await read(path, full=True)
    assert (again, damage) == (rows, ())


@EACH
@given(st.data())
async def test_a_mutated_log_gives_a_beginning_and_a_report(tmp_path: Path, data: st.DataObject) -> None:
    pristine = tmp_path / "pristine.db"
    if not pristine.exists():
        await write(pristine, expected(), leave_log=True)
    home = tmp_path / "h"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    path = home / "journal.db"
    shutil.copy(pristine, path)
    raw = bytearray(wal_path(pristine).read_bytes())
    mutate(raw, data)
    wal_path(path).write_bytes(raw)
    rows, _ = await read(path)
    assert rows == expected()[: len(rows)]
    again, damage = await read(path, full=True)
    assert (again, damage) == (rows, ())


async def test_commits_lost_in_the_middle_of_the_log_are_said_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected(), leave_log=True)
    raw = bytearray(wal_path(path).read_bytes())
    raw[len(raw) // 2] ^= 1
    wal_path(path).write_bytes(raw)
    rows, damage = await read(path)
    assert 0 < len(rows) < ROWS
    assert "the write-ahead log can be read up to frame" in damage[0]
    assert (tmp_path / "backups" / "quarantine-1" / "journal.db-wal").read_bytes() == raw


async def test_a_log_as_a_kill_leaves_it_loses_nothing_and_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected(), leave_log=True)
    assert commit_frames(wal_path(path)) > 0
    assert await read(path) == (expected(), ())


async def test_a_log_whose_journal_is_gone_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected(), leave_log=True)
    path.unlink()
    rows, damage = await read(path)
    assert rows == []
    assert "gone while its write-ahead log is there" in damage[0]


async def test_a_row_changed_behind_our_back_ends_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE rows SET payload = x'00' WHERE seq = 300")
    assert (await read(path, verify_from=300)) == ((await read(path, verify_from=300))[0], ())
    rows, damage = await read(path, verify_from=250)
    assert rows == expected(299)
    assert "row 300 does not match its hash; 299 rows kept, up to seq 299" in damage[0]
    async with opened(path) as journal:
        assert journal.append("bar", 1, b"x") == 300
        await journal.committed(300)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("DELETE FROM rows WHERE seq = 200", "rows 200 to 200 are missing"),
        ("DELETE FROM rows WHERE seq = 1", "rows 1 to 1 are missing"),
        ("DROP INDEX rows_by_kind; DROP TABLE rows", "no such table"),
        ("PRAGMA user_version = 9", "the header says schema 9"),
        ("PRAGMA application_id = 9", "application 0x9"),
        ("PRAGMA user_version = 0", "already exists"),
        ("DELETE FROM meta", "the tables say None"),
    ],
)
async def test_other_changes_are_found_and_named(tmp_path: Path, change: str, what: str) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(change)
    rows, damage = await read(path)
    assert rows == expected()[: len(rows)]
    assert what in damage[0]


async def test_a_kind_that_is_no_text_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ' STRICT', '')")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE rows SET kind = x'00' WHERE seq = 9")
    rows, damage = await read(path)
    assert rows == expected(8)
    assert "row 9 cannot be read" in damage[0]


@pytest.mark.parametrize("moved", ["nothing", "log", "both"])
async def test_a_kill_in_a_salvage_is_made_good_at_the_next_start(tmp_path: Path, moved: str) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected(), leave_log=True)
    await write(tmp_path / "short.db", expected(5))
    (tmp_path / "short.db").replace(salvaged_path(path))
    if moved != "nothing":
        wal_path(path).unlink()
    if moved == "both":
        path.unlink()
    rows, damage = await read(path)
    assert rows == expected(5)
    assert "a salvage that was cut short was finished" in damage[0]


async def test_leftovers_of_a_salvage_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected())
    path.with_name("journal.db.new").write_bytes(b"half")
    assert salvage(path, "because").kept == ROWS
    assert finish_salvage(path) is None


async def test_a_disk_that_fails_during_a_salvage_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected())

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr("tradebot.store.integrity.connect_reader", fail)
    with pytest.raises(sqlite3.OperationalError):
        salvage(path, "because")
    assert path.exists()
    monkeypatch.setattr("tradebot.store.opening.connect", fail)
    with pytest.raises(StorageFailed, match="disk I/O error"):
        await read(path)


@pytest.mark.parametrize("page", [1, 2, 3, 9])
async def test_a_full_check_finds_a_page_of_noise(tmp_path: Path, page: int) -> None:
    path = tmp_path / "journal.db"
    await write(path, expected())
    raw = bytearray(path.read_bytes())
    raw[page * 4096 : page * 4096 + 4096] = random.Random(page).randbytes(4096)
    path.write_bytes(raw)
    with closing(connect(path)) as connection, pytest.raises((Damaged, sqlite3.DatabaseError)):
        verify_all(connection)


def rollback_log(path: Path) -> Path:
    """Leave beside ``path`` the log with which SQLite undoes the making of a database."""
    log = path.with_name(path.name + "-journal")
    magic = bytes.fromhex("d9d505f920a163d7")
    log.write_bytes((magic + struct.pack(">IIIII", 0, 7, 0, 512, 4096)).ljust(512, b"\0"))
    return log


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0".ljust(1024, b"\0"), bytes(2560)])
async def test_a_journal_whose_making_was_cut_short_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    log = rollback_log(path)
    async with opened(path, full=True) as journal:
        assert journal.last_seq == 0
        await journal.committed(journal.append("bar", 1, b"{}"))
    assert not log.exists()
    assert len((await read(path, full=True))[0]) == 1


async def test_a_log_of_its_making_goes_aside_with_what_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"no database at all" * 100)
    rollback_log(path).write_bytes(b"nor a log")
    async with opened(path, full=True) as journal:
        (told,) = journal.opened.damage
        await journal.committed(journal.append("bar", 1, b"{}"))
    assert "quarantine-1" in told
    assert len((await read(path, full=True))[0]) == 1
