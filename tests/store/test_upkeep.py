import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.store.memory_journal import count_rows
from tradebot.model.errors import StorageFailed
from tradebot.model.time import DAY
from tradebot.store import pruning, upkeep
from tradebot.store.integrity import verify_all
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import connect_reader
from tradebot.store.snapshot import NAMES, Snapshot, load_snapshots, write_snapshot


class FixedClock:
    def now(self) -> int:
        return 5

    def monotonic(self) -> float:
        return 0.0


@asynccontextmanager
async def opened(home: Path, **options: object) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(home / "journal.db", FixedClock(), **options)
    try:
        yield journal
    finally:
        await journal.close()


async def add(journal: SqliteJournal, count: int) -> None:
    """Add ``count`` rows; every fifth is a fill; the market time of row n is n."""
    for n in range(journal.last_seq + 1, journal.last_seq + count + 1):
        journal.append("fill" if n % 5 == 0 else "bar", n, f"row {n}".encode())
    await journal.committed(journal.last_seq)


async def seqs(journal: SqliteJournal, **query: object) -> list[int]:
    return [row.seq for row in await journal.rows(Query(limit=10**6, **query))]


def anchor(seq: int) -> Snapshot:
    return Snapshot(seq=seq, config_hash="c", body=b"{}")


def damage(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE rows SET payload = x'00' WHERE seq = (SELECT max(seq) FROM rows)")


async def test_a_backup_holds_all_rows_and_commits_go_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_SLICE_ROWS", 7)
    async with opened(tmp_path) as journal:
        await add(journal, 50)
        await journal.set_meta("data", "x")
        journal.append("bar", 51, b"later")
        copy = await upkeep.backup(journal)
        await add(journal, 5)
        assert upkeep.backups(tmp_path) == [copy]
    with closing(connect_reader(copy)) as connection:
        assert verify_all(connection)[0].seq == 51
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["journal-000000000051.db"]


async def test_the_newest_backups_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for _ in range(10):
            await add(journal, 5)
            await upkeep.backup(journal)
    assert [path.name for path in upkeep.backups(tmp_path)] == [
        f"journal-{row:012}.db" for row in (50, 45, 40, 35, 30, 25, 20, 15)
    ]


async def test_a_backup_of_a_journal_damaged_under_us_does_not_count(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 10)
        await journal.run(lambda connection: connection.execute("UPDATE rows SET payload = x'' WHERE seq = 4").close())
        with pytest.raises(StorageFailed, match="row 4 does not match"):
            await upkeep.backup(journal)
        await journal.run(lambda connection: connection.execute("DELETE FROM rows WHERE seq > 3").close())
        with pytest.raises(StorageFailed, match="ends at row 3, not 10"):
            await upkeep.backup(journal)
    assert list((tmp_path / "backups").iterdir()) == []


async def test_pruning_removes_old_market_rows_and_the_chain_still_holds(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 40)
        pruned = await pruning.prune(journal, before_ts=30, anchor=anchor(22), ts_wall=5)
        assert (pruned.removed, pruned.up_to_seq) == (18, 22)
        assert await seqs(journal, before_seq=26) == [5, 10, 15, 20, 23, 24, 25]
        assert await seqs(journal, kinds=["fill"]) == list(range(5, 41, 5))
        assert (await pruning.prune(journal, before_ts=30, anchor=anchor(22), ts_wall=5)).backup is None
        pruned = await pruning.prune(journal, before_ts=30, anchor=anchor(1000), ts_wall=5)
        assert (pruned.removed, pruned.up_to_seq) == (6, 30)
        await add(journal, 3)
    for options in ({"full": True}, {"verify_from": 7}, {"verify_from": 41}):
        async with opened(tmp_path, **options) as journal:
            assert (journal.last_seq, journal.opened.damage) == (43, ())
    assert upkeep.verify(tmp_path).problems == ()


async def test_a_journal_pruned_to_its_end_goes_on_counting(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 4)
        assert (await pruning.prune(journal, before_ts=100, anchor=anchor(100), ts_wall=5)).removed == 4
    async with opened(tmp_path, full=True) as journal:
        assert journal.last_seq == 4
        await add(journal, 2)
        assert await seqs(journal) == [5, 6]
    assert upkeep.verify(tmp_path).problems == ()


async def test_a_kept_row_changed_after_pruning_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 40)
        await pruning.prune(journal, before_ts=30, anchor=anchor(40), ts_wall=5)
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE rows SET payload = x'' WHERE seq = 5")
    assert "rows kept from 1 to 30 do not match" in upkeep.verify(tmp_path).problems[0]


