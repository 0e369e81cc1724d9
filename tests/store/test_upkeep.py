import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.memory_journal import count_rows
from tradebot.model.errors import StorageFailed
from tradebot.model.time import DAY
from tradebot.store import backups as backing
from tradebot.store import disk, pruning, upkeep, verification
from tradebot.store.integrity import verify_all
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import connect_reader
from tradebot.store.snapshot import NAMES, Snapshot, load_snapshots, write_snapshot
from tradebot.store.verification import verify


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
    monkeypatch.setattr(backing, "_SLICE_ROWS", 7)
    async with opened(tmp_path) as journal:
        await add(journal, 50)
        await journal.set_meta("data", "x")
        journal.append("bar", 51, b"later")
        copy = await backing.backup(journal)
        await add(journal, 5)
        assert backing.backups(tmp_path) == [copy]
    with closing(connect_reader(copy)) as connection:
        assert verify_all(connection)[0].seq == 51
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["journal-000000000051.db"]


async def test_backups_are_thinned_out_by_their_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for number in range(10):
            await add(journal, 5)
            path = await backing.backup(journal)
            os.utime(path, (0, 10_000_000 + number * 86_400 * 2))
    kept = [path.name for path in backing.backups(tmp_path)]
    assert kept == [f"journal-{row:012}.db" for row in range(50, 0, -5)]
    for number, path in enumerate(backing.backups(tmp_path)):
        os.utime(path, (0, 10_000_000 - number))
    backing.thin(tmp_path / "backups")
    assert [path.name for path in backing.backups(tmp_path)] == kept[: backing.NEWEST]


@given(st.lists(st.integers(0, 40 * 86_400), min_size=1, max_size=200))
def test_of_each_quarter_hour_and_day_the_newest_backup_stays(ages: list[int]) -> None:
    made = sorted((100 * 86_400 - age for age in ages), reverse=True)
    kept = backing.kept_of(made)
    assert kept >= set(range(min(backing.NEWEST, len(made))))
    assert len(kept) <= 46
    for period, count in backing.KEPT:
        periods = list(dict.fromkeys(at // period for at in made))[:count]
        assert {made[number] // period for number in kept} >= set(periods)
    # What was thinned out is as it should be: nothing more goes.
    assert backing.kept_of([made[number] for number in sorted(kept)]) == frozenset(range(len(kept)))


async def test_a_later_backup_of_the_day_begins_with_the_one_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 5)
        first = await backing.backup(journal, anchor(5))
        os.utime(first, (0, 0))
        await journal.set_meta("data", "new")
        await journal.set_meta("place", "here")
        await add(journal, 5)
        second = await backing.backup(journal)
    with closing(connect_reader(second)) as connection:
        assert verify_all(connection)[0].seq == 10
        assert dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('data', 'place', 'snapshot')")) == {
            "data": "new"
        }


async def test_a_backup_leaves_the_disk_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as journal:
        for day in range(3):
            await add(journal, 5)
            os.utime(await backing.backup(journal), (0, day * 86_400))
        monkeypatch.setattr(backing, "disk_free_mb", lambda folder: 100 - 40 * len(backing.backups(tmp_path)))
        await add(journal, 5)
        await backing.backup(journal, min_free_mb=50)
        assert len(backing.backups(tmp_path)) == 2
        with pytest.raises(StorageFailed, match="no room for a backup"):
            await backing.backup(journal, min_free_mb=90)
        assert len(backing.backups(tmp_path)) == 1


async def test_a_running_journal_is_verified_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_SLICE_ROWS", 7)
    async with opened(tmp_path) as journal:
        await add(journal, 40)
        await pruning.prune(journal, before_ts=30, anchor=anchor(22), ts_wall=5)
        await add(journal, 20)
        write_snapshot(tmp_path, 8, "cafe", b"{}")
        found = await verification.verify_running(journal)
        assert (found.rows, found.last_seq, found.snapshots, found.backups, found.problems) == (42, 60, 1, 1, ())
        spoilt = [
            ("UPDATE rows SET payload = x'' WHERE seq = 5", "rows kept from 1 to 22 do not match"),
            ("UPDATE rows SET payload = x'' WHERE seq = 44", "row 44 does not match"),
            ("DELETE FROM rows WHERE seq = 60", "ends at row 59"),
        ]
        for statement, problem in reversed(spoilt):
            await journal.run(lambda connection, said=statement: connection.execute(said).close())
            (said,) = (await verification.verify_running(journal)).problems
            assert problem in said
    assert "rows kept from 1 to 22" in verify(tmp_path).problems[0]


async def test_a_backup_of_a_journal_damaged_under_us_does_not_count(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 10)
        await journal.run(lambda connection: connection.execute("UPDATE rows SET payload = x'' WHERE seq = 4").close())
        with pytest.raises(StorageFailed, match="row 4 does not match"):
            await backing.backup(journal)
        await journal.run(lambda connection: connection.execute("DELETE FROM rows WHERE seq > 3").close())
        with pytest.raises(StorageFailed, match="ends at row 3, not 10"):
            await backing.backup(journal)
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
    assert verify(tmp_path).problems == ()


async def test_a_journal_pruned_to_its_end_goes_on_counting(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 4)
        assert (await pruning.prune(journal, before_ts=100, anchor=anchor(100), ts_wall=5)).removed == 4
    async with opened(tmp_path, full=True) as journal:
        assert journal.last_seq == 4
        await add(journal, 2)
        assert await seqs(journal) == [5, 6]
    assert verify(tmp_path).problems == ()


async def test_a_kept_row_changed_after_pruning_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 40)
        await pruning.prune(journal, before_ts=30, anchor=anchor(40), ts_wall=5)
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE rows SET payload = x'' WHERE seq = 5")
    assert "rows kept from 1 to 30 do not match" in verify(tmp_path).problems[0]


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
        await backing.backup(journal)
    write_snapshot(tmp_path, 8, "cafe", b"{}")
    found = verify(tmp_path)
    assert (found.rows, found.last_seq, found.snapshots, found.backups, found.problems) == (10, 10, 1, 1, ())
    write_snapshot(tmp_path, 99, "cafe", b"{}")
    damage(tmp_path / "journal.db")
    backing.backups(tmp_path)[0].write_bytes(b"garbage" * 999)
    assert len(verify(tmp_path).problems) == 4
    (tmp_path / "journal.db").unlink()
    assert "there is no journal" in verify(tmp_path).problems[0]


async def test_restore_brings_a_backup_back_and_keeps_the_state_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await add(journal, 10)
        copy = await backing.backup(journal)
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
    assert not disk.free_reserve(tmp_path)
    assert disk.fill_reserve(tmp_path, 3)
    assert disk.fill_reserve(tmp_path, 2)
    status = (tmp_path / "reserve.bin").stat()
    assert status.st_size == 2 << 20
    assert status.st_blocks * 512 >= 2 << 20
    assert disk.free_reserve(tmp_path)
    assert disk.fill_reserve(tmp_path, 0)


def test_a_reserve_the_disk_has_no_room_for_leaves_nothing(tmp_path: Path) -> None:
    assert not disk.fill_reserve(tmp_path, 1 << 40)
    assert not (tmp_path / "reserve.bin").exists()


def test_free_room_and_the_age_of_rows_are_counted(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert disk.disk_free_mb(tmp_path) == pytest.approx(status.f_bavail * status.f_frsize / 2**20, abs=2000)
    assert pruning.prune_before(10 * DAY, 7) == 3 * DAY
