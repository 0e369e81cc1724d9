import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.memory_journal import MemoryJournal, count_rows
from tradebot.model.errors import InvariantError, StorageFailed
from tradebot.store.journal import MAX_QUEUED_ROWS, ROOM_ROWS, SqliteJournal
from tradebot.store.rows import JournalReader, Query
from tradebot.store.schema import MIGRATIONS, connect, is_damage

AnyJournal = SqliteJournal | MemoryJournal
Open = Callable[[], "asynccontextmanager"]


class StepClock:
    def __init__(self) -> None:
        self._ticks = count(1)

    def now(self) -> int:
        return next(self._ticks)

    def monotonic(self) -> float:
        return 0.0


@asynccontextmanager
async def opened(path: Path, **options: object) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(path, StepClock(), **options)
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def in_memory(rows: list) -> AsyncIterator[MemoryJournal]:
    journal = MemoryJournal(StepClock(), rows)
    yield journal
    await journal.close()


@pytest.fixture(params=["sqlite", "memory"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return partial(opened, tmp_path / "journal.db") if request.param == "sqlite" else partial(in_memory, [])


async def fill(journal: AnyJournal, *kinds: str) -> None:
    for ts_event, kind in enumerate(kinds, journal.last_seq + 1):
        journal.append(kind, ts_event, f"{kind} {ts_event}".encode())
    await journal.committed(journal.last_seq)


# The contract, of both ------------------------------------------------------------------------------


async def test_rows_are_numbered_from_one_without_holes_and_survive(open_journal: Open) -> None:
    async with open_journal() as journal:
        assert journal.last_seq == 0
        assert [journal.append("bar", 7, b"x"), journal.append("fill", 8, b"")] == [1, 2]
        await journal.committed(2)
        assert journal.durable_seq == 2
        await journal.room()
    async with open_journal() as journal:
        assert journal.last_seq == 2
        assert [tuple(row) for row in await journal.rows(Query())] == [(1, "bar", 7, 1, b"x"), (2, "fill", 8, 2, b"")]
        assert journal.append("bar", 9, b"y") == 3


async def test_rows_are_asked_for_by_kind_bounds_order_and_number(open_journal: Open) -> None:
    async with open_journal() as journal:
        await fill(journal, "bar", "fill", "bar", "equity", "fill", "bar", "refused")

        async def seqs(**query: object) -> list[int]:
            return [row.seq for row in await journal.rows(Query(**query))]

        assert await seqs(kinds={"fill", "refused"}) == [2, 5, 7]
        assert await seqs(kinds={"fill", "bar"}, newest_first=True, limit=3) == [6, 5, 3]
        assert await seqs(after_seq=2, before_seq=5) == [3, 4]
        assert await seqs(after_seq=2, kinds=["bar"]) == [3, 6]
        assert await seqs(kinds=[]) == []
        assert await seqs(newest_first=True, limit=2) == [7, 6]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_scan_yields_all_in_pieces(open_journal: Open, newest_first: bool) -> None:
    async with open_journal() as journal:
        await fill(journal, *["bar", "fill"] * 5)
        async with aclosing(journal.scan(Query(kinds=["fill"], limit=2, newest_first=newest_first))) as rows:
            found = [row.seq async for row in rows]
        assert found == sorted([2, 4, 6, 8, 10], reverse=newest_first)


async def test_meta_is_kept_and_replaced(open_journal: Open) -> None:
    async with open_journal() as journal:
        assert await journal.meta("data") is None
        await journal.set_meta("data", "one")
        await journal.set_meta("data", "two")
        assert await journal.meta("data") == "two"


async def test_waiting_for_a_row_that_was_never_appended_is_a_bug(open_journal: Open) -> None:
    async with open_journal() as journal:
        with pytest.raises(InvariantError, match="never appended"):
            await journal.committed(1)


async def test_a_memory_journal_told_to_fail_refuses_rows() -> None:
    async with in_memory([]) as journal:
        journal.failed = StorageFailed("told to")
        with pytest.raises(StorageFailed, match="told to"):
            journal.append("bar", 1, b"")


EACH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
STEPS = st.lists(st.sampled_from(["bar", "fill", "equity", "commit", "reopen"]), max_size=30)


@EACH
@given(STEPS)
async def test_both_journals_tell_the_same_whatever_happens(tmp_path: Path, steps: list[str]) -> None:
    shutil.rmtree(tmp_path / "h", ignore_errors=True)
    (tmp_path / "h").mkdir()
    memory = MemoryJournal(StepClock())
    journal = await SqliteJournal.open(tmp_path / "h" / "journal.db", StepClock())
    for number, step in enumerate(steps):
        if step == "reopen":
            await journal.close()
            journal = await SqliteJournal.open(tmp_path / "h" / "journal.db", StepClock(), full=True)
            assert journal.opened.damage == ()
        elif step == "commit":
            await journal.committed(journal.last_seq)
        else:
            assert journal.append(step, number, step.encode()) == memory.append(step, number, step.encode())
    await journal.committed(journal.last_seq)
    for query in (Query(), Query(kinds=["fill", "bar"], newest_first=True, limit=4), Query(kinds=["equity"])):
        kept = [row._replace(ts_wall=0) for row in await journal.rows(query)]
        assert kept == [row._replace(ts_wall=0) for row in await memory.rows(query)]
    await journal.close()


# The one in SQLite ----------------------------------------------------------------------------------


async def test_a_row_already_durable_costs_no_turn_of_the_loop(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await fill(journal, "bar")
        waiting = journal.committed(1)
        with pytest.raises(StopIteration):
            waiting.send(None)


async def test_rows_appended_during_a_commit_go_with_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        first = journal.append("bar", 1, b"")
        waiters = [asyncio.ensure_future(journal.committed(first)) for _ in range(3)]
        await asyncio.sleep(0)
        second = journal.append("bar", 2, b"")
        waiters += [asyncio.ensure_future(journal.committed(second)) for _ in range(3)]
        await asyncio.gather(*waiters)
        assert journal.durable_seq == 2


async def test_a_cancelled_wait_harms_no_other(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        seq = journal.append("bar", 1, b"")
        cancelled, other = (asyncio.ensure_future(journal.committed(seq)) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        await other
        assert cancelled.cancelled()


async def test_room_waits_until_the_writer_has_caught_up(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        for number in range(ROOM_ROWS + 10):
            journal.append("bar", number, b"x")
        await journal.room()
        assert journal.last_seq - journal.durable_seq <= ROOM_ROWS


async def test_appending_without_awaiting_room_is_a_bug_in_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        for number in range(MAX_QUEUED_ROWS):
            journal.append("bar", number, b"")
        with pytest.raises(InvariantError, match="must await room"):
            journal.append("bar", 0, b"")


async def test_closing_commits_what_is_queued(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        for number in range(100):
            journal.append("bar", number, b"x")
    assert not (tmp_path / "journal.db-wal").exists()
    assert count_rows(tmp_path / "journal.db") == 100


async def test_a_closed_journal_raises_where_a_wait_would_never_end(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        pass
    with pytest.raises(ValueError, match="closed"):
        await journal.meta("data")
    seq = journal.append("bar", 1, b"")
    for _ in range(2):
        with pytest.raises(ValueError, match="closed"):
            await journal.committed(seq)


async def test_the_settings_are_those_that_lose_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        for pragma, value in {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}.items():
            found = await journal.run(lambda connection, name=pragma: connection.execute(f"PRAGMA {name}").fetchone())
            assert found == (value,)
        assert not (tmp_path / "journal.db-shm").exists()
        with (
            closing(sqlite3.connect(tmp_path / "journal.db", timeout=0)) as second,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            second.execute("SELECT * FROM rows").fetchall()


async def test_fills_among_many_bars_are_found_by_the_index(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await fill(journal, "bar", "fill")
        seen: list[str] = []
        await journal.run(lambda connection: connection.set_trace_callback(seen.append))
        await journal.rows(Query(kinds=["fill", "equity"], newest_first=True))
        await journal.run(lambda connection: connection.set_trace_callback(None))
        plan = await journal.run(lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}").fetchall())
        assert sum("USING INDEX rows_by_kind (kind=?" in str(step) for step in plan) == 2


async def test_each_boot_is_counted(tmp_path: Path) -> None:
    for boot in (1, 2, 3):
        async with opened(tmp_path / "journal.db") as journal:
            assert journal.opened.boots == boot
            await journal.set_meta("boots", str(boot) if boot < 3 else "many")
    async with opened(tmp_path / "journal.db") as journal:
        assert journal.opened.boots == 1


async def test_a_reader_reads_what_a_stopped_daemon_left(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await fill(journal, "bar", "fill", "fill")
        await journal.set_meta("data", "x")
        shutil.copy(tmp_path / "journal.db", tmp_path / "copy.db")
        shutil.copy(tmp_path / "journal.db-wal", tmp_path / "copy.db-wal")
    for name in ("journal.db", "copy.db"):
        with JournalReader(tmp_path / name) as reader:
            assert [row.seq for row in reader.rows(Query(kinds=["fill"], limit=1))] == [2, 3]
            assert reader.meta("data") == "x"
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader._connection.execute("DELETE FROM rows")
        async with opened(tmp_path / name, full=True) as journal:
            assert (journal.last_seq, journal.opened.damage) == (3, ())


def test_a_reader_of_nothing_or_of_garbage_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="there is no journal"):
        JournalReader(tmp_path / "journal.db")
    (tmp_path / "journal.db").write_bytes(b"garbage" * 100)
    with JournalReader(tmp_path / "journal.db") as reader:
        with pytest.raises(StorageFailed, match="not a database"):
            list(reader.rows(Query()))
        with pytest.raises(StorageFailed, match="not a database"):
            reader.meta("x")


# Failing --------------------------------------------------------------------------------------------


def limit_pages(pages: int) -> Callable[[sqlite3.Connection], None]:
    """SQLITE_FULL without filling a disk."""

    def limit(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    return limit


async def test_a_full_disk_fails_all_waiters_and_all_that_comes(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await fill(journal, "bar")
        told: list[StorageFailed] = []
        journal.on_failed = told.append
        await journal.run(limit_pages(1))
        first = journal.append("bar", 1, bytes(20_000))
        waiters = [asyncio.ensure_future(journal.committed(first)) for _ in range(3)]
        await asyncio.sleep(0)
        waiters.append(asyncio.ensure_future(journal.committed(journal.append("bar", 2, b""))))
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == [str(journal.failed)] * 4
        assert told == [journal.failed]
        assert "SQLITE_FULL" in str(journal.failed)
        for again in (journal.room, partial(journal.rows, Query()), partial(journal.committed, 2)):
            with pytest.raises(StorageFailed):
                await again()
        with pytest.raises(StorageFailed):
            journal.append("bar", 3, b"")
        await journal.committed(1)
    async with opened(tmp_path / "journal.db", full=True) as journal:
        assert (journal.last_seq, journal.opened.damage) == (1, ())


async def test_a_disk_error_while_reading_fails_the_journal_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        await fill(journal, "bar")
        told: list[StorageFailed] = []
        journal.on_failed = told.append
        reads = [journal.run(lambda connection: connection.execute("SELECT * FROM absent")) for _ in range(2)]
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert all("no such table" in str(outcome) for outcome in outcomes)
        assert told == [journal.failed]


async def test_a_payload_that_is_no_bytes_ends_the_writer_and_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        seq = journal.append("bar", 1, "text")  # type: ignore[arg-type]
        with pytest.raises(StorageFailed, match="a commit ended: TypeError"):
            await journal.committed(seq)


async def test_a_read_that_fails_says_nothing_of_the_commit_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        waiting = asyncio.ensure_future(journal.committed(journal.append("bar", 1, b"")))
        await asyncio.sleep(0)
        with pytest.raises(StorageFailed, match="no such table"):
            await journal.run(lambda connection: connection.execute("SELECT * FROM absent"))
        await waiting
        assert journal.durable_seq == 1
    assert count_rows(tmp_path / "journal.db") == 1


async def test_what_gathers_during_a_commit_follows_it_though_nobody_waits(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.db") as journal:
        journal.append("bar", 1, b"")
        first = asyncio.ensure_future(journal.committed(1))
        await asyncio.sleep(0)
        for number in range(2, 5):
            journal.append("bar", number, b"")
        waiting = asyncio.ensure_future(journal.committed(3))
        await first
        assert journal.durable_seq == 1
        await waiting
        assert journal.durable_seq == 4


async def test_a_path_that_cannot_be_opened_is_a_failed_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="SQLITE_CANTOPEN"):
        await SqliteJournal.open(tmp_path / "none" / "journal.db", StepClock())
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageFailed, match="Is a directory"):
        await SqliteJournal.open(tmp_path / "folder", StepClock())


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(connect(path, (*MIGRATIONS, ("CREATE TABLE more (x INTEGER) STRICT",)))):
        pass
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match="schema 2; this program knows up to 1"):
        await SqliteJournal.open(path, StepClock())
    assert path.read_bytes() == before


def test_migrations_go_on_from_where_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(connect(path)) as connection:
        connection.execute("INSERT INTO rows VALUES (1, 'fill', 0, 0, x'', x'')")
    with closing(connect(path, (*MIGRATIONS, ("ALTER TABLE rows ADD COLUMN note TEXT",)))) as connection:
        assert connection.execute("SELECT note FROM rows").fetchall() == [(None,)]
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)


def test_no_error_of_the_system_is_taken_for_damage() -> None:
    for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        assert not is_damage(error)
