"""Decisions become orders, and the venue's reports become fills."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.builders import FIRST, approved, canceled, command, fill_report, instrument, signal
from tradebot.model.command import Alert, AlertName, CommandDone, Heartbeat, StateChanged, TradingState, Verb
from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.order import (
    CancelOrder,
    Fill,
    OrderAccepted,
    OrderDone,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    PositionSide,
    SubmitOrders,
)
from tradebot.model.signal import Action
from tradebot.pipeline.orders.register import Lateness
from tradebot.pipeline.orders.stage import OrdersStage

ENTRY, STOP, TARGET = "cross-BTC-1-entry", "cross-BTC-1-stop", "cross-BTC-1-target"
SELL = OrderSide.SELL


def stage(lateness: Lateness = Lateness()) -> OrdersStage:  # noqa: B008  # it is frozen
    return OrdersStage({"BTC": instrument(), "ETH": instrument("ETH")}, lateness)


def submitted(outputs: Sequence[Message]) -> tuple[OrderRequest, ...]:
    return tuple(r for message in outputs if isinstance(message, SubmitOrders) for r in message.orders)


def cancels(outputs: Sequence[Message]) -> list[str]:
    return [message.client_order_id for message in outputs if isinstance(message, CancelOrder)]


def accept(orders: OrdersStage, outputs: Sequence[Message]) -> list[Message]:
    """What follows when the venue works all that ``outputs`` submit."""
    after: list[Message] = []
    for number, request in enumerate(submitted(outputs)):
        name = request.client_order_id
        after += orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=name, venue_order_id=f"o{number}"))
    return after


def bracketed(size: str = "1", *, stop: str | None = "90", target: str | None = "130") -> OrdersStage:
    """A stage with one bracket at the venue, nothing of it filled."""
    orders = stage()
    accept(orders, orders.handle(approved(signal(stop=stop, target=target), size)))
    return orders


def opened(size: str = "1", *, stop: str | None = "90", target: str | None = "130") -> OrdersStage:
    """A stage with a long position of ``size``."""
    orders = bracketed(size, stop=stop, target=target)
    orders.handle(fill_report(size=size))
    return orders


def exit_of(fraction: str = "1", id_: str = "cross-BTC-2") -> Message:
    return approved(signal(id_, Action.EXIT, fraction=fraction), fraction)


def test_an_entry_with_stop_and_target_goes_out_as_one_bracket() -> None:
    (submit,) = stage().handle(approved(signal(stop="90.04", target="130.06"), "0.5"))
    assert isinstance(submit, SubmitOrders)
    entry, stop, target = submit.orders
    assert (entry.client_order_id, entry.type, entry.side, entry.qty) == (
        ENTRY,
        OrderType.MARKET,
        OrderSide.BUY,
        Decimal("0.5"),
    )
    assert not entry.reduce_only
    assert (stop.client_order_id, stop.type, stop.trigger, stop.price) == (
        STOP,
        OrderType.STOP_MARKET,
        Decimal("90.0"),
        None,
    )
    assert (target.client_order_id, target.type, target.trigger, target.price) == (
        TARGET,
        OrderType.TAKE_PROFIT,
        Decimal("130.1"),
        Decimal("130.1"),
    )
    for child in (stop, target):
        assert (child.side, child.qty, child.reduce_only, child.parent_id, child.oco_id) == (
            SELL,
            entry.qty,
            True,
            ENTRY,
            "cross-BTC-1",
        )


@pytest.mark.parametrize(
    ("entry_type", "limit", "trigger"),
    [(OrderType.LIMIT, "95.1", None), (OrderType.STOP_MARKET, None, "95.2")],
)
def test_a_resting_entry_is_put_on_the_tick(entry_type: OrderType, limit: str | None, trigger: str | None) -> None:
    asked = signal(entry_type=entry_type, entry_price="95.17")
    (entry,) = submitted(stage().handle(approved(asked)))
    assert entry.price == (None if limit is None else Decimal(limit))
    assert entry.trigger == (None if trigger is None else Decimal(trigger))


def test_a_symbol_without_an_instrument_gets_the_finest_grid() -> None:
    asked = signal(symbol="DOGE", entry_type=OrderType.LIMIT, entry_price="0.12345678")
    (entry,) = submitted(stage().handle(approved(asked)))
    assert entry.price == Decimal("0.12345678")


def test_sent_orders_are_unknown_until_the_venue_answers() -> None:
    orders = stage()
    outputs = orders.handle(approved(signal(stop="90", target="130")))
    assert (orders.unknown(), len(orders.open_orders())) == (3, 3)
    accept(orders, outputs)
    assert (orders.unknown(), len(orders.open_orders())) == (0, 3)


def test_an_exit_is_a_market_order_that_only_reduces() -> None:
    orders = opened()
    (request,) = submitted(orders.handle(exit_of()))
    assert (request.client_order_id, request.type, request.side, request.reduce_only, request.role, request.reason) == (
        "cross-BTC-2-exit",
        OrderType.MARKET,
        SELL,
        True,
        OrderRole.EXIT,
        "signal",
    )


def test_the_same_id_is_never_submitted_twice() -> None:
    orders = bracketed()
    with pytest.raises(InvariantError):
        orders.handle(approved(signal()))


def test_a_fill_says_whose_it_is_and_why() -> None:
    orders = bracketed()
    fill, done = orders.handle(fill_report(fee="0.1"))
    assert isinstance(fill, Fill)
    assert (fill.strategy, fill.role, fill.reason, fill.signal_id, fill.fee) == (
        "cross",
        OrderRole.ENTRY,
        "entry",
        "cross-BTC-1",
        Decimal("0.1"),
    )
    assert isinstance(done, OrderDone)
    assert (done.state, done.filled_qty) == (OrderState.FILLED, 1)


def test_a_fill_reported_twice_is_booked_once() -> None:
    orders = opened()
    before = orders.save()
    assert orders.handle(fill_report()) == ()
    assert orders.save() == before


def test_a_fill_before_the_acknowledgement_is_booked() -> None:
    orders = stage()
    orders.handle(approved(signal()))
    assert isinstance(orders.handle(fill_report())[0], Fill)
    orders.handle(OrderAccepted(ts_event=FIRST, client_order_id=ENTRY, venue_order_id="o1"))
    assert orders.save().held["BTC"].qty == 1


def test_a_filled_stop_ends_the_position_and_cancels_what_is_left_of_it() -> None:
    orders = opened()
    outputs = orders.handle(fill_report("t2", STOP, side=SELL, at="90"))
    fill = outputs[0]
    assert isinstance(fill, Fill)
    assert fill.reason == "stop"
    assert cancels(outputs) == [TARGET]
    assert orders.save().held == {}


def test_nothing_is_cancelled_that_the_venue_cancelled_already() -> None:
    orders = opened()
    orders.handle(canceled(STOP, "sibling_filled"))
    outputs = orders.handle(fill_report("t2", TARGET, side=SELL, at="130"))
    assert cancels(outputs) == []
    assert submitted(outputs) == ()
    assert orders.save().orders == {}


def test_a_reversal_keeps_the_bracket_of_the_next_entry() -> None:
    orders = opened()
    accept(orders, orders.handle(exit_of()))
    short = signal("cross-BTC-3", side=PositionSide.SHORT, stop="110")
    accept(orders, orders.handle(approved(short)))
    outputs = orders.handle(fill_report("t2", "cross-BTC-2-exit", side=SELL))
    assert sorted(cancels(outputs)) == [STOP, TARGET]
    orders.handle(canceled(STOP))
    orders.handle(canceled(TARGET))
    assert orders.handle(canceled(STOP)) == ()
    orders.handle(fill_report("t3", "cross-BTC-3-entry", side=SELL))
    assert orders.save().held["BTC"].qty == -1
    assert set(orders.save().orders) == {"cross-BTC-3-entry", "cross-BTC-3-stop"}


def test_a_partial_exit_places_smaller_exits_before_it_cancels_the_old_ones() -> None:
    orders = opened()
    accept(orders, orders.handle(approved(signal("cross-BTC-2", Action.EXIT, fraction="0.25"), "0.25")))
    outputs = orders.handle(fill_report("t2", "cross-BTC-2-exit", side=SELL, size="0.25"))
    kinds = [type(message) for message in outputs]
    assert kinds == [Fill, OrderDone, SubmitOrders]
    assert [(r.client_order_id, r.qty, r.parent_id) for r in submitted(outputs)] == [
        ("cross-BTC-1-stop2", Decimal("0.75"), None),
        ("cross-BTC-1-target2", Decimal("0.75"), None),
    ]
    rested = accept(orders, outputs)
    assert cancels(rested) == [STOP, TARGET]
    assert orders.handle(canceled(STOP, "replaced"))[1:] == []
    assert orders.protection()[0].covered_qty == Decimal("0.75")


def test_a_partial_exit_of_a_position_without_exits_changes_nothing_else() -> None:
    orders = opened(stop=None, target=None)
    orders.handle(exit_of("0.5"))
    outputs = orders.handle(fill_report("t2", "cross-BTC-2-exit", side=SELL, size="0.5"))
    assert [type(message) for message in outputs] == [Fill, OrderDone]


def test_an_exit_cancels_the_rest_of_an_entry_that_has_begun_to_fill() -> None:
    orders = bracketed("4")
    orders.handle(fill_report(size="1"))
    outputs = orders.handle(exit_of())
    assert cancels(outputs) == [ENTRY]
    assert [r.client_order_id for r in submitted(outputs)] == ["cross-BTC-2-exit"]


def test_exits_shrink_to_what_an_ended_entry_filled() -> None:
    orders = bracketed("4")
    orders.handle(fill_report(size="1"))
    outputs = orders.handle(canceled(ENTRY, "insufficient_margin"))
    assert [(m.client_order_id, m.state, m.filled_qty) for m in outputs if isinstance(m, OrderDone)] == [
        (ENTRY, OrderState.CANCELED, 1)
    ]
    done = orders.handle(fill_report("t2", STOP, side=SELL, size="1"))[1]
    assert isinstance(done, OrderDone)
    assert done.state is OrderState.FILLED


def test_a_stop_that_filled_all_its_entry_ever_got_is_done_when_the_entry_ends() -> None:
    orders = bracketed("4", target=None)
    orders.handle(fill_report(size="2"))
    orders.handle(fill_report("t2", STOP, side=SELL, size="1"))
    orders.handle(fill_report("t3", STOP, side=SELL, size="1"))
    outputs = orders.handle(canceled(ENTRY))
    assert [(m.client_order_id, m.state) for m in outputs if isinstance(m, OrderDone)] == [
        (ENTRY, OrderState.CANCELED),
        (STOP, OrderState.FILLED),
    ]


def test_the_exits_of_an_entry_that_ends_unfilled_end_with_it_however_the_venue_says_so() -> None:
    orders = bracketed()
    outputs = orders.handle(OrderRejected(ts_event=FIRST, client_order_id=ENTRY, reason="margin"))
    assert [(m.client_order_id, m.state) for m in outputs if isinstance(m, OrderDone)] == [
        (ENTRY, OrderState.REJECTED),
        (STOP, OrderState.CANCELED),
        (TARGET, OrderState.CANCELED),
    ]
    assert orders.handle(canceled(STOP)) == ()
    assert orders.save().orders == {}


def test_an_end_reported_twice_is_done_once() -> None:
    orders = bracketed()
    assert len(orders.handle(canceled(TARGET))) == 1
    assert orders.handle(canceled(TARGET)) == ()


def test_a_venue_may_end_the_exits_before_their_entry() -> None:
    orders = bracketed()
    assert len(orders.handle(canceled(STOP, "parent"))) == 1
    assert len(orders.handle(canceled(TARGET, "parent"))) == 1
    assert len(orders.handle(canceled(ENTRY, "parent"))) == 1


@pytest.mark.parametrize("state", [TradingState.PAUSED, TradingState.REDUCE_ONLY, TradingState.HALTED])
def test_waiting_entries_are_cancelled_once_when_trading_stops(state: TradingState) -> None:
    orders = bracketed()
    changed = StateChanged(ts_event=FIRST, state=state, reason="operator")
    assert cancels(orders.handle(changed)) == [ENTRY]
    assert orders.handle(changed) == []


def test_stop_cancels_waiting_entries_and_resume_cancels_nothing() -> None:
    orders = bracketed()
    assert orders.handle(StateChanged(ts_event=FIRST, state=TradingState.RUNNING, reason="")) == ()
    assert orders.handle(command(Verb.PAUSE)) == ()
    assert orders.handle(Heartbeat(ts_event=FIRST)) == ()
    assert cancels(orders.handle(command(Verb.STOP))) == [ENTRY]


def test_cancel_takes_an_order_by_its_id() -> None:
    orders = bracketed()
    cancel, done = orders.handle(command(Verb.CANCEL, {"id": ENTRY}))
    assert isinstance(cancel, CancelOrder)
    assert isinstance(done, CommandDone)
    assert (done.detail, done.error) == ("cancelling 1 order", "")


@pytest.mark.parametrize(
    ("is_filled", "name", "error"),
    [(False, "nothing", "no such order"), (True, STOP, "protects"), (False, STOP, ENTRY), (True, ENTRY, "no such")],
)
def test_cancel_refuses_what_is_not_there_and_what_protects(is_filled: bool, name: str, error: str) -> None:
    orders = opened() if is_filled else bracketed()
    (done,) = orders.handle(command(Verb.CANCEL, {"id": name}))
    assert isinstance(done, CommandDone)
    assert error in done.error
    assert "mend:" in done.error


def test_cancel_all_leaves_the_stops_of_positions() -> None:
    orders = opened()
    resting = signal("cross-ETH-1", symbol="ETH", entry_type=OrderType.LIMIT, entry_price="90", stop="80")
    orders.handle(approved(resting))
    outputs = orders.handle(command(Verb.CANCEL, {"all": "true"}))
    assert cancels(outputs) == [TARGET, "cross-ETH-1-entry"]
    done = outputs[-1]
    assert isinstance(done, CommandDone)
    assert done.detail == "cancelling 2 orders"


def test_reports_on_unknown_orders_are_left_alone() -> None:
    orders = stage()
    assert orders.handle(OrderAccepted(ts_event=FIRST, client_order_id="x", venue_order_id="o")) == ()
    assert orders.handle(canceled("x")) == ()


def test_a_liquidation_belongs_to_the_position_it_ends_and_ends_its_exits() -> None:
    orders = opened()
    report = fill_report("t9", None, side=SELL, at="50")
    outputs = orders.handle(report)
    fill = outputs[0]
    assert isinstance(fill, Fill)
    assert (fill.strategy, fill.signal_id, fill.reason, fill.role) == (
        "cross",
        "cross-BTC-1",
        "liquidation",
        OrderRole.EXIT,
    )
    assert cancels(outputs) == [STOP, TARGET]
    assert orders.handle(report) == ()


def test_a_trade_of_nobody_is_booked_as_manual_and_told() -> None:
    fill, alert = stage().handle(fill_report("t9", "by-hand"))
    assert isinstance(alert, Alert)
    assert alert.name is AlertName.FOREIGN_ORDER
    assert isinstance(fill, Fill)
    assert (fill.strategy, fill.reason, fill.client_order_id) == ("manual", "manual", "by-hand")


def test_finished_orders_are_forgotten_but_their_trades_are_not() -> None:
    orders = stage(Lateness(orders=2, trades=3))
    for number in range(1, 8):
        name = f"cross-BTC-{number}"
        orders.handle(approved(signal(name)))
        orders.handle(fill_report(f"in{number}", f"{name}-entry"))
        orders.handle(approved(signal(f"{name}x", Action.EXIT)))
        orders.handle(fill_report(f"out{number}", f"{name}x-exit", side=SELL))
    state = orders.save()
    assert (state.orders, list(state.done), state.seen) == (
        {},
        ["cross-BTC-7-entry", "cross-BTC-7x-exit"],
        ("out5", "in6", "out6"),
    )
    assert state.submitted == 14
    assert orders.handle(fill_report("out6", "cross-BTC-6x-exit", side=SELL)) == ()
    assert orders.handle(fill_report("in7", "cross-BTC-7-entry")) == ()


def test_protection_counts_only_what_rests_at_the_venue() -> None:
    orders = stage()
    outputs = orders.handle(approved(signal(stop="90")))
    orders.handle(fill_report())
    (before,) = orders.protection()
    assert (before.stop_price, before.covered_qty, before.is_full) == (None, 0, False)
    accept(orders, outputs)
    (after,) = orders.protection()
    assert (after.symbol, after.qty, after.stop_price, after.is_full) == ("BTC", 1, Decimal(90), True)
