"""``halt --flatten`` of a whole live bot at a venue that is slow, and with what another hand left there."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.live.rehearsal import LONG, Run, Stage, begin, run, stage
from tests.virtual import LoopClock
from tradebot.model.command import TradingState, Verb
from tradebot.model.errors import TimedOut

pytestmark = pytest.mark.virtual_time

D = Decimal


def crowd(venue: Stage, orders: int = 50) -> None:
    """Let another hand place orders and open positions, also in a coin that the bot does not trade."""
    for number in range(orders):
        venue.hand.trade("", "BTC", D("0.001"), venue.price() * (D("0.95") - D(number) / 1000))
    venue.hand.trade("", "ETH", D("0.05"))
    venue.hand.trade("", "SOL", D("-1"))


def is_empty(venue: Stage) -> bool:
    desk = venue.desk
    return not desk.open and not any(desk.position(coin) for coin in desk.coins)


async def flat(bot: Run, seconds: float = 20) -> None:
    await bot.until(lambda: bot.engine.flat_facts().is_flat, seconds)


async def test_it_is_not_flat_before_the_venue_has_closed(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.agreed()
        # Nothing that is sent arrives for a while.
        venue.fault("lost", lasts=D("1.5"))
        await bot.command(Verb.HALT, flatten="true")
        seen = set()
        await bot.until(lambda: not venue.position() or seen.add(bot.engine.flat_facts().is_flat))
        assert seen == {False}
        await flat(bot)
        assert is_empty(venue)
        assert venue.repeated == {}


async def test_orders_and_positions_of_another_hand_go_and_are_listed_before(tmp_path: Path) -> None:
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.agreed()
        crowd(venue)
        await bot.until(lambda: len(bot.engine.books().foreign) == 50)
        await bot.command(Verb.HALT, flatten="true")
        await flat(bot)
        assert is_empty(venue)
        assert venue.repeated == {}
        await bot.until(lambda: not bot.engine.books().foreign)


async def test_what_others_have_is_seen_through_after_a_crash_too(tmp_path: Path) -> None:
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue:
        crowd(venue, 5)
        bot = await begin(venue)
        # The book is flat: only the journal tells the next run that this was asked for.
        venue.fault("lost")
        await bot.command(Verb.HALT, flatten="true")
        assert not bot.engine.flat_facts().is_flat
        await bot.end()
        venue.clear()
        assert not is_empty(venue)
        async with run(venue) as bot:
            await flat(bot)
            assert is_empty(venue)
        # It was over: what a human does afterwards is left alone.
        venue.hand.trade("", "SOL", D("1"))
        async with run(venue) as bot:
            assert not bot.engine.flat_facts().is_flat
            await bot.bar()
            assert D(venue.desk.position("SOL")) == 1


async def test_bars_wait_while_all_is_being_closed_but_not_for_ever(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.agreed()
        venue.fault("lost")
        await bot.command(Verb.HALT, flatten="true")
        waiting = asyncio.create_task(bot.bar())
        await asyncio.sleep(1.5)
        assert not waiting.done()
        await asyncio.sleep(1.0)
        assert waiting.done()
        # What is asked for again holds them again, until the venue is flat.
        await bot.command(Verb.HALT, flatten="true")
        waiting = asyncio.create_task(bot.bar())
        venue.clear()
        await flat(bot)
        await asyncio.wait_for(waiting, 0.1)


async def test_it_is_flat_at_once_and_not_at_the_next_tick(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.agreed()
        began = LoopClock().monotonic()
        await bot.command(Verb.HALT, flatten="true")
        await flat(bot)
        assert LoopClock().monotonic() - began < 0.5


@pytest.mark.parametrize("happened", range(9))
async def test_a_crash_at_any_moment_of_a_flattening_is_gone_on_from(tmp_path: Path, happened: int) -> None:
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue:
        bot = await begin(venue)
        await bot.bar(LONG)
        await bot.agreed()
        crowd(venue, 3)
        told, changed = venue.net.exchange.on_change, 0

        def note(account: Any) -> None:
            nonlocal changed
            changed += 1
            told(account)
            if changed == happened:
                # What is decided from here on never leaves: the process is dead.
                bot.mute()

        venue.net.exchange.on_change = note
        await bot.command(Verb.HALT, flatten="true")
        await bot.until(lambda: changed >= happened or is_empty(venue))
        await bot.end()
        venue.net.exchange.on_change = told
        async with run(venue) as bot:
            await bot.until(lambda: is_empty(venue))
            assert bot.engine.trading_state is TradingState.HALTED
            assert venue.repeated == {}
            await bot.agreed()


async def test_a_wish_for_less_ends_it(tmp_path: Path) -> None:
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue:
        venue.hand.trade("", "SOL", D("1"))
        async with run(venue) as bot:
            venue.fault("lost")
            await bot.command(Verb.HALT, flatten="true")
            await bot.command(Verb.RESUME)
            await bot.command(Verb.HALT)
            venue.clear()
            await bot.bar()
        async with run(venue) as bot:
            await bot.bar()
            assert D(venue.desk.position("SOL")) == 1


async def test_a_stop_that_flattens_ends_only_when_the_venue_is_flat(tmp_path: Path) -> None:
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.agreed()
        crowd(venue, 5)
        venue.fault("lost", lasts=D("0.5"))
        await bot.engine.stop(flatten=True)
        assert is_empty(venue)


async def test_a_stop_that_cannot_flatten_names_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradebot.runtime.engine._FLATTEN_S", 1.0)
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue, run(venue) as bot:
        venue.hand.trade("", "SOL", D("1"))
        venue.fault("lost")
        with pytest.raises(TimedOut, match="1 SOL"):
            await bot.engine.stop(flatten=True)
        venue.clear()
        await bot.bar()
        assert D(venue.desk.position("SOL")) == 1


async def test_own_leaves_the_orders_and_positions_of_another_hand(tmp_path: Path) -> None:
    async with stage(tmp_path, coins=("BTC", "ETH", "SOL")) as venue, run(venue) as bot:
        await bot.bar(LONG)
        await bot.agreed()
        crowd(venue, 5)
        await bot.until(lambda: bot.position("ETH"))
        await bot.command(Verb.HALT, flatten="true", own="true")
        await flat(bot)
        assert (venue.position(), venue.position("ETH"), D(venue.desk.position("SOL"))) == (0, D("0.05"), -1)
        assert len(venue.desk.open) == 5
        assert len(bot.engine.flat_facts().others) == 7
        # Afterwards all of it.
        await bot.command(Verb.HALT, flatten="true")
        await flat(bot)
        assert is_empty(venue)
