"""A process that dies behind any row of its journal: the next one agrees with the venue, and goes on trading."""

import asyncio
import contextlib
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import FAR, HALF, LADDER, LIMIT, LONG, OUT, QUIET, TRAIL, TURN, Run, Stage, begin, run, stage
from tradebot.model.command import Verb
from tradebot.model.errors import StorageFailed
from tradebot.model.time import Nanos
from tradebot.store.journal import SqliteJournal

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]

# What happens, with how the market moves before each bar; together some 160 rows.
LIFE: tuple[tuple[str, int], ...] = (
    ("1", LONG),
    ("1.005", TRAIL),
    ("1.001", HALF),
    ("1.001", TURN),
    ("1", OUT),
    ("1.001", LADDER),
    ("1.022", QUIET),
    ("0.9", QUIET),
    ("1", LIMIT),
    ("0.985", QUIET),
    ("1.1", FAR),
    ("0.975", QUIET),
    ("1.03", OUT),
)
FEW, ALL = range(6, 150, 12), range(2, 160)


class Mortal:
    """Lets a journal write so many rows; what comes after them is never written, nor ever durable."""

    def __init__(self, patch: pytest.MonkeyPatch, rows: int) -> None:
        self.dead = asyncio.Event()
        append, committed = SqliteJournal.append, SqliteJournal.committed
        left = [rows]

        def append_while_alive(journal: SqliteJournal, kind: str, ts: Nanos, payload: bytes) -> int:
            left[0] -= 1
            if left[0] < 0:
                self.dead.set()
                return journal.last_seq + 1
            return append(journal, kind, ts, payload)

        async def committed_while_alive(journal: SqliteJournal, seq: int) -> None:
            if self.dead.is_set():
                raise StorageFailed("it is dead")
            await committed(journal, seq)

        patch.setattr(SqliteJournal, "append", append_while_alive)
        patch.setattr(SqliteJournal, "committed", committed_while_alive)


async def live(bot: Run, venue: Stage, dead: asyncio.Event) -> None:
    for factor, word in LIFE:
        venue.move(factor)
        bar = asyncio.create_task(bot.bar(word))
        end = asyncio.create_task(dead.wait())
        await asyncio.wait({bar, end}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        await bot.until(lambda: dead.is_set() or (bot.agrees() and not bot.trading.broker.waiting))
        if dead.is_set():
            bar.cancel()
            return


async def check_life(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> bool:
    """Die behind ``rows`` rows and come back; return whether it died at all."""
    async with stage(folder) as venue:
        bot: Run | None = None
        with monkeypatch.context() as patch:
            mortal = Mortal(patch, rows)
            with contextlib.suppress(StorageFailed):
                bot = await begin(venue)
                await live(bot, venue, mortal.dead)
                # What was sent is answered, but nobody hears it.
                await asyncio.sleep(0.05)
        if bot is not None:
            await bot.end()
        async with run(venue) as bot:
            await bot.quiet()
            await bot.until(bot.is_protected)
            await bot.agreed()
            await bot.bar(OUT)
            await bot.command(Verb.CANCEL, all="true")
            await bot.until(lambda: bot.position() == 0 and venue.resting() == [])
            await bot.agreed()
            await bot.bar(LONG)
            await bot.until(lambda: bot.position() > 0 and bot.is_protected())
            await bot.agreed()
        assert venue.repeated == {}
        return mortal.dead.is_set()


@pytest.mark.parametrize("rows", FEW)
async def test_a_death_behind_some_row_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    assert await check_life(tmp_path, monkeypatch, rows)


@pytest.mark.soak
async def test_a_death_behind_any_row_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in ALL:
        folder = tmp_path / str(rows)
        folder.mkdir()
        await check_life(folder, monkeypatch, rows)
