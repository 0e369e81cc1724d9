"""The rules of symbols are asked for each hour and at once on a hint, but not each time that a venue refuses."""

import asyncio
from collections.abc import Collection
from decimal import Decimal

import pytest

from tests.builders import FIRST, instrument
from tests.clock import VirtualClock
from tests.live_watch.bench import BareLine
from tradebot.live.instruments import InstrumentWatch, Source, hint_of
from tradebot.model.errors import Unavailable
from tradebot.model.instrument import InstrumentSeen, Listing
from tradebot.model.order import FillReport, OrderCanceled, OrderRejected, RefusalClass
from tradebot.model.time import NANOS_PER_S
from tradebot.model.venue import Listed
from tradebot.venues.hyperliquid.statuses import is_halt
from tradebot.venues.hyperliquid.wire import Asset

pytestmark = pytest.mark.virtual_time

BTC = Listed(Asset(symbol="BTC", id=0, size_decimals=3, max_leverage=40).instrument())
GONE = Listed(BTC.instrument, is_delisted=True)


class Venue:
    """Answers with ``assets``; each asking is counted."""

    def __init__(self) -> None:
        self.assets = {"BTC": BTC}
        self.asked = 0
        self.fails = 0

    async def read(self) -> dict[str, Listed]:
        self.asked += 1
        if self.fails:
            self.fails -= 1
            raise Unavailable("no")
        return self.assets


def watch(venue: Venue, *, is_simulated: bool = False) -> tuple[InstrumentWatch, BareLine, VirtualClock]:
    clock = VirtualClock()
    line = BareLine({"BTC": instrument()})

    async def sleep(seconds: float) -> None:
        clock.advance(int(seconds * NANOS_PER_S))
        await asyncio.sleep(0)

    source = Source(read=venue.read, venue_ms=lambda: 1, symbols=("BTC",), is_halt=is_halt, is_simulated=is_simulated)
    return InstrumentWatch(source, line, clock, sleep), line, clock


async def test_only_what_is_news_is_told() -> None:
    venue = Venue()
    made, line, _ = watch(venue)
    traded: list[Collection[str]] = []

    async def changed(symbols: Collection[str]) -> None:
        traded.append(symbols)

    made.changed = changed
    await made.look()
    await made.look()
    venue.assets = {"BTC": GONE}
    await made.look()
    venue.assets = {}
    await made.look()
    seen = [message for message in line.delivered if isinstance(message, InstrumentSeen)]
    assert [one.listing for one in seen] == [Listing.TRADED, Listing.DELISTED, Listing.UNLISTED]
    assert seen[-1].instrument == BTC.instrument, "of what the venue does not know the last rules stay known"
    assert traded == [["BTC"], ["BTC"], [], []]


async def test_a_halt_lasts_a_while_and_then_orders_show_whether_it_is_over() -> None:
    made, line, clock = watch(Venue())
    await made.look()
    made.doubt("BTC", "Trading of BTC is halted.")
    await made.look()
    assert line.risk.listing("BTC") is Listing.HALTED
    clock.advance(299 * NANOS_PER_S)
    await made.look()
    assert line.risk.listing("BTC") is Listing.HALTED
    clock.advance(2 * NANOS_PER_S)
    await made.look()
    assert line.risk.listing("BTC") is Listing.TRADED


async def test_a_simulated_venue_keeps_its_rules() -> None:
    made, line, _ = watch(Venue(), is_simulated=True)
    await made.look()
    assert [message for message in line.delivered if isinstance(message, InstrumentSeen)] == []


async def test_hints_that_come_all_the_time_ask_every_ten_seconds_at_most() -> None:
    venue = Venue()
    venue.fails = 2
    made, line, clock = watch(venue)
    task = asyncio.create_task(made.run(lambda: None))
    for _ in range(200):
        made.doubt("BTC", "Order has invalid size.")
        await asyncio.sleep(0)
    task.cancel()
    assert venue.asked > 3
    assert venue.asked <= clock.monotonic() / 10 + 1
    assert line.risk.listing("BTC") is Listing.TRADED


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (OrderRejected(ts_event=FIRST, client_order_id="x", reason="no", refusal=RefusalClass.OFF_GRID), None),
        (OrderRejected(ts_event=FIRST, client_order_id="x", reason="no", refusal=RefusalClass.PASSING), None),
        (OrderCanceled(ts_event=FIRST, client_order_id="x", reason="canceled"), None),
    ],
)
def test_what_is_no_hint(message: OrderRejected | OrderCanceled, expected: None) -> None:
    assert hint_of(message, BareLine({"BTC": instrument()})) is expected


def test_a_settlement_is_a_hint() -> None:
    from tradebot.model.money import Cash, Price, Qty
    from tradebot.model.order import Liquidity, OrderSide

    report = FillReport(
        ts_event=FIRST,
        trade_id="1",
        client_order_id="settlement-7",
        symbol="BTC",
        side=OrderSide.SELL,
        qty=Qty(Decimal(1)),
        price=Price(Decimal(1)),
        fee=Cash(Decimal(0)),
        liquidity=Liquidity.TAKER,
    )
    assert hint_of(report, BareLine({"BTC": instrument()})) == ("BTC", "")
    assert instrument("BTC").symbol == report.symbol
