"""An open position keeps its stop, or is being closed."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.builders import FIRST, approved, canceled, command, fill_report, instrument, signal
from tradebot.model.command import Verb
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    OrderAccepted,
    OrderDone,
    OrderRejected,
    OrderRole,
    OrderSide,
    OrderType,
    SubmitOrders,
)
from tradebot.model.signal import Action
from tradebot.pipeline.orders.stage import OrdersStage

ENTRY, STOP, TARGET = "cross-BTC-1-entry", "cross-BTC-1-stop", "cross-BTC-1-target"
SELL = OrderSide.SELL


def opened(*, filled: bool = True, stop: str | None = "90") -> OrdersStage:
    orders = OrdersStage({"BTC": instrument()})
    accept(orders, orders.handle(approved(signal(stop=stop, target="130"))))
    if filled:
        orders.handle(fill_report())
    return orders


def accept(orders: OrdersStage, outputs: Sequence[Message]) -> None:
    for message in outputs:
        for request in message.orders if isinstance(message, SubmitOrders) else ():
            name = request.client_order_id
            orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=name, venue_order_id="o"))


def names(outputs: Sequence[Message]) -> list[str]:
    return [r.client_order_id for m in outputs if isinstance(m, SubmitOrders) for r in m.orders]


def test_a_lost_stop_is_placed_anew_once_and_then_the_position_is_closed() -> None:
    orders = opened()
    first = orders.handle(canceled(STOP, "venue"))
    assert names(first) == ["cross-BTC-1-stop2"]
    assert not orders.protection()[0].is_full
    accept(orders, first)
    assert orders.protection()[0].is_full
    second = orders.handle(OrderRejected(ts_event=FIRST, client_order_id="cross-BTC-1-stop2", reason="no"))
    assert names(second) == ["cross-BTC-1-exit3"]
    submit = second[-1]
    assert isinstance(submit, SubmitOrders)
    (request,) = submit.orders
    assert (request.type, request.reason, request.reduce_only, request.role) == (
        OrderType.MARKET,
        "unprotected",
        True,
        OrderRole.EXIT,
    )
    outputs = orders.handle(fill_report("t2", "cross-BTC-1-exit3", side=SELL))
    assert [m.client_order_id for m in outputs if isinstance(m, CancelOrder)] == [TARGET]
    assert orders.protection() == ()


def test_a_venue_that_refuses_even_the_exit_is_not_asked_in_circles() -> None:
    orders = opened()
    for name in (STOP, "cross-BTC-1-stop2", "cross-BTC-1-exit3"):
        outputs = orders.handle(OrderRejected(ts_event=FIRST, client_order_id=name, reason="no"))
    assert [type(message) for message in outputs] == [OrderDone]
    assert not orders.protection()[0].is_full


def test_a_stop_lost_before_its_entry_fills_is_placed_when_it_does() -> None:
    orders = opened(filled=False)
    assert [type(message) for message in orders.handle(canceled(STOP, "venue"))] == [OrderDone]
    assert names(orders.handle(fill_report())) == ["cross-BTC-1-stop2"]


def test_a_stop_lost_while_the_position_is_being_closed_is_left() -> None:
    orders = opened()
    orders.handle(approved(signal("cross-BTC-2", Action.EXIT)))
    assert names(orders.handle(canceled(STOP, "venue"))) == []
    # The exit fails too: now it is needed again.
    rejected = OrderRejected(ts_event=FIRST, client_order_id="cross-BTC-2-exit", reason="no")
    assert names(orders.handle(rejected)) == ["cross-BTC-1-stop2"]


def test_a_lost_target_leaves_the_stop_alone() -> None:
    assert [type(message) for message in opened().handle(canceled(TARGET, "venue"))] == [OrderDone]


@pytest.mark.parametrize("reason", ["sibling_filled", "position_closed", "reduce_only"])
def test_a_stop_that_the_venue_ends_with_its_position_is_not_placed_anew(reason: str) -> None:
    assert [type(message) for message in opened().handle(canceled(STOP, reason))] == [OrderDone]


def test_a_position_left_by_such_an_end_gets_its_stop_at_the_next_fill() -> None:
    orders = opened()
    orders.handle(canceled(STOP, "sibling_filled"))
    assert names(orders.handle(fill_report("t2", TARGET, side=SELL, size="0.4", at="130"))) == ["cross-BTC-1-stop2"]


def test_an_exit_that_ends_partly_filled_leaves_exits_of_the_right_size() -> None:
    orders = opened()
    orders.handle(approved(signal("cross-BTC-2", Action.EXIT)))
    orders.handle(fill_report("t2", "cross-BTC-2-exit", side=SELL, size="0.4"))
    outputs = orders.handle(canceled("cross-BTC-2-exit", "venue"))
    assert names(outputs) == ["cross-BTC-1-stop2", "cross-BTC-1-target2"]
    submit = outputs[1]
    assert isinstance(submit, SubmitOrders)
    assert {request.qty for request in submit.orders} == {Decimal("0.6")}


def test_an_exit_cancelled_by_the_operator_needs_no_guard() -> None:
    orders = opened(stop=None)
    accept(orders, orders.handle(approved(signal("cross-BTC-2", Action.EXIT))))
    orders.handle(command(Verb.CANCEL, {"id": "cross-BTC-2-exit"}))
    assert [type(m) for m in orders.handle(canceled("cross-BTC-2-exit", "operator"))] == [OrderDone]


def test_a_late_fill_that_turns_a_position_round_is_closed_and_not_given_the_wrong_stop() -> None:
    orders = opened()
    orders.handle(approved(signal("cross-BTC-2", Action.EXIT)))
    orders.handle(canceled("cross-BTC-2-exit", "position_closed"))
    orders.handle(canceled(TARGET, "position_closed"))
    orders.handle(fill_report("t2", STOP, side=SELL, at="90"))
    assert orders.save().orders == {}
    outputs = orders.handle(fill_report("t3", TARGET, side=SELL, at="130"))
    assert orders.save().held["BTC"].qty == -1
    submit = outputs[-1]
    assert isinstance(submit, SubmitOrders)
    assert (submit.orders[0].side, submit.orders[0].reason) == (OrderSide.BUY, "unprotected")


def test_a_late_fill_of_a_dropped_entry_gets_its_stop_back() -> None:
    orders = opened(filled=False)
    orders.handle(canceled(ENTRY, "operator"))
    assert orders.save().orders == {}
    assert names(orders.handle(fill_report())) == ["cross-BTC-1-stop2"]


def test_the_rest_of_an_entry_ends_with_the_position_its_first_part_made() -> None:
    orders = OrdersStage({"BTC": instrument()})
    accept(orders, orders.handle(approved(signal(stop="90"), "4")))
    orders.handle(fill_report(size="1"))
    outputs = orders.handle(fill_report("t2", STOP, side=SELL, size="1", at="90"))
    assert [m.client_order_id for m in outputs if isinstance(m, CancelOrder)] == [ENTRY, STOP]
