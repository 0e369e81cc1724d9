"""A word of the venue against its own position, at the devnet: asked for again, believed or dropped, never fatal."""

from decimal import Decimal

import pytest

from tests.builders import replace
from tests.live_watch.bench import Bench, bench
from tradebot.live.freezer import FreezeReason
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.money import Qty
from tradebot.model.order import FillReport, OrderSide
from tradebot.model.venue import Purpose

pytestmark = pytest.mark.virtual_time

D = Decimal


async def told(made: Bench) -> FillReport:
    """Return the newest fill as the venue tells it."""
    return (await made.venue.fills_again(made.gateway.time.ms() - 60_000, Purpose.PROTECT))[-1]


async def test_a_fill_that_the_venue_does_not_repeat_is_dropped_and_the_symbol_thaws() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        invented = replace(await told(made), trade_id="7-7")
        await made.line.deliver([invented])
        assert made.line.orders.disputed
        assert made.line.risk.trading_state is TradingState.HALTED
        assert FreezeReason.DOUBT in made.line.frozen["BTC"]
        await made.looks(3)
        assert not made.line.orders.disputed
        assert made.line.frozen == {}
        assert made.book() == {"BTC": D("0.01")}


async def test_a_mangled_report_is_replaced_by_what_the_venue_says_when_asked() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "BTC", D("-0.004"))
        name = next(iter(made.line.orders.save().orders))
        mangled = replace(await told(made), client_order_id=name, qty=Qty(D("0.4")), side=OrderSide.SELL)
        await made.line.deliver([mangled])
        assert made.line.orders.disputed
        await made.looks(3)
        assert not made.line.orders.disputed
        assert made.book() == {"BTC": D("0.006")}


async def test_an_overfill_that_position_and_fills_confirm_is_booked_and_protected() -> None:
    async with bench() as made:
        await made.begin()
        name = await made.enter()
        made.hand.trade("", "BTC", D("0.004"))
        report = replace(await told(made), client_order_id=f"{name}-entry")
        # The venue says of the further trade that our entry made it.
        oid = int(report.trade_id.partition("-")[2])
        made.venue.names.know(oid, f"{name}-entry")
        await made.line.deliver([report])
        assert made.line.orders.disputed == {report.trade_id: report}
        await made.looks(3)
        await made.carry()
        assert made.book() == {"BTC": D("0.014")}
        assert [one.covered_qty for one in made.line.orders.protection()] == [D("0.014")]


async def test_while_halted_a_position_that_nothing_explains_is_taken_over_and_can_be_left() -> None:
    async with bench() as made:
        await made.begin()
        made.hand.trade("", "BTC", D("0.004"))
        # Its fill was set aside: no asking brings it to the line.
        lost = (await told(made)).trade_id
        deliver = made.line.deliver
        made.line.set_aside.add(lost)
        await made.line.command(Verb.HALT, {"reason": "an input was set aside"})
        await made.looks(4)
        assert made.book() == {"BTC": D("0.004")}
        assert AlertName.MISMATCH in made.paged
        await made.looks(2)
        assert made.line.frozen == {}
        await made.line.command(Verb.HALT, {"flatten": "true"})
        await made.carry()
        await deliver([await told(made)])
        assert made.book() == {}