async def test_a_damaged_pruned_journal_keeps_what_was_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 40)
        await pruning.prune(journal, before_ts=30, anchor=anchor(40), ts_wall=5)
    damage(tmp_path / "journal.db")
    async with opened(tmp_path) as journal:
        assert "row 40 does not match" in journal.opened.damage[0]
        assert await seqs(journal) == [5, 10, 15, 20, 25, *range(30, 40)]


async def test_verify_tells_what_is_there_and_what_is_wrong(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 10)
        await upkeep.backup(journal)
    write_snapshot(tmp_path, 8, "cafe", b"{}")
    found = upkeep.verify(tmp_path)
    assert (found.rows, found.last_seq, found.snapshots, found.backups, found.problems) == (10, 10, 1, 1, ())
    write_snapshot(tmp_path, 99, "cafe", b"{}")
    damage(tmp_path / "journal.db")
    upkeep.backups(tmp_path)[0].write_bytes(b"garbage" * 999)
    assert len(upkeep.verify(tmp_path).problems) == 4
    (tmp_path / "journal.db").unlink()
    assert "there is no journal" in upkeep.verify(tmp_path).problems[0]


async def test_restore_brings_a_backup_back_and_keeps_the_state_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 10)
        copy = await upkeep.backup(journal)
        await add(journal, 10)
    write_snapshot(tmp_path, 15, "cafe", b"{}")
    kept = upkeep.restore(tmp_path, copy)
    assert sorted(path.name for path in kept.iterdir()) == ["journal.db", NAMES[0]]
    assert count_rows(kept / "journal.db") == 20
    assert load_snapshots(tmp_path).valid == []
    async with opened(tmp_path, full=True) as journal:
        assert (journal.last_seq, journal.opened.damage) == (10, ())


async def test_restore_refuses_what_is_no_sound_backup(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 10)
    shutil.copy(tmp_path / "journal.db", tmp_path / "bad.db")
    damage(tmp_path / "bad.db")
    with pytest.raises(StorageFailed, match=r"not a sound backup: .*row 10"):
        upkeep.restore(tmp_path, tmp_path / "bad.db")
    shutil.copy(tmp_path / "journal.db", tmp_path / "good.db")
    (tmp_path / "backups").write_text("in the way")
    with pytest.raises(StorageFailed):
        upkeep.restore(tmp_path, tmp_path / "good.db")
    with pytest.raises(StorageFailed):
        upkeep.reset(tmp_path)
    assert count_rows(tmp_path / "journal.db") == 10


async def test_reset_starts_afresh_and_keeps_the_old(tmp_path: Path) -> None:
    for number in (1, 2):
        async with opened(tmp_path) as journal:
            assert journal.last_seq == 0
            await add(journal, number)
        write_snapshot(tmp_path, number, "cafe", b"{}")
        kept = upkeep.reset(tmp_path)
        assert kept.name == f"reset-{number}"
        assert count_rows(kept / "journal.db") == number
    assert load_snapshots(tmp_path).valid == []


def test_the_reserve_takes_room_and_gives_it_back(tmp_path: Path) -> None:
    assert not upkeep.free_reserve(tmp_path)
    assert upkeep.fill_reserve(tmp_path, 3)
    assert upkeep.fill_reserve(tmp_path, 2)
    status = (tmp_path / "reserve.bin").stat()
    assert status.st_size == 2 << 20
    assert status.st_blocks * 512 >= 2 << 20
    assert upkeep.free_reserve(tmp_path)
    assert upkeep.fill_reserve(tmp_path, 0)


def test_a_reserve_the_disk_has_no_room_for_leaves_nothing(tmp_path: Path) -> None:
    assert not upkeep.fill_reserve(tmp_path, 1 << 40)
    assert not (tmp_path / "reserve.bin").exists()


def test_free_room_and_the_age_of_rows_are_counted(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert upkeep.disk_free_mb(tmp_path) == pytest.approx(status.f_bavail * status.f_frsize / 2**20, abs=2000)
    assert pruning.prune_before(10 * DAY, 7) == 3 * DAY
