"""What the orders stage answers without giving all of its state away."""

from decimal import Decimal

from tests.builders import FIRST, approved, fill_report, signal
from tests.orders.test_orders_stage import ENTRY, STOP, TARGET, bracketed, stage
from tradebot.model.order import OrderAccepted, OrderSide
from tradebot.pipeline.orders.stage import OrdersStage


def names(orders: OrdersStage) -> list[str]:
    return [order.request.client_order_id for order in orders.open_orders()]


def test_a_new_book_is_blank_until_its_first_order_and_never_again() -> None:
    orders = stage()
    assert orders.is_blank
    assert (orders.orders, orders.held, orders.book(), orders.open_orders()) == ({}, {}, {}, [])
    orders.handle(approved(signal()))
    assert not orders.is_blank


def test_the_orders_that_work_are_told_apart_from_those_that_are_remembered() -> None:
    orders = bracketed()
    assert names(orders) == list(orders.orders) == [ENTRY, STOP, TARGET]
    orders.handle(fill_report("t1", ENTRY))
    assert names(orders) == [STOP, TARGET]
    assert list(orders.orders) == [ENTRY, STOP, TARGET]
    assert {symbol: held.qty for symbol, held in orders.held.items()} == {"BTC": Decimal(1)}
    orders.handle(fill_report("t2", STOP, side=OrderSide.SELL, at="90"))
    # The target is at work until the venue has cancelled it, and the others matter as long as it.
    assert names(orders) == [TARGET]
    assert list(orders.book()) == [ENTRY, STOP, TARGET]
    assert orders.held == {}


def test_exits_that_follow_an_entry_are_unanswered_but_not_unknown() -> None:
    orders = stage()
    orders.handle(approved(signal(stop="90", target="130")))
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=ENTRY, venue_order_id="o1"))
    assert [order.request.client_order_id for order in orders.unanswered()] == [STOP, TARGET]
    assert orders.unknown() == 0


def test_what_was_answered_does_not_change_with_the_book() -> None:
    orders = bracketed()
    before, held = orders.orders, orders.held
    orders.handle(fill_report("t1", ENTRY))
    assert before != orders.orders
    assert held == {}
