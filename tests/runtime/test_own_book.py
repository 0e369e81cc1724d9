"""The stops of the book are those of the simulated venue; should they ever differ, the position is guarded anew."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.builders import approved, bar, bars_closed, cash, instrument, minute, signal
from tests.risk.test_trading_line import COSTS
from tradebot.model.market import Message
from tradebot.model.order import FillReport, OrderAccepted, StopFault, StopFaulted
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.runtime.own_book import PERIOD_S, OwnBookCheck
from tradebot.venues.simulated.venue import SimulatedVenue

pytestmark = pytest.mark.virtual_time


class Line:
    """The orders stage and the venue, and nothing between them."""

    def __init__(self) -> None:
        self.orders = OrdersStage({"BTC": instrument()}, venue_trails=True)
        self.venue = SimulatedVenue({"BTC": instrument()}, COSTS, cash(10_000))
        self.told: list[Message] = []

    def run(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, OrderAccepted | FillReport):
                self.run(self.orders.handle(message))
            else:
                self.run(self.venue.handle(message))

    async def deliver(self, messages: Sequence[Message]) -> None:
        self.told += messages

    def check(self) -> OwnBookCheck:
        return OwnBookCheck(self.orders, self.venue.resting, asyncio.Lock(), self.deliver, lambda: minute(3))


def entered() -> Line:
    line = Line()
    line.venue.handle(bars_closed(bar(1)))
    line.run(line.orders.handle(approved(signal(stop="90", target="130"))))
    line.run(line.venue.handle(bars_closed(bar(2))))
    assert line.orders.protection()[0].is_full
    return line


async def test_they_agree_and_it_is_looked_each_five_seconds() -> None:
    line = entered()
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(line.check().run(lambda: None))
    await asyncio.sleep(3 * PERIOD_S + 1)  # virtual
    task.cancel()
    assert (PERIOD_S, line.told, loop.time() > 0) == (5, [], True)
    assert set(line.venue.resting()) == {"cross-BTC-1-stop", "cross-BTC-1-target"}


async def test_a_stop_that_differs_is_told_to_the_line() -> None:
    line = entered()
    (stop,) = [one for one in line.venue._books["BTC"].orders if one.is_stop]
    stop.armed = stop.armed / 2  # type: ignore[assignment]  # a quantity
    await line.check().look()
    (told,) = line.told
    assert isinstance(told, StopFaulted)
    assert (told.client_order_id, told.fault, told.ts_event) == ("cross-BTC-1-stop", StopFault.SIZE, minute(3))


def test_the_liquidation_is_where_the_account_would_not_stand() -> None:
    assert entered().venue.liquidations() == {}
    line = Line()
    line.venue.handle(bars_closed(bar(1)))
    line.run(line.orders.handle(approved(signal(stop="60"), "400")))
    line.run(line.venue.handle(bars_closed(bar(2))))
    at = line.venue.liquidations()["BTC"]
    line.run(line.venue.handle(bars_closed(bar(3, at))))
    assert line.venue.position("BTC") == 400
    assert line.venue.account().equity > line.venue.account().maintenance
    line.run(line.venue.handle(bars_closed(bar(4, at - 1))))
    assert line.venue.position("BTC") == 0
