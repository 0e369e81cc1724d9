"""What the line is told of a live market beside its bars: when, of what, and how old."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.builders import price, qty
from tests.live_feed.market_desk import COINS, M1, Desk, desk, running
from tradebot.live.market_looks import Looks, seen
from tradebot.model.market import Quote, SymbolPrices
from tradebot.model.time import Nanos
from tradebot.model.venue import MarketContext
from tradebot.venues.hyperliquid.public import market_subscriptions

pytestmark = pytest.mark.virtual_time


def context(symbol: str = "BTC", mark: str = "100", mid: str | None = "101") -> MarketContext:
    at = None if mid is None else price(mid)
    return MarketContext(symbol=symbol, mark=price(mark), oracle=price(mark), mid=at, funding=Decimal(0))


def quote(symbol: str = "BTC") -> Quote:
    return Quote(symbol=symbol, ts_event=Nanos(1), bid=price(99), ask=price(101), bid_qty=qty(3), ask_qty=qty(4))


def test_each_symbol_is_told_by_its_last_context_with_its_age_and_what_is_offered() -> None:
    looks = Looks()
    assert looks.prices(COINS, 1.0) == ()
    looks.context(context("ETH", "50", None), 1.0)
    looks.context(context("BTC", "90"), 1.0)
    looks.context(context("BTC"), 2.5)
    looks.quote("BTC", quote())
    btc, eth = looks.prices(COINS, 4.0)
    assert btc == SymbolPrices(
        symbol="BTC", age_ms=1500, mark=price(100), mid=price(101), bid_qty=qty(3), ask_qty=qty(4)
    )
    assert eth == SymbolPrices(symbol="ETH", age_ms=3000, mark=price(50), mid=None)
    assert looks.prices(("ETH",), 4.0) == (eth,)
    looks.quote("BTC", None)
    assert looks.prices(("BTC",), 4.0)[0].bid_qty is None
    looks.quote("BTC", quote())
    looks.down()
    assert looks.prices(("BTC",), 4.0)[0].ask_qty is None


def test_where_nothing_was_told_there_is_nothing_to_say() -> None:
    assert seen((), Nanos(5)) == []


def test_best_prices_of_all_symbols_are_told_only_where_they_are_asked_for() -> None:
    symbols = dict.fromkeys(COINS, M1)
    for has_quotes, coins in ((False, ["BTC"]), (True, ["BTC", "ETH"])):
        wanted = market_subscriptions(symbols, has_quotes=has_quotes)
        assert [one["coin"] for one in wanted if one["type"] == "bbo"] == coins
    assert market_subscriptions({}, has_quotes=True) == []


async def stepped(made: Desk, bars: int = 3) -> None:
    for _ in range(bars):
        made.bars()
        await made.caught_up()


async def test_before_live_bars_the_line_is_told_what_the_market_is_like() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        assert made.line.seen == [], "the past is under freeze"
        async with running(made, feed):
            await stepped(made)
        told = {place: message for message, place in made.line.seen}
        assert list(told) == [20, 22, 24], "once for all bars that close together"
        for place, message in told.items():
            assert [one.symbol for one in message.prices] == list(COINS)
            assert message.ts_event >= made.line.bars[place][0].ts_event
            assert all(one.mid is not None and 0 <= one.age_ms <= 10_000 for one in message.prices)


async def test_between_bars_it_is_told_when_that_is_alarming_and_only_then() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        limit = made.net.exchange.markets["BTC"].mark * Decimal("0.9")
        asked: list[Sequence[SymbolPrices]] = []

        def is_alarming(prices: Sequence[SymbolPrices]) -> bool:
            asked.append(prices)
            return not made.line.seen and any(one.symbol == "BTC" and one.mark <= limit for one in prices)

        feed.is_alarming = is_alarming
        async with running(made, feed):
            await made.heard()
            await asyncio.sleep(2)
            assert len(asked) >= 8, "four times a second"
            assert made.line.seen == []
            made.net.server.admin.move("BTC", made.net.exchange.markets["BTC"].coin.on_grid(limit * Decimal("0.99")))
            await asyncio.sleep(1)
        ((message, place),) = made.line.seen
        assert place == 20, "no bar has closed"
        assert message.prices[0].mark <= limit


async def test_what_a_socket_repeats_when_it_is_back_is_as_old_as_it_was() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            await stepped(made, 1)
            await made.heard()
            await asyncio.sleep(30)
            made.fault("drop")
            await asyncio.sleep(30)
            assert feed.is_connected
            (eth,) = (one for one in feed._prices() if one.symbol == "ETH")
            assert eth.age_ms >= 30_000
            made.bars(1)
            await made.heard()
            assert all(one.age_ms < 5_000 for one in feed._prices())
