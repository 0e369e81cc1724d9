"""The market of a venue: what it lists, its closed bars, and what it tells of them."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.builders import MINUTE
from tests.contract.venue.world import SYMBOLS, World
from tests.contract.venue.worlds import WORLDS, law
from tradebot.model.market import Bar
from tradebot.model.time import Nanos
from tradebot.model.venue import Down, Formed, Purpose, Up, why_not_live
from tradebot.ports import Market, MarketStream

LEAST_BARS = 40


async def closed(market: Market, symbol: str, since: int = 0) -> Sequence[Bar]:
    now = await market.market_time(symbol, Purpose.HISTORY)
    return await market.bars(symbol, MINUTE, (Nanos(since), now), Purpose.HISTORY)


async def tells(stream: MarketStream, *kinds: type[object]) -> list[object]:
    """Return what is told up to the first of the last of ``kinds``, which come in this order among others."""
    told: list[object] = []
    async with asyncio.timeout(20):
        for kind in kinds:
            while not (told and isinstance(told[-1], kind)):
                told.append(await stream.next())
    return told


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_what_it_can_do_is_enough_for_real_money(world: type[World]) -> None:
    assert why_not_live(world.can) == ""


@law()
async def test_symbols_are_listed_with_their_rules(world: World) -> None:
    market = world.market()
    assert not market.listed
    await market.refresh()
    for symbol in SYMBOLS:
        listed = market.listed[symbol]
        assert not listed.is_delisted
        assert listed.instrument.symbol == symbol
        assert listed.instrument.max_leverage >= 5
    assert market.capabilities == world.can
    assert market.budget_left() > 0


@law()
async def test_closed_bars_are_whole_in_order_and_without_the_one_that_forms(world: World) -> None:
    market = world.market()
    for symbol in SYMBOLS:
        bars = await closed(market, symbol)
        ends = [bar.ts_event for bar in bars]
        assert len(bars) >= LEAST_BARS
        assert ends == list(range(ends[0], ends[-1] + 1, MINUTE))
        assert all(bar.symbol == symbol and bar.timeframe == MINUTE for bar in bars)
        assert ends[-1] <= await market.market_time(symbol, Purpose.HISTORY)
        # Only those that open in the span.
        part = await market.bars(symbol, MINUTE, (Nanos(ends[-4]), Nanos(ends[-1])), Purpose.HISTORY)
        assert [bar.ts_event for bar in part] == ends[-3:]
        assert list(part) == list(bars[-3:])


@law()
async def test_what_closes_later_is_among_the_closed(world: World) -> None:
    market = world.market()
    before = await closed(market, "BTC")
    world.close_bars(2)
    after = await closed(market, "BTC", before[-1].ts_event - MINUTE)
    assert after[0] == before[-1]
    assert len(after) == 3


@law()
async def test_a_stream_says_when_it_stands_and_tells_of_bars_until_it_is_hung_up(world: World) -> None:
    stream = world.market().stream(dict.fromkeys(SYMBOLS, MINUTE))
    assert not stream.is_up
    told = await tells(stream, Up)
    assert isinstance(told[-1], Up)
    assert told[-1].away_s is None
    assert stream.is_up
    world.close_bars(1)
    told = await tells(stream, Formed)
    assert isinstance(told[-1], Formed)
    assert told[-1].bar.symbol in SYMBOLS
    world.hang_up()
    told = await tells(stream, Down, Up)
    assert isinstance(told[-1], Up)
    assert told[-1].away_s is not None
    await stream.close()


@law()
async def test_a_stream_tells_of_what_is_wanted_alone(world: World) -> None:
    stream = world.market().stream(dict.fromkeys(SYMBOLS, MINUTE))
    await tells(stream, Up)
    await stream.want({"ETH": MINUTE})
    rounds: list[set[str]] = []
    # What was subscribed to before may be told a little longer.
    while rounds[-3:] != [{"ETH"}] * 3:
        world.close_bars(1)
        told: set[str] = set()
        async with asyncio.timeout(20):
            while "ETH" not in told:
                event = await stream.next()
                told |= {event.bar.symbol} if isinstance(event, Formed) else set()
        rounds.append(told)
        assert len(rounds) < 100
    await stream.close()
