"""Fills that cannot be: held back and told of, neither booked nor dropped before the venue was asked."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.builders import FIRST, approved, fill_report, instrument, price, replace, signal
from tests.orders.test_real_venue import ENTRY, accepted, alerts, asleep, submitted
from tradebot.model.command import AlertName
from tradebot.model.market import Message
from tradebot.model.order import Fill, FillDisputed, FillReport, FillSettled, OrderSide, OrderType
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.store.codec import decode, encode

D = Decimal
CONTRADICTIONS = {
    "larger": fill_report(size="5"),
    "other side": fill_report(side=OrderSide.SELL),
    "other coin": fill_report(symbol="ETH"),
    "beyond its limit": replace(fill_report(), price=price("150")),
}


def settled(trade_id: str = "t1", *, is_believed: bool) -> FillSettled:
    return FillSettled(ts_event=FIRST, trade_id=trade_id, is_believed=is_believed)


def booked(outputs: Sequence[Message]) -> list[tuple[str, Decimal, OrderSide]]:
    return [(one.symbol, one.qty, one.side) for one in outputs if isinstance(one, Fill)]


@pytest.mark.parametrize("report", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_fill_that_cannot_be_is_held_and_told_of_once(report: FillReport) -> None:
    orders = asleep()
    outputs = orders.handle(report)
    assert [type(one) for one in outputs[:1]] == [FillDisputed]
    assert alerts(outputs) == [AlertName.CONTRADICTION]
    assert orders.disputed == {"t1": report}
    assert not orders.is_news(report)
    assert orders.handle(report) == ()
    assert orders.save().held == {}


@pytest.mark.parametrize("report", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_the_venue_stands_by_is_booked_once_and_what_it_does_not_never(report: FillReport) -> None:
    for is_believed in (True, False):
        orders = asleep()
        orders.handle(report)
        assert orders.is_news(settled(is_believed=is_believed))
        outputs = orders.handle(settled(is_believed=is_believed))
        assert not orders.is_news(settled(is_believed=is_believed))
        assert booked(outputs) == ([(report.symbol, report.qty, report.side)] if is_believed else [])
        assert alerts(outputs)[0] is AlertName.CONTRADICTION
        assert not orders.disputed
        assert orders.handle(settled(is_believed=True)) == ()
        assert orders.is_news(report) is not is_believed


def test_a_second_trade_for_a_full_order_is_disputed_and_believed_it_is_protected_too() -> None:
    orders = asleep()
    orders.handle(fill_report(size="4"))
    assert alerts(orders.handle(fill_report("t2", size="2"))) == [AlertName.CONTRADICTION]
    outputs = orders.handle(settled("t2", is_believed=True))
    assert booked(outputs) == [("BTC", D(2), OrderSide.BUY)]
    assert submitted(outputs) == [("cross-BTC-1-stop2", D(6))]


def test_a_word_that_is_told_rightly_after_all_is_booked_and_the_dispute_over() -> None:
    orders = asleep()
    orders.handle(fill_report(size="40"))
    right = fill_report(size="4")
    assert orders.is_news(right)
    assert booked(orders.handle(right)) == [("BTC", D(4), OrderSide.BUY)]
    assert not orders.disputed


def test_what_is_disputed_survives_a_snapshot() -> None:
    orders, again = asleep(), OrdersStage({"BTC": instrument()})
    orders.handle(CONTRADICTIONS["larger"])
    again.load(decode(OrdersStage.STATE, encode(orders.save())))
    assert again.disputed == orders.disputed
    assert booked(again.handle(settled(is_believed=True))) == [("BTC", D(5), OrderSide.BUY)]


def test_exits_are_neither_limited_nor_disputed_for_their_price() -> None:
    orders = OrdersStage({"BTC": instrument()})
    orders.handle(approved(signal(entry_type=OrderType.MARKET), "4"))
    orders.handle(accepted(ENTRY, "1"))
    assert booked(orders.handle(replace(fill_report(size="4"), price=price("300"))))
