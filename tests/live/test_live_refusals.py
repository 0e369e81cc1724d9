"""Orders that the venue refuses for good: never again as they were, the position handled in another way, or a human."""

from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import LONG, OUT, D, Run, run, stage
from tradebot.model.command import Alert, AlertName, Verb

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


async def entered(bot: Run) -> list[AlertName]:
    """Enter, and return where the alerts of the line will be."""
    alerts: list[AlertName] = []
    bot.booted.recorder.listeners.append(lambda m: alerts.append(m.name) if isinstance(m, Alert) else None)
    await bot.bar(LONG)
    await bot.until(lambda: bot.position() > 0 and bot.is_protected())
    await bot.agreed()
    return alerts


async def test_an_exit_refused_for_its_form_is_not_sent_again_until_an_operator_wants_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        alerts = await entered(bot)
        venue.fault("refuse", text="Order has invalid size.", count=1)
        await bot.bar(OUT)
        await bot.until(lambda: alerts == [AlertName.EXIT_FAILED])
        before = await bot.submitted()
        (wanted,) = bot.engine.orders.save().wanted.values()
        assert (wanted.words, wanted.refused) == ("Order has invalid size.", (venue.position(),))
        # The stop rests meanwhile, and the fault is over: it is our own rule that sends nothing.
        assert bot.is_protected()
        assert await bot.submitted() == before
        await bot.command(Verb.CLOSE, symbol="BTC")
        await bot.until(lambda: venue.position() == 0)
        await bot.agreed()


async def test_an_exit_that_is_too_large_for_one_order_goes_in_several(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        alerts = await entered(bot)
        vars(venue.net.exchange.markets["BTC"].coin)["max_value"] = D(600)
        await bot.bar(OUT)
        await bot.until(lambda: venue.position() == 0)
        await bot.agreed()
        exits = [name for name in await bot.submitted() if "-exit" in name]
        assert len(exits) == 3
        assert set(alerts) <= {AlertName.EXIT_FAILED}
        assert venue.repeated == {}


async def test_a_stop_refused_for_its_form_closes_the_position_at_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await entered(bot)
        venue.fault("refuse", text="Price must be divisible by tick size. asset=0", count=1)
        venue.hand.cancel("", "BTC")
        await bot.until(lambda: venue.position() == 0)
        await bot.agreed()
        stops = [name for name in await bot.submitted() if "-stop" in name]
        assert stops == ["script-BTC-1-stop", "script-BTC-1-stop2"]
