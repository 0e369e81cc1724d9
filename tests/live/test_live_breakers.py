"""A breaker of a live bot: its close-out is seen through to the venue's word, over a kill, and trading needs a word."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.live.rehearsal import LONG, QUIET, run, stage
from tradebot.model.command import TradingState, Verb

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
