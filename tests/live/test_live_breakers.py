"""A breaker of a live bot: its close-out is seen through to the venue's word, over a kill, and trading needs a word."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from tests.builders import MINUTE
from tests.live.rehearsal import LONG, OUT, QUIET, run, stage
from tests.virtual import LoopClock
from tradebot.model.breaker import BreakerChanged
from tradebot.model.command import TradingState, Verb
from tradebot.model.market import PricesSeen, SymbolPrices
from tradebot.model.money import Price
from tradebot.model.order import OrderState
from tradebot.model.time import NANOS_PER_S
from tradebot.runtime.supervisor import FailurePolicy, TaskSpec

D = Decimal


async def test_a_drawdown_is_closed_at_the_venue_and_holds_over_a_kill(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        # Of the account a small part is at risk here.
        venue.risk = "drawdown_pct = 0.001"
        async with run(venue) as bot:
            await bot.bar()
            await bot.bar(LONG)
            await bot.agreed()
            assert venue.position()
            venue.move("0.98")
            await bot.bar(QUIET)
            assert bot.engine.trading_state is TradingState.HALTED
            refused = await bot.command(Verb.RESUME)
            assert "drawdown_pct is tripped" in refused.error
            await bot.until(lambda: bot.engine.flat_facts().is_flat)
            assert not venue.desk.open
            assert not venue.position()
        async with run(venue) as bot:
            assert bot.engine.trading_state is TradingState.HALTED
            (breaker,) = bot.engine.risk.breakers_view()
            assert (breaker.name, breaker.state) == ("drawdown_pct", "tripped")
            before = await bot.submitted()
            await bot.bar(LONG)
            assert await bot.submitted() == before
            assert (await bot.command(Verb.RESUME, reason="seen")).error == ""
            await bot.bar(LONG)
            await bot.agreed()
            assert venue.position()


@pytest.mark.soak
async def test_money_that_nobody_explains_ends_entries(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        venue.risk = "max_residual = [1, 1000]"
        async with run(venue) as bot:
            await bot.agreed()
            account = venue.hand.desk("").account
            account.transfer(next(iter(account.pools)), D(7))
            await bot.until(lambda: bot.engine.trading_state is TradingState.REDUCE_ONLY, 60)
            await bot.bar(LONG)
            assert not await bot.submitted()


@pytest.mark.virtual_time
async def test_a_fall_between_two_bars_is_acted_on_at_once_and_is_known_after_a_kill(tmp_path: Path) -> None:
    # With the bars of a minute that ends meanwhile, or has just ended, prices are told anyway.
    passed_s = LoopClock().now() % MINUTE / NANOS_PER_S
    await asyncio.sleep(0 if 10 < passed_s < 30 else 70 - passed_s)
    async with stage(tmp_path) as venue:
        venue.risk = "drawdown_pct = 0.05"
        async with run(venue) as bot:
            await bot.bar()
            await bot.bar(LONG)
            await bot.agreed()
            assert venue.position()
            feed = bot.live.feed
            assert feed is not None
            await bot.supervisor.start(TaskSpec(name="feed", run=feed.run, policy=FailurePolicy.HALT))
            await bot.until(lambda: feed.is_connected)
            venue.move("0.999")
            await asyncio.sleep(5)
            assert PricesSeen.kind not in await bot.kinds(), "a small fall alarms nobody"
            assert bot.engine.trading_state is TradingState.RUNNING
            # Of 10,000 a tenth is held: half a percent of it is the limit.
            venue.move("0.99")
            await bot.until(lambda: bot.engine.trading_state is TradingState.HALTED)
            await bot.until(lambda: not venue.position() and bot.engine.flat_facts().is_flat)
            assert (await bot.kinds()).count(PricesSeen.kind) == 1
        async with run(venue) as bot:
            # What was told between bars is a part of the past that was run again.
            assert bot.engine.trading_state is TradingState.HALTED
            (breaker,) = bot.engine.risk.breakers_view()
            assert (breaker.name, breaker.state) == ("drawdown_pct", "tripped")


async def test_a_bot_of_a_live_market_enters_by_prices_that_are_fresh(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        venue.risk = "price_collar_pct = 1"
        async with run(venue) as bot:
            await bot.bar()
            told = SymbolPrices(symbol="BTC", age_ms=20_000, mark=Price(venue.price()), mid=Price(venue.price()))
            await bot.engine.deliver([PricesSeen(ts_event=bot.engine.session.market_time, prices=(told,))])
            await bot.bar(LONG)
            await bot.until(lambda: "script-BTC-1-entry" in bot.orders())
            entry = bot.orders()["script-BTC-1-entry"]
            assert entry.state is OrderState.REJECTED
            assert entry.reason.startswith("stale_price: the mark of BTC is so many seconds old")
            assert not venue.position()


MONEY = """
drawdown_pct = 0.05
max_consecutive_losses = 3
max_residual = 1
max_slippage_bps = 1000
max_rejects_per_min = 1
max_trades_per_day = 50
"""
TRANSIENT = (
    "error_500",
    "error_502",
    "rate_limit",
    "timeout",
    "drop_reply",
    "lost",
    "maintenance",
    "drop",
    "half_open",
)


@pytest.mark.virtual_time
@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("fault", TRANSIENT)
async def test_what_passes_by_itself_trips_no_breaker(tmp_path: Path, fault: str) -> None:
    async with stage(tmp_path) as venue:
        venue.risk = MONEY
        async with run(venue) as bot:
            await bot.bar()
            await bot.bar(LONG)
            await bot.agreed()
            venue.fault(fault, **({"lasts": D(8)} if fault != "drop" else {}))
            await bot.bar(OUT)
            await bot.bar(LONG, "ETH")
            await asyncio.sleep(8)
            venue.clear()
            await bot.until(lambda: not bot.position() and not venue.position(), 60)
            await bot.until(lambda: not bot.unknown(), 60)
            await bot.agreed(60)
            assert bot.engine.trading_state is TradingState.RUNNING
            assert {one.state for one in bot.engine.risk.breakers_view()} == {"ok"}
            assert BreakerChanged.kind not in await bot.kinds()
