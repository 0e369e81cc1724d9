"""The machine is lost: a backup, restored elsewhere, takes the account over, and no order exists twice."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import LADDER, LONG, OUT, Run, Stage, begin, run, stage
from tradebot.model.command import TradingState, Verb
from tradebot.model.errors import RefusedByRule
from tradebot.model.order import OrderState
from tradebot.store.backups import backup
from tradebot.store.lock import prepare_home
from tradebot.store.upkeep import restore

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


async def enter(bot: Run, word: int = LONG) -> None:
    await bot.bar(word)
    await bot.until(lambda: bot.position() > 0 and bot.is_protected())
    await bot.agreed()


async def leave(bot: Run) -> None:
    await bot.bar(OUT)
    await bot.until(lambda: bot.position() == 0)
    await bot.agreed()


async def back_up(bot: Run, file: Path) -> None:
    shutil.copy(await backup(bot.journal), file)


def elsewhere(venue: Stage, file: Path) -> Stage:
    """Return the same account and configuration with a home of its own, restored from ``file``."""
    (venue.folder / "elsewhere").mkdir()
    other = Stage(venue.net, venue.folder / "elsewhere")
    prepare_home(other.folder / "home")
    restore(other.folder / "home", file)
    other.began, other.bars = venue.began, venue.bars
    return other


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_lost_machine_is_replaced_without_one_double_order(tmp_path: Path, is_open: bool) -> None:
    file = tmp_path / "kept.db"
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            if not is_open:
                await leave(bot)
            await back_up(bot, file)
            # What comes now is in no backup: a position is closed, and another one opened.
            if is_open:
                await leave(bot)
            await enter(bot, LADDER)
            await bot.bar(OUT if is_open else LONG)
            lost = await bot.submitted()
        other = elsewhere(venue, file)
        with pytest.raises(RefusedByRule, match="--take-over"):
            await begin(other)
        bot = await begin(other, take_over=True)
        try:
            assert bot.engine.trading_state is TradingState.HALTED
            await bot.agreed()
            assert bot.is_protected()
            known = set(await bot.submitted())
            await bot.command(Verb.RESUME)
            if bot.position():
                await leave(bot)
            await enter(bot)
            made = set(await bot.submitted()) - known
            assert made
            assert made.isdisjoint(lost)
        finally:
            await bot.end()
        assert venue.repeated == {}
        # The lost machine comes back, and its bot with it.
        before = len(venue.desk.open)
        with pytest.raises(RefusedByRule, match="another tradebot has traded this account"):
            await begin(venue)
        assert len(venue.desk.open) == before
        # The one that took over goes on as it always does.
        other.bars += 1
        async with run(other) as bot:
            await bot.agreed()
            assert bot.engine.trading_state is TradingState.RUNNING
            assert bot.position() > 0
        assert venue.repeated == {}


async def test_what_the_lost_machine_may_have_sent_is_not_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            bot.mute()
            await bot.bar(OUT)
            await bot.engine.durable()
            await back_up(bot, file)
        # A restart of its own home sends it.
        async with run(venue) as bot:
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
        bot = await begin(elsewhere(venue, file), take_over=True)
        try:
            await bot.agreed()
            assert bot.position() == 0
            assert bot.working() == []
            exits = [order for name, order in bot.orders().items() if name.endswith("-exit")]
            assert all(order.state in (OrderState.FILLED, OrderState.REJECTED) for order in exits)
        finally:
            await bot.end()
        assert venue.repeated == {}


async def test_a_home_copied_by_hand_is_known_for_a_copy(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        shutil.copytree(tmp_path / "home", tmp_path / "elsewhere" / "home")
        other = Stage(venue.net, venue.folder / "elsewhere")
        with pytest.raises(RefusedByRule, match="restored or copied"):
            await begin(other)
        other.began, other.bars = venue.began, venue.bars
        bot = await begin(other, take_over=True)
        try:
            await bot.agreed()
            assert bot.engine.trading_state is TradingState.HALTED
        finally:
            await bot.end()
